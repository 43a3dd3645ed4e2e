"""A trace in PostgreSQL, for programs on several machines."""

import asyncio
import contextlib
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from sayso.addresses import shown, without_secrets
from sayso.domain.traces import TraceEvent, TraceEventType
from sayso.errors import ConfigurationError, MissingExtraError, StoreError
from sayso.telemetry.base import SCHEMA_VERSION

try:
    import asyncpg
except ModuleNotFoundError as error:
    raise MissingExtraError("asyncpg", "postgres") from error

T = TypeVar("T")

_CONNECT_SECONDS = 5
_STATEMENT_SECONDS = 20
_LOCK = 7_310_868_735
"""The advisory lock under which the tables are made."""
_TABLES = """
CREATE TABLE sayso_trace_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- rises in the order of a program's events
    timestamp timestamptz NOT NULL,
    run_id text NOT NULL,
    event_type text NOT NULL,
    payload jsonb NOT NULL
);
CREATE INDEX sayso_trace_events_run ON sayso_trace_events (run_id, id);
CREATE INDEX sayso_trace_events_type ON sayso_trace_events (event_type, id);
CREATE TABLE sayso_trace_writers (
    id text PRIMARY KEY,
    batch bigint NOT NULL,  -- the last one that was kept, so that none is kept twice
    wrote_at timestamptz NOT NULL
);
CREATE TABLE sayso_trace_schema (version integer NOT NULL);
"""
_INSERT = """
WITH fresh AS (
    INSERT INTO sayso_trace_writers AS writer (id, batch, wrote_at) VALUES ($1, $2, now())
    ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, wrote_at = now()
    WHERE writer.batch < excluded.batch
    RETURNING 1
)
INSERT INTO sayso_trace_events (timestamp, run_id, event_type, payload)
SELECT (event ->> 'timestamp')::timestamptz, event ->> 'run_id', event ->> 'event_type',
    (event -> 'payload')::jsonb
FROM fresh, json_array_elements($3::json) WITH ORDINALITY AS given (event, place)
ORDER BY place
"""
_EVENTS = """
SELECT timestamp, run_id, event_type, payload::text FROM sayso_trace_events
WHERE ($1::text[] IS NULL OR run_id = ANY($1))
    AND (cardinality($2::text[]) = 0 OR event_type = ANY($2))
ORDER BY id LIMIT $3
"""
_NUL = re.compile(rb"((?<!\\)(?:\\\\)*)\\u0000")
"""The one character that PostgreSQL's texts cannot hold, as JSON spells it."""
_AWAY: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class PostgresSink:
    """Events in the table `sayso_trace_events`, over one connection in an event loop of its own.

    A batch whose fate is not known, since the connection was lost, is tried again and kept once.

    Raises:
        ConfigurationError: the address cannot be used, or the tables are of a newer version.
        StoreError: the database cannot be reached, or does not let us in.
    """

    def __init__(self, url: str) -> None:
        try:
            self._name = shown(url)
        except ValueError as error:
            raise ConfigurationError(
                "The address of the trace cannot be used.", hint=str(error)
            ) from None
        self._url = url
        self._writer = secrets.token_hex(16)
        self._batch = 0
        self._connection: Any = None
        self._loop = asyncio.new_event_loop()
        try:
            self._run("opened", self._make_tables)
        except BaseException:
            self.close()
            raise

    def write(self, lines: list[bytes]) -> None:
        """In one statement, and so in one transaction."""
        data = b"[" + b",".join(lines) + b"]"
        if b"\\u0000" in data:
            data = _NUL.sub(rb"\1\\ufffd", data)
        text = data.decode()
        self._run("written", lambda c: c.execute(_INSERT, self._writer, self._batch + 1, text))
        self._batch += 1

    def events(
        self,
        *,
        run_ids: Sequence[str] | None = None,
        types: Sequence[TraceEventType] = (),
        limit: int | None = None,
    ) -> list[TraceEvent]:
        """By the index of runs, or that of types."""
        runs = None if run_ids is None else list(run_ids)
        rows = self._run("read", lambda c: c.fetch(_EVENTS, runs, list(types), limit))
        return [
            TraceEvent(
                timestamp=timestamp,
                run_id=run,
                event_type=TraceEventType(kind),
                payload=msgspec.json.decode(payload),
            )
            for timestamp, run, kind, payload in rows
        ]

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(asyncpg.PostgresError, *_AWAY):
                self._loop.run_until_complete(connection.close(timeout=_CONNECT_SECONDS))
        self._loop.close()

    def _run(self, what: str, work: Callable[[Any], Awaitable[T]]) -> T:
        """Do `work` on the connection, which is made when there is none."""
        try:
            return self._loop.run_until_complete(self._work(work))
        except (ValueError, asyncpg.ClientConfigurationError) as error:
            if what == "written":
                raise
            raise ConfigurationError(
                f"The trace at {self._name} cannot be {what}: {error}."
            ) from None
        except (asyncpg.PostgresError, *_AWAY) as error:
            if what == "written" and not isinstance(error, _AWAY):
                raise  # about what was written; to try again would not help
            words = without_secrets(
                str(error).strip().rstrip(".") or type(error).__name__, self._url
            )
            raise StoreError(
                f"The trace at {self._name} cannot be {what}: {words}.",
                hint="Check that it runs, the name, the password, and that it may be reached.",
            ) from error

    async def _work(self, work: Callable[[Any], Awaitable[T]]) -> T:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._url,
                timeout=_CONNECT_SECONDS,
                command_timeout=_STATEMENT_SECONDS,
                server_settings={"application_name": "sayso-telemetry"},
            )
        try:
            return await work(self._connection)
        except _AWAY:
            self._connection.terminate()
            raise

    async def _make_tables(self, connection: Any) -> None:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            if await connection.fetchval("SELECT to_regclass('sayso_trace_schema')") is None:
                await connection.execute(_TABLES)
                await connection.execute(
                    "INSERT INTO sayso_trace_schema VALUES ($1)", SCHEMA_VERSION
                )
            version = await connection.fetchval("SELECT max(version) FROM sayso_trace_schema")
            if version > SCHEMA_VERSION:
                raise ConfigurationError(
                    f"The trace at {self._name} was written by a newer Sayso (schema {version};"
                    f" this one knows {SCHEMA_VERSION}).",
                    hint="Use the newer Sayso, or another database.",
                )
