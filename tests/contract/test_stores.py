"""Every store, by the public contract suite."""

import importlib.resources
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from sayso.domain.jobs import JobState
from sayso.domain.requests import Status
from sayso.errors import ConfigurationError, StoreError
from sayso.stores import sqlite, sqlite_jobs, sqlite_records
from sayso.stores.base import JobQuery, Query, RecordQuery
from sayso.stores.memory import MemoryStore
from sayso.stores.postgres import PostgresStore
from sayso.stores.sqlite import SqliteStore
from sayso.testing import make_change, make_draft
from sayso.testing.contracts import StoreContract

pytestmark = pytest.mark.anyio


async def run(store: SqliteStore, statements: Callable[[sqlite3.Connection], Any]) -> Any:
    """Statements of a test's own, on the writing connection."""
    return await store._write(sqlite._Write(statements=statements))


class TestMemoryStore(StoreContract):
    @pytest.fixture
    async def store(self) -> MemoryStore:
        return MemoryStore()


class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        store = SqliteStore(tmp_path / "sayso.db")
        await store.open()
        yield store
        await store.close()

    async def test_what_was_committed_is_there_after_reopening(self, tmp_path: Path) -> None:
        path = tmp_path / "reopened.db"
        first = SqliteStore(path)
        await first.open()
        change = make_change()
        await first.commit(change)
        await first.close()
        second = SqliteStore(path)
        await second.open()
        assert await second.get("default", change.request.id) == change.request
        await second.commit(make_change())
        await second.close()

    async def test_a_second_server_on_the_same_file_is_refused(self, store: SqliteStore) -> None:
        with pytest.raises(ConfigurationError, match="Another Sayso server"):
            await SqliteStore(store._path).open()

    async def test_a_database_of_a_newer_version_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "newer.db"
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 999")
        connection.close()
        with pytest.raises(ConfigurationError, match="newer Sayso"):
            await SqliteStore(path).open()

    async def test_a_file_that_is_no_database_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "text.db"
        path.write_text("This is not a database, and it is long enough to be looked at. " * 20)
        with pytest.raises(StoreError, match="cannot be opened"):
            await SqliteStore(path).open()

    async def test_every_commit_is_flushed_to_disk(self, store: SqliteStore) -> None:
        async def mode(name: str) -> object:
            return await run(store, lambda c: c.execute(f"PRAGMA {name}").fetchone()[0])

        assert await mode("journal_mode") == "wal"
        assert await mode("synchronous") == 2  # FULL

    async def test_one_bad_write_fails_alone(self, store: SqliteStore) -> None:
        import asyncio

        def bad(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO no_such_table VALUES (1)")

        good = [make_change() for _ in range(20)]
        results = await asyncio.gather(
            *(store.commit(change) for change in good[:10]),
            run(store, bad),
            *(store.commit(change) for change in good[10:]),
            return_exceptions=True,
        )
        assert [r for r in results if r is not None] == [results[10]]
        assert isinstance(results[10], StoreError)
        for change in good:
            assert await store.get("default", change.request.id) is not None
        log = await run(
            store, lambda c: c.execute("SELECT count(*), max(id) FROM events").fetchone()
        )
        assert log == (20, 20)

    async def test_no_query_scans_a_table(self, store: SqliteStore) -> None:
        statements = [sqlite._GET, sqlite._REPLAY, sqlite._DUE, sqlite._EVENTS, sqlite._GET_SESSION]
        statements += [sqlite._ALL_EVENTS, sqlite_jobs._CLAIM, sqlite_jobs._SETTLE]
        statements += [sqlite_jobs._GET_JOB, sqlite_jobs._GET_WEBHOOKS, sqlite_jobs._FORGET]
        statements += [sqlite._GET_LOGIN, sqlite._GET_LOGINS, sqlite._END_LOGINS]
        statements += [sqlite._FORGET_LOGINS, sqlite_records.GET_RECORD, sqlite_records.FIND_HANDLE]
        statements += [sqlite_records._VERSION, sqlite_records._HOLDER, sqlite_records._FORGET]
        statements += [
            sqlite_records.find_records(RecordQuery(kind="k", tenant=tenant, owner=owner))[0]
            for tenant, owner in (("t", "o"), ("t", None), (None, None))
        ]
        statements += [
            sqlite_jobs.jobs_plan(job_query)[0]
            for job_query in (
                JobQuery(),
                JobQuery(state=JobState.DEAD),
                JobQuery(webhook_id="w"),
                JobQuery(request_id="r"),
            )
        ]
        closed = frozenset(Status) - {Status.PENDING}
        for query in (
            Query(),
            Query(status=frozenset({Status.PENDING})),
            Query(status=closed),
            Query(status=frozenset({Status.APPROVED})),
            Query(session_id="s"),
            Query(client_id="c", text="t"),
        ):
            statements.append(sqlite._plan(query)[0])
        connection = sqlite3.connect(store._path)
        for statement in statements:
            marks = [None] * statement.count("?")
            steps = connection.execute(f"EXPLAIN QUERY PLAN {statement}", marks).fetchall()
            for step in steps:
                assert step[3].startswith(("SEARCH", "LIST SUBQUERY")), (statement, step)
        of_all, values = sqlite_records.find_records(RecordQuery(kind="k", tenant=None, owner="o"))
        steps = connection.execute(f"EXPLAIN QUERY PLAN {of_all}", values).fetchall()
        assert [step[3] for step in steps] == [
            "SEARCH records USING INDEX records_owner (owner=? AND kind=?)",
            "USE TEMP B-TREE FOR ORDER BY",  # of what is theirs
        ]
        connection.close()

    async def test_people_who_signed_in_before_are_found_by_a_newer_version(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "older.db"
        older = sqlite3.connect(path)
        for name in ("0001_requests.sql", "0002_jobs.sql"):
            script = importlib.resources.files("sayso.stores.sql") / "sqlite" / name
            older.executescript(script.read_text(encoding="utf-8"))
        record = (
            '{"token_hash":"h","person_id":"ada","name":"Ada","strength":"link","tenant":"t",'
            '"created_at":"2026-01-01T00:00:00Z","expires_at":"2026-01-02T00:00:00Z"}'
        )
        older.execute("INSERT INTO logins VALUES ('h', 1767312000000000, ?)", (record.encode(),))
        older.execute("PRAGMA user_version = 2")
        older.commit()
        older.close()
        store = SqliteStore(path)
        await store.open()
        (login,) = await store.get_logins("t", "ada")
        assert login == await store.get_login("h")
        await store.end_logins("t", "ada")
        assert await store.get_login("h") is None
        await store.close()

    async def test_a_disk_that_is_full_loses_nothing_and_says_so(self, store: SqliteStore) -> None:
        kept = make_change()
        await store.commit(kept)
        await run(store, lambda c: c.execute("PRAGMA max_page_count = 40"))
        refused = None
        for _ in range(200):
            change = make_change(make_draft("x" * 4000))
            try:
                await store.commit(change)
            except StoreError as error:
                refused = error
                assert await store.get("default", change.request.id) is None
                break
        assert refused is not None
        assert "full" in refused.detail
        await run(store, lambda c: c.execute("PRAGMA max_page_count = 1000000"))
        await store.commit(make_change())
        assert await store.get("default", kept.request.id) == kept.request


class TestPostgresStore(StoreContract):
    @pytest.fixture
    async def store(self, postgres_dsn: str) -> AsyncIterator[PostgresStore]:
        store = PostgresStore(postgres_dsn)
        await store.open()
        yield store
        await store.close()
