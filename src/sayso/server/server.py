"""What the endpoints run on: the engine, who is calling, the limits, and whether we stop."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from sayso.broker.broker import Broker
from sayso.channels.base import Courier
from sayso.server.auth import Authenticator
from sayso.server.openapi import Operation
from sayso.settings import Settings


class Stoppable(Protocol):
    """An open socket."""

    async def stop(self) -> None:
        """Finish what is begun, then end."""
        ...


class Server:
    """One running server.

    Attributes:
        broker: the engine, on an open store.
        auth: who is calling.
        courier: tests subscriptions.
        callback_secret: signs what requests' own addresses are told.
        settings: the limits, and whether to show the gallery.
        port: where it listens.
        operations: what the route table says of itself.
        page_paths: the addresses of the pages that there are.
        stopping: no new streams, and those that are open end.
        streams: how many event streams are open.
        sockets: the WebSockets that are open.
    """

    def __init__(
        self,
        broker: Broker,
        auth: Authenticator,
        settings: Settings,
        *,
        courier: Courier,
        callback_secret: str,
        port: int = 0,
    ) -> None:
        self.port = port or settings.port
        self.broker = broker
        self.auth = auth
        self.courier = courier
        self.callback_secret = callback_secret
        self.settings = settings
        self.operations: Sequence[Operation] = ()
        self.page_paths: frozenset[str] = frozenset()
        self.stopping = False
        self.streams = 0
        self.sockets: set[Stoppable] = set()

    async def stop(self) -> None:
        """Answer all held waits with what is known, and end the streams."""
        self.stopping = True
        self.broker.signal.release_all()
        await asyncio.gather(*(socket.stop() for socket in tuple(self.sockets)))
