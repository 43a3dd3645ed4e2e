"""What nobody's answer means: a yes only where a rule of the server says so, and in doubt no."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayso.domain import lifecycle
from sayso.domain.accounts import Strength
from sayso.domain.actions import RiskClass
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.events import EventType
from sayso.domain.lifecycle import Change, Decide, Expire
from sayso.domain.requests import ActionDraft, OnTimeout, PolicyMark, Request, Status
from sayso.domain.rules import Rule
from sayso.errors import InvalidRequestError, InvalidTransitionError
from sayso.testing import PERSON, make_change, make_draft, make_request
from sayso.testing.factories import NOW

LATE = NOW + timedelta(seconds=300)
MARK = PolicyMark(version=3, effect="ask", rule="small-payments")
BOSSES = Rule(groups=("bosses",))


def asked(risk: RiskClass | None = RiskClass.LOW, **fields: Any) -> Request:
    action = ActionDraft(tool_name="pay", tool_args={"amount": 5}, risk_class=risk)
    said = {"on_timeout": OnTimeout.APPROVE, "policy": MARK, **fields}
    return msgspec.structs.replace(make_request(action=action), **said)


def after_silence(request: Request, seconds: float = 300, **fields: Any) -> Change:
    return lifecycle.apply(request, Expire(**fields), NOW + timedelta(seconds=seconds))


def said(request: Request, type_: DecisionType) -> Request:
    """At the deadline, before silence comes about."""
    args = {"amount": 4} if type_ is DecisionType.EDIT else None
    command = Decide(answer=Answer(type=type_, args=args), by=PERSON, channel=Channel.WEB)
    return lifecycle.apply(request, command, LATE).request


@pytest.mark.parametrize("wish", [OnTimeout.APPROVE, OnTimeout.ESCALATE])
def test_who_asks_does_not_choose_a_yes_or_whom_to_ask_next(wish: OnTimeout) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        make_change(make_draft(on_timeout=wish))
    assert caught.value.errors[0]["at"] == "$.on_timeout"


def test_silence_approves_what_a_rule_of_the_server_says_and_binds_it_to_the_digest() -> None:
    request = asked()
    change = after_silence(request)
    decided, decision = change.request, change.request.decision
    assert decision is not None
    assert (decided.status, decision.approved, decision.channel) == (
        Status.APPROVED, True, Channel.POLICY,
    )  # fmt: skip
    assert (decision.by.id, decision.by.name, decision.strength) == (
        "policy", "small-payments", None,
    )  # fmt: skip
    assert request.action is not None
    assert decided.grant is not None
    assert decided.grant.digest == decision.digest == request.action.digest
    (event,) = change.events
    assert (event.type, event.actor) == (EventType.REQUEST_DECIDED, "system")
    assert event.data["silence"] is True


@pytest.mark.parametrize(
    "fields",
    [
        {"risk": RiskClass.MEDIUM},
        {"risk": RiskClass.HIGH},
        {"risk": None},
        {"policy": None},
        {"rule": Rule(approvals=2)},
        {"rule": Rule(four_eyes=True)},
        {"rule": Rule(min_strength=Strength.PASSKEY)},
        {"action": None},
    ],
)
def test_silence_is_a_no_wherever_one_thing_is_in_doubt(fields: dict[str, Any]) -> None:
    closed = after_silence(asked(**fields)).request
    assert (closed.status, closed.approved, closed.grant) == (Status.EXPIRED, False, None)


def test_silence_is_a_no_while_the_kill_switch_is_set() -> None:
    assert after_silence(asked(), is_stopped=True).request.status is Status.EXPIRED


@given(
    st.sampled_from([*RiskClass, None]),
    st.sampled_from(list(OnTimeout)),
    st.sampled_from([None, MARK]),
    st.sampled_from([None, Rule(), Rule(approvals=2), Rule(four_eyes=True), BOSSES]),
)
def test_no_silence_approves_more_than_a_low_risk_that_a_rule_put_to_people(
    risk: RiskClass | None, silence: OnTimeout, mark: PolicyMark | None, rule: Rule | None
) -> None:
    request = asked(risk, on_timeout=silence, policy=mark, rule=rule, escalate_to=BOSSES)
    closed = after_silence(request).request
    if closed.approved:
        assert (risk, silence, mark) == (RiskClass.LOW, OnTimeout.APPROVE, MARK)
        assert rule in (None, Rule(), BOSSES)


NOT_A_NO = [
    {"on_timeout": OnTimeout.APPROVE},
    {"on_timeout": OnTimeout.ESCALATE, "escalate_to": BOSSES},
    {"on_timeout": OnTimeout.PARK},
]


@pytest.mark.parametrize("fields", NOT_A_NO)
def test_a_no_is_in_time_until_silence_comes_about_where_that_is_no_plain_no(
    fields: dict[str, Any],
) -> None:
    rejected = said(asked(**fields), DecisionType.REJECT)
    assert (rejected.status, rejected.approved) == (Status.REJECTED, False)
    assert rejected.decision is not None
    assert rejected.decision.by.id == PERSON.id


@pytest.mark.parametrize("fields", NOT_A_NO)
def test_a_yes_after_the_deadline_is_refused_and_told_what_comes_instead(
    fields: dict[str, Any],
) -> None:
    for yes in (DecisionType.APPROVE, DecisionType.EDIT):
        with pytest.raises(InvalidTransitionError) as caught:
            said(asked(**fields), yes)
        assert caught.value.reason_code == "expired"
        assert "about to" in caught.value.detail
        assert "has expired" not in caught.value.detail


@pytest.mark.parametrize("silence", [OnTimeout.EXPIRE, OnTimeout.REJECT])
def test_a_no_after_the_deadline_is_too_late_where_silence_is_a_no(silence: OnTimeout) -> None:
    with pytest.raises(InvalidTransitionError, match="has expired"):
        said(asked(on_timeout=silence), DecisionType.REJECT)


def test_silence_that_rejects_is_a_decision_without_a_grant() -> None:
    closed = after_silence(make_request(on_timeout=OnTimeout.REJECT)).request
    assert closed.decision is not None
    assert (closed.status, closed.approved, closed.grant) == (Status.REJECTED, False, None)
    assert (closed.decision.channel, closed.decision.by.id) == (Channel.POLICY, "policy")


def test_silence_that_escalates_asks_further_people_once_and_then_expires() -> None:
    rule = Rule(groups=("clerks",), min_strength=Strength.LOGIN)
    request = asked(on_timeout=OnTimeout.ESCALATE, escalate_to=BOSSES, rule=rule)
    change = after_silence(request, 301)
    escalated = change.request
    assert (escalated.status, escalated.deadline_at) == (
        Status.PENDING, NOW + timedelta(seconds=601),
    )  # fmt: skip
    assert escalated.rule is not None
    assert escalated.rule.groups == ("clerks", "bosses")
    assert escalated.rule.min_strength is Strength.LOGIN
    (event,) = change.events
    assert event.type is EventType.REQUEST_ESCALATED
    assert event.data["groups"] == ["bosses"]
    with pytest.raises(InvalidTransitionError):
        after_silence(escalated, 600)
    assert after_silence(escalated, 601).request.status is Status.EXPIRED


def test_who_decides_after_an_escalation_decides_for_good() -> None:
    escalated = after_silence(asked(on_timeout=OnTimeout.ESCALATE, escalate_to=BOSSES)).request
    answer = Answer(type=DecisionType.APPROVE)
    command = Decide(answer=answer, by=PERSON, channel=Channel.WEB)
    assert lifecycle.apply(escalated, command, LATE).request.approved


def test_what_was_said_under_a_milder_rule_does_not_count_after_an_escalation() -> None:
    request = asked(
        on_timeout=OnTimeout.ESCALATE, escalate_to=Rule(four_eyes=True), rule=Rule(approvals=2)
    )
    answer = Answer(type=DecisionType.APPROVE)
    vote = Decide(answer=answer, by=PERSON, channel=Channel.WEB)
    voted = lifecycle.apply(request, vote, NOW).request
    assert len(voted.votes) == 1
    escalated = after_silence(voted).request
    assert escalated.votes == ()
    assert escalated.rule is not None
    assert (escalated.rule.approvals, escalated.rule.four_eyes) == (2, True)


def test_an_escalation_does_not_narrow_who_may_decide() -> None:
    escalated = after_silence(asked(on_timeout=OnTimeout.ESCALATE, escalate_to=BOSSES)).request
    assert escalated.rule is not None
    assert escalated.rule.asks(PERSON)


def test_what_is_parked_waits_without_a_deadline_and_can_be_decided() -> None:
    change = after_silence(make_request(on_timeout=OnTimeout.PARK))
    parked = change.request
    assert (parked.status, parked.deadline_at, parked.parked_at) == (Status.PENDING, None, LATE)
    assert [event.type for event in change.events] == [EventType.REQUEST_PARKED]
    with pytest.raises(InvalidTransitionError):
        after_silence(parked, 10_000)
    answer = Answer(type=DecisionType.APPROVE)
    command = Decide(answer=answer, by=PERSON, channel=Channel.WEB)
    assert lifecycle.apply(parked, command, LATE + timedelta(days=3)).request.approved


def test_what_is_asked_again_does_not_inherit_a_yes_by_silence() -> None:
    expired = after_silence(asked(), is_stopped=True).request
    again = lifecycle.reopen(
        expired, request_id="r2", facts=None, now=LATE, by=PERSON, rule=None, key="k"
    ).request
    assert (again.on_timeout, again.policy) == (OnTimeout.EXPIRE, None)
