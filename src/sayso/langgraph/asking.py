"""From an action to a decision, in whatever way a person is asked.

The policy is asked once, before anything waits; what it said is kept in the checkpoint. The
decision says for which arguments it is. An edit is put to the policy again.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TypeAlias, cast

import msgspec
from langchain_core.runnables import RunnableConfig
from msgspec import Struct

from sayso.client.tracing import current_traceparent
from sayso.clock import SystemClock
from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Channel, Decision, DecisionType, Reviewer
from sayso.domain.rules import ONE_REVIEWER, Rule
from sayso.errors import InvalidAnswerError, UsageError
from sayso.gate.ports import Telemetry
from sayso.langgraph.schemas import typed_back
from sayso.langgraph.state import plain
from sayso.langgraph.steps import Once, Steps
from sayso.policies.base import Context, Effect, Policy, State, Verdict, judge
from sayso.types import JsonObject

MAX_ROUNDS = 20
"""How often one action is asked about, because it was edited into one that needs more people."""

clock = SystemClock()


class Case(Struct, frozen=True, kw_only=True):
    """One action on its way to a decision, and who judges it and hears of it."""

    action: Action
    policy: Policy
    logger: Telemetry | None
    channel: str
    """How events call the way in which people are asked."""
    run_id: str
    thread_id: str
    view: State
    """What the policy is shown of the run."""
    summary: str = ""
    """What the conversation was about."""

    def request(self, verdict: Verdict, request_id: str = "") -> ApprovalRequest:
        """The question, as backends and events have it."""
        return ApprovalRequest(
            run_id=self.run_id,
            action=self.action,
            summary_context=self.summary,
            policy_name=verdict.policy,
            policy_reason=verdict.reason,
            request_id=request_id,
            thread_id=self.thread_id,
            traceparent=current_traceparent() or "",
        )


class Decided(Struct, frozen=True, kw_only=True):
    """What came of it."""

    action: Action
    """As it shall run: with the arguments that were edited, if they were."""
    decision: Decision
    verdict: Verdict
    request_id: str = ""
    """The request at a server, if one was asked."""


Asking: TypeAlias = Callable[[Case, Verdict, int], Steps[tuple[Decision, str]]]
"""Asks a person in round n: the decision, and the request's id if there is one."""


def thread_of(config: RunnableConfig) -> str:
    """The thread's id, as text; empty without one."""
    return str(config.get("configurable", {}).get("thread_id") or "")


def decide(case: Case, ask: Asking) -> Steps[Decided]:
    """Judge, ask if a person is needed, and judge again what was edited."""
    verdict = yield from _judged(case)
    if verdict.effect is not Effect.ASK:
        decision = _by_policy(case.action, verdict)
        yield Once("sayso_decided", partial(_tell_decided, case, decision, "policy"))
        return Decided(action=case.action, decision=decision, verdict=verdict)
    decision, request_id = yield from ask(case, verdict, 0)
    for n in range(1, MAX_ROUNDS):
        if not decision.approved or decision.args is None:
            break
        edited = msgspec.structs.replace(case, action=case.action.with_args(decision.args))
        again = yield from _judged(edited)
        case = edited
        if again.effect is Effect.DENY:
            decision = _by_policy(case.action, again, was=decision)
            yield Once("sayso_decided", partial(_tell_decided, case, decision, "policy"))
        if again.effect is not Effect.ASK or _covers(verdict.review, again.review):
            break
        verdict = again
        decision, request_id = yield from ask(case, verdict, n)
    else:
        if decision.approved and decision.args is not None:  # nobody has judged this edit
            decision = Decision(
                approved=False,
                action_id=case.action.id,
                reason="It was edited again and again, each time into what others must agree to.",
                by=Reviewer(id="system", name="system:edited"),
                decided_at=clock.now(),
            )
            yield Once("sayso_decided", partial(_tell_decided, case, decision, case.channel))
    return Decided(action=case.action, decision=decision, verdict=verdict, request_id=request_id)


def _covers(rule: Rule | None, needed: Rule | None) -> bool:
    """Whether those who agreed under one rule are enough for another."""
    have, want = (
        msgspec.structs.replace(each or ONE_REVIEWER, names=(), veto=True)
        for each in (rule, needed)
    )
    return want in (have, ONE_REVIEWER)


