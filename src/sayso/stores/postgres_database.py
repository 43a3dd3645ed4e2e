"""Connections to PostgreSQL: a small pool that outlives the database's restarts.

While the database is away, what is asked for waits a moment for it to come back, and is then
refused; nothing has to be restarted. The driver's errors become Sayso's here.
"""

import asyncio
import contextlib
import importlib.resources
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from sayso.addresses import shown, without_secrets
from sayso.clock import SharedClock, ticks
from sayso.errors import ConfigurationError, MissingExtraError, StoreError

try:
    import asyncpg
except ModuleNotFoundError as error:
    raise MissingExtraError("asyncpg", "postgres") from error

T = TypeVar("T")
Connection: TypeAlias = Any
"""A connection of the pool; the driver's own type is a proxy that has no useful annotation."""

PATIENCE_SECONDS = 3.0
"""How long an operation waits for a database that is away."""
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 10
CLOCK_SECONDS = 30
"""Between two looks at the database's clock."""
_SET_UP = f"""
SET statement_timeout = '{STATEMENT_SECONDS}s';
SET idle_in_transaction_session_timeout = '{STATEMENT_SECONDS}s';
SET default_transaction_isolation = 'read committed';
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET jit = off;
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off';
"""
"""What is read after the lock must be true, and what is told to be kept must be on the disk.
Each of our statements finds few rows by an index; a plan is made once for a connection, perhaps
while the tables are still empty, and a walk over them would be kept while they grow."""
_UNSAFE = (
    "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'"
)
_MIGRATION_LOCK = 7_310_868_734

_AWAY: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it shuts down, or starts
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,  # it is a standby now
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # it has told that it hangs up, and has not yet done so
    OSError,
    asyncio.TimeoutError,
)
_NOT_AWAY = asyncpg.QueryCanceledError

log = logging.getLogger("sayso.store")


