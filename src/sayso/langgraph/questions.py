"""What an interrupt of any graph asks, as requests of a server; and their decisions as its answer.

Known are Agent Inbox's payloads and those of LangChain's `HumanInTheLoopMiddleware`, batched and
per call. Anything else is asked as a text, or as the form that its `response_schema` describes.
"""

from typing import Any, cast

import msgspec
from langgraph.types import Interrupt
from msgspec import UNSET, Struct, UnsetType

from sayso.domain.actions import Action
from sayso.domain.decisions import DecisionType
from sayso.domain.requests import ASKERS_CHOICES, Request, Status
from sayso.domain.traces import traceparent_of
from sayso.errors import InvalidAnswerError, InvalidRequestError
from sayso.langgraph.schemas import typed_text
from sayso.langgraph.state import action_of, plain
from sayso.types import Json, JsonObject

APPROVE, EDIT, RESPOND = DecisionType.APPROVE, DecisionType.EDIT, DecisionType.RESPOND
REJECT, IGNORE = DecisionType.REJECT, DecisionType.IGNORE

_FLAGS = {
    "allow_accept": APPROVE,
    "allow_edit": EDIT,
    "allow_respond": RESPOND,
    "allow_ignore": IGNORE,
}
_LONGEST = 16_000
"""Characters of a message; a longer one stands in the metadata."""
_FIELD_TYPES = frozenset({"string", "number", "integer", "boolean"})


class Question(Struct, frozen=True, kw_only=True):
    """One thing to ask a person."""

    message: str
    allowed: frozenset[DecisionType]
    """Which answers the graph takes."""
    action: Action | None = None
    schema: JsonObject | None = None
    """Of the answer, where it is no decision about an action."""
    metadata: JsonObject = {}
    verdict: JsonObject = {}
    """What a policy of ours said when it had this asked."""
    traceparent: str | UnsetType = UNSET
    """The span of the graph that asks, where a gate of ours told it."""

    def fields(self) -> JsonObject:
        """What to submit besides the message."""
        answers = sorted(each.value for each in self.allowed)
        metadata = {**self.metadata, "answers": ", ".join(answers)} if answers else self.metadata
        fields: JsonObject = {"metadata": metadata}
        if self.traceparent is not UNSET:
            fields["traceparent"] = self.traceparent
        review, silence = self.verdict.get("review"), self.verdict.get("on_timeout")
        if isinstance(review, dict):
            fields["rule"] = {**cast("JsonObject", review), "names": []}
        if "timeout_seconds" in self.verdict:  # None: for ever
            fields["timeout_seconds"] = self.verdict["timeout_seconds"]
        if silence in ASKERS_CHOICES:  # else it is for the server's own policy
            fields["on_timeout"] = silence
        if self.action is not None and self.allowed & {APPROVE, EDIT}:
            return {**fields, "kind": "approval", "action": self._shown()}
        told = {} if self.action is None else {"action": plain(self.action)}
        fields["metadata"] = {**metadata, **told}
        if self.schema is not None and _is_form(self.schema):
            fields["schema"] = self.schema
        return {**fields, "kind": "input"}

    def _shown(self) -> Action:
        """The action; where no edit is taken, its schema lets nothing else through."""
        assert self.action is not None  # noqa: S101  asked above
        if EDIT in self.allowed:
            return self.action
        return msgspec.structs.replace(self.action, args_schema={"const": self.action.tool_args})


class Said(Struct, frozen=True, kw_only=True):
    """What a person said, in terms of what the graph takes."""

    type: DecisionType
    action: Action | None = None
    text: str = ""
    content: Json = None
    request: Request


class Asked(Struct, frozen=True, kw_only=True):
    """An interrupt, taken apart."""

    id: str
    form: str
    """`inbox`, `batched`, `per_call` or `other`."""
    questions: tuple[Question, ...]


