"""What a policy would have done with what was asked before: fewer prompts, or a yes against a no.

It is reckoned from what is on record: which action, who asked, and what people decided. A policy
is only asked what it says; nothing is run, and nothing of the record is changed.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum

from msgspec import Struct, field

from sayso.domain.actions import Action
from sayso.domain.decisions import Channel, DecisionType
from sayso.domain.requests import Kind, Request, Status
from sayso.policies.base import Context, Effect, Policy, judge

MOST_EXAMPLES = 5
"""Ids that are told of each count."""
_NOBODY = frozenset({Channel.POLICY, Channel.STANDING})
"""The channels by which no person decided in that moment."""
_POLICY_NAMES = "policy/"


class Said(StrEnum):
    """What people said to a request."""

    APPROVED = "approved"
    EDITED = "edited"
    """Approved with other arguments."""
    REJECTED = "rejected"
    NOTHING = "nothing"
    """Nobody was asked, nobody answered, or it was taken back."""


class Recorded(Struct, frozen=True, kw_only=True):
    """One request on record, as far as policies are concerned."""

    id: str
    action: Action
    context: Context
    said: Said
    is_reviewed: bool = False
    """A review rule, or the asking side itself, wants people for it whatever the policy says."""


class Count(Struct, kw_only=True):
    """How many, and the ids of some."""

    n: int = 0
    examples: list[str] = field(default_factory=list[str])

    def add(self, record: Recorded) -> None:
        """One more."""
        self.n += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(record.id)


class Tally(Struct, kw_only=True):
    """What is different for some requests."""

    requests: int = 0
    prompts_before: int = 0
    """Requests that the old policy puts to people,"""
    prompts_after: int = 0
    """and the new one."""
    added: Count = field(default_factory=Count)
    """People would be asked who were not."""
    removed: Count = field(default_factory=Count)
    """People would not be asked any more: it is allowed or denied."""
    denied: Count = field(default_factory=Count)
    """Denied now, and not before;"""
    denied_approved: Count = field(default_factory=Count)
    """of these, people had approved so many."""
    misses: Count = field(default_factory=Count)
    """People said no, and the new policy would have let it through."""
    unedited: Count = field(default_factory=Count)
    """People changed the arguments, and the new policy would have let them through as they were."""

    def add(self, record: Recorded, before: Effect, after: Effect) -> None:
        """One more request."""
        self.requests += 1
        self.prompts_before += before is Effect.ASK
        self.prompts_after += after is Effect.ASK
        if after is Effect.ASK and before is not Effect.ASK:
            self.added.add(record)
        if before is Effect.ASK and after is not Effect.ASK:
            self.removed.add(record)
        if after is Effect.DENY and before is not Effect.DENY:
            self.denied.add(record)
            if record.said in (Said.APPROVED, Said.EDITED):
                self.denied_approved.add(record)
        if after is Effect.ALLOW:
            if record.said is Said.REJECTED:
                self.misses.add(record)
            elif record.said is Said.EDITED:
                self.unedited.add(record)


class Backtest(Struct, kw_only=True):
    """What a new policy would have changed."""

    total: Tally = field(default_factory=Tally)
    by_tool: dict[str, Tally] = field(default_factory=dict[str, Tally])
    by_agent: dict[str, Tally] = field(default_factory=dict[str, Tally])

    @property
    def is_safe(self) -> bool:
        """Whether nothing would have run that people had refused or changed."""
        return not self.total.misses.n and not self.total.unedited.n


def recorded(request: Request) -> Recorded | None:
    """What is on record of a request; None if policies say nothing of it, or it still waits.

    Args:
        request: as it stands. Of one that was asked again, each asking counts for itself.
    """
    if request.action is None or request.status is Status.PENDING:
        return None
    rule = request.rule  # without a name it is what the asking side wants, if only one reviewer
    is_reviewed = rule is not None and (
        not rule.names or any(not name.startswith(_POLICY_NAMES) for name in rule.names)
    )
    return Recorded(
        id=request.id,
        action=request.action,
        context=Context(
            run_id=request.requested_by.actor,
            client_id=request.client_id,
            session_id=request.session_id,
            tenant=request.tenant,
            asked_by=request.requested_by.actor,
            session_pattern=request.requested_by.session_pattern,
        ),
        said=_said(request),
        is_reviewed=is_reviewed or request.kind is not Kind.APPROVAL or bool(request.options),
    )


def compare(records: Iterable[Recorded], old: Policy | None, new: Policy | None) -> Backtest:
    """What `new` would have made of `records`, beside what `old` makes of them.

    Args:
        records: what was asked.
        old: the policy to compare with; None: there is none, and people are asked everything.
        new: the other one.
    """
    found = Backtest()
    for _ in comparing(found, records, old, new):
        pass
    return found


def comparing(
    found: Backtest, records: Iterable[Recorded], old: Policy | None, new: Policy | None
) -> Iterator[Recorded]:
    """The same, one record at a time, into `found`: for whoever shows how far it is."""
    for record in records:
        before, after = _effect(old, record), _effect(new, record)
        tool, agent = record.action.tool_name, record.context.asked_by
        for tally in (
            found.total,
            found.by_tool.setdefault(tool, Tally()),
            found.by_agent.setdefault(agent, Tally()),
        ):
            tally.add(record, before, after)
        yield record


def _effect(policy: Policy | None, record: Recorded) -> Effect:
    """What becomes of it; a policy that fails has people asked."""
    if policy is None:
        return Effect.ASK
    effect = judge(policy, record.action, record.context).effect
    return Effect.ASK if effect is Effect.ALLOW and record.is_reviewed else effect


def _said(request: Request) -> Said:
    decision = request.decision
    if decision is None or decision.channel in _NOBODY:
        return Said.NOTHING
    if not decision.approved:
        return Said.REJECTED
    # The last of several people approves what an earlier one has edited.
    is_edited = decision.type is DecisionType.EDIT or decision.args is not None
    return Said.EDITED if is_edited else Said.APPROVED
