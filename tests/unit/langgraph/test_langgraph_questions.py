"""What interrupts ask, as requests; and decisions, as what LangChain and Agent Inbox take."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from langgraph.types import Interrupt

from sayso.domain.actions import Action
from sayso.domain.decisions import Decision, DecisionType
from sayso.domain.requests import Kind, Request, Status
from sayso.domain.rules import Rule
from sayso.errors import InvalidAnswerError
from sayso.langgraph.payloads import question
from sayso.langgraph.questions import Asked, answer_to, asked_by
from sayso.langgraph.state import plain
from sayso.policies.base import Effect, Verdict

ALL = ["approve", "edit", "reject", "respond"]


def batched(*calls: tuple[str, dict[str, Any], list[str]]) -> Interrupt:
    return Interrupt(
        value={
            "action_requests": [
                {"name": name, "args": args, "description": f"{name}?"} for name, args, _ in calls
            ],
            "review_configs": [
                {"action_name": name, "allowed_decisions": allowed} for name, _, allowed in calls
            ],
        },
        id="i",
    )


def decided(asked: Asked, n: int, type: str, **answer: Any) -> Request:  # noqa: A002
    """The request for question n, with this decision; None for one that expired."""
    question = asked.questions[n]
    kind = DecisionType(type) if type != "expire" else None
    status = {"approve": Status.APPROVED, "edit": Status.APPROVED, "respond": Status.ANSWERED}
    decision = None
    if kind is not None:
        decision = Decision(approved=kind.value in ("approve", "edit"), type=kind, **answer)
    return Request(
        id=f"r{n}",
        kind=Kind(question.fields()["kind"]),
        message=question.message,
        action=question.action,
        status=status.get(type, Status.REJECTED if kind else Status.EXPIRED),
        decision=decision,
        closed_reason="" if kind else "Nobody answered in time.",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_decisions_of_a_batch_come_back_in_its_order() -> None:
    asked = asked_by(
        batched(("a", {"n": 1}, ALL), ("b", {"n": 2}, ALL), ("c", {}, ALL), ("b", {"n": 3}, ALL))
    )
    assert [q.action.tool_args for q in asked.questions if q.action] == [
        {"n": 1},
        {"n": 2},
        {},
        {"n": 3},
    ]
    answer = answer_to(
        asked,
        [
            decided(asked, 0, "approve"),
            decided(asked, 1, "edit", args={"n": 9}),
            decided(asked, 2, "respond", content="It is Tuesday."),
            decided(asked, 3, "reject", reason="not that"),
        ],
    )
    assert answer == {
        "decisions": [
            {"type": "approve"},
            {"type": "edit", "edited_action": {"name": "b", "args": {"n": 9}}},
            {"type": "respond", "message": "It is Tuesday."},
            {"type": "reject", "message": "not that"},
        ]
    }


@pytest.mark.parametrize(
    ("allowed", "type", "answer", "sent"),
    [
        (["approve", "reject"], "respond", {"content": "no"}, {"type": "reject", "message": "no"}),
        (["approve", "reject"], "expire", {}, "Nobody answered in time."),
        (["approve", "reject"], "ignore", {}, {"type": "reject"}),
        (["approve", "respond"], "reject", {"reason": "no"}, {"type": "respond", "message": "no"}),
        (["edit", "reject"], "approve", {}, {"name": "a", "args": {"n": 1}}),
        (["approve", "reject"], "edit", {"args": {"n": 2}}, None),
        (["approve"], "reject", {"reason": "no"}, None),
        (["approve", "edit"], "expire", {}, None),
    ],
)
def test_only_decisions_that_are_allowed_are_sent(
    allowed: list[str],
    type: str,  # noqa: A002
    answer: Any,
    sent: Any,
) -> None:
    asked = asked_by(batched(("a", {"n": 1}, allowed)))
    request = decided(asked, 0, type, **answer)
    if sent is None:
        with pytest.raises(InvalidAnswerError, match="stays as it is"):
            answer_to(asked, [request])
        return
    (decision,) = answer_to(asked, [request])["decisions"]
    assert decision["type"] in allowed
    if isinstance(sent, str):
        assert decision["message"] == sent
    elif "name" in sent:
        assert decision["edited_action"] == sent
    else:
        assert decision["type"] == sent["type"]
        assert decision.get("message") or type == "ignore"


def test_a_tool_that_only_people_answer_is_asked_as_a_question() -> None:
    asked = asked_by(batched(("ask_user", {"question": "Which day?"}, ["respond"])))
    fields = asked.questions[0].fields()
    assert fields["kind"] == "input"
    assert fields["metadata"]["action"]["tool_name"] == "ask_user"
    answer = answer_to(asked, [decided(asked, 0, "respond", content="Tuesday")])
    assert answer == {"decisions": [{"type": "respond", "message": "Tuesday"}]}


def test_where_no_edit_is_taken_the_schema_lets_none_through() -> None:
    asked = asked_by(batched(("a", {"n": 1}, ["approve"]), ("b", {"n": 1}, ["approve", "edit"])))
    first, second = (each.fields()["action"] for each in asked.questions)
    assert first.args_schema == {"const": {"n": 1}}
    assert second.args_schema is None


def test_a_call_by_itself_brings_its_schema_along() -> None:
    edited = {
        "type": "object",
        "properties": {
            "name": {"const": "a"},
            "args": {"$ref": "#/$defs/Args"},
        },
    }
    schema = {
        "$defs": {
            "Args": {"type": "object", "properties": {"n": {"type": "integer"}}},
            "Approve": {"properties": {"type": {"const": "approve"}}},
            "Edit": {"properties": {"type": {"const": "edit"}, "edited_action": edited}},
        },
        "oneOf": [{"$ref": "#/$defs/Approve"}, {"$ref": "#/$defs/Edit"}],
    }
    value = {"type": "tool_approval", "tool_call_id": "call_1", "name": "a", "args": {"n": 1}}
    asked = asked_by(Interrupt(value=value, id="i", response_schema=schema))
    (question,) = asked.questions
    assert asked.form == "per_call"
    assert question.allowed == {DecisionType.APPROVE, DecisionType.EDIT}
    assert question.action is not None
    assert question.action.id == "call_1"
    assert question.action.args_schema is not None
    assert question.action.args_schema["properties"] == {"n": {"type": "integer"}}


@pytest.mark.parametrize(
    "value",
    [
        "What is your name?",
        7,
        None,
        [],
        {"question": "What is your name?"},
        {"action_request": {"action": "send", "args": {}}},
        {"action_request": None, "config": {}},
        {"action_requests": [{"name": "a", "args": {}}], "review_configs": []},
        {"type": "tool_approval", "name": "a", "args": {}},
        {"type": "tool_approval", "name": "", "args": 3},
    ],
)
def test_anything_else_is_asked_as_it_is(value: Any) -> None:
    asked = asked_by(Interrupt(value=value, id="i"))
    (question,) = asked.questions
    assert asked.form == "other"
    assert question.message
    shown = question.message + msgspec.json.encode(question.fields()).decode()
    for word in ("What is your name?", "send", "tool_approval", "7"):
        assert (word in str(value)) <= (word in shown)


def test_what_is_told_of_an_action_beside_it_is_believed_only_if_it_is_the_same() -> None:
    def asked(tool_args: Any) -> Any:
        told = Action(tool_name="send", tool_args=tool_args, rationale="because")
        value = {
            "action_request": {"action": "send", "args": {"to": "mallory"}},
            "config": {"allow_accept": True},
            "sayso": {"action": msgspec.to_builtins(told)},
        }
        return asked_by(Interrupt(value=[value], id="i")).questions[0].action

    assert asked({"to": "mallory"}).rationale == "because"
    assert asked({"to": "alice"}).tool_args == {"to": "mallory"}
    assert asked({"to": "alice"}).rationale == ""


@pytest.mark.parametrize(
    ("verdict", "sent"),
    [
        (Verdict(effect=Effect.ASK, on_timeout="park"), {"on_timeout": "park"}),
        (Verdict(effect=Effect.ASK, on_timeout="reject"), {"on_timeout": "reject"}),
        (Verdict(effect=Effect.ASK, on_timeout="approve"), {}),
        (Verdict(effect=Effect.ASK, on_timeout="escalate", escalate_to=Rule()), {}),
        (Verdict(effect=Effect.ASK), {}),
        (Verdict(effect=Effect.ASK, timeout_seconds=None), {"timeout_seconds": None}),
        (Verdict(effect=Effect.ASK, timeout_seconds=9), {"timeout_seconds": 9}),
    ],
)
def test_what_a_policy_says_of_silence_is_sent_where_the_asking_side_may_say_it(
    verdict: Verdict, sent: Any
) -> None:
    asked = question(Action(tool_name="send"), verdict)
    (sought,) = asked_by(Interrupt(value=plain([asked]), id="i")).questions
    fields = sought.fields()
    assert {n: fields[n] for n in ("on_timeout", "timeout_seconds") if n in fields} == sent
