"""The state machine of a request: one table of transitions, pure.

A command on a request makes a `Change`: the request's next state and the events that tell of it.
Nothing else in Sayso decides what is legal; stores only keep what a change says.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

from sayso.domain import claims, drafts, review, silence
from sayso.domain.accounts import Principal
from sayso.domain.actions import Action, digest_of
from sayso.domain.decisions import Answer, Channel, Decision, DecisionType, Reviewer, Vote
from sayso.domain.events import Event, EventType
from sayso.domain.grants import Grant, Outcome, OutcomeDraft
from sayso.domain.jobs import Job
from sayso.domain.records import Record
from sayso.domain.requests import (
    ASKERS_CHOICES,
    Draft,
    Kind,
    OnTimeout,
    Option,
    Request,
    Status,
)
from sayso.domain.rules import GRANT_SECONDS, Rule
from sayso.errors import (
    InvalidAnswerError,
    InvalidTransitionError,
    NotApprovedError,
    PersonRequiredError,
    RefusedError,
)
from sayso.types import JsonObject


class Decide(Struct, frozen=True, kw_only=True):
    """A person answers."""

    answer: Answer
    by: Principal
    channel: Channel
    assertion: JsonObject | None = None
    """What their passkey signed."""
    rule: Rule | None = None
    """What an edited action needs on top of the request's own rule."""
    standing_grant: str | None = None
    """The remembered decision that this is."""
    tags: tuple[str, ...] = ()
    """Words of the program through which it came."""


class Cancel(Struct, frozen=True, kw_only=True):
    """The asking side takes the question back."""

    by: Principal
    reason: str = ""


class Extend(Struct, frozen=True, kw_only=True):
    """People get more time: so much from now, or any."""

    by: Principal
    timeout: timedelta | None


class Remind(Struct, frozen=True, kw_only=True):
    """Nobody has answered yet."""

    after: int
    """The reminders before this one; with another number it was given already."""


class Settle(Struct, frozen=True, kw_only=True):
    """A rule of the tenant's policy decides: nobody is asked."""

    approves: bool
    rule: str
    reason: str


class Expire(Struct, frozen=True, kw_only=True):
    """Nobody answered in time: what the request says of that comes about."""

    is_stopped: bool = False
    """The kill switch is set for it: silence is no."""


class Claim(Struct, frozen=True, kw_only=True):
    """The agent takes the grant, to run exactly what was approved."""

    by: Principal
    digest: str
    facts: JsonObject | None = None
    key: str = ""


class Report(Struct, frozen=True, kw_only=True):
    """The agent tells what became of it."""

    by: Principal
    outcome: OutcomeDraft


class EndGrant(Struct, frozen=True, kw_only=True):
    """Nobody may claim the grant any more: people are asked again."""

    by: Principal
    reason: str


Command: TypeAlias = Decide | Settle | Cancel | Extend | Remind | Expire | Claim | Report | EndGrant


class Change(Struct, frozen=True, kw_only=True):
    """What a store commits in one transaction, if the request is still at `expected_version`."""

    request: Request
    expected_version: int
    """The version that this change was made from; 0 for a new request."""
    events: tuple[Event, ...]
    key: str | None = None
    """A new request's idempotency key, unique in its tenant."""
    fingerprint: str = ""
    """What was sent with that key, as a hash."""
    jobs: tuple[Job, ...] = ()
    """What it causes; a job of an id that is known already is left as it is."""
    records: tuple[Record, ...] = ()
    """What changes with it, such as the uses that a standing grant has left."""


