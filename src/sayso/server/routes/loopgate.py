"""The wire of Loopgate, so that programs written for it run unmodified.

Where the original was wrong ours differs, and a test says so: refusing words do not approve, the
first answer stands, timeouts are kept.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from sayso.domain.decisions import DecisionType
from sayso.domain.requests import (
    Draft,
    Kind,
    Label,
    Message,
    Metadata,
    Options,
    Request,
    Status,
)
from sayso.errors import InvalidRequestError
from sayso.server.http import Call, Reply, json_reply
from sayso.server.openapi import Parameter
from sayso.stores.base import Query
from sayso.types import JsonObject

REQUEST = (Parameter("request_id", "The request."),)
SESSION = (Parameter("session_id", "The session."),)
MAX_PENDING = 1_000
"""Requests that `/hitl/pending` lists at the most, newest first."""

_KINDS = {"confirmation": Kind.APPROVAL, "input": Kind.INPUT, "choice": Kind.CHOICE}
_TYPES = {kind: name for name, kind in _KINDS.items()} | {Kind.PLAN: "confirmation"}
_STATUSES = {
    Status.PENDING: "pending",
    Status.APPROVED: "completed",
    Status.REJECTED: "completed",
    Status.ANSWERED: "completed",
    Status.EXPIRED: "timeout",
    Status.CANCELLED: "canceled",
}


class Registration(Struct, frozen=True, kw_only=True):
    """A session to register."""

    session_id: Label
    client_id: Label
    telegram_id: int | None = None


class SessionName(Struct, frozen=True, kw_only=True):
    """A session that is meant."""

    session_id: Label


class RequestName(Struct, frozen=True, kw_only=True):
    """A request that is meant."""

    request_id: str


class Submission(Struct, frozen=True, kw_only=True):
    """A question, as Loopgate's programs send it."""

    session_id: Label
    client_id: Label
    message: Message
    request_type: Literal["confirmation", "input", "choice", ""] | None = None
    options: Options | None = None
    timeout_seconds: Annotated[float, Meta(ge=0, le=31_622_400)] | None = None
    callback_url: Annotated[str, Meta(max_length=2_048, pattern=r"^(https?://[^\s]+)?$")] | None = (
        None
    )
    metadata: Metadata | None = None


class Registered(Struct, frozen=True, kw_only=True):
    """A session is registered."""

    success: bool = True
    session_id: str
    message: str


class Submitted(Struct, frozen=True, kw_only=True):
    """A question is kept."""

    success: bool = True
    request_id: str
    status: str
    created_at: datetime


class SessionStatus(Struct, frozen=True, kw_only=True):
    """A session as it stands."""

    id: str
    client_id: str
    telegram_id: int | None
    active: bool
    created_at: datetime


