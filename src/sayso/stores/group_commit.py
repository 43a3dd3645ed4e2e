"""Group commit: one thread that owns the writing connection of a SQLite database.

Whatever is queued while one transaction is flushed to disk goes into the next one together, so
many concurrent writers share one flush, and each is told only once its own write is durable.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any

from sayso.errors import BusyError, ConflictError, StoreError

MAX_BATCH = 512
"""Writes in one transaction at the most, which bounds how long the first of them waits."""
MAX_QUEUED = 20_000
"""Writes that may wait; one more is refused, since memory is no place to keep a backlog."""

log = logging.getLogger("sayso.store")


class Queued:
    """One write: what to do, and what became of it."""

    __slots__ = ("done", "error", "future", "result", "work")

    def __init__(
        self, work: Any, done: Callable[[], None] | None, future: asyncio.Future[Any]
    ) -> None:
        self.work = work
        self.done = done
        self.future = future
        self.result: Any = None
        self.error: Exception | None = None


class GroupCommit:
    """Carries out writes in shared transactions.

    What is asked for within one turn of the event loop, and while a transaction runs, is handed
    over together: the thread is woken once for a batch, not once for a write.

    Args:
        connection: made with `check_same_thread=False` and `isolation_level=None`; it is used by
            the thread alone from now on, and closed by it.
        carry_out: does the work of some writes within a transaction, in the thread. A write that is
            refused gets its `error` before anything is changed; anything raised takes the whole
            transaction back, and then each is tried by itself, unless it is the file's fault.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        carry_out: Callable[[sqlite3.Connection, Sequence[Queued]], None],
    ) -> None:
        self._connection = connection
        self._carry_out = carry_out
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Queued] = []
        self._batches: queue.SimpleQueue[list[Queued] | None] = queue.SimpleQueue()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sayso-writer", daemon=True)
        self._thread.start()

    def write(self, work: Any, done: Callable[[], None] | None = None) -> asyncio.Future[Any]:
        """Have `work` carried out; the future has its result once that is durable.

        A caller that is cancelled does not take its write back; `done` is called on the event
        loop when it is durable, whether or not anybody still waits.

        Raises:
            BusyError: too many writes wait already.
            StoreError: it is closed. The future raises this if the database failed, and
                `ConflictError` if the work was refused; nothing of it was kept then.
        """
        if self._closed:
            raise StoreError("The store is closed.")
        if len(self._waiting) >= MAX_QUEUED:
            raise BusyError("Too many writes are waiting for the disk.")
        queued = Queued(work, done, self._loop.create_future())
        self._waiting.append(queued)
        if self._idle.is_set():
            self._idle.clear()
            self._loop.call_soon(self._hand_over)
        return queued.future

    async def close(self) -> None:
        """Finish what is queued, then close the connection."""
        if not self._closed:
            self._closed = True
            await self._idle.wait()
            self._batches.put(None)
            await asyncio.to_thread(self._thread.join)

    def _hand_over(self) -> None:
        batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        self._batches.put(batch)

    def _tell(self, batch: Sequence[Queued]) -> None:
        if self._waiting:
            self._hand_over()
        else:
            self._idle.set()
        for queued in batch:
            if queued.error is None and queued.done is not None:
                queued.done()
            if queued.future.done():  # whoever waited has gone; the write stands all the same
                continue
            if queued.error is not None:
                queued.future.set_exception(queued.error)
            else:
                queued.future.set_result(queued.result)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            try:
                self._commit(batch)
            except BaseException as error:
                log.exception("the writer failed")
                for queued in batch:
                    queued.error = StoreError(f"The writer failed: {error!r}.")
            self._loop.call_soon_threadsafe(self._tell, batch)
        self._connection.close()

    def _commit(self, batch: Sequence[Queued]) -> None:
        """One transaction for all; if it fails, one for each, so that a bad one fails alone."""
        try:
            if self._connection.in_transaction:  # left by what failed before
                self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN IMMEDIATE")
            self._carry_out(self._connection, batch)
            self._connection.execute("COMMIT")
        except (sqlite3.Error, StoreError, OSError, OverflowError, ValueError, TypeError) as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if len(batch) > 1 and not _is_everybodys(error):
                for queued in batch:
                    queued.error = None
                    self._commit([queued])
            else:
                ours = _as_ours(error)
                for queued in batch:
                    queued.error = ours


def _is_everybodys(error: Exception) -> bool:
    """Whether it is the file's fault: gone, or locked, so that each write would wait as long."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what makes it more precise
    return isinstance(error, StoreError) or code == sqlite3.SQLITE_BUSY


def _as_ours(error: Exception) -> Exception:
    ours: Exception
    if isinstance(error, sqlite3.IntegrityError):
        ours = ConflictError()
    else:
        log.error("a write failed: %s", error)
        if isinstance(error, StoreError):
            return error
        ours = StoreError(f"The database failed: {error}.")
    ours.__cause__ = error
    return ours
