"""Quorum, four eyes, strength: who may say what, and when it is enough."""

from datetime import timedelta
from typing import Any

import pytest

from sayso.domain import lifecycle
from sayso.domain.accounts import Plane, Principal, Role, Strength
from sayso.domain.actions import Action, RiskClass
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.lifecycle import Decide
from sayso.domain.requests import ActionDraft, Request, Status
from sayso.domain.rules import ONE_REVIEWER, ReviewRule, Rule, rule_for
from sayso.errors import InvalidTransitionError, NotPermittedError
from sayso.testing.factories import NOW, make_draft

PAY = ActionDraft(tool_name="pay", tool_args={"amount": 5}, risk_class=RiskClass.MEDIUM)
BOT = Principal(plane=Plane.AGENT, id="bot", name="Bot", owner="ada")


def who(name: str, *groups: str, strength: Strength = Strength.LOGIN) -> Principal:
    return Principal(
        plane=Plane.PERSON,
        id=name,
        name=name.title(),
        role=Role.REVIEWER,
        strength=strength,
        groups=frozenset(groups),
    )


ADA, BEN, CY = who("ada"), who("ben", "finance"), who("cy", "finance")


def ask(**rule: Any) -> Request:
    return lifecycle.submit(
        make_draft(action=PAY),
        request_id="r",
        now=NOW,
        default_timeout=timedelta(hours=1),
        by=BOT,
        rule=Rule(**rule),
    ).request


def say(request: Request, by: Principal, type: str = "approve", **answer: Any) -> Request:  # noqa: A002
    command = Decide(answer=Answer(type=DecisionType(type), **answer), by=by, channel=Channel.WEB)
    return lifecycle.apply(request, command, NOW + timedelta(seconds=1)).request


def test_it_takes_as_many_people_as_the_rule_says() -> None:
    one = say(ask(approvals=2), ADA)
    assert (one.status, one.decision, one.grant) == (Status.PENDING, None, None)
    two = say(one, BEN)
    assert two.status is Status.APPROVED
    assert [vote.by.id for vote in two.votes] == ["ada", "ben"]
    assert two.grant is not None


def test_a_quorum_counts_people_and_not_presses() -> None:
    one = say(ask(approvals=3), ADA)
    for _ in range(2):
        with pytest.raises(InvalidTransitionError) as refused:
            say(one, ADA)
        assert refused.value.reason_code == "already_voted"
    assert len(say(one, BEN).votes) == 2


def test_one_veto_ends_it_and_without_veto_it_takes_as_many_as_an_approval() -> None:
    assert say(say(ask(approvals=2), ADA), BEN, "reject").status is Status.REJECTED
    calm = say(say(ask(approvals=2, veto=False), ADA), BEN, "reject")
    assert calm.status is Status.PENDING
    assert say(calm, CY).status is Status.APPROVED
    assert say(calm, CY, "reject").status is Status.REJECTED


def test_who_has_voted_may_change_their_mind() -> None:
    one = say(ask(approvals=2, veto=False), ADA)
    changed = say(one, ADA, "reject")
    assert [vote.approves for vote in changed.votes] == [False]
    assert say(changed, BEN).status is Status.PENDING


def test_an_edit_voids_the_approvals_of_other_arguments() -> None:
    one = say(ask(approvals=2), ADA)
    edited = say(one, BEN, "edit", args={"amount": 4})
    assert [vote.by.id for vote in edited.votes] == ["ben"]
    assert edited.proposed_args == {"amount": 4}
    done = say(edited, ADA, digest=edited.votes[0].digest)
    assert done.status is Status.APPROVED
    assert done.arguments == {"amount": 4}
    assert done.grant is not None
    assert done.decision is not None
    assert done.grant.digest == done.decision.digest == edited.votes[0].digest