def _judged(case: Case) -> Steps[Verdict]:
    """What the policy says, or said when this node first ran."""
    action = case.action

    def work() -> JsonObject:
        if case.logger is not None:
            case.logger.log_action_proposed(case.run_id, action)
        context = Context(run_id=case.run_id, state=case.view)
        verdict = judge(case.policy, action, context)
        return {"digest": action.digest, "verdict": plain(verdict)}

    kept = yield Once("sayso_verdict", work)
    fits(kept, action)
    return msgspec.convert(kept["verdict"], Verdict)


def fits(kept: JsonObject, action: Action) -> None:
    """Refuse what a checkpoint keeps of another call.

    Raises:
        UsageError: the node came to other calls, or in another order, than when it first ran.
    """
    if kept.get("digest") != action.digest:
        raise UsageError(
            f"{action.tool_name!r} is called with other arguments, or in another order, than when"
            " this node first ran, so what was decided then is not used.",
            hint="A node that asks people must come to the same calls each time it runs.",
        )


def _by_policy(action: Action, verdict: Verdict, was: Decision | None = None) -> Decision:
    reason = verdict.reason
    if was is not None:
        reason = f"The edit by {was.decided_by} does not run: {reason}"
    allowed = verdict.effect is Effect.ALLOW and was is None
    return Decision(
        type=DecisionType.APPROVE if allowed else DecisionType.REJECT,
        approved=allowed,
        action_id=action.id,
        digest=action.digest if allowed else None,
        reason=reason,
        by=Reviewer(id="policy", name=f"policy:{verdict.policy}"),
        channel=Channel.POLICY,
        decided_at=clock.now(),
    )


def tell_asked(case: Case, verdict: Verdict, request_id: str = "") -> None:
    """Tell of the question."""
    if case.logger is not None:
        told = case.request(verdict, request_id)
        case.logger.log_approval_requested(case.run_id, told, case.channel)


def tell_found(case: Case, traceparent: str) -> None:
    """Tell which span had asked, if another one goes on now."""
    hear = getattr(case.logger, "log_request_found", None)  # no part of the port: see `Quiet`
    if hear is not None and traceparent and traceparent != current_traceparent():
        hear(case.run_id, case.action, traceparent)


def tell_decided(case: Case, decision: Decision) -> JsonObject:
    """Tell of the decision; it, for the checkpoint."""
    return _tell_decided(case, decision, case.channel)


def _tell_decided(case: Case, decision: Decision, channel: str) -> JsonObject:
    if case.logger is not None:
        case.logger.log_approval_decided(case.run_id, decision, channel)
    kept: JsonObject = plain(decision)
    return kept


def bound(decision: Decision, action: Action) -> Decision:
    """`decision`, with the digest of what it lets run; a rejection if it is of another action."""
    if not decision.approved:
        return msgspec.structs.replace(decision, action_id=action.id, digest=None)
    digest = action.digest if decision.args is None else action.with_args(decision.args).digest
    # Nothing but True is a yes: not 1, not the text "false".
    of_this = (
        decision.approved is cast("object", True)
        and decision.action_id in ("", action.id)
        and decision.digest in (None, digest)
    )
    if not of_this:
        return Decision(
            approved=False,
            action_id=action.id,
            reason="The decision that came back is about another action.",
            by=decision.by,
            channel=decision.channel,
            took_seconds=decision.took_seconds,
        )
    return msgspec.structs.replace(decision, action_id=action.id, digest=digest)


def fitted(decision: Decision, action: Action) -> Decision:
    """`decision`, if its edit fits the schema that the action came with; else a rejection."""
    if not decision.approved or decision.args is None or action.args_schema is None:
        return decision
    try:
        args = typed_back(decision.args, action.args_schema)
    except InvalidAnswerError as error:
        return Decision(
            approved=False,
            action_id=action.id,
            reason=error.detail,
            by=decision.by,
            channel=decision.channel,
            took_seconds=decision.took_seconds,
            tags=[*decision.tags, "malformed"],
        )
    return msgspec.structs.replace(decision, args=args, digest=None)


def since(text: str) -> datetime:
    """A time out of a checkpoint."""
    return datetime.fromisoformat(text)
