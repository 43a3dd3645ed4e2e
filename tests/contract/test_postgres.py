"""PostgreSQL beyond the contract: replicas, restarts, query plans, and what cannot work."""

import asyncio
import importlib.resources
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from support.servers import PostgresServer

from sayso.clock import SharedClock
from sayso.domain import lifecycle
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.lifecycle import Change, Decide
from sayso.domain.requests import Status
from sayso.errors import ConfigurationError, ConflictError, StoreError
from sayso.stores import postgres, postgres_database, postgres_jobs, postgres_records
from sayso.stores.base import EventQuery, JobQuery, Query, RecordQuery
from sayso.stores.postgres import PostgresStore
from sayso.stores.postgres_records import records_plan
from sayso.testing.factories import NOW, PERSON, make_change, make_job, make_record

pytestmark = pytest.mark.anyio

_APPROVE = Decide(answer=Answer(type=DecisionType.APPROVE), by=PERSON, channel=Channel.WEB)


@pytest.fixture
async def store(postgres_dsn: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_dsn)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def replica(store: PostgresStore, postgres_dsn: str) -> AsyncIterator[PostgresStore]:
    replica = PostgresStore(postgres_dsn)
    await replica.open()
    yield replica
    await replica.close()


async def committed(store: PostgresStore, change: Change) -> bool:
    return await kept(store.commit(change))


async def kept(write: Awaitable[None]) -> bool:
    try:
        await write
    except ConflictError:
        return False
    return True


async def test_of_decisions_at_several_replicas_one_is_kept(
    store: PostgresStore, replica: PostgresStore
) -> None:
    changes = [make_change() for _ in range(200)]
    await asyncio.gather(*(store.commit(change) for change in changes))
    decisions = [lifecycle.apply(c.request, _APPROVE, NOW) for c in changes]
    kept = await asyncio.gather(
        *(committed(each, d) for d in decisions for each in (store, replica))
    )
    assert [first + second for first, second in zip(kept[::2], kept[1::2], strict=True)] == (
        [1] * 200
    )
    assert len((await store.events(EventQuery(limit=1000)))[0]) == 400


async def test_events_of_several_replicas_are_numbered_as_they_become_visible(
    store: PostgresStore, replica: PostgresStore
) -> None:
    seen: list[int] = []

    async def follow() -> None:
        after = 0
        while len(seen) < 600:
            events, after = await store.events(EventQuery(after=after, limit=50))
            seen.extend(event.id for event in events)

    async def write(to: PostgresStore) -> None:
        for _ in range(30):
            await asyncio.gather(*(to.commit(make_change()) for _ in range(10)))

    await asyncio.wait_for(asyncio.gather(follow(), write(store), write(replica)), 150)
    assert seen == list(range(1, 601))


async def test_an_idempotency_key_is_kept_once_at_several_replicas(
    store: PostgresStore, replica: PostgresStore
) -> None:
    for number in range(20):
        key = f"key-{number}"
        kept = await asyncio.gather(
            *(committed(each, make_change(key=key)) for each in (store, replica, store, replica))
        )
        assert kept.count(True) == 1


async def test_claims_of_several_replicas_share_nothing(
    store: PostgresStore, replica: PostgresStore
) -> None:
    change = make_change()
    jobs = tuple(make_job(change.request, f"{n:03}") for n in range(300))
    await store.commit(msgspec.structs.replace(change, jobs=jobs))
    until = NOW + timedelta(seconds=30)
    claims = await asyncio.gather(
        *(each.claim(NOW, until, 20) for _ in range(10) for each in (store, replica))
    )
    ids = [job.id for claim in claims for job in claim]
    assert sorted(ids) == [job.id for job in jobs]


async def test_one_bad_change_fails_alone(store: PostgresStore) -> None:
    bad = make_change()
    bad = msgspec.structs.replace(
        bad, request=msgspec.structs.replace(bad.request, session_id="a\0b")
    )
    good = [make_change() for _ in range(20)]
    results = await asyncio.gather(
        *(store.commit(c) for c in (*good[:10], bad, *good[10:])), return_exceptions=True
    )
    assert [type(r) for r in results if r is not None] == [StoreError]
    for change in good:
        assert await store.get("default", change.request.id) == change.request


