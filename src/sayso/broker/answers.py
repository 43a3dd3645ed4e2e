"""Checks against JSON Schema: forms and arguments, as submitted and as answered."""

from typing import Any

from sayso.domain.decisions import Answer, DecisionType
from sayso.domain.requests import Draft, Kind, Request
from sayso.errors import InvalidAnswerError, InvalidRequestError, MissingExtraError
from sayso.types import Json, JsonObject

try:
    import jsonschema_rs
except ImportError:  # pragma: no cover  the base install has no broker
    raise MissingExtraError("jsonschema-rs", "server") from None

MAX_ANSWER = 65_536
"""Characters in a free-text answer at the most."""
_FIELD_TYPES = ("string", "number", "integer", "boolean", "array")


def check_draft(draft: Draft) -> None:
    """Refuse schemas that no answer could be checked against.

    Raises:
        InvalidRequestError: a schema is not valid, or a form is not flat.
    """
    if draft.schema is not None:
        _check_form(draft.schema)
        _validator(draft.schema, "$.schema")
    if draft.action is not None and draft.action.args_schema is not None:
        _validator(draft.action.args_schema, "$.action.args_schema")


def check_answer(request: Request, answer: Answer) -> None:
    """Refuse edited arguments or content that do not fit what was asked for.

    Raises:
        InvalidAnswerError: with one entry in `errors` for each thing that does not fit.
    """
    if answer.type is DecisionType.EDIT and answer.args is not None and request.action is not None:
        _check_fits(answer.args, request.action.args_schema, "$.args", "The edited arguments")
    content: object = answer.content
    if answer.type is not DecisionType.RESPOND or content is None:
        return
    if request.kind is Kind.INPUT and request.schema is not None:
        if not isinstance(content, dict):
            raise InvalidAnswerError(
                "A form is answered by an object with its fields.",
                errors=({"at": "$.content", "message": "expected an object"},),
            )
        _check_fits(answer.content, request.schema, "$.content", "The answer")
    elif not isinstance(content, str) or not content.strip():
        raise InvalidAnswerError(
            "The answer must be a text that is not empty.",
            errors=({"at": "$.content", "message": "expected a text"},),
        )
    elif len(content) > MAX_ANSWER:
        raise InvalidAnswerError(f"The answer is longer than {MAX_ANSWER} characters.")


def _check_fits(value: Json, schema: JsonObject | None, at: str, what: str) -> None:
    if schema is None:
        return
    found = [
        {"at": at + _path(error.instance_path), "message": error.message}
        for error, _ in zip(_validator(schema, at).iter_errors(value), range(20), strict=False)
    ]
    if found:
        raise InvalidAnswerError(
            f"{what} do not fit the schema: {found[0]['message']} (at {found[0]['at']})."
            if what.endswith("s")
            else f"{what} does not fit the form: {found[0]['message']} (at {found[0]['at']}).",
            hint="Mend the fields that are named, and send it again.",
            errors=tuple(found),
        )


def _path(path: list[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _validator(schema: JsonObject, at: str) -> Any:
    """A validator that fetches nothing and whose patterns run in linear time."""
    try:
        return jsonschema_rs.validator_for(
            schema,
            validate_formats=True,
            retriever=_fetch_nothing,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidRequestError(
            f"This is not a JSON Schema that can be used: {reason} (at {at}).",
            errors=({"at": at, "message": reason},),
        ) from error


def _fetch_nothing(uri: str) -> Any:
    raise ValueError(f"references to other documents are not followed: {uri!r}")


def _check_form(schema: JsonObject) -> None:
    """A form is a flat object, as in MCP elicitation: fields of simple types, by name."""
    fields: Any = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(fields, dict) or not fields:
        raise _not_a_form(
            "$.schema", 'A form is {"type": "object", "properties": {...}} with fields in it.'
        )
    names: dict[str, Any] = fields  # pyright: ignore[reportUnknownVariableType]
    if len(names) > 100:
        raise _not_a_form("$.schema.properties", "A form has 100 fields at the most.")
    for name, field in names.items():
        at = f"$.schema.properties.{name}"
        if not isinstance(field, dict):
            raise _not_a_form(at, "A field is an object with a `type`.")
        described: JsonObject = field  # pyright: ignore[reportUnknownVariableType]
        kind = described.get("type")
        if "enum" not in described and "oneOf" not in described and kind not in _FIELD_TYPES:
            raise _not_a_form(at, f"A field's type is one of: {', '.join(_FIELD_TYPES)}.")
        if kind == "array" and not _is_multiple_choice(described):
            raise _not_a_form(at, "An array field is a choice of several: `items` with an `enum`.")


def _is_multiple_choice(field: JsonObject) -> bool:
    items = field.get("items")
    return isinstance(items, dict) and bool({"enum", "anyOf", "oneOf"} & items.keys())  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def _not_a_form(at: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{message} (at {at})",
        hint="Ask nested things one by one, or as text.",
        errors=({"at": at, "message": message},),
    )
