"""Who is risky is asked about, in whatever spelling; what is not known counts as risky."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayso.domain.actions import Action, RiskClass
from sayso.domain.rules import Rule
from sayso.policies import AlwaysApprovePolicy, Effect, RiskBasedPolicy, judge
from sayso.policies.risk_based import MOST_VALUES
from sayso.policies.written_json import MOST_CHARACTERS


def call(
    tool: str = "tool", risk: RiskClass | None = RiskClass.LOW, args: Any = None, **more: Any
) -> Action:
    return Action(tool_name=tool, tool_args={**(args or {}), **more}, risk_class=risk)


def test_nobody_is_asked_by_the_baseline() -> None:
    policy = AlwaysApprovePolicy()
    needed, reason = policy.should_request_approval(call(risk=None), {})
    assert (policy.name, needed) == ("always_approve", False)
    assert reason == "Policy: all actions auto-approved (Tier 4 baseline)"


@pytest.mark.parametrize(
    ("policy", "action", "reason"),
    [
        (
            RiskBasedPolicy(high_risk_tools=["pay"]),
            call("pay"),
            "Tool 'pay' is in high-risk tool list",
        ),
        (RiskBasedPolicy(), call(risk=RiskClass.HIGH), "Action has HIGH risk classification"),
        (
            RiskBasedPolicy(require_approval_for_medium=True),
            call(risk=RiskClass.MEDIUM),
            "Action has MEDIUM risk classification",
        ),
        (
            RiskBasedPolicy(sensitive_arg_patterns={"to": ["@evil"]}),
            call(to="a@EVIL.example"),
            "Argument 'to' contains sensitive pattern '@evil'",
        ),
        (
            RiskBasedPolicy(max_amount_without_approval=100),
            call(amount=5_000),
            "Amount $5000.00 exceeds threshold $100.00",
        ),
    ],
)
def test_each_check_says_what_it_found(
    policy: RiskBasedPolicy, action: Action, reason: str
) -> None:
    verdict = policy.evaluate(action)
    assert (verdict.effect, verdict.reason) == (Effect.ASK, reason)
    assert (verdict.policy, verdict.is_default) == ("risk_based", False)


def test_what_nothing_speaks_against_passes() -> None:
    verdict = RiskBasedPolicy().evaluate(call(risk=RiskClass.MEDIUM))
    assert verdict.effect is Effect.ALLOW
    assert verdict.reason == "Action does not meet approval criteria"
    assert verdict.is_default


def test_an_unclassified_action_counts_as_of_high_risk_unless_told_otherwise() -> None:
    """hitloop 33."""
    drop = call("drop_database", risk=None)
    assert RiskBasedPolicy().evaluate(drop).effect is Effect.ASK
    assert "tells none" in RiskBasedPolicy().evaluate(drop).reason
    told = RiskBasedPolicy(unknown_risk=RiskClass.LOW)
    assert told.evaluate(drop).effect is Effect.ALLOW


def test_what_an_agent_calls_low_is_asked_about_if_its_tool_is_listed() -> None:
    """hitloop 33: the proposer's own word for the risk does not get it past the list."""
    policy = RiskBasedPolicy(high_risk_tools=["drop_database"])
    assert policy.evaluate(call("drop_database")).effect is Effect.ASK


@pytest.mark.parametrize(
    "tool", ["send_email", "Send_Email", "SEND_EMAIL", " send_email", "\uff53end_email",
             "send\u200b_email", "send_\u00ademail", "send\U000e0100_email", "send\u2800_email",
             "send\x00_email", "send\u2028_email", "send_\U000e0001email", "send\ufff0_email",
             "s\u0435nd_em\u0430il", "S\u0415ND_E\u041cAIL", "send\u2010email"]
)  # fmt: skip
def test_a_listed_tool_is_known_in_any_spelling(tool: str) -> None:
    """hitloop 32."""
    policy = RiskBasedPolicy(high_risk_tools=["send_email", "send-email"])
    verdict = policy.evaluate(call(tool))
    assert verdict.effect is Effect.ASK
    assert "in high-risk tool list" in verdict.reason


def test_a_tool_whose_letters_all_look_like_those_of_a_listed_one_is_that_one() -> None:
    policy = RiskBasedPolicy(high_risk_tools=["copy"])
    assert policy.evaluate(call("\u0441\u043e\u0440\u0443")).effect is Effect.ASK


@pytest.mark.parametrize("tool", ["p\u0430y", "\u0441\u043e\u0440\u0443_file"])
def test_a_tool_whose_name_passes_for_another_one_is_asked_about(tool: str) -> None:
    verdict = RiskBasedPolicy().evaluate(call(tool))
    assert verdict.effect is Effect.ASK
    assert "looks like another one" in verdict.reason
    assert verdict.reason.isascii()


@pytest.mark.parametrize(
    "tool",
    [
        "\u043e\u0442\u043f\u0440\u0430\u0432\u0438\u0442\u044c_email",
        "\u9001\u4fe1_email",
        "se\u00f1al",
    ],
)
def test_a_tool_may_be_named_in_any_language(tool: str) -> None:
    policy = RiskBasedPolicy(high_risk_tools=["send_email"])
    assert policy.evaluate(call(tool)).effect is Effect.ALLOW


