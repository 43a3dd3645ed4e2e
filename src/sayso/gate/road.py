"""The road of one action, without I/O: what is done in which order, and what is checked between.

A generator yields `Step`s, and is sent what each came to; `Gate` carries them out, with or
without an event loop. So there is one road, and two ways to walk it.
"""

from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Struct

from sayso.client.running import asked_again, check_approved, failed, succeeded, unreported
from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Channel, Decision, Reviewer
from sayso.domain.requests import ASKERS_CHOICES, Request
from sayso.domain.rules import ONE_REVIEWER, Rule
from sayso.domain.traces import ToolResult
from sayso.errors import InvalidTransitionError, NotApprovedError, SaysoError
from sayso.gate.memory import Memory
from sayso.gate.quiet import Quiet
from sayso.policies.base import Context, Effect, Policy, Verdict, judge
from sayso.types import JsonObject

MAX_ROUNDS = 20
"""How often one action is asked about again, because facts or arguments were changed."""


class Step(Struct, frozen=True):
    """Something to do outside: a method of the approver, or a function of the caller's."""

    call: str | Callable[..., Any]
    args: tuple[Any, ...] = ()
    fields: JsonObject = {}


Road: TypeAlias = Generator[Step, Any, Any]


class Proposal(Struct, frozen=True, kw_only=True):
    """What an agent wants to do, and how to ask for it."""

    action: Action
    execute: Callable[[JsonObject, bool], Any]
    """Takes the arguments that may run, and whether somebody was asked about them, which took
    time; what it returns may be awaitable."""
    message: str = ""
    context: Context
    key: str | None = None
    facts: Callable[[], Any] | None = None
    timeout: float | None = None
    fields: JsonObject = {}
    """More of a submission, such as `priority` or `metadata`."""


def walk(proposal: Proposal, policy: Policy, memory: Memory, telemetry: Quiet | None) -> Road:
    """Judge, ask, claim, execute, report; what `execute` returned is returned.

    Raises:
        NotApprovedError: the policy or a person said no, or nobody said anything.
    """
    key, run_id, action = proposal.key, proposal.context.run_id, proposal.action
    if key is not None and (done := memory.done(key, action)) is not None:
        return done.result
    known: Request | None = None
    verdict = None if key is None else memory.verdict(key, action)
    if telemetry is not None and verdict is None:
        telemetry.log_action_proposed(run_id, action)
    if key is not None and (verdict is None or verdict.effect is Effect.ASK):
        # Somebody may have been asked already, also before this process began: their answer
        # stands, whatever the policy says by now.
        known = yield Step("recall", (key,))
    if verdict is None:
        if known is not None:
            _refuse_other(known, action)
            verdict = Verdict(
                effect=Effect.ASK,
                reason="It was asked before.",
                review=known.rule,
                is_doubtful=_by_nobody(known)
                and judge(policy, action, memory.context(proposal.context)).is_doubtful,
            )
        else:
            verdict = judge(policy, action, memory.context(proposal.context))
        if key is not None:
            verdict = memory.fix(key, action, verdict)
    if verdict.effect is Effect.ASK:
        try:
            approved = yield from _ask(proposal, known, verdict, policy, memory, telemetry)
        except Exception as error:
            if telemetry is not None and not _is_rejection(error):
                telemetry.log_error(run_id, error, {"action_id": action.id})
            raise
        result = yield from _execute(proposal, *approved, policy, memory, telemetry)
    else:
        allowed = verdict.effect is Effect.ALLOW
        by = Reviewer(id="policy", name=f"policy:{verdict.policy}")
        decision = Decision(
            approved=allowed,
            action_id=action.id,
            reason=verdict.reason,
            by=by,
            channel=Channel.POLICY,
        )
        if telemetry is not None and not allowed:
            telemetry.log_approval_decided(run_id, decision, Channel.POLICY.value)
        memory.decided(policy, proposal.context, action, decision)
        if not allowed:
            raise denied(verdict)
        if key is not None:
            memory.begin(key)
        try:
            result = yield from _execute(
                proposal, action, action.tool_args, None, policy, memory, telemetry
            )
        finally:
            if key is not None:
                memory.end(key)
    if key is not None:
        memory.finish(key, action, result)
    return result


