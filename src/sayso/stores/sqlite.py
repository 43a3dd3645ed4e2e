"""The SQLite store: one file, one process, durable at each reply.

WAL with `synchronous=FULL`, one writer thread with group commit, and reads on a connection of
their own, straight on the event loop: a point read takes about 10 us, less than handing it over.
"""

import asyncio
import contextlib
import fcntl
import importlib.resources
import re
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from sayso import codec
from sayso.domain.events import Event
from sayso.domain.jobs import Job
from sayso.domain.lifecycle import Change
from sayso.domain.records import Record
from sayso.domain.requests import Request, Status
from sayso.domain.sessions import Session
from sayso.errors import ConfigurationError, ConflictError, StoreError
from sayso.stores.base import (
    PAGE_BYTES,
    SCAN_LIMIT,
    EventQuery,
    Login,
    Page,
    Query,
    RecordQuery,
    Replay,
    newest_first,
)
from sayso.stores.group_commit import GroupCommit, Queued
from sayso.stores.sqlite_jobs import INSERT_JOB, RELEASE_JOBS, SqliteJobs, job_row
from sayso.stores.sqlite_ledger import SqliteLedgerWriter
from sayso.stores.sqlite_records import (
    FIND_HANDLE,
    GET_RECORD,
    find_records,
    put_records,
    record_of,
)

_DISK_PAGE = 16_384
"""Of a new file. A request takes 1 to 3 KB and grows as it is decided: a page holds several."""
LOCK_SECONDS = 10
"""How long a write waits for another program that has locked the file."""
_PENDING = frozenset({Status.PENDING})
_CHUNK = 256
_RECENT = 2_048
_RECENT_BYTES = 8_192

_INSERT = (
    "INSERT INTO requests (id, tenant, status, version, session_id, deadline_at, key,"
    " fingerprint, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = (
    "UPDATE requests SET status = ?, version = ?, deadline_at = ?, record = ?"
    " WHERE id = ? AND version = ?"
)
_INSERT_EVENT = "INSERT INTO events (id, tenant, record) VALUES (?, ?, ?)"
_GET = "SELECT record FROM requests WHERE id = ? AND tenant = ?"
_VERSION = "SELECT version FROM requests WHERE id = ?"
_REPLAY = "SELECT record, fingerprint FROM requests WHERE tenant = ? AND key = ?"
_DUE = (
    "SELECT record FROM requests INDEXED BY requests_due WHERE status = 'pending'"
    " AND deadline_at IS NOT NULL AND deadline_at <= ? ORDER BY deadline_at LIMIT ?"
)
_EVENTS = "SELECT id, record FROM events WHERE id > ? AND tenant = ? ORDER BY id LIMIT ?"
_ALL_EVENTS = "SELECT id, record FROM events WHERE id > ? ORDER BY id LIMIT ?"
_LAST_EVENT = "SELECT coalesce(max(id), 0) FROM events"
_PUT_SESSION = "INSERT OR REPLACE INTO sessions (tenant, id, record) VALUES (?, ?, ?)"
_GET_SESSION = "SELECT record FROM sessions WHERE tenant = ? AND id = ?"
_PUT_LOGIN = (
    "INSERT OR REPLACE INTO logins (token_hash, expires_at, tenant, person_id, record)"
    " VALUES (?, ?, ?, ?, ?)"
)
_FORGET_LOGINS = "DELETE FROM logins WHERE expires_at < ?"
_GET_LOGIN = "SELECT record FROM logins WHERE token_hash = ?"
_END_LOGIN = "DELETE FROM logins WHERE token_hash = ?"
_GET_LOGINS = "SELECT record FROM logins WHERE tenant = ? AND person_id = ?"
_END_LOGINS = "DELETE FROM logins WHERE tenant = ? AND person_id = ?"
_AGREE = "INSERT INTO agreed (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING"
_AGREED = "SELECT value FROM agreed WHERE name = ?"
_FORGET_LINKS = "DELETE FROM used_links WHERE expires_at < ? - 86400000000"
_USE_LINK = "INSERT INTO used_links (name, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING"


T = TypeVar("T")
_Row = tuple[Any, ...]
_Statements = Callable[[sqlite3.Connection], Any]
"""Statements to run in a transaction; refuses by `ConflictError` before it changes anything."""


class _Write:
    """Either a new request's row, or statements; and the events and jobs that go with it."""

    __slots__ = ("events", "jobs", "row", "statements")

    def __init__(
        self,
        *,
        row: _Row | None = None,
        statements: _Statements | None = None,
        events: Sequence[Event] = (),
        jobs: Sequence[Job] = (),
    ) -> None:
        self.row = row
        self.statements = statements
        self.events = [(event.tenant, codec.encode(event)) for event in events]
        self.jobs = [job_row(job) for job in jobs]