TRANSITIONS: Mapping[tuple[Status, type[Command]], frozenset[Status]] = MappingProxyType(
    {
        (Status.PENDING, Decide): frozenset(
            {Status.APPROVED, Status.REJECTED, Status.ANSWERED, Status.PENDING}
        ),
        (Status.PENDING, Cancel): frozenset({Status.CANCELLED}),
        (Status.PENDING, Extend): frozenset({Status.PENDING}),
        (Status.PENDING, Remind): frozenset({Status.PENDING}),
        (Status.PENDING, Settle): frozenset({Status.APPROVED, Status.REJECTED}),
        (Status.PENDING, Expire): frozenset(
            {Status.EXPIRED, Status.REJECTED, Status.APPROVED, Status.PENDING}
        ),
        (Status.APPROVED, Claim): frozenset({Status.APPROVED}),
        (Status.APPROVED, Report): frozenset({Status.APPROVED}),
        (Status.APPROVED, EndGrant): frozenset({Status.APPROVED}),
    }
)
"""From a status, by a command, to one of these. What is not here does not happen. A decision
leaves a request pending while it takes more people, and so does silence that asks further people
or parks; what an approval lets run is claimed and reported without changing the status."""

OUTCOMES = MappingProxyType(
    {
        (Kind.APPROVAL, DecisionType.APPROVE): Status.APPROVED,
        (Kind.APPROVAL, DecisionType.EDIT): Status.APPROVED,
        (Kind.APPROVAL, DecisionType.RESPOND): Status.ANSWERED,
        (Kind.APPROVAL, DecisionType.REJECT): Status.REJECTED,
        (Kind.APPROVAL, DecisionType.IGNORE): Status.REJECTED,
        (Kind.CHOICE, DecisionType.RESPOND): Status.ANSWERED,
        (Kind.CHOICE, DecisionType.REJECT): Status.REJECTED,
        (Kind.CHOICE, DecisionType.IGNORE): Status.REJECTED,
        (Kind.INPUT, DecisionType.RESPOND): Status.ANSWERED,
        (Kind.INPUT, DecisionType.REJECT): Status.REJECTED,
        (Kind.INPUT, DecisionType.IGNORE): Status.REJECTED,
    }
)
"""Which decisions a kind of request takes, and where each leads. An option of an `approval`
leads to `approved` or `rejected`, as its `approves` says."""


def submit(
    draft: Draft,
    *,
    request_id: str,
    now: datetime,
    default_timeout: timedelta,
    by: Principal,
    rule: Rule | None = None,
    key: str | None = None,
    fingerprint: str = "",
    traceparent: str | UnsetType = UNSET,
) -> Change:
    """A new pending request.

    Args:
        draft: what is asked.
        request_id: its id.
        now: when.
        default_timeout: the deadline, if the draft names none.
        by: who asks.
        rule: what the decision needs; None: one reviewer.
        key: an idempotency key.
        fingerprint: of what was sent with it.
        traceparent: the span that asks, if it is known.

    Raises:
        InvalidRequestError: the draft contradicts itself, or says something that cannot be shown.
    """
    kind = drafts.kind_of(draft)
    drafts.check(draft, kind)
    timeout = draft.timeout_seconds
    if timeout is UNSET:
        deadline = now + default_timeout
    else:
        deadline = None if timeout is None else now + timedelta(seconds=timeout)
    request = Request(
        id=request_id,
        kind=kind,
        message=draft.message,
        session_id=draft.session_id,
        client_id=draft.client_id,
        action=None if draft.action is None else draft.action.kept(),
        options=drafts.options_of(draft),
        schema=draft.schema,
        priority=draft.priority,
        metadata=draft.metadata,
        requested_by=by.requester,
        facts=draft.facts,
        rule=rule,
        callback_url=draft.callback_url,
        remind_every_seconds=draft.remind_every_seconds,
        on_timeout=draft.on_timeout,
        created_at=now,
        deadline_at=deadline,
        tenant=by.tenant,
        traceparent=traceparent,
    )
    data: JsonObject = {"kind": kind}
    if request.action is not None:
        data |= {"tool_name": request.action.tool_name, "digest": request.action.digest}
    event = _event(request, EventType.REQUEST_SUBMITTED, now, by.actor, data)
    return Change(
        request=request, expected_version=0, events=(event,), key=key, fingerprint=fingerprint
    )


