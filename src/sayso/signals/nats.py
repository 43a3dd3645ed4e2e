"""The signal on NATS: one subject, without JetStream."""

# The package's own types are incomplete.
# pyright: reportUnknownMemberType=false
import re

from sayso.errors import MissingExtraError
from sayso.signals.bus import CONNECT_SECONDS, BusSignal

try:
    from nats.aio.client import Client
    from nats.aio.subscription import Subscription
    from nats.errors import NoServersError
except ModuleNotFoundError:
    raise MissingExtraError("nats-py", "nats") from None

_BETWEEN = re.compile(r",(?=\w+://)")


class NatsSignal(BusSignal):
    """Wakes waiters in all processes that listen on the same subject.

    Args:
        url: `nats://user:password@host:port`; several of one cluster with commas between them.
        subject: another one for each installation that shares the servers.
    """

    def __init__(self, url: str, subject: str = "sayso.signal") -> None:
        super().__init__(url)
        self._subject = subject

    async def connect(self) -> "_Subscriber":
        """One connection, for both directions."""
        client = Client()
        failures: list[Exception] = []

        async def note(error: Exception) -> None:
            failures[:] = [error]

        try:
            await client.connect(
                _BETWEEN.split(self._url),
                name="sayso-signal",
                error_cb=note,
                allow_reconnect=False,  # a connection that was lost is ours to know of
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=int(CONNECT_SECONDS),
            )
            heard = await client.subscribe(self._subject)
            await client.flush()
        except NoServersError as error:
            await client.close()
            raise failures[0] if failures else error from None
        except BaseException:
            await client.close()
            raise
        return _Subscriber(client, self._subject, heard)


class _Subscriber:
    def __init__(self, client: Client, subject: str, heard: Subscription) -> None:
        self._client = client
        self._subject = subject
        self._heard = heard

    async def send(self, message: str) -> None:
        await self._client.publish(self._subject, message.encode())
        await self._client.flush()  # there, and not only on its way

    async def receive(self) -> str:
        return (await self._heard.next_msg(timeout=None)).data.decode()

    async def close(self) -> None:
        await self._client.close()
