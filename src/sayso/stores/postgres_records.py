"""Records in PostgreSQL: the part of `PostgresStore` that keeps users, keys and the like.

A write is one call of a function in the database (`sql/postgres/0002_records.sql`) and has a name
of its own, which is kept with it. So one that is sent again, after a connection was lost before
it was told, is known there: to compare what is kept with what was sent would not do, since two may
write the same, such as that an invitation was used, and only one of them may believe it did.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from sayso import codec
from sayso.domain.events import Event
from sayso.domain.jobs import Job
from sayso.domain.records import Record
from sayso.errors import ConflictError, StoreError
from sayso.stores.base import RecordQuery, check_records
from sayso.stores.batches import Asked, Batches
from sayso.stores.postgres_database import Connection, Database, is_everybodys
from sayso.stores.postgres_jobs import job_columns

COMMIT_WITH_RECORDS = "SELECT commit_with_records({})".format(
    ", ".join(f"${n}" for n in range(1, 28))
)
PUT_RECORDS = "SELECT put_records({})".format(", ".join(f"${n}" for n in range(1, 16)))
_WRITES = 32
"""Writes in one transaction at the most: meanwhile nobody else writes to the log."""
_COLUMNS = "kind, id, tenant, owner, handle, version, body"
GET_RECORD = f"SELECT {_COLUMNS} FROM records WHERE kind = $1 AND id = $2"  # noqa: S608
FIND_HANDLE = f"SELECT {_COLUMNS} FROM records WHERE kind = $1 AND handle = $2 AND handle <> ''"  # noqa: S608


class PostgresRecords:
    """`RecordStore` on a database.

    Writes go over one connection: each is alone with the log anyhow, and those that wait for it
    would keep all connections from whoever reads.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._record_writes = Batches(self._write_all, size=_WRITES)

    async def put_records(
        self, records: Sequence[Record], events: Sequence[Event] = (), jobs: Sequence[Job] = ()
    ) -> None:
        """Keep or forget all of them, or none."""
        told = (
            *record_columns(records),
            [event.tenant for event in events],
            [codec.encode(event) for event in events],
            *job_columns(jobs),
        )
        await self._write_records(PUT_RECORDS, told)

    async def get_record(self, kind: str, record_id: str) -> Record | None:
        """The record, or None."""
        return await self._one(GET_RECORD, kind, record_id)

    async def find_handle(self, kind: str, handle: str) -> Record | None:
        """The record that has this handle, or None."""
        return await self._one(FIND_HANDLE, kind, handle)

    async def find_records(self, query: RecordQuery) -> Sequence[Record]:
        """Records of a kind, by id."""
        names = (query.kind, query.tenant, query.owner, query.after)
        if any(name is not None and "\0" in name for name in names):
            return []
        statement, parameters = records_plan(query)
        return [_record(row) for row in await self._fetch(statement, *parameters)]

    async def _write_records(self, function: str, columns: Sequence[Any]) -> None:
        """Call a function that keeps records, all or nothing.

        Raises:
            ConflictError: the function says that they, or what goes with them, cannot be kept.
        """
        if not await self._record_writes.ask((function, columns)):
            raise ConflictError

    async def _write_all(self, batch: Sequence[Asked]) -> None:
        """One transaction for all; if that fails, one for each, so that a bad one fails alone.

        A function that refuses has changed nothing, so the others go on.
        """
        try:
            kept = await self._database.run(lambda connection: _call_each(connection, batch))
        except StoreError as error:
            if len(batch) > 1 and not is_everybodys(error):
                for asked in batch:
                    await self._write_all([asked])
            else:
                for asked in batch:
                    asked.fail(error)
            return
        for asked, is_kept in zip(batch, kept, strict=True):
            asked.answer(is_kept)

    async def _one(self, statement: str, kind: str, name: str) -> Record | None:
        if "\0" in kind or "\0" in name:  # which no text of this database holds
            return None
        rows = await self._fetch(statement, kind, name)
        return _record(rows[0]) if rows else None

    async def _fetch(self, statement: str, *parameters: Any) -> list[Any]:
        async def fetch(connection: Connection) -> list[Any]:
            return await connection.fetch(statement, *parameters)

        return await self._database.run(fetch)


async def _call_each(connection: Connection, batch: Sequence[Asked]) -> list[bool]:
    """What the functions say; one by itself needs no transaction but its own."""
    if len(batch) == 1:
        function, columns = batch[0].what
        return [await connection.fetchval(function, *columns)]
    async with connection.transaction():
        return [await connection.fetchval(asked.what[0], *asked.what[1]) for asked in batch]


def record_columns(records: Sequence[Record]) -> tuple[Any, ...]:
    """A write of records as the functions take it: a name for it, then a list for each column.

    Raises:
        ConflictError: they cannot all be kept, whatever is there.
    """
    check_records(records)
    return (
        uuid.uuid4().hex,
        [record.kind for record in records],
        [record.id for record in records],
        [record.tenant for record in records],
        [record.owner for record in records],
        [record.handle for record in records],
        [record.version for record in records],
        [record.body for record in records],
    )


def records_plan(query: RecordQuery) -> tuple[str, tuple[Any, ...]]:
    """The statement that finds records, and its parameters."""
    where, parameters = "kind = $1 AND id > $2", (query.kind, query.after, query.limit)
    if query.tenant is not None:
        parameters += (query.tenant,)
        where += f" AND tenant = ${len(parameters)}"
    if query.owner is not None:
        parameters += (query.owner,)
        where += f" AND owner = ${len(parameters)}"
    found = f"SELECT {_COLUMNS} FROM records WHERE {where}"  # noqa: S608
    if query.owner is not None and query.tenant is None:
        # All that is theirs is read before it is put in order; or the planner may walk over
        # everybody's in that order, in the hope of meeting theirs.
        found = f"SELECT * FROM ({found} OFFSET 0) AS theirs"  # noqa: S608
    return f"{found} ORDER BY id LIMIT $3", parameters


def _record(row: Sequence[Any]) -> Record:
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