@pytest.mark.parametrize(
    "tool", ["delete_record", "Delete_User", "delete\u200b_x", "d\u0435lete_x"]
)
def test_tools_are_listed_by_globs_too(tool: str) -> None:
    policy = RiskBasedPolicy(high_risk_tools=["delete_*", "odd[1]"])
    assert policy.evaluate(call(tool)).effect is Effect.ASK
    assert policy.evaluate(call("odd[1]")).effect is Effect.ASK
    assert policy.evaluate(call("undelete_record")).effect is Effect.ALLOW


def test_names_of_arguments_are_globs_too() -> None:
    policy = RiskBasedPolicy(
        sensitive_arg_patterns={"*": ["secret"]}, max_amount_without_approval=10, amount_args="n_*"
    )
    assert policy.evaluate(call(body="a Secret")).effect is Effect.ASK
    assert policy.evaluate(call(n_items=50)).effect is Effect.ASK
    assert policy.evaluate(call(amount=50, body="x")).effect is Effect.ALLOW


def test_patterns_of_two_spellings_of_an_argument_are_all_looked_for() -> None:
    policy = RiskBasedPolicy(sensitive_arg_patterns={"to": ["evil"], "To": ["bad"]})
    assert policy.evaluate(call(to="evil")).effect is Effect.ASK
    assert policy.evaluate(call(to="bad")).effect is Effect.ASK


def test_one_tool_given_as_a_text_is_one_tool_and_not_its_letters() -> None:
    """hitloop 32."""
    policy = RiskBasedPolicy(high_risk_tools="send_email", sensitive_arg_patterns={"to": "evil"})
    assert policy.evaluate(call("send_email")).effect is Effect.ASK
    assert policy.evaluate(call("s")).effect is Effect.ALLOW
    assert policy.evaluate(call(to="e")).effect is Effect.ALLOW
    assert policy.evaluate(call(to="evil")).effect is Effect.ASK


@pytest.mark.parametrize(
    "args",
    [
        {"To": "bob@evil.example"},
        {"message": {"to": "bob@evil.example"}},
        {"to": ["ann@good.example", "bob@Evil.Example"]},
        {"to": {"address": "bob@evil.example"}},
        {"to": {"bob@evil.example": True}},
        {"batch": [[{"TO": "bob@\uff45vil.example"}]]},
        {"to": "bob@ev\u200bil.example"},
        {"to": "bob@evil\U000e0100.example"},
        {"to": "bob@ev\x00il.example"},
        {"to": "bob@ev\u2800il.example"},
        {"to": "bob@ev\u2028il.example"},
        {"to": "bob@ev\u00adil\x7f.example"},
        {"t\u043e": "bob@evil.example"},
        {"to": "bob@\u0435vil.example"},
        {"to": "\u0431\u043e\u0431@EV\u0406L.ex\u0430mple"},
        {"to": "bob@evil\u2024example"},
        {"to": {"bob@ev\u0456l.example": 1}},
        {"payload": '"{\\"to\\": \\"bob@evil.example\\"}"'},
        {"payload": '\ufeff{"to": "bob@evil.example"}'},
        {"payload": '\u00a0 {"to": "bob@\\u0065vil.example"}'},
        {"payload": '{"to": "bob@evil.example", "to": "ann@good.example"}'},
        {"payload": '{"to": "bob@evil.example"}'},
        {"\uff54o": "bob@evil.example"},
    ],
)
def test_a_sensitive_text_is_found_at_any_depth_in_any_spelling(args: dict[str, Any]) -> None:
    """hitloop 32."""
    policy = RiskBasedPolicy(sensitive_arg_patterns={"to": ["@evil.example"]})
    assert policy.evaluate(call(args=args)).effect is Effect.ASK
    assert policy.evaluate(call(args={"about": "@evil.example"})).effect is Effect.ALLOW


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"amount":5000,"n":NaN}', "$5000.00 exceeds"),
        ('{"amount":5000,"n":1e999}', "$5000.00 exceeds"),
        ('{"amount":5000,"n":"\\ud800"}', "$5000.00 exceeds"),
        ('{"amount":5000,"n":"a\nb"}', "$5000.00 exceeds"),
        ('{"amount":5000,"amount":5}', "$5000.00 exceeds"),
        ('{"amount":NaN}', "cannot be read as a number"),
        ('{"amount":1e999}', "$inf exceeds"),
        (json.dumps(json.dumps({"amount": 5000})), "$5000.00 exceeds"),
        (json.dumps(json.dumps(json.dumps([{"amount": 5000}]))), "$5000.00 exceeds"),
        ('\x0b\u2800{"amount":5000}', "$5000.00 exceeds"),
        ("[" * 2_000 + '{"amount":5000}' + "]" * 2_000, "looks like JSON"),
        ('{"amount":' + "9" * 5_000 + "}", "looks like JSON"),
        ('{"amount":5000,}', "looks like JSON"),
        ('{"amount":5000} {"more":1}', "looks like JSON"),
        ("{'amount':5000}", "looks like JSON"),
        ("{amount:5000}", "looks like JSON"),
        ("{a:1, $amount : 5000}", "looks like JSON"),
        ('[1, {"am\\u006funt":5000},]', "looks like JSON"),
        ('{\u200b"amount":5000}', "looks like JSON"),
        ('"{\\"amount\\":5000}" and more', "looks like JSON"),
        ('{"a":"' + "x" * MOST_CHARACTERS + '"}', "looks like JSON"),
    ],
)  # fmt: skip
def test_json_in_a_text_is_read_as_leniently_as_any_receiver_or_else_asked_about(
    body: str, told: str
) -> None:
    policy = RiskBasedPolicy(max_amount_without_approval=100)
    verdict = policy.evaluate(call(body=body))
    assert verdict.effect is Effect.ASK
    assert told in verdict.reason


