"""Records in SQLite: the part of `SqliteStore` that keeps users, keys and the like."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from sayso.domain.records import Record
from sayso.errors import ConflictError
from sayso.stores.base import RecordQuery

_COLUMNS = "kind, id, tenant, owner, handle, version, body"
_VERSION = "SELECT version FROM records WHERE kind = ? AND id = ?"
_HOLDER = "SELECT id FROM records WHERE kind = ? AND handle = ? AND handle <> '' AND id <> ?"
_FORGET = "DELETE FROM records WHERE kind = ? AND id = ?"
_PUT = f"INSERT OR REPLACE INTO records ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
GET_RECORD = f"SELECT {_COLUMNS} FROM records WHERE kind = ? AND id = ?"  # noqa: S608
FIND_HANDLE = f"SELECT {_COLUMNS} FROM records WHERE kind = ? AND handle = ? AND handle <> ''"  # noqa: S608


def put_records(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
    """Within a transaction: all of them, or none.

    Raises:
        ConflictError: before anything was changed.
    """
    for record in records:
        kept = connection.execute(_VERSION, (record.kind, record.id)).fetchone()
        if (kept[0] if kept is not None else 0) != record.version - 1:
            raise ConflictError
        holder = (record.kind, record.handle, record.id)
        if record.body and connection.execute(_HOLDER, holder).fetchone() is not None:
            raise ConflictError
    for record in records:
        connection.execute(_FORGET, (record.kind, record.id))
        if record.body:
            connection.execute(_PUT, _row(record))


def find_records(query: RecordQuery) -> tuple[str, tuple[Any, ...]]:
    """The statement that finds them, and its parameters."""
    where, parameters = "kind = ? AND id > ?", [query.kind, query.after]
    if query.tenant is not None:
        where, parameters = f"{where} AND tenant = ?", [*parameters, query.tenant]
    if query.owner is not None:
        where, parameters = f"{where} AND owner = ?", [*parameters, query.owner]
    statement = f"SELECT {_COLUMNS} FROM records WHERE {where} ORDER BY id LIMIT ?"  # noqa: S608
    return statement, (*parameters, query.limit)


def record_of(row: Sequence[Any]) -> Record:
    """A row, as a record."""
    kind, record_id, tenant, owner, handle, version, body = row
    return Record(
        kind=kind,
        id=record_id,
        tenant=tenant,
        owner=owner,
        handle=handle,
        version=version,
        body=body,
    )


def _row(record: Record) -> tuple[Any, ...]:
    return (
        record.kind,
        record.id,
        record.tenant,
        record.owner,
        record.handle,
        record.version,
        record.body,
    )
