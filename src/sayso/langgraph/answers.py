"""What a person answered, in whatever of the usual forms it comes.

A list or a single one, Agent Inbox's types or LangChain's, or
`{"approved": true, "decided_by": "human:alice"}`. One that cannot be read, contradicts itself, or
is about another action is a rejection that says why, never an approval.
"""

from datetime import datetime
from typing import Any, cast

from sayso.domain.actions import Action
from sayso.domain.decisions import Decision, DecisionType
from sayso.errors import InvalidAnswerError, InvalidRequestError
from sayso.langgraph.schemas import typed_back
from sayso.types import Json, JsonObject

_ARGUMENTS = ("edited_args", "edited_action", "args")
"""Where an answer may bring arguments."""
_SAYING = frozenset({"type", "approved", "sayso", "digest", "action_id", *_ARGUMENTS})
_HOW_TO_EDIT = 'an edit says {"action": TOOL, "args": {...}} with all arguments as they shall run.'
_TYPES = {
    "accept": DecisionType.APPROVE,
    "approve": DecisionType.APPROVE,
    "edit": DecisionType.EDIT,
    "response": DecisionType.RESPOND,
    "respond": DecisionType.RESPOND,
    "reject": DecisionType.REJECT,
    "ignore": DecisionType.IGNORE,
}


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
        InvalidAnswerError: it says nothing that can be used, or contradicts itself.
    """
    kind, known = _type(told), _meta(told)
    reason = _text(known, "reason", "message", "comment")
    match kind:
        case DecisionType.APPROVE:
            _refuse_others(told, action)
            for args in _brought(told, action, kind):
                if not _is_as_asked(args, action, schema):
                    raise InvalidAnswerError(
                        "it accepts, and brings other arguments than those that were asked about;"
                        " an edit has the type `edit`."
                    )
            return {"approved": True, "type": kind, "reason": reason, "digest": action.digest}
        case DecisionType.EDIT:
            args, digest = _edited(told, action, schema)
            _refuse_others(told, action, digest)
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
    given = cast("JsonObject", answer) if isinstance(answer, dict) else {}
    if "decisions" in given and _SAYING.isdisjoint(given):
        return _told(given["decisions"])
    if isinstance(answer, bool):
        return {"approved": answer}
    if isinstance(answer, str):
        return {"type": "response", "args": answer}
    return given


def _places(told: JsonObject) -> list[JsonObject]:
    """Where an answer may say something: in itself, and under `sayso`."""
    inner = told.get("sayso")
    return [told, cast("JsonObject", inner)] if isinstance(inner, dict) else [told]


def _meta(told: JsonObject) -> JsonObject:
    return {name: value for place in _places(told) for name, value in place.items()}


def _type(told: JsonObject) -> DecisionType:
    """What it says, if all that it says agrees."""
    if "decisions" in told:
        raise InvalidAnswerError("it has `decisions`, and says something beside them.")
    agreed = [yes for place in _places(told) if (yes := place.get("approved")) is not None]
    named, meant = told.get("type"), _meta(told).get("type")
    if named is None and isinstance(told.get("approved"), bool):
        kind = _untyped(told)
    elif isinstance(named, str) and named in _TYPES:
        kind = _TYPES[named]
    else:
        raise InvalidAnswerError(
            "it says neither `type` (accept, edit, response, ignore, reject) nor `approved`"
            " (true or false)."
        )
    if kind not in (DecisionType.APPROVE, DecisionType.EDIT):
        if True in agreed and kind is not DecisionType.RESPOND:
            raise InvalidAnswerError("it approves and does not.")
        # `ignore` may stand for a rejection with a reason
        return DecisionType.REJECT if meant == "reject" else kind
    if not all(isinstance(yes, bool) for yes in agreed):
        raise InvalidAnswerError("its `approved` is neither true nor false.")
    meant = _TYPES.get(meant, meant) if isinstance(meant, str) else meant
    # An approval may come as an edit, to a graph that takes nothing but edits.
    if not all(agreed) or meant not in (None, kind, DecisionType.APPROVE):
        raise InvalidAnswerError("it approves and does not.")
    return kind


def _untyped(told: JsonObject) -> DecisionType:
    if told["approved"] is not True:
        return DecisionType.REJECT
    edited = any(place.get(name) is not None for place in _places(told) for name in _ARGUMENTS)
    return DecisionType.EDIT if edited else DecisionType.APPROVE


def _edited(told: JsonObject, action: Action, schema: JsonObject) -> tuple[JsonObject, str]:
    """The edited arguments in full, and the digest of the action with them."""
    edits = [typed_back(args, schema) for args in _brought(told, action, DecisionType.EDIT)]
    if not edits:
        raise InvalidAnswerError(_HOW_TO_EDIT)
    digests = {_digest(args, action) for args in edits}
    if len(digests) > 1:
        raise InvalidAnswerError("it brings several edits, and they differ.")
    return edits[0], digests.pop()


def _brought(told: JsonObject, action: Action, kind: DecisionType) -> list[JsonObject]:
    """All arguments that an answer brings along; forms send them with a plain yes, too."""
    found: list[JsonObject] = []
    for place, name in ((place, name) for place in _places(told) for name in _ARGUMENTS):
        args = place.get(name)
        if args is None:
            continue
        if name == "edited_action" or (name == "args" and told.get("type") is not None):
            if kind is DecisionType.APPROVE and args in ("", {}, []):
                continue
            args = _requested(args, action)
        if not isinstance(args, dict):
            raise InvalidAnswerError(_HOW_TO_EDIT)
        found.append(cast("JsonObject", args))
    return found


def _requested(value: Json, action: Action) -> Json:
    """The arguments of a tool and its arguments."""
    if not isinstance(value, dict):
        return None
    request = cast("JsonObject", value)
    tool = request.get("action", request.get("name", action.tool_name))
    if tool != action.tool_name:
        raise InvalidAnswerError(
            f"it is for the tool {tool!r}, and {action.tool_name!r} was asked about."
        )
    return request.get("args")


def _refuse_others(told: JsonObject, action: Action, edited: str = "") -> None:
    """Refuse an approval that names another action.

    Args:
        told: the answer.
        action: what was asked about.
        edited: the digest of the edited action, which may be named, too.
    """
    for place in _places(told):
        if place.get("digest") not in (None, "", action.digest, edited):
            raise InvalidAnswerError("its `digest` is of another action than was asked about.")
        if place.get("action_id") not in (None, "", action.id):
            raise InvalidAnswerError("its `action_id` is of another action than was asked about.")


def _digest(args: JsonObject, action: Action) -> str:
    try:
        return action.with_args(args).digest
    except InvalidRequestError as error:
        raise InvalidAnswerError(error.detail) from error


def _is_as_asked(args: JsonObject, action: Action, schema: JsonObject) -> bool:
    """Whether these are the arguments that were asked about, as they were or as a form's text."""
    same = _digest(args, action) == action.digest
    return same or _digest(typed_back(args, schema), action) == action.digest


def _text(told: JsonObject, *names: str) -> str:
    return next((v for n in names if isinstance(v := told.get(n), str) and v), "")


def _list(value: Json) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _is_duration(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
