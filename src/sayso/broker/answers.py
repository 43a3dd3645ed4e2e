"""Checks against JSON Schema: forms and arguments, as submitted and as answered."""

from typing import Any

from sayso.broker import schemas
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


def check_draft(draft: Draft) -> None:
    """Refuse schemas that no answer could be checked against.

    Raises:
        InvalidRequestError: a schema is not valid, or a form is not flat.
    """
    if draft.schema is not None:
        schemas.check_form(draft.schema)
        _validator(draft.schema, "$.schema")
    if draft.action is not None and draft.action.args_schema is not None:
        schemas.check_cost(draft.action.args_schema)
        _validator(draft.action.args_schema, "$.action.args_schema")


def check_answer(request: Request, answer: Answer) -> None:
    """Refuse edited arguments or content that do not fit what was asked for.

    Raises:
        InvalidAnswerError: with one entry in `errors` for each thing that does not fit.
    """
    if answer.type is DecisionType.EDIT and answer.args is not None and request.action is not None:
        _check_fits(
            answer.args,
            request.action.args_schema,
            "$.args",
            "The edited arguments do not fit the tool's schema",
        )
    content: object = answer.content
    if answer.type is not DecisionType.RESPOND or content is None:
        return
    if request.kind is Kind.INPUT and request.schema is not None:
        if not isinstance(content, dict):
            raise InvalidAnswerError(
                "A form is answered by an object with its fields.",
                errors=({"at": "$.content", "message": "expected an object"},),
            )
        _check_fits(answer.content, request.schema, "$.content", "The answer does not fit the form")
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
            f"{what}: {found[0]['message']} (at {found[0]['at']}).",
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
