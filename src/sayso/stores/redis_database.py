"""The connection to Redis: calls of our script, which outlive the server's restarts.

While Redis is away, what is asked for waits a moment for it to come back, and is then refused;
nothing has to be restarted. The driver's errors become Sayso's here.
"""

# The package's own types are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
import asyncio
import contextlib
import hashlib
import importlib.resources
import logging
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from sayso.addresses import shown, without_secrets
from sayso.clock import SharedClock, ticks
from sayso.errors import ConfigurationError, MissingExtraError, StoreError

try:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import (
        BusyLoadingError,
        NoScriptError,
        ReadOnlyError,
        RedisError,
        ResponseError,
    )
except ModuleNotFoundError as error:
    raise MissingExtraError("redis", "redis") from error

from sayso.stores.redis_server import check_server

SCHEMA = 1
"""The number of the layout that `lua/store.lua` describes."""
PATIENCE_SECONDS = 3.0
"""How long a call waits for a Redis that is away."""
CONNECT_SECONDS = 3
ANSWER_SECONDS = 10
CLOCK_SECONDS = 30
"""Between two looks at Redis' clock."""

_SCRIPT = (importlib.resources.files("sayso.stores.lua") / "store.lua").read_text(encoding="utf-8")
_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()

log = logging.getLogger("sayso.store")


class Call(Struct, frozen=True):
    """One operation of `lua/store.lua`."""

    operation: str
    told: bytes
    """What it takes, as JSON."""
    records: tuple[bytes, ...] = ()