async def test_a_restart_of_the_database_is_outlived(
    store: PostgresStore, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = make_change()
    await store.commit(kept)
    monkeypatch.setattr(postgres_database, "PATIENCE_SECONDS", 0.1)
    postgres_server.kill9()
    with pytest.raises(StoreError, match="away") as caught:
        await store.commit(make_change())
    assert caught.value.reason_code == "database_away"
    with pytest.raises(StoreError, match="away"):
        await store.get("default", kept.request.id)
    postgres_server.start()
    monkeypatch.setattr(postgres_database, "PATIENCE_SECONDS", 60)
    await store.commit(make_change())
    assert await store.get("default", kept.request.id) == kept.request


async def test_what_is_under_way_while_the_database_restarts_is_kept_once(
    store: PostgresStore, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is told to be kept is there, and what is refused was not doubled."""
    monkeypatch.setattr(postgres_database, "PATIENCE_SECONDS", 0.3)
    sent: list[Change] = []
    told: list[Change] = []
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            change = make_change()
            sent.append(change)
            try:
                await store.commit(change)
            except StoreError:
                continue
            told.append(change)

    async def more_is_told() -> None:
        """They are at work."""
        enough = len(told) + 50
        while len(told) < enough:  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(0.01)

    writers = [asyncio.ensure_future(write()) for _ in range(20)]
    for _ in range(3):
        await asyncio.wait_for(more_is_told(), 60)
        await asyncio.to_thread(postgres_server.kill9)
        await asyncio.to_thread(postgres_server.start)
    await asyncio.wait_for(more_is_told(), 60)
    stop.set()
    await asyncio.gather(*writers)
    events: list[str | None] = []
    after = -1
    reached = 0
    while after != reached:
        after = reached
        some, reached = await store.events(EventQuery(after=after, limit=1000))
        events += [event.request_id for event in some]
    assert len(events) == len(set(events))
    assert {change.request.id for change in told} <= set(events)
    for change in told[:: len(told) // 50]:
        assert await store.get("default", change.request.id) == change.request


async def test_lines_that_are_cut_over_and_over_cost_no_more_than_a_moment(
    store: PostgresStore, postgres_dsn: str
) -> None:
    """Also at the moment in which the driver has heard that its line ends, and not yet ended it."""
    kept = make_change()
    await store.commit(kept)
    stop = asyncio.Event()

    async def use() -> None:
        while not stop.is_set():
            try:
                assert await store.get("default", kept.request.id) == kept.request
                await store.commit(make_change())
            except StoreError as error:  # of one who met it again and again
                assert error.reason_code == "database_away"

    users = [asyncio.ensure_future(use()) for _ in range(20)]
    connection = await asyncpg.connect(postgres_dsn)
    for _ in range(50):
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await asyncio.sleep(0.05)
    await connection.close()
    stop.set()
    await asyncio.gather(*users)


async def test_a_change_that_was_kept_before_the_line_broke_is_told_as_kept(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = store._database.run_once
    breaks = iter([True])

    async def breaking(work: object) -> object:
        result = await once(work)  # type: ignore[arg-type]
        if next(breaks, False):
            raise postgres_database._AwayError(ConnectionResetError("the line broke"))
        return result

    monkeypatch.setattr(store._database, "run_once", breaking)
    change = make_change(key="k")
    await store.commit(change)
    assert len((await store.events(EventQuery()))[0]) == 1
    with pytest.raises(ConflictError):
        await store.commit(change)


Break = Callable[..., None]


@pytest.fixture
def break_line(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> Break:
    """Lose the connection of the next operation: after it was done, or before and instead."""
    once = store._database.run_once
    breaks: list[tuple[bool, Callable[[], Awaitable[Any]] | None]] = []

    async def breaking(work: Any) -> Any:
        if not breaks:
            return await once(work)
        is_done, meanwhile = breaks.pop()
        if is_done:
            await once(work)
        if meanwhile is not None:
            await meanwhile()
        raise postgres_database._AwayError(ConnectionResetError("the line broke"))

    def break_next(*, is_done: bool, meanwhile: Callable[[], Awaitable[Any]] | None = None) -> None:
        breaks.append((is_done, meanwhile))

    monkeypatch.setattr(store._database, "run_once", breaking)
    return break_next


async def test_records_that_were_kept_before_the_line_broke_are_told_as_kept(
    store: PostgresStore, break_line: Break
) -> None:
    first = make_record("a", handle="h")
    forgotten = msgspec.structs.replace(first, version=2, body=b"")
    told = make_change().events
    for records in ([first], [forgotten, make_record("b")]):
        break_line(is_done=True)
        await store.put_records(records, told)
        with pytest.raises(ConflictError):
            await store.put_records(records, told)
    assert len((await store.events(EventQuery()))[0]) == 2
    assert await store.get_record("user", "a") is None


async def test_a_change_with_records_that_was_kept_before_the_line_broke_is_told_as_kept(
    store: PostgresStore, break_line: Break
) -> None:
    change = make_change(key="k")
    job = make_job(change.request, "a")
    change = msgspec.structs.replace(change, records=(make_record(),), jobs=(job,))
    break_line(is_done=True)
    await store.commit(change)
    assert len((await store.events(EventQuery()))[0]) == 1
    with pytest.raises(ConflictError):
        await store.commit(change)


@pytest.mark.parametrize("body", [b"", b"used"])
async def test_records_that_another_wrote_the_same_while_the_line_broke_are_not_ours(
    store: PostgresStore, replica: PostgresStore, break_line: Break, body: bytes
) -> None:
    """Of two who use an invitation up, one may come in, even if they write the same."""
    first = make_record("a")
    await store.put_records([first])
    used = msgspec.structs.replace(first, version=2, body=body)
    break_line(is_done=False, meanwhile=lambda: replica.put_records([used]))
    with pytest.raises(ConflictError):
        await store.put_records([used])
    await store.put_records([make_record("b")])
    used = msgspec.structs.replace(used, id="b")
    break_line(is_done=False, meanwhile=lambda: replica.put_records([used]))
    with pytest.raises(ConflictError):
        await store.commit(msgspec.structs.replace(make_change(), records=(used,)))
    assert (await store.events(EventQuery()))[0] == []


async def test_records_survive_connections_that_are_cut_and_are_kept_once(
    store: PostgresStore, postgres_dsn: str
) -> None:
    """Each writer counts on its own record; what it was told is what is there."""
    stop = asyncio.Event()

    async def stored(name: str) -> int:
        while True:
            try:
                record = await store.get_record("user", name)
                return 0 if record is None else record.version
            except StoreError as error:
                assert error.reason_code == "database_away"

    async def count(name: str) -> int:
        """The versions that were acknowledged, past losses too, until told to stop."""
        version = acknowledged = 0
        while not (stop.is_set() and acknowledged >= 2):
            record = make_record(name, version=version + 1)
            change = msgspec.structs.replace(make_change(), records=(record,))
            try:
                await (store.commit(change) if version % 2 else store.put_records([record]))
            except StoreError as error:
                assert error.reason_code == "database_away"
                found = await stored(name)
                assert found in (version, version + 1), "an unknown write is there once or not"
                version = found
                continue
            version += 1
            acknowledged += 1
        return version

    counting = [asyncio.ensure_future(count(f"{number}")) for number in range(10)]
    connection = await asyncpg.connect(postgres_dsn)
    for _ in range(30):
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await asyncio.sleep(0.05)
    stop.set()
    versions = await asyncio.gather(*counting)
    await connection.close()
    assert [await stored(f"{name}") for name in range(10)] == versions


async def test_a_record_is_used_up_once_at_several_replicas(
    store: PostgresStore, replica: PostgresStore
) -> None:
    await store.put_records([make_record(f"{number:02}") for number in range(40)])
    used = [make_record(f"{number:02}", version=2, body=b"") for number in range(40)]
    results = await asyncio.gather(
        *(
            write
            for record in used
            for each in (store, replica)
            for write in (
                kept(each.put_records([record])),
                kept(each.commit(msgspec.structs.replace(make_change(), records=(record,)))),
            )
        )
    )
    assert [sum(results[n : n + 4]) for n in range(0, 160, 4)] == [1] * 40
    assert list(await store.find_records(RecordQuery(kind="user"))) == []


async def test_writers_of_records_that_wait_leave_connections_to_readers(
    store: PostgresStore, postgres_dsn: str
) -> None:
    change = make_change()
    await store.commit(change)
    other = await asyncpg.connect(postgres_dsn)
    async with other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(7310868735)")
        writes = [
            asyncio.ensure_future(store.put_records([make_record(f"{number}")]))
            for number in range(50)
        ]
        assert await store.get("default", change.request.id) == change.request
        assert await store.get_record("user", "0") is None
        assert not any(write.done() for write in writes)
    await asyncio.gather(*writes)
    await other.close()


async def test_records_that_are_written_together_share_a_flush(store: PostgresStore) -> None:
    records = [make_record(f"{number}") for number in range(60)]
    await asyncio.gather(*(store.put_records([record]) for record in records))
    transactions = "SELECT count(DISTINCT xmin::text) FROM records"
    assert await store._database.run(lambda c: c.fetchval(transactions)) == 2  # of 32 at most


async def test_a_record_that_cannot_be_kept_fails_alone(store: PostgresStore) -> None:
    records = [make_record("a"), make_record("b", owner="a\0b"), make_record("c")]
    results = await asyncio.gather(
        *(store.put_records([record]) for record in records), return_exceptions=True
    )
    assert [type(result) for result in results] == [type(None), StoreError, type(None)]


async def test_names_of_old_writes_are_forgotten(store: PostgresStore) -> None:
    await store.put_records([make_record("a")])
    old = "UPDATE record_writes SET kept_at = kept_at - interval '61 minutes'"
    await store._database.run(lambda c: c.execute(old))
    await store.put_records([make_record("b")])
    count = "SELECT count(*) FROM record_writes"
    assert await store._database.run(lambda c: c.fetchval(count)) == 1


async def test_people_who_signed_in_before_are_found_by_a_newer_version(
    postgres_dsn: str,
) -> None:
    older = await asyncpg.connect(postgres_dsn)
    script = importlib.resources.files("sayso.stores.sql") / "postgres" / "0001_requests.sql"
    await older.execute(script.read_text(encoding="utf-8"))
    await older.execute("CREATE TABLE sayso_schema (version integer)")
    await older.execute("INSERT INTO sayso_schema VALUES (1)")
    record = (
        b'{"token_hash":"h","person_id":"ada","name":"Ada","strength":"link","tenant":"t",'
        b'"created_at":"2026-01-01T00:00:00Z","expires_at":"2026-01-02T00:00:00Z"}'
    )
    put = "INSERT INTO logins (token_hash, expires_at, record) VALUES ($1, $2, $3)"
    await older.execute(put, "h", NOW + timedelta(days=1), record)
    store = PostgresStore(postgres_dsn)
    await store.open()
    (login,) = await store.get_logins("t", "ada")
    assert login == await store.get_login("h")
    await store.end_logins("t", "ada")
    assert await store.get_login("h") is None
    await older.execute(put, "i", NOW + timedelta(days=1), record)  # a replica that is older
    assert await store.get_login("i") == login
    await store.close()
    await older.close()


async def test_a_table_that_is_locked_is_told_in_time(
    store: PostgresStore, postgres_dsn: str
) -> None:
    """Many writes wait behind a lock: all are refused together, and none of them is kept.

    One after the other that would take two minutes.
    """
    await store._database.run(lambda c: c.execute("SET statement_timeout = '300ms'"))
    other = await asyncpg.connect(postgres_dsn)
    changes = [make_change() for _ in range(400)]
    async with other.transaction():
        await other.execute("LOCK TABLE requests")
        results = await asyncio.wait_for(
            asyncio.gather(*(store.commit(c) for c in changes), return_exceptions=True), 60
        )
    await store._database.run(lambda c: c.execute("SET statement_timeout = '10s'"))
    assert {getattr(result, "reason_code", None) for result in results} == {"database_away"}
    await other.close()
    assert (await store.events(EventQuery()))[0] == []
    await store.commit(make_change())


async def test_a_newer_schema_is_refused(store: PostgresStore, postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("INSERT INTO sayso_schema VALUES (999)")
    await connection.close()
    with pytest.raises(ConfigurationError, match="newer Sayso"):
        await PostgresStore(postgres_dsn).open()


async def test_replicas_that_start_together_make_the_schema_once(postgres_dsn: str) -> None:
    replicas = [PostgresStore(postgres_dsn, connections=1) for _ in range(5)]
    await asyncio.gather(*(replica.open() for replica in replicas))
    await asyncio.gather(*(replica.commit(make_change()) for replica in replicas))
    await asyncio.gather(*(replica.close() for replica in replicas))


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        (
            "postgresql://u:secret@127.0.0.1:1/x",
            StoreError,
            "postgresql://127.0.0.1:1/x cannot be opened",
        ),
        ("postgresql://u:secret@127.0.0.1:notaport/x", ConfigurationError, "cannot be used"),
        ("mysql://u:secret@127.0.0.1/x", ConfigurationError, "cannot be used"),
    ],
)
async def test_a_database_that_cannot_be_opened_is_named_without_its_password(
    url: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        await PostgresStore(url).open()
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_database_that_does_not_exist_is_refused(postgres_dsn: str) -> None:
    url = postgres_dsn.rpartition("/")[0] + "/nosuchdatabase"
    with pytest.raises(StoreError, match="nosuchdatabase"):
        await PostgresStore(url).open()


async def test_what_was_acknowledged_is_flushed_whatever_the_database_was_set_to(
    postgres_dsn: str,
) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    name = postgres_dsn.rpartition("/")[2]
    await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    await connection.execute(
        f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'"
    )
    await connection.close()
    store = PostgresStore(postgres_dsn)
    await store.open()
    for setting, value in (
        ("synchronous_commit", "on"),
        ("default_transaction_isolation", "read committed"),
        ("statement_timeout", "10s"),
    ):
        shown = await store._database.run(lambda c, name=setting: c.fetchval(f"SHOW {name}"))
        assert shown == value
    await store.close()


async def test_a_connection_to_a_server_that_became_a_standby_is_given_up(
    store: PostgresStore, postgres_dsn: str
) -> None:
    await store._database.run(lambda c: c.execute("SET default_transaction_read_only = on"))
    await store.commit(make_change())  # on a connection of its own, which leads to the primary


async def test_replicas_take_the_time_of_the_database(postgres_dsn: str) -> None:
    clock = SharedClock()
    clock.set(NOW, asked_at=0, told_at=0)
    store = PostgresStore(postgres_dsn, clock=clock)
    await store.open()
    now = await store._database.run(lambda c: c.fetchval("SELECT clock_timestamp()"))
    assert abs((clock.now() - now).total_seconds()) < 60  # it was months
    await store.close()


@pytest.mark.timeout(600)  # rows by the hundred thousand
async def test_no_query_scans_a_table(store: PostgresStore) -> None:
    """While tables are empty, when plans are made, and with 200 000 sleeping jobs."""
    await store._database.run(_find_indexes)
    await store._database.run(lambda c: c.execute(_SLEEPING, timeout=500))
    await store._database.run(_find_indexes)


async def _find_indexes(connection: asyncpg.Connection) -> None:
    closed = frozenset(Status) - {Status.PENDING}
    due = NOW - timedelta(days=300)
    statements: list[tuple[str, tuple[object, ...]]] = [
        (postgres.GET, (["a"],)),
        (postgres.REPLAY, ("default", "k")),
        (postgres.DUE, (due, 100)),
        (postgres.EVENTS, (99_000, "default", 100)),
        (postgres.ALL_EVENTS, (99_000, 100)),
        (postgres_jobs.CLAIM, (due, due, 100)),
        (postgres_jobs._SETTLE, (["a"], [1], ["done"], [due], [due], [b""])),
        (postgres_jobs._GET_JOB, ("a", "default")),
        (postgres.GET_LOGINS, ("default", "p")),
        (postgres.END_LOGINS, ("default", "p")),
    ]
    for query in (
        Query(),
        Query(status=frozenset({Status.PENDING})),
        Query(status=closed),
        Query(session_id="s"),
    ):
        statement, parameters, _ = postgres.requests_plan(query)
        statements.append((statement, (*parameters, "~", 51, 4_000_000)))
    for job_query in (JobQuery(webhook_id="w"), JobQuery(request_id="r")):
        statement, parameters = postgres_jobs.jobs_plan(job_query)
        statements.append((statement, (*parameters, "~", 50)))
    await connection.execute("SET statement_timeout = 0; SET plan_cache_mode = force_generic_plan")
    for statement, parameters in statements:
        rows = await connection.fetch(f"EXPLAIN {statement}", *parameters)
        plan = "\n".join(row[0] for row in rows)
        assert "Index" in plan, plan
        for table in ("requests", "events", "jobs", "records", "logins"):
            assert f"Seq Scan on {table}" not in plan, plan
            assert "Join" not in plan, plan
    for index, (statement, parameters) in (
        ("records_pkey", (postgres_records.GET_RECORD, ("k", "a"))),
        ("records_handle", (postgres_records.FIND_HANDLE, ("k", "h"))),
        ("records_pkey", records_plan(RecordQuery(kind="k", tenant=None))),
        ("records_tenant", records_plan(RecordQuery(kind="k", tenant="t7"))),
        ("records_owner", records_plan(RecordQuery(kind="k", tenant="t7", owner="o7"))),
        ("records_owner", records_plan(RecordQuery(kind="k", tenant=None, owner="o7"))),
    ):
        rows = await connection.fetch(f"EXPLAIN {statement}", *parameters)
        plan = "\n".join(row[0] for row in rows)
        assert re.search(rf"Index Scan (using|on) {index}\b", plan), plan
        assert "Filter" not in plan, plan
    await _find_no_scan_in_functions(connection)


async def _find_no_scan_in_functions(connection: asyncpg.Connection) -> None:
    """What `EXPLAIN` does not look into, the database counts."""
    scans = (
        "SELECT relname, seq_scan, idx_scan FROM pg_stat_xact_user_tables"
        " WHERE relname IN ('records', 'record_writes') ORDER BY relname"
    )
    records = [make_record(f"new {number}", handle=f"new {number}") for number in range(20)]
    transaction = connection.transaction()
    await transaction.start()
    before = await connection.fetch(scans)
    for version in (1, 2, 3):
        told = [msgspec.structs.replace(r, version=version, handle=f"{r.id} {version // 2}")
                for r in records]  # fmt: skip
        columns = postgres_records.record_columns(told)
        caused: list[list[object]] = [[] for _ in range(7)]
        assert await connection.fetchval(postgres_records.PUT_RECORDS, *columns, *caused)
    after = await connection.fetch(scans)
    await transaction.rollback()
    assert [row["seq_scan"] for row in after] == [row["seq_scan"] for row in before]
    assert all(new["idx_scan"] > old["idx_scan"] for new, old in zip(after, before, strict=True))


_SLEEPING = """
INSERT INTO requests (id, tenant, status, version, session_id, deadline_at, record)
SELECT lpad(n::text, 12, '0'), 'default', CASE n % 2 WHEN 0 THEN 'pending' ELSE 'approved' END, 1,
       's' || n % 1000, timestamptz '2026-01-01' + n * interval '1 s', '{}'
FROM generate_series(1, 100000) n;
INSERT INTO events (id, tenant, record)
SELECT n, 'default', '{}' FROM generate_series(1, 100000) n;
INSERT INTO jobs (id, tenant, state, due_at, attempt, webhook_id, record)
SELECT lpad(n::text, 12, '0'), 'default', 'waiting', timestamptz '2026-01-01' + n * interval '1 s',
       0, 'w' || n % 1000, '{}'
FROM generate_series(1, 200000) n;
INSERT INTO records (kind, id, tenant, owner, handle, version, body)
SELECT 'k', lpad(n::text, 12, '0'), 't' || n % 100, 'o' || n % 1000, 'h' || n, 1, '{}'
FROM generate_series(1, 100000) n;
INSERT INTO record_writes SELECT 'w' || n, clock_timestamp() FROM generate_series(1, 10000) n;
INSERT INTO logins (token_hash, expires_at, tenant, person_id, record)
SELECT 'h' || n, timestamptz '2026-01-01', 'default', 'p' || n % 1000, '{}'
FROM generate_series(1, 100000) n;
ANALYZE;
"""
