"""Waiters within one process: a dictionary of them by key."""

import asyncio
from types import TracebackType
from typing import Self


class MemoryWaiter:
    """One subscription; it is freed by leaving its `with` block."""

    __slots__ = ("_future", "_key", "_published", "_signal")

    def __init__(self, signal: "MemorySignal", key: str) -> None:
        self._signal = signal
        self._key = key
        self._published = False
        self._future: asyncio.Future[None] | None = None

    async def wait(self, seconds: float) -> bool:
        """Return True when the key was published since the last call, False after `seconds`."""
        if not self._published and not self._signal.released and seconds > 0:
            loop = asyncio.get_running_loop()
            future = self._future = loop.create_future()
            timer = loop.call_later(seconds, self._resolve)
            try:
                await future
            finally:
                self._future = None
                timer.cancel()
        published, self._published = self._published, False
        return published

    def publish(self) -> None:
        """The key was published."""
        self._published = True
        self._resolve()

    def _resolve(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def release(self) -> None:
        """End the wait without a publication."""
        self._resolve()

    def __enter__(self) -> Self:
        self._signal.add(self._key, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._signal.remove(self._key, self)


class MemorySignal:
    """Publish and subscribe within one event loop."""

    def __init__(self) -> None:
        self._waiters: dict[str, list[MemoryWaiter]] = {}
        self.released = False

    async def open(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        """Nothing to let go."""

    def publish(self, key: str) -> None:
        """Wake all who wait for `key`."""
        self.wake(key)

    def wake(self, key: str) -> None:
        """Wake those who wait for `key` in this process."""
        for waiter in self._waiters.get(key, ()):
            waiter.publish()

    def publish_all(self) -> None:
        """Wake everybody, as if each key had been published."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.publish()

    def subscribe(self, key: str) -> MemoryWaiter:
        """A waiter that counts from now on."""
        return MemoryWaiter(self, key)

    def release_all(self) -> None:
        """Wake everybody, and whoever comes later at once."""
        self.released = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.release()

    def add(self, key: str, waiter: MemoryWaiter) -> None:
        """Called by the waiter as its block begins."""
        self._waiters.setdefault(key, []).append(waiter)

    def remove(self, key: str, waiter: MemoryWaiter) -> None:
        """Called by the waiter as its block ends."""
        waiters = self._waiters.get(key, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(key, None)