def apply(request: Request, command: Command, now: datetime) -> Change:
    """What `command` makes of `request`.

    Raises:
        InvalidTransitionError: the request is closed, or its time has passed; its `reason_code`
            is `already_decided`, `expired` or `cancelled`; or an extension is none (`not_later`),
            or a reminder was given already (`already_reminded`).
        InvalidAnswerError: the decision does not fit the question.
        PersonRequiredError: the command is a decision, and no person gave it.
        NotPermittedError: the rule asks others, or another agent holds the grant.
        NotApprovedError: nothing was approved that could be claimed.
    """
    allowed = TRANSITIONS.get((request.status, type(command)))
    if allowed is None:
        raise _closed(request, command)
    match command:
        case Decide():
            change = _decide(request, command, now)
        case Cancel():
            change = _close(
                request,
                Status.CANCELLED,
                EventType.REQUEST_CANCELLED,
                now,
                actor=command.by.actor,
                reason=command.reason,
            )
        case Extend():
            change = _extend(request, command, now)
        case Remind():
            change = _remind(request, command, now)
        case Settle():
            change = _settle(request, command, now)
        case Expire():
            change = _expire(request, command, now)
        case Claim():
            change = _claim(request, command, now)
        case Report():
            change = _report(request, command, now)
        case EndGrant():
            change = _end_grant(request, command, now)
    if change.request.status not in allowed:
        raise AssertionError(f"{request.status} to {change.request.status} is not in the table")
    return change


def _decide(request: Request, command: Decide, now: datetime) -> Change:
    if not command.by.is_person:
        raise PersonRequiredError
    if silence.is_no(request):
        _refuse_when_due(request, now)
    answer = command.answer
    status, option = _outcome(request, answer)
    approved = _is_approval(request, status, option)
    if approved:  # where silence is no plain no, a no is in time until silence comes about
        _refuse_when_due(request, now)
    args = answer.args if answer.type is DecisionType.EDIT else request.proposed_args
    proposed = _effective_digest(request.action, request.proposed_args)
    # What somebody changed is never approved by whoever may not have seen it.
    unseen = approved and answer.type is not DecisionType.EDIT and request.proposed_args is not None
    if answer.digest != proposed and (answer.digest is not None or unseen):
        raise InvalidTransitionError(
            "Somebody has changed the arguments since they were asked for.",
            hint=f"Look at `proposed_args`, then decide with the digest {proposed}.",
            code="changed_meanwhile",
        )
    rule = review.rule_of(request)
    if command.rule is not None:
        rule = rule.stricter(command.rule)
    if command.standing_grant is None:
        review.check_reviewer(request, rule, command.by, approves=approved)
    digest = _effective_digest(request.action, args) if status is Status.APPROVED else None
    votes = request.votes
    if rule.approvals > 1:
        vote = Vote(
            type=answer.type,
            approves=approved,
            digest=digest,
            option=answer.option,
            content=answer.content,
            reason=answer.reason,
            by=Reviewer(id=command.by.id, name=command.by.name),
            channel=command.channel,
            strength=command.by.strength,
            assertion=command.assertion,
            at=now,
        )
        count = review.tally(request, rule, vote)
        votes = count.votes
        if not count.is_enough:
            return _vote(request, command, count, rule, args, now)
    decision = msgspec.structs.replace(
        _UNDECIDED,
        type=answer.type,
        approved=approved,
        args=args if status is Status.APPROVED else None,
        digest=digest,
        content=answer.content,
        option=answer.option,
        reason=answer.reason,
        tags=command.tags,
        by=Reviewer(id=command.by.id, name=command.by.name),
        channel=command.channel,
        strength=command.by.strength,
        assertion=command.assertion,
        standing_grant=command.standing_grant,
        decided_at=now,
        # Not before it was asked, even if the clock was set back meanwhile.
        took_seconds=max(0.0, round((now - request.created_at).total_seconds(), 3)),
    )
    decided = msgspec.structs.replace(
        request,
        status=status,
        decision=decision,
        votes=votes,
        grant=None if digest is None else Grant(digest=digest, expires_at=now + _lifetime(rule)),
        closed_at=now,
        version=request.version + 1,
    )
    data: JsonObject = {
        "status": status,
        "type": answer.type,
        "approved": decision.approved,
        "digest": decision.digest,
        "channel": command.channel,
        "strength": command.by.strength,
    }
    if command.standing_grant is not None:
        data["standing_grant"] = command.standing_grant
    event = _event(decided, EventType.REQUEST_DECIDED, now, command.by.actor, data)
    return Change(request=decided, expected_version=request.version, events=(event,))


