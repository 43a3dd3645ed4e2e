"""The engine on a memory store, with a clock that moves when told."""

import asyncio
from pathlib import Path

import pytest

from sayso.broker import Broker
from sayso.codec import encode
from sayso.domain.actions import Action
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.lifecycle import Change
from sayso.domain.requests import ActionDraft, Request, Status
from sayso.errors import (
    BusyError,
    ConflictError,
    InvalidAnswerError,
    InvalidRequestError,
    InvalidTransitionError,
    NotFoundError,
    PersonRequiredError,
    RefusedError,
)
from sayso.signals.memory import MemorySignal
from sayso.stores.base import EventQuery
from sayso.stores.memory import MemoryStore
from sayso.stores.sqlite import SqliteStore
from sayso.testing import AGENT, PERSON, FakeClock, make_draft

pytestmark = pytest.mark.anyio

ARGS_SCHEMA = {
    "type": "object",
    "properties": {"amount": {"type": "number", "maximum": 100}},
    "required": ["amount"],
    "additionalProperties": False,
}
FORM = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 2}, "n": {"type": "integer"}},
    "required": ["name"],
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def broker(clock: FakeClock) -> Broker:
    return Broker(MemoryStore(), MemorySignal(), clock)


async def ask(broker: Broker, **fields: object) -> Request:
    return (await broker.submit(make_draft(**fields), by=AGENT)).request


async def decide(broker: Broker, request: Request, type_: str, **fields: object) -> Request:
    answer = Answer(type=DecisionType(type_), **fields)
    return await broker.decide(request.id, answer, by=PERSON, channel=Channel.WEB)


async def test_a_wait_ends_with_the_decision(broker: Broker) -> None:
    request = await ask(broker)
    waiting = asyncio.ensure_future(broker.wait(request.id, seconds=60, by=AGENT))
    await asyncio.sleep(0)
    assert broker.waits == 1
    await decide(broker, request, "approve")
    assert (await waiting).status is Status.APPROVED
    assert broker.waits == 0


async def test_a_decision_between_reading_and_waiting_is_not_missed(clock: FakeClock) -> None:
    class SlowStore(MemoryStore):
        async def get(self, tenant: str, request_id: str) -> Request | None:
            found = await super().get(tenant, request_id)
            await asyncio.sleep(0.01)  # the decision falls in here
            return found

    broker = Broker(SlowStore(), MemorySignal(), clock)
    request = await ask(broker)
    waiting = asyncio.ensure_future(broker.wait(request.id, seconds=60, by=AGENT))
    await asyncio.sleep(0)
    await decide(broker, request, "approve")
    assert (await asyncio.wait_for(waiting, 30)).status is Status.APPROVED


async def test_a_wait_on_a_closed_request_returns_at_once(broker: Broker) -> None:
    request = await ask(broker)
    await broker.cancel(request.id, by=AGENT, reason="not needed")
    waited = await broker.wait(request.id, seconds=60, by=AGENT)
    assert (waited.status, waited.reason) == (Status.CANCELLED, "not needed")


async def test_a_wait_that_runs_out_returns_the_pending_request(broker: Broker) -> None:
    request = await ask(broker)
    assert await broker.wait(request.id, seconds=0.01, by=AGENT) == request


async def test_a_stop_answers_held_waits_with_what_is_known(broker: Broker) -> None:
    request = await ask(broker)
    waits = [
        asyncio.ensure_future(broker.wait(request.id, seconds=60, by=AGENT)) for _ in range(100)
    ]
    await asyncio.sleep(0)
    broker.signal.release_all()
    assert await asyncio.gather(*waits) == [request] * 100


async def test_too_many_waits_are_told_to_come_again(clock: FakeClock) -> None:
    broker = Broker(MemoryStore(), MemorySignal(), clock, max_waits=1)
    request = await ask(broker)
    held = asyncio.ensure_future(broker.wait(request.id, seconds=60, by=AGENT))
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await broker.wait(request.id, seconds=60, by=AGENT)
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    assert broker.waits == 0