class Poll(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a question stands; `response`, `metadata` and `timestamp` once it is decided."""

    request_id: str
    status: str
    completed: bool
    approved: bool
    response: str | UnsetType = UNSET
    metadata: JsonObject | UnsetType = UNSET
    timestamp: datetime | UnsetType = UNSET


class Listed(Struct, frozen=True, kw_only=True):
    """A question in the list of what waits."""

    id: str
    session_id: str
    client_id: str
    message: str
    request_type: str
    options: tuple[str, ...]
    timeout_seconds: float
    callback_url: str
    metadata: JsonObject
    status: str
    response: str
    approved: bool
    created_at: datetime
    responded_at: datetime | None


class PendingList(Struct, frozen=True, kw_only=True):
    """What waits for a person, newest first."""

    pending_requests: tuple[Listed, ...]
    count: int


class Success(Struct, frozen=True, kw_only=True):
    """Done."""

    success: bool = True
    message: str


async def register(call: Call) -> Reply:
    """Register a session, or replace it."""
    body = call.decode(Registration)
    await call.server.broker.sessions.register(
        body.session_id, body.client_id, telegram_id=body.telegram_id, by=call.principal
    )
    return json_reply(200, Registered(session_id=body.session_id, message="Session registered."))


async def submit(call: Call) -> Reply:
    """Ask people; returns at once."""
    body = call.decode(Submission)
    await call.server.broker.sessions.get(body.session_id, by=call.principal)
    done = await call.server.broker.submit(
        _draft(body), by=call.principal, any_callback=True, traceparent=call.traceparent
    )
    request = done.request
    return json_reply(
        200, Submitted(request_id=request.id, status="pending", created_at=request.created_at)
    )


async def poll(call: Call) -> Reply:
    """Ask whether it is decided."""
    request = await call.server.broker.get(_parameter(call, "request_id"), by=call.principal)
    decision = request.decision
    reply = Poll(
        request_id=request.id,
        status=_STATUSES[request.status],
        completed=request.is_terminal,
        approved=request.approved,
        response=UNSET if decision is None else response_of(request),
        metadata=UNSET if decision is None else request.metadata,
        timestamp=UNSET if decision is None else decision.decided_at or UNSET,
    )
    return json_reply(200, reply)


async def status(call: Call) -> Reply:
    """Read a session."""
    session = await call.server.broker.sessions.get(
        _parameter(call, "session_id"), by=call.principal
    )
    return json_reply(
        200,
        SessionStatus(
            id=session.id,
            client_id=session.client_id,
            telegram_id=session.telegram_id,
            active=session.active,
            created_at=session.created_at,
        ),
    )


async def deactivate(call: Call) -> Reply:
    """Close a session."""
    body = call.decode(SessionName)
    await call.server.broker.sessions.deactivate(body.session_id, by=call.principal)
    return json_reply(200, Success(message="Session deactivated."))


async def pending(call: Call) -> Reply:
    """List what waits for a person."""
    page = await call.server.broker.find(
        Query(
            tenant=call.principal.tenant,
            seen_by=call.seen_by,
            status=frozenset({Status.PENDING}),
            limit=MAX_PENDING,
        )
    )
    requests = tuple(_listed(request) for request in page.items)
    return json_reply(200, PendingList(pending_requests=requests, count=len(requests)))


async def cancel(call: Call) -> Reply:
    """Take a question back."""
    body = call.decode(RequestName)
    await call.server.broker.cancel(body.request_id, by=call.principal)
    return json_reply(200, Success(message="Request cancelled."))


def response_of(request: Request) -> str:
    """What the person said, as one text: the option, the answer, the reason, or the bare word."""
    decision = request.decision
    if decision is None:
        return ""
    if decision.option is not None:
        option = request.option(decision.option)
        return option.label if option is not None else decision.option
    if decision.type is DecisionType.RESPOND:
        content = decision.content
        return content if isinstance(content, str) else msgspec.json.encode(content).decode()
    return decision.reason or ("Approved" if decision.approved else "Rejected")


def _draft(body: Submission) -> Draft:
    kind = _KINDS.get(body.request_type or "")
    if kind is None:
        kind = Kind.CHOICE if body.options else Kind.INPUT
    return Draft(
        message=body.message,
        kind=kind,
        session_id=body.session_id,
        client_id=body.client_id,
        options=body.options or [],
        metadata=body.metadata or {},
        timeout_seconds=body.timeout_seconds or UNSET,
        callback_url=body.callback_url or None,
    )


def _listed(request: Request) -> Listed:
    timeout = 0.0
    if request.deadline_at is not None:
        timeout = (request.deadline_at - request.created_at).total_seconds()
    return Listed(
        id=request.id,
        session_id=request.session_id or "",
        client_id=request.client_id or "",
        message=request.message,
        request_type=_TYPES[request.kind],
        options=tuple(option.label for option in request.options),
        timeout_seconds=timeout,
        callback_url=request.callback_url or "",
        metadata=request.metadata,
        status=_STATUSES[request.status],
        response=response_of(request),
        approved=request.approved,
        created_at=request.created_at,
        responded_at=request.closed_at,
    )


def _parameter(call: Call, name: str) -> str:
    value = call.one(name)
    if not value:
        raise InvalidRequestError(
            f"The parameter {name!r} is missing.", hint=f"Add ?{name}=... to the address."
        )
    return value