@pytest.mark.parametrize(
    "body",
    [
        "[INFO] hello",
        "[INFO] got {'amount': 5000} from bob",
        "[2026-11-21 22:08] total: 5000",
        "[1] see below: the amount",
        "[x] done, [ ] total: to do",
        "{name}, hi",
        "{name}: the total: is {total}",
        "{{ user.name }} owes an amount: see below",
        "{color: red; width: 5px}",
        '"Hello," he said. "The total: 5000."',
        "{} and [] are brackets",
        '{"n": 5, "amount": 50}',
        "[note](https://example.com?amount=5000)",
        "\u00bfcu\u00e1nto? {amount: 5000}",
        "[" + "x" * MOST_CHARACTERS,
        '""',
        "\u200b",
    ],
)
def test_an_ordinary_text_is_no_nuisance(body: str) -> None:
    policy = RiskBasedPolicy(max_amount_without_approval=100)
    assert policy.evaluate(call(body=body)).reason == "Action does not meet approval criteria"


def test_what_an_agent_names_cannot_spoil_the_reason() -> None:
    policy = RiskBasedPolicy(max_amount_without_approval=100)
    verdict = policy.evaluate(call(body='{"amount\\ud800\\u202e": "five"}'))
    assert verdict.reason.encode() == (
        rb"Amount in argument 'amount\ud800\u202e' cannot be read as a number"
    )


def test_a_number_is_searched_as_it_is_written() -> None:
    policy = RiskBasedPolicy(sensitive_arg_patterns={"account": ["4711"]})
    assert policy.evaluate(call(account=47_110)).effect is Effect.ASK


def test_more_values_than_can_be_looked_through_are_asked_about() -> None:
    policy = RiskBasedPolicy(max_amount_without_approval=10)
    verdict = policy.evaluate(call(rows=[0] * (MOST_VALUES + 1)))
    assert verdict.effect is Effect.ASK
    assert "too many to check" in verdict.reason


def test_names_that_agents_choose_are_not_kept_without_end() -> None:
    policy = RiskBasedPolicy(max_amount_without_approval=10)
    for n in range(5_000):
        assert (
            policy.evaluate(call(args={f"amount {n} {'x' * (n % 600)}": 50})).effect is Effect.ASK
        )
    kept = policy._known
    assert len(kept) <= 4_096
    assert max(map(len, kept)) <= 256


def test_depth_does_not_stop_the_search() -> None:
    args: Any = {"amount": 5_000}
    for _ in range(300):
        args = {"in": [args]}
    policy = RiskBasedPolicy(max_amount_without_approval=10)
    assert "exceeds" in judge(policy, call(args=args)).reason


def test_what_the_decision_needs_comes_with_the_verdict() -> None:
    two = Rule(approvals=2, groups=("finance",))
    policy = RiskBasedPolicy(review=two)
    assert policy.evaluate(call(risk=None)).review == two
    assert policy.evaluate(call()).review is None


@pytest.mark.parametrize("limit", [-1, float("nan")])
def test_a_limit_that_cannot_be_one_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="max_amount"):
        RiskBasedPolicy(max_amount_without_approval=limit)


leaves = st.none() | st.booleans() | st.integers(-9_999, 9_999) | st.text(max_size=8)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["to", "amount", "a", "Total"]), inner, max_size=3)
    ),
    max_leaves=12,
)


def _turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(value)}
    return [_turned(each) for each in value] if isinstance(value, list) else value


@given(st.dictionaries(st.sampled_from(["to", "amount", "b", "AMOUNT"]), values, max_size=4))
def test_asked_twice_or_with_the_arguments_in_another_order_it_says_the_same(
    args: dict[str, Any],
) -> None:
    policy = RiskBasedPolicy(
        max_amount_without_approval=100, sensitive_arg_patterns={"to": ["a", "1"]}
    )
    action = call(args=args)
    first = policy.evaluate(action)
    assert policy.evaluate(action) == first
    assert policy.evaluate(call(args=_turned(args))) == first
    assert action.tool_args == args