async def test_what_is_due_expires_and_wakes_its_waiter(broker: Broker, clock: FakeClock) -> None:
    request = await ask(broker, timeout_seconds=10)
    other = await ask(broker, timeout_seconds=20)
    waiting = asyncio.ensure_future(broker.wait(request.id, seconds=60, by=AGENT))
    await asyncio.sleep(0)
    clock.advance(9.99)
    assert await broker.expire_due() == 0
    clock.advance(0.01)
    assert await broker.expire_due() == 1
    expired = await waiting
    assert (expired.status, expired.approved) == (Status.EXPIRED, False)
    assert (await broker.get(other.id, by=AGENT)).status is Status.PENDING
    with pytest.raises(InvalidTransitionError) as caught:
        await decide(broker, request, "approve")
    assert caught.value.reason_code == "expired"
    assert caught.value.request is not None
    assert caught.value.request["status"] == "expired"


async def test_a_decision_in_the_moment_of_expiry_stands(clock: FakeClock) -> None:
    class Racing(MemoryStore):
        async def due(self, now: object, limit: int) -> list[Request]:
            due = list(await super().due(now, limit))
            for request in due:
                late = Answer(type=DecisionType.APPROVE)
                clock.advance(-5)
                await broker.decide(request.id, late, by=PERSON, channel=Channel.WEB)
                clock.advance(5)
            return due

    broker = Broker(Racing(), MemorySignal(), clock)
    request = await ask(broker, timeout_seconds=10)
    clock.advance(11)
    assert await broker.expire_due() == 0
    assert (await broker.get(request.id, by=AGENT)).status is Status.APPROVED


async def test_only_a_person_decides(broker: Broker) -> None:
    request = await ask(broker)
    with pytest.raises(PersonRequiredError):
        await broker.decide(
            request.id, Answer(type=DecisionType.APPROVE), by=AGENT, channel=Channel.API
        )
    assert (await broker.get(request.id, by=AGENT)).status is Status.PENDING


async def test_of_many_deciders_the_first_wins_and_the_others_are_told(broker: Broker) -> None:
    request = await ask(broker)
    results = await asyncio.gather(
        *(decide(broker, request, kind) for kind in ["approve", "reject"] * 10),
        return_exceptions=True,
    )
    won = [result for result in results if isinstance(result, Request)]
    assert len(won) == 1
    told = [result for result in results if isinstance(result, InvalidTransitionError)]
    assert len(told) == 19
    assert all(error.request and error.request["status"] == won[0].status for error in told)


async def test_a_decision_that_meets_another_writer_looks_again(clock: FakeClock) -> None:
    class Contended(MemoryStore):
        losses = 3

        async def commit(self, change: Change) -> None:
            if change.expected_version and self.losses:
                self.losses -= 1
                raise ConflictError
            await super().commit(change)

    broker = Broker(Contended(), MemorySignal(), clock)
    request = await ask(broker)
    assert (await decide(broker, request, "approve")).status is Status.APPROVED


async def test_the_same_key_and_draft_is_the_same_request(broker: Broker) -> None:
    first = await broker.submit(make_draft("a"), by=AGENT, key="k")
    again = await broker.submit(make_draft("a"), by=AGENT, key="k")
    assert (first.replayed, again.replayed) == (False, True)
    assert again.request == first.request
    with pytest.raises(ConflictError) as caught:
        await broker.submit(make_draft("b"), by=AGENT, key="k")
    assert caught.value.reason_code == "idempotency_conflict"
    events, _ = await broker.store.events(EventQuery())
    assert len(events) == 1


async def test_a_replay_after_the_decision_returns_what_was_decided(broker: Broker) -> None:
    first = await broker.submit(make_draft("a"), by=AGENT, key="k")
    decided = await decide(broker, first.request, "reject", reason="no")
    again = await broker.submit(make_draft("a"), by=AGENT, key="k")
    assert again.request == decided


