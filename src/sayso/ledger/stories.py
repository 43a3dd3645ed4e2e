"""One request's story with its proof: events, hashes, blocks, signatures."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
from msgspec import Struct

from sayso import codec
from sayso.domain.blocks import Block
from sayso.domain.events import Event
from sayso.errors import NotFoundError
from sayso.ledger.blocks import HASH_BYTES, chained, leaf_of, record_hash
from sayso.ledger.walk import log_pages, made_at
from sayso.stores.base import LedgerReader, LogRow

_SKEW = timedelta(minutes=10)
"""How far the clocks of those that make ids may be from the one that signs blocks."""


class Told(Struct, frozen=True, kw_only=True):
    """One event of it."""

    event: Event
    hash: str
    """SHA-256 of the event as it is stored, in hexadecimal."""
    chain: str | None
    """The chain's hash after it; None while no block covers it."""
    block: int | None
    """The block that signs it."""
    fits: bool | None
    """Whether it is the one that the block has signed; None while there is none."""


class Story(Struct, frozen=True, kw_only=True):
    """All events of one request, with their place in the ledger."""

    request_id: str
    record: str
    """The hash of the request as it is stored now."""
    bound: bool
    """Whether the last of its events tells that hash."""
    events: tuple[Told, ...]
    blocks: tuple[Block, ...]
    """The heads of the blocks that they are in."""


async def story_of(store: LedgerReader, tenant: str, request_id: str) -> Story:
    """The story of a request.

    Raises:
        NotFoundError: there is no such request in this tenant.
        StoreError: the database failed.
    """
    row = await store.request_row(request_id)
    if row is None or row.tenant != tenant:
        raise NotFoundError(
            f"There is no request {request_id!r}.", hint="It may have been retired."
        )
    rows = await _rows_of(store, request_id)
    blocks: dict[int, Block] = {}
    told: list[Told] = []
    for each in rows:
        event = msgspec.structs.replace(codec.decode_event(each.record), id=each.number)
        block = next((b for b in blocks.values() if b.first <= each.number <= b.last), None)
        if block is None:
            block = await store.find_block(each.number)
            if block is not None:
                blocks[block.number] = block
        told.append(_told(event, each, block))
    now = record_hash(row.record)
    last = [t.event.data["record"] for t in told if "record" in t.event.data]
    return Story(
        request_id=request_id,
        record=now,
        bound=bool(last) and last[-1] == now,
        events=tuple(told),
        blocks=tuple(msgspec.structs.replace(b, hashes=b"") for b in blocks.values()),
    )


def _told(event: Event, row: LogRow, block: Block | None) -> Told:
    leaf = leaf_of(row.record)
    chain: bytes | None = None
    is_it: bool | None = None
    if block is not None:
        end = HASH_BYTES * (row.number - block.first + 1)
        chain = block.hashes[end - HASH_BYTES : end]
        before = block.hashes[end - 2 * HASH_BYTES : end - HASH_BYTES]
        if row.number == block.first:
            before = bytes.fromhex(block.previous)
        is_it = chained(before, [leaf]) == chain
    return Told(
        event=event,
        hash=leaf.hex(),
        chain=None if chain is None else chain.hex(),
        block=None if block is None else block.number,
        fits=is_it,
    )


async def _rows_of(store: LedgerReader, request_id: str) -> Sequence[LogRow]:
    """Its events, by a walk from where the log was when its id was made."""
    mark = request_id.encode()
    found: list[LogRow] = []
    async for rows in log_pages(store, await _before(store, request_id)):
        found += [row for row in rows if mark in row.record and _is_about(row.record, request_id)]
    return found


async def _before(store: LedgerReader, request_id: str) -> int:
    """An event before all of its, by a search among the blocks."""
    limit = (made_at(request_id) - _SKEW).timestamp() * 1_000_000
    newest = await store.last_block()
    low, high, event = 0, 0 if newest is None else newest.number, 0
    while low < high:
        middle = (low + high + 1) // 2
        rows = await store.block_rows(middle - 1, 1)
        block = codec.decode_block(rows[0].record) if rows else None
        if block is not None and block.at < limit:
            low, event = middle, block.last
        else:
            high = middle - 1
    return event


class _About(Struct):
    request_id: str | None = None


_about = msgspec.json.Decoder(_About).decode


def _is_about(record: bytes, request_id: str) -> bool:
    try:
        return _about(record).request_id == request_id
    except codec.UNREADABLE:
        return False
