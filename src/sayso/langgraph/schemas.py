"""Edited arguments: typed back where a form made text of them, and checked.

Agent Inbox and other forms send every edited value as text. The schema of the tool's arguments
says what each was: it is given, or comes from the tool's type hints, or is what the proposed
values were.
"""

from typing import Any, cast

import msgspec
from langchain_core.tools import BaseTool

from sayso.errors import InvalidAnswerError, MissingExtraError
from sayso.gate.tools import Tool
from sayso.types import Json, JsonObject

try:
    import jsonschema_rs
except ImportError:  # pragma: no cover  the extra has it
    raise MissingExtraError("jsonschema-rs", "langgraph") from None

_BOOLEANS = {"true": True, "false": False}


def schema_of(tool: Any) -> JsonObject | None:
    """The JSON Schema of a tool's arguments, from its type hints; None if nothing tells."""
    if isinstance(tool, BaseTool):
        shape: Any = tool.tool_call_schema
        if isinstance(shape, dict):
            return cast("JsonObject", shape)
        return cast("JsonObject", shape.model_json_schema())
    try:
        return Tool(tool, {}).args_schema
    except (TypeError, ValueError):  # something whose signature Python does not know
        return None


def schema_like(args: JsonObject) -> JsonObject:
    """The schema that says of each argument that it stays what it is: the last resort."""
    return {
        "type": "object",
        "properties": {name: {"type": _kind(v)} for name, v in args.items() if v is not None},
    }


def _kind(value: Json) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def typed_back(args: JsonObject, schema: JsonObject) -> JsonObject:
    """`args` with text made what the schema says it is.

    Raises:
        InvalidAnswerError: a value cannot be that, or the arguments do not fit the schema.
    """
    typed = _typed(args, schema, schema)
    try:
        validator = jsonschema_rs.validator_for(
            schema,
            validate_formats=True,
            retriever=_fetch_nothing,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
        wrong = next(iter(validator.iter_errors(typed)), None)
    except (ValueError, TypeError, RecursionError) as error:
        why = str(error).splitlines()[0]
        raise InvalidAnswerError(
            f"The edit cannot be checked, for the tool's schema cannot be used: {why}."
        ) from error
    if wrong is not None:
        at = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in wrong.instance_path)
        raise InvalidAnswerError(
            f"The edited arguments do not fit the tool: {wrong.message} (at ${at}).",
            errors=({"at": f"${at}", "message": wrong.message},),
        )
    return typed


def _fetch_nothing(uri: str) -> Any:
    raise ValueError(f"references to other documents are not followed: {uri!r}")


def _typed(value: Json, schema: Json, root: JsonObject) -> Json:
    """`value`, or what its text says, if the schema takes that and no text."""
    told = _resolved(schema, root)
    kinds = _kinds(told, root)
    if isinstance(value, str) and kinds and "string" not in kinds:
        value = _read(value, kinds)
    if isinstance(value, dict):
        fields = cast("JsonObject", told.get("properties") or {})
        given = cast("JsonObject", value)
        return {name: _typed(v, fields.get(name), root) for name, v in given.items()}
    if isinstance(value, list):
        return [_typed(each, told.get("items"), root) for each in cast("list[Json]", value)]
    return value


def _resolved(schema: Json, root: JsonObject) -> JsonObject:
    if not isinstance(schema, dict):
        return {}
    told = cast("JsonObject", schema)
    for _ in range(20):  # a reference may lead to one, and in a circle
        reference = told.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return told
        node: Any = root
        for step in reference[2:].split("/"):
            node = cast("JsonObject", node).get(step) if isinstance(node, dict) else None
        told = cast("JsonObject", node) if isinstance(node, dict) else {}
    return {}


def _kinds(schema: JsonObject, root: JsonObject) -> set[str]:
    """The types that a schema takes; empty if it takes any, or does not say."""
    named = schema.get("type")
    if isinstance(named, str):
        return {named}
    if isinstance(named, list):
        return set(cast("list[str]", named))
    for word in ("enum", "const"):
        if word in schema:
            values = schema[word] if word == "enum" else [schema[word]]
            return {"null" if v is None else _kind(v) for v in cast("list[Json]", values)}
    found: set[str] = set()
    for word in ("anyOf", "oneOf"):
        for each in cast("list[Json]", schema.get(word) or []):
            inner = _kinds(_resolved(each, root), root)
            if not inner:
                return set()
            found |= inner
    return found


def _read(text: str, kinds: set[str]) -> Json:
    """The value that a text spells; the text itself, which then does not fit, if it spells none."""
    plain = text.strip()
    if "boolean" in kinds and plain.lower() in _BOOLEANS:
        return _BOOLEANS[plain.lower()]
    if "null" in kinds and plain.lower() in ("", "null", "none"):
        return None
    try:
        value: Json = msgspec.json.decode(plain)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text
    kind = "null" if value is None else _kind(value)
    return value if kind in kinds or (kind == "number" and "integer" in kinds) else text


def typed_text(text: str, schema: JsonObject) -> Json:
    """What a text says, if the schema wants something else than a text."""
    return _typed(text, schema, schema)