_UNDECIDED = Decision(approved=False)
"""To copy: what makes a decision by its name looks first for what programs write by hand."""


def _settle(
    request: Request, command: Settle, now: datetime, *, is_silence: bool = False
) -> Change:
    """What a rule decides, by itself or because nobody has answered."""
    digest = None
    if command.approves:
        if request.kind is not Kind.APPROVAL or request.action is None or request.options:
            raise InvalidAnswerError("A rule approves actions, and answers nothing.")
        digest = request.action.digest
    said = DecisionType.APPROVE if command.approves else DecisionType.REJECT
    decision = Decision(
        type=said,
        approved=command.approves,
        digest=digest,
        reason=command.reason,
        by=Reviewer(id="policy", name=command.rule),
        channel=Channel.POLICY,
        decided_at=now,
        took_seconds=max(0.0, round((now - request.created_at).total_seconds(), 3)),
    )
    grant = None
    if digest is not None:
        grant = Grant(digest=digest, expires_at=now + _lifetime(review.rule_of(request)))
    status = Status.APPROVED if command.approves else Status.REJECTED
    decided = msgspec.structs.replace(
        request,
        status=status,
        decision=decision,
        grant=grant,
        closed_at=now,
        version=request.version + 1,
    )
    data: JsonObject = {
        "status": status,
        "type": said,
        "approved": command.approves,
        "digest": digest,
        "channel": Channel.POLICY,
        "strength": None,
        "rule": command.rule,
    }
    if is_silence:
        data["silence"] = True
    event = _event(decided, EventType.REQUEST_DECIDED, now, "system", data)
    return Change(request=decided, expected_version=request.version, events=(event,))


def _expire(request: Request, command: Expire, now: datetime) -> Change:
    """What silence means for this request."""
    if request.deadline_at is None or now < request.deadline_at:
        raise InvalidTransitionError("The request is not due yet.", code="not_due")
    means = silence.meaning(request)
    if means is OnTimeout.APPROVE and command.is_stopped:
        means = OnTimeout.EXPIRE
    match means:
        case OnTimeout.REJECT | OnTimeout.APPROVE:
            approves = means is OnTimeout.APPROVE
            rule = "on_timeout" if request.policy is None else request.policy.rule
            reason = f"Nobody answered in time, which here means {'yes' if approves else 'no'}."
            settle = Settle(approves=approves, rule=rule or "on_timeout", reason=reason)
            return _settle(request, settle, now, is_silence=True)
        case OnTimeout.ESCALATE:
            return _escalate(request, now)
        case OnTimeout.PARK:
            parked = msgspec.structs.replace(
                request, deadline_at=None, parked_at=now, version=request.version + 1
            )
            event = _event(parked, EventType.REQUEST_PARKED, now, "system", {})
            return Change(request=parked, expected_version=request.version, events=(event,))
        case OnTimeout.EXPIRE:
            return _close(
                request,
                Status.EXPIRED,
                EventType.REQUEST_EXPIRED,
                now,
                actor="system",
                reason="Nobody answered in time.",
            )


