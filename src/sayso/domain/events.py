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
    REQUEST_VOTED = "request.voted"
    REQUEST_ESCALATED = "request.escalated"
    REQUEST_PARKED = "request.parked"
    REQUEST_REOPENED = "request.reopened"
    GRANT_CLAIMED = "grant.claimed"
    GRANT_REFUSED = "grant.refused"
    GRANT_ENDED = "grant.ended"
    OUTCOME_REPORTED = "outcome.reported"
    STANDING_GIVEN = "standing.given"
    STANDING_USED = "standing.used"
    STANDING_REVOKED = "standing.revoked"
    USER_ADDED = "user.added"
    USER_CHANGED = "user.changed"
    USER_SIGNED_IN = "user.signed_in"
    SIGN_IN_REFUSED = "user.sign_in_refused"
    SESSION_ENDED = "user.session_ended"
    KEY_ADDED = "key.added"
    KEY_REVOKED = "key.revoked"
    GROUP_CHANGED = "group.changed"
    POLICY_CHANGED = "policy.changed"
    RULE_CHANGED = "rule.changed"
    PASSKEY_ADDED = "passkey.added"
    PASSKEY_REMOVED = "passkey.removed"
    STOP_SET = "stop.set"
    STOP_LIFTED = "stop.lifted"
    RECORDS_REDACTED = "ledger.redacted"
    RECORDS_RETIRED = "ledger.retired"
    ROLLBACK_ACCEPTED = "ledger.rollback_accepted"
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
    asked_by: str | None = None
    """The actor whose request it is about: others may not see it,"""
    owner: str | None = None
    """but for the person whose agent that is, and those who may read everything."""
    actor: str
    """Who did it: `agent:ID`, `person:ID`, or `system`."""
    data: JsonObject = {}
    tenant: str = DEFAULT_TENANT
