"""What the client says and hears: the fields of a submission, the requests it sends, the pages."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, cast
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from sayso.client.steps import Reply, Send
from sayso.client.tracing import current_traceparent
from sayso.codec import decode_request
from sayso.domain.actions import Action
from sayso.domain.requests import Request
from sayso.domain.traces import traceparent_of
from sayso.errors import InvalidRequestError, ServerError
from sayso.types import JsonObject

REQUESTS = "/api/v1/requests"
LARGEST_PAGE = 200

DecisionType: TypeAlias = Literal["approve", "edit", "respond", "reject", "ignore"]
T = TypeVar("T")


class Wish(TypedDict, total=False):
    """What may be said about a request besides what is run; each may be left out."""

    kind: Literal["approval", "choice", "input", "plan"] | None
    """What sort of question it is. Default: the server tells by what else is given."""
    session_id: str | None
    client_id: str | None
    options: Sequence[str | JsonObject] | None
    """Text, or objects `{"label", "value", "approves"}`."""
    schema: JsonObject | None
    """A flat JSON Schema object: the form that a person fills in."""
    timeout_seconds: float | None
    """The deadline, in seconds from now; None: there is none. Left out: the server's default, 300.
    How long this program waits is another thing: the `timeout` of `wait` and `ask`."""
    on_timeout: Literal["expire", "reject", "park"] | None
    """What silence means: that it expires (the default), is rejected, or goes on waiting without a
    deadline. Only a policy of the server can have it mean more."""
    priority: Literal["low", "normal", "high", "urgent"] | None
    metadata: JsonObject | None
    remind_every_seconds: float | None
    """Remind people this often, until it is closed. Default: not at all."""
    rule: JsonObject | None
    """How strictly to review it, at least: `approvals`, `people`, `groups`, `four_eyes`, `veto`,
    `min_strength`, `grant_seconds`."""
    callback_url: str | None
    """Told how the request ended, by a signed POST."""
    idempotency_key: str | None
    """The same key with the same content is the same request. Default: a random one."""
    traceparent: str | None
    """The span that asks, as W3C writes it, for traces to link to. Default: the current one of
    OpenTelemetry, if the program uses that."""


class Submission(Wish, total=False):
    """What may be said about a request besides its message; each may be left out."""

    action: Action | JsonObject | None
    """What runs if a person agrees: `tool_name`, `tool_args`, and as known `args_schema`,
    `risk_class` (low, medium, high), `side_effects` (a list of text) and `rationale`."""
    facts: JsonObject | None
    """What holds now; if it does not when the grant is claimed, people are asked again."""


class Filters(TypedDict, total=False):
    """Which requests to list; each may be left out."""

    status: str | Sequence[str] | None
    session_id: str | None
    client_id: str | None
    q: str | None
    """Text to search for."""
    parked: bool
    """Only what waits though its deadline is over."""


class Topics(TypedDict, total=False):
    """Which events to follow; each may be left out."""

    type: str | None
    session_id: str | None
    client_id: str | None
    request_id: str | None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some requests, newest first; `next` continues the list, None ends it."""

    items: tuple[Request, ...]
    next: str | None = None


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in."""

    id: str
    name: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened: `request.submitted`, `request.decided` and so on.

    `request` is the request as it was when the event was sent, which may be later than `at`.
    """

    id: int
    type: str  # not an enumeration: a later server may tell of more
    at: datetime
    request_id: str | None = None
    session_id: str | None = None
    client_id: str | None = None
    actor: str = ""  # who did it: `agent:ID`, `person:ID`, `system`
    request: Request | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says about itself."""

    status: str
    service: str = ""
    version: str = ""


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a one-time link token."""

    token: str
    user: Person


class _RawPage(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw]
    next: str | None = None


