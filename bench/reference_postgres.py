"""The reference on PostgreSQL: the same least that can do the job, with group commit by `unnest`.

One connection writes: what is asked for while one transaction is flushed goes into the next one,
as one INSERT, or one UPDATE, of many rows, with one NOTIFY for the ids that were decided. Another
reads, many ids at a time. A third listens, and so wakes who waits: any number of such processes
could share the database. Two decisions on one id in one batch are not told apart.

    python -m bench.reference_postgres DSN     prints its address once it listens
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from bench.reference import Reference, main

_SCHEMA = """
CREATE TABLE requests (id TEXT COLLATE "C" PRIMARY KEY, status SMALLINT NOT NULL, due FLOAT8,
    body BYTEA NOT NULL, decision BYTEA);
CREATE INDEX pending ON requests (id) WHERE status = 0;
CREATE INDEX due ON requests (due) WHERE status = 0;
"""
_INSERT = """
INSERT INTO requests (id, status, due, body)
SELECT id, 0, due, body FROM unnest($1::text[], $2::float8[], $3::bytea[]) AS t (id, due, body)
"""
_DECIDE = """
WITH decided AS (
    UPDATE requests SET status = 1, decision = t.decision
    FROM unnest($1::text[], $2::bytea[]) AS t (id, decision)
    WHERE requests.id = t.id AND requests.status = 0 RETURNING requests.id
)
SELECT array_agg(id) AS ids, pg_notify('decided', string_agg(id, ',')) FROM decided
"""
_READ = "SELECT id, decision FROM requests WHERE id = ANY($1::text[])"
_BATCH = 256
"""Ids that fit into one NOTIFY, which takes 8,000 bytes."""


class Batches:
    """Rows that are asked for one by one, and handed over together."""

    def __init__(self, carry_out: Callable[[Sequence[Any]], Awaitable[dict[str, Any]]]) -> None:
        self._carry_out = carry_out
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
        self._some = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def __call__(self, *row: Any) -> asyncio.Future[Any]:
        """The future has what became of the row; the first value is its id."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((row, future))
        self._some.set()
        return future

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            if not self._waiting:
                self._some.clear()
            done = await self._carry_out([row for row, _ in batch])
            for row, future in batch:
                if not future.done():
                    future.set_result(done.get(row[0]))


class PostgresReference(Reference):
    """The ASGI application, and what it keeps in PostgreSQL."""

    async def open(self, address: str) -> None:
        """Begin with an empty database there."""
        self._writer_connection = await asyncpg.connect(address)
        self._reader_connection = await asyncpg.connect(address)
        self._listener = await asyncpg.connect(address)
        await self._writer_connection.execute(_SCHEMA)
        await self._listener.add_listener("decided", self._notified)
        self._lock = asyncio.Lock()
        self._inserts = Batches(self._insert_all)
        self._decisions = Batches(self._decide_all)
        self._reads = Batches(self._read_all)

    async def insert(self, request_id: str, due: float, body: bytes) -> None:
        """Keep a request."""
        await self._inserts(request_id, due, body)

    async def decide(self, request_id: str, decision: bytes) -> bool:
        """Keep its decision, if there is none yet; who waits elsewhere is woken by NOTIFY."""
        if await self._decisions(request_id, decision) is None:
            return False
        self.wake(request_id, decision)
        return True

    async def read(self, request_id: str) -> bytes | None:
        """The decision, if there is one."""
        return await self._reads(request_id)

    def _notified(self, _connection: Any, pid: int, _channel: str, payload: object) -> None:
        if pid == self._writer_connection.get_server_pid():
            return  # this process has woken them already
        for request_id in str(payload).split(","):
            if self.is_awaited(request_id):
                self._reads(request_id).add_done_callback(
                    lambda read, request_id=request_id: self.wake(request_id, read.result())
                )

    async def _insert_all(self, rows: Sequence[Any]) -> dict[str, Any]:
        async with self._lock:
            await self._writer_connection.execute(_INSERT, *_columns(rows))
        return {}

    async def _decide_all(self, rows: Sequence[Any]) -> dict[str, Any]:
        async with self._lock:
            done = await self._writer_connection.fetchrow(_DECIDE, *_columns(rows))
        return dict.fromkeys(done["ids"] or (), True)

    async def _read_all(self, rows: Sequence[Any]) -> dict[str, Any]:
        found = await self._reader_connection.fetch(_READ, [row[0] for row in rows])
        return {row["id"]: row["decision"] for row in found}


def _columns(rows: Sequence[Any]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


if __name__ == "__main__":
    main(PostgresReference())
