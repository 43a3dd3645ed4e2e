"""What a gate does as OpenTelemetry spans, after the conventions for generative AI.

There are no conventions for approvals yet; what is told of them has names that begin with `hitl.`.
"""

import hashlib
import logging
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Channel, Decision
from sayso.domain.traces import ToolResult
from sayso.errors import MissingExtraError
from sayso.telemetry.guard import never_raising
from sayso.telemetry.payloads import text_of
from sayso.telemetry.redaction import Quotes, Redactor
from sayso.types import JsonObject
from sayso.version import __version__

try:
    from opentelemetry import context, trace
    from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, TraceFlags
except ModuleNotFoundError as error:
    raise MissingExtraError("opentelemetry", "otel") from error

MOST_OPEN = 10_000
"""Calls whose end is waited for; the oldest beyond that are told as they are."""
_RUNNING = context.create_key("sayso-running-call")

log = logging.getLogger("sayso.telemetry")


def hashed(reviewer_id: str) -> str:
    """A reviewer as 16 hex digits: the same person is the same, and is not named."""
    return hashlib.sha256(f"sayso reviewer {reviewer_id}".encode()).hexdigest()[:16]


class OpenTelemetry:
    """Tells each call of a tool as a span, and the wait for people as another one within it.

    A call is a span `execute_tool NAME` from the proposal to its end; while the tool runs it is the
    current one, so that what the tool does is told within it. A wait is a span `hitl.wait`. If the
    trace it began in is over when the decision comes, the call goes on as a span of its own, which
    has a link to the wait.

    Args:
        tracer_provider: whose exporters are used. Default: the program's.
        arguments: tell the tools' arguments, too.
        redact: of these, values that are not told, as `payments.*:card.number` or `*:password`.
        reviewer: what is told of a reviewer's id. Default: a hash, which does not name anybody,
            but which somebody who knows the ids can make, too. `str` tells it as it is.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        *,
        arguments: bool = False,
        redact: Sequence[str] = (),
        reviewer: Callable[[str], str] = hashed,
    ) -> None:
        self._tracer = trace.get_tracer("sayso", __version__, tracer_provider)
        self._tells_arguments = arguments
        self._redactor = Redactor(redact)
        self._quotes = Quotes()
        self._reviewer = reviewer
        self._calls: OrderedDict[tuple[str, str], list[_Call]] = OrderedDict()
        self._lock = threading.Lock()
        self.errors = 0
        """What could not be told."""

    @never_raising
    def log_action_proposed(
        self, run_id: str, action: Action, injected_error: bool = False
    ) -> None:
        """An agent wants to act: a span begins, in the current one."""
        self._add(run_id, action.id, self._begun(run_id, action))

    @never_raising
    def log_approval_requested(
        self, run_id: str, request: ApprovalRequest, channel: str = "unknown"
    ) -> None:
        """Somebody is asked: the wait begins."""
        action = request.action
        call = self._find(run_id, action.id)
        if call is None or call.span is None:
            call = self._add(run_id, action.id, self._begun(run_id, action))
        asked = {
            "hitl.request.id": request.request_id,
            "hitl.request.kind": "approval",
            "hitl.policy.rule": request.policy_name,
            "hitl.risk": _risk(action),
        }
        assert call.span is not None  # noqa: S101  begun just now
        call.span.set_attributes(asked)
        call.since = time.monotonic()
        call.wait = self._tracer.start_span(
            "hitl.wait",
            trace.set_span_in_context(call.span),
            attributes=asked | {"gen_ai.tool.name": action.tool_name},
        )

    @never_raising
    def log_request_found(self, run_id: str, action: Action, traceparent: str) -> None:
        """It was asked before, maybe by another process: the call has a link to who asked."""
        asked = _span_of(traceparent)
        call = self._find(run_id, action.id)
        if call is None and self._find(run_id, action.id, lambda call: call.wait is not None):
            return  # it was asked here, and waits
        if call is None or call.span is None:
            call = self._add(run_id, action.id, self._begun(run_id, action))
        assert call.span is not None  # noqa: S101  begun just now
        call.asked = asked
        call.span.add_link(asked)

    @never_raising
    def log_approval_decided(
        self, run_id: str, decision: Decision, channel: str = "unknown"
    ) -> None:
        """It was decided: the wait ends, and the call, too, if it may not run."""
        key = (run_id, decision.action_id)
        call = (
            self._find(*key, lambda call: call.wait is not None)
            or self._find(*key)
            or self._only_wait(run_id, decision)
            or self._add(*key, _Call(None))
        )
        told: dict[str, str | bool | float] = {
            "hitl.decision": decision.type.value,
            "hitl.decision.edited": decision.args is not None,
            "hitl.channel": channel,
        }
        if decision.channel is not Channel.POLICY:
            self._end_wait(call, decision, told)
        if call.span is not None:
            call.span.set_attributes(told)
            if _is_over(call):
                call.span.end()
                call.span = None
        if not decision.approved:
            if call.span is not None:
                call.span.end()
            self._remove(call)

    @never_raising
    def log_tool_execution_start(self, run_id: str, action: Action) -> None:
        """The tool begins: its span is the current one from now on."""
        call = self._find(run_id, action.id)
        if call is None:
            call = self._add(run_id, action.id, _Call(None))
        if call.span is None:
            begun = self._begun(run_id, action, call.links)
            call.span, call.parent = begun.span, begun.parent
        assert call.span is not None  # noqa: S101  begun just now
        args, redacted = self._redactor.shown(action.tool_name, action.tool_args)
        self._quotes.note(run_id, action.id, action.tool_args, redacted)
        if self._tells_arguments:
            text = msgspec.json.encode(args, enc_hook=text_of).decode()
            call.span.set_attribute("gen_ai.tool.call.arguments", text)
        within = context.set_value(_RUNNING, call, trace.set_span_in_context(call.span))
        call.is_running, call.token = True, context.attach(within)

    @never_raising
    def log_tool_execution_end(self, run_id: str, result: ToolResult) -> None:
        """The tool is done, or failed: its span ends."""
        running = context.get_value(_RUNNING)
        call: _Call | None
        if isinstance(running, _Call) and running.key == (run_id, result.action_id):
            call = running
            context.detach(call.token)
        else:  # told in another context than the start, which keeps its own current span then
            call = self._find(run_id, result.action_id, _any)
        if call is None or call.span is None:
            return
        if not result.success:
            call.span.set_attribute("error.type", result.error_class or "error")
            error = self._quotes.cut(run_id, result.action_id, result.error)
            call.span.set_status(StatusCode.ERROR, error)
        call.span.end()
        self._remove(call)

    @never_raising
    def log_error(self, run_id: str, error: Exception, context: JsonObject | None = None) -> None:
        """Something failed that is not the tool: told in its call, which ends if it does not run.

        Args:
            run_id: the agent's run.
            error: what was raised.
            context: `action_id` names the call; without it, the current span tells the error.
        """
        action_id = str((context or {}).get("action_id", ""))
        call = self._find(run_id, action_id, _any)
        span = call.span if call is not None else trace.get_current_span()
        cut = partial(self._quotes.cut, run_id, action_id)
        if span is not None:
            where = "".join(traceback.format_exception(error))
            told = {"exception.message": cut(text_of(error)), "exception.stacktrace": cut(where)}
            span.record_exception(error, attributes=told)
        if call is None or call.is_running:
            return
        for each in (call.wait, call.span):
            if each is not None:
                each.set_attribute("error.type", type(error).__name__)
                each.set_status(StatusCode.ERROR, cut(text_of(error)))
                each.end()
        self._remove(call)

    def note_failure(self, error: Exception) -> None:
        """Count what could not be told, and say so."""
        self.errors += 1
        log.error("a span is not told: %r", error)

    def _begun(self, run_id: str, action: Action, links: "Sequence[SpanContext]" = ()) -> "_Call":
        _, redacted = self._redactor.shown(action.tool_name, action.tool_args)
        self._quotes.note(run_id, action.id, action.tool_args, redacted)
        current = trace.get_current_span()
        lives = current.is_recording() or current.get_span_context().is_remote
        span = self._tracer.start_span(
            f"execute_tool {action.tool_name}",
            None if lives or not current.get_span_context().is_valid else context.Context(),
            SpanKind.INTERNAL,
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": action.tool_name,
                "gen_ai.tool.call.id": action.id,
                "gen_ai.tool.type": "function",
                "gen_ai.conversation.id": run_id,
                "hitl.risk": _risk(action),
            },
            [Link(each) for each in links],
        )
        return _Call(span, current if current.is_recording() else None)

    def _end_wait(
        self, call: "_Call", decision: Decision, told: dict[str, str | bool | float]
    ) -> None:
        """End the wait; one that was not begun here is told from what the decision says."""
        took = time.monotonic() - call.since if call.wait is not None else decision.took_seconds
        told["hitl.wait_ms"] = took * 1000
        if call.wait is None:
            within = None if call.span is None else trace.set_span_in_context(call.span)
            began = time.time_ns() - int(took * 1e9)
            links = [] if call.asked is None else [Link(call.asked)]
            call.wait = self._tracer.start_span("hitl.wait", within, links=links, start_time=began)
        call.wait.set_attributes(told)
        call.wait.set_attribute("hitl.reviewer.id", self._reviewer(decision.by.id))
        call.wait.end()
        call.links.append(call.wait.get_span_context())
        call.wait = None

    def _add(self, run_id: str, action_id: str, call: "_Call") -> "_Call":
        call.key = (run_id, action_id)
        with self._lock:
            self._calls.setdefault(call.key, []).append(call)
            oldest = self._calls.popitem(last=False)[1] if len(self._calls) > MOST_OPEN else []
        for each in oldest:
            for span in (each.wait, each.span):
                if span is not None:
                    span.end()
        return call

    def _find(
        self, run_id: str, action_id: str, fits: "Callable[[_Call], bool] | None" = None
    ) -> "_Call | None":
        """The oldest such call that fits; default: that neither waits nor runs."""
        with self._lock:
            calls = self._calls.get((run_id, action_id), ())
            return next(filter(fits or _is_free, calls), None)

    def _only_wait(self, run_id: str, decision: Decision) -> "_Call | None":
        """The one call of the run that waits, for a decision that does not tell which it is."""
        if decision.action_id:
            return None
        with self._lock:
            calls = [
                call for (run, _), each in self._calls.items() if run == run_id for call in each
            ]
        waiting = [call for call in calls if call.wait is not None]
        return waiting[0] if len(waiting) == 1 else None

    def _remove(self, call: "_Call") -> None:
        with self._lock:
            calls = self._calls.get(call.key, [])
            if call in calls:
                calls.remove(call)
            if not calls:
                self._calls.pop(call.key, None)


class _Call:
    """One call of a tool, from its proposal to its end."""

    def __init__(self, span: Span | None, parent: Span | None = None) -> None:
        self.key: tuple[str, str] = ("", "")
        self.span = span
        self.parent = parent
        """The span that it began in, if that was being told."""
        self.wait: Span | None = None
        self.since = 0.0
        self.links: list[SpanContext] = []
        self.asked: SpanContext | None = None
        """The span that asked, if that was before this call."""
        self.is_running = False
        self.token: Any = None


def _any(_: _Call) -> bool:
    return True


def _is_free(call: _Call) -> bool:
    return call.wait is None and not call.is_running


def _is_over(call: _Call) -> bool:
    """Whether the trace that the call began in is over, or another one has taken its place."""
    if call.parent is not None and not call.parent.is_recording():
        return True
    assert call.span is not None  # noqa: S101  the caller has looked
    current = trace.get_current_span().get_span_context()
    return current.is_valid and current.trace_id != call.span.get_span_context().trace_id


def _span_of(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)))


def _risk(action: Action) -> str:
    return "unknown" if action.risk_class is None else action.risk_class.value
