"""The signal on PostgreSQL: LISTEN and NOTIFY, on one connection."""

import asyncio

from sayso.errors import MissingExtraError
from sayso.signals.bus import CLOSE_SECONDS, CONNECT_SECONDS, BusSignal

try:
    import asyncpg
except ModuleNotFoundError:
    raise MissingExtraError("asyncpg", "postgres") from None


class PostgresSignal(BusSignal):
    """Wakes waiters in all processes that listen on the same channel of the same database.

    Args:
        dsn: `postgresql://user:password@host:port/database`; the server itself, since a pooler
            such as PgBouncer in transaction mode does not pass on what LISTEN hears.
        channel: another one for each installation that shares the database; 63 bytes at the most.
    """

    def __init__(self, dsn: str, channel: str = "sayso") -> None:
        super().__init__(dsn)
        self._channel = channel

    async def connect(self) -> "_Listener":
        """One connection, for both directions."""
        connection: asyncpg.Connection = await asyncpg.connect(
            self._url,
            timeout=CONNECT_SECONDS,
            server_settings={
                "application_name": "sayso-signal",
                "synchronous_commit": "off",  # a notification is a hint: no flush for it
            },
        )
        listener = _Listener(connection, self._channel)
        try:
            await listener.listen()
        except BaseException:
            connection.terminate()
            raise
        return listener


class _Listener:
    def __init__(self, connection: asyncpg.Connection, channel: str) -> None:
        self._connection = connection
        self._channel = channel
        self._heard: asyncio.Queue[str | None] = asyncio.Queue()
        connection.add_termination_listener(lambda _: self._heard.put_nowait(None))

    async def listen(self) -> None:
        def hear(connection: object, pid: int, channel: str, payload: object) -> None:
            self._heard.put_nowait(str(payload))

        await self._connection.add_listener(self._channel, hear)

    async def send(self, message: str) -> None:
        await self._connection.execute("SELECT pg_notify($1, $2)", self._channel, message)

    async def receive(self) -> str:
        message = await self._heard.get()
        if message is None:
            raise ConnectionError("the server hung up")
        return message

    async def close(self) -> None:
        await self._connection.close(timeout=CLOSE_SECONDS)