def test_nobody_approves_what_they_have_not_seen() -> None:
    edited = say(say(ask(approvals=2), ADA), BEN, "edit", args={"amount": 4})
    for seen in (PAY.digest, None):
        with pytest.raises(InvalidTransitionError) as refused:
            say(edited, ADA, digest=seen)
        assert refused.value.reason_code == "changed_meanwhile"
    assert say(edited, ADA, digest=edited.votes[0].digest).status is Status.APPROVED


def test_who_owns_the_agent_does_not_approve_what_it_asks() -> None:
    with pytest.raises(NotPermittedError) as refused:
        say(ask(four_eyes=True), ADA)
    assert refused.value.reason_code == "four_eyes"
    assert say(ask(four_eyes=True), BEN).status is Status.APPROVED
    assert say(ask(four_eyes=True), ADA, "reject").status is Status.REJECTED


def test_only_those_who_are_asked_decide() -> None:
    for rule in ({"groups": ("finance",)}, {"people": ("ben",)}):
        request = ask(**rule)
        for answer in ("approve", "reject"):
            with pytest.raises(NotPermittedError) as refused:
                say(request, ADA, answer)
            assert refused.value.reason_code == "not_asked"
        assert say(request, BEN).status is Status.APPROVED


def test_who_is_not_identified_strongly_enough_can_reject_and_no_more() -> None:
    by_link = who("dee", strength=Strength.LINK)
    request = ask(min_strength=Strength.LOGIN)
    for answer in ({"type": "approve"}, {"type": "edit", "args": {"amount": 1}}):
        with pytest.raises(NotPermittedError) as refused:
            say(request, by_link, **answer)
        assert refused.value.reason_code == "strength_required"
    assert say(request, by_link, "reject").status is Status.REJECTED
    assert say(request, ADA).status is Status.APPROVED


def test_an_agent_can_ask_for_more_but_never_for_less() -> None:
    ours = ReviewRule(
        name="pay", tools=("PAY*",), rule=Rule(approvals=2, groups=("finance",), four_eyes=True)
    )
    weak = Rule(approvals=1, people=("friend",), veto=False, four_eyes=False)
    both = rule_for(PAY, (ours,), weak)
    assert (both.approvals, both.groups, both.people, both.four_eyes) == (2, ("finance",), (), True)
    assert both.names == ("pay",)
    assert rule_for(PAY, (), Rule(approvals=3)).approvals == 3


def test_a_rule_for_risks_holds_for_what_does_not_tell_its_risk() -> None:
    rule = ReviewRule(name="high", risks=frozenset({RiskClass.HIGH}), rule=Rule(approvals=2))
    quiet = ActionDraft(tool_name="pay")
    assert rule_for(quiet, (rule,), None).approvals == 2
    assert rule_for(PAY, (rule,), None) == ONE_REVIEWER


def test_what_the_asking_side_wants_is_never_weaker_than_what_holds_without_it() -> None:
    asked = rule_for(PAY, (), Rule(approvals=3, veto=False, grant_seconds=31_622_400))
    assert asked.veto
    assert asked.grant_seconds == 3_600
    ours = ReviewRule(name="pay", rule=Rule(approvals=2, veto=False, grant_seconds=86_400))
    both = rule_for(PAY, (ours,), Rule(veto=True))
    assert not both.veto, "that is for the rule to say"
    assert both.grant_seconds == 86_400
    assert rule_for(PAY, (ours,), Rule(grant_seconds=60)).grant_seconds == 60


@pytest.mark.parametrize(
    "tool",
    [
        "Deploy_x",
        "deploy\u200b_x",
        "de\U000e0100ploy_x",
        "\uff44\uff45\uff50\uff4c\uff4f\uff59_x",
        "d\u0435ploy_x",
        "deploy_x",
    ],
)
def test_a_rule_is_not_got_round_by_how_a_tool_is_spelled(tool: str) -> None:
    rule = ReviewRule(name="two", tools=("deploy_*",), rule=Rule(approvals=2))
    assert rule.matches(Action(tool_name=tool))
    assert not rule.matches(Action(tool_name="destroy_x"))
