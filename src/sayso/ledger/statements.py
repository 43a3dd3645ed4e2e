"""What is said in the log about the log itself, signed by its key: redaction and retirement."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from sayso.domain.events import Event, EventType
from sayso.ledger.blocks import told_statement
from sayso.ledger.keys import SigningKey, fits


class Redacted(Struct, frozen=True, kw_only=True, tag_field="kind", tag="redacted"):
    """Values were taken out of a request."""

    request_id: str
    before: str
    """The request's hash before that,"""
    after: str
    """and since."""
    paths: tuple[str, ...]
    """What says `[redacted]` now, as JSON pointers into the request."""


class Retired(Struct, frozen=True, kw_only=True, tag_field="kind", tag="retired"):
    """Events and closed requests were deleted."""

    upto: int
    """The number of the last event that was: the last of a block,"""
    head: str
    """whose head this is."""
    before: str
    """The day that was asked for."""
    requests: int
    """How many requests were deleted."""
    kept: dict[str, str] = {}
    """Hashes of requests that stay, though the events that told them are gone."""
    gone: tuple[str, ...] = ()
    """Of those that earlier statements kept, the ones that do not stay any longer."""


Statement = Redacted | Retired
_decoder = msgspec.json.Decoder(Statement)


class _Signed(Struct, frozen=True):
    statement: str
    key_id: str
    signature: str


def event_of(
    statement: Statement, key: SigningKey, *, at: datetime, actor: str, **fields: Any
) -> Event:
    """The event that tells of it, signed."""
    text = msgspec.json.encode(statement).decode()
    data: dict[str, Any] = {
        "statement": text,
        "key_id": key.key_id,
        "signature": key.sign(told_statement(text)),
    }
    if isinstance(statement, Redacted):
        kind = EventType.RECORDS_REDACTED
        data["record"] = statement.after
        fields["request_id"] = statement.request_id
    else:
        kind = EventType.RECORDS_RETIRED
    return Event(type=kind, at=at, actor=actor, data=data, **fields)


def read(data: dict[str, Any], keys: dict[str, str]) -> Statement | None:
    """The statement in an event's data; None if it is not signed by one of `keys`.

    Args:
        data: of an event of one of the two types.
        keys: public keys by id.
    """
    try:
        signed = msgspec.convert(data, _Signed)
        public = keys[signed.key_id]
        if not fits(public, signed.signature, told_statement(signed.statement)):
            return None
        return _decoder.decode(signed.statement)
    except (msgspec.MsgspecError, KeyError):
        return None