def submit(message: str, idempotency_key: str, fields: JsonObject) -> Send:
    """Ask. Fields that are None are left out, except `timeout_seconds`: there it says something."""
    unknown = fields.keys() - Submission.__annotations__.keys()
    if unknown:
        raise TypeError(f"submit() got an unexpected keyword argument {min(unknown)!r}")
    if not (idempotency_key.isascii() and idempotency_key.isprintable()):
        raise InvalidRequestError(
            f"The idempotency key {idempotency_key!r} cannot go into an HTTP header.",
            hint="Use printable ASCII characters.",
        )
    body = {
        name: value
        for name, value in fields.items()
        if value is not None or name == "timeout_seconds"
    }
    headers = [("Idempotency-Key", idempotency_key)]
    traceparent = body.pop("traceparent", None) or current_traceparent()
    if traceparent is not None:
        if traceparent_of(traceparent) is UNSET:
            raise InvalidRequestError(
                f"{traceparent!r} is no traceparent.",
                hint="It is written 00-TRACE-SPAN-FLAGS: 32, 16 and 2 digits, in lower-case hex.",
            )
        headers.append(("traceparent", traceparent))
    return Send(
        method="POST",
        path=REQUESTS,
        headers=tuple(headers),
        content=encode({"message": message, **body}),
    )


def get(request_id: str, wait: float | None = None) -> Send:
    """Read one request; with `wait`, the server may take so many seconds until it is decided."""
    if wait is None:
        return Send(method="GET", path=_path(request_id))
    return Send(
        method="GET", path=_path(request_id), params=(("wait", f"{wait:.3f}"),), patience=wait
    )


def page(status: str | Sequence[str] | None, params: JsonObject) -> Send:
    """Read one page of the list."""
    statuses = [status] if isinstance(status, str) else status or []
    query = [("status", each) for each in statuses]
    query += [(name, str(value)) for name, value in params.items() if value is not None]
    return Send(method="GET", path=REQUESTS, params=tuple(query))


Verb: TypeAlias = Literal["cancel", "decision", "extend", "claim", "outcome", "reopen"]


def post(request_id: str, verb: Verb, body: JsonObject) -> Send:
    """Change one request."""
    return Send(method="POST", path=f"{_path(request_id)}/{verb}", content=encode(body))


def read_page(reply: Reply) -> Page:
    """The page in an answer."""
    raw = decode(reply, _RawPage)
    return Page(items=tuple(_request(bytes(item)) for item in raw.items), next=raw.next)


def encode(body: JsonObject | msgspec.Struct) -> bytes:
    """The body as JSON.

    Raises:
        InvalidRequestError: something in it has no JSON form.
    """
    try:
        if _has_no_json_form(body):
            raise ValueError("NaN and infinities are no numbers in JSON")
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequestError(f"This cannot be written as JSON: {error}.") from error


def _has_no_json_form(value: Any) -> bool:
    """Whether there is a NaN or an infinity in it, which the encoder would write as null."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_no_json_form, cast("JsonObject", value).values()))
    if isinstance(value, list | tuple):
        return any(map(_has_no_json_form, cast("Sequence[Any]", value)))
    return isinstance(value, msgspec.Struct) and _has_no_json_form(msgspec.to_builtins(value))


def decode(reply: Reply, record: type[T]) -> T:
    """The record in an answer; unknown members are ignored.

    Raises:
        ServerError: it is not there.
    """
    try:
        return msgspec.json.decode(reply.content, type=record)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise unreadable() from error


def read_request(reply: Reply) -> Request:
    """The request in an answer.

    Raises:
        ServerError: it is not there.
    """
    return _request(reply.content)


def unreadable() -> ServerError:
    """The error for an answer that is none of ours."""
    return ServerError(
        "The server's answer cannot be read.",
        hint="Is the address that of a Sayso server, and of this version?",
    )


def _request(content: bytes) -> Request:
    try:
        return decode_request(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise unreadable() from error


def _path(request_id: Any) -> str:
    if not isinstance(request_id, str) or not request_id:
        raise InvalidRequestError(f"{request_id!r} is not a request id.")
    return f"{REQUESTS}/{quote(request_id, safe='')}"
