"""Batches: what is asked for while one is under way goes into the next one together."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sayso.errors import BusyError, SaysoError, StoreError

MAX_BATCH = 512
MAX_ASKED = 20_000
"""What may wait; one more is refused, since memory is no place to keep a backlog."""

log = logging.getLogger("sayso.store")


class Asked:
    """One thing asked for: what, and where its answer goes."""

    __slots__ = ("future", "what")

    def __init__(self, what: Any, future: asyncio.Future[Any]) -> None:
        self.what = what
        self.future = future

    def answer(self, result: Any) -> None:
        """Hand back what came of it, if anybody still waits."""
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: Exception) -> None:
        """Raise `error` where it was asked for."""
        if not self.future.done():
            self.future.set_exception(error)


class Batches:
    """Gathers what many tasks ask for, and carries it out together, one batch after the other.

    Args:
        carry_out: carries out a batch, and answers or fails each. An error that it raises is
            everybody's.
        size: how many to carry out together at the most, which bounds how long each waits.
    """

    def __init__(
        self, carry_out: Callable[[Sequence[Asked]], Awaitable[None]], *, size: int = MAX_BATCH
    ) -> None:
        self._carry_out = carry_out
        self._size = size
        self._asked: list[Asked] = []
        self._running: asyncio.Task[None] | None = None

    async def ask(self, what: Any) -> Any:
        """Have `what` carried out; returns its answer.

        A caller that is cancelled does not take it back.

        Raises:
            BusyError: too much waits already.
            StoreError: it could not be carried out.
        """
        if len(self._asked) >= MAX_ASKED:
            raise BusyError("Too many operations are waiting for the database.")
        asked = Asked(what, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        if self._running is None:
            self._running = asyncio.ensure_future(self._run())
        return await asked.future

    async def close(self) -> None:
        """Carry out what was asked for, then return."""
        while self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        try:
            while self._asked:
                batch, self._asked = self._asked[: self._size], self._asked[self._size :]
                try:
                    await self._carry_out(batch)
                except SaysoError as error:
                    for asked in batch:
                        asked.fail(error)
                except Exception as error:
                    log.exception("a batch failed")
                    for asked in batch:
                        asked.fail(StoreError(f"The database failed: {error!r}."))
        finally:
            self._running = None
