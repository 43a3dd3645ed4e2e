"""A trace in a SQLite file, which several processes may write at once, or in memory.

A batch is one statement whose only parameter is a JSON array: SQLite takes it apart by itself,
without the interpreter's lock, so that writing does not hold up the program that is traced.
"""

import contextlib
import sqlite3
from collections.abc import Generator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from sayso.domain.traces import TraceEvent, TraceEventType
from sayso.errors import ConfigurationError, StoreError
from sayso.telemetry.base import SCHEMA_VERSION

IN_MEMORY = ":memory:"
_LOCK_SECONDS = 10
"""How long a batch waits for another process that has locked the file."""
_APPLICATION = 0x53617954
"""`SayT`: says in the file's header whose it is."""
_TABLES = (
    """CREATE TABLE trace_events (
        id INTEGER PRIMARY KEY,     -- rises in the order of the events
        timestamp TEXT NOT NULL,    -- UTC, ISO 8601
        run_id TEXT NOT NULL,
        event_type TEXT NOT NULL,
        payload TEXT NOT NULL       -- JSON
    )""",
    "CREATE INDEX trace_events_run ON trace_events (run_id)",
    "CREATE INDEX trace_events_type ON trace_events (event_type)",
    """CREATE VIEW runs AS
        SELECT started.run_id,
            started.payload ->> 'scenario_id' AS scenario_id,
            started.payload ->> 'condition_id' AS condition_id,
            started.payload ->> 'agent_version' AS agent_version,
            started.payload ->> 'model' AS model,
            started.payload ->> 'seed' AS seed,
            started.payload ->> 'started_at' AS started_at,
            ended.timestamp AS finished_at,
            ended.payload ->> 'task_success' AS task_success,
            ended.payload -> 'validation_details' AS validation_details
        FROM trace_events AS started
        LEFT JOIN trace_events AS ended ON ended.id = (
            SELECT max(id) FROM trace_events
            WHERE run_id = started.run_id AND event_type = 'run_end'
        )
        WHERE started.event_type = 'run_start' AND started.id = (
            SELECT min(id) FROM trace_events
            WHERE run_id = started.run_id AND event_type = 'run_start'
        )""",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_INSERT = """
INSERT INTO trace_events (timestamp, run_id, event_type, payload)
SELECT value ->> 'timestamp', value ->> 'run_id', value ->> 'event_type', value -> 'payload'
FROM json_each(?)
"""
_EVENTS = """
SELECT timestamp, run_id, event_type, payload FROM trace_events
WHERE {runs} {types} ORDER BY id LIMIT ?2
"""
_ANY_RUN = "?1 IS NULL"
_OF_RUNS = "run_id IN (SELECT value FROM json_each(?1))"


class SqliteSink:
    """Events in the table `trace_events` of a file, or in memory for `:memory:`.

    What is written survives the end of the process at once, and that of the machine a moment
    later (WAL with `synchronous=NORMAL`).

    Raises:
        ConfigurationError: it is not a trace of ours, or one of a newer version.
        StoreError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with self._failing("opened"):
            if path != IN_MEMORY:
                Path(path).touch(mode=0o600)  # arguments are nobody else's business
            self._connection = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
        try:
            with self._failing("opened"):
                self._set_up()
        except BaseException:
            self._connection.close()
            raise

    def write(self, lines: list[bytes]) -> None:
        """In one transaction."""
        batch = (b"[" + b",".join(lines) + b"]").decode()
        with self._failing("written"):
            self._connection.execute(_INSERT, (batch,))

    def events(
        self,
        *,
        run_ids: Sequence[str] | None = None,
        types: Sequence[TraceEventType] = (),
        limit: int | None = None,
    ) -> list[TraceEvent]:
        """By the index of runs, or that of types."""
        marks = ", ".join(f"?{place}" for place in range(3, 3 + len(types)))
        # Of one run there are few: `+` keeps SQLite from going through all runs by their types.
        column = "event_type" if run_ids is None else "+event_type"
        statement = _EVENTS.format(
            runs=_ANY_RUN if run_ids is None else _OF_RUNS,
            types=f"AND {column} IN ({marks})" if types else "",
        )
        runs = None if run_ids is None else msgspec.json.encode(list(run_ids)).decode()
        parameters = (runs, -1 if limit is None else limit, *types)
        with self._failing("read"):
            return [
                TraceEvent(
                    timestamp=datetime.fromisoformat(timestamp),
                    run_id=run,
                    event_type=TraceEventType(kind),
                    payload=msgspec.json.decode(payload),
                )
                for timestamp, run, kind, payload in self._connection.execute(statement, parameters)
            ]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _set_up(self) -> None:
        connection = self._connection
        self._check()
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 8000")  # 32 MB: fewer, larger flushes
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not self._check():
                for statement in _TABLES:
                    connection.execute(statement)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _check(self) -> bool:
        """Whether the tables are there; refuses what is no trace of this version, untouched."""
        connection = self._connection
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        if application != _APPLICATION and names:
            whose = "hitloop's" if "trace_events" in names else "another program's"
            raise ConfigurationError(
                f"The database {self._path!r} is {whose}; no trace can be written to it.",
                hint="Name another file, such as trace.db; it is made when missing.",
            )
        if application == _APPLICATION and version > SCHEMA_VERSION:
            raise ConfigurationError(
                f"The trace {self._path!r} was written by a newer Sayso (schema {version}; this"
                f" one knows {SCHEMA_VERSION}).",
                hint="Use the newer Sayso, or another file.",
            )
        return application == _APPLICATION

    @contextlib.contextmanager
    def _failing(self, what: str) -> Generator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            if what == "written" and not _may_pass(error):
                raise
            if what == "opened" and not isinstance(error, sqlite3.OperationalError | OSError):
                raise ConfigurationError(
                    f"The file {self._path!r} is no SQLite database: {error}.",
                    hint="Name another file, such as trace.db; it is made when missing.",
                ) from error
            raise StoreError(
                f"The trace {self._path!r} cannot be {what}: {error}.",
                hint="Check the folder, the space on the disk, and who has locked the file.",
            ) from error


def _may_pass(error: Exception) -> bool:
    """Whether it is the file's fault, such as a full disk; else it is about what was written."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode != sqlite3.SQLITE_ERROR
    return isinstance(error, OSError)