class Database:
    """A pool of connections to one PostgreSQL database.

    Args:
        url: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.
        connections: how many to have at the most.
        clock: is set by the database's, so that all replicas have one time.
        migrates: bring the schema up to date; else it is left as it is.
    """

    def __init__(
        self, url: str, *, connections: int, clock: SharedClock | None, migrates: bool = True
    ) -> None:
        self._url = url
        self._migrates = migrates
        self._connections = connections
        self._clock = clock
        self._pool: Any = None
        self._clock_task: asyncio.Task[None] | None = None
        self._is_away = False

    @property
    def name(self) -> str:
        """The database as it may be shown: without the password."""
        return shown(self._url)

    async def open(self) -> None:
        """Connect, bring the schema up to date, follow the clock.

        Raises:
            StoreError: it cannot be reached, or does not let us in.
            ConfigurationError: the URL cannot be used, or the schema is newer than this code.
        """
        try:
            shown(self._url)
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=self._connections,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS + 5,
                init=_set_up,
                reset=_leave_as_it_is,
                server_settings={"application_name": "sayso"},
            )
        except (ValueError, asyncpg.ClientConfigurationError) as error:
            raise ConfigurationError(
                f"The database URL cannot be used: {self._words(error)}.",
                hint="It has the form postgresql://USER:PASSWORD@HOST:PORT/DATABASE.",
            ) from None
        except (asyncpg.PostgresError, *_AWAY) as error:
            raise StoreError(
                f"The database at {self.name} cannot be opened: {self._words(error)}.",
                hint="Check that it runs, the name, the password, and that it may be reached.",
            ) from error
        try:
            if self._migrates:
                await self.run(_migrate)
            await self._warn()
            await self._set_clock()
        except BaseException:
            await self.close()
            raise
        self._clock_task = asyncio.ensure_future(self._follow_clock())

    async def close(self) -> None:
        """Let the connections go. Closing twice is harmless."""
        task, self._clock_task = self._clock_task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await asyncio.wait_for(pool.close(), CONNECT_SECONDS)
            except (TimeoutError, asyncpg.PostgresError, *_AWAY):
                pool.terminate()

    async def run(
        self, work: Callable[[Connection], Awaitable[T]], *, again: Callable[[], None] | None = None
    ) -> T:
        """Do `work` on a connection; if that is lost, once more on another, for a while.

        Args:
            work: must come to the same when it is done twice, since a connection may be lost after
                the work was kept and before that was told.
            again: called before it is done once more.

        Raises:
            StoreError: the database is away, or refuses the work.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        pause = 0.02
        while True:
            try:
                result = await self.run_once(work)
            except _AwayError as away:
                if time.monotonic() + pause > until:
                    raise self._as_away(away.reason) from away.reason
                if again is not None:
                    again()
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  no secret
                pause = min(2 * pause, 0.5)
            else:
                if self._is_away:
                    self._is_away = False
                    log.warning("the database at %s is back", self.name)
                return result

    async def run_alone(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do `work` on a connection, once: what would not come to the same when done twice."""
        try:
            return await self.run_once(work)
        except _AwayError as away:
            raise self._as_away(away.reason) from away.reason

    async def run_once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """As `run_alone`, but for the way in which it tells that the database is away."""
        if self._pool is None:
            raise StoreError("The store is not open.")
        try:
            async with self._pool.acquire(timeout=CONNECT_SECONDS) as connection:
                try:
                    return await work(connection)
                except (asyncpg.InternalClientError, asyncpg.ReadOnlySQLTransactionError):
                    connection.terminate()  # or the pool hands it out again at once
                    raise
        except _NOT_AWAY as error:
            raise StoreError(
                f"The database took too long: {self._words(error)}.", code="database_away"
            ) from error
        except ValueError as error:  # the driver cannot encode it
            raise StoreError(f"The database cannot keep this: {self._words(error)}.") from error
        except _AWAY as error:
            raise _AwayError(error) from error
        except asyncpg.PostgresError as error:
            raise StoreError(f"The database failed: {self._words(error)}.") from error

    def _as_away(self, reason: BaseException) -> StoreError:
        if not self._is_away:
            self._is_away = True
            log.error("the database at %s is away: %s", self.name, self._words(reason))
        return StoreError(
            f"The database is away: {self._words(reason)}.",
            hint="Try again in a moment. Whether the last write was kept is not known: read the"
            " request, or send it again with the same Idempotency-Key.",
            code="database_away",
        )

    def _words(self, error: BaseException) -> str:
        """An error in a line, without a full stop and secrets; the driver's may have several."""
        text = str(error).strip() or type(error).__name__
        return without_secrets(re.sub(r"\s+", " ", text).rstrip("."), self._url)

    async def _follow_clock(self) -> None:
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            with contextlib.suppress(StoreError):
                await self._set_clock()

    async def _set_clock(self) -> None:
        async def look(connection: Connection) -> tuple[float, datetime, float]:
            asked_at = ticks()
            now: datetime = await connection.fetchval("SELECT clock_timestamp()")
            return asked_at, now, ticks()

        if self._clock is not None:
            asked_at, now, told_at = await self.run(look)
            self._clock.set(now, asked_at=asked_at, told_at=told_at)

    async def _warn(self) -> None:
        """Say aloud what the server was told not to keep."""
        for row in await self.run(lambda c: c.fetch(_UNSAFE)):
            log.warning(
                "PostgreSQL at %s has %s off: what was acknowledged may be lost with its power",
                self.name,
                row[0],
            )


def is_everybodys(error: StoreError) -> bool:
    """Whether it says nothing about what was asked for: the database is away, or too slow.

    So to try each part of a batch by itself would only take that long once for each.
    """
    return error.reason_code == "database_away"


class _AwayError(Exception):
    def __init__(self, reason: BaseException) -> None:
        super().__init__(reason)
        self.reason = reason


async def _set_up(connection: Connection) -> None:
    """Once for each connection; not at its start-up, where poolers take no settings."""
    await connection.execute(_SET_UP)


async def _leave_as_it_is(connection: Connection) -> None:
    """Nothing that we do leaves a session changed, so it needs no reset, which is a round trip."""


async def _migrate(connection: Connection) -> None:
    """Apply the migrations that this database has not had, while no other replica does."""
    folder = importlib.resources.files("sayso.stores.sql") / "postgres"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
        await connection.execute("CREATE TABLE IF NOT EXISTS sayso_schema (version integer)")
        version: int = await connection.fetchval("SELECT max(version) FROM sayso_schema") or 0
        if version > len(files):
            raise ConfigurationError(
                f"The database was written by a newer Sayso (schema {version}; this one knows"
                f" {len(files)}).",
                hint="Use the newer Sayso, or another database.",
            )
        for number, file in enumerate(files[version:], start=version + 1):
            await connection.execute(file.read_text(encoding="utf-8"))
            await connection.execute("INSERT INTO sayso_schema VALUES ($1)", number)
