"""One thing breaks under a real server: it says so, loses nothing, and goes on by itself."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from support.feed import Feed
from support.server import RunningServer

from sayso.stores.postgres_database import STATEMENT_SECONDS
from sayso.stores.sqlite import LOCK_SECONDS

SUBMIT = "/api/v1/requests"
SLOW = 30.0
"""Seconds that a machine with other work may be late."""


def submit(server: RunningServer, **more: Any) -> httpx2.Response:
    with server.http() as agent:
        return agent.post(SUBMIT, json={"message": "Go on?", **more}, timeout=120)


def ask(server: RunningServer, **more: Any) -> str:
    reply = submit(server, **more)
    assert reply.status_code == 201, reply.text
    return reply.json()["id"]


@pytest.fixture
def on_postgres(tmp_path: Path, postgres_dsn: str) -> Generator[RunningServer]:
    server = RunningServer(tmp_path, arguments=["--database-url", postgres_dsn]).start()
    yield server
    server.kill9()


@asynccontextmanager
async def locked(dsn: str, table: str) -> AsyncIterator[None]:
    """Somebody else has the table for themselves, as a migration by hand would."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


def submit_many(server: RunningServer, count: int) -> tuple[list[httpx2.Response], float]:
    """So many at once, each on its own; the answers, and the seconds until the last of them."""
    began = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        replies = list(pool.map(lambda _: submit(server), range(count)))
    return replies, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.timeout(240)
async def test_a_locked_table_is_told_in_time_and_forgotten_when_it_is_free(
    on_postgres: RunningServer, postgres_dsn: str
) -> None:
    request_id = ask(on_postgres)
    async with locked(postgres_dsn, "requests"), Feed(on_postgres.url, "?after=0") as feed:
        ended = asyncio.ensure_future(feed.ends(STATEMENT_SECONDS + SLOW))
        refused, took = await asyncio.to_thread(submit_many, on_postgres, 20)
        assert await ended  # it had begun, so it cannot be told more: its client resumes
    assert {(each.status_code, each.json()["code"]) for each in refused} == {(503, "store")}
    assert "took too long" in refused[0].json()["detail"]
    # One batch of those that came first, one of all others; alone they would take 200 seconds.
    assert took < 2 * STATEMENT_SECONDS + SLOW
    with on_postgres.http() as agent:
        assert [each["id"] for each in agent.get(SUBMIT).json()["items"]] == [request_id]
    assert submit(on_postgres).status_code == 201
    assert "RuntimeError" not in on_postgres.log


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_file_that_another_program_has_locked_is_told_in_time(
    fresh_server: RunningServer,
) -> None:
    request_id = ask(fresh_server)
    with contextlib.closing(sqlite3.connect(fresh_server.database)) as another:
        another.execute("BEGIN IMMEDIATE")
        refused, took = submit_many(fresh_server, 20)
        with fresh_server.http() as agent:  # what is only read needs no lock
            assert agent.get(f"{SUBMIT}/{request_id}").status_code == 200
        another.rollback()
    assert {(each.status_code, each.json()["code"]) for each in refused} == {(503, "store")}
    assert "locked" in refused[0].json()["detail"]
    assert took < 2 * LOCK_SECONDS + SLOW  # as above
    assert submit(fresh_server).status_code == 201
    with fresh_server.http() as agent:
        assert len(agent.get(SUBMIT).json()["items"]) == 2