def asked_by(interrupt: Interrupt) -> Asked:
    """What an interrupt asks."""
    value: Any = plain(interrupt.value)
    schema = cast("JsonObject | None", plain(interrupt.response_schema))
    items = cast("list[Any]", value if isinstance(value, list) else [value])
    named = cast("JsonObject", value)
    try:
        if items and all(_has(each, "action_request", "config") for each in items):
            questions, form = [_inbox(each) for each in items], "inbox"
        elif _has(value, "action_requests", "review_configs"):
            questions, form = _batched(named), "batched"
        elif _has(value, "name", "args") and named.get("type") == "tool_approval":
            questions, form = [_per_call(named, schema or {})], "per_call"
        else:
            questions, form = [_other(value, schema)], "other"
    except (InvalidRequestError, KeyError, TypeError, AttributeError):
        questions, form = [_other(value, schema)], "other"  # it only looks like one
    return Asked(id=interrupt.id, form=form, questions=tuple(questions))


def answer_to(asked: Asked, requests: list[Request]) -> Json:
    """What to resume the interrupt with, when all its requests are decided.

    Raises:
        InvalidAnswerError: the graph takes nothing that says what people said, such as a
            rejection of a question that nobody knows the answers to.
    """
    pairs = zip(asked.questions, requests, strict=True)
    said = [said_to(question, request) for question, request in pairs]
    match asked.form:
        case "inbox":
            return [_for_inbox(q, s) for q, s in zip(asked.questions, said, strict=True)]
        case "batched":
            return {"decisions": [_for_langchain(each) for each in said]}
        case "per_call":
            return _for_langchain(said[0])
        case _:
            return said[0].content


def said_to(question: Question, request: Request) -> Said:
    """What people said to `question`; silence and withdrawal are rejections.

    Raises:
        InvalidAnswerError: the graph does not take it, nor anything that stands for it.
    """
    said = _read(question, request)
    allowed = question.allowed
    if not allowed or said.type in allowed:
        if said.type is REJECT and not allowed:
            raise _untold(request)
        return said
    stand_ins = {
        APPROVE: (EDIT,),  # with the arguments as they were
        EDIT: (),
        RESPOND: (REJECT, IGNORE),  # the text is the reason
        REJECT: (RESPOND, IGNORE) if said.text else (IGNORE, RESPOND),
    }
    for kind in stand_ins.get(said.type, ()):
        if kind in allowed:
            text = said.text or "Rejected, without a reason."
            return msgspec.structs.replace(said, type=kind, text=text)
    raise _untold(request)


def _untold(request: Request) -> InvalidAnswerError:
    return InvalidAnswerError(
        f"The request {request.id} is {request.status.value}, and the graph takes no answer that"
        " says so; the thread stays as it is.",
        hint="Resume it by hand, or give Bridge a function `answer` that knows what to send.",
    )


def _read(question: Question, request: Request) -> Said:
    decision = request.decision
    if request.status is Status.APPROVED and question.action is not None:
        assert request.action is not None  # noqa: S101  it was submitted with one
        args = request.arguments or {}
        edited = args != question.action.tool_args
        kind, action = EDIT if edited else APPROVE, question.action.with_args(args)
        return Said(type=kind, action=action, text=request.reason, request=request)
    if request.status is Status.ANSWERED and decision is not None:
        content = decision.content
        text = content if isinstance(content, str) else msgspec.json.encode(content).decode()
        if question.schema is not None and isinstance(content, str):
            content = typed_text(content, question.schema)
        return Said(type=RESPOND, text=text, content=content, request=request)
    return Said(type=REJECT, text=request.reason, request=request)


def _for_inbox(question: Question, said: Said) -> JsonObject:
    """An answer as Agent Inbox sends it, and beside it all that its schema has no place for."""
    decision = said.request.decision
    told: JsonObject = {"request_id": said.request.id, "status": said.request.status.value}
    if decision is not None:
        told |= {
            "type": decision.type.value,
            "decided_by": decision.decided_by,
            "latency_ms": decision.latency_ms,
            "reason": decision.reason,
        }
    else:
        told |= {"type": "reject", "decided_by": f"system:{told['status']}", "reason": said.text}
    kind, args = said.type.value, None
    match said.type:
        case DecisionType.APPROVE:
            kind = "accept"
        case DecisionType.EDIT:
            action = said.action or question.action
            assert action is not None  # noqa: S101  what is asked for Agent Inbox has one
            args = {"action": action.tool_name, "args": action.tool_args}
        case DecisionType.RESPOND:
            kind, args = "response", said.text
        case _:
            kind = "ignore"
    return {"type": kind, "args": args, "sayso": told}


