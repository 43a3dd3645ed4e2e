"""What a policy would have done with the record, and which rules the record speaks for."""

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayso.domain.actions import Action, RiskClass
from sayso.domain.decisions import Channel, Decision, DecisionType, Reviewer
from sayso.domain.requests import Kind, Option, Request, Status
from sayso.domain.rules import ASKED_NAME, Rule
from sayso.policies.backtest import Recorded, Said, compare, recorded
from sayso.policies.base import NO_CONTEXT, Context, Effect, Policy, Verdict
from sayso.policies.rules import load
from sayso.policies.suggest import Suggestion, as_yaml, suggest
from sayso.testing.factories import NOW

_ids = itertools.count(1)


class Up(Policy):
    """Allows amounts up to one limit, denies them from another."""

    name = "up"

    def __init__(self, allow: float = 0, deny: float = 1e9) -> None:
        self._allow, self._deny = allow, deny

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        amount = action.tool_args["amount"]
        if amount >= self._deny:
            return Verdict(effect=Effect.DENY)
        return Verdict(effect=Effect.ALLOW if amount <= self._allow else Effect.ASK)


def record(
    said: str = "approved",
    *,
    tool: str = "pay",
    agent: str = "agent:a",
    risk: RiskClass | None = RiskClass.LOW,
    is_reviewed: bool = False,
    **args: Any,
) -> Recorded:
    return Recorded(
        id=f"r{next(_ids)}",
        action=Action(tool_name=tool, tool_args=args, risk_class=risk),
        context=Context(asked_by=agent),
        said=Said(said),
        is_reviewed=is_reviewed,
    )


def closed(decision: Decision | None, status: Status, **fields: Any) -> Request:
    said = {"id": "r", "kind": Kind.APPROVAL, "message": "?", "created_at": NOW, **fields}
    action = Action(tool_name="pay", tool_args={"amount": 1})
    return Request(action=action, status=status, decision=decision, **said)


def test_it_counts_prompts_that_come_and_go_and_denials() -> None:
    records = [record(amount=amount) for amount in (1, 5, 50, 500)]
    found = compare(records, Up(allow=5), Up(allow=1, deny=100)).total
    assert (found.requests, found.prompts_before, found.prompts_after) == (4, 2, 2)
    assert found.added.examples == [records[1].id]
    assert found.removed.examples == found.denied.examples == [records[3].id]
    assert found.denied_approved.n == 1


def test_a_no_that_would_have_been_let_through_is_a_miss() -> None:
    refused, edited = record("rejected", amount=5), record("edited", amount=5)
    found = compare([refused, edited, record(amount=5)], None, Up(allow=10))
    assert found.total.misses.examples == [refused.id]
    assert found.total.unedited.examples == [edited.id]
    assert not found.is_safe
    assert compare([refused, edited], None, Up(allow=4)).is_safe


def test_it_is_told_by_tool_and_by_agent() -> None:
    records = [record(amount=1), record(tool="b", agent="agent:b", amount=1), record(amount=99)]
    found = compare(records, None, Up(allow=10))
    assert {tool: tally.removed.n for tool, tally in found.by_tool.items()} == {"pay": 1, "b": 1}
    by_agent = {agent: tally.requests for agent, tally in found.by_agent.items()}
    assert by_agent == {"agent:a": 2, "agent:b": 1}


def test_what_a_review_rule_wants_people_for_is_asked_whatever_the_policy_allows() -> None:
    found = compare([record("rejected", amount=1, is_reviewed=True)], None, Up(allow=10)).total
    assert (found.prompts_after, found.misses.n) == (1, 0)


def test_a_policy_that_fails_has_people_asked() -> None:
    assert compare([record(sum=1)], None, Up(allow=10)).total.prompts_after == 1


def test_no_more_than_a_few_examples_are_kept_of_many() -> None:
    found = compare([record(amount=1) for _ in range(50)], None, Up(allow=10)).total
    assert (found.removed.n, len(found.removed.examples)) == (50, 5)


YES = Decision(approved=True, by=Reviewer(id="ada", name="Ada"), channel=Channel.WEB)
NO = Decision(approved=False, channel=Channel.API)
EDIT = Decision(approved=True, type=DecisionType.EDIT, channel=Channel.WEB)
LAST_OF_TWO = Decision(
    approved=True, type=DecisionType.APPROVE, args={"amount": 2}, channel=Channel.WEB
)
BY_POLICY = Decision(approved=False, channel=Channel.POLICY)
STANDING = Decision(approved=True, channel=Channel.STANDING)
RESPONSE = Decision(approved=False, type=DecisionType.RESPOND, channel=Channel.WEB)


