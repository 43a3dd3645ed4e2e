"""Remembered decisions let through what was meant, and nothing else."""

import math
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayso.domain.accounts import Strength
from sayso.domain.actions import Action, RiskClass
from sayso.domain.decisions import Reviewer
from sayso.domain.patterns import Budget, Pattern, StandingDraft
from sayso.domain.requests import Kind, Request
from sayso.domain.rules import Rule
from sayso.domain.standing import StandingGrant, check_standing, may_stand
from sayso.errors import InvalidRequestError
from sayso.testing.factories import NOW

LATER = NOW + timedelta(seconds=1)


def grant(**fields: Any) -> StandingGrant:
    said: dict[str, Any] = {
        "id": "sg_1",
        "tool_name": "pay",
        "args": {"to": Pattern(equals="Ann"), "amount": Pattern(min=0, max=10)},
        "uses_left": 3,
        "budget": None,
        "expires_at": NOW + timedelta(hours=1),
        "given_by": Reviewer(id="ada", name="Ada"),
        "strength": Strength.LOGIN,
        "given_at": NOW,
    }
    return StandingGrant(**{**said, **fields})


def asked(tool: str = "pay", risk: RiskClass | None = None, **args: Any) -> Request:
    return Request(
        id="r",
        kind=Kind.APPROVAL,
        message="?",
        action=Action(tool_name=tool, tool_args=args, risk_class=risk),
        created_at=NOW,
    )


def test_what_is_within_it_is_let_through_and_counted() -> None:
    used = grant().used_for(asked(to="Ann", amount=10), LATER)
    assert used is not None
    assert (used.used, used.uses_left) == (1, 2)


@pytest.mark.parametrize(
    "request_",
    [
        asked(to="Ann", amount=10.01),
        asked(to="Ann", amount=-1),
        asked(to="Ann", amount="5"),
        asked(to="Ann", amount=True),
        asked(to="Ann", amount=[5]),
        asked(to="Ann", amount=None),
        asked(to="ann", amount=5),
        asked(to="Ann"),
        asked(amount=5),
        asked(to="Ann", amount=5, memo="and one more thing"),
        asked("pay2", to="Ann", amount=5),
        asked("Pay", to="Ann", amount=5),
        asked(risk=RiskClass.HIGH, to="Ann", amount=5),
    ],
)
def test_what_is_not_quite_within_it_is_asked(request_: Request) -> None:
    assert grant().used_for(request_, LATER) is None


def test_it_ends() -> None:
    request = asked(to="Ann", amount=1)
    for over in (
        grant(uses_left=0),
        grant(expires_at=LATER),
        grant(revoked_at=NOW),
        grant(session_id="s"),
        grant(client_id="c"),
        grant(asked_by="agent:other"),
    ):
        assert over.used_for(request, LATER) is None


@given(st.lists(st.floats(min_value=-5, max_value=20, allow_nan=False), max_size=30))
def test_a_budget_is_never_overspent(amounts: list[float]) -> None:
    standing = grant(uses_left=None, budget=Budget(argument="amount", limit=25.0))
    spent = 0.0
    for amount in amounts:
        used = standing.used_for(asked(to="Ann", amount=amount), LATER)
        if used is not None:
            spent += amount
            standing = used
    assert 0 <= spent <= 25


@pytest.mark.parametrize("spent", [-1e6, -0.01, math.nan, -math.inf, math.inf])
def test_a_budget_that_was_spoilt_lets_nothing_through(spent: float) -> None:
    budget = Budget(argument="amount", limit=25.0)
    assert grant(budget=budget).used_for(asked(to="Ann", amount=1), LATER) is not None
    spoilt = grant(budget=budget, spent=spent)
    for amount in (0, 1, 5):
        assert spoilt.used_for(asked(to="Ann", amount=amount), LATER) is None


def test_options_and_questions_are_never_answered_by_it() -> None:
    question = msgspec.structs.replace(asked(to="Ann", amount=1), kind=Kind.CHOICE)
    assert grant().used_for(question, LATER) is None


@pytest.mark.parametrize(
    "rule",
    [
        Rule(approvals=2),
        Rule(four_eyes=True),
        Rule(min_strength=Strength.PASSKEY),
        Rule(people=("ben",)),
        Rule(groups=("finance",)),
    ],
)
def test_a_rule_that_wants_more_is_not_got_round(rule: Rule) -> None:
    assert not may_stand(rule, grant())
    assert may_stand(Rule(), grant())
    assert not may_stand(Rule(min_strength=Strength.LOGIN), grant(strength=Strength.LINK))


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"args": {"to": Pattern()}}, "$.args.to"),
        ({"budget": Budget(argument="amount", limit=1)}, "$.budget.argument"),
        ({"tool_name": "p*"}, "$.tool_name"),
        ({"tool_name": "other"}, "$.remember"),
        ({"args": {"to": Pattern(equals="Ben"), "amount": Pattern(any=True)}}, "$.remember"),
    ],
)
def test_one_that_says_too_little_or_something_else_is_refused(
    fields: dict[str, Any], at: str
) -> None:
    action = Action(tool_name="pay", tool_args={"to": "Ann", "amount": 1})
    said = {"tool_name": "pay", "args": {"to": Pattern(any=True)}, **fields}
    with pytest.raises(InvalidRequestError) as refused:
        check_standing(StandingDraft(**said), action)
    assert refused.value.errors[0]["at"] == at


def test_what_is_of_high_risk_is_never_remembered() -> None:
    action = Action(tool_name="pay", tool_args={"to": "Ann"}, risk_class=RiskClass.HIGH)
    draft = StandingDraft(tool_name="pay", args={"to": Pattern(any=True)})
    with pytest.raises(InvalidRequestError):
        check_standing(draft, action)
