"""Signals between processes: what is published in one wakes the waiters of all.

Each process keeps its waiters as `MemorySignal` does, and one connection to a bus, which carries
keys both ways. Whatever may have been missed counts as published: a process that has just
connected wakes all its waiters, and they read the store again.
"""

import asyncio
import contextlib
import itertools
import logging
import random
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar, Protocol

from sayso.addresses import shown, without_secrets
from sayso.errors import SignalError
from sayso.signals.memory import MemorySignal

MESSAGE_BYTES = 7_900
"""Of one message at the most: what PostgreSQL takes, less a little."""
MAX_KEYS = 10_000
"""Keys kept for the bus while it is away; with more, everybody is woken when it is back."""
KEY_BYTES = 256
EVERYBODY = "*"
"""In a message: all keys."""

CONNECT_SECONDS = 5.0
ECHO_SECONDS = 5.0
CLOSE_SECONDS = 1.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0

log = logging.getLogger("sayso.signal")


class Connection(Protocol):
    """One connection to a bus, on which we listen from the start.

    Whatever it raises means that it is lost; there will be another.
    """

    async def send(self, message: str) -> None:
        """Have it delivered to all who listen, here included."""
        ...

    async def receive(self) -> str:
        """The next message."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


class BusSignal(MemorySignal, ABC):
    """Publish and subscribe between the event loops of many processes.

    Keys that are published within one turn of the event loop, or while a message is on its way,
    travel together. Each process hears its own messages, too: that is how it knows that it hears.

    Args:
        url: where the bus is.
    """

    beat_seconds: ClassVar[float] = 2.0
    """With nothing to send for so long, an empty message is sent."""
    lost_seconds: ClassVar[float] = 5.0
    """With nothing heard for so long, the connection is lost."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._sender = secrets.token_hex(8)
        self._task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._is_closing = False
        self._outgoing: set[str] = set()
        self._grown = asyncio.Event()
        self._sent = asyncio.Event()
        self._sent.set()

    @abstractmethod
    async def connect(self) -> Connection:
        """A new connection; once this returns, nothing that is sent is missed."""

    async def open(self) -> None:
        """Connect, and listen from now on; a connection that is lost later is made again.

        Raises:
            SignalError: the bus cannot be reached, or what is sent does not come back.
        """
        try:
            where = shown(self._url)
        except ValueError as error:
            raise SignalError(f"The address of the wake-up bus is not good. {error}") from None
        try:
            connection = self._connection = await self._connected()
        except Exception as error:
            raise SignalError(
                f"The wake-up bus {where} cannot be used: {self._reason(error)}.",
                hint="Check its address and whether it runs.",
            ) from error
        self.publish_all()  # what was published while nobody listened here
        self._is_closing = False
        self._task = asyncio.create_task(self._run(connection, where), name="sayso-signal")

    async def close(self) -> None:
        """Send what was published, within a second, then let go. Closing twice is harmless."""
        task, self._task = self._task, None
        if task is None:
            return
        if self._connection is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._sent.wait()
        self._is_closing = True
        while not task.done():  # a library may swallow a cancellation (wait_for of Python 3.11)
            task.cancel()
            await asyncio.wait([task], timeout=CLOSE_SECONDS)
        connection, self._connection = self._connection, None
        if connection is not None:
            await _let_go(connection)

    def publish(self, key: str) -> None:
        """Wake all who wait for `key`: here at once, elsewhere as soon as the bus brings it."""
        self.wake(key)
        if self._task is not None:
            self._tell(key)

    def _tell(self, key: str) -> None:
        if not (key.isascii() and key.isprintable() and len(key) <= KEY_BYTES):
            key = EVERYBODY
        if len(self._outgoing) >= MAX_KEYS:
            self._outgoing = {EVERYBODY}
        self._outgoing.add(key)
        self._sent.clear()
        self._grown.set()

    async def _run(self, connection: Connection, where: str) -> None:
        while True:
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._send(connection))
                    both.create_task(self._receive(connection))
            except* Exception as errors:  # noqa: BLE001  whatever it is, the way on is to connect again
                reason = self._reason(errors.exceptions[0])
                log.warning("the wake-up bus %s was lost, connecting again: %s", where, reason)
            if self._is_closing:
                return
            await _let_go(connection)
            self._connection = None
            connection = self._connection = await self._connected_again(where)
            log.warning("the wake-up bus %s is back", where)
            self.publish_all()  # what was published while nobody listened here

    async def _send(self, connection: Connection) -> None:
        while not self._is_closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.beat_seconds):
                    await self._grown.wait()
            self._grown.clear()
            keys, self._outgoing = self._outgoing, set()
            try:
                for message in _messages(self._sender, keys):
                    async with asyncio.timeout(self.lost_seconds):
                        await connection.send(message)
            except BaseException:
                for key in keys:  # perhaps nobody heard them
                    self._tell(key)
                raise
            if not self._outgoing:
                self._sent.set()

    async def _receive(self, connection: Connection) -> None:
        while not self._is_closing:
            async with asyncio.timeout(self.lost_seconds):
                message = await connection.receive()
            sender, *keys = message.split("\n")
            if sender == self._sender:
                continue
            if EVERYBODY in keys:
                self.publish_all()
            else:
                for key in keys:
                    self.wake(key)

    async def _connected(self) -> Connection:
        """A connection on which what is sent has come back."""
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await self.connect()
        try:
            async with asyncio.timeout(ECHO_SECONDS):
                await connection.send(self._sender)
                while await connection.receive() != self._sender:
                    pass  # others' messages; everybody is woken in a moment
        except TimeoutError:
            await _let_go(connection)
            raise ConnectionError(
                "what is sent there does not come back (is it a pooler, instead of the server?)"
            ) from None
        except BaseException:
            await _let_go(connection)
            raise
        return connection

    async def _connected_again(self, where: str) -> Connection:
        """Try until it works; told once for each kind of failure, and not each time."""
        told: set[type[Exception]] = set()
        for failures in itertools.count():
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures, 16))
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  no secret
            try:
                return await self._connected()
            except Exception as error:  # noqa: BLE001  whatever it is, the way on is to try again
                if type(error) not in told:
                    told.add(type(error))
                    reason = self._reason(error)
                    log.warning("the wake-up bus %s cannot be used: %s", where, reason)
        raise AssertionError  # one cannot count to the end

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, TimeoutError) and not str(error):
            return "it does not answer"
        return without_secrets(str(error) or type(error).__name__, self._url).rstrip(".")


async def _let_go(connection: Connection) -> None:
    """Close a connection that may be broken, and may hang."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()


def _messages(sender: str, keys: Iterable[str]) -> Iterator[str]:
    """The sender and keys, a line each, in as few messages as will do; at least one."""
    lines, size = [sender], len(sender)
    for key in [EVERYBODY] if EVERYBODY in keys else keys:
        if size + 1 + len(key) > MESSAGE_BYTES:
            yield "\n".join(lines)
            lines, size = [sender], len(sender)
        lines.append(key)
        size += 1 + len(key)
    yield "\n".join(lines)
