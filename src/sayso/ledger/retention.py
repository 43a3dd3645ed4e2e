"""What may go: arguments by rule after some days, closed requests and old events by date.

Each says so in the log first, in a statement that the ledger's key signs. The blocks stay: the head
of the last one whose events are gone is what the rest hangs on.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct

from sayso import codec
from sayso.clock import Clock
from sayso.domain.blocks import Block
from sayso.domain.lifecycle import Change
from sayso.domain.redaction import Redaction, redacted
from sayso.domain.requests import Status
from sayso.errors import ConflictError
from sayso.ledger.blocks import key_id_of, record_hash
from sayso.ledger.keys import Keys
from sayso.ledger.statements import Redacted, Retired, event_of, read
from sayso.ledger.walk import block_pages, log_pages, made_at, request_pages
from sayso.stores.base import LedgerStore, RecordStore, RequestRow, Store

_RETIRED_AT_ONCE = 500

log = logging.getLogger("sayso.ledger")


class RetentionStore(Store, RecordStore, LedgerStore, Protocol):
    """What retention reads and writes."""


class Retirement(Struct, frozen=True, kw_only=True):
    """What was deleted."""

    events: int
    """Up to which number,"""
    requests: int
    """how many requests,"""
    kept: int
    """and how many stay, though their events are gone: they wait, or were closed later."""


class _Event(Struct):
    type: str
    request_id: str | None = None
    data: dict[str, object] = {}


class _Request(Struct):
    status: Status
    closed_at: datetime | None = None


_event = msgspec.json.Decoder(_Event).decode
_request = msgspec.json.Decoder(_Request).decode


async def retire(
    store: RetentionStore,
    before: datetime,
    *,
    keys: Keys,
    clock: Clock,
    actor: str = "system",
) -> Retirement:
    """Delete the events of blocks that were signed before then, and requests closed before.

    A request goes only when all its events do. One that stays though its events go is named, with
    its hash, in the statement. If this is interrupted, it can be done again.

    Args:
        store: an open store.
        before: that moment.
        keys: sign the statement.
        clock: what time it is.
        actor: who wants it.

    Raises:
        LedgerError: the key is not the ledger's.
        StoreError: the database failed.
    """
    cut = await _cut(store, before)
    start = await store.log(0, 1)
    if cut is None or not start or start[0].number > cut.last:
        return Retirement(events=0, requests=0, kept=0)
    key = keys.current()
    told, kept_before = await _bindings(store, {key.key_id: key.public} | _public(keys))
    gone: list[RequestRow] = []
    kept: dict[str, str] = {}
    for request_id, (number, hashed) in told.items():
        if number > cut.last and request_id not in kept_before:
            continue
        row = await store.request_row(request_id)
        if row is None:
            continue
        found = record_hash(row.record)
        if found == (hashed or found) and _is_closed(row, before):
            gone.append(row)
        elif number <= cut.last:
            kept[request_id] = hashed or found
    statement = Retired(
        upto=cut.last,
        head=cut.head,
        before=before.isoformat(),
        requests=len(gone),
        kept=kept,
        gone=tuple(row.id for row in gone if row.id in kept_before),
    )
    await store.put_records((), [event_of(statement, key, at=clock.now(), actor=actor)])
    for place in range(0, len(gone), _RETIRED_AT_ONCE):
        await store.retire(0, gone[place : place + _RETIRED_AT_ONCE])
    await store.retire(cut.last, ())  # last: they tell which requests are left, should we be killed
    log.info("retired %s requests, and the log up to event %s", len(gone), cut.last)
    return Retirement(events=cut.last, requests=len(gone), kept=len(kept))


async def redact(
    store: RetentionStore,
    before: datetime,
    rules: Sequence[Redaction],
    *,
    keys: Keys,
    clock: Clock,
    actor: str = "system",
) -> int:
    """Take what the rules name out of requests that were closed before then; how many.

    Args:
        store: an open store.
        before: that moment.
        rules: which arguments.
        keys: sign the statements.
        clock: what time it is.
        actor: who wants it.

    Raises:
        LedgerError: the key is not the ledger's.
        StoreError: the database failed.
    """
    if not rules:
        return 0
    changed = 0
    async for rows in request_pages(store):
        for row in rows:
            if _is_closed(row, before):
                changed += await _redact(store, row, rules, keys, clock, actor)
        if made_at(rows[-1].id) >= before:  # ids are made in the order of time
            break
    return changed


async def _redact(
    store: RetentionStore,
    row: RequestRow,
    rules: Sequence[Redaction],
    keys: Keys,
    clock: Clock,
    actor: str,
) -> bool:
    request = codec.decode_request(row.record)
    shown, paths = redacted(request, rules)
    if not paths:
        return False
    shown = msgspec.structs.replace(shown, version=request.version + 1)
    statement = Redacted(
        request_id=request.id,
        before=record_hash(row.record),
        after=record_hash(codec.encode_request(shown)),
        paths=paths,
    )
    event = event_of(
        statement,
        keys.current(),
        at=clock.now(),
        actor=actor,
        tenant=request.tenant,
        session_id=request.session_id,
        client_id=request.client_id,
        asked_by=request.requested_by.actor,
        owner=request.requested_by.owner or None,
    )
    change = Change(request=shown, expected_version=request.version, events=(event,))
    try:
        await store.commit(change)
    except ConflictError:  # an outcome was just reported: next time
        return False
    return True


async def _cut(store: LedgerStore, before: datetime) -> Block | None:
    """The last block that was signed before then."""
    limit = round(before.timestamp() * 1_000_000)
    found: Block | None = None
    async for rows in block_pages(store):
        for row in rows:
            block = codec.decode_block(row.record)
            if block.at >= limit:
                return found
            found = block
    return found


async def _bindings(
    store: LedgerStore, public: dict[str, str]
) -> tuple[dict[str, tuple[int, str]], set[str]]:
    """By request, the last event that tells its hash; and those that earlier statements kept.

    For a request of a version that told no hashes it is an empty text, and its last event.
    """
    told: dict[str, tuple[int, str]] = {}
    kept: set[str] = set()
    async for rows in log_pages(store):
        for row in rows:
            event = _event(row.record)
            if event.type == "ledger.retired":
                statement = read(event.data, public)
                if isinstance(statement, Retired):
                    kept |= set(statement.kept)
                    kept -= set(statement.gone)
                    for request_id, hashed in statement.kept.items():
                        told.setdefault(request_id, (row.number, hashed))
            elif event.request_id is not None and isinstance(event.data.get("record"), str):
                told[event.request_id] = (row.number, str(event.data["record"]))
                kept.discard(event.request_id)
            elif event.request_id is not None and not told.get(event.request_id, (0, ""))[1]:
                told[event.request_id] = (row.number, "")
    return told, kept


def _public(keys: Keys) -> dict[str, str]:
    return {key_id_of(each.public): each.public for each in keys.current().introductions}


def _is_closed(row: RequestRow, before: datetime) -> bool:
    request = _request(row.record)
    return (
        request.status is not Status.PENDING
        and request.closed_at is not None
        and request.closed_at < before
    )