def denied(verdict: Verdict) -> NotApprovedError:
    """The policy itself says no: nobody is asked."""
    rule = f", rule {verdict.rule!r}" if verdict.rule else ""
    return NotApprovedError(
        f"The policy {verdict.policy!r}{rule} does not let it run: {verdict.reason}",
        hint="Nobody can be asked for this; find another way.",
        code="denied",
    )


def _refuse_doubt(verdict: Verdict, request: Request) -> None:
    """What the policy could not judge may be what it denies: only a person lets it run."""
    if verdict.is_doubtful and _by_nobody(request):
        raise NotApprovedError(
            f"Only a remembered decision or a rule approved it, not a person: {verdict.reason}",
            hint="Mend what the policy could not read, and ask again.",
        )


def _by_nobody(request: Request) -> bool:
    decision = request.decision
    return decision is not None and decision.channel in (Channel.STANDING, Channel.POLICY)


def _is_rejection(error: Exception) -> bool:
    """Whether somebody decided so, which was told when it was decided."""
    return isinstance(error, NotApprovedError) and bool((error.request or {}).get("decision"))


def _ask(
    proposal: Proposal,
    known: Request | None,
    verdict: Verdict,
    policy: Policy,
    memory: Memory,
    telemetry: Quiet | None,
) -> Generator[Step, Any, tuple[Action, JsonObject, str]]:
    """Have people decide, and take the grant: what may run now, its arguments, whose request."""
    action, key, run_id = proposal.action, proposal.key, proposal.context.run_id
    facts: JsonObject | None = None
    if proposal.facts is not None:
        facts = yield Step(proposal.facts)
    request = known
    if telemetry is not None and known is not None and known.traceparent is not UNSET:
        telemetry.log_request_found(run_id, action, known.traceparent)
    for _ in range(MAX_ROUNDS):
        if request is None:
            request = yield Step(
                "submit",
                (proposal.message or f"May {action.tool_name} run?",),
                _submission(proposal, action, verdict, facts, key),
            )
            _refuse_other(request, action)
            if telemetry is not None:
                telemetry.log_approval_requested(run_id, _told(request, verdict, run_id))
        if not request.is_terminal:
            request = yield Step("wait", (request.id,), {"timeout": proposal.timeout})
        if request.decision is not None and memory.is_news(request.id):
            # Told before the policy hears of it, which may raise: what a person said is kept.
            if telemetry is not None:
                decision = msgspec.structs.replace(request.decision, action_id=action.id)
                telemetry.log_approval_decided(run_id, decision, decision.channel.value)
            memory.decided(policy, proposal.context, action, request.decision)
        arguments = check_approved(request)
        _refuse_doubt(verdict, request)
        if request.action is not None and arguments != request.action.tool_args:
            edited = action.with_args(arguments)
            again = judge(policy, edited, memory.context(proposal.context))
            if again.effect is Effect.DENY:
                raise denied(again)
            if again.effect is Effect.ASK and not _covers(request.rule, again.review):
                # The edit needs more people than have agreed: they are asked about it.
                action, verdict, request = edited, again, None
                key = None if proposal.key is None else f"{proposal.key}:{edited.digest[7:23]}"
                continue
            action = edited
        if proposal.facts is not None:
            facts = yield Step(proposal.facts)
        try:
            request = yield Step("claim", (request.id, action.digest), {"facts": facts})
        except InvalidTransitionError as error:
            request = yield Step("wait", (asked_again(error),), {"timeout": proposal.timeout})
            continue
        return action, arguments, request.id
    raise NotApprovedError(
        "It was asked again and again, and never came to run.",
        hint="Ask again when what it depends on does not change any more.",
    )


