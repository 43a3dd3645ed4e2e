"""Several policies as one: the strictest, the mildest, the first that has a say."""

from typing import Any

import pytest

from sayso.domain.actions import Action, RiskClass
from sayso.domain.decisions import Channel, Decision
from sayso.domain.rules import Rule
from sayso.policies import (
    AllOf,
    AlwaysApprovePolicy,
    AnyOf,
    AuditPlusEscalatePolicy,
    Context,
    Effect,
    FirstMatch,
    HITLPolicy,
    Policy,
    RiskBasedPolicy,
    Verdict,
)
from sayso.policies.base import NO_CONTEXT, State
from sayso.policies.history import history_of

ACTION = Action(tool_name="pay", risk_class=RiskClass.LOW)


class Says(Policy):
    def __init__(self, effect: Effect, name: str = "", **fields: Any) -> None:
        self._verdict = Verdict(effect=effect, policy=name or effect.value, **fields)

    @property
    def name(self) -> str:
        return self._verdict.policy

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        return self._verdict


class Breaks(Says):
    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        raise RuntimeError("no answer")


class Counts(Says):
    def post_decision_update(self, state: State, action: Action, decision: Decision) -> State:
        return {**state, "mine": state.get("mine", 0) + 1}


ALLOW, ASK, DENY = (Says(effect) for effect in (Effect.ALLOW, Effect.ASK, Effect.DENY))


@pytest.mark.parametrize(
    ("policies", "strict", "mild"),
    [
        ((ALLOW, ALLOW), Effect.ALLOW, Effect.ALLOW),
        ((ALLOW, ASK), Effect.ASK, Effect.ALLOW),
        ((DENY, ASK), Effect.DENY, Effect.ASK),
        ((ASK, ALLOW, DENY), Effect.DENY, Effect.ALLOW),
        ((Breaks(Effect.ALLOW), ALLOW), Effect.ASK, Effect.ALLOW),
        ((Breaks(Effect.ALLOW),), Effect.ASK, Effect.ASK),
    ],
)
def test_all_of_takes_the_strictest_and_any_of_the_mildest(
    policies: tuple[Policy, ...], strict: Effect, mild: Effect
) -> None:
    of_all, of_any = AllOf(*policies).evaluate(ACTION), AnyOf(*policies).evaluate(ACTION)
    assert (of_all.effect, of_any.effect) == (strict, mild)
    assert len(of_all.because) == len(of_any.because) == len(policies)
    assert (of_all.policy, of_any.policy) == ("all_of", "any_of")


def test_what_several_ask_for_adds_up() -> None:
    one = Says(
        Effect.ASK,
        "one",
        rule="a",
        reason="It is large.",
        review=Rule(approvals=2),
        timeout_seconds=600.0,
        on_timeout="approve",
    )
    other = Says(
        Effect.ASK,
        "other",
        rule="b",
        reason="It is late",
        review=Rule(four_eyes=True, groups=("finance",)),
        timeout_seconds=60.0,
        on_timeout="escalate",
        escalate_to=Rule(groups=("board",)),
    )
    verdict = AllOf(one, other).evaluate(ACTION)
    assert verdict.review is not None
    assert (verdict.review.approvals, verdict.review.four_eyes) == (2, True)
    assert verdict.review.groups == ("finance",)
    assert verdict.timeout_seconds == 60.0
    assert (verdict.on_timeout, verdict.escalate_to) == ("escalate", Rule(groups=("board",)))
    assert verdict.rule == "a, b"
    assert verdict.reason == "one: It is large. other: It is late."


DOUBTS = Says(Effect.ASK, "doubts", is_doubtful=True)


@pytest.mark.parametrize("kind", [AllOf, AnyOf])
@pytest.mark.parametrize("order", [1, -1])
def test_a_doubt_stays_whichever_policy_asks_first(kind: Any, order: int) -> None:
    assert kind(*(ASK, DOUBTS)[::order]).evaluate(ACTION).is_doubtful
    assert kind(kind(ASK, Breaks(Effect.ALLOW)), ASK).evaluate(ACTION).is_doubtful
    assert not kind(ASK, ASK).evaluate(ACTION).is_doubtful


def test_what_is_in_doubt_is_not_passed_over_as_a_default() -> None:
    unsure = Says(Effect.ASK, is_doubtful=True, is_default=True)
    for after in (ALLOW, ASK):
        verdict = FirstMatch(unsure, after).evaluate(ACTION)
        assert (verdict.effect, verdict.is_doubtful) == (Effect.ASK, True)


@pytest.mark.parametrize("kind", [AllOf, AnyOf, FirstMatch])
def test_a_policy_that_allows_and_is_in_doubt_has_a_person_asked(kind: Any) -> None:
    verdict = kind(Says(Effect.ALLOW, is_doubtful=True)).evaluate(ACTION)
    assert (verdict.effect, verdict.is_doubtful) == (Effect.ASK, True)


def test_silence_approves_only_if_all_that_ask_agree_on_it() -> None:
    approves = Says(Effect.ASK, "a", on_timeout="approve")
    assert AllOf(approves, approves).evaluate(ACTION).on_timeout == "approve"
    assert AllOf(approves, ASK).evaluate(ACTION).on_timeout is None


def test_the_first_that_has_a_say_decides() -> None:
    risks = RiskBasedPolicy(high_risk_tools=["delete"])
    policy = FirstMatch(risks, AlwaysApprovePolicy(), DENY)
    assert policy.evaluate(ACTION).effect is Effect.ALLOW
    delete = Action(tool_name="delete", risk_class=RiskClass.LOW)
    verdict = policy.evaluate(delete)
    assert (verdict.effect, len(verdict.because)) == (Effect.ASK, 1)


