"""What is there: in the database, and as the API tells it."""

import contextlib
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import msgspec
from msgspec import Struct

from soak.ledger import Json

_REQUESTS = "SELECT record FROM requests"
_EVENTS = "SELECT id, record FROM events ORDER BY id"
_LEFT = (
    "SELECT (SELECT count(*) FROM requests WHERE status = 'pending'),"
    " (SELECT count(*) FROM jobs WHERE state IN ('waiting', 'running')),"
    " (SELECT count(*) FROM events),"
    " (SELECT count(*) FROM requests WHERE status IN ('approved', 'rejected', 'answered'))"
)
_JOBS = "SELECT record, state, due_at, attempt FROM jobs"


class Kept(Struct):
    """All that a database holds."""

    requests: dict[str, Json]
    events: list[Json]
    """In order, each with its `id`."""
    jobs: list[Json]
    """Each with its `state`, `due_at` (a datetime) and `attempt` as they stand."""
    read_at: datetime
    damage: list[str] = []
    """What the database says of itself, if it is not whole."""
    told: dict[str, Json] = {}
    """The requests as the API told of them."""


class Left(Struct):
    """How far a running place has come."""

    pending: int
    """Requests that are not closed yet."""
    jobs: int
    """Jobs that are still to be done."""
    events: int
    decided: int
    """Requests that a person has decided: so many events tell of it."""

    @property
    def is_something(self) -> bool:
        """Whether anything is still to be done."""
        return self.pending > 0 or self.jobs > 0


def left_in_sqlite(path: Path) -> Left:
    """Look into a file that a server has open."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=30)) as connection:
        return Left(*connection.execute(_LEFT).fetchone())


async def left_in_postgres(dsn: str) -> Left:
    """Look into a database."""
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        return Left(*await connection.fetchrow(_LEFT))
    finally:
        await connection.close()


def from_sqlite(path: Path) -> Kept:
    """Read a file that no server has open."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        check = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        jobs = [
            (record, state, datetime.fromtimestamp(due_at / 1_000_000, UTC), attempt)
            for record, state, due_at, attempt in connection.execute(_JOBS)
        ]
        return _kept(
            connection.execute(_REQUESTS),
            connection.execute(_EVENTS),
            jobs,
            datetime.now(UTC),
            [] if check == ["ok"] else check,
        )


async def from_postgres(dsn: str) -> Kept:
    """Read a database."""
    connection = await asyncpg.connect(dsn)
    try:
        return _kept(
            await connection.fetch(_REQUESTS),
            await connection.fetch(_EVENTS),
            await connection.fetch(_JOBS),
            await connection.fetchval("SELECT clock_timestamp()"),
            [],
        )
    finally:
        await connection.close()


async def told_by(url: str) -> dict[str, Json]:
    """All requests, page by page, as a server tells of them."""
    found: dict[str, Json] = {}
    async with httpx2.AsyncClient(verify=False, trust_env=False, timeout=60) as http:
        after: dict[str, str] | None = {}
        while after is not None:
            reply = await http.get(f"{url}/api/v1/requests", params={"limit": 200, **after})
            page = reply.raise_for_status().json()
            found |= {each["id"]: each for each in page["items"]}
            after = None if page["next"] is None else {"after": page["next"]}
    return found


def _kept(
    requests: Iterable[Any],
    events: Iterable[Any],
    jobs: Iterable[Any],
    read_at: datetime,
    damage: list[str],
) -> Kept:
    records = [msgspec.json.decode(row[0]) for row in requests]
    return Kept(
        requests={record["id"]: record for record in records},
        events=[msgspec.json.decode(record) | {"id": place} for place, record in events],
        jobs=[
            msgspec.json.decode(record) | {"state": state, "due_at": due_at, "attempt": attempt}
            for record, state, due_at, attempt in jobs
        ],
        read_at=read_at,
        damage=damage,
    )
