"""What a call of a tool looks like as spans."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from support.traces import ACTION, REQUEST, decided, ran

from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision, Reviewer
from sayso.errors import NotApprovedError
from sayso.gate import ApprovalBackend, ApprovalError, Gate
from sayso.policies.base import NO_CONTEXT, Context, Effect, Policy, Verdict
from sayso.telemetry import otel
from sayso.telemetry.otel import OpenTelemetry, hashed

CALL = "execute_tool send_email"


class Spans:
    """A tracer provider, and what it has exported."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = self.provider.get_tracer("test")

    def named(self, name: str) -> ReadableSpan:
        (span,) = (span for span in self._kept.get_finished_spans() if span.name == name)
        return span

    @property
    def names(self) -> list[str]:
        return [span.name for span in self._kept.get_finished_spans()]

    @property
    def as_json(self) -> list[str]:
        return [span.to_json() for span in self._kept.get_finished_spans()]


@pytest.fixture
def spans() -> Spans:
    return Spans()


class Says(Policy):
    def __init__(self, effect: Effect) -> None:
        self.effect = effect

    @property
    def name(self) -> str:
        return "says"

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        return Verdict(effect=self.effect, reason="because", policy="says")


class Person(ApprovalBackend):
    def __init__(self, answer: Callable[[ApprovalRequest], Decision]) -> None:
        self._answer = answer

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        await asyncio.sleep(0.02)
        return self._answer(request)


def yes(request: ApprovalRequest) -> Decision:
    return Decision(approved=True, by=Reviewer(id="bob-1", name="Bob"))


def no(request: ApprovalRequest) -> Decision:
    return Decision(approved=False, reason="not today", decided_by="Bob")


def fails(request: ApprovalRequest) -> Decision:
    raise ApprovalError("nobody is there")


def gate(spans: Spans, effect: Effect, person: Any = yes, **options: Any) -> Gate:
    telemetry = OpenTelemetry(spans.provider, **options)
    return Gate(Says(effect), Person(person), telemetry=telemetry, session_id="chat-1")


async def test_an_allowed_call_is_a_span_in_which_the_tool_runs(spans: Spans) -> None:
    def tool(**_: Any) -> str:
        with spans.tracer.start_as_current_span("SMTP"):
            return "sent"

    with spans.tracer.start_as_current_span("agent"):
        assert await gate(spans, Effect.ALLOW).run(ACTION, tool) == "sent"
        assert trace.get_current_span().get_span_context().is_valid
    assert spans.names == ["SMTP", CALL, "agent"]
    call, inner, agent = spans.named(CALL), spans.named("SMTP"), spans.named("agent")
    assert call.kind is SpanKind.INTERNAL
    assert call.parent == agent.context
    assert inner.parent == call.context
    assert dict(call.attributes or {}) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "send_email",
        "gen_ai.tool.call.id": "call-1",
        "gen_ai.tool.type": "function",
        "gen_ai.conversation.id": "chat-1",
        "hitl.risk": "high",
    }
    assert call.status.status_code is StatusCode.UNSET


async def test_a_wait_is_a_span_within_the_call(spans: Spans) -> None:
    def edits(request: ApprovalRequest) -> Decision:
        to = {**request.action.tool_args, "to": "carol"}
        return Decision(approved=True, args=to, by=Reviewer(id="bob-1", name="Bob"))

    await gate(spans, Effect.ASK, edits).run(ACTION, lambda **_: None)
    call, wait = spans.named(CALL), spans.named("hitl.wait")
    assert wait.parent == call.context
    told = dict(wait.attributes or {})
    assert told.pop("hitl.wait_ms") >= 20  # type: ignore[operator]
    assert told.pop("hitl.request.id")
    assert told == {
        "gen_ai.tool.name": "send_email",
        "hitl.request.kind": "approval",
        "hitl.policy.rule": "says",
        "hitl.risk": "high",
        "hitl.decision": "edit",
        "hitl.decision.edited": True,
        "hitl.channel": "program",
        "hitl.reviewer.id": hashed("bob-1"),
    }
    assert (call.attributes or {})["hitl.decision"] == "edit"
    assert call.links == ()


async def test_reviewers_are_named_and_arguments_told_only_if_asked(spans: Spans) -> None:
    telling = {"arguments": True, "redact": ["*:to"], "reviewer": str}
    await gate(spans, Effect.ASK, **telling).run(ACTION, lambda **_: None)
    assert (spans.named("hitl.wait").attributes or {})["hitl.reviewer.id"] == "bob-1"
    told = (spans.named(CALL).attributes or {})["gen_ai.tool.call.arguments"]
    assert json.loads(str(told)) == {**ACTION.tool_args, "to": "[redacted]"}
    other = Spans()
    await gate(other, Effect.ASK).run(ACTION, lambda **_: None)
    for span in (other.named("hitl.wait"), other.named(CALL)):
        assert "bob" not in str(dict(span.attributes or {}))