def test_if_none_has_a_say_the_strictest_default_holds() -> None:
    usual = Says(Effect.ASK, "rules", is_default=True)
    policy = FirstMatch(usual, RiskBasedPolicy())
    assert policy.evaluate(ACTION).effect is Effect.ASK


def test_a_policy_of_ones_own_that_needs_nobody_leaves_it_to_the_next() -> None:
    class Mine(HITLPolicy):
        @property
        def name(self) -> str:
            return "mine"

        def should_request_approval(self, action: Action, state: State) -> tuple[bool, str]:
            return False, "nothing to object to"

    assert FirstMatch(Mine(), ASK).evaluate(ACTION).effect is Effect.ASK


def test_each_verdict_names_what_decided() -> None:
    verdict = AllOf(RiskBasedPolicy(high_risk_tools=["pay"]), ALLOW, name="mine").evaluate(ACTION)
    assert verdict.policy == "mine"
    assert verdict.reason == "risk_based: Tool 'pay' is in high-risk tool list"
    assert [each.policy for each in verdict.because] == ["risk_based", "allow"]


@pytest.mark.parametrize("kind", [AllOf, AnyOf, FirstMatch])
def test_a_call_is_counted_once_however_many_policies_there_are(kind: Any) -> None:
    inner = AllOf(AuditPlusEscalatePolicy(), RiskBasedPolicy())
    policy = kind(inner, AuditPlusEscalatePolicy(), Counts(Effect.ALLOW))
    state = policy.post_decision_update({}, ACTION, Decision(approved=False))
    state = policy.post_execution_update(state, ACTION, {"success": False})
    assert history_of(state)["calls"] == history_of(state)["rejections"] == 1
    assert history_of(state)["failures"] == 1
    assert state["mine"] == 1


class Writes(HITLPolicy):
    name = "writes"

    def should_request_approval(self, action: Action, state: State) -> tuple[bool, str]:
        state["n"] = state.get("n", 0) + 1
        for inner in state.values():
            if isinstance(inner, dict):
                inner.clear()
            if isinstance(inner, list):
                inner.append(1)
        return state["n"] > 1, ""


@pytest.mark.parametrize("order", [1, -1])
def test_a_policy_that_writes_into_the_state_blinds_no_other(order: int) -> None:
    watching = AuditPlusEscalatePolicy(audit_sample_rate=0, consecutive_action_threshold=3)
    policy = AllOf(*(watching, Writes())[::order])
    state: State = {}
    effects: list[Effect] = []
    for _ in range(4):
        effects.append(policy.evaluate(ACTION, Context(run_id="run", state=state)).effect)
        decision = Decision(approved=True, channel=Channel.POLICY)
        state = policy.post_decision_update(state, ACTION, decision)
    assert effects == [Effect.ALLOW, Effect.ALLOW, Effect.ASK, Effect.ASK]


def test_what_a_policy_writes_into_the_state_reaches_nobody_at_any_depth() -> None:
    state: State = {"mine": {"a": [1]}, "list": [[1]]}
    Writes().evaluate(ACTION, Context(state=state))
    assert state == {"mine": {"a": [1]}, "list": [[1]]}


def test_nothing_can_be_written_where_no_context_was_given() -> None:
    assert [Writes().evaluate(ACTION).effect for _ in range(2)] == [Effect.ALLOW, Effect.ALLOW]
    assert NO_CONTEXT.state == {}
    for write in (
        lambda state: state.update(a=1),
        lambda state: state.setdefault("a", 1),
        lambda state: state.__setitem__("a", 1),
        lambda state: state.__ior__({"a": 1}),
    ):
        with pytest.raises(TypeError, match="without a state"):
            write(NO_CONTEXT.state)
    assert {**NO_CONTEXT.state, "a": 1} == {"a": 1}


def test_a_combination_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        AllOf()


def test_what_the_policy_allowed_is_no_approval_by_people() -> None:
    state = ALLOW.post_decision_update({}, ACTION, Decision(approved=True, channel=Channel.POLICY))
    assert (history_of(state)["calls"], history_of(state)["approvals"]) == (1, 0)


@pytest.mark.parametrize("kind", [AllOf, FirstMatch])
def test_a_combination_tells_that_one_of_its_policies_was_in_doubt(kind: Any) -> None:
    verdict = kind(Breaks(Effect.DENY), Says(Effect.ASK)).evaluate(ACTION)
    assert (verdict.effect, verdict.is_doubtful) == (Effect.ASK, True)
    sure = kind(Says(Effect.ASK), Says(Effect.ASK)).evaluate(ACTION)
    assert (sure.effect, sure.is_doubtful) == (Effect.ASK, False)


class Launders(HITLPolicy):
    """Makes each payment look small, wherever it is told of one."""

    name = "launders"

    def should_request_approval(self, action: Action, state: State) -> tuple[bool, str]:
        action.tool_args["to"].clear()
        action.tool_args["amount"] = 1
        return False, ""

    def post_decision_update(self, state: State, action: Action, decision: Decision) -> State:
        self.should_request_approval(action, state)
        return state


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("kind", [AllOf, FirstMatch])
def test_a_policy_that_writes_into_the_arguments_blinds_no_other(kind: Any, order: int) -> None:
    large = Action(
        tool_name="pay", tool_args={"to": ["bob"], "amount": 900}, risk_class=RiskClass.LOW
    )
    policy = kind(*(Launders(), RiskBasedPolicy(max_amount_without_approval=100))[::order])
    assert policy.evaluate(large).effect is Effect.ASK
    policy.post_decision_update({}, large, Decision(approved=True))
    assert large.tool_args == {"to": ["bob"], "amount": 900}
