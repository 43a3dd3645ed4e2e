"""`python -m sayso.cli` without the second that loading takes: forked from one that has loaded.

Each is a process of its own all the same; `support.nursery` tells how. Where loading is
what is tested, or the command as people start it, use `subprocess`.
"""

import atexit
import functools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_NURSERY = Path(__file__).with_name("nursery.py")
_COMMAND = Path(__file__).with_name("warm_sayso.py")
_asking = threading.Lock()


class Process:
    """One that runs `python -m` with `words`; used as `subprocess.Popen` is.

    Args:
        words: a module of ours, and the words of its command line.
        environment: its whole environment.
        folder: where it runs. Default: here.
        given: what it reads.
        output: the number of the file that it writes both streams to. Default: one for each, of
            its own, for `communicate`.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path | None = None,
        given: str = "",
        output: int | None = None,
    ) -> None:
        self.args = ["python", "-m", *words]
        self.returncode: int | None = None
        self._said = [] if output is not None else [_new_file(), _new_file()]
        self._reading = threading.Lock()
        self._line, theirs = socket.socketpair()
        order = {
            "words": list(words),
            "environment": dict(environment),
            "folder": str(folder or Path.cwd()),
        }
        self._line.sendall(json.dumps(order).encode() + b"\n")
        with theirs, _new_file() as read:
            read.write(given)
            read.seek(0)
            said = [file.fileno() for file in self._said] if output is None else [output, output]
            with _asking:
                socket.send_fds(_nursery(), [b"+"], [theirs.fileno(), read.fileno(), *said])
        self._told = self._line.makefile("rb")
        self.pid = int(self._told.readline())

    def poll(self) -> int | None:
        """Its exit status, if it has ended; minus a signal's number if that ended it."""
        return self.returncode if self._ends_in(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """The same, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not, in so many seconds.
        """
        if not self._ends_in(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it wrote to each stream, once it has ended; asked once."""
        self.wait(timeout)
        texts: list[str] = []
        for file in self._said:
            with file:
                file.seek(0)
                texts.append(file.read())
        out, err = texts
        return out, err

    def said(self, text: str, seconds: float = 60) -> bool:
        """Whether it writes this to its first stream, before that time is up."""
        until = time.monotonic() + seconds
        while text.encode() not in os.pread(self._said[0].fileno(), 1_000_000, 0):
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def send_signal(self, number: int) -> None:
        """Send it, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def _ends_in(self, seconds: float | None) -> bool:
        if self.returncode is None:
            with self._reading:  # another thread may have read it meanwhile
                if self.returncode is None and select.select([self._line], [], [], seconds)[0]:
                    self.returncode = int(self._told.readline())
                    self._told.close()
                    self._line.close()
        return self.returncode is not None


def run(
    *words: str,
    environment: Mapping[str, str],
    folder: Path | None = None,
    given: str = "",
    timeout: float = 90,
) -> subprocess.CompletedProcess[str]:
    """Run `sayso` with these words to its end, whatever that is."""
    process = Process(["sayso.cli", *words], environment=environment, folder=folder, given=given)
    try:
        out, err = process.communicate(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def _new_file() -> IO[str]:
    return tempfile.TemporaryFile("w+")


def put_command(folder: Path) -> None:
    """Put a command `sayso` there, which is forked as those above are."""
    _nursery()
    command = folder / "sayso"
    door = _folder() / "door"
    while not door.exists():
        time.sleep(0.01)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {_COMMAND} {door} "$@"\n')
    command.chmod(0o700)


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="sayso-nursery-"))
    atexit.register(shutil.rmtree, folder)
    return folder


@functools.cache
def _nursery() -> socket.socket:
    """The line to it; it ends, with all that it forked, when this process does."""
    ours, theirs = socket.socketpair()
    with theirs:
        door = str(_folder() / "door")
        words = [sys.executable, "-P", str(_NURSERY), str(theirs.fileno()), door]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        nursery = subprocess.Popen(words, pass_fds=[theirs.fileno()], env=environment)

    def end() -> None:
        ours.close()
        nursery.wait()

    atexit.register(end)
    return ours
