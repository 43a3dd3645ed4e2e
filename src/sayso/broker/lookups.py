"""What is looked up with each call, and believed for a second.

Another process may change it meanwhile, and is noticed that much later; what this process changes
counts at once. Many who ask for the same at once share one look-up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from sayso.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

FRESH = timedelta(seconds=1)
MAX_REMEMBERED = 10_000


class LookUps(Generic[K, V]):
    """Values by key, read from a store and remembered for a moment.

    Args:
        look_up: reads a value.
        clock: what time it is.
        keeps_none: whether it is remembered that there is none.
    """

    def __init__(
        self, look_up: Callable[[K], Awaitable[V]], clock: Clock, *, keeps_none: bool = True
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._keeps_none = keeps_none
        self._remembered: dict[K, tuple[datetime, datetime, V]] = {}
        """Each with when it was read, and until when it is believed."""
        self._under_way: dict[K, asyncio.Task[V]] = {}

    def peek(self, key: K, now: datetime | None = None) -> V | None:
        """The value, if it was read in the last second: without a coroutine's cost."""
        remembered = self._remembered.get(key)
        if remembered is None:
            return None
        since, until, value = remembered
        return value if since <= (now or self._clock.now()) < until else None

    def knows_none(self, key: K, now: datetime) -> bool:
        """Whether there was none in the last second."""
        remembered = self._remembered.get(key)
        return (
            remembered is not None
            and remembered[2] is None
            and (remembered[0] <= now < remembered[1])
        )

    async def get(self, key: K) -> V:
        """The value, as it was at most a second ago."""
        now = self._clock.now()
        remembered = self._remembered.get(key)
        if remembered is not None and remembered[0] <= now < remembered[1]:
            return remembered[2]
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.ensure_future(self._read(key, now))
            task.add_done_callback(_told)  # even if all who waited have gone
        return await asyncio.shield(task)  # one of those who wait may be cancelled

    def put(self, key: K, value: V) -> None:
        """This process has just written it."""
        self.forget(key)
        self._remember(key, self._clock.now(), value)

    def forget(self, key: K) -> None:
        """This process has changed it: what is being read now does not count any more."""
        self._remembered.pop(key, None)
        self._under_way.pop(key, None)

    def forget_all(self) -> None:
        """This process has changed something that many of them rest on."""
        self._remembered.clear()
        self._under_way.clear()

    async def _read(self, key: K, asked_at: datetime) -> V:
        task = asyncio.current_task()
        try:
            value = await self._look_up(key)
            if self._under_way.get(key) is task and (value is not None or self._keeps_none):
                self._remember(key, asked_at, value)
            return value
        finally:
            if self._under_way.get(key) is task:
                del self._under_way[key]

    def _remember(self, key: K, at: datetime, value: V) -> None:
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = (at, at + FRESH, value)


def _told(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()
