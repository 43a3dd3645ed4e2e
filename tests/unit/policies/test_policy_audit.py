"""A sample that nobody can foretell; streaks and signals that belong to the run."""

import hmac
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayso.domain.actions import Action, RiskClass
from sayso.domain.decisions import Channel, Decision
from sayso.errors import UsageError
from sayso.policies import AuditPlusEscalatePolicy, Context, Effect, RiskBasedPolicy, judge
from sayso.policies.history import after_decision, history_of
from sayso.policies.sampling import Sampler

NEVER: dict[str, Any] = {"audit_sample_rate": 0.0}
BY_POLICY = Decision(approved=True, channel=Channel.POLICY)
APPROVED = Decision(approved=True, decided_by="bob")
REJECTED = Decision(approved=False, decided_by="bob")
SECRET = b"sixteen bytes or more"


def call(tool: str = "read", risk: RiskClass | None = RiskClass.LOW, **args: Any) -> Action:
    return Action(tool_name=tool, tool_args=args, risk_class=risk)


def run_of(policy: Any, *steps: tuple[Action, Decision]) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for action, decision in steps:
        state = policy.post_decision_update(state, action, decision)
    return state


@pytest.mark.parametrize(
    ("fields", "action", "state", "reason"),
    [
        ({}, call(risk=RiskClass.HIGH), {}, "Escalation: HIGH risk action"),
        (
            {"escalate_on_medium_risk": True},
            call(risk=RiskClass.MEDIUM),
            {},
            "Escalation: MEDIUM risk action",
        ),
        (
            {"anomaly_signals": ["b", "a"]},
            call(),
            {"anomaly_signals": ["B", "a", "other"]},
            "Escalation: Anomaly signals detected: a, b",
        ),
        (
            {"anomaly_signals": ["large_amount"]},
            msgspec.structs.replace(call(), context_refs=("Large_Amount",)),
            {},
            "Escalation: Action flagged with: large_amount",
        ),
        ({"audit_sample_rate": 1.0}, call(), {}, "Audit: Random sample (100.0% rate)"),
    ],
)
def test_each_check_says_what_it_found(
    fields: dict[str, Any], action: Action, state: dict[str, Any], reason: str
) -> None:
    policy = AuditPlusEscalatePolicy(**{**NEVER, **fields})
    verdict = policy.evaluate(action, Context(state=state))
    assert (verdict.effect, verdict.reason) == (Effect.ASK, reason)


def test_what_is_neither_drawn_nor_unusual_passes() -> None:
    policy = AuditPlusEscalatePolicy(**NEVER)
    assert policy.should_request_approval(call(), {}) == (False, "No audit or escalation triggered")
    assert policy.name == "audit_plus_escalate"


def test_an_action_of_unknown_risk_is_escalated() -> None:
    """hitloop 33."""
    assert AuditPlusEscalatePolicy(**NEVER).evaluate(call(risk=None)).effect is Effect.ASK


def test_so_many_calls_of_one_tool_in_a_row_are_escalated() -> None:
    policy = AuditPlusEscalatePolicy(**NEVER, consecutive_action_threshold=3)
    state: dict[str, Any] = {}
    for expected in (Effect.ALLOW, Effect.ALLOW, Effect.ASK, Effect.ASK):
        verdict = policy.evaluate(call(), Context(state=state))
        assert verdict.effect is expected
        state = policy.post_decision_update(state, call(), BY_POLICY)
    assert verdict.reason == "Escalation: 4 consecutive 'read' actions"
    assert policy.evaluate(call("write"), Context(state=state)).effect is Effect.ALLOW


def test_streaks_of_two_runs_do_not_mix() -> None:
    """hitloop 1 and 34: what another run does changes nothing here."""
    policy = AuditPlusEscalatePolicy(**NEVER, consecutive_action_threshold=2)
    one = run_of(policy, (call(), BY_POLICY))
    other = run_of(policy, (call("write"), BY_POLICY))
    assert policy.evaluate(call(), Context(run_id="1", state=one)).effect is Effect.ASK
    assert policy.evaluate(call(), Context(run_id="2", state=other)).effect is Effect.ALLOW
    assert policy.evaluate(call(), Context(run_id="1", state=one)).effect is Effect.ASK


def test_what_was_escalated_for_another_reason_counts_in_the_streak() -> None:
    """hitloop 34."""
    policy = AuditPlusEscalatePolicy(**NEVER, consecutive_action_threshold=3)
    risky = call(risk=RiskClass.HIGH)
    state = run_of(policy, (risky, APPROVED), (risky, REJECTED))
    assert "3 consecutive" in policy.evaluate(call(), Context(state=state)).reason


def test_repeated_rejections_escalate_by_themselves() -> None:
    """hitloop 28: nobody has to list the signal."""
    policy = AuditPlusEscalatePolicy(**NEVER)
    state = run_of(policy, *((call(f"tool_{n}"), REJECTED) for n in range(2)))
    assert policy.evaluate(call(), Context(state=state)).effect is Effect.ALLOW
    state = policy.post_decision_update(state, call("other"), REJECTED)
    assert "repeated_rejections" in policy.evaluate(call(), Context(state=state)).reason