class SqliteStore(SqliteJobs, SqliteLedgerWriter):
    """Requests, events, sessions, sign-ins and jobs in one SQLite file.

    Args:
        path: the file; it and its folder are made when missing. A second process on the same
            file is refused, since waits and deadlines live in one process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()  # one file has one lock, however it is named
        self._lock: IO[bytes] | None = None
        self._reader: sqlite3.Connection | None = None
        self._writer: GroupCommit | None = None
        self._recent: OrderedDict[str, Request] = OrderedDict()
        self._files: dict[Path, tuple[int, int] | None] = {}

    async def open(self) -> None:
        """Lock the file, bring the schema up to date, start the writer."""
        with contextlib.ExitStack() as undo:
            undo.enter_context(_store_errors(f"The database {str(self._path)!r} cannot be opened"))
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = undo.enter_context(_lock(self._path))
            writer = undo.enter_context(contextlib.closing(_connect(self._path)))
            _migrate(writer, self._path)
            writer.execute(RELEASE_JOBS)
            self._reader = undo.enter_context(contextlib.closing(_connect(self._path)))
            self._reader.execute("PRAGMA query_only = ON")
            self._reader.execute("PRAGMA cache_size = -8192")  # 8 MB
            log = self._path.with_name(self._path.name + "-wal")
            self._files = {file: _identity(file) for file in (self._path, log)}
            undo.pop_all()
        self._writer = GroupCommit(writer, self._carry_out)

    async def close(self) -> None:
        """Finish the queued writes, then close and unlock the file."""
        if self._writer is not None:
            await self._writer.close()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def commit(self, change: Change) -> None:
        """Keep the request, its events and its jobs in one transaction."""
        request = change.request
        record = codec.encode_request(request)
        if change.expected_version == 0:
            statement, row = _INSERT, _new_row(change, record)
        else:
            statement, row = _UPDATE, _next_row(change, record)
        if change.expected_version == 0 and not change.records:
            write = _Write(row=row, events=change.events, jobs=change.jobs)
        else:

            def keep(connection: sqlite3.Connection) -> None:
                if change.records:
                    _check(connection, change)
                    put_records(connection, change.records)
                if connection.execute(statement, row).rowcount != 1:
                    raise ConflictError

            write = _Write(statements=keep, events=change.events, jobs=change.jobs)
        try:
            # Remembered as it becomes durable, even if whoever asked for it has gone by then.
            await self._write(write, lambda: self._remember(request, len(record)))
        except ConflictError:
            self._recent.pop(request.id, None)
            raise

    async def get(self, tenant: str, request_id: str) -> Request | None:
        """The request as last committed."""
        recent = self._recent.get(request_id)
        if recent is not None:
            return recent if recent.tenant == tenant else None
        rows = self._read(_GET, request_id, tenant)
        return codec.decode_request(rows[0][0]) if rows else None

    async def replay(self, tenant: str, key: str) -> Replay | None:
        """The request that was submitted with this idempotency key."""
        rows = self._read(_REPLAY, tenant, key)
        if not rows:
            return None
        return Replay(request=codec.decode_request(rows[0][0]), fingerprint=rows[0][1])

    async def find(self, query: Query) -> Page:
        """Requests, newest first, by the index that fits; the rest is filtered as it is read."""
        statement, parameters, exact = _plan(query)
        chunk = query.limit + 1 if exact else _CHUNK
        found: list[Request] = []
        after = query.after or "~"  # sorts behind every id
        looked_at = size = 0
        while True:
            read = 0
            for (record,) in self._cursor(statement, *parameters, after, chunk):
                request = codec.decode_request(record)
                read, size = read + 1, size + len(record)
                after = request.id
                if query.matches(request):
                    found.append(request)
                    if len(found) > query.limit:
                        return Page(items=tuple(found[:-1]), next=found[-2].id)
                if size >= PAGE_BYTES:
                    break
            looked_at += read
            if read < chunk and size < PAGE_BYTES:
                return Page(items=tuple(found), next=None)
            if looked_at >= SCAN_LIMIT or (found and size >= PAGE_BYTES):
                return Page(items=tuple(found), next=after)
            size = 0
            await asyncio.sleep(0)

    async def due(self, now: datetime, limit: int) -> Sequence[Request]:
        """Pending requests whose deadline has come."""
        rows = self._read(_DUE, _microseconds(now), limit)
        return [codec.decode_request(record) for (record,) in rows]

    async def events(self, query: EventQuery) -> tuple[Sequence[Event], int]:
        """Events after `query.after`, in order."""
        if query.limit == 0:
            return (), self._read(_LAST_EVENT)[0][0]
        if query.tenant is None:
            rows = self._read(_ALL_EVENTS, query.after, query.limit)
        else:
            rows = self._read(_EVENTS, query.after, query.tenant, query.limit)
        events = [
            msgspec.structs.replace(codec.decode_event(record), id=place) for place, record in rows
        ]
        return [e for e in events if query.matches(e)], rows[-1][0] if rows else query.after

    async def put_session(self, session: Session, event: Event, jobs: Sequence[Job] = ()) -> None:
        """Keep the session, its event and what that causes."""
        row = (session.tenant, session.id, codec.encode(session))

        def put(connection: sqlite3.Connection) -> None:
            connection.execute(_PUT_SESSION, row)

        await self._write(_Write(statements=put, events=(event,), jobs=jobs))

    async def get_session(self, tenant: str, session_id: str) -> Session | None:
        """The session, or None."""
        rows = self._read(_GET_SESSION, tenant, session_id)
        return codec.decode_session(rows[0][0]) if rows else None

    async def use_link(self, name: str, expires_at: datetime) -> bool:
        """Remember that a one-time link was used."""
        row = (name, _microseconds(expires_at))

        def use(connection: sqlite3.Connection) -> bool:
            connection.execute(_FORGET_LINKS, (row[1],))
            return connection.execute(_USE_LINK, row).rowcount == 1

        return await self._run(use)

    async def put_login(self, login: Login) -> None:
        """Keep a signed-in session."""
        person, record = (login.tenant, login.person_id), codec.encode(login)
        row = (login.token_hash, _microseconds(login.expires_at), *person, record)
        began = _microseconds(login.created_at)

        def put(connection: sqlite3.Connection) -> None:
            connection.execute(_FORGET_LOGINS, (began,))
            connection.execute(_PUT_LOGIN, row)

        await self._run(put)

    async def get_login(self, token_hash: str) -> Login | None:
        """The session of this token, or None."""
        rows = self._read(_GET_LOGIN, token_hash)
        return msgspec.json.decode(rows[0][0], type=Login) if rows else None

    async def end_login(self, token_hash: str) -> None:
        """Forget it."""
        await self._run(lambda c: c.execute(_END_LOGIN, (token_hash,)).rowcount)

    async def get_logins(self, tenant: str, person_id: str) -> Sequence[Login]:
        """All sessions of a person, newest first."""
        rows = self._read(_GET_LOGINS, tenant, person_id)
        return newest_first(msgspec.json.decode(record, type=Login) for (record,) in rows)

    async def end_logins(self, tenant: str, person_id: str) -> None:
        """Forget all sessions of a person."""
        await self._run(lambda c: c.execute(_END_LOGINS, (tenant, person_id)).rowcount)

    async def agree(self, name: str, value: str) -> str:
        """The first value given for `name`."""

        def agree(connection: sqlite3.Connection) -> str:
            connection.execute(_AGREE, (name, value))
            return connection.execute(_AGREED, (name,)).fetchone()[0]

        return await self._run(agree)

    async def put_records(
        self, records: Sequence[Record], events: Sequence[Event] = (), jobs: Sequence[Job] = ()
    ) -> None:
        """Keep or forget all of them, or none."""

        def put(connection: sqlite3.Connection) -> None:
            put_records(connection, records)

        await self._write(_Write(statements=put, events=events, jobs=jobs))

    async def get_record(self, kind: str, record_id: str) -> Record | None:
        """The record, or None."""
        rows = self._read(GET_RECORD, kind, record_id)
        return record_of(rows[0]) if rows else None

    async def find_handle(self, kind: str, handle: str) -> Record | None:
        """The record that has this handle, or None."""
        rows = self._read(FIND_HANDLE, kind, handle)
        return record_of(rows[0]) if rows else None

    async def find_records(self, query: RecordQuery) -> Sequence[Record]:
        """Records of a kind, by id."""
        statement, parameters = find_records(query)
        return [record_of(row) for row in self._read(statement, *parameters)]

    async def _run(self, statements: Callable[[sqlite3.Connection], T]) -> T:
        """Run writing statements in a transaction, in the writer thread."""
        return await self._write(_Write(statements=statements))

    def _write(self, write: _Write, done: Callable[[], None] | None = None) -> asyncio.Future[Any]:
        if self._writer is None:
            raise StoreError("The store is not open.")
        return self._writer.write(write, done)

    def _carry_out(self, connection: sqlite3.Connection, batch: Sequence[Queued]) -> None:
        """New requests at once, then the rest in order, then what goes with what was not refused.

        Only this thread counts events, and a number stays only with its commit: no gaps.
        """
        self._check_files()
        rows = [queued.work.row for queued in batch if queued.work.row is not None]
        if rows:
            connection.executemany(_INSERT, rows)
        events: list[tuple[str, bytes]] = []
        caused: list[_Row] = []
        for queued in batch:
            write: _Write = queued.work
            if write.statements is not None:
                try:
                    queued.result = write.statements(connection)
                except ConflictError as error:
                    queued.error = error
                    continue
            events += write.events
            caused += write.jobs
        if caused:
            connection.executemany(INSERT_JOB, caused)
        if events:
            last: int = connection.execute(_LAST_EVENT).fetchone()[0]
            numbered = [(last + n, *event) for n, event in enumerate(events, start=1)]
            connection.executemany(_INSERT_EVENT, numbered)

    def _check_files(self) -> None:
        """A file without its name can still be written to, and is gone when we end."""
        for path, opened in self._files.items():
            if _identity(path) != opened:
                raise StoreError(
                    f"The database file {str(path)!r} is not there any more, or is another one.",
                    hint="Put it back, or restart the server. Nothing was written.",
                )

    def _remember(self, request: Request, size: int) -> None:
        """Spare the next reads of it; the file is locked, so nobody else changes it."""
        if size > _RECENT_BYTES:  # decoded it may be many times as large
            self._recent.pop(request.id, None)
            return
        self._recent[request.id] = request
        self._recent.move_to_end(request.id)
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def _forget(self, request_id: str) -> None:
        self._recent.pop(request_id, None)

    def _read(self, statement: str, *parameters: Any) -> list[Any]:
        return list(self._cursor(statement, *parameters))

    def _cursor(self, statement: str, *parameters: Any) -> Generator[Any]:
        if self._reader is None:
            raise StoreError("The store is closed.")
        try:
            yield from self._reader.execute(statement, parameters)
        except sqlite3.Error as error:
            raise StoreError(f"The database cannot be read: {error}.") from error


def _new_row(change: Change, record: bytes) -> _Row:
    request = change.request
    return (
        request.id,
        request.tenant,
        request.status.value,
        request.version,
        request.session_id,
        _microseconds(request.deadline_at),
        change.key,
        change.fingerprint or None,
        record,
    )


def _next_row(change: Change, record: bytes) -> _Row:
    request = change.request
    return (
        request.status.value,
        request.version,
        _microseconds(request.deadline_at),
        record,
        request.id,
        change.expected_version,
    )


def _check(connection: sqlite3.Connection, change: Change) -> None:
    """Refuse a change of a request before anything that goes with it is written."""
    request = change.request
    kept = connection.execute(_VERSION, (request.id,)).fetchone()
    if (kept[0] if kept is not None else 0) != change.expected_version:
        raise ConflictError
    if (
        change.key is not None
        and connection.execute(_REPLAY, (request.tenant, change.key)).fetchone()
    ):
        raise ConflictError


def _plan(query: Query) -> tuple[str, tuple[str, ...], bool]:
    """The statement that reads candidates, its first parameters, and if all of them match."""
    pending, closed = query.status == _PENDING, Status.PENDING not in query.status
    where, parameters = "tenant = ?", (query.tenant,)
    exact = (
        not (query.text or query.is_parked) and query.client_id is None and query.seen_by is None
    )
    if query.session_id is not None:
        index, parameters = "requests_session", (query.tenant, query.session_id)
        where += " AND session_id = ?"
        exact = exact and not query.status
    elif pending:
        index = "requests_pending"
        where += " AND status = 'pending'"
    elif query.status and closed:
        index = "requests_closed"
        where += " AND status <> 'pending'"
        exact = exact and query.status == frozenset(Status) - {Status.PENDING}
    else:
        index = "sqlite_autoindex_requests_1"
        exact = exact and not query.status
    statement = (
        f"SELECT record FROM requests INDEXED BY {index} WHERE {where} AND id < ?"  # noqa: S608
        " ORDER BY id DESC LIMIT ?"
    )
    return statement, parameters, exact


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=LOCK_SECONDS
    )
    connection.execute(f"PRAGMA page_size = {_DISK_PAGE}")  # a file that is there keeps its
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -32768")  # 32 MB
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply the migrations that this file has not had, each in a transaction of its own."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    folder = importlib.resources.files("sayso.stores.sql") / "sqlite"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    if version > len(files):
        raise ConfigurationError(
            f"The database {str(path)!r} was written by a newer Sayso"
            f" (schema {version}; this one knows {len(files)}).",
            hint="Use the newer Sayso, or another data folder with --data.",
        )
    for number, file in enumerate(files[version:], start=version + 1):
        script = re.sub(r"--.*", "", file.read_text(encoding="utf-8"))
        connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")


def _lock(path: Path) -> IO[bytes]:
    """Hold the file for this process; the lock goes with the process, however it ends."""
    file = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ConfigurationError(
            f"Another Sayso server is using {str(path)!r}.",
            hint="Stop it first, or give this one a data folder of its own with --data.",
            code="database_in_use",
        ) from None
    return file


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file has this name now."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def _store_errors(what: str) -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(
            f"{what}: {error}.", hint="Check that the folder can be written and has space."
        ) from error


def _microseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1_000_000)