def _escalate(request: Request, now: datetime) -> Change:
    """Ask further people, and give them as much time as there was at first."""
    assert request.escalate_to is not None  # noqa: S101  silence.meaning has seen it
    assert request.deadline_at is not None  # noqa: S101  it is due
    old, rule = review.rule_of(request), silence.widened(request.rule, request.escalate_to)
    deadline = now + (request.deadline_at - request.created_at)
    # What was said under a milder rule does not count under a stricter one.
    is_as_strict = (old.four_eyes, old.min_strength) == (rule.four_eyes, rule.min_strength)
    escalated = msgspec.structs.replace(
        request,
        rule=rule,
        votes=request.votes if is_as_strict else (),
        escalated_at=now,
        deadline_at=deadline,
        version=request.version + 1,
    )
    data: JsonObject = {
        "people": list(request.escalate_to.people),
        "groups": list(request.escalate_to.groups),
        "deadline_at": _shown(deadline),
    }
    event = _event(escalated, EventType.REQUEST_ESCALATED, now, "system", data)
    return Change(request=escalated, expected_version=request.version, events=(event,))


def _vote(
    request: Request,
    command: Decide,
    count: review.Tally,
    rule: Rule,
    args: JsonObject | None,
    now: datetime,
) -> Change:
    """One more has said something, and it takes more of them."""
    vote = count.votes[-1]
    proposed = args if vote.approves else request.proposed_args
    voted = msgspec.structs.replace(
        request,
        rule=rule,
        votes=count.votes,
        proposed_args=proposed,
        proposed_digest=None if proposed is None else _effective_digest(request.action, proposed),
        version=request.version + 1,
    )
    data: JsonObject = {
        "type": vote.type,
        "approves": vote.approves,
        "digest": vote.digest,
        "agreeing": count.agreeing,
        "needed": rule.approvals,
        "channel": vote.channel,
        "strength": vote.strength,
    }
    event = _event(voted, EventType.REQUEST_VOTED, now, command.by.actor, data)
    return Change(request=voted, expected_version=request.version, events=(event,))


def _lifetime(rule: Rule) -> timedelta:
    return timedelta(seconds=rule.grant_seconds or GRANT_SECONDS)


def _claim(request: Request, command: Claim, now: datetime) -> Change:
    grant = claims.claimed(
        request,
        by=command.by,
        digest=command.digest,
        facts=command.facts,
        key=command.key,
        now=now,
    )
    if grant is request.grant:
        return Change(request=request, expected_version=request.version, events=())
    data: JsonObject = {"digest": grant.digest}
    return _follow_up(request, EventType.GRANT_CLAIMED, now, command.by.actor, data, grant=grant)


def _report(request: Request, command: Report, now: datetime) -> Change:
    outcome = claims.reported(request, command.outcome, by=command.by, now=now)
    if outcome is None:
        return Change(request=request, expected_version=request.version, events=())
    data: JsonObject = {"status": outcome.status}
    kind = EventType.OUTCOME_REPORTED
    return _follow_up(request, kind, now, command.by.actor, data, outcome=outcome)


def _end_grant(request: Request, command: EndGrant, now: datetime) -> Change:
    grant = request.grant
    if grant is None or grant.claimed_at is not None or now >= grant.expires_at:
        raise InvalidTransitionError("The grant is gone already.", code="not_reopenable")
    ended = msgspec.structs.replace(grant, expires_at=now)
    data: JsonObject = {"reason": command.reason}
    return _follow_up(request, EventType.GRANT_ENDED, now, command.by.actor, data, grant=ended)


def _follow_up(
    request: Request,
    kind: EventType,
    now: datetime,
    actor: str,
    data: JsonObject,
    *,
    grant: Grant | None = None,
    outcome: Outcome | None = None,
) -> Change:
    """What happens to an approved request afterwards."""
    followed = msgspec.structs.replace(
        request,
        grant=grant or request.grant,
        outcome=outcome or request.outcome,
        version=request.version + 1,
    )
    event = _event(followed, kind, now, actor, data)
    return Change(request=followed, expected_version=request.version, events=(event,))


