"""Two nodes: one has an action decided by whoever a backend asks, one runs what was approved.

Neither waits in `interrupt`: the node itself waits, so it suits consoles, webhooks and servers
that answer while the program runs. See `interrupts` for threads that are put aside.
"""

import asyncio
import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeAlias, cast

import msgspec
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp

from sayso.client.running import failed, succeeded, unreported
from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision, Reviewer
from sayso.domain.requests import ASKERS_CHOICES, Request
from sayso.domain.rules import ONE_REVIEWER
from sayso.domain.traces import ToolResult
from sayso.errors import ConfigurationError, SaysoError
from sayso.gate.ports import (
    ApprovalBackend,
    ApprovalCancelledError,
    ApprovalTimeoutError,
    Approver,
    Telemetry,
)
from sayso.langgraph.asking import (
    Asking,
    Case,
    Decided,
    bound,
    clock,
    decide,
    fits,
    fitted,
    tell_asked,
    tell_decided,
    tell_found,
    thread_of,
)
from sayso.langgraph.state import (
    action_of,
    decision_of,
    decision_to_keep,
    noted_by,
    plain,
    policy_view,
    with_action,
)
from sayso.langgraph.steps import Node, Once, Steps
from sayso.policies.base import Policy, Verdict, handed
from sayso.types import JsonObject

Registry: TypeAlias = Mapping[str, Callable[..., Any] | BaseTool]
"""Tools by name: functions, coroutine functions, or tools of LangChain's."""

_SHOWN_MESSAGES = 3
_SHOWN_CHARACTERS = 100


def hitl_gate_node(
    policy: Policy,
    backend: ApprovalBackend | Approver,
    logger: Telemetry | None = None,
    channel: str = "unknown",
) -> Node:
    """A node that has `proposed_action` decided, and writes `approval_decision`.

    Args:
        policy: says whether somebody is asked.
        backend: asks: a backend, or an approver, such as `AsyncClient` for a Sayso server.
        logger: hears of it, once.
        channel: how events call the backend.
    """
    ask = _by_backend(backend) if isinstance(backend, ApprovalBackend) else _by_approver(backend)

    def logic(state: JsonObject, config: RunnableConfig) -> Steps[JsonObject]:
        case = case_of(state, config, policy, logger, channel)
        if case is None:
            return {"approval_decision": None, "tool_result": None}
        decided = yield from decide(case, ask)
        return written(state, case, decided)

    return Node(logic, "hitl_gate")


def case_of(
    state: JsonObject,
    config: RunnableConfig,
    policy: Policy,
    logger: Telemetry | None,
    channel: str,
) -> Case | None:
    """The proposed action, with all that is needed to decide it; None if nothing is proposed."""
    action = action_of(state.get("proposed_action"))
    if action is None:
        return None
    thread_id = thread_of(config)
    run_id = str(state.get("run_id") or thread_id or "unknown")
    return Case(
        action=action,
        policy=policy,
        logger=logger,
        channel=channel,
        run_id=run_id,
        thread_id=thread_id,
        view=policy_view(state, run_id),
        summary=_summary(state.get("messages")),
    )


def written(state: JsonObject, case: Case, decided: Decided) -> JsonObject:
    """The keys that a gate writes: its own, and nothing else."""
    decision, action = decided.decision, decided.action
    own, note = handed(case.policy, action), case.policy.post_decision_update
    noted = noted_by(state, case.run_id, lambda view: note(view, own, decision))
    return {
        **with_action(state, action),
        "approval_decision": decision_to_keep(decision, request_id=decided.request_id),
        **noted,
    }


def _summary(messages: Any) -> str:
    """The last messages in short, for whoever is asked."""
    if not isinstance(messages, list) or not messages:
        return "No additional context available"
    lines: list[str] = []
    for message in cast("list[Any]", messages)[-_SHOWN_MESSAGES:]:
        if isinstance(message, dict):
            text = cast("JsonObject", message).get("content")
        else:
            text = getattr(message, "content", message)
        if text:
            lines.append(f"- {str(text)[:_SHOWN_CHARACTERS]}")
    return "Recent conversation:\n" + "\n".join(lines)


