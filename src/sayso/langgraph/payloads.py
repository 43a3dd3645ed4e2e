"""Questions and answers as Agent Inbox writes them: a list with one `HumanInterrupt` in it.

An answer is read in whatever of the usual forms it comes: a list or a single one, Agent Inbox's
types or LangChain's, or `{"approved": true, "decided_by": "human:alice"}`. One that cannot be read
is a rejection that says why, never an approval.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict, cast

from sayso.domain.actions import Action, RiskClass
from sayso.domain.decisions import Decision, DecisionType
from sayso.errors import InvalidAnswerError, InvalidRequestError
from sayso.langgraph.schemas import typed_back
from sayso.langgraph.state import plain
from sayso.policies.base import Verdict
from sayso.types import Json, JsonObject


class HumanInterruptConfig(TypedDict):
    """Which answers are taken."""

    allow_ignore: bool
    allow_respond: bool
    allow_edit: bool
    allow_accept: bool


class ActionRequest(TypedDict):
    """A tool, and its arguments."""

    action: str
    args: JsonObject


class HumanInterrupt(TypedDict):
    """A question."""

    action_request: ActionRequest
    config: HumanInterruptConfig
    description: str | None
    sayso: NotRequired[JsonObject]
    """What the schema has no place for: the whole `action`, and the `verdict` that asks."""


class HumanResponse(TypedDict):
    """An answer: None to `accept` and `ignore`, a text to `response`, an action to `edit`."""

    type: Literal["accept", "ignore", "response", "edit"]
    args: str | ActionRequest | None
    sayso: NotRequired[JsonObject]
    """Who decided, and what else is known: `decided_by`, `latency_ms`, `reason`, `type`."""


HITLInterruptPayload: TypeAlias = list[HumanInterrupt]
HITLResumePayload: TypeAlias = list[HumanResponse] | HumanResponse | JsonObject | bool
InterruptCallback: TypeAlias = Callable[[HumanInterrupt, str], Awaitable[Any] | Any]
"""Told of a question and its thread's id, once."""
RiskClassResolver: TypeAlias = RiskClass | Callable[[JsonObject], RiskClass]
"""A risk, or what tells it from the arguments."""
AnomalyValidator: TypeAlias = Callable[[JsonObject], tuple[bool, str]]
"""Whether the arguments are as usual, and if not, what is odd about them."""

ALLOW_ALL = HumanInterruptConfig(
    allow_ignore=True, allow_respond=True, allow_edit=True, allow_accept=True
)
_FENCE = "~~~~"

_TYPES = {
    "accept": DecisionType.APPROVE,
    "approve": DecisionType.APPROVE,
    "edit": DecisionType.EDIT,
    "response": DecisionType.RESPOND,
    "respond": DecisionType.RESPOND,
    "reject": DecisionType.REJECT,
    "ignore": DecisionType.IGNORE,
}


def question(action: Action, verdict: Verdict, description: str | None = None) -> HumanInterrupt:
    """What a person is shown of `action`."""
    args = cast("JsonObject", plain(action.tool_args))
    return HumanInterrupt(
        action_request=ActionRequest(action=action.tool_name, args=args),
        config=ALLOW_ALL,
        description=_described(action, verdict) if description is None else description,
        sayso={"action": plain(action), "verdict": plain(verdict)},
    )


def _described(action: Action, verdict: Verdict) -> str:
    """Markdown in which the agent's words stand in fences, so that they cannot pose as ours."""
    risk = "unknown" if action.risk_class is None else action.risk_class.value
    parts = ["## Approval required", f"**Risk:** {risk}"]
    for title, text in (
        ("Tool", action.tool_name),
        ("Why a person is asked", verdict.reason),
        ("Arguments", json.dumps(plain(action.tool_args), indent=2, ensure_ascii=True)),
        ("What else it changes, in the agent's words", "\n".join(action.side_effects)),
        ("Why, in the agent's words", action.rationale),
        ("Context", "\n".join(action.context_refs)),
    ):
        if text:
            inert = text.replace(_FENCE, "~ ~ ~ ~")
            parts.append(f"### {title}\n{_FENCE}text\n{inert}\n{_FENCE}")
    return "\n\n".join(parts)


