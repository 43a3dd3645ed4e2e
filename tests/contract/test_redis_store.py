"""The Redis store, by the public contract suite, and against a Redis that fails."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from support.servers import RedisServer

from sayso.clock import SharedClock, ticks
from sayso.domain import lifecycle
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.jobs import JobState
from sayso.domain.lifecycle import Change, Decide
from sayso.domain.requests import Status
from sayso.errors import BusyError, ConfigurationError, ConflictError, StoreError
from sayso.signals.redis import RedisSignal
from sayso.stores import base, batches, redis_database
from sayso.stores.base import EventQuery, JobQuery, Query
from sayso.stores.redis import RedisStore
from sayso.stores.redis_server import check_server
from sayso.testing.contracts import StoreContract
from sayso.testing.factories import NOW, PERSON, make_change, make_draft, make_job, make_record

pytestmark = pytest.mark.anyio

APPROVE = Decide(answer=Answer(type=DecisionType.APPROVE), by=PERSON, channel=Channel.WEB)


@contextlib.asynccontextmanager
async def opened(url: str, prefix: str = "sayso") -> AsyncIterator[RedisStore]:
    store = RedisStore(url, prefix=prefix)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    async with opened(redis_url) as store:
        yield store


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A connection of the test's own."""
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def spare_server(redis_server: RedisServer, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, to set up in another way."""
    own = type(redis_server)(tmp_path).start()
    yield own
    own.kill9()


@pytest.fixture
async def spare(spare_server: RedisServer) -> AsyncIterator[Redis]:
    """A connection to it."""
    async with Redis.from_url(spare_server.url, decode_responses=True) as client:
        yield client


def url_of(client: Redis) -> str:
    return f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0"


async def all_events(store: RedisStore) -> list[int]:
    ids: list[int] = []
    while True:
        events, reached = await store.events(EventQuery(after=ids[-1] if ids else 0))
        if not events:
            return ids
        ids += [event.id for event in events]
        assert reached == ids[-1]


class TestRedisStore(StoreContract):
    @pytest.fixture
    async def store(self, redis_url: str) -> AsyncIterator[RedisStore]:
        async with opened(redis_url) as store:
            yield store


async def test_what_was_acknowledged_survives_the_death_of_redis(
    store: RedisStore,
    redis: Redis,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[Change] = []
    refused: list[StoreError] = []

    async def write_on_and_on() -> None:
        while not refused:
            change = make_change(make_draft("x" * 500))
            change = msgspec.structs.replace(
                change,
                key=change.request.id,
                fingerprint="f",
                jobs=(make_job(change.request, "a"),),
            )
            for each in (change, lifecycle.apply(change.request, APPROVE, NOW)):
                try:
                    await store.commit(each)
                except StoreError as error:
                    refused.append(error)
                    return
                kept.append(each)

    writers = [asyncio.ensure_future(write_on_and_on()) for _ in range(20)]
    async with asyncio.timeout(120):
        while len(kept) < 500:  # noqa: ASYNC110  it is in the middle of its work
            await asyncio.sleep(0.01)
    monkeypatch.setattr(redis_database, "PATIENCE_SECONDS", 0.1)
    redis_server.kill9()
    await asyncio.gather(*writers)
    assert len(refused) == len(writers)
    redis_server.start()
    monkeypatch.setattr(redis_database, "PATIENCE_SECONDS", 60)

    newest = {change.request.id: change for change in kept}
    for request_id, change in newest.items():
        found = await store.get("default", request_id)
        assert found is not None
        assert found.version >= change.request.version
        replay = await store.replay("default", request_id)
        assert replay is not None
        assert replay.request == found
        assert await store.get_job("default", f"{request_id}_1_a") is not None
    ids = await all_events(store)
    assert ids == list(range(1, len(ids) + 1))
    assert len(ids) >= len(kept)
    await consistent(store, redis)


async def consistent(store: RedisStore, redis: Redis) -> None:
    """Every request stands in the indexes that it belongs to, and in no other."""
    requests = []
    query = Query(limit=200)
    while True:
        page = await store.find(query)
        requests += page.items
        if page.next is None:
            break
        query = msgspec.structs.replace(query, after=page.next)
    pending = sorted(r.id for r in requests if r.status is Status.PENDING)
    closed = sorted(r.id for r in requests if r.status is not Status.PENDING)
    assert await redis.zrange("sayso:requests:default", 0, -1) == sorted(pending + closed)
    assert await redis.zrange("sayso:pending:default", 0, -1) == pending
    assert await redis.zrange("sayso:closed:default", 0, -1) == closed
    assert sorted(await redis.zrange("sayso:deadlines", 0, -1)) == pending


async def test_while_redis_is_away_it_is_said_and_then_it_goes_on(
    store: RedisStore,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(redis_database, "PATIENCE_SECONDS", 0.1)
    kept = make_change()
    await store.commit(kept)
    redis_server.kill9()
    calls: list[Awaitable[object]] = [
        store.commit(make_change()),
        store.get("default", kept.request.id),
        store.find(Query()),
        store.due(NOW, 1),
        store.events(EventQuery()),
        store.claim(NOW, NOW, 1),
        store.use_link("name", NOW),
        store.get_webhooks("default"),
        store.put_records([make_record()]),
        store.find_handle("user", "h"),
        store.end_logins("default", "ada"),
    ]
    async with asyncio.timeout(60):
        results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        assert isinstance(result, StoreError)
        assert result.detail.startswith("Redis is away: ")
        assert result.reason_code == "database_away"
        assert "Idempotency-Key" in result.hint
    redis_server.start()
    monkeypatch.setattr(redis_database, "PATIENCE_SECONDS", 60)
    assert await store.get("default", kept.request.id) == kept.request
    await store.commit(make_change())
    where = f"Redis at redis://127.0.0.1:{redis_server.port}/0"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith(f"{where} is away: ")
    assert told[1] == f"{where} is back"


async def test_a_restart_of_redis_is_waited_for(
    store: RedisStore, redis_server: RedisServer
) -> None:
    redis_server.kill9()
    changes = [make_change() for _ in range(20)]
    writing = asyncio.gather(*(store.commit(change) for change in changes))
    await asyncio.sleep(0.1)
    assert not writing.done()
    redis_server.start()
    assert await writing == [None] * 20
    assert await all_events(store) == list(range(1, 21))


async def test_what_was_sent_is_not_sent_again(
    spare: Redis, spare_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, sent = AbstractConnection.send_command, asyncio.Event()

    async def telling(self: AbstractConnection, *words: Any, **how: Any) -> None:
        await send(self, *words, **how)
        sent.set()

    async with opened(spare_server.url) as store:
        await store.commit(make_change())
        assert spare_server.process is not None
        spare_server.process.send_signal(signal.SIGSTOP)  # it takes what is sent, and says nothing
        monkeypatch.setattr(AbstractConnection, "send_command", telling)
        writing = asyncio.ensure_future(store.commit(make_change()))
        await asyncio.wait_for(sent.wait(), 60)
        spare_server.kill9()
        spare_server.start()
        with pytest.raises(StoreError, match="is away"):
            await writing
        assert await all_events(store) == [1]


async def test_all_processes_have_the_time_of_redis(spare: Redis) -> None:
    clock = SharedClock()
    clock.set(NOW, asked_at=ticks(), told_at=ticks())
    store = RedisStore(url_of(spare), clock=clock)
    await store.open()
    seconds, _ = await spare.time()
    assert abs(clock.now().timestamp() - seconds) < 60  # it was months
    await store.close()


async def test_a_redis_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(StoreError, match="cannot be opened") as told:
        await RedisStore("redis://ada:hunter2@127.0.0.1:1/0").open()
    assert "redis://127.0.0.1:1/0" in str(told.value)
    assert "hunter2" not in f"{told.value} {told.value.__cause__}"


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1", "redis://ada:hunt/er2@b"])
async def test_a_wrong_address_is_told_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigurationError, match="address of Redis") as told:
        await RedisStore(url).open()
    assert "hunt" not in str(told.value)


async def test_processes_on_one_redis_decide_once_and_count_together(
    store: RedisStore, redis: Redis, redis_url: str
) -> None:
    async with opened(redis_url) as another:
        requests = [make_change() for _ in range(50)]
        await asyncio.gather(*(store.commit(change) for change in requests))
        changes = [lifecycle.apply(change.request, APPROVE, NOW) for change in requests]
        results = await asyncio.gather(
            *(each.commit(change) for change in changes for each in (store, another)),
            return_exceptions=True,
        )
        assert results.count(None) == 50
        assert sum(isinstance(result, ConflictError) for result in results) == 50
        assert await all_events(another) == list(range(1, 101))
        await consistent(another, redis)


async def test_installations_in_one_redis_are_apart_by_prefix(
    store: RedisStore, redis_url: str
) -> None:
    change = make_change(key="k")
    await store.commit(change)
    async with opened(redis_url, "other") as other:
        assert await other.get("default", change.request.id) is None
        assert await other.events(EventQuery(limit=0)) == ((), 0)
        await other.commit(change)


async def test_names_with_colons_are_kept_apart(store: RedisStore, redis: Redis) -> None:
    a = make_change(make_draft(session_id="b:c"))
    b = make_change(make_draft(session_id="c"))
    await store.commit(msgspec.structs.replace(a, request=tenanted(a, "a")))
    await store.commit(msgspec.structs.replace(b, request=tenanted(b, "a:b")))
    page = await store.find(Query(tenant="a", session_id="b:c"))
    assert [request.id for request in page.items] == [a.request.id]
    assert len(await redis.keys("sayso:session:*")) == 2


def tenanted(change: Change, tenant: str) -> Any:
    return msgspec.structs.replace(change.request, tenant=tenant)


async def test_a_script_that_redis_has_forgotten_is_told_again(
    store: RedisStore, redis: Redis
) -> None:
    await redis.script_flush()
    changes = [make_change() for _ in range(10)]
    await asyncio.gather(*(store.commit(change) for change in changes))
    assert await all_events(store) == list(range(1, 11))


async def test_what_is_asked_for_together_travels_together(store: RedisStore, redis: Redis) -> None:
    await store.commit(make_change())
    before = (await redis.info("stats"))["total_reads_processed"]
    changes = [make_change() for _ in range(200)]
    await asyncio.gather(*(store.commit(change) for change in changes))
    found = await asyncio.gather(*(store.get("default", c.request.id) for c in changes))
    assert [request for request in found if request is not None] == [c.request for c in changes]
    after = (await redis.info("stats"))["total_reads_processed"]
    assert after - before < 200  # 400 commands; a large piece is read in several


async def test_a_full_redis_refuses_whole_and_goes_on(spare: Redis) -> None:
    async with opened(url_of(spare)) as store:
        kept = make_change()
        await store.commit(kept)
        await spare.config_set("maxmemory", "1")
        refused = make_change(key="k")
        with pytest.raises(StoreError, match=r"refused it: .*maxmemory"):
            await store.commit(refused)
        assert await store.get("default", refused.request.id) is None
        assert await store.get("default", kept.request.id) == kept.request
        await spare.config_set("maxmemory", "0")
        await store.commit(refused)
        assert await all_events(store) == [1, 2]


async def test_too_many_that_wait_are_refused(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_ASKED", 5)
    results = await asyncio.gather(
        *(store.commit(make_change()) for _ in range(8)), return_exceptions=True
    )
    assert [type(result) for result in results] == [type(None)] * 5 + [BusyError] * 3


async def test_a_text_that_is_no_unicode_harms_nobody_else(store: RedisStore) -> None:
    change = make_change()
    bad, good = await asyncio.gather(
        store.get("default", "\ud800"), store.commit(change), return_exceptions=True
    )
    assert isinstance(bad, UnicodeEncodeError)
    assert good is None
    assert await store.get("default", change.request.id) == change.request


async def test_a_caller_that_goes_away_does_not_take_its_write_back(store: RedisStore) -> None:
    change = make_change()
    writing = asyncio.ensure_future(store.commit(change))
    await asyncio.sleep(0)
    writing.cancel()
    await store.commit(make_change())
    assert await store.get("default", change.request.id) == change.request


async def test_pages_of_large_requests_stay_small(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sayso.stores.redis.PAGE_BYTES", 10_000)
    changes = [make_change(make_draft("x" * 4_000)) for _ in range(7)]
    for change in changes:
        await store.commit(change)
    sizes, ids, query = [], [], Query(limit=5)
    while True:
        page = await store.find(query)
        sizes.append(len(page.items))
        ids += [request.id for request in page.items]
        if page.next is None:
            break
        query = msgspec.structs.replace(query, after=page.next)
    assert ids == [change.request.id for change in reversed(changes)]
    assert max(sizes) <= 3


async def test_a_rare_word_ends_a_page_after_a_bounded_look(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sayso.stores.redis.SCAN_LIMIT", 256)
    needle = make_change(make_draft("needle"))
    await store.commit(needle)
    await asyncio.gather(*(store.commit(make_change()) for _ in range(300)))
    first = await store.find(Query(text="needle"))
    assert first.items == ()
    assert first.next is not None
    second = await store.find(Query(text="needle", after=first.next))
    assert second.items == (needle.request,)


async def test_logins_and_links_that_ended_are_forgotten(store: RedisStore, redis: Redis) -> None:
    for day in range(3):
        at = NOW + timedelta(days=2 * day)
        await store.put_login(
            base.Login(
                token_hash=f"h{day}",
                person_id="ada",
                name="Ada",
                strength="link",
                created_at=at,
                expires_at=at + timedelta(hours=1),
            )
        )
        assert await store.use_link(f"link{day}", at)
    assert await redis.hkeys("sayso:logins") == ["h2"]
    assert await redis.hkeys("sayso:logins_person") == ["h2"]
    assert await redis.smembers("sayso:logins_of:default:ada") == {"h2"}
    assert await redis.zcard("sayso:logins_end") == 1
    assert await redis.zrange("sayso:links", 0, -1) == ["link2"]
    await store.end_logins("default", "ada")
    assert [name for name in await redis.keys() if "login" in name] == []


async def test_a_forgotten_record_leaves_nothing_behind(store: RedisStore, redis: Redis) -> None:
    before = set(await redis.keys())
    record = make_record("a", handle="h", owner="o:x", tenant="t")
    await store.put_records([record])
    moved = msgspec.structs.replace(record, version=2, handle="i", owner="p", tenant="u")
    await store.put_records([moved])
    keys = set(await redis.keys()) - before
    assert keys == {
        "sayso:record:user:a",
        "sayso:records:user",
        "sayso:records_tenant:user:u",
        "sayso:records_owner:user:p",
        "sayso:records_both:user:u:p",
        "sayso:handles:user",
    }
    assert await redis.hkeys("sayso:handles:user") == ["i"]
    await store.put_records([msgspec.structs.replace(moved, version=3, body=b"")])
    assert set(await redis.keys()) == before


async def test_a_record_is_used_up_once_by_several_processes(
    store: RedisStore, redis_url: str
) -> None:
    await store.put_records([make_record(f"{number:02}") for number in range(20)])
    used = [make_record(f"{number:02}", version=2, body=b"") for number in range(20)]
    async with opened(redis_url) as another:
        results = await asyncio.gather(
            *(
                write
                for record in used
                for each in (store, another)
                for write in (
                    each.put_records([record]),
                    each.commit(msgspec.structs.replace(make_change(), records=(record,))),
                )
            ),
            return_exceptions=True,
        )
    assert [results[n : n + 4].count(None) for n in range(0, 80, 4)] == [1] * 20
    assert sum(isinstance(result, ConflictError) for result in results) == 60


async def test_records_that_were_kept_survive_the_death_of_redis(
    store: RedisStore, redis_url: str, redis_server: RedisServer
) -> None:
    first = make_record("a", handle="h")
    await store.put_records([first])
    used = msgspec.structs.replace(first, version=2, body=b"used")
    change = msgspec.structs.replace(make_change(), records=(used,))
    await store.commit(change)
    redis_server.kill9()
    redis_server.start()
    async with opened(redis_url) as another:
        assert await another.find_handle("user", "h") == used
        assert await another.get("default", change.request.id) == change.request


async def test_a_forgotten_job_leaves_nothing_behind(store: RedisStore, redis: Redis) -> None:
    change = make_change()
    job = make_job(change.request, "a", webhook_id="w")
    await store.commit(msgspec.structs.replace(change, jobs=(job,)))
    (claimed,) = await store.claim(NOW, NOW + timedelta(seconds=30), 1)
    done = msgspec.structs.replace(claimed, state=JobState.DONE, finished_at=NOW)
    await store.settle([done])
    assert await store.forget_jobs(NOW + timedelta(seconds=1), 10) == 1
    names = {name for name in await redis.keys() if "job" in name or "webhook" in name}
    assert names == set()
    assert (await store.find_jobs(JobQuery())).items == ()


async def test_data_of_a_newer_version_is_refused(redis_url: str, redis: Redis) -> None:
    await redis.set("sayso:schema", "999")
    with pytest.raises(ConfigurationError, match="newer Sayso"):
        await RedisStore(redis_url).open()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("appendonly", "no", "forgets all requests and decisions since its last snapshot"),
        ("appendfsync", "everysec", "of the last second or two"),
        ("appendfsync", "no", "often of half a minute, are lost"),
    ],
)
async def test_what_is_not_promised_is_logged(
    spare: Redis, caplog: pytest.LogCaptureFixture, name: str, value: str, told: str
) -> None:
    await spare.config_set(name, value)
    async with opened(url_of(spare)):
        pass
    assert told in caplog.text


async def test_a_redis_that_does_not_tell_its_settings_is_told_of(
    spare: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await spare.acl_setuser(
        "ada", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@all"],
        commands=["-config"],
    )  # fmt: skip
    async with opened(url_of(spare).replace("://", "://ada:secret@")) as store:
        await store.commit(make_change())
    assert "does not tell its appendfsync setting" in caplog.text
    assert "secret" not in caplog.text


async def test_a_user_with_few_rights_will_do(spare: Redis) -> None:
    rules = "on >secret ~sayso* resetchannels &sayso* +@all -@dangerous +info"  # as docs/stores.md
    await spare.execute_command("ACL", "SETUSER", "ada", *rules.split())
    url = url_of(spare).replace("://", "://ada:secret@")
    async with opened(url) as store:
        await store.commit(make_change())
    listening = RedisSignal(url)
    await listening.open()
    await listening.close()


async def test_a_durable_redis_is_nothing_to_talk_about(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="sayso")
    async with opened(redis_url):
        pass
    assert caplog.records == []


async def test_a_redis_that_throws_keys_away_is_refused(spare: Redis) -> None:
    await spare.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(ConfigurationError, match="throws keys away") as told:
        await RedisStore(url_of(spare)).open()
    assert "noeviction" in told.value.hint


async def test_a_replica_is_refused(spare: Redis) -> None:
    await spare.replicaof("127.0.0.1", "1")
    with pytest.raises(ConfigurationError, match="is a replica"):
        await RedisStore(url_of(spare)).open()


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ({"redis_version": "5.0.14"}, "is Redis 5.0.14"),
        ({"redis_version": "7.4.0", "dragonfly_version": "df-1.2"}, "is dragonfly"),
        ({"redis_version": "7.4.0", "cluster_enabled": 1}, "part of a cluster"),
        ({}, "is Redis 0"),
    ],
)
async def test_another_kind_of_server_is_refused(info: dict[str, Any], told: str) -> None:
    class Told:
        async def info(self) -> dict[str, Any]:
            return info

    with pytest.raises(ConfigurationError, match=told):
        await check_server(Told(), "there")  # pyright: ignore[reportArgumentType]


async def test_a_database_that_is_named_is_refused_and_not_taken_for_number_0() -> None:
    with pytest.raises(ConfigurationError, match="names the database 'sayso'"):
        await RedisStore("redis://127.0.0.1:1/sayso").open()