def _for_langchain(said: Said) -> JsonObject:
    match said.type:
        case DecisionType.APPROVE:
            return {"type": "approve"}
        case DecisionType.EDIT:
            assert said.action is not None  # noqa: S101  what is edited is one
            edited = {"name": said.action.tool_name, "args": said.action.tool_args}
            return {"type": "edit", "edited_action": edited}
        case DecisionType.RESPOND:
            return {"type": "respond", "message": said.text}
        case _:
            return {"type": "reject", **({"message": said.text} if said.text else {})}


def _inbox(item: JsonObject) -> Question:
    request, config = item["action_request"], item["config"]
    allowed = {kind for flag, kind in _FLAGS.items() if config.get(flag) is True}
    if IGNORE in allowed and "sayso" in item:
        allowed.add(REJECT)  # our gates tell the two apart
    action = action_of({"tool_name": request["action"], "tool_args": request.get("args") or {}})
    ours: JsonObject = item.get("sayso") or {}
    known = action_of(ours.get("action"))
    if known is not None and action is not None and known.digest == action.digest:
        action = known  # the same, with its risk, its schema, and why
    message = item.get("description") or f"May {request['action']} run?"
    return Question(
        message=_short(message),
        allowed=frozenset(allowed),
        action=action,
        verdict=ours.get("verdict") or {},
        traceparent=traceparent_of(str(ours.get("traceparent"))),
    )


def _batched(value: JsonObject) -> list[Question]:
    configs = {config["action_name"]: config for config in value["review_configs"]}
    return [_tool_call(each, configs[each["name"]]) for each in value["action_requests"]]


def _tool_call(call: JsonObject, config: JsonObject) -> Question:
    schema = config.get("args_schema")
    told: JsonObject = {"tool_name": call["name"], "tool_args": call["args"], "args_schema": schema}
    if call.get("tool_call_id"):
        told["id"] = call["tool_call_id"]
    return Question(
        message=_short(call.get("description") or f"May {call['name']} run?"),
        allowed=frozenset(DecisionType(each) for each in config["allowed_decisions"]),
        action=action_of(told),
    )


def _per_call(value: JsonObject, schema: JsonObject) -> Question:
    """A call by itself: its response schema says which decisions are taken, and of what shape."""
    branches = [schema, *schema.get("oneOf", []), *schema.get("anyOf", [])]
    allowed: list[str] = []
    args_schema: JsonObject | None = None
    for branch in (_followed(each, schema) for each in branches):
        said = branch.get("properties", {}).get("type", {}).get("const")
        if said is None:
            continue
        allowed.append(said)
        if said == "edit":
            edited = _followed(branch["properties"]["edited_action"], schema)
            args_schema = {**_followed(edited["properties"]["args"], schema)}
            if "$defs" in schema:
                args_schema["$defs"] = schema["$defs"]
    if not allowed:
        raise InvalidRequestError("The schema names no decision.")
    return _tool_call(value, {"allowed_decisions": allowed, "args_schema": args_schema})


def _followed(schema: JsonObject, root: JsonObject) -> JsonObject:
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    return root["$defs"][name] if name else schema


def _other(value: Any, schema: JsonObject | None) -> Question:
    text = value if isinstance(value, str) else ""
    if isinstance(value, dict):
        told = cast("JsonObject", value)
        named = (told.get(n) for n in ("question", "message", "description", "query"))
        text = next((each for each in named if isinstance(each, str) and each), "")
    shown: JsonObject = {} if isinstance(value, str) else {"value": value}
    message = text or f"The graph asks: {msgspec.json.encode(value).decode()}"
    return Question(message=_short(message), allowed=frozenset(), schema=schema, metadata=shown)


def _short(message: str) -> str:
    return message if len(message) <= _LONGEST else message[:_LONGEST] + " ..."


def _has(value: Any, *names: str) -> bool:
    keys: set[str] = set(cast("JsonObject", value)) if isinstance(value, dict) else set()
    return keys.issuperset(names)


def _is_form(schema: JsonObject) -> bool:
    """Whether a schema is a flat object, which the inbox shows as a form."""
    fields: Any = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(fields, dict) or not fields:
        return False
    kinds = [each.get("type") for each in cast("dict[str, JsonObject]", fields).values()]
    return all(kind in _FIELD_TYPES for kind in kinds)
