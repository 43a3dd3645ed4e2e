"""The ledger in SQLite: the part of `SqliteStore` that keeps blocks, and a reader by itself."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sayso import codec
from sayso.domain.blocks import Block
from sayso.domain.records import Record
from sayso.errors import ConfigurationError, StoreError
from sayso.stores.base import BlockRow, LogRow, RecordQuery, RequestRow
from sayso.stores.sqlite_records import find_records, record_of

T = TypeVar("T")

_LOG = "SELECT id, tenant, record FROM events WHERE id > ? ORDER BY id LIMIT ?"
_LOG_AT_ONCE = (
    "SELECT group_concat(id, char(10)), group_concat(tenant, char(10)),"
    " CAST(group_concat(CAST(record AS TEXT), char(10)) AS BLOB)"
    " FROM (SELECT id, tenant, record FROM events WHERE id > ? ORDER BY id LIMIT ?)"
)
"""A line for each event: JSON has no line breaks of its own."""
_ADD_BLOCK = (
    "INSERT INTO ledger_blocks (number, last, record) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
_BLOCKS = "SELECT number, record FROM ledger_blocks WHERE number > ? ORDER BY number LIMIT ?"
_LAST_BLOCK = "SELECT record FROM ledger_blocks ORDER BY number DESC LIMIT 1"
_FIND_BLOCK = "SELECT record FROM ledger_blocks WHERE last >= ? ORDER BY last LIMIT 1"
_REQUESTS = (
    "SELECT id, tenant, status, version, record FROM requests WHERE id > ? ORDER BY id LIMIT ?"
)
_REQUEST = "SELECT id, tenant, status, version, record FROM requests WHERE id = ?"
_RETIRE_EVENTS = "DELETE FROM events WHERE id <= ? AND id < (SELECT max(id) FROM events)"
_RETIRE_REQUEST = "DELETE FROM requests WHERE id = ? AND version = ? AND record = ?"
_TABLES = "SELECT count(*) FROM sqlite_master WHERE name IN ('events', 'ledger_blocks')"


class SqliteLedger(ABC):
    """`LedgerReader` on a connection of SQLite."""

    @abstractmethod
    def _read(self, statement: str, *parameters: Any) -> list[Any]:
        """Rows, read on the reading connection."""

    async def log(self, after: int, limit: int) -> Sequence[LogRow]:
        """Events behind number `after`, as their bytes.

        They are read as one row: between two of them Python would let the thread that writes go
        on, and to get its turn back takes longer than all the reading.
        """
        ids, tenants, records = self._read(_LOG_AT_ONCE, after, limit)[0]
        if ids is None:
            return []
        numbers, of, lines = ids.split("\n"), tenants.split("\n"), records.split(b"\n")
        if not len(numbers) == len(of) == len(lines):  # something is written otherwise than by us
            return [LogRow(*row) for row in self._read(_LOG, after, limit)]
        return list(map(LogRow, map(int, numbers), of, lines))

    async def block_rows(self, after: int, limit: int) -> Sequence[BlockRow]:
        """Blocks behind number `after`, as their bytes."""
        return [BlockRow(*row) for row in self._read(_BLOCKS, after, limit)]

    async def last_block(self) -> Block | None:
        """The newest block."""
        rows = self._read(_LAST_BLOCK)
        return codec.decode_block(rows[0][0]) if rows else None

    async def find_block(self, event: int) -> Block | None:
        """The block that an event is in."""
        rows = self._read(_FIND_BLOCK, event)
        return codec.decode_block(rows[0][0]) if rows else None

    async def request_rows(self, after: str, limit: int) -> Sequence[RequestRow]:
        """Requests behind the id `after`, as their bytes."""
        return [RequestRow(*row) for row in self._read(_REQUESTS, after, limit)]

    async def request_row(self, request_id: str) -> RequestRow | None:
        """One request, as its bytes."""
        rows = self._read(_REQUEST, request_id)
        return RequestRow(*rows[0]) if rows else None


class SqliteLedgerWriter(SqliteLedger):
    """`LedgerStore` on the two connections of a SQLite store."""

    @abstractmethod
    async def _run(self, statements: Callable[[sqlite3.Connection], T]) -> T:
        """Run writing statements in a transaction, in the writer thread."""

    @abstractmethod
    def _forget(self, request_id: str) -> None:
        """Do not answer from memory for a request that is gone."""

    async def add_block(self, block: Block) -> bool:
        """Keep a block, unless there is one of its number."""
        row = (block.number, block.last, codec.encode(block))
        return await self._run(lambda c: c.execute(_ADD_BLOCK, row).rowcount == 1)

    async def retire(self, upto: int, requests: Sequence[RequestRow]) -> int:
        """Delete events up to a number, and these requests."""
        rows = [(row.id, row.version, row.record) for row in requests]

        def retire(connection: sqlite3.Connection) -> int:
            connection.execute(_RETIRE_EVENTS, (upto,))
            return sum(connection.execute(_RETIRE_REQUEST, row).rowcount for row in rows)

        retired = await self._run(retire)
        for row in requests:
            self._forget(row.id)
        return retired


class SqliteLedgerFile(SqliteLedger):
    """The ledger in a SQLite file, only read, even while a server runs on it.

    Args:
        path: the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open it for reading.

        Raises:
            ConfigurationError: it is not there, or no database of Sayso's with a ledger.
        """
        # Without a server the log of changes is merged on closing; a reader must not write at all.
        alone = not self._path.with_name(self._path.name + "-wal").exists()
        address = f"{self._path.resolve().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
        try:
            self._connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=10)
            tables: int = self._connection.execute(_TABLES).fetchone()[0]
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"The database {str(self._path)!r} cannot be read: {error}.",
                hint="Name the file of a Sayso server, or a bundle.",
            ) from error
        if tables != 2:
            await self.close()
            raise ConfigurationError(
                f"{str(self._path)!r} is a database without a ledger.",
                hint="Start the server of this version on it once; it signs what is there.",
            )

    async def close(self) -> None:
        """Let go of it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def find_records(self, query: RecordQuery) -> Sequence[Record]:
        """Records of a kind, by id."""
        statement, parameters = find_records(query)
        return [record_of(row) for row in self._read(statement, *parameters)]

    def _read(self, statement: str, *parameters: Any) -> list[Any]:
        if self._connection is None:
            raise StoreError("The database is not open.")
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise StoreError(
                f"The database cannot be read: {error}.", hint="The file may be damaged."
            ) from error