def reopen(
    request: Request,
    *,
    request_id: str,
    facts: JsonObject | None,
    now: datetime,
    by: Principal,
    rule: Rule | None,
    key: str,
) -> Change:
    """The same question, asked again, with what has changed meanwhile.

    Raises:
        InvalidTransitionError: it was decided otherwise, or may have run (`not_reopenable`).
    """
    claims.check_reopen(request, now)
    deadline = None
    if request.deadline_at is not None:
        deadline = now + (request.deadline_at - request.created_at)
    asked = Request(
        id=request_id,
        kind=request.kind,
        message=request.message,
        session_id=request.session_id,
        client_id=request.client_id,
        action=request.action,
        options=request.options,
        schema=request.schema,
        priority=request.priority,
        metadata=request.metadata,
        callback_url=request.callback_url,
        remind_every_seconds=request.remind_every_seconds,
        on_timeout=request.on_timeout if request.on_timeout in ASKERS_CHOICES else OnTimeout.EXPIRE,
        requested_by=request.requested_by,
        facts=request.facts if facts is None else facts,
        rule=rule,
        reopens=request.id,
        changes=None if facts is None else claims.changes(request.facts, facts),
        created_at=now,
        deadline_at=deadline,
        tenant=request.tenant,
        traceparent=request.traceparent,
    )
    data: JsonObject = {"kind": asked.kind, "reopens": request.id}
    if asked.action is not None:
        data |= {"tool_name": asked.action.tool_name, "digest": asked.action.digest}
    told = _event(request, EventType.REQUEST_REOPENED, now, by.actor, {"as": asked.id})
    event = _event(asked, EventType.REQUEST_SUBMITTED, now, by.actor, data)
    return Change(request=asked, expected_version=0, events=(event, told), key=key)


def _extend(request: Request, command: Extend, now: datetime) -> Change:
    _refuse_when_due(request, now)
    deadline = None if command.timeout is None else now + command.timeout
    if request.deadline_at is None or (deadline is not None and deadline < request.deadline_at):
        raise InvalidTransitionError(
            "The request has more time than that already.",
            hint="Extend it to a later deadline, or cancel it.",
            code="not_later",
        )
    extended = msgspec.structs.replace(request, deadline_at=deadline, version=request.version + 1)
    data: JsonObject = {"deadline_at": None if deadline is None else _shown(deadline)}
    event = _event(extended, EventType.REQUEST_EXTENDED, now, command.by.actor, data)
    return Change(request=extended, expected_version=request.version, events=(event,))


