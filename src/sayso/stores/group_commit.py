"""Group commit: one thread that owns the writing connection of a SQLite database.

Whatever is queued while one transaction is flushed to disk goes into the next one together, so
many concurrent writers share one flush, and each is told only once its own write is durable.
"""

import asyncio
import logging
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


class Job:
    """One write: what to do, and what became of it."""

    __slots__ = ("error", "future", "result", "work")

    def __init__(self, work: Any, future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.result: Any = None
        self.error: Exception | None = None


class GroupCommit:
    """Carries out writes in shared transactions.

    Args:
        connection: made with `check_same_thread=False` and `isolation_level=None`; it is used by
            the thread alone from now on, and closed by it.
        carry_out: does the work of some jobs within a transaction, in the thread. A job that is
            refused gets its `error` before anything is changed; anything raised takes the whole
            transaction back, and then each job is tried by itself.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        carry_out: Callable[[sqlite3.Connection, Sequence[Job]], None],
    ) -> None:
        self._connection = connection
        self._carry_out = carry_out
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._work_came = threading.Semaphore(0)
        self._idle = True
        self._closed = False
        self._jobs: list[Job] = []
        self._thread = threading.Thread(target=self._run, name="sayso-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Any) -> Any:
        """Have `work` carried out; returns its result once that is durable.

        Raises:
            ConflictError: it was refused; nothing of it was kept.
            BusyError: too many writes wait already.
            StoreError: the database failed; nothing of it was kept.
        """
        if self._closed:
            raise StoreError("The store is closed.")
        if len(self._jobs) >= MAX_QUEUED:
            raise BusyError("Too many writes are waiting for the disk.")
        job = Job(work, self._loop.create_future())
        with self._lock:
            self._jobs.append(job)
            was_idle, self._idle = self._idle, False
        if was_idle:
            self._work_came.release()
        return await job.future

    async def close(self) -> None:
        """Finish what is queued, then close the connection."""
        if not self._closed:
            self._closed = True
            self._work_came.release()
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while True:
            with self._lock:
                batch, self._jobs = self._jobs[:MAX_BATCH], self._jobs[MAX_BATCH:]
                self._idle = not batch
            if batch:
                self._commit(batch)
                self._loop.call_soon_threadsafe(_tell, batch)
            elif self._closed:
                break
            else:
                self._work_came.acquire()
        self._connection.close()

    def _commit(self, batch: Sequence[Job]) -> None:
        """One transaction for all; if it fails, one for each, so that a bad one fails alone."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._carry_out(self._connection, batch)
            self._connection.execute("COMMIT")
        except (sqlite3.Error, OverflowError, ValueError, TypeError) as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if len(batch) > 1:
                for job in batch:
                    job.error = None
                    self._commit([job])
            else:
                batch[0].error = _as_ours(error)


def _as_ours(error: Exception) -> Exception:
    ours: Exception
    if isinstance(error, sqlite3.IntegrityError):
        ours = ConflictError()
    else:
        log.error("a write failed: %s", error)
        ours = StoreError(f"The database failed: {error}.")
    ours.__cause__ = error
    return ours


def _tell(batch: Sequence[Job]) -> None:
    for job in batch:
        if job.future.done():  # whoever waited has gone; the write stands all the same
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
