"""Requests to a backend that outlive their process, on every database."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sayso.backends import (
    ApprovalStore,
    CircuitBreakerConfig,
    CircuitState,
    InMemoryApprovalStore,
    PendingApprovalRecord,
    PersistentWebhookBackend,
    PostgresApprovalStore,
    RedisApprovalStore,
    RetryConfig,
    SQLiteApprovalStore,
)
from sayso.backends.delivery import Breaker
from sayso.compat.hitloop import persistence
from sayso.domain.actions import Action, RiskClass
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Answer, Decision, DecisionType
from sayso.domain.requests import Status
from sayso.errors import (
    ConfigurationError,
    InvalidAnswerError,
    InvalidTransitionError,
    NotApprovedError,
    NotFoundError,
)
from sayso.gate import Gate
from sayso.gate.ports import ApprovalError
from sayso.policies import RiskBasedPolicy
from sayso.stores import postgres_database
from sayso.testing import FakeClock

pytestmark = pytest.mark.anyio

Opener = Callable[[], Awaitable[ApprovalStore]]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds who want a connection at once wait for it as long as a busy machine takes."""
    monkeypatch.setattr(postgres_database, "CONNECT_SECONDS", 60)


WRONG: list[dict[str, Any]] = [
    {"decided_by": None},
    {"decided_by": True},
    {"decided_by": "\ud800"},
    {"reason": {"a": 1}},
    {"reason": 5},
    {"reason": "\ud800"},
    {"tags": [1]},
    {"tags": "urgent"},
    {"tags": 5},
    {"args": [1]},
    {"args": {1: 2}},
]
ARGS = {"to": "bob", "amount": 12, "when": date(2026, 1, 2)}


def asked(**fields: Any) -> ApprovalRequest:
    action = Action(
        id="call-1",
        tool_name="pay",
        tool_args=fields.pop("tool_args", ARGS),
        risk_class=RiskClass.HIGH,
        side_effects=("Money leaves.",),
        rationale="It is due.",
        context_refs=("invoice-7",),
        args_schema=fields.pop("args_schema", None),
    )
    told = {
        "summary_context": "They talked.",
        "policy_name": "p",
        "policy_reason": "HIGH",
        **fields,
    }
    return ApprovalRequest(run_id=told.pop("run_id", "run-1"), action=action, **told)


