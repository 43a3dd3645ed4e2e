"""The PostgreSQL store: one database, any number of replicas, durable at each reply.

Each replica gathers what is committed meanwhile into one statement, and so with reads; a batch is
one call of a function in the database (`sql/postgres`), which numbers events under a lock. Nothing
is remembered between calls, since other replicas write as well.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from sayso import codec
from sayso.clock import SharedClock
from sayso.domain.events import Event
from sayso.domain.jobs import Job
from sayso.domain.lifecycle import Change
from sayso.domain.requests import Request, Status
from sayso.domain.sessions import Session
from sayso.errors import ConflictError, StoreError
from sayso.stores.base import (
    PAGE_BYTES,
    SCAN_LIMIT,
    EventQuery,
    Login,
    Page,
    Query,
    Replay,
    newest_first,
)
from sayso.stores.batches import Asked, Batches
from sayso.stores.postgres_database import Connection, Database, is_everybodys
from sayso.stores.postgres_jobs import INSERT_JOBS, PostgresJobs, job_columns
from sayso.stores.postgres_ledger import PostgresLedger
from sayso.stores.postgres_records import COMMIT_WITH_RECORDS, PostgresRecords, record_columns

_PENDING = frozenset({Status.PENDING})
_CHUNK = 256
_GETS = 128
"""Records read together at the most: a large one is a megabyte."""

COMMIT = "SELECT commit_changes({})".format(", ".join(f"${n}" for n in range(1, 20)))
_STORED = "SELECT id, version, record FROM requests WHERE id = ANY($1::text[])"
GET = "SELECT id, record FROM requests WHERE id = ANY($1::text[])"
REPLAY = "SELECT record, fingerprint FROM requests WHERE tenant = $1 AND key = $2"
DUE = (
    "SELECT record FROM requests WHERE status = 'pending' AND deadline_at IS NOT NULL"
    " AND deadline_at <= $1 ORDER BY deadline_at LIMIT $2"
)
EVENTS = "SELECT id, record FROM events WHERE id > $1 AND tenant = $2 ORDER BY id LIMIT $3"
ALL_EVENTS = "SELECT id, record FROM events WHERE id > $1 ORDER BY id LIMIT $2"
_LAST_EVENT = "SELECT coalesce(max(id), 0) FROM events"
_APPEND = "SELECT append_events($1, $2)"
_PUT_SESSION = (
    "INSERT INTO sessions (tenant, id, record) VALUES ($1, $2, $3)"
    " ON CONFLICT (tenant, id) DO UPDATE SET record = excluded.record"
)
_GET_SESSION = "SELECT record FROM sessions WHERE tenant = $1 AND id = $2"
_PUT_LOGIN = (
    "INSERT INTO logins (token_hash, expires_at, tenant, person_id, record)"
    " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (token_hash) DO UPDATE SET"
    " expires_at = excluded.expires_at, tenant = excluded.tenant,"
    " person_id = excluded.person_id, record = excluded.record"
)
_FORGET_LOGINS = "DELETE FROM logins WHERE expires_at < $1"
_GET_LOGIN = "SELECT record FROM logins WHERE token_hash = $1"
_END_LOGIN = "DELETE FROM logins WHERE token_hash = $1"
GET_LOGINS = "SELECT record FROM logins WHERE tenant = $1 AND person_id = $2"
END_LOGINS = "DELETE FROM logins WHERE tenant = $1 AND person_id = $2"
_AGREE = "INSERT INTO agreed (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_AGREED = "SELECT value FROM agreed WHERE name = $1"
_FORGET_LINKS = "DELETE FROM used_links WHERE expires_at < $1::timestamptz - interval '1 day'"
_UP_TO = (
    "SELECT record FROM (SELECT id, record, sum(octet_length(record)) OVER (ORDER BY id DESC) AS"
    " size FROM ({rows}) AS page) AS sized WHERE size - octet_length(record) < ${most}"
    " ORDER BY id DESC"
)
"""Some rows, but none after those that make up so many bytes."""
_USE_LINK = (
    "INSERT INTO used_links (name, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1"
)


class PostgresStore(PostgresJobs, PostgresRecords, PostgresLedger):
    """Requests, events, sessions, sign-ins, jobs and records in one PostgreSQL database.

    Args:
        url: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`; PostgreSQL 14 or later.
        connections: how many connections to have at the most.
        clock: is set by the database's clock, so that all replicas have one time.
        migrates: bring the schema up to date; else it is left as it is, to be read.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 6,
        clock: SharedClock | None = None,
        migrates: bool = True,
    ) -> None:
        database = Database(url, connections=connections, clock=clock, migrates=migrates)
        PostgresJobs.__init__(self, database)
        PostgresRecords.__init__(self, database)
        self._commits = Batches(self._commit_all)
        self._gets = Batches(self._get_all, size=_GETS)

    async def open(self) -> None:
        """Connect, and bring the schema up to date."""
        await self._database.open()

    async def close(self) -> None:
        """Finish what was begun, then let the connections go."""
        batches = (self._commits, self._gets, self._settles, self._record_writes)
        await asyncio.gather(*(each.close() for each in batches))
        await self._database.close()

    async def commit(self, change: Change) -> None:
        """Keep the request and all that goes with it in one transaction."""
        sent = (change, codec.encode_request(change.request))
        if not change.records:
            await self._commits.ask(sent)
            return
        columns = (*_columns([sent]), *record_columns(change.records))
        await self._write_records(COMMIT_WITH_RECORDS, columns)

    async def get(self, tenant: str, request_id: str) -> Request | None:
        """The request as last committed."""
        if "\0" in request_id:
            return None
        record = await self._gets.ask(request_id)
        request = None if record is None else codec.decode_request(record)
        return request if request is not None and request.tenant == tenant else None

    async def replay(self, tenant: str, key: str) -> Replay | None:
        """The request that was submitted with this idempotency key."""
        if "\0" in key:
            return None
        row = await self._database.run(lambda c: c.fetchrow(REPLAY, tenant, key))
        if row is None:
            return None
        return Replay(request=codec.decode_request(row[0]), fingerprint=row[1])

    async def find(self, query: Query) -> Page:
        """Requests, newest first, by the index that fits; the rest is filtered as it is read."""
        statement, parameters, exact = requests_plan(query)
        chunk = query.limit + 1 if exact else _CHUNK
        found: list[Request] = []
        after = query.after or "~"  # sorts behind every id
        looked_at = 0
        while True:
            rows = await self._rows(statement, *parameters, after, chunk, PAGE_BYTES)
            size = sum(len(record) for (record,) in rows)
            for (record,) in rows:
                request = codec.decode_request(record)
                after = request.id
                if query.matches(request):
                    found.append(request)
                    if len(found) > query.limit:
                        return Page(items=tuple(found[:-1]), next=found[-2].id)
            looked_at += len(rows)
            if len(rows) < chunk and size < PAGE_BYTES:
                return Page(items=tuple(found), next=None)
            if looked_at >= SCAN_LIMIT or (found and size >= PAGE_BYTES):
                return Page(items=tuple(found), next=after)

    async def due(self, now: datetime, limit: int) -> Sequence[Request]:
        """Pending requests whose deadline has come."""
        return [codec.decode_request(row[0]) for row in await self._rows(DUE, now, limit)]

    async def events(self, query: EventQuery) -> tuple[Sequence[Event], int]:
        """Events after `query.after`, in order."""
        if query.limit == 0:
            return (), await self._database.run(lambda c: c.fetchval(_LAST_EVENT))
        if query.tenant is None:
            rows = await self._rows(ALL_EVENTS, query.after, query.limit)
        else:
            rows = await self._rows(EVENTS, query.after, query.tenant, query.limit)
        events = [
            msgspec.structs.replace(codec.decode_event(record), id=place) for place, record in rows
        ]
        return [e for e in events if query.matches(e)], rows[-1][0] if rows else query.after

    async def put_session(self, session: Session, event: Event, jobs: Sequence[Job] = ()) -> None:
        """Keep the session, its event and what that causes."""

        async def put(connection: Connection) -> None:
            async with connection.transaction():
                record = codec.encode(session)
                await connection.execute(_PUT_SESSION, session.tenant, session.id, record)
                if jobs:
                    await connection.execute(INSERT_JOBS, *job_columns(jobs))
                await connection.execute(_APPEND, [event.tenant], [codec.encode(event)])

        await self._database.run_alone(put)

    async def get_session(self, tenant: str, session_id: str) -> Session | None:
        """The session, or None."""
        if "\0" in session_id:
            return None
        rows = await self._rows(_GET_SESSION, tenant, session_id)
        return codec.decode_session(rows[0][0]) if rows else None

    async def use_link(self, name: str, expires_at: datetime) -> bool:
        """Remember that a one-time link was used."""

        async def use(connection: Connection) -> bool:
            await connection.execute(_FORGET_LINKS, expires_at)
            return await connection.fetchval(_USE_LINK, name, expires_at) is not None

        return await self._database.run_alone(use)

    async def put_login(self, login: Login) -> None:
        """Keep a signed-in session."""

        async def put(connection: Connection) -> None:
            await connection.execute(_FORGET_LOGINS, login.created_at)
            person, record = (login.tenant, login.person_id), codec.encode(login)
            row = (login.token_hash, login.expires_at, *person, record)
            await connection.execute(_PUT_LOGIN, *row)

        await self._database.run(put)

    async def get_login(self, token_hash: str) -> Login | None:
        """The session of this token, or None."""
        rows = await self._rows(_GET_LOGIN, token_hash)
        return msgspec.json.decode(rows[0][0], type=Login) if rows else None

    async def end_login(self, token_hash: str) -> None:
        """Forget it."""
        await self._database.run(lambda c: c.execute(_END_LOGIN, token_hash))

    async def get_logins(self, tenant: str, person_id: str) -> Sequence[Login]:
        """All sessions of a person, newest first."""
        if "\0" in person_id:
            return []
        rows = await self._rows(GET_LOGINS, tenant, person_id)
        return newest_first(msgspec.json.decode(record, type=Login) for (record,) in rows)

    async def end_logins(self, tenant: str, person_id: str) -> None:
        """Forget all sessions of a person."""
        if "\0" not in person_id:
            await self._database.run(lambda c: c.execute(END_LOGINS, tenant, person_id))

    async def agree(self, name: str, value: str) -> str:
        """The first value given for `name`."""

        async def agree(connection: Connection) -> str:
            await connection.execute(_AGREE, name, value)
            return await connection.fetchval(_AGREED, name)

        return await self._database.run(agree)

    async def _get_all(self, batch: Sequence[Asked]) -> None:
        rows = await self._rows(GET, [asked.what for asked in batch])
        records = {row[0]: row[1] for row in rows}
        for asked in batch:
            asked.answer(records.get(asked.what))

    async def _commit_all(self, batch: Sequence[Asked]) -> None:
        """One transaction for all; if that fails, one for each, so that a bad one fails alone."""
        retried: list[None] = []
        columns = _columns([asked.what for asked in batch])
        try:
            kept = set(
                await self._database.run(
                    lambda c: c.fetchval(COMMIT, *columns), again=lambda: retried.append(None)
                )
            )
            if retried and len(kept) < len(batch):  # lost after it was kept, before it was told
                kept |= await self._kept_before([asked.what for asked in batch])
        except StoreError as error:
            if len(batch) > 1 and not is_everybodys(error):
                for asked in batch:
                    await self._commit_all([asked])
            else:
                for asked in batch:
                    asked.fail(error)
            return
        for place, asked in enumerate(batch, start=1):
            if place in kept:
                asked.answer(None)
            else:
                asked.fail(ConflictError())

    async def _kept_before(self, changes: Sequence[tuple[Change, bytes]]) -> set[int]:
        """The places of the changes that stand in the database exactly as they were sent."""
        rows = await self._rows(_STORED, [change.request.id for change, _ in changes])
        stored = {row[0]: (row[1], row[2]) for row in rows}
        return {
            place
            for place, (change, record) in enumerate(changes, start=1)
            if stored.get(change.request.id) == (change.request.version, record)
        }


def _columns(changes: Sequence[tuple[Change, bytes]]) -> tuple[list[Any], ...]:
    """Changes as `commit_changes` takes them: one list for each column."""
    requests = [change.request for change, _ in changes]
    events = [
        (place, event) for place, (change, _) in enumerate(changes, 1) for event in change.events
    ]
    jobs = [(place, job) for place, (change, _) in enumerate(changes, 1) for job in change.jobs]
    return (
        [request.id for request in requests],
        [request.tenant for request in requests],
        [change.expected_version for change, _ in changes],
        [request.version for request in requests],
        [request.status.value for request in requests],
        [request.session_id for request in requests],
        [request.deadline_at for request in requests],
        [change.key for change, _ in changes],
        [change.fingerprint or None for change, _ in changes],
        [record for _, record in changes],
        [place for place, _ in events],
        [event.tenant for _, event in events],
        [codec.encode(event) for _, event in events],
        [place for place, _ in jobs],
        *job_columns([job for _, job in jobs]),
    )


def requests_plan(query: Query) -> tuple[str, tuple[str, ...], bool]:
    """The statement that reads candidates, its first parameters, and if all of them match."""
    where, parameters = "tenant = $1", (query.tenant,)
    exact = (
        not (query.text or query.is_parked) and query.client_id is None and query.seen_by is None
    )
    if query.session_id is not None:
        parameters = (query.tenant, query.session_id)
        where += " AND session_id = $2"
        exact = exact and not query.status
    elif query.status == _PENDING:
        where += " AND status = 'pending'"
    elif query.status and Status.PENDING not in query.status:
        where += " AND status <> 'pending'"
        exact = exact and query.status == frozenset(Status) - _PENDING
    else:
        exact = exact and not query.status
    after, limit, most = (len(parameters) + n for n in (1, 2, 3))
    rows = (
        f"SELECT id, record FROM requests WHERE {where} AND id < ${after}"  # noqa: S608
        f" ORDER BY id DESC LIMIT ${limit}"
    )
    return _UP_TO.format(rows=rows, most=most), parameters, exact
