"""The ledger in Redis: the part of `RedisStore` that keeps blocks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import msgspec

from sayso import codec
from sayso.domain.blocks import Block
from sayso.domain.requests import Status
from sayso.stores.base import BlockRow, LogRow, RequestRow
from sayso.stores.redis_jobs import quoted


class _Kept(msgspec.Struct):
    """What stands in an event or a request, as far as it is needed here."""

    tenant: str = "default"
    status: str = Status.PENDING
    session_id: str | None = None


_kept = msgspec.json.Decoder(_Kept).decode


class RedisLedger(ABC):
    """`LedgerStore` on the connections of a Redis store."""

    @abstractmethod
    async def _run(self, operation: str, told: dict[str, Any], *records: bytes) -> Any:
        """Call an operation of the script that changes something."""

    @abstractmethod
    async def _ask(self, operation: str, told: dict[str, Any]) -> Any:
        """Call an operation of the script that changes nothing."""

    async def log(self, after: int, limit: int) -> Sequence[LogRow]:
        """Events behind number `after`, as their bytes. A tenant stands in its event alone."""
        rows = await self._ask("events", {"from": str(after + 1), "limit": limit})
        return [
            LogRow(int(place.partition(b"-")[0]), _tenant(record), record)
            for place, (_, record) in rows
        ]

    async def block_rows(self, after: int, limit: int) -> Sequence[BlockRow]:
        """Blocks behind number `after`, as their bytes."""
        records = await self._ask("blocks", {"after": after, "limit": limit})
        return [BlockRow(after + n, record) for n, record in enumerate(records, start=1)]

    async def last_block(self) -> Block | None:
        """The newest block."""
        found = await self._ask("last_block", {})
        return codec.decode_block(found[0]) if found else None

    async def find_block(self, event: int) -> Block | None:
        """The block that an event is in."""
        found = await self._ask("find_block", {"event": event})
        return codec.decode_block(found[0]) if found else None

    async def request_rows(self, after: str, limit: int) -> Sequence[RequestRow]:
        """Requests behind the id `after`, as their bytes."""
        found: list[Any] = await self._ask("all_requests", {"after": after, "limit": limit})
        return [_row(*pair) for pair in zip(found[::2], found[1::2], strict=True)]

    async def request_row(self, request_id: str) -> RequestRow | None:
        """One request, as its bytes."""
        stored = await self._ask("get", {"kind": "request", "id": request_id})
        return None if stored is None else _row(request_id.encode(), stored)

    async def add_block(self, block: Block) -> bool:
        """Keep a block, unless there is one of its number."""
        told = {"number": block.number, "last": block.last}
        return await self._run("add_block", told, codec.encode(block)) == 1

    async def retire(self, upto: int, requests: Sequence[RequestRow]) -> int:
        """Delete events up to a number, and these requests."""
        entries: list[dict[str, Any]] = []
        for row in requests:
            entry: dict[str, Any] = {"id": row.id, "tenant": quoted(row.tenant)}
            session = _kept(row.record).session_id
            entries.append(entry if session is None else entry | {"session": quoted(session)})
        stored = (b"%d %b" % (row.version, row.record) for row in requests)
        return await self._run("retire", {"upto": upto, "requests": entries}, *stored)


def _tenant(record: bytes) -> str:
    try:
        return _kept(record).tenant
    except codec.UNREADABLE:
        return ""


def _row(request_id: bytes, stored: bytes) -> RequestRow:
    version, _, record = stored.partition(b" ")
    try:
        kept = _kept(record)
    except codec.UNREADABLE:
        kept = _Kept(tenant="", status="")
    return RequestRow(request_id.decode(), kept.tenant, kept.status, int(version), record)
