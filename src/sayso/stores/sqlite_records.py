"""Records in SQLite: the part of `SqliteStore` that keeps users, keys and the like."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from sayso.domain.records import Record
from sayso.errors import ConflictError
from sayso.stores.base import RecordQuery, check_records

_COLUMNS = "kind, id, tenant, owner, handle, version, body"
_VERSION = "SELECT version FROM records WHERE kind = ? AND id = ?"
_HOLDER = "SELECT id FROM records WHERE kind = ? AND handle = ? AND handle <> ''"
_FORGET = "DELETE FROM records WHERE kind = ? AND id = ?"
_PUT = f"INSERT INTO records ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
GET_RECORD = f"SELECT {_COLUMNS} FROM records WHERE kind = ? AND id = ?"  # noqa: S608
FIND_HANDLE = f"SELECT {_COLUMNS} FROM records WHERE kind = ? AND handle = ? AND handle <> ''"  # noqa: S608


def put_records(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
    """Within a transaction: all of them, or none.

    Raises:
        ConflictError: before anything was changed.
    """
    check_records(records)
    told = {(record.kind, record.id) for record in records}
    for record in records:
        kept = connection.execute(_VERSION, (record.kind, record.id)).fetchone()
        if (kept[0] if kept is not None else 0) != record.version - 1:
            raise ConflictError
        holder = connection.execute(_HOLDER, (record.kind, record.handle)).fetchone()
        if record.body and holder is not None and (record.kind, holder[0]) not in told:
            raise ConflictError
    connection.executemany(_FORGET, told)
    connection.executemany(_PUT, [_row(record) for record in records if record.body])


def find_records(query: RecordQuery) -> tuple[str, tuple[Any, ...]]:
    """The statement that finds them, and its parameters."""
    index, where, parameters = "sqlite_autoindex_records_1", "kind = ? AND id > ?", [query.kind]
    parameters.append(query.after)
    if query.tenant is not None:
        index, where = "records_tenant", f"{where} AND tenant = ?"
        parameters.append(query.tenant)
    if query.owner is not None:
        index, where = "records_owner", f"{where} AND owner = ?"
        parameters.append(query.owner)
    statement = (
        f"SELECT {_COLUMNS} FROM records INDEXED BY {index} WHERE {where}"  # noqa: S608
        " ORDER BY id LIMIT ?"
    )
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