async def test_an_edit_must_fit_the_tools_schema(broker: Broker) -> None:
    action = ActionDraft(tool_name="pay", tool_args={"amount": 500}, args_schema=ARGS_SCHEMA)
    request = await ask(broker, action=action)
    for args in ({"amount": 101}, {"amount": "5"}, {}, {"amount": 5, "to": "me"}):
        with pytest.raises(InvalidAnswerError) as caught:
            await decide(broker, request, "edit", args=args)
        assert caught.value.errors[0]["at"].startswith("$.args")
    edited = await decide(broker, request, "edit", args={"amount": 99})
    assert edited.arguments == {"amount": 99}
    assert edited.decision is not None
    assert edited.decision.digest == Action(tool_name="pay", tool_args={"amount": 99}).digest


async def test_a_form_is_checked_field_by_field(broker: Broker) -> None:
    request = await ask(broker, schema=FORM)
    for content in ({}, {"name": "x"}, {"name": "Ada", "n": 1.5}, "text", ["Ada"]):
        with pytest.raises(InvalidAnswerError):
            await decide(broker, request, "respond", content=content)
    answered = await decide(broker, request, "respond", content={"name": "Ada", "n": 3})
    assert answered.answer == {"name": "Ada", "n": 3}
    assert answered.approved


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}},
        {"type": "object", "properties": {"a": {"type": "string", "minLength": -1}}},
        {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}},
        {"type": "object", "properties": {"a": "string"}},
        {"type": "object", "properties": {str(n): {"type": "string"} for n in range(101)}},
    ],
)
async def test_a_form_that_is_not_flat_is_refused_as_it_is_asked(
    broker: Broker, schema: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await ask(broker, schema=schema)
    assert caught.value.errors[0]["at"].startswith("$.schema")


async def test_a_schema_fetches_nothing(broker: Broker) -> None:
    action = ActionDraft(
        tool_name="t", tool_args={}, args_schema={"$ref": "http://127.0.0.1:9/schema.json"}
    )
    with pytest.raises(InvalidRequestError, match="not followed"):
        await ask(broker, action=action)


async def test_a_closed_session_takes_no_more_requests(broker: Broker) -> None:
    await broker.sessions.register("s", "c", telegram_id=None, by=AGENT)
    await ask(broker, session_id="s")
    await broker.sessions.deactivate("s", by=AGENT)
    with pytest.raises(RefusedError) as caught:
        await ask(broker, session_id="s")
    assert caught.value.reason_code == "session_inactive"
    await broker.sessions.register("s", "c", telegram_id=None, by=AGENT)
    await ask(broker, session_id="s")


async def test_what_is_not_there_is_not_found(broker: Broker) -> None:
    with pytest.raises(NotFoundError):
        await broker.get("nope", by=AGENT)
    with pytest.raises(NotFoundError):
        await broker.wait("nope", seconds=60, by=AGENT)
    with pytest.raises(NotFoundError):
        await broker.sessions.get("nope", by=AGENT)
    assert broker.waits == 0


async def test_the_log_tells_each_step_and_who_took_it(broker: Broker) -> None:
    request = await ask(broker, session_id="s", action=ActionDraft(tool_name="t", tool_args={}))
    await decide(broker, request, "approve")
    events, _ = await broker.store.events(EventQuery())
    assert [(e.type, e.actor) for e in events] == [
        ("request.submitted", "agent:agent-1"),
        ("request.decided", "person:ada"),
    ]
    assert request.action is not None
    assert events[0].data["digest"] == events[1].data["digest"] == request.action.digest
    assert encode(events[1])


async def test_a_decision_whose_caller_is_cancelled_stands_and_wakes_its_waiter(
    clock: FakeClock, tmp_path: Path
) -> None:
    store = SqliteStore(tmp_path / "sayso.db")
    await store.open()
    try:
        broker = Broker(store, MemorySignal(), clock)
        request = await ask(broker)
        waiting = asyncio.ensure_future(broker.wait(request.id, seconds=60, by=AGENT))
        deciding = asyncio.ensure_future(decide(broker, request, "approve"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        deciding.cancel()
        await asyncio.gather(deciding, return_exceptions=True)
        assert (await asyncio.wait_for(waiting, 30)).status is Status.APPROVED
        with pytest.raises(InvalidTransitionError):
            await asyncio.wait_for(decide(broker, request, "reject"), 30)
    finally:
        await store.close()
