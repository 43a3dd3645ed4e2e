"""Requests that are sent out, and answers that come back, in one process."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from asked import asked

from sayso.backends import PersistentWebhookBackend, RetryConfig, WebhookBackend
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Channel, Decision
from sayso.errors import ConfigurationError, InvalidAnswerError, InvalidRequestError
from sayso.gate.ports import ApprovalError, ApprovalTimeoutError

pytestmark = pytest.mark.anyio

SPAN = f"00-{'a' * 32}-{'b' * 16}-01"

Backend = WebhookBackend | PersistentWebhookBackend


class Outbox:
    """What was sent out."""

    def __init__(self) -> None:
        self.sent: list[tuple[ApprovalRequest, str, str]] = []
        self._come = asyncio.Event()
        self.full = asyncio.Event()
        """Set by the twentieth."""

    async def __call__(self, request: ApprovalRequest, callback_id: str, url: str) -> None:
        self.sent.append((request, callback_id, url))
        self._come.set()
        if len(self.sent) == 20:
            self.full.set()

    async def callback_id(self) -> str:
        """The id of what comes next."""
        await self._come.wait()
        self._come.clear()
        return self.sent[-1][1]


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture(params=[WebhookBackend, PersistentWebhookBackend], ids=["memory", "persistent"])
def kind(request: pytest.FixtureRequest) -> type[Backend]:
    return request.param


@pytest.fixture
async def make(kind: type[Backend]) -> Any:
    """Makes backends of this kind, and closes them."""
    made: list[Backend] = []

    def make(*args: Any, **named: Any) -> Backend:
        made.append(kind(*args, **named))
        return made[-1]

    yield make
    for each in made:
        await each.close()


Make = Callable[..., Backend]


def asking(backend: Backend, **fields: Any) -> "asyncio.Future[Decision]":
    return asyncio.ensure_future(backend.request_approval(asked(**fields)))


@pytest.mark.parametrize(
    "hint", [SPAN, "", "é", " ", f"{SPAN}\n", "x\r\nX-Evil: 1", "x\0y", "\ud800", 5]
)
async def test_a_span_that_cannot_be_read_is_left_out_and_stops_no_question(
    make: Make, hint: Any
) -> None:
    async def answer(request: ApprovalRequest, callback_id: str, url: str) -> None:
        sent.append(request)
        await backend.handle_callback(callback_id, approved=True)

    sent: list[ApprovalRequest] = []
    backend = make(answer, timeout_seconds=60)
    decision = await backend.request_approval(asked(traceparent=hint))
    assert decision.approved
    assert sent[0].traceparent == (SPAN if hint == SPAN else "")


async def test_the_callback_answers_the_request(make: Make, outbox: Outbox) -> None:
    backend = make(outbox, timeout_seconds=60, callback_base_url="https://app.example/back")
    task = asking(backend)
    callback_id = await outbox.callback_id()
    request, _, url = outbox.sent[0]
    assert request.action.tool_name == "pay"
    assert url.startswith(f"https://app.example/back/{callback_id}?")
    assert backend.get_pending_count() == 1
    assert [each[0] for each in backend.get_pending_requests()] == [callback_id]
    assert await backend.handle_callback(
        callback_id, approved=True, decided_by="slack:alice", tags=["fast"]
    )
    decision = await task
    assert (decision.approved, decision.reason, decision.decided_by) == (
        True, "Approved", "slack:alice",
    )  # fmt: skip
    assert (decision.action_id, decision.tags) == ("call-1", ("fast",))
    assert decision.channel is Channel.WEBHOOK
    assert backend.get_pending_count() == 0
    assert not await backend.handle_callback(callback_id, approved=False), "An id is good once."
    assert not await backend.handle_callback("nothing", approved=True)


async def test_changed_arguments_come_back_with_the_decision(make: Make, outbox: Outbox) -> None:
    backend = make(outbox)
    task = asking(backend)
    callback_id = await outbox.callback_id()
    await backend.handle_callback(callback_id, True, args={"to": "alice", "amount": 1})
    assert (await task).args == {"to": "alice", "amount": 1}


async def test_arguments_that_cannot_run_are_refused_and_the_request_waits_on(
    make: Make, outbox: Outbox
) -> None:
    backend = make(outbox)
    task = asking(backend)
    callback_id = await outbox.callback_id()
    with pytest.raises((InvalidRequestError, InvalidAnswerError)):
        await backend.handle_callback(callback_id, True, args={"amount": float("nan")})
    assert not task.done()
    assert await backend.handle_callback(callback_id, False, "no")
    decision = await task
    assert (decision.approved, decision.reason, decision.args) == (False, "no", None)


@pytest.mark.parametrize("approved", ["false", "true", 1, 0, None, "yes"])
async def test_only_a_real_bool_is_an_answer(make: Make, outbox: Outbox, approved: Any) -> None:
    """hitloop 57: the text "false" approved."""
    backend = make(outbox)
    task = asking(backend)
    callback_id = await outbox.callback_id()
    with pytest.raises(InvalidAnswerError, match="neither true nor false"):
        await backend.handle_callback(callback_id, approved=approved)
    assert not task.done()
    await backend.handle_callback(callback_id, approved=False)
    assert not (await task).approved


@pytest.mark.parametrize(
    "wrong",
    [
        {"decided_by": None},
        {"decided_by": ["ann"]},
        {"reason": {"a": 1}},
        {"tags": [1]},
        {"tags": "urgent"},
        {"args": [1]},
    ],
    ids=str,
)
async def test_what_is_not_of_its_type_is_refused_and_the_request_waits_on(
    make: Make, outbox: Outbox, wrong: dict[str, Any]
) -> None:
    backend = make(outbox)
    task = asking(backend)
    callback_id = await outbox.callback_id()
    with pytest.raises(InvalidAnswerError):
        await backend.handle_callback(callback_id, True, **wrong)
    assert not task.done()
    assert await backend.handle_callback(callback_id, True, tags=("a", "b"), decided_by=4242)
    assert ((await task).decided_by, (await task).tags) == ("4242", ("a", "b"))


@pytest.mark.parametrize("callback_id", [None, 5, ["x"], "\ud800"])
async def test_what_is_no_id_answers_nothing(make: Make, outbox: Outbox, callback_id: Any) -> None:
    backend = make(outbox)
    assert not await backend.handle_callback(callback_id, True)
    assert not await backend.cancel_pending(callback_id)
    assert not await backend.verify_callback(callback_id, 0, "00")
    assert not await backend.verify_callback("id", None, None)


async def test_a_function_without_async_sends_as_well(make: Make, kind: type[Backend]) -> None:
    """It was called four times, and then could not be awaited."""
    sent: asyncio.Queue[str] = asyncio.Queue()
    persistent = kind is PersistentWebhookBackend
    how = {"retry_config": RetryConfig(3, 0.001)} if persistent else {}
    backend = make(lambda _, callback_id, __: sent.put_nowait(callback_id), **how)
    task = asking(backend)
    callback_id = await sent.get()
    await asyncio.sleep(0.1)
    assert await backend.handle_callback(callback_id, True)
    assert (await task).approved
    assert sent.empty()


async def test_a_function_that_cannot_be_called_so_is_told_of_at_once(make: Make) -> None:
    tries: list[object] = []

    async def wrong(request: ApprovalRequest, _: str, __: str) -> None:
        tries.append(request)
        raise TypeError("send() takes 1 positional argument")

    with pytest.raises(ApprovalError, match="positional"):
        await make(wrong, timeout_seconds=60).request_approval(asked())
    assert len(tries) == 1


async def test_silence_is_a_no_that_says_so(make: Make, outbox: Outbox) -> None:
    decision = await make(outbox, timeout_seconds=0.2).request_approval(asked())
    assert (decision.approved, decision.decided_by) == (False, "system:timeout")
    assert decision.reason == "Timeout after 0.2s - no human response"
    assert decision.latency_ms >= 150


async def test_a_callback_that_comes_too_late_is_told_so(make: Make, outbox: Outbox) -> None:
    """hitloop 16: it was taken, for an action "unknown"."""
    backend = make(outbox, timeout_seconds=0.1)
    while not outbox.sent:  # on a busy machine time may be up before it is sent
        await backend.request_approval(asked())
    assert not await backend.handle_callback(outbox.sent[0][1], approved=True)


async def test_what_silence_means_can_be_said(make: Make, outbox: Outbox) -> None:
    async def escalated(request: ApprovalRequest) -> Decision:
        return Decision(action_id=request.action.id, approved=False, reason="asked the boss")

    async def raised(_: ApprovalRequest) -> Decision:
        raise ApprovalTimeoutError("nobody is there")

    backend = make(outbox, timeout_seconds=0.1, on_timeout=escalated)
    assert (await backend.request_approval(asked())).reason == "asked the boss"
    with pytest.raises(ApprovalTimeoutError, match="nobody is there"):
        await make(outbox, timeout_seconds=0.1, on_timeout=raised).request_approval(asked())


async def test_without_a_time_limit_it_waits(make: Make, outbox: Outbox) -> None:
    backend = make(outbox, timeout_seconds=0)
    task = asking(backend)
    callback_id = await outbox.callback_id()
    assert "expires=0&" in outbox.sent[0][2]
    await asyncio.sleep(0.1)
    assert not task.done()
    assert await backend.handle_callback(callback_id, True)
    assert (await task).approved


async def test_a_question_can_be_taken_back(make: Make, outbox: Outbox) -> None:
    """hitloop 22: the persistent backend had none of these methods."""
    backend = make(outbox)
    task = asking(backend)
    callback_id = await outbox.callback_id()
    assert await backend.cancel_pending(callback_id, "not needed any more")
    decision = await task
    assert (decision.approved, decision.decided_by) == (False, "system:cancelled")
    assert decision.reason == "not needed any more"
    assert not await backend.cancel_pending(callback_id)
    assert not await backend.handle_callback(callback_id, True)


async def test_what_cannot_be_sent_is_an_error_and_nobodys_no(kind: type[Backend]) -> None:
    """hitloop 21: a failed delivery became a rejection."""

    async def broken(*_: Any) -> None:
        raise OSError("Slack is down")

    if kind is PersistentWebhookBackend:
        backend: Backend = PersistentWebhookBackend(broken, retry_config=RetryConfig(0))
    else:
        backend = WebhookBackend(broken)
    with pytest.raises(ApprovalError, match="Slack is down"):
        await backend.request_approval(asked())
    assert backend.get_pending_count() == 0
    await backend.close()


async def test_an_answer_during_the_delivery_counts_at_once(make: Make) -> None:
    async def answers_then_hangs(_: ApprovalRequest, callback_id: str, __: str) -> None:
        await backend.handle_callback(callback_id, True, "quick")
        await asyncio.sleep(300)

    backend = make(answers_then_hangs, timeout_seconds=60)
    assert (await backend.request_approval(asked())).reason == "quick"


async def test_of_many_callbacks_at_once_the_first_wins(make: Make, outbox: Outbox) -> None:
    """hitloop 12: one of two got an error, and the second one could win."""
    backend = make(outbox)
    for _ in range(10):
        task = asking(backend)
        callback_id = await outbox.callback_id()
        taken = await asyncio.gather(
            *(backend.handle_callback(callback_id, n % 2 == 0, f"{n}") for n in range(8))
        )
        assert sum(taken) == 1
        assert (await task).reason == str(taken.index(True))


async def test_a_callback_may_come_in_on_another_threads_event_loop(
    make: Make, outbox: Outbox
) -> None:
    backend = make(outbox)
    task = asking(backend)
    callback_id = await outbox.callback_id()
    taken: list[bool] = []
    thread = threading.Thread(
        target=lambda: taken.append(
            asyncio.run(backend.handle_callback(callback_id, True, "there"))
        )
    )
    thread.start()
    decision = await task
    await asyncio.to_thread(thread.join)
    assert taken == [True]
    assert decision.reason == "there"


def test_one_backend_serves_one_event_loop_after_the_other(kind: type[Backend]) -> None:
    async def once() -> Decision:
        async def yes(_: ApprovalRequest, callback_id: str, __: str) -> None:
            await backend.handle_callback(callback_id, True)

        backend._send = yes
        return await backend.request_approval(asked())

    async def nothing(*_: Any) -> None: ...

    backend = kind(nothing, timeout_seconds=60)
    assert asyncio.run(once()).approved
    assert asyncio.run(once()).approved
    asyncio.run(backend.close())


async def test_the_address_that_was_sent_verifies_and_no_other_does(
    make: Make, outbox: Outbox
) -> None:
    backend = make(outbox)
    task = asking(backend)
    callback_id = await outbox.callback_id()
    query = {name: each[0] for name, each in parse_qs(urlsplit(outbox.sent[0][2]).query).items()}
    assert await backend.verify_callback(callback_id, query["expires"], query["signature"])
    assert not await backend.verify_callback(callback_id, query["expires"], "0" * 64)
    assert not await backend.verify_callback("other", query["expires"], query["signature"])
    await backend.cancel_pending(callback_id)
    await task


async def test_ids_cannot_be_guessed_and_never_come_twice(make: Make, outbox: Outbox) -> None:
    """hitloop 17: 8 hex digits; a collision overwrote somebody else's question."""
    backend = make(outbox)
    tasks = [asking(backend) for _ in range(20)]
    await outbox.full.wait()
    ids = {callback_id for _, callback_id, _ in outbox.sent}
    assert len(ids) == 20
    assert all(len(each) >= 32 for each in ids), "192 bits or more as base64"
    for each in ids:
        await backend.cancel_pending(each)
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
async def test_what_is_no_time_is_refused(
    kind: type[Backend], outbox: Outbox, seconds: float
) -> None:
    with pytest.raises(ConfigurationError, match="timeout_seconds"):
        kind(outbox, timeout_seconds=seconds)