@pytest.mark.parametrize(
    ("decision", "status", "said"),
    [
        (YES, Status.APPROVED, Said.APPROVED),
        (EDIT, Status.APPROVED, Said.EDITED),
        (LAST_OF_TWO, Status.APPROVED, Said.EDITED),
        (NO, Status.REJECTED, Said.REJECTED),
        (RESPONSE, Status.ANSWERED, Said.REJECTED),
        (BY_POLICY, Status.REJECTED, Said.NOTHING),
        (STANDING, Status.APPROVED, Said.NOTHING),
        (None, Status.EXPIRED, Said.NOTHING),
        (None, Status.CANCELLED, Said.NOTHING),
    ],
)
def test_only_what_people_said_counts_as_said(
    decision: Decision | None, status: Status, said: Said
) -> None:
    found = recorded(closed(decision, status))
    assert found is not None
    assert (found.said, found.is_reviewed) == (said, False)


def test_what_still_waits_or_is_no_action_is_not_looked_at() -> None:
    assert recorded(closed(None, Status.PENDING)) is None
    question = Request(id="r", kind=Kind.INPUT, message="?", created_at=NOW, status=Status.ANSWERED)
    assert recorded(question) is None


@pytest.mark.parametrize(
    ("fields", "is_reviewed"),
    [
        ({"rule": None}, False),
        ({"rule": Rule()}, True),  # an agent's `rule: {}`
        ({"rule": Rule(names=("policy/a", ASKED_NAME))}, True),
        ({"rule": Rule(approvals=2, names=("policy/a",))}, False),
        ({"rule": Rule(names=("money",))}, True),
        ({"rule": Rule(names=("policy/a", "money"))}, True),
        ({"rule": Rule(approvals=2)}, True),
        ({"options": (Option(label="a", value="a", approves=True),)}, True),
    ],
)
def test_it_is_known_where_people_are_asked_for_another_reason(
    fields: dict[str, Any], is_reviewed: bool
) -> None:
    found = recorded(closed(YES, Status.APPROVED, **fields))
    assert found is not None
    assert found.is_reviewed is is_reviewed


def many(n: int, *, said: str = "approved", **values: Any) -> list[Recorded]:
    """`n` records; a value that is a list is taken in turn."""
    return [
        record(said, **{k: v[i % len(v)] if isinstance(v, list) else v for k, v in values.items()})
        for i in range(n)
    ]


def only(found: tuple[Suggestion, ...]) -> Suggestion:
    assert len(found) == 1
    return found[0]


def test_many_approvals_of_the_same_make_a_rule_for_exactly_that() -> None:
    found = only(suggest(many(40, to=["ann", "bob"], amount=[1, 2.5, 7], note="x")))
    assert (found.tool_name, found.n, found.error_bound) == ("pay", 40, 3 / 40)
    bounds = {bound.name: bound for bound in found.bounds}
    assert bounds["to"].values == ("ann", "bob")
    assert bounds["note"].values == ("x",)
    assert found.covers(record(to="bob", amount=7, note="x"))
    for other in (
        {"to": "eve", "amount": 7, "note": "x"},
        {"to": "bob", "amount": 8, "note": "x"},
        {"to": "bob", "amount": 7},
        {"to": "bob", "amount": 7, "note": "x", "force": True},
    ):
        assert not found.covers(record(**other))
    assert not found.covers(record(to="bob", amount=7, note="x", agent="agent:other"))


def test_numbers_become_a_range_and_paths_what_they_have_in_common() -> None:
    paths = [f"reports/2026/{i}.csv" for i in range(40)]
    found = only(suggest(many(40, tool="read", path=paths, size=list(range(40)))))
    bounds = {bound.name: bound for bound in found.bounds}
    assert (bounds["size"].low, bounds["size"].high) == (0, 39)
    assert (bounds["path"].begins, bounds["path"].ends) == ("reports/2026/", ".csv")
    assert bounds["path"].holds("reports/2026/x9.csv")
    for other in ("../../etc/shadow", "a/b", "a b", "", "123", "1\n"):
        assert not bounds["path"].holds(f"reports/2026/{other}.csv")
    assert not bounds["size"].holds(True)


@pytest.mark.parametrize(
    "records",
    [
        many(29, to="ann"),
        many(40, to="ann", risk=RiskClass.HIGH),
        many(40, to="ann", risk=None),
        many(40, to="ann", is_reviewed=True),
        many(40, said="nothing", to="ann"),
        many(40, to="ann") + many(1, said="rejected", to="ann"),
        many(40, to="ann") + many(1, said="edited", to="ann"),
        many(40, to="ann") + many(1, said="rejected", to="ann", agent="agent:b", risk=None),
        many(40, text=[f"{chr(97 + i % 26)}{i} is free text" for i in range(40)]),
    ],
    ids=["few", "high", "unknown", "reviewed", "unsaid", "no", "edit", "others-no", "free-text"],
)
def test_nothing_is_suggested_where_the_record_does_not_speak_for_it(
    records: list[Recorded],
) -> None:
    assert suggest(records) == ()


@pytest.mark.parametrize(
    "template",
    [
        "grep foo{0} file{0}",
        "SELECT * FROM t{0}",
        "a;b/{0}",
        "https://a.example/?q={0}",
        "x/{0}/../y",
    ],
)
def test_commands_queries_and_paths_upwards_are_never_suggested_by_how_they_begin(
    template: str,
) -> None:
    assert suggest(many(40, cmd=[template.format(n) for n in range(40)])) == ()