async def test_errors_that_quote_what_is_redacted_lose_it(spans: Spans) -> None:
    secret = "alice@example.com"
    action = ACTION.with_args({"to": secret})

    def broken(*_: Any, **__: Any) -> None:
        raise ApprovalError(f"{secret} cannot be reached")

    for effect, person in ((Effect.ALLOW, yes), (Effect.ASK, broken)):
        with pytest.raises(ApprovalError, match=secret):
            await gate(spans, effect, person, redact=["*:to"]).run(action, broken)
    told = spans.as_json
    assert len(told) == 3
    assert not any(secret in each for each in told)
    assert any("[redacted] cannot be reached" in each for each in told)


@pytest.mark.parametrize(
    ("effect", "person", "decision", "error"),
    [
        (Effect.ASK, no, "reject", None),
        (Effect.DENY, yes, "reject", None),
        (Effect.ASK, fails, None, "ApprovalError"),
    ],
)
async def test_a_call_that_may_not_run_ends_with_what_was_decided(
    spans: Spans, effect: Effect, person: Any, decision: str | None, error: str | None
) -> None:
    with (
        spans.tracer.start_as_current_span("agent"),
        pytest.raises((NotApprovedError, ApprovalError)),
    ):
        await gate(spans, effect, person).run(ACTION, lambda **_: None)
    call = spans.named(CALL)
    assert (call.attributes or {}).get("hitl.decision") == decision
    assert (call.attributes or {}).get("error.type") == error
    assert "agent" in spans.names
    assert ("hitl.wait" in spans.names) is (effect is Effect.ASK)


async def test_a_tool_that_fails_is_an_error(spans: Spans) -> None:
    def tool(**_: Any) -> None:
        raise OSError("no route")

    with pytest.raises(OSError, match="no route"):
        await gate(spans, Effect.ALLOW).run(ACTION, tool)
    call = spans.named(CALL)
    assert call.status.status_code is StatusCode.ERROR
    assert (call.attributes or {})["error.type"] == "OSError"


async def test_calls_that_run_at_once_do_not_get_mixed(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    """The same call, several times at once: tools see their own span, whoever ends first."""
    seen: list[int] = []
    ours = gate(spans, Effect.ASK)

    async def tool(**_: Any) -> None:
        before = trace.get_current_span().get_span_context().span_id
        await asyncio.sleep(0.001 * (5 - len(seen)))
        seen.append(before)
        assert trace.get_current_span().get_span_context().span_id == before

    await asyncio.gather(*(ours.run(ACTION, tool) for _ in range(5)))
    assert len(set(seen)) == 5
    assert spans.names.count(CALL) == 5
    assert "detach" not in caplog.text


def test_a_wait_that_outlives_its_trace_is_linked_from_where_it_goes_on(spans: Spans) -> None:
    telemetry = OpenTelemetry(spans.provider)
    with spans.tracer.start_as_current_span("first"):
        telemetry.log_action_proposed("r", ACTION)
        telemetry.log_approval_requested("r", REQUEST)
    with spans.tracer.start_as_current_span("second"):
        telemetry.log_approval_decided("r", decided(), "web")
        telemetry.log_tool_execution_start("r", ACTION)
        telemetry.log_tool_execution_end("r", ran())
    assert spans.names == ["first", "hitl.wait", CALL, CALL, "second"]
    wait, asked, ran_span = spans._kept.get_finished_spans()[1:4]
    first, second = spans.named("first"), spans.named("second")
    assert asked.parent == first.context
    assert wait.parent == asked.context
    assert ran_span.parent == second.context
    assert [link.context for link in ran_span.links] == [wait.context]
    assert (asked.attributes or {})["hitl.decision"] == "approve"


def test_a_decision_about_what_another_process_asked_tells_the_wait_all_the_same(
    spans: Spans,
) -> None:
    telemetry = OpenTelemetry(spans.provider)
    telemetry.log_approval_decided("r", decided(latency_ms=5000), "web")
    telemetry.log_tool_execution_start("r", ACTION)
    telemetry.log_tool_execution_end("r", ran())
    wait, call = spans.named("hitl.wait"), spans.named(CALL)
    assert wait.end_time is not None
    assert wait.start_time is not None
    assert 4.9e9 < wait.end_time - wait.start_time < 60e9
    assert (wait.attributes or {})["hitl.wait_ms"] == 5000
    assert [link.context for link in call.links] == [wait.context]


def test_calls_that_never_end_are_told_in_the_end(
    spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otel, "MOST_OPEN", 2)
    telemetry = OpenTelemetry(spans.provider)
    for run in ("a", "b", "c"):
        telemetry.log_action_proposed(run, ACTION)
    assert (spans.named(CALL).attributes or {})["gen_ai.conversation.id"] == "a"


def test_what_cannot_be_told_is_counted_and_raises_nothing(spans: Spans) -> None:
    telemetry = OpenTelemetry(spans.provider)
    telemetry.log_action_proposed("r", None)  # type: ignore[arg-type]
    telemetry.log_tool_execution_end("r", ran())
    assert telemetry.errors == 1
    assert spans.names == []


def test_an_error_beside_a_call_is_told_in_the_current_span(spans: Spans) -> None:
    telemetry = OpenTelemetry(spans.provider)
    with spans.tracer.start_as_current_span("agent"):
        telemetry.log_error("r", ValueError("x"), {"request_id": "q"})
    (event,) = spans.named("agent").events
    assert event.name == "exception"
