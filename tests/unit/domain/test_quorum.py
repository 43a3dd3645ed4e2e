"""Which review rules nobody can satisfy: ever, or as people are today."""

import pytest

from sayso.domain.quorum import check_possible, shortcomings
from sayso.domain.rules import Rule
from sayso.errors import InvalidRequestError

REVIEWERS = {"1": "Ada", "2": "Grace"}
GROUPS = {"finance": ("1", "9"), "empty": ()}

FOUR_EYES = (
    "It takes 2 different people, and 2 can approve today: too few for what an agent of one of them"
    " asks, since it takes four eyes."
)


@pytest.mark.parametrize(
    "rule",
    [Rule(approvals=2, people=("1",)), Rule(approvals=3, people=("1", "2", "2"))],
)
def test_more_people_than_are_named_is_refused(rule: Rule) -> None:
    with pytest.raises(InvalidRequestError, match="nothing could ever be approved") as refused:
        check_possible(rule)
    assert refused.value.errors[0]["at"] == "$.rule.approvals"


@pytest.mark.parametrize(
    "rule",
    [
        Rule(approvals=20),
        Rule(approvals=2, people=("1", "2")),
        Rule(approvals=2, people=("1",), groups=("later",)),
    ],
)
def test_what_may_come_to_be_satisfied_is_not_refused(rule: Rule) -> None:
    check_possible(rule)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (Rule(), []),
        (Rule(approvals=2, groups=("finance",), people=("2",)), []),
        (Rule(approvals=3), ["It takes 3 different people, and 2 can approve today (Ada, Grace)."]),
        (
            Rule(groups=("empty",)),
            ["The group 'empty' has no members.", "It takes one, and 0 can approve today."],
        ),
        (
            Rule(approvals=2, groups=("finance",)),  # one of the two may not decide
            ["It takes 2 different people, and 1 can approve today (Ada)."],
        ),
        (
            Rule(people=("7", "9")),
            [
                "Nobody has the id '7'.",
                "Vera may not decide.",
                "It takes one, and 0 can approve today.",
            ],
        ),
        (
            Rule(approvals=2, four_eyes=True),
            [FOUR_EYES],
        ),
    ],
)
def test_what_people_cannot_satisfy_today_is_told(rule: Rule, told: list[str]) -> None:
    assert list(shortcomings(rule, REVIEWERS, GROUPS, {"9": "Vera"})) == told