class Database:
    """All keys of one installation in one Redis.

    Args:
        url: `redis://USER:PASSWORD@HOST:PORT/0`, or `rediss://` for TLS.
        prefix: what all keys begin with.
        clock: is set by Redis' clock, so that all processes have one time.
    """

    def __init__(self, url: str, *, prefix: str, clock: SharedClock | None) -> None:
        self._url = url
        self._prefix = prefix
        self._clock = clock
        self._client: Redis | None = None
        self._clock_task: asyncio.Task[None] | None = None
        self._is_away = False

    @property
    def name(self) -> str:
        """The server as it may be shown: without the password."""
        return shown(self._url)

    async def open(self) -> None:
        """Connect, look whether the server is fit, refuse a newer layout, follow the clock.

        Raises:
            StoreError: it cannot be reached, or does not let us in.
            ConfigurationError: the address, the server or its data cannot be used.
        """
        try:
            shown(self._url)
            _check_number(self._url)
            client = Redis.from_url(
                self._url,
                protocol=2,
                socket_connect_timeout=CONNECT_SECONDS,
                socket_timeout=ANSWER_SECONDS,
                socket_keepalive=True,
                retry=Retry(NoBackoff(), 0),  # a write must not be done twice
            )
        except ValueError as error:
            raise ConfigurationError(
                f"The address of Redis cannot be used: {self._words(error)}.",
                hint="It has the form redis://USER:PASSWORD@HOST:PORT/0.",
            ) from None
        self._client = client
        try:
            await check_server(client, self.name)
            await self._check_schema(client)
            await self._set_clock()
        except (RedisError, OSError) as error:
            await self.close()
            raise StoreError(
                f"Redis at {self.name} cannot be opened: {self._words(error)}.",
                hint="Check that it runs, the user, the password, and that it may be reached.",
            ) from error
        except BaseException:
            await self.close()
            raise
        self._clock_task = asyncio.ensure_future(self._follow_clock())

    async def close(self) -> None:
        """Hang up. Closing twice is harmless."""
        task, self._clock_task = self._clock_task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def run(self, calls: Sequence[Call]) -> Sequence[Any]:
        """Carry out calls, in one command; the result of each, or its `StoreError`.

        All calls are one command so that Redis flushes its file once for them. As commands of
        their own they would not share that: Redis reads 16 KB from a connection, carries out what
        is in there, flushes, and reads on.

        Raises:
            StoreError: Redis is away, or refuses all of them.
        """
        words: list[Any] = ["EVALSHA", _SHA, 1, self._prefix]
        for call in calls:
            words += (call.operation, call.told, len(call.records), *call.records)
        try:
            try:
                results: Sequence[Any] = await self._exchange(*words)
            except NoScriptError:  # a new server, or one that was restarted
                await self._exchange("SCRIPT", "LOAD", _SCRIPT)
                results = await self._exchange(*words)
        except ResponseError as error:
            raise self._as_refused(error) from error
        demoted = next((r for r in results if isinstance(r, ReadOnlyError)), None)
        if demoted is not None and self._client is not None:  # another one leads now
            await self._client.connection_pool.disconnect()
            raise self._as_away(demoted) from demoted
        return [self._as_refused(r) if isinstance(r, ResponseError) else r for r in results]

    async def _exchange(self, *words: Any) -> Any:
        """One command and its reply; a Redis that is away is waited for, before it is sent.

        Once it is sent it is not sent again: what has become of it is not known.
        """
        if self._client is None:
            raise StoreError("The store is closed.")
        pool = self._client.connection_pool
        until = time.monotonic() + PATIENCE_SECONDS
        pause = 0.02
        while True:
            is_sent = False
            try:
                connection = await pool.get_connection()
                try:
                    is_sent = True
                    await connection.send_command(*words)
                    reply = await connection.read_response()
                except ReadOnlyError:  # refused: another server leads now
                    await connection.disconnect()
                    raise
                finally:
                    await pool.release(connection)
            except BusyLoadingError as error:  # it was sent, and refused: Redis starts
                reason = error
            except ReadOnlyError as error:
                reason = error
            except ResponseError:
                raise
            except (RedisError, OSError) as error:
                if is_sent:
                    raise self._as_away(error) from error
                reason = error
            else:
                if self._is_away:
                    self._is_away = False
                    log.warning("Redis at %s is back", self.name)
                return reply
            if time.monotonic() + pause > until:
                raise self._as_away(reason) from reason
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  no secret
            pause = min(2 * pause, 0.5)

    def _as_away(self, error: Exception) -> StoreError:
        if not self._is_away:
            self._is_away = True
            log.error("Redis at %s is away: %s", self.name, self._words(error))
        return StoreError(
            f"Redis is away: {self._words(error)}.",
            hint="Try again in a moment. Whether the last write was kept is not known: read the"
            " request, or send it again with the same Idempotency-Key.",
            code="database_away",
        )

    def _as_refused(self, error: Exception) -> StoreError:
        refused = StoreError(f"Redis refused it: {self._words(error)}.")
        refused.__cause__ = error
        return refused

    def _words(self, error: BaseException) -> str:
        return without_secrets(str(error) or type(error).__name__, self._url).rstrip(".")

    async def _check_schema(self, client: Redis) -> None:
        name = f"{self._prefix}:schema"
        await client.set(name, SCHEMA, nx=True)
        version = int(await client.get(name) or 0)
        if version > SCHEMA:
            raise ConfigurationError(
                f"What is kept in Redis at {self.name} under {self._prefix!r} was written by a"
                f" newer Sayso (layout {version}; this one knows {SCHEMA}).",
                hint="Use the newer Sayso, or another Redis.",
            )

    async def _follow_clock(self) -> None:
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            with contextlib.suppress(StoreError):
                await self._set_clock()

    async def _set_clock(self) -> None:
        if self._clock is not None:
            asked_at = ticks()
            seconds, microseconds = await self._exchange("TIME")
            now = datetime.fromtimestamp(int(seconds), UTC)
            now += timedelta(microseconds=int(microseconds))
            self._clock.set(now, asked_at=asked_at, told_at=ticks())


def _check_number(url: str) -> None:
    """Refuse a database that is named: the driver would take number 0 without a word."""
    parts = urlsplit(url)
    number = parts.path.strip("/")
    if parts.scheme in ("redis", "rediss") and number and not number.isdecimal():
        raise ConfigurationError(
            f"The Redis address {shown(url)!r} names the database {number!r}.",
            hint="Redis numbers its databases: end the address with /0, or leave it out.",
        )
