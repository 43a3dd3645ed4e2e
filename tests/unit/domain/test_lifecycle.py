"""The state machine, as a model: whatever is commanded, in whatever order."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayso.domain import lifecycle
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.drafts import approves_by_label
from sayso.domain.lifecycle import OUTCOMES, TRANSITIONS, Cancel, Decide, Expire
from sayso.domain.requests import (
    ActionDraft,
    Kind,
    OptionDraft,
    Request,
    Status,
)
from sayso.errors import (
    InvalidAnswerError,
    InvalidRequestError,
    InvalidTransitionError,
    PersonRequiredError,
    RefusedError,
)
from sayso.testing import AGENT, PERSON, make_draft, make_request
from sayso.testing.factories import NOW

ACTION = ActionDraft(tool_name="deploy", tool_args={"version": "v1"})
DRAFTS: list[dict[str, Any]] = [
    {"action": ACTION},
    {"action": ACTION, "timeout_seconds": None},
    {},
    {"kind": Kind.APPROVAL, "options": ["Go", "Stop"]},
    {"options": ["Yes", "No", OptionDraft(label="Later", value="l", approves=False)]},
    {"kind": Kind.INPUT},
    {"schema": {"type": "object", "properties": {"n": {"type": "integer"}}}},
]
answers = st.builds(
    Answer,
    type=st.sampled_from(DecisionType),
    args=st.none() | st.just({"version": "v2"}),
    content=st.none() | st.just("text") | st.just({"n": 1}),
    option=st.none() | st.sampled_from(["Yes", "No", "l", "Go", "Stop", "bogus"]),
    reason=st.sampled_from(["", "because"]),
)
commands = st.one_of(
    st.builds(
        Decide, answer=answers, by=st.sampled_from([AGENT, PERSON]), channel=st.just(Channel.WEB)
    ),
    st.builds(Cancel, by=st.sampled_from([AGENT, PERSON]), reason=st.just("not needed")),
    st.just(Expire()),
)
steps = st.lists(st.tuples(commands, st.integers(0, 200)), max_size=8)


def decide(request: Request, answer_type: str, at: float = 1, **fields: Any) -> Request:
    answer = Answer(type=DecisionType(answer_type), **fields)
    command = Decide(answer=answer, by=PERSON, channel=Channel.WEB)
    return lifecycle.apply(request, command, NOW + timedelta(seconds=at)).request


@given(st.sampled_from(DRAFTS), steps)
def test_no_sequence_of_commands_changes_a_terminal_request(
    fields: dict[str, Any], sequence: list[tuple[lifecycle.Command, int]]
) -> None:
    request = make_request(**fields)
    now = NOW
    for command, seconds in sequence:
        now += timedelta(seconds=seconds)
        try:
            change = lifecycle.apply(request, command, now)
        except RefusedError as error:
            assert error.detail
            assert error.reason_code
            continue
        assert not request.is_terminal
        assert change.request.status in TRANSITIONS[request.status, type(command)]
        assert change.request.is_terminal
        assert change.request.version == request.version + 1 == change.expected_version + 1
        assert change.request.closed_at == now
        assert len(change.events) == 1
        assert change.events[0].request_id == request.id
        request = change.request


@given(st.sampled_from(DRAFTS), steps)
def test_only_a_person_before_the_deadline_ever_approves(
    fields: dict[str, Any], sequence: list[tuple[lifecycle.Command, int]]
) -> None:
    request = make_request(**fields)
    now = NOW
    for command, seconds in sequence:
        now += timedelta(seconds=seconds)
        try:
            request = lifecycle.apply(request, command, now).request
        except RefusedError:
            continue
        if request.approved:
            assert isinstance(command, Decide)
            assert command.by.is_person
            assert request.deadline_at is None or now < request.deadline_at
            assert command.answer.type not in (DecisionType.REJECT, DecisionType.IGNORE)


@given(st.sampled_from(DRAFTS), answers)
def test_every_answer_is_taken_as_the_table_says_or_refused_with_the_reason(
    fields: dict[str, Any], answer: Answer
) -> None:
    request = make_request(**fields)
    command = Decide(answer=answer, by=PERSON, channel=Channel.WEB)
    try:
        decided = lifecycle.apply(request, command, NOW).request
    except InvalidAnswerError as error:
        assert str(error)
        return
    expected = OUTCOMES[request.kind, answer.type]
    if answer.option is not None and request.kind is Kind.APPROVAL:
        assert decided.status in (Status.APPROVED, Status.REJECTED)
    else:
        assert decided.status is expected


def test_an_agent_cannot_decide() -> None:
    command = Decide(answer=Answer(type=DecisionType.APPROVE), by=AGENT, channel=Channel.API)
    with pytest.raises(PersonRequiredError):
        lifecycle.apply(make_request(), command, NOW)


def test_a_late_decision_is_told_what_was_decided() -> None:
    decided = decide(make_request(), "approve")
    with pytest.raises(InvalidTransitionError, match="already approved, by Ada") as caught:
        decide(decided, "reject")
    assert caught.value.reason_code == "already_decided"


def test_a_decision_at_the_deadline_is_too_late_even_before_the_sweep() -> None:
    request = make_request(timeout_seconds=10)
    decide(request, "approve", at=9.999)
    with pytest.raises(InvalidTransitionError) as caught:
        decide(request, "approve", at=10)
    assert caught.value.reason_code == "expired"


def test_a_request_does_not_expire_early() -> None:
    with pytest.raises(InvalidTransitionError, match="not due"):
        lifecycle.apply(make_request(timeout_seconds=10), Expire(), NOW + timedelta(seconds=9))


def test_an_edit_approves_other_arguments_with_their_own_digest() -> None:
    request = make_request(action=ACTION)
    decided = decide(request, "edit", args={"version": "v2"})
    assert decided.status is Status.APPROVED
    assert decided.arguments == {"version": "v2"}
    assert decided.decision is not None
    assert decided.decision.digest == ACTION.with_args({"version": "v2"}).digest
    assert decided.decision.digest != ACTION.digest
    assert decided.action == request.action


def test_an_answer_instead_of_running_does_not_let_the_action_run() -> None:
    decided = decide(make_request(action=ACTION), "respond", content="Use staging.")
    assert (decided.status, decided.approved, decided.arguments) == (Status.ANSWERED, False, None)


def test_a_choice_approves_as_its_option_says() -> None:
    request = make_request(options=["Yes", "No"])
    assert decide(request, "respond", option="Yes").approved
    refused = decide(request, "respond", option="No")
    assert (refused.status, refused.approved, refused.answer) == (Status.ANSWERED, False, "No")


def test_the_options_of_an_approval_are_other_words_for_yes_and_no() -> None:
    request = make_request(kind=Kind.APPROVAL, options=["Go", "Hold"])
    assert decide(request, "respond", option="Go").status is Status.APPROVED
    assert decide(request, "respond", option="Hold").status is Status.REJECTED


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": Kind.PLAN},
        {"kind": Kind.CHOICE},
        {"kind": Kind.INPUT, "options": ["a"]},
        {"kind": Kind.APPROVAL, "schema": {"type": "object"}},
        {"options": ["a", "a"]},
        {"options": [OptionDraft(label="a", value="x"), OptionDraft(label="b", value="x")]},
        {"message": "bell \x07"},
        {"session_id": "null \x00"},
        {"options": ["escape \x1b[2J"]},
        {"action": ActionDraft(tool_name="to\x7fol")},
    ],
)
def test_a_draft_that_cannot_be_asked_is_refused_and_says_where(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        make_request(**{"message": "?"} | fields)
    assert caught.value.errors[0]["at"].startswith("$.")


@pytest.mark.parametrize(
    ("label", "approves"),
    [
        ("Yes", True), ("No", False), ("🚀 Deploy", True), ("⏸️ Hold", False), ("HOLD!", False),
        ("🔍 Review First", True), ("Cancel", False), ("no, thanks", False), ("Notify", True),
        ("Deny", False), ("Wait for Better Price", False), ("Skip it", False), ("🚫", False),
        ("Reduce Size", True), ("Ignore", False), ("Block user", False), ("Abort", False),
        ("Nó", True), ("«Stop»", False), ("_no_", False), ("42", True),
    ],
)  # fmt: skip
def test_a_plain_option_approves_unless_its_first_word_refuses(label: str, approves: bool) -> None:
    assert approves_by_label(label) is approves


def test_a_digest_that_is_sent_along_must_fit() -> None:
    good = ActionDraft(tool_name="t", tool_args={"a": 1})
    assert msgspec.convert(msgspec.to_builtins(good), ActionDraft) == good
    with pytest.raises(InvalidRequestError, match="digest does not fit"):
        ActionDraft(tool_name="t", tool_args={"a": 2}, digest=good.digest)


def test_the_default_deadline_is_the_servers_and_null_means_never() -> None:
    assert make_request().deadline_at == NOW + timedelta(seconds=300)
    assert make_request(timeout_seconds=None).deadline_at is None
    assert make_draft().timeout_seconds is msgspec.UNSET