def _by_backend(backend: ApprovalBackend) -> Asking:
    """Asks in this process; the node waits."""

    def ask(case: Case, verdict: Verdict, n: int) -> Steps[tuple[Decision, str]]:
        del n

        async def work() -> JsonObject:
            began = clock.now()
            _check_rule(verdict)
            tell_asked(case, verdict)
            try:
                decision = await _in_time(backend, case.request(verdict), verdict)
            except (ApprovalTimeoutError, ApprovalCancelledError) as error:
                name = "timeout" if isinstance(error, ApprovalTimeoutError) else "cancelled"
                by = Reviewer(id=f"system:{name}", name=f"system:{name}")
                reason = str(error) or f"No decision: {name}."
                took = max((clock.now() - began).total_seconds(), 0.0)
                decision = Decision(approved=False, reason=reason, by=by, took_seconds=took)
            return tell_decided(case, bound(fitted(decision, case.action), case.action))

        kept = yield Once("sayso_ask", work)
        return msgspec.convert(kept, Decision), ""

    return ask


async def _in_time(backend: ApprovalBackend, asked: ApprovalRequest, verdict: Verdict) -> Decision:
    """What the backend says, within the time that the policy gives people.

    Raises:
        ApprovalTimeoutError: it is over. Where silence is `park`, it goes on waiting.
    """
    seconds = verdict.timeout_seconds
    if seconds is msgspec.UNSET or verdict.on_timeout == "park":
        seconds = None
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await backend.request_approval(asked)
    except TimeoutError as error:
        if not limit.expired():  # something of the backend's
            raise
        raise ApprovalTimeoutError(f"Nobody answered within {seconds:g} seconds.") from error


def _check_rule(verdict: Verdict) -> None:
    """Refuse to ask one backend where the policy wants more than that."""
    rule = verdict.review
    if rule is not None and msgspec.structs.replace(rule, names=(), veto=True) != ONE_REVIEWER:
        raise ConfigurationError(
            "The policy wants more than one backend in this process can give: certain people,"
            " several of them, or some that are identified more strongly.",
            hint="Ask a server: hitl_gate_node(policy, AsyncClient(...)).",
        )


def _by_approver(approver: Approver) -> Asking:
    """Asks people at a server; asked again after a restart, it is the same request."""

    def ask(case: Case, verdict: Verdict, n: int) -> Steps[tuple[Decision, str]]:
        async def work() -> JsonObject:
            fields: JsonObject = {"action": case.action}
            if verdict.review is not None:
                fields["rule"] = plain(msgspec.structs.replace(verdict.review, names=()))
            if verdict.timeout_seconds is not msgspec.UNSET:
                fields["timeout_seconds"] = verdict.timeout_seconds
            if verdict.on_timeout in ASKERS_CHOICES:  # else it is for the server's own policy
                fields["on_timeout"] = verdict.on_timeout
            message = f"May {case.action.tool_name} run? {verdict.reason}".strip()
            request = await approver.submit(message, idempotency_key=key, **fields)
            tell_found(case, request.traceparent or "")
            tell_asked(case, verdict, request.id)
            if not request.is_terminal:
                request = await approver.wait(request.id)
            decision = tell_decided(case, _decision_of(request, case.action))
            return {"decision": decision, "request_id": request.id}

        # Kept before anybody is asked, so that a node that is begun again asks the same.
        key: str = yield Once("sayso_key", lambda: _new_key(case, n))
        kept = yield Once("sayso_ask", work)
        return msgspec.convert(kept["decision"], Decision), kept["request_id"]

    return ask


def _new_key(case: Case, n: int) -> str:
    at = clock.now().isoformat()
    told = f"{case.thread_id}\n{case.run_id}\n{case.action.id}\n{case.action.digest}\n{n}\n{at}"
    return f"langgraph-{hashlib.sha256(told.encode()).hexdigest()[:40]}"


