"""The ledger in PostgreSQL: the part of `PostgresStore` that keeps blocks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from sayso import codec
from sayso.domain.blocks import Block
from sayso.stores.base import BlockRow, LogRow, RequestRow
from sayso.stores.postgres_database import Connection, Database

_LOG = "SELECT id, tenant, record FROM events WHERE id > $1 ORDER BY id LIMIT $2"
_ADD_BLOCK = (
    "INSERT INTO ledger_blocks (number, last, record) VALUES ($1, $2, $3)"
    " ON CONFLICT DO NOTHING RETURNING 1"
)
_BLOCKS = "SELECT number, record FROM ledger_blocks WHERE number > $1 ORDER BY number LIMIT $2"
_LAST_BLOCK = "SELECT record FROM ledger_blocks ORDER BY number DESC LIMIT 1"
_FIND_BLOCK = "SELECT record FROM ledger_blocks WHERE last >= $1 ORDER BY last LIMIT 1"
_REQUESTS = (
    "SELECT id, tenant, status, version, record FROM requests WHERE id > $1 ORDER BY id LIMIT $2"
)
_REQUEST = "SELECT id, tenant, status, version, record FROM requests WHERE id = $1"
_RETIRE_EVENTS = "DELETE FROM events WHERE id <= $1 AND id < (SELECT max(id) FROM events)"
_RETIRE_REQUESTS = (
    "WITH gone AS (DELETE FROM requests USING"
    " unnest($1::text[], $2::integer[], $3::bytea[]) AS told (id, version, record)"
    " WHERE requests.id = told.id AND requests.version = told.version"
    " AND requests.record = told.record RETURNING 1) SELECT count(*) FROM gone"
)


class PostgresLedger(ABC):
    """`LedgerStore` on a database."""

    _database: Database

    @abstractmethod
    async def _rows(self, statement: str, *parameters: Any) -> Sequence[Any]:
        """Rows."""

    async def log(self, after: int, limit: int) -> Sequence[LogRow]:
        """Events behind number `after`, as their bytes."""
        return [LogRow(*row) for row in await self._rows(_LOG, after, limit)]

    async def block_rows(self, after: int, limit: int) -> Sequence[BlockRow]:
        """Blocks behind number `after`, as their bytes."""
        return [BlockRow(*row) for row in await self._rows(_BLOCKS, after, limit)]

    async def last_block(self) -> Block | None:
        """The newest block."""
        rows = await self._rows(_LAST_BLOCK)
        return codec.decode_block(rows[0][0]) if rows else None

    async def find_block(self, event: int) -> Block | None:
        """The block that an event is in."""
        rows = await self._rows(_FIND_BLOCK, event)
        return codec.decode_block(rows[0][0]) if rows else None

    async def request_rows(self, after: str, limit: int) -> Sequence[RequestRow]:
        """Requests behind the id `after`, as their bytes."""
        return [RequestRow(*row) for row in await self._rows(_REQUESTS, after, limit)]

    async def request_row(self, request_id: str) -> RequestRow | None:
        """One request, as its bytes."""
        if "\0" in request_id:
            return None
        rows = await self._rows(_REQUEST, request_id)
        return RequestRow(*rows[0]) if rows else None

    async def add_block(self, block: Block) -> bool:
        """Keep a block, unless there is one of its number."""
        row = (block.number, block.last, codec.encode(block))
        return await self._database.run_alone(lambda c: c.fetchval(_ADD_BLOCK, *row)) is not None

    async def retire(self, upto: int, requests: Sequence[RequestRow]) -> int:
        """Delete events up to a number, and these requests."""

        async def retire(connection: Connection) -> int:
            async with connection.transaction():
                await connection.execute("SET LOCAL statement_timeout = 0")
                await connection.execute(_RETIRE_EVENTS, upto)
                return await connection.fetchval(
                    _RETIRE_REQUESTS,
                    [row.id for row in requests],
                    [row.version for row in requests],
                    [row.record for row in requests],
                )

        return await self._database.run_alone(retire)
