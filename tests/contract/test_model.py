"""All stores against one another: the same random commands, the same results, the same state.

The store in memory is the model: a dictionary, plain enough to be right. Hypothesis makes the
commands, and shrinks what differs to the shortest story that tells it.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sayso.domain import lifecycle
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.events import Event, EventType
from sayso.domain.jobs import Job, JobState, replayed
from sayso.domain.lifecycle import Cancel, Change, Command, Decide, Expire, Extend, Remind
from sayso.domain.records import Record
from sayso.domain.requests import OnTimeout, Request, Status
from sayso.domain.rules import Rule
from sayso.domain.sessions import Session
from sayso.errors import ConflictError, SaysoError
from sayso.stores.base import EventQuery, JobQuery, Query, RecordQuery, Stores
from sayso.stores.memory import MemoryStore
from sayso.stores.postgres import PostgresStore
from sayso.stores.redis import RedisStore
from sayso.stores.sqlite import SqliteStore
from sayso.testing.factories import AGENT, NOW, PERSON, make_change, make_draft, make_job

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]

_LEASE = timedelta(seconds=30)
_WHICH = st.integers(0, 5)
_SESSIONS = st.sampled_from([None, "s1", "s2"])
_OWNERS = ("", "ada")
_TENANTS = ("default", "elsewhere")
_RECORDS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["", "h", "i"]),
        st.sampled_from(_TENANTS),
        st.sampled_from(_OWNERS),
        st.sampled_from([b"", b"{}", b"\xff\0"]),
        st.sampled_from([1, 1, 1, 2]),
    ),
    min_size=1,
    max_size=3,
)
"""Id, handle, tenant, owner, body; how far ahead of its version."""

_numbers = itertools.count()

Step = tuple[str, tuple[Any, ...]]


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.tuples(*arguments))


STEPS = st.lists(
    st.one_of(
        step(
            "submit",
            _SESSIONS,
            st.sampled_from([None, 5, 60]),
            st.sampled_from([None, "k"]),
            st.sampled_from(list(OnTimeout)),
        ),
        step("apply", _WHICH, st.sampled_from(["approve", "reject", "cancel", "extend", "remind"])),
        step("stale", _WHICH),
        step("sweep"),
        step("claim", st.integers(1, 3)),
        step("settle", _WHICH, st.sampled_from(list(JobState)), st.booleans()),
        step("replay", _WHICH),
        step("forget"),
        step("records", _RECORDS),
        step("with_records", _WHICH, _RECORDS),
        step("session", st.sampled_from(["s1", "s2"]), st.booleans()),
        step("pass", st.sampled_from([1, 6, 31, 61])),
    ),
    min_size=10,
    max_size=40,
)


class Story:
    """One list of steps, told to several stores at once; the first is the model."""

    def __init__(self, stores: Sequence[Stores]) -> None:
        self.stores = stores
        self.now: datetime = NOW
        self.requests: list[str] = []
        self.old: list[Change] = []
        self.claimed: list[Job] = []

    async def all(self, act: Callable[[Stores], Awaitable[Any]]) -> Any:
        """The result, or the refusal, on which all stores agree."""
        results = [await _outcome(act, store) for store in self.stores]
        for store, result in zip(self.stores[1:], results[1:], strict=True):
            assert result == results[0], type(store).__name__
        return results[0]

    async def request(self, which: int) -> Request | None:
        if not self.requests:
            return None
        request_id = self.requests[which % len(self.requests)]
        return await self.all(lambda store: store.get("default", request_id))

    async def records(self, told: list[tuple[Any, ...]]) -> None:
        records = await self.made(told)
        event = Event(type=EventType.SESSION_REGISTERED, at=self.now, actor="person:ada")
        await self.all(lambda store: store.put_records(records, [event]))

    async def with_records(self, which: int, told: list[tuple[Any, ...]]) -> None:
        request = await self.request(which)
        records = tuple(await self.made(told))
        if request is None or which == 0:
            change = make_change(now=self.now)
        else:
            command = Extend(by=AGENT, timeout=timedelta(seconds=90))
            try:
                change = lifecycle.apply(request, command, self.now)
            except SaysoError:
                return
        await self.commit(msgspec.structs.replace(change, records=records))

    async def made(self, told: list[tuple[Any, ...]]) -> list[Record]:
        records: list[Record] = []
        for record_id, handle, tenant, owner, body, ahead in told:
            kept = await self.all(lambda store, name=record_id: store.get_record("k", name))
            version = ahead + (0 if kept is None else kept.version)
            name = {"kind": "k", "id": record_id, "handle": handle, "version": version}
            records.append(Record(**name, tenant=tenant, owner=owner, body=body))
        return records

    async def commit(self, change: Change, **caused: Job) -> None:
        change = msgspec.structs.replace(change, jobs=tuple(caused.values()))
        self.old.append(change)
        if await self.all(lambda store: store.commit(change)) is None:
            self.requests.append(change.request.id)

    async def submit(
        self, session: str | None, seconds: float | None, key: str | None, silence: OnTimeout
    ) -> None:
        draft = make_draft(session_id=session, timeout_seconds=seconds)
        change = make_change(draft, now=self.now, key=key, fingerprint="f")
        request = msgspec.structs.replace(
            change.request, on_timeout=silence, escalate_to=Rule(groups=("bosses",))
        )
        change = msgspec.structs.replace(change, request=request)
        job = make_job(change.request, "a", due_at=self.now, webhook_id=session)
        await self.commit(change, job=job)
        if key is not None:
            await self.all(lambda store: store.replay("default", key))

    async def apply(self, which: int, name: str) -> None:
        request = await self.request(which)
        if request is None:
            return
        commands: dict[str, Command] = {
            "approve": _decide(DecisionType.APPROVE),
            "reject": _decide(DecisionType.REJECT),
            "cancel": Cancel(by=AGENT),
            "extend": Extend(by=AGENT, timeout=timedelta(seconds=90)),
            "remind": Remind(after=request.reminders),
        }
        try:
            change = lifecycle.apply(request, commands[name], self.now)
        except SaysoError:
            return
        later = self.now + timedelta(seconds=5)
        job = make_job(request, f"v{change.request.version}", due_at=later)
        await self.commit(change, job=job)

    async def stale(self, which: int) -> None:
        if self.old:
            change = self.old[which % len(self.old)]
            await self.all(lambda store: store.commit(change))

    async def sweep(self) -> None:
        due = await self.all(lambda store: _list(store.due(self.now, 2)))
        for request in due:
            await self.commit(lifecycle.apply(request, Expire(), self.now))

    async def claim(self, limit: int) -> None:
        now = self.now
        for number in range(limit):  # one by one: which of those due at the same time is first
            until = now + _LEASE + timedelta(microseconds=number)  # is left to each store
            self.claimed += await self.all(lambda store, until=until: store.claim(now, until, 1))

    async def settle(self, which: int, state: JobState, is_late: bool) -> None:
        if not self.claimed:
            return
        job = self.claimed[which % len(self.claimed)]
        attempt = job.attempt - 1 if is_late else job.attempt
        finished = None if state in (JobState.WAITING, JobState.RUNNING) else self.now
        settled = msgspec.structs.replace(
            job, state=state, attempt=attempt, finished_at=finished, failures=1, due_at=self.now
        )
        await self.all(lambda store: store.settle([settled]))

    async def replay(self, which: int) -> None:
        dead = await self.all(lambda store: _items(store.find_jobs(JobQuery(state=JobState.DEAD))))
        if dead:
            job = replayed(dead[which % len(dead)], self.now)
            await self.all(lambda store: store.settle([job]))

    async def forget(self) -> None:
        before = self.now - timedelta(seconds=1)
        await self.all(lambda store: store.forget_jobs(before, 100))

    async def session(self, session_id: str, active: bool) -> None:
        session = Session(id=session_id, client_id="c", created_at=self.now, active=active)
        event = Event(
            type=EventType.SESSION_REGISTERED, at=self.now, session_id=session_id, actor="agent:a"
        )
        await self.all(lambda store: store.put_session(session, event))
        await self.all(lambda store: store.get_session("default", session_id))

    async def compare(self) -> None:
        """Everything that can be asked."""
        await self.all(lambda store: store.events(EventQuery(limit=1000)))
        for status in (
            frozenset[Status](),
            frozenset({Status.PENDING}),
            frozenset({Status.EXPIRED}),
        ):
            for session in (None, "s1"):
                query = Query(status=frozenset(status), session_id=session, limit=2)
                while True:
                    page = await self.all(lambda store, query=query: store.find(query))
                    if page.next is None:
                        break
                    query = msgspec.structs.replace(query, after=page.next)
        for job_query in (JobQuery(limit=1000), JobQuery(webhook_id="s1", limit=1000)):
            await self.all(lambda store, query=job_query: store.find_jobs(query))
        await self.all(lambda store: _list(store.due(self.now + timedelta(days=1), 1000)))
        for tenant, owner in itertools.product((*_TENANTS, None), (*_OWNERS, None)):
            records = RecordQuery(kind="k", tenant=tenant, owner=owner, limit=2)
            await self.all(lambda store, query=records: store.find_records(query))
        for handle in ("", "h", "i"):
            await self.all(lambda store, handle=handle: store.find_handle("k", handle))


def _decide(kind: DecisionType) -> Decide:
    return Decide(answer=Answer(type=kind), by=PERSON, channel=Channel.WEB)


async def _outcome(act: Callable[[Stores], Awaitable[Any]], store: Stores) -> Any:
    try:
        return await act(store)
    except ConflictError:
        return ConflictError


async def _list(found: Awaitable[Sequence[Any]]) -> list[Any]:
    """In the order of what is due, and with the same time by id."""
    return sorted(await found, key=lambda request: (request.deadline_at, request.id))


async def _items(page: Awaitable[Any]) -> Any:
    return (await page).items


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def postgres(postgres_dsn: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_dsn)
    await store.open()
    yield store
    await store.close()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
async def test_all_stores_tell_the_same_story(
    steps: list[Step], postgres: PostgresStore, postgres_dsn: str, redis_url: str, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("TRUNCATE requests, events, jobs, sessions, webhooks, records")
    await connection.close()
    number = next(_numbers)
    sqlite = SqliteStore(tmp_path / f"{number}.db")
    await sqlite.open()
    redis = RedisStore(redis_url, prefix=f"story{number}")
    await redis.open()
    story = Story([MemoryStore(), sqlite, postgres, redis])
    try:
        for name, arguments in steps:
            story.now += timedelta(milliseconds=1)  # no two are due at the same time
            if name == "pass":
                story.now += timedelta(seconds=arguments[0])
            else:
                await getattr(story, name)(*arguments)
        await story.compare()
    finally:
        await sqlite.close()
        await redis.close()
