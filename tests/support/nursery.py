"""A process that has loaded all of `sayso`, and forks itself for each one that is asked for.

Loading takes a Python process longer than most tests do. What is forked here has loaded already,
and is in every other way a process of its own: it has its own arguments, environment, streams,
signals and exit status, and can be killed.

Run by `support.warm`, which asks over the socket that is its first argument: a byte, and with it
four files: a line of its own for this process, and its three streams. The line brings an `Order` as
JSON, and takes back the process's id, and at the end its exit status, each a number on a line.
`support/warm_sayso.py` asks in the same way at the address that is the second argument.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from typing import TypedDict

from argon2 import PasswordHasher

import sayso
from sayso.broker import passwords

NOT_LOADED = ("sayso.cli.__main__",)


class Order(TypedDict):
    """What to run: `python -m` with `words`, in this folder, with just this environment."""

    words: Sequence[str]
    environment: dict[str, str]
    folder: str


def load_everything() -> None:
    """Import whatever a command may want."""
    for found in pkgutil.walk_packages(sayso.__path__, "sayso."):
        if found.name not in NOT_LOADED:
            importlib.import_module(found.name)


def hash_cheaply() -> None:
    """Let a password cost a millisecond; what it costs in truth is tested in `tests/unit`."""
    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    passwords.Passwords.__init__.__defaults__ = (cheap,)


def serve(control: socket.socket, door: socket.socket) -> socket.socket | None:
    """Fork until `control` is closed; in each child, return the line that brings its order."""
    woken, wakes = socket.socketpair()
    for each in (woken, wakes):
        each.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno())
    lines: dict[int, socket.socket] = {}
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    selector.register(door, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is woken:
                woken.recv(4096)
                _tell_ended(lines)
                continue
            if key.fileobj is door:
                with door.accept()[0] as visitor:
                    asked, numbers, _, _ = socket.recv_fds(visitor, 1, 4)
            else:
                asked, numbers, _, _ = socket.recv_fds(control, 1, 4)
                if not asked:
                    for pid in lines:  # whoever asked for them is gone
                        os.kill(pid, signal.SIGKILL)
                    return None
            if not asked:
                continue
            line = socket.socket(fileno=numbers[0])
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                selector.close()
                for each in (control, door, woken, wakes, *lines.values()):
                    each.close()
                for stream, number in enumerate(numbers[1:]):
                    os.dup2(number, stream)
                    os.close(number)
                return line
            for number in numbers[1:]:
                os.close(number)
            lines[pid] = line
            with contextlib.suppress(OSError):  # who asked may be gone
                line.sendall(b"%d\n" % pid)


def _tell_ended(lines: dict[int, socket.socket]) -> None:
    while lines:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        line = lines.pop(pid)
        with contextlib.suppress(OSError):  # nobody may wait for it any more
            line.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        line.close()


def become(line: socket.socket) -> None:
    """Run the order that this line brings, to its end."""
    with line, line.makefile("rb") as lines:
        order: Order = json.loads(lines.readline())
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    module, *words = order["words"]
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    os.setsid()  # Ctrl-C is for the tests, who end everything in its turn
    load_everything()
    hash_cheaply()
    gc.collect()
    gc.freeze()
    door = socket.socket(socket.AF_UNIX)
    door.bind(sys.argv[2])
    door.listen()
    mine = serve(socket.socket(fileno=int(sys.argv[1])), door)
    if mine is not None:
        become(mine)
