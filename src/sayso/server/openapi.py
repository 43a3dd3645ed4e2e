"""The OpenAPI document, made from the route table and the records themselves."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct

from sayso.errors import HTTP_STATUS, PRECISE_CODES
from sayso.version import __version__

EVENT_STREAM = "text/event-stream"


class Parameter(Struct, frozen=True):
    """A query parameter or header."""

    name: str
    help: str
    type: str = "string"
    where: str = "query"


class Problem(Struct, frozen=True, kw_only=True):
    """An error (RFC 9457): what happened, and the way out."""

    type: str
    title: str
    status: int
    code: str
    """By this word programs tell errors apart."""
    detail: str
    hint: str | None = None
    errors: list[dict[str, str]] | None = None
    """Where in the input it is wrong: `at` and `message`."""
    request: dict[str, Any] | None = None
    """The request as it stands, when it was decided already."""


class Operation(Struct, frozen=True, kw_only=True):
    """What the document says of one route."""

    method: str
    path: str
    group: str
    summary: str
    person_only: bool = False
    takes: type[Struct] | None = None
    returns: type[Struct] | None = None
    media: str = "application/json"
    statuses: Sequence[int] = (200,)
    parameters: Sequence[Parameter] = ()


KEY = (
    Parameter("Idempotency-Key", "The same key and body return the same request.", where="header"),
)
WAIT = (Parameter("wait", "Hold the reply until it is decided, up to 60 seconds.", "number"),)
FILTERS = (
    Parameter("status", "One or several statuses, by commas."),
    Parameter("session_id", "Only of this session."),
    Parameter("client_id", "Only of this client."),
    Parameter("parked", "`true`: only what waits though its deadline is over.", "boolean"),
    Parameter("q", "A text in the message, the arguments or the answer."),
    Parameter("idempotency_key", "The one that the caller submitted under this key; nothing else."),
    Parameter("limit", "1 to 200; 50 if absent.", "integer"),
    Parameter("after", "The `next` of the page before."),
)
TENANT = (Parameter("tenant", "Of another tenant; for whoever runs the server."),)
DELIVERIES = (
    Parameter("state", "`waiting`, `running`, `done` or `dead`."),
    Parameter("limit", "1 to 200; 50 if absent.", "integer"),
    Parameter("after", "The `next` of the page before."),
)
ALL_DELIVERIES = (
    *DELIVERIES,
    Parameter("request_id", "Only of this request."),
    Parameter("webhook_id", "Only to this subscription."),
)
ALL = (Parameter("all", "`true`: those of everybody; for admins.", "boolean"),)
WHOSE = (Parameter("user_id", "Those of somebody else; for admins."),)
FEED = (
    Parameter("after", "Begin after the event of this id; absent: with what happens from now."),
    Parameter("Last-Event-ID", "The same, as browsers send it.", where="header"),
    Parameter("type", "One or several types, by commas."),
    Parameter("request_id", "Only of this request."),
    Parameter("session_id", "Only of this session."),
    Parameter("client_id", "Only of this client."),
)


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """The whole document."""
    records = {o.takes for o in operations} | {o.returns for o in operations} | {Problem}
    named = sorted((r for r in records if r is not None), key=lambda record: record.__name__)
    references, components = msgspec.json.schema_components(
        named, ref_template="#/components/schemas/{name}"
    )
    schemas = dict(zip(named, references, strict=True))
    paths: dict[str, Any] = {}
    for operation in operations:
        entry = paths.setdefault(operation.path, {})
        entry[operation.method.lower()] = _entry(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sayso",
            "version": __version__,
            "summary": "The approval layer for AI agents.",
            "description": "Besides what is listed here, `WS /api/v1/stream` carries many submits,"
            " waits and decisions of one caller over one WebSocket.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": name} for name in dict.fromkeys(o.group for o in operations)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "sayso_session_PORT",
                    "description": "Set by the sign-in link; PORT is the server's.",
                },
            },
        },
        "x-errors": [
            {"code": error.code, "status": status, "meaning": (error.__doc__ or "").split("\n")[0]}
            for error, status in HTTP_STATUS.items()
        ]
        + [
            {"code": code, "status": HTTP_STATUS[error], "meaning": meaning}
            for code, (error, meaning) in PRECISE_CODES.items()
        ],
    }


def _entry(operation: Operation, schemas: dict[type[Struct], Any]) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", operation.path)
    entry: dict[str, Any] = {
        "tags": [operation.group],
        "summary": operation.summary,
        "operationId": _operation_id(operation),
        "parameters": [
            {"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names
        ]
        + [
            {"name": p.name, "in": p.where, "description": p.help, "schema": {"type": p.type}}
            for p in operation.parameters
        ],
        "responses": {
            str(status): _response(operation, status, schemas) for status in operation.statuses
        }
        | {
            "default": {
                "description": "An error; its `code` and `status` tell which.",
                "content": {"application/problem+json": {"schema": schemas[Problem]}},
            }
        },
    }
    if operation.takes is not None:
        body = {"application/json": {"schema": schemas[operation.takes]}}
        entry["requestBody"] = {"required": True, "content": body}
    if operation.person_only:
        entry["security"] = [{"bearer": []}, {"cookie": []}]
    return entry


def _response(
    operation: Operation, status: int, schemas: dict[type[Struct], Any]
) -> dict[str, Any]:
    reply: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if operation.returns is not None:
        reply["content"] = {operation.media: {"schema": schemas[operation.returns]}}
    elif operation.media != "application/json":
        reply["content"] = {operation.media: {"schema": {"type": "string"}}}
    return reply


def _operation_id(operation: Operation) -> str:
    words = re.findall(r"\w+", operation.path.replace("/api/v1", ""))
    return "_".join([operation.method.lower(), *words])
