"""What it means that nobody answered by the deadline: mostly no, and in doubt always."""

from sayso.domain.accounts import Strength
from sayso.domain.actions import RiskClass
from sayso.domain.requests import Kind, OnTimeout, Request
from sayso.domain.rules import ONE_REVIEWER, Rule


def meaning(request: Request) -> OnTimeout:
    """What silence means for a request now: as it says, or that it expires.

    What is there is looked at once more, whoever wrote it: a yes takes everything that
    `may_approve` wants, and further people are asked once.
    """
    match request.on_timeout:
        case OnTimeout.APPROVE if not may_approve(request):
            return OnTimeout.EXPIRE
        case OnTimeout.ESCALATE if request.escalate_to is None or request.escalated_at is not None:
            return OnTimeout.EXPIRE
        case known:
            return known


def is_no(request: Request) -> bool:
    """Whether silence ends it with a no."""
    if request.on_timeout is OnTimeout.EXPIRE:  # as nearly all say
        return True
    return meaning(request) in (OnTimeout.EXPIRE, OnTimeout.REJECT)


def may_approve(request: Request) -> bool:
    """Whether silence may mean yes.

    Only for an action whose risk is told as low, that a rule of the server's policy put to people
    and that a single one of them could have let through.
    """
    rule = request.rule or ONE_REVIEWER
    return (
        request.kind is Kind.APPROVAL
        and request.action is not None
        and request.action.risk_class is RiskClass.LOW
        and not request.options
        and not request.votes
        and request.policy is not None
        and rule.approvals == 1
        and not rule.four_eyes
        and rule.min_strength is not Strength.PASSKEY
    )


def widened(rule: Rule | None, further: Rule) -> Rule:
    """The rule once further people are asked: those who were asked before stay asked.

    Nothing else gets easier: it takes as many of them, as strongly identified, as either wants.
    """
    old = rule or ONE_REVIEWER
    asks_anybody = not old.people and not old.groups
    wider = old.stricter(further)
    if asks_anybody:
        people, groups = (), ()
    else:
        people = tuple(dict.fromkeys((*old.people, *further.people)))
        groups = tuple(dict.fromkeys((*old.groups, *further.groups)))
    return Rule(
        approvals=wider.approvals,
        people=people,
        groups=groups,
        four_eyes=wider.four_eyes,
        veto=wider.veto,
        min_strength=wider.min_strength,
        grant_seconds=wider.grant_seconds,
        names=old.names,
    )
