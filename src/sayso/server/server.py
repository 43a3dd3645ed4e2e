"""What the endpoints run on: the engine, who is calling, the limits, and whether we stop."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from sayso.broker.accounts import Accounts
from sayso.broker.broker import Broker
from sayso.broker.recorder import ACCOUNTS
from sayso.broker.signing import Signing
from sayso.channels.base import Courier
from sayso.domain.accounts import Principal
from sayso.errors import RefusedError, SaysoError, SignInRequiredError
from sayso.ledger.keys import Keys
from sayso.server.auth import Authenticator
from sayso.server.openapi import Operation
from sayso.server.throttle import Throttle
from sayso.settings import Settings
from sayso.signals.base import EVENTS

if TYPE_CHECKING:
    from sayso.server.oidc import Oidc

log = logging.getLogger("sayso.server")

LOOK_SECONDS = 15
"""After so long it is looked again whether those with an open socket may still come in."""


class OpenSocket(Protocol):
    """A WebSocket."""

    async def stop(self) -> None:
        """Finish what is begun, then end."""
        ...

    async def check(self) -> None:
        """End, if whoever opened it may not come in any more."""
        ...


class HeldCall(Protocol):
    """A call whose answer waits for something."""

    headers: Mapping[bytes, bytes]
    principal: Principal

    def end(self, error: SaysoError) -> None:
        """Answer it with the error now."""
        ...


class Server:
    """One running server.

    Attributes:
        broker: the engine, on an open store.
        accounts: who may come in.
        auth: who is calling.
        throttle: who tries too often.
        oidc: the OpenID provider at which people may sign in, if there is one.
        courier: tests subscriptions.
        signing: decides with passkeys.
        passkeys: people's.
        callback_secret: signs what requests' own addresses are told.
        keys: the ledger's key, which signs bundles.
        settings: the limits, and whether to show the gallery.
        port: where it listens.
        operations: what the route table says of itself.
        page_paths: the addresses of the pages that there are.
        stopping: no new streams, and those that are open end.
        streams: how many event streams are open.
        sockets: the WebSockets that are open.
        held: the calls whose answer waits for something, by the credential that they came with.
    """

    def __init__(
        self,
        broker: Broker,
        accounts: Accounts,
        auth: Authenticator,
        settings: Settings,
        *,
        courier: Courier,
        signing: Signing,
        callback_secret: str,
        keys: Keys,
        port: int = 0,
        oidc: "Oidc | None" = None,
    ) -> None:
        self.port = port or settings.port
        self.broker = broker
        self.accounts = accounts
        self.auth = auth
        self.throttle = Throttle()
        self.oidc = oidc
        self.courier = courier
        self.signing = signing
        self.passkeys = signing.passkeys
        self.callback_secret = callback_secret
        self.keys = keys
        self.settings = settings
        self.operations: Sequence[Operation] = ()
        self.page_paths: frozenset[str] = frozenset()
        self.stopping = False
        self.streams = 0
        self.sockets: set[OpenSocket] = set()
        self.held: dict[bytes, dict[HeldCall, str]] = {}

    async def follow_accounts(self) -> None:
        """Whoever loses an account, a key or a session loses what they hold open, until we stop."""
        with self.broker.signal.subscribe(ACCOUNTS) as waiter:
            while not self.stopping:
                if await waiter.wait(LOOK_SECONDS):
                    self.auth.forget_all()
                    self.broker.signal.wake(EVENTS)  # streams look whether they are welcome
                for socket in tuple(self.sockets):
                    try:
                        await socket.check()
                    except Exception:
                        log.exception("a socket was not checked")
                for calls in tuple(self.held.values()):
                    await self._check_held(calls)

    def hold(self, call: HeldCall, request_id: str) -> None:
        """It waits for a request as long as its credential is good, and its caller may see it."""
        self.held.setdefault(_credential(call), {})[call] = request_id

    def let_go(self, call: HeldCall) -> None:
        """It waits no more."""
        credential = _credential(call)
        calls = self.held.get(credential, {})
        calls.pop(call, None)
        if not calls:
            self.held.pop(credential, None)

    async def _check_held(self, calls: Mapping[HeldCall, str]) -> None:
        """End calls that came with one credential, if it is not good any more or opens less."""
        try:
            if not calls:
                return
            by = await self.auth.principal(next(iter(calls)).headers)
            for call, request_id in tuple(calls.items()):
                if by == call.principal:
                    continue
                try:
                    await self.broker.get(request_id, by=by)
                except RefusedError as error:
                    call.end(error)
        except SignInRequiredError as error:
            for call in tuple(calls):
                call.end(error)
        except SaysoError as error:  # the store is away: looked at again soon
            log.debug("a held call was not checked: %s", error)

    async def stop(self) -> None:
        """Answer all held waits with what is known, and end the streams."""
        self.stopping = True
        self.broker.signal.release_all()
        await asyncio.gather(*(socket.stop() for socket in tuple(self.sockets)))


def _credential(call: HeldCall) -> bytes:
    headers = call.headers
    return headers.get(b"authorization") or headers.get(b"x-api-key") or headers.get(b"cookie", b"")