def _decision_of(request: Request, action: Action) -> Decision:
    """The decision of a request that is closed; silence and a cancellation are rejections."""
    if request.decision is None:
        by = Reviewer(id="system", name=f"system:{request.status.value}")
        reason = request.closed_reason or f"The request is {request.status.value}."
        return Decision(approved=False, action_id=action.id, reason=reason, by=by)
    decision = request.decision
    return bound(msgspec.structs.replace(decision, approved=request.arguments is not None), action)


def execute_tool_node(
    tool_registry: Registry,
    logger: Telemetry | None = None,
    require_approval: bool = True,
    *,
    policy: Policy | None = None,
    approver: Approver | ApprovalBackend | None = None,
) -> Node:
    """A node that runs `proposed_action` if it was approved as it is, and writes `tool_result`.

    Args:
        tool_registry: the tools by name.
        logger: hears of the run.
        require_approval: whether nothing runs without a decision.
        policy: is told how the run ended.
        approver: where the decision was asked for; the grant is claimed there before the run, and
            the outcome reported. A backend has no grants.
    """
    grants = None if isinstance(approver, ApprovalBackend) else approver

    def logic(state: JsonObject, config: RunnableConfig) -> Steps[JsonObject]:
        action = action_of(state.get("proposed_action"))
        if action is None:
            return {"tool_result": _refused("", "No action to execute")}
        kept = state.get("approval_decision")
        why = _why_not(kept, state.get("tool_result"), action) if require_approval else None
        tool = tool_registry.get(action.tool_name)
        if why is None and tool is None:
            why = {"error": f"Unknown tool: {action.tool_name}"}
        if why is not None or tool is None:
            return {"tool_result": {**_refused(action.id, ""), **(why or {})}}
        told = cast("JsonObject", kept) if isinstance(kept, Mapping) else {}
        run_id = str(state.get("run_id") or thread_of(config) or "unknown")
        result = yield from run(action, tool, logger, run_id, grants, told.get("request_id") or "")
        result["decision_id"] = told.get("id")
        noted: JsonObject = {}
        if policy is not None:
            own, note = handed(policy, action), policy.post_execution_update
            noted = noted_by(state, run_id, lambda view: note(view, own, result))
        return {"tool_result": result, **noted}

    return Node(logic, "execute_tool")


def _refused(action_id: str, error: str) -> JsonObject:
    return {
        "success": False,
        "result": None,
        "error": error,
        "error_class": None,
        "action_id": action_id,
        "execution_time_ms": 0.0,
    }


def _why_not(kept: Any, last: Any, action: Action) -> JsonObject | None:
    """Why the action does not run; None if exactly it was approved, and has not run yet."""
    if kept is None:
        return {"error": "No approval decision found"}
    decision = decision_of(kept)
    if decision is None:
        return {"error": "The approval decision cannot be read, so it approves nothing"}
    if not decision.approved:
        return {"error": "Action was rejected", "rejection_reason": decision.reason}
    digest = decision.digest
    if digest is None and action.digest[7:39] == decision.action_id == action.id:
        digest = action.digest  # written by hand, for an id that is made of the digest
    if digest is None:
        return {
            "error": "The decision does not say for which arguments it is; give it the action's"
            " digest: Decision(digest=action.digest, ...)"
        }
    if decision.action_id not in ("", action.id) or digest != action.digest:
        return {"error": "Another action was approved than the one that is proposed now"}
    if isinstance(kept, Mapping) and isinstance(last, Mapping):
        now, used = cast("JsonObject", kept), cast("JsonObject", last)
        if now.get("id") is not None and used.get("decision_id") == now["id"]:
            return {"error": "This decision was used already; it is good for one run"}
    return None