def test_one_large_amount_does_not_let_through_all_below_it() -> None:
    assert suggest(many(30, amount=[*range(1, 30), 1_000_000])) == ()
    found = only(suggest(many(41, amount=[*range(1, 41), 1_000_000])))
    assert (found.bounds[0].low, found.bounds[0].high, found.n) == (1, 40, 40)
    assert suggest(many(40, amount=[2**n for n in range(40)])) == ()
    assert suggest(many(40, amount=[-1.7e308, *range(38), 1.7e308])) == ()


def test_what_is_suggested_with_many_texts_can_be_loaded() -> None:
    records = [
        each
        for tool in range(40)
        for each in many(
            30, tool=f"t{tool}", **{f"p{a}": [f"dir/{n}.txt" for n in range(30)] for a in range(7)}
        )
    ]
    policy = load(as_yaml(suggest(records)))
    assert policy.rules
    assert policy.evaluate(records[0].action, records[0].context).effect is Effect.ALLOW


@pytest.mark.parametrize("arguments", [40, 60])
def test_to_look_for_suggestions_takes_no_longer_for_many_arguments_than_for_all_their_values(
    arguments: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = many(150, **{f"a{n}": [n % 3, "x" * (1 + n % 7)] for n in range(arguments)})
    records += many(1, said="rejected", **{f"a{n}": n % 3 for n in range(arguments)})
    looks = 0

    def counted(value: Any) -> str:
        nonlocal looks
        looks += 1
        return json.dumps(value, sort_keys=True)

    free = {"note": [f"{n} is free text" for n in range(150)]}
    records = [
        msgspec.structs.replace(
            each,
            action=Action(
                tool_name="pay",
                tool_args={**each.action.tool_args, "note": free["note"][i % 150]},
                risk_class=RiskClass.LOW,
            ),
        )
        for i, each in enumerate(records)
    ]
    monkeypatch.setattr("sayso.policies.suggest._key", counted)
    assert suggest(records) == ()
    assert looks <= 40 * 151 * (2 + arguments)


def test_high_risk_is_suggested_only_when_it_is_asked_for() -> None:
    found = only(suggest(many(40, to="ann", risk=RiskClass.HIGH), any_risk=True))
    assert found.risk is RiskClass.HIGH


def test_a_refusal_narrows_a_rule_to_what_was_never_refused() -> None:
    records = many(80, to=["ann", "bob"], amount=5) + many(1, said="rejected", to="bob", amount=5)
    found = only(suggest(records))
    assert (found.n, found.bounds[1].values) == (40, ("ann",))
    amounts = many(80, amount=list(range(80))) + many(1, said="rejected", amount=60)
    found = only(suggest(amounts))
    assert (found.bounds[0].low, found.bounds[0].high) == (0, 59)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["approved", "rejected", "edited", "nothing"]),
            st.sampled_from(["ann", "bob", "a/b/1.txt", "a/b/2.txt", "../x"]),
            st.sampled_from([1, 2.5, True, "3", None, 50]),
            st.sampled_from([*RiskClass, None]),
        ),
        max_size=60,
    )
)
def test_no_suggestion_lets_anything_through_that_people_refused_or_changed(
    story: list[tuple[str, str, Any, RiskClass | None]],
) -> None:
    records = [record(said, to=to, n=n, risk=risk) for said, to, n, risk in story]
    for found in suggest(records, least=3):
        assert found.n >= 3
        assert found.risk in (RiskClass.LOW, RiskClass.MEDIUM)
        covered = [each for each in records if found.covers(each)]
        assert sum(each.said is Said.APPROVED for each in covered) >= found.n
        assert not any(each.said in (Said.REJECTED, Said.EDITED) for each in covered)


ODD = st.sampled_from(
    [
        "ann",
        'b"\\*\u2028\x07\u00e9\U0001f600',
        "",
        1,
        2.5,
        -3,
        2**53 - 1,
        True,
        False,
        None,
        [1, "a"],
        {"a": [None]},
    ]
)


@given(
    st.lists(st.tuples(ODD, st.sampled_from(["a-b", "*[?", "x.y"])), min_size=1, max_size=30),
    st.dictionaries(st.sampled_from(["n", "o'd\"d", "x"]), ODD, max_size=3),
    st.sampled_from(["pay", "re*[d]", "a\nb"]),
)
def test_the_text_of_suggestions_lets_through_what_they_cover_and_nothing_else(
    values: list[tuple[Any, str]], other: dict[str, Any], tool: str
) -> None:
    records = [
        record(tool=tool, agent="agent:*", **{"n": value, "o'd\"d": name})
        for value, name in values * 3
    ]
    found = suggest(records, least=3)
    policy = load(as_yaml(found))
    tried = [*records, record(tool=tool, agent="agent:*", **other)]
    tried += [record(tool=name, agent=who, **other) for name in ("pay", "re1") for who in ("x", "")]
    for each in tried:
        effect = policy.evaluate(each.action, each.context).effect
        is_covered = any(suggestion.covers(each) for suggestion in found)
        assert effect is (Effect.ALLOW if is_covered else Effect.ASK), as_yaml(found)
