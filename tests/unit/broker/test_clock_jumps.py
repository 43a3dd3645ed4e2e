"""Somebody sets the clock, an hour on or back: nothing is lost, and nothing happens twice."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from sayso import clock as clocks
from sayso.broker import Broker
from sayso.clock import SharedClock
from sayso.domain import lifecycle
from sayso.domain.accounts import DEFAULT_TENANT
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.events import EventType
from sayso.domain.jobs import JobState
from sayso.domain.lifecycle import Cancel
from sayso.domain.requests import Request, Status
from sayso.errors import InvalidTransitionError
from sayso.signals.memory import MemorySignal
from sayso.stores import postgres_database
from sayso.stores.base import EventQuery
from sayso.stores.postgres import PostgresStore
from sayso.stores.sqlite import SqliteStore
from sayso.testing import AGENT, PERSON, FakeClock, make_draft
from sayso.testing.factories import make_job

pytestmark = pytest.mark.anyio

HOUR = 3600
YES = Answer(type=DecisionType.APPROVE)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def broker(clock: FakeClock, tmp_path: Path) -> AsyncIterator[Broker]:
    store = SqliteStore(tmp_path / "sayso.db")
    await store.open()
    yield Broker(store, MemorySignal(), clock)
    await store.close()


async def ask(broker: Broker, seconds: float = 300) -> Request:
    return (await broker.submit(make_draft(timeout_seconds=seconds), by=AGENT)).request


async def status_of(broker: Broker, request: Request) -> Status:
    return (await broker.get(request.id, by=AGENT)).status


async def expiries(broker: Broker) -> list[str | None]:
    events, _ = await broker.store.events(EventQuery(limit=1000))
    return [event.request_id for event in events if event.type is EventType.REQUEST_EXPIRED]


async def test_ids_never_go_backwards(broker: Broker, clock: FakeClock) -> None:
    ids: list[str] = []
    for jump in (0, HOUR, -HOUR, -HOUR, 2 * HOUR, -3 * HOUR, 0):
        clock.advance(jump)
        ids += [(await ask(broker)).id for _ in range(20)]
    assert ids == sorted(set(ids))


async def test_a_jump_forward_closes_what_is_due_once(broker: Broker, clock: FakeClock) -> None:
    soon, late = await ask(broker, HOUR / 2), await ask(broker, 2 * HOUR)
    clock.advance(HOUR)
    assert [await broker.expire_due(), await broker.expire_due()] == [1, 0]
    clock.advance(-HOUR)
    assert await broker.expire_due() == 0
    assert await status_of(broker, soon) is Status.EXPIRED
    with pytest.raises(InvalidTransitionError):
        await broker.decide(soon.id, YES, by=PERSON, channel=Channel.API)
    decided = await broker.decide(late.id, YES, by=PERSON, channel=Channel.API)
    assert decided.status is Status.APPROVED
    clock.advance(HOUR)
    assert await broker.expire_due() == 0
    assert await expiries(broker) == [soon.id]


async def test_a_jump_back_gives_more_time_and_no_second_end(
    broker: Broker, clock: FakeClock
) -> None:
    asked, another = await ask(broker), await ask(broker)
    clock.advance(-HOUR)
    assert await broker.expire_due() == 0
    decided = await broker.decide(asked.id, YES, by=PERSON, channel=Channel.API)
    assert decided.decision is not None
    assert decided.decision.took_seconds >= 0, "nobody decides before they are asked"
    clock.advance(HOUR + 300)
    assert [await broker.expire_due(), await broker.expire_due()] == [1, 0]
    assert await expiries(broker) == [another.id]


async def test_a_lease_outlasts_a_jump_and_has_one_holder(broker: Broker, clock: FakeClock) -> None:
    store, lease = broker.store, timedelta(seconds=30)
    asked = await ask(broker)
    change = lifecycle.apply(asked, Cancel(by=AGENT), clock.now())
    jobs = tuple(make_job(asked, str(number)) for number in range(2))
    await store.commit(msgspec.structs.replace(change, jobs=jobs))
    mine, other = await store.claim(clock.now(), clock.now() + lease, 2)
    clock.advance(-HOUR)
    assert not await store.claim(clock.now(), clock.now() + lease, 2)
    await store.settle(
        [msgspec.structs.replace(mine, state=JobState.DONE, finished_at=clock.now())]
    )
    clock.advance(2 * HOUR)
    (taken,) = await store.claim(clock.now(), clock.now() + lease, 2)
    assert (taken.id, taken.attempt) == (other.id, other.attempt + 1)
    await store.settle([msgspec.structs.replace(other, state=JobState.DEAD)])  # it is late
    job = await store.get_job(DEFAULT_TENANT, other.id)
    assert job is not None
    assert (job.state, job.attempt) == (JobState.RUNNING, taken.attempt)
    await store.settle(
        [msgspec.structs.replace(taken, state=JobState.DONE, finished_at=clock.now())]
    )
    assert not await store.claim(clock.now() + 9 * lease, clock.now() + 10 * lease, 2)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_replicas_on_postgres_have_one_time_whatever_their_own_clocks_say(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """The deadline that one gave is kept by another, whose machine is an hour off."""
    for name in ("PATIENCE_SECONDS", "CONNECT_SECONDS"):  # ours may be held up meanwhile
        monkeypatch.setattr(postgres_database, name, 60)

    class Off(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "datetime":
            return datetime.now(UTC) + timedelta(hours=hours)

    async def replica() -> Broker:
        clock = SharedClock()
        store = PostgresStore(postgres_dsn, clock=clock)
        await store.open()
        return Broker(store, MemorySignal(), clock)

    right = await replica()
    monkeypatch.setattr(clocks, "datetime", Off)
    assert abs((SharedClock().now() - datetime.now(UTC)).total_seconds()) > HOUR / 2, "it is off"
    wrong = await replica()
    one, two = await ask(right, 600), await ask(wrong, 600)
    assert abs((one.created_at - two.created_at).total_seconds()) < HOUR / 10
    assert [await each.expire_due() for each in (right, wrong)] == [0, 0]
    decided = await wrong.decide(one.id, YES, by=PERSON, channel=Channel.API)
    assert decided.decision is not None
    assert 0 <= decided.decision.took_seconds < HOUR / 10
    for broker in (right, wrong):
        await broker.store.close()