def read_answer(
    answer: Any, action: Action, schema: JsonObject, *, asked_at: datetime, now: datetime
) -> Decision:
    """What a person said, bound to the action as it shall run."""
    told = _told(answer)
    known = _meta(told)
    decided_by = _text(known, "decided_by", "user", "user_id") or "human"
    took = (now - asked_at).total_seconds() * 1000
    latency = known.get("latency_ms")
    common: dict[str, Any] = {
        "action_id": action.id,
        "decided_by": decided_by,
        "latency_ms": latency if _is_duration(latency) else max(took, 0.0),
        "tags": [str(tag) for tag in _list(known.get("tags"))],
        "decided_at": now,
    }
    try:
        said = _said(told, action, schema)
    except InvalidAnswerError as error:
        common["tags"] = [*common["tags"], "malformed"]
        reason = f"The answer could not be used, so it counts as a rejection: {error.detail}"
        return Decision(approved=False, type=DecisionType.REJECT, reason=reason, **common)
    return Decision(**common, **said)


def _said(told: JsonObject, action: Action, schema: JsonObject) -> dict[str, Any]:
    """The type, the reason, the arguments.

    Raises:
        InvalidAnswerError: it says nothing that can be used.
    """
    kind, known = _type(told), _meta(told)
    reason = _text(known, "reason", "message", "comment")
    match kind:
        case DecisionType.APPROVE:
            return {"approved": True, "type": kind, "reason": reason, "digest": action.digest}
        case DecisionType.EDIT:
            args = typed_back(_edited(told, action), schema)
            try:
                digest = action.with_args(args).digest
            except InvalidRequestError as error:
                raise InvalidAnswerError(error.detail) from error
            said = {"approved": True, "type": kind, "reason": reason or "Accepted with edits"}
            return {**said, "args": args, "digest": digest}
        case DecisionType.RESPOND:
            content = told.get("args")
            text = content if isinstance(content, str) else reason
            text = text or _text(told, "content", "message")
            return {"approved": False, "type": kind, "reason": text, "content": text}
        case _:
            default = "Ignored by human" if kind is DecisionType.IGNORE else "Rejected by human"
            return {"approved": False, "type": kind, "reason": reason or default}


def _told(answer: Any) -> JsonObject:
    """The answer to the one question, as an object."""
    if isinstance(answer, list | tuple):
        answers = cast("list[Any]", answer)
        answer = answers[0] if len(answers) == 1 else None
    if isinstance(answer, dict) and "decisions" in answer and "type" not in answer:
        return _told(cast("JsonObject", answer)["decisions"])
    if isinstance(answer, bool):
        return {"approved": answer}
    if isinstance(answer, str):
        return {"type": "response", "args": answer}
    if isinstance(answer, Decision):
        return {"type": answer.type.value, "args": answer.args, **cast("JsonObject", plain(answer))}
    return cast("JsonObject", answer) if isinstance(answer, dict) else {}


def _meta(told: JsonObject) -> JsonObject:
    inner = told.get("sayso")
    return {**told, **cast("JsonObject", inner)} if isinstance(inner, dict) else told


def _type(told: JsonObject) -> DecisionType:
    named, approved = told.get("type"), told.get("approved")
    if named is None and isinstance(approved, bool):
        edited = approved and any(told.get(n) is not None for n in ("args", "edited_args"))
        return DecisionType.EDIT if edited else _approval(approved=approved)
    kind = _TYPES.get(named) if isinstance(named, str) else None
    if kind is None:
        raise InvalidAnswerError(
            "it says neither `type` (accept, edit, response, ignore, reject) nor `approved`"
            " (true or false)."
        )
    meant = _meta(told).get("type")  # `ignore` may stand for a rejection with a reason
    if kind in (DecisionType.IGNORE, DecisionType.RESPOND) and meant == "reject":
        return DecisionType.REJECT
    if approved is False and kind in (DecisionType.APPROVE, DecisionType.EDIT):
        raise InvalidAnswerError("it approves and does not.")
    return kind


def _approval(*, approved: bool) -> DecisionType:
    return DecisionType.APPROVE if approved else DecisionType.REJECT


def _edited(told: JsonObject, action: Action) -> JsonObject:
    """The edited arguments, in full."""
    named = told.get("edited_action", told.get("args"))
    if "type" not in told:  # {"approved": true, "args": {...}}
        args = told.get("edited_args", told.get("args"))
    elif isinstance(named, dict):
        request = cast("JsonObject", named)
        tool = request.get("action", request.get("name", action.tool_name))
        if tool != action.tool_name:
            raise InvalidAnswerError(
                f"the edit is for the tool {tool!r}, and {action.tool_name!r} was asked about."
            )
        args = request.get("args")
    else:
        args = None
    if not isinstance(args, dict):
        raise InvalidAnswerError(
            'an edit says {"action": TOOL, "args": {...}} with all arguments as they shall run.'
        )
    return cast("JsonObject", args)


def _text(told: JsonObject, *names: str) -> str:
    return next((v for n in names if isinstance(v := told.get(n), str) and v), "")


def _list(value: Json) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _is_duration(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