def test_repeated_failures_escalate_by_themselves() -> None:
    """hitloop 28."""
    policy = AuditPlusEscalatePolicy(**NEVER)
    state = policy.post_execution_update({}, call(), {"success": False})
    state = policy.post_execution_update(state, call(), {"success": True})
    assert policy.evaluate(call(), Context(state=state)).effect is Effect.ALLOW
    state = policy.post_execution_update(state, call(), {"error": "it does not say"})
    assert "repeated_failures" in policy.evaluate(call(), Context(state=state)).reason


def test_the_policys_own_denials_are_no_rejections_by_people() -> None:
    policy = AuditPlusEscalatePolicy(**NEVER)
    denied = Decision(approved=False, channel=Channel.POLICY)
    state = run_of(policy, *((call(f"tool_{n}"), denied) for n in range(5)))
    assert policy.evaluate(call(), Context(state=state)).effect is Effect.ALLOW
    assert history_of(state)["denials"] == 5


def test_a_state_is_never_changed_in_place() -> None:
    """hitloop 28: what a checkpoint holds stays as it was."""
    policy = AuditPlusEscalatePolicy(**NEVER)
    before = run_of(policy, (call(), REJECTED))
    kept = msgspec.json.encode(before)
    policy.post_decision_update(before, call("b"), REJECTED)
    policy.post_execution_update(before, call("b"), {"success": False})
    policy.evaluate(call(), Context(state=before))
    assert msgspec.json.encode(before) == kept


def test_the_history_does_not_grow() -> None:
    """hitloop 34."""
    policy = RiskBasedPolicy()
    state = run_of(policy, *((call(f"t{n % 7}"), REJECTED) for n in range(500)))
    assert len(msgspec.json.encode(state)) < 200
    assert history_of(state)["calls"] == 500


def test_asked_twice_it_says_the_same() -> None:
    """hitloop 1 and 34: resuming asks again, and must not count again."""
    policy = AuditPlusEscalatePolicy(audit_sample_rate=0.5, consecutive_action_threshold=3)
    state = run_of(policy, (call(), BY_POLICY))
    for number in range(50):
        action, context = call(n=number), Context(run_id="r", state=state)
        assert policy.evaluate(action, context) == policy.evaluate(action, context)


def test_a_state_that_is_not_ours_has_a_person_asked() -> None:
    policy = AuditPlusEscalatePolicy(**NEVER)
    verdict = judge(policy, call(), Context(state={"history": ["read"]}))
    assert verdict.effect is Effect.ASK
    with pytest.raises(UsageError):
        after_decision({"history": 3}, call(), BY_POLICY)


@pytest.mark.parametrize(
    "fields",
    [
        {"audit_sample_rate": 1.1},
        {"audit_sample_rate": -0.1},
        {"audit_sample_rate": float("nan")},
        {"consecutive_action_threshold": 0},
        {"consecutive_action_threshold": -1},
        {"rejection_threshold": 0},
        {"failure_threshold": 0},
        {"secret": b"short"},
        {"secret": SECRET, "seed": 1},
    ],
)
def test_a_number_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    """hitloop 34."""
    with pytest.raises(ValueError):  # noqa: PT011  each has its own sentence
        AuditPlusEscalatePolicy(**fields)


def drawn(sampler: Sampler, run: str = "run", rate: float = 0.3, many: int = 400) -> list[bool]:
    return [sampler.draws(rate, run, call(n=n)) for n in range(many)]


def test_a_seed_draws_the_same_again_and_another_one_draws_otherwise() -> None:
    """hitloop 34: there the seed had no effect."""
    assert drawn(Sampler(seed=1)) == drawn(Sampler(seed=1))
    assert drawn(Sampler(seed=1)) != drawn(Sampler(seed=2))


def test_processes_that_share_a_secret_draw_the_same() -> None:
    assert drawn(Sampler(SECRET)) == drawn(Sampler(SECRET))
    assert drawn(Sampler(SECRET)) != drawn(Sampler(SECRET + b"!"))
    assert drawn(Sampler()) != drawn(Sampler())


def test_an_agent_cannot_choose_an_id_that_is_not_drawn() -> None:
    """hitloop 34: neither the id nor what is only said about a call has a part in it."""
    sampler = Sampler(SECRET)
    for n in range(50):
        action = call(n=n)
        others = [
            msgspec.structs.replace(action, id="chosen", rationale="please"),
            msgspec.structs.replace(action, risk_class=None),
        ]
        assert {sampler.draws(0.5, "r", each) for each in (action, *others)} == {
            sampler.draws(0.5, "r", action)
        }


def test_about_as_many_are_drawn_as_the_rate_says() -> None:
    assert 0.25 < sum(drawn(Sampler(seed=3), many=4_000)) / 4_000 < 0.35
    assert not any(drawn(Sampler(seed=3), rate=0.0))
    assert all(drawn(Sampler(seed=3), rate=1.0))
    assert drawn(Sampler(seed=3), run="a") != drawn(Sampler(seed=3), run="b")


@given(st.binary(min_size=16, max_size=200), st.text(max_size=30))
def test_the_draw_is_an_hmac(secret: bytes, run: str) -> None:
    action = call(n=1)
    message = f"{len(run)}:{run}:{action.digest}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(hmac.digest(secret, message, "sha256")[:8], "big")
    sampler = Sampler(secret)
    assert sampler.draws((number + 2**12) / 2**64, run, action)
    assert not sampler.draws(max(0, number - 2**12) / 2**64, run, action)