def run(
    action: Action,
    tool: Callable[..., Any] | BaseTool,
    logger: Telemetry | None,
    run_id: str,
    approver: Approver | None = None,
    request_id: str = "",
) -> Steps[JsonObject]:
    """Run it, once in the node's life, and tell what became of it: a `tool_result`.

    With a request at a server its grant is claimed first: no claim, no run.
    """

    async def claim() -> JsonObject:
        assert approver is not None  # noqa: S101  asked below
        try:
            await approver.claim(request_id, action.digest)
        except SaysoError as error:
            return {"error": str(error), "error_class": type(error).__name__}
        return {}

    async def report() -> None:
        assert approver is not None  # noqa: S101  asked below
        outcome = (
            succeeded(told["result"]) if told["success"] else failed(RuntimeError(told["error"]))
        )
        status = outcome.pop("status")
        try:
            await approver.report(request_id, status, **outcome)
        except SaysoError as error:
            unreported(request_id, error)

    granted = approver is not None and bool(request_id)
    if granted:
        refused = yield Once("sayso_claim", claim)
        if refused:
            return {**_refused(action.id, ""), **refused}
    told = yield Once("sayso_run", lambda: _run(action, tool, logger, run_id), blocks=True)
    fits(told, action)
    if granted:
        yield Once("sayso_report", report)
    return {name: value for name, value in told.items() if name != "digest"}


def _run(
    action: Action, tool: Callable[..., Any] | BaseTool, logger: Telemetry | None, run_id: str
) -> JsonObject | Awaitable[JsonObject]:
    started = clock.now()

    def call() -> Any:
        if isinstance(tool, BaseTool):
            only_async = getattr(tool, "func", tool) is None
            return (tool.ainvoke if only_async else tool.invoke)(action.tool_args)
        return tool(**action.tool_args)

    def ended(result: Any, error: Exception | None) -> JsonObject:
        return {
            "digest": action.digest,
            "success": error is None,
            "result": plain(result),
            "error": None if error is None else str(error),
            "error_class": None if error is None else type(error).__name__,
            "action_id": action.id,
            "execution_time_ms": (clock.now() - started).total_seconds() * 1000,
        }

    return told(call, action, logger, run_id, ended)


Settle: TypeAlias = Callable[[Any, Exception | None], JsonObject]
"""Makes of a result, or of an error, what is kept of it."""


def told(
    call: Callable[[], Any], action: Action, logger: Telemetry | None, run_id: str, then: Settle
) -> JsonObject | Awaitable[JsonObject]:
    """Run it and tell of it; what `then` makes of it, which may have to be awaited."""
    started = clock.now()
    if logger is not None:
        logger.log_tool_execution_start(run_id, action)

    def ended(result: Any, error: Exception | None) -> JsonObject:
        if logger is not None:
            done = ToolResult(
                action_id=action.id,
                success=error is None,
                error=None if error is None else str(error),
                error_class=None if error is None else type(error).__name__,
                started_at=started,
                finished_at=clock.now(),
            )
            logger.log_tool_execution_end(run_id, done)
        return then(result, error)

    return _settled(call, ended)


def _settled(call: Callable[[], Any], then: Settle) -> JsonObject | Awaitable[JsonObject]:
    try:
        result: Any = call()
    except GraphBubbleUp:
        raise  # the tool itself asks somebody
    except Exception as error:  # noqa: BLE001  told to the model, as what became of it
        return then(None, error)
    return _awaited(result, then) if inspect.isawaitable(result) else then(result, None)


async def _awaited(result: Awaitable[Any], then: Settle) -> JsonObject:
    try:
        value = await result
    except GraphBubbleUp:
        raise
    except Exception as error:  # noqa: BLE001  as above
        return then(None, error)
    return then(value, None)


def create_hitl_workflow_nodes(
    policy: Policy,
    backend: ApprovalBackend | Approver,
    tool_registry: Registry,
    logger: Telemetry | None = None,
) -> dict[Literal["hitl_gate", "execute_tool"], Node]:
    """Both nodes, made for each other."""
    return {
        "hitl_gate": hitl_gate_node(policy, backend, logger),
        "execute_tool": execute_tool_node(tool_registry, logger, policy=policy, approver=backend),
    }


def should_execute_condition(state: Mapping[str, Any]) -> Literal["execute", "skip"]:
    """For `add_conditional_edges` after a gate: whether the action was approved."""
    decision = decision_of(state.get("approval_decision"))
    return "execute" if decision is not None and decision.approved else "skip"
