"""Lines from a terminal that can be called off: no reader is left behind to eat the next answer."""

import contextlib
import os
import select
import selectors
import signal
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Literal, Protocol

Why = Literal["timeout", "cancelled", "interrupted"]
"""Time is up; nobody waits for the answer any more; somebody pressed Ctrl-C."""

_LOOK_SECONDS = 0.05
"""How often a question that waits for its turn looks whether it was called off."""
_Selector = selectors.SelectSelector if sys.platform == "darwin" else selectors.PollSelector
"""macOS cannot poll terminals; epoll, the default of Linux, takes no files."""


class StoppedError(Exception):
    """A dialogue has to end without an answer."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why: Why = why


class Stop:
    """Calls a dialogue off, from the thread that waits for it; reads in its own thread wake up."""

    def __init__(self) -> None:
        self.why: Why | None = None
        self.deaf = False
        """While an editor has the terminal Ctrl-C is the editor's."""
        self._read, self._write = os.pipe()

    def set(self, why: Why) -> None:
        """Call it off; the first reason stands."""
        if self.why is None:
            self.why = why
            self.wake()

    def wake(self) -> None:
        """Have its thread look."""
        os.write(self._write, b".")

    def check(self, deadline: float | None) -> None:
        """Raise `StoppedError` if it was called off, or if time is up."""
        if self.why is not None:
            raise StoppedError(self.why)
        if deadline is not None and time.monotonic() >= deadline:
            raise StoppedError("timeout")

    def await_readable(self, descriptor: int, deadline: float | None) -> None:
        """Return when something can be read there.

        Raises:
            StoppedError: it was called off, or time is up.
        """
        with _Selector() as selector:
            for each in (descriptor, self._read):
                selector.register(each, selectors.EVENT_READ)
            while True:
                self.check(deadline)
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready = {key.fd for key, _ in selector.select(left)}
                if descriptor in ready and self.why is None:
                    return

    def close(self) -> None:
        """Let go of it, once the dialogue has ended."""
        os.close(self._read)
        os.close(self._write)


class Reader(Protocol):
    """Where answers come from."""

    is_terminal: bool
    """Whether it shows what is typed, and where a line ends."""

    def forget(self) -> None:
        """Drop what was typed before the question was shown: it answers something else."""
        ...

    def line(self, stop: Stop, deadline: float | None) -> str | None:
        """The next line, None at the end.

        Raises:
            StoppedError: it was called off, or time is up.
        """
        ...


class DescriptorReader:
    """Reads a terminal, a pipe or a file, and takes no byte beyond the line that it returns.

    Args:
        descriptor: where to read.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.is_terminal = os.isatty(descriptor)

    def forget(self) -> None:
        """See `Reader.forget`; in a pipe nothing is early."""
        if self.is_terminal:
            with contextlib.suppress(termios.error):
                termios.tcflush(self.descriptor, termios.TCIFLUSH)

    def line(self, stop: Stop, deadline: float | None) -> str | None:
        """See `Reader.line`. A terminal that was hung up is at its end."""
        taken = bytearray()
        while True:
            stop.await_readable(self.descriptor, deadline)
            try:
                byte = os.read(self.descriptor, 1)
            except OSError:
                byte = b""
            if not byte and not taken:
                return None
            if byte in (b"", b"\n"):
                return taken.decode(errors="replace")
            taken += byte


class FunctionReader:
    """Reads by calling a function, which nothing can call off.

    A call that nobody waits for any more is taken over by the next question; if it came back
    before that was shown, what it brought is dropped.

    Args:
        function: returns a line, or raises EOFError.
    """

    is_terminal = False

    def __init__(self, function: Callable[[], str]) -> None:
        self._function = function
        self._call: _Call | None = None

    def forget(self) -> None:
        """See `Reader.forget`."""
        if self._call is not None and self._call.is_done:
            self._call.take()
            self._call = None

    def line(self, stop: Stop, deadline: float | None) -> str | None:
        """See `Reader.line`; what the function raises besides EOFError comes through."""
        if self._call is None:
            self._call = _Call(self._function)
        stop.await_readable(self._call.descriptor, deadline)
        call, self._call = self._call, None
        return call.take()


class _Call:
    """A call in a thread of its own, with a descriptor that can be read once it is done."""

    def __init__(self, function: Callable[[], str]) -> None:
        self._function = function
        self._line: str | None = None
        self._error: BaseException | None = None
        self.descriptor, self._done = os.pipe()
        threading.Thread(target=self._run, name="sayso-input", daemon=True).start()

    @property
    def is_done(self) -> bool:
        return bool(select.select([self.descriptor], [], [], 0)[0])

    def take(self) -> str | None:
        os.close(self.descriptor)
        if self._error is not None:
            raise self._error
        return self._line

    def _run(self) -> None:
        try:
            self._line = self._function()
        except EOFError:
            self._line = None
        except BaseException as error:  # noqa: BLE001  it is raised where the line is taken
            self._error = StoppedError("interrupted") if _is_interrupt(error) else error
        os.close(self._done)


def _is_interrupt(error: BaseException) -> bool:
    return isinstance(error, KeyboardInterrupt)


class Turns:
    """Lets dialogues have the terminal one after the other, in the order in which they came."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._queue: deque[object] = deque()

    @contextlib.contextmanager
    def mine(self, stop: Stop) -> Generator[None]:
        """Wait for the turn, and have it until the block ends.

        Raises:
            StoppedError: it was called off meanwhile.
        """
        ticket = object()
        with self._condition:
            self._queue.append(ticket)
        try:
            with self._condition:
                while self._queue[0] is not ticket:
                    self._condition.wait(_LOOK_SECONDS)
                    stop.check(None)
            stop.check(None)
            yield
        finally:
            with self._condition:
                self._queue.remove(ticket)
                self._condition.notify_all()


TERMINAL = Turns()
"""This process has one terminal, however many backends ask on it."""

_asking: set[Stop] = set()
_usual: Any = None


@contextlib.contextmanager
def ctrl_c(stop: Stop) -> Generator[None]:
    """Within the block Ctrl-C calls the dialogue off, and all others that are on the terminal.

    In a thread other than the main one, which cannot have it, Ctrl-C does what it does elsewhere.
    """
    global _usual  # noqa: PLW0603  a process has one handler, so it is kept once
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if not _asking:
        _usual = signal.getsignal(signal.SIGINT)
        if callable(_usual):  # not where Ctrl-C is ignored
            signal.signal(signal.SIGINT, _interrupt)
    _asking.add(stop)
    try:
        yield
    finally:
        _asking.discard(stop)
        if not _asking and callable(_usual):
            signal.signal(signal.SIGINT, _usual)


def _interrupt(*_: object) -> None:
    meant = [stop for stop in _asking if stop.why is None and not stop.deaf]
    for stop in meant:  # all of them before the first wakes up, and another has its turn
        stop.why = "interrupted"
    for stop in meant:
        stop.wake()