def _shown(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _remind(request: Request, command: Remind, now: datetime) -> Change:
    if command.after != request.reminders:
        raise InvalidTransitionError("People were reminded already.", code="already_reminded")
    _refuse_when_due(request, now)
    reminded = msgspec.structs.replace(
        request, reminders=request.reminders + 1, version=request.version + 1
    )
    data: JsonObject = {"reminders": reminded.reminders}
    event = _event(reminded, EventType.REQUEST_REMINDED, now, "system", data)
    return Change(request=reminded, expected_version=request.version, events=(event,))


def _refuse_when_due(request: Request, now: datetime) -> None:
    if request.deadline_at is None or now < request.deadline_at:
        return
    if silence.is_no(request):
        raise InvalidTransitionError(
            "The request has expired: nobody answered in time.",
            hint="The agent was told no. It has to ask again.",
            code="expired",
        )
    comes = {
        OnTimeout.APPROVE: "it is about to be approved by silence",
        OnTimeout.ESCALATE: "further people are about to be asked",
        OnTimeout.PARK: "it is about to wait without a deadline",
    }[silence.meaning(request)]
    raise InvalidTransitionError(
        f"The deadline has passed: {comes}.",
        hint="It can still be rejected now. Else look at it again in a moment.",
        code="expired",
    )


def _outcome(request: Request, answer: Answer) -> tuple[Status, Option | None]:
    """Where the answer leads, and the option that it names."""
    status = OUTCOMES.get((request.kind, answer.type))
    if status is None:
        takes = ", ".join(t for k, t in OUTCOMES if k is request.kind)
        raise InvalidAnswerError(
            f"A request of kind {request.kind.value!r} is not decided by {answer.type.value!r}.",
            hint=f"It takes: {takes}.",
        )
    _refuse_stray_fields(answer)
    option = _chosen(request, answer)
    if option is not None and request.kind is Kind.APPROVAL:
        status = Status.APPROVED if option.approves else Status.REJECTED
    if answer.type is DecisionType.EDIT and (request.action is None or answer.args is None):
        raise InvalidAnswerError(
            "There are no arguments to edit."
            if request.action is None
            else "An edit needs `args`: all arguments, as they shall run.",
            hint="Approve or reject it instead." if request.action is None else "",
        )
    return status, option


def _refuse_stray_fields(answer: Answer) -> None:
    """What is sent but would not count must not look as if it did."""
    if answer.args is None and answer.content is None and answer.option is None:
        return
    stray = [
        name
        for name, value, belongs_to in (
            ("args", answer.args, DecisionType.EDIT),
            ("content", answer.content, DecisionType.RESPOND),
            ("option", answer.option, DecisionType.RESPOND),
        )
        if value is not None and answer.type is not belongs_to
    ]
    if stray:
        raise InvalidAnswerError(
            f"`{stray[0]}` does not go with {answer.type.value!r}.",
            hint="`args` goes with 'edit'; `content` and `option` go with 'respond'.",
        )


def _chosen(request: Request, answer: Answer) -> Option | None:
    """The option that a `respond` names; a choice must name one of its own."""
    if answer.type is not DecisionType.RESPOND:
        return None
    if answer.option is None:
        if request.kind is Kind.CHOICE:
            raise InvalidAnswerError("A choice is decided by `option`.", hint=_offers(request))
        if answer.content is None:
            raise InvalidAnswerError("`respond` needs `content`: the answer.")
        return None
    option = request.option(answer.option)
    if option is None:
        raise InvalidAnswerError(
            f"There is no option {answer.option!r}.",
            hint=_offers(request) if request.options else "Send the answer as `content`.",
        )
    if answer.content is not None:
        raise InvalidAnswerError("Send either `option` or `content`, not both.")
    return option


def _offers(request: Request) -> str:
    return f"It offers: {', '.join(repr(option.value) for option in request.options)}."


def _is_approval(request: Request, status: Status, option: Option | None) -> bool:
    """An answer given instead of running an action does not let the action run."""
    if status is not Status.ANSWERED:
        return status is Status.APPROVED
    return option.approves if option is not None else request.kind is Kind.INPUT


def _effective_digest(action: Action | None, args: JsonObject | None) -> str | None:
    if action is None:
        return None
    return action.digest if args is None else digest_of(action.tool_name, args)


def _close(
    request: Request, status: Status, event: EventType, now: datetime, *, actor: str, reason: str
) -> Change:
    closed = msgspec.structs.replace(
        request, status=status, closed_at=now, closed_reason=reason, version=request.version + 1
    )
    told = _event(closed, event, now, actor, {"reason": reason} if reason else {})
    return Change(request=closed, expected_version=request.version, events=(told,))


def _closed(request: Request, command: Command) -> RefusedError:
    """Tell a late comer what was decided, and an early one that nothing is."""
    if isinstance(command, (Claim, Report, EndGrant)):
        return NotApprovedError(
            f"The request is {request.status.value}: there is nothing to run.",
            hint="Only what was approved can be claimed.",
        )
    match request.status:
        case Status.EXPIRED:
            return InvalidTransitionError(
                "The request has expired: nobody answered in time.",
                hint="The agent was told no. It has to ask again.",
                code="expired",
            )
        case Status.CANCELLED:
            return InvalidTransitionError(
                "The request was cancelled by the agent's side.", code="cancelled"
            )
        case _:
            by = request.decision.by.name if request.decision is not None else "somebody"
            return InvalidTransitionError(
                f"The request is already {request.status.value}, by {by}.",
                hint="The first decision stands.",
            )


def _event(request: Request, kind: EventType, now: datetime, actor: str, data: JsonObject) -> Event:
    return Event(
        type=kind,
        at=now,
        request_id=request.id,
        session_id=request.session_id,
        client_id=request.client_id,
        asked_by=request.requested_by.actor,
        owner=request.requested_by.owner or None,
        actor=actor,
        data=data,
        tenant=request.tenant,
    )