class Outbox:
    def __init__(self) -> None:
        self.ids: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, _: ApprovalRequest, callback_id: str, __: str) -> None:
        self.ids.put_nowait(callback_id)


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
async def opener(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens the same database once more; SQLite and memory have one user at a time."""
    opened: list[ApprovalStore] = []

    async def make() -> ApprovalStore:
        match request.param:
            case "memory":
                return opened[0] if opened else InMemoryApprovalStore()
            case "sqlite":
                return opened[0] if opened else SQLiteApprovalStore(tmp_path / "approvals.db")
            case "postgres":
                dsn = request.getfixturevalue("postgres_dsn")
                return await PostgresApprovalStore.from_conn_string(dsn)
            case _:
                return await RedisApprovalStore.from_url(request.getfixturevalue("redis_url"))

    async def open_one() -> ApprovalStore:
        store = await make()
        await store.setup()
        if store not in opened:
            opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.close()


async def asking(
    backend: PersistentWebhookBackend, outbox: Outbox, thread_id: str = "default", **fields: Any
) -> "tuple[asyncio.Task[Decision], str]":
    task = asyncio.ensure_future(backend.request_approval(asked(**fields), thread_id))
    return task, await asyncio.wait_for(outbox.ids.get(), 60)


class TooSlowError(Exception):
    """Time was up before the machine had done what comes before that."""


async def in_time(attempt: Callable[[float], Awaitable[None]], seconds: float) -> None:
    """Carry it out with so many seconds for an answer; with more if the machine is too slow."""
    for each in (seconds, 5.0):
        with contextlib.suppress(TooSlowError):
            return await attempt(each)
    return await attempt(30.0)


@contextlib.contextmanager
def too_slow() -> Iterator[None]:
    """What could not be sent in time is to be tried again with more of it."""
    try:
        yield
    except ApprovalError as error:
        if "before its time was up" in str(error):
            raise TooSlowError from error
        raise


async def test_another_worker_takes_the_callback_and_the_one_that_waits_wakes(
    opener: Opener, outbox: Outbox
) -> None:
    """hitloop 11: it answered True, and the waiting agent was told no by timeout."""
    first = PersistentWebhookBackend(outbox, await opener(), timeout_seconds=120)
    second = PersistentWebhookBackend(outbox, await opener(), timeout_seconds=120)
    task, callback_id = await asking(first, outbox)
    assert await second.handle_callback(callback_id, True, "fine", "bob", ["a", "b"])
    decision = await asyncio.wait_for(task, 60)
    assert (decision.approved, decision.reason, decision.decided_by) == (True, "fine", "bob")
    assert (decision.action_id, decision.tags) == ("call-1", ("a", "b"))
    assert not await first.handle_callback(callback_id, False)


async def test_a_program_that_ends_in_good_order_leaves_its_requests_to_the_next(
    opener: Opener, outbox: Outbox
) -> None:
    """hitloop 10, 9, 14: a cancelled wait deleted the row, and records lacked what was asked."""
    backend = PersistentWebhookBackend(outbox, await opener(), timeout_seconds=120)
    task, callback_id = await asking(backend, outbox, "user-123")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    again = PersistentWebhookBackend(outbox, await opener(), timeout_seconds=120)
    [record] = await again.recover_pending("user-123")
    assert record.callback_id == callback_id
    assert await again.recover_pending("somebody-else") == []
    request = record.to_request()
    wanted = asked(thread_id="user-123")
    assert request.action.digest == wanted.action.digest, "Dates are kept as JSON has them."
    for name in ("risk_class", "side_effects", "rationale", "context_refs", "id"):
        assert getattr(request.action, name) == getattr(wanted.action, name)
    for name in ("run_id", "thread_id", "summary_context", "policy_name", "policy_reason"):
        assert getattr(request, name) == getattr(wanted, name)
    assert await again.handle_callback(callback_id, True, "meanwhile")
    decision = await asyncio.wait_for(again.register_pending(record), 60)
    assert (decision.approved, decision.reason) == (True, "meanwhile")
    assert await again.recover_pending() == []


async def test_a_decision_stays_on_record_with_who_made_it_and_when(
    opener: Opener, outbox: Outbox
) -> None:
    """hitloop 9, 20: no column held a decision, and rows were deleted with it."""
    store = await opener()
    backend = PersistentWebhookBackend(outbox, store, timeout_seconds=120)
    task, callback_id = await asking(backend, outbox)
    await backend.handle_callback(callback_id, False, "not now", "carol")
    await task
    record = await store.get(callback_id)
    assert record is not None
    assert (record.status, record.is_expired()) == (Status.REJECTED, False)
    assert record.decision is not None
    assert (record.decision.reason, record.decision.decided_by) == ("not now", "carol")
    assert record.decision.decided_at is not None
    assert await store.get("made-up") is None


async def test_one_who_waits_again_is_told_when_it_expires(opener: Opener, outbox: Outbox) -> None:
    """hitloop 13, 16: a recovered request waited for ever, and its late callback was taken."""
    store = await opener()

    async def attempt(seconds: float) -> None:
        backend = PersistentWebhookBackend(outbox, store, timeout_seconds=seconds)
        task = asyncio.ensure_future(backend.request_approval(asked()))
        sent = asyncio.ensure_future(outbox.ids.get())
        await asyncio.wait({task, sent}, return_when="FIRST_COMPLETED")
        records = await backend.recover_pending()
        if not sent.done() or not records:
            sent.cancel()
            await asyncio.gather(task, sent, return_exceptions=True)
            raise TooSlowError
        [record] = records
        future = backend.register_pending(record)
        for each in (task, future):
            decision = await asyncio.wait_for(each, 60)
            assert (decision.approved, decision.decided_by) == (False, "system:timeout")
        assert not await backend.handle_callback(sent.result(), True)
        assert await backend.recover_pending() == []
        assert backend.get_pending_count() == 0

    await in_time(attempt, 1)


async def test_all_requests_are_found_however_many_there_are(opener: Opener) -> None:
    """hitloop 14, 19: at most 100 were, and in Redis the expired ones counted."""
    store = await opener()
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    records = [
        PendingApprovalRecord(
            run_id="r", thread_id=f"t{n % 2}", tool_name="pay", tool_args={"n": n}
        )
        for n in range(410)
    ]
    brief = [
        PendingApprovalRecord(run_id="r", thread_id="t0", tool_name="x", expires_at=soon)
        for _ in range(5)
    ]
    await asyncio.gather(*map(store.put, records + brief))
    await asyncio.sleep(0.5)
    assert len(await store.list_pending()) == 410
    assert len(await store.list_pending("t1")) == 205
    assert len(await store.list_pending("t0", limit=7)) == 7
    assert await store.cleanup_expired() in range(6)


async def test_of_callbacks_at_two_workers_at_once_one_is_taken(
    opener: Opener, outbox: Outbox
) -> None:
    """hitloop 12: two concurrent callbacks were both taken, or one crashed."""
    stores = [await opener(), await opener()]
    workers = [PersistentWebhookBackend(outbox, store, timeout_seconds=120) for store in stores]
    for _ in range(5):
        task, callback_id = await asking(workers[0], outbox)
        taken = await asyncio.gather(
            *(workers[n % 2].handle_callback(callback_id, True, f"{n}") for n in range(6))
        )
        assert sum(taken) == 1
        assert (await asyncio.wait_for(task, 60)).reason == str(taken.index(True))


async def test_long_ids_and_names_are_kept(opener: Opener, outbox: Outbox) -> None:
    """hitloop 18: a thread id of more than 64 characters was an error of the database."""
    backend = PersistentWebhookBackend(outbox, await opener(), timeout_seconds=120)
    thread_id, run_id = "thread-" * 30, "run-" * 100
    task, callback_id = await asking(backend, outbox, thread_id, run_id=run_id)
    [record] = await backend.recover_pending(thread_id)
    assert (record.thread_id, record.run_id) == (thread_id, run_id)
    await backend.handle_callback(callback_id, True)
    await task
    with pytest.raises(ApprovalError, match="session_id"):
        await backend.request_approval(asked(), "t" * 257)


async def test_the_thread_is_the_requests_own_unless_another_is_named(
    opener: Opener, outbox: Outbox
) -> None:
    """hitloop 18: the gate named no thread, so that all were called default."""
    backend = PersistentWebhookBackend(outbox, await opener(), timeout_seconds=120)
    task = asyncio.ensure_future(backend.request_approval(asked(thread_id="chat-7")))
    callback_id = await outbox.ids.get()
    assert [each.callback_id for each in await backend.recover_pending("chat-7")] == [callback_id]
    await backend.cancel_pending(callback_id)
    await task


async def test_the_same_request_is_asked_once_however_often_it_is_asked(
    opener: Opener, outbox: Outbox
) -> None:
    first = PersistentWebhookBackend(outbox, await opener(), timeout_seconds=120)
    second = PersistentWebhookBackend(outbox, await opener(), timeout_seconds=120)
    one, callback_id = await asking(first, outbox, request_id="req-1")
    two, again = await asking(second, outbox, request_id="req-1")
    assert callback_id == again
    assert len(await first.recover_pending()) == 1
    await first.handle_callback(callback_id, True, "once")
    assert [(await each).reason for each in (one, two)] == ["once", "once"]
    late = await second.request_approval(asked(request_id="req-1"))
    assert late.reason == "once"
    assert outbox.ids.empty(), "What is decided is not sent."


async def test_changed_arguments_must_fit_the_tools_schema(opener: Opener, outbox: Outbox) -> None:
    schema = {"type": "object", "properties": {"amount": {"type": "integer", "maximum": 100}}}
    backend = PersistentWebhookBackend(outbox, await opener(), timeout_seconds=120)
    task, callback_id = await asking(backend, outbox, args_schema=schema)
    with pytest.raises(InvalidAnswerError, match="amount"):
        await backend.handle_callback(callback_id, True, args={"amount": 1_000})
    assert await backend.handle_callback(callback_id, True, args={"amount": 1})
    decision = await task
    assert decision.args == {"amount": 1}
    assert decision.digest == Action(tool_name="pay", tool_args={"amount": 1}).digest


async def test_a_record_is_written_and_read_as_json(opener: Opener) -> None:
    store = await opener()
    record = await store.put(
        PendingApprovalRecord(run_id="r", tool_name="pay", metadata={"ticket": 7}),
        timeout_seconds=9,
    )
    assert PendingApprovalRecord.from_dict(record.to_dict()) == record
    assert record.metadata == {"ticket": 7}
    assert record.expires_at is not None
    url = await store.callback_url("http://app/back", record)
    query = dict(part.split("=") for part in url.partition("?")[2].split("&"))
    assert await store.verify(record.callback_id, query["expires"], query["signature"])
    assert await store.cancel(record.callback_id)
    answer = Answer(type=DecisionType.APPROVE)
    assert not await store.decide(record.callback_id, answer, decided_by="x")
    assert await store.wait("made-up") is None


async def test_an_approval_is_good_for_one_run_whichever_gate_or_process_asks_again(
    opener: Opener, outbox: Outbox
) -> None:
    """A keyed call that had run was run again after a restart, on the approval that was kept."""
    ran: list[str] = []

    async def gate() -> Gate:
        backend = PersistentWebhookBackend(outbox, await opener(), timeout_seconds=120)
        return Gate(RiskBasedPolicy(), backend)

    def pay(**_: Any) -> None:
        ran.append("paid")

    gates = [await gate(), await gate()]
    running = [asyncio.ensure_future(each.run(asked().action, pay, key="job:1")) for each in gates]
    [callback_id] = {await asyncio.wait_for(outbox.ids.get(), 60) for _ in gates}
    store = await opener()
    assert await PersistentWebhookBackend(outbox, store).handle_callback(callback_id, True)
    ends = await asyncio.gather(*running, return_exceptions=True)
    assert sorted(type(each) for each in ends if each) == [InvalidTransitionError]
    with pytest.raises(InvalidTransitionError) as refused:
        await (await gate()).run(asked().action, pay, key="job:1")
    assert refused.value.reason_code == "already_claimed"
    assert (ran, outbox.ids.empty()) == (["paid"], True)


async def test_what_silence_allows_runs_once_as_well(opener: Opener, outbox: Outbox) -> None:
    async def go_on(request: ApprovalRequest) -> Decision:
        return Decision(action_id=request.action.id, approved=True, decided_by="on call")

    ran: list[str] = []

    async def run(seconds: float) -> None:
        backend = PersistentWebhookBackend(
            outbox, await opener(), timeout_seconds=seconds, on_timeout=go_on
        )
        gate = Gate(RiskBasedPolicy(), backend)
        await gate.run(asked().action, lambda **_: ran.append("paid"), key=f"job:{seconds}")

    async def attempt(seconds: float) -> None:
        with too_slow():
            await run(seconds)
        with pytest.raises(InvalidTransitionError) as refused:
            await run(seconds)
        assert (ran, refused.value.reason_code) == (["paid"], "already_claimed")

    await in_time(attempt, 0.2)


async def test_an_approval_that_is_too_old_or_for_something_else_does_not_run(
    outbox: Outbox,
) -> None:
    store = InMemoryApprovalStore()
    backend = PersistentWebhookBackend(outbox, store, timeout_seconds=120)
    task, callback_id = await asking(backend, outbox, request_id="req-1")
    await backend.handle_callback(callback_id, True)
    digest = (await task).digest
    assert digest is not None
    with pytest.raises(InvalidTransitionError) as other:
        await backend.claim("req-1", "sha256:other")
    assert other.value.reason_code == "digest_mismatch"
    with pytest.raises(NotFoundError, match="req-2"):
        await backend.claim("req-2", digest)
    (await store._opened()).broker.clock = FakeClock(datetime.now(UTC) + timedelta(hours=2))
    with pytest.raises(InvalidTransitionError, match="another key") as old:
        await backend.claim("req-1", digest)
    assert old.value.reason_code == "grant_expired"
    await backend.close()


async def test_a_claim_that_a_store_cannot_answer_runs_nothing(
    tmp_path: Path, outbox: Outbox
) -> None:
    taken = SQLiteApprovalStore(tmp_path / "a.db")
    await taken.setup()
    backend = PersistentWebhookBackend(outbox, taken, timeout_seconds=120)
    task, callback_id = await asking(backend, outbox, request_id="req-1")
    await backend.handle_callback(callback_id, True)
    digest = (await task).digest
    assert digest is not None
    await taken.close()
    (tmp_path / "a.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ApprovalError, match="store"):
        await backend.claim("req-1", digest)
    await backend.close()


async def test_what_cannot_be_read_again_is_not_written(opener: Opener, outbox: Outbox) -> None:
    """A number as `decided_by` was written, and nothing that was decided could be listed again."""
    store = await opener()
    backend = PersistentWebhookBackend(outbox, store, timeout_seconds=120)
    for wrong in WRONG:
        task, callback_id = await asking(backend, outbox)
        with pytest.raises(InvalidAnswerError):
            await backend.handle_callback(callback_id, True, **wrong)
        with pytest.raises(InvalidAnswerError):
            await backend.cancel_pending(callback_id, 5)
        record = await store.get(callback_id)
        assert record is not None
        assert record.status is Status.PENDING, wrong
        assert await backend.handle_callback(callback_id, True, decided_by=4242)
        assert (await task).decided_by == "4242"
    assert {each.decision.decided_by for each in await store.list_decided() if each.decision} == {
        "4242"
    }


async def test_a_gate_runs_what_the_callback_approved_and_nothing_else(outbox: Outbox) -> None:
    backend = PersistentWebhookBackend(outbox, timeout_seconds=120)
    gate = Gate(RiskBasedPolicy(), backend)
    ran: list[dict[str, Any]] = []
    running = asyncio.ensure_future(gate.run(asked().action, lambda **args: ran.append(args)))
    await backend.handle_callback(await outbox.ids.get(), True, args={"to": "alice"})
    await running
    assert ran == [{"to": "alice"}]
    running = asyncio.ensure_future(gate.run(asked().action, lambda **args: ran.append(args)))
    await backend.handle_callback(await outbox.ids.get(), False, "too much")
    with pytest.raises(NotApprovedError, match="too much"):
        await running
    assert len(ran) == 1
    await backend.close()


async def test_a_healthy_channel_stays_so_however_long_people_take(outbox: Outbox) -> None:
    """hitloop 21: half-open probes waited for the human, and all else was rejected meanwhile."""
    works, now = False, 0.0

    async def send(request: ApprovalRequest, callback_id: str, url: str) -> None:
        if not works:
            raise OSError("away")
        await outbox(request, callback_id, url)

    backend = PersistentWebhookBackend(
        send,
        timeout_seconds=120,
        retry_config=RetryConfig(max_retries=0),
    )
    backend._breaker = Breaker(CircuitBreakerConfig(2, 30, 1), lambda: now)
    for _ in range(2):
        with pytest.raises(ApprovalError, match="away"):
            await backend.request_approval(asked())
    assert backend.get_circuit_state() is CircuitState.OPEN
    with pytest.raises(ApprovalError, match="Circuit breaker open"):
        await backend.request_approval(asked())
    assert await backend.recover_pending() == [], "Nobody was asked, so nothing waits."
    works, now = True, 30.0
    waiting = [await asking(backend, outbox) for _ in range(5)]
    assert backend.get_circuit_state() is CircuitState.CLOSED
    for task, callback_id in waiting:
        assert not task.done()
        await backend.handle_callback(callback_id, True)
        assert (await task).approved
    await backend.close()


async def test_silence_and_errors_of_on_timeout_say_nothing_of_the_channel(outbox: Outbox) -> None:
    """hitloop 21: an error in the user's on_timeout opened the breaker."""

    async def broken(_: ApprovalRequest) -> Decision:
        raise ValueError("a bug")

    async def attempt(seconds: float) -> None:
        backend = PersistentWebhookBackend(
            outbox,
            timeout_seconds=seconds,
            circuit_breaker_config=CircuitBreakerConfig(failure_threshold=1),
            on_timeout=broken,
        )
        for _ in range(3):
            with pytest.raises(ValueError, match="a bug"), too_slow():
                await backend.request_approval(asked())
        assert backend.get_circuit_state() is CircuitState.CLOSED
        await backend.close()

    await in_time(attempt, 0.05)


async def test_a_delivery_is_tried_again_until_it_works_or_time_is_up(outbox: Outbox) -> None:
    """hitloop 16: tries took time that the deadline did not count."""
    tries = 0

    async def third_time(request: ApprovalRequest, callback_id: str, url: str) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError("not yet")
        await outbox(request, callback_id, url)

    async def hangs(*_: Any) -> None:
        await asyncio.sleep(60)

    retry = RetryConfig(max_retries=3, initial_delay=0.01)
    backend = PersistentWebhookBackend(third_time, timeout_seconds=120, retry_config=retry)
    task, callback_id = await asking(backend, outbox)
    await backend.handle_callback(callback_id, True)
    assert (await task).approved
    assert tries == 3
    await backend.close()
    stuck = PersistentWebhookBackend(hangs, timeout_seconds=0.2)
    with pytest.raises(ApprovalError, match="could not be sent before"):
        await stuck.request_approval(asked())
    await stuck.close()


async def test_a_store_that_is_away_is_an_error_and_no_answer(
    tmp_path: Path, outbox: Outbox
) -> None:
    """hitloop 15: what the store raised escaped raw, or replaced an approval."""
    taken = SQLiteApprovalStore(tmp_path / "a.db")
    await taken.setup()
    backend = PersistentWebhookBackend(outbox, SQLiteApprovalStore(tmp_path / "a.db"))
    with pytest.raises(ApprovalError, match="store"):
        await backend.request_approval(asked())
    await backend.close()
    await taken.close()
    reopened = PersistentWebhookBackend(outbox, taken, timeout_seconds=120)
    task, callback_id = await asking(reopened, outbox)
    await reopened.close()
    with pytest.raises(ApprovalError, match="closed"):
        await task
    [record] = await reopened.recover_pending()
    assert record.callback_id == callback_id
    await reopened.close()


async def test_addresses_that_lead_to_no_store_are_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="no store"):
        await PostgresApprovalStore.from_conn_string("mysql://localhost/x")


class _Kept:
    """As stores were written for hitloop: no verb claims, none keeps a decision."""

    async def put(self, record: PendingApprovalRecord) -> None: ...

    async def get(self, callback_id: str) -> PendingApprovalRecord | None: ...

    async def delete(self, callback_id: str) -> bool: ...

    async def list_pending(self, thread_id: str | None = None, limit: int = 100) -> list[Any]: ...


def test_a_store_written_for_hitloop_is_refused_before_anything_is_asked() -> None:
    class Subclassed(_Kept, persistence.ApprovalStore):
        def __init__(self) -> None:
            self.records: dict[str, Any] = {}

    async def send(*_: Any) -> None: ...

    makes: list[Any] = [Subclassed, lambda: PersistentWebhookBackend(send, _Kept())]
    for make in makes:
        with pytest.raises(ConfigurationError, match="run twice") as told:
            make()
        assert "SQLiteApprovalStore" in told.value.hint
