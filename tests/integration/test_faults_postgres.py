"""PostgreSQL breaks under real servers: they say so, lose nothing, and go on by themselves."""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from support.agents import SUBMIT, all_requests, ask, submit, submit_many
from support.feed import Feed
from support.person import Person
from support.raw import dial, lines
from support.server import RunningServer
from support.servers import PostgresServer

from sayso.stores.postgres_database import STATEMENT_SECONDS

pytestmark = [pytest.mark.durable, pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(240)]

SLOW = 30.0
"""Seconds that a machine with other work may be late."""


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


async def test_a_locked_table_is_told_in_time_and_forgotten_when_it_is_free(
    on_postgres: RunningServer, postgres_dsn: str
) -> None:
    request_id = ask(on_postgres)
    async with locked(postgres_dsn, "requests"), Feed(on_postgres.url, "?after=0") as feed:
        ended = asyncio.ensure_future(feed.ends(STATEMENT_SECONDS + SLOW))
        refused, took = await asyncio.to_thread(submit_many, on_postgres, 20)
        assert await ended  # it had begun, so it cannot be told more: its client resumes
    assert {(each.status_code, each.json()["code"]) for each in refused} == {(503, "database_away")}
    assert "took too long" in refused[0].json()["detail"]
    # One batch of those that came first, one of all others; alone they would take 200 seconds.
    assert took < 2 * STATEMENT_SECONDS + SLOW
    assert set(all_requests(on_postgres)) == {request_id}
    assert submit(on_postgres).status_code == 201
    assert "RuntimeError" not in on_postgres.log


async def test_a_thousand_waits_outlast_a_restart_of_the_database(
    on_postgres: RunningServer, postgres_server: PostgresServer
) -> None:
    """Nobody asks anew: the waits that were held before are released by decisions after it."""
    asker = await dial(on_postgres.port)
    body = {"message": "Go on?", "timeout_seconds": None}
    asked = [await asker.ask("POST", SUBMIT, body) for _ in range(50)]
    ids = [request["id"] for _, request in asked]
    person = Person(on_postgres)
    async with lines(on_postgres.port, 1_000) as waiting:
        for number, each in enumerate(waiting):
            each.send("GET", f"{SUBMIT}/{ids[number % 50]}?wait=60")
        await asker.until_read()
        await asyncio.sleep(1)  # for what they read of the database
        await asyncio.to_thread(postgres_server.kill9)
        await asyncio.sleep(1)
        await asyncio.to_thread(postgres_server.start)
        kinds = ("approve", "reject")
        told = await asyncio.gather(
            *(
                asyncio.to_thread(person.decide, each, kinds[number % 2])
                for number, each in enumerate(ids)
            )
        )
        decided = {request["id"]: request["decision"] for request in told}
        replies = await asyncio.gather(*(each.reply() for each in waiting))
    await asker.close()
    person.close()
    assert {status for status, _ in replies} == {200}
    assert [told["decision"] for _, told in replies] == [
        decided[ids[number % 50]] for number in range(1_000)
    ]
