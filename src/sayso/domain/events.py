"""What happened, append-only: one vocabulary for the log, the live stream and metrics."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from sayso.domain.accounts import DEFAULT_TENANT
from sayso.types import JsonObject


class EventType(StrEnum):
    """Every kind of event."""

    REQUEST_SUBMITTED = "request.submitted"
    REQUEST_DECIDED = "request.decided"
    REQUEST_EXPIRED = "request.expired"
    REQUEST_CANCELLED = "request.cancelled"
    REQUEST_EXTENDED = "request.extended"
    REQUEST_REMINDED = "request.reminded"
    SESSION_REGISTERED = "session.registered"
    SESSION_DEACTIVATED = "session.deactivated"


class Event(Struct, frozen=True, kw_only=True):
    """One thing that happened; `id` is its place in the log, given by the store, rising."""

    id: int = 0
    type: EventType
    at: datetime
    request_id: str | None = None
    session_id: str | None = None
    client_id: str | None = None
    actor: str
    """Who did it: `agent:ID`, `person:ID`, or `system`."""
    data: JsonObject = {}
    tenant: str = DEFAULT_TENANT
