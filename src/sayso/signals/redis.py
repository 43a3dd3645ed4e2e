"""The signal on Redis or Valkey: PUBLISH and SUBSCRIBE."""

# The package's own types are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from sayso.errors import MissingExtraError
from sayso.signals.bus import CONNECT_SECONDS, BusSignal

try:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
except ModuleNotFoundError:
    raise MissingExtraError("redis", "redis") from None


class RedisSignal(BusSignal):
    """Wakes waiters in all processes that listen on the same channel of the same server.

    Args:
        url: `redis://user:password@host:port/0`, or `rediss://` for TLS.
        channel: another one for each installation that shares the server, whichever database
            it uses there.
    """

    def __init__(self, url: str, channel: str = "sayso.signal") -> None:
        super().__init__(url)
        self._channel = channel

    async def connect(self) -> "_Subscriber":
        """Two connections, one for each direction."""
        client = Redis.from_url(
            self._url,
            decode_responses=True,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),  # a connection that was lost is ours to know of
        )
        subscriber = _Subscriber(client, self._channel)
        try:
            await subscriber.subscribe()
        except BaseException:
            await subscriber.close()
            raise
        return subscriber


class _Subscriber:
    def __init__(self, client: Redis, channel: str) -> None:
        self._client = client
        self._channel = channel
        self._heard: PubSub = client.pubsub()

    async def subscribe(self) -> None:
        await self._heard.subscribe(self._channel)
        await self._heard.get_message(timeout=None)  # the confirmation

    async def send(self, message: str) -> None:
        await self._client.publish(self._channel, message)

    async def receive(self) -> str:
        while True:
            got = await self._heard.get_message(timeout=None)
            if got is not None and got["type"] == "message":
                return str(got["data"])

    async def close(self) -> None:
        await self._heard.aclose()
        await self._client.aclose()
