"""Walks over the log, the blocks and the requests, page by page, letting others run in between."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta

from sayso.stores.base import BlockRow, LedgerReader, LogRow, RequestRow

ROWS = 500
BLOCKS = 16


async def log_pages(store: LedgerReader, after: int = 0) -> AsyncGenerator[Sequence[LogRow]]:
    """Events behind number `after`."""
    while rows := await store.log(after, ROWS):
        after = rows[-1].number
        yield rows
        await asyncio.sleep(0)


async def block_pages(store: LedgerReader, after: int = 0) -> AsyncGenerator[Sequence[BlockRow]]:
    """Blocks behind number `after`."""
    while rows := await store.block_rows(after, BLOCKS):
        after = rows[-1].number
        yield rows
        await asyncio.sleep(0)


async def request_pages(store: LedgerReader) -> AsyncGenerator[Sequence[RequestRow]]:
    """All requests, by id."""
    after = ""
    while rows := await store.request_rows(after, ROWS):
        after = rows[-1].id
        yield rows
        await asyncio.sleep(0)


def made_at(request_id: str) -> datetime:
    """When an id was made (UUIDv7); for another the beginning of time."""
    beginning = datetime(1970, 1, 1, tzinfo=UTC)
    try:
        return beginning + timedelta(milliseconds=int(request_id.replace("-", "")[:12], 16))
    except (ValueError, OverflowError):
        return beginning