def _execute(
    proposal: Proposal,
    action: Action,
    arguments: JsonObject,
    request_id: str | None,
    policy: Policy,
    memory: Memory,
    telemetry: Quiet | None,
) -> Road:
    """Run it, and tell what became of it."""
    run_id = proposal.context.run_id
    started = memory.now()
    if telemetry is not None:
        telemetry.log_tool_execution_start(run_id, action)
    try:
        result = yield Step(proposal.execute, (arguments, request_id is not None))
    except BaseException as error:
        ended: Any = ToolResult(
            action_id=action.id,
            success=False,
            error=str(error),
            error_class=type(error).__name__,
            started_at=started,
            finished_at=memory.now(),
        )
        _tell(ended, run_id, telemetry)
        memory.executed(policy, proposal.context, action, success=False)
        if request_id is not None and not isinstance(error, GeneratorExit):
            yield from _report(request_id, failed(error), run_id, telemetry)
        raise
    ended = ToolResult(
        action_id=action.id, success=True, started_at=started, finished_at=memory.now()
    )
    _tell(ended, run_id, telemetry)
    memory.executed(policy, proposal.context, action, success=True)
    if request_id is not None:
        yield from _report(request_id, succeeded(result), run_id, telemetry)
    return result


def _report(
    request_id: str, outcome: JsonObject, run_id: str, telemetry: Quiet | None
) -> Generator[Step, Any, None]:
    """What it did is done: that it could not be told is no failure of the tool's."""
    status = outcome.pop("status")
    try:
        yield Step("report", (request_id, status), outcome)
    except SaysoError as error:
        unreported(request_id, error)
        if telemetry is not None:
            telemetry.log_error(run_id, error, {"request_id": request_id})


def _tell(ended: ToolResult, run_id: str, telemetry: Quiet | None) -> None:
    if telemetry is not None:
        telemetry.log_tool_execution_end(run_id, ended)


def _submission(
    proposal: Proposal,
    action: Action,
    verdict: Verdict,
    facts: JsonObject | None,
    key: str | None,
) -> JsonObject:
    """The fields of what is asked."""
    asked = {
        "session_id": proposal.context.session_id,
        "client_id": proposal.context.client_id,
        "facts": facts,
        "idempotency_key": key,
    }
    fields: JsonObject = {name: value for name, value in asked.items() if value is not None}
    fields |= {"action": action, **proposal.fields}
    fields["metadata"] = _why(verdict) | fields.get("metadata", {})
    if verdict.review is not None:
        fields["rule"] = msgspec.to_builtins(msgspec.structs.replace(verdict.review, names=()))
    if verdict.timeout_seconds is not UNSET:
        fields.setdefault("timeout_seconds", verdict.timeout_seconds)
    if verdict.on_timeout in ASKERS_CHOICES:  # else it is for a server's own policy to say
        fields.setdefault("on_timeout", verdict.on_timeout)
    return fields


def _why(verdict: Verdict) -> JsonObject:
    """Why somebody is asked, for them to read beside the question."""
    by = f"{verdict.policy}, rule {verdict.rule}" if verdict.rule else verdict.policy
    why = {"policy": by, "policy_reason": verdict.reason}
    return {name: text for name, text in why.items() if text}


def _told(request: Request, verdict: Verdict, run_id: str) -> ApprovalRequest:
    assert request.action is not None  # noqa: S101  it was asked with one
    return ApprovalRequest(
        run_id=run_id,
        action=request.action,
        policy_name=verdict.policy,
        policy_reason=verdict.reason,
        request_id=request.id,
    )


def _refuse_other(request: Request, action: Action) -> None:
    if request.action is None or request.action.digest != action.digest:
        raise InvalidTransitionError(
            f"The key was used for another action than {action.tool_name!r} with these arguments.",
            hint="Give each call a key of its own.",
            code="digest_mismatch",
        )


def _covers(rule: Rule | None, needed: Rule | None) -> bool:
    """Whether whoever agreed under `rule` is enough for `needed`, too."""
    have = msgspec.structs.replace(rule or ONE_REVIEWER, names=())
    want = msgspec.structs.replace(needed or ONE_REVIEWER, names=(), veto=False)
    return msgspec.structs.replace(have.stricter(want), names=()) == have
