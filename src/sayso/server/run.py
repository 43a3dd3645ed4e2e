"""Run a server in this process until it is told to stop."""

import asyncio
import contextlib
import errno
import gc
import logging
import resource
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import uvicorn
import uvloop
from msgspec import Struct

from sayso.broker.broker import Broker
from sayso.broker.engine import running
from sayso.broker.signing import make_signing
from sayso.errors import BackendError, ConfigurationError
from sayso.links import make_link_token
from sayso.server.admin import check_admin
from sayso.server.app import App
from sayso.server.auth import Authenticator
from sayso.server.fast_lane import FastLane
from sayso.server.routes.provider import CALLBACK
from sayso.server.server import Server
from sayso.settings import Settings
from sayso.signatures import callback_secret
from sayso.wiring import (
    make_accounts,
    make_broker,
    make_courier,
    make_dispatcher,
    make_keeper,
    make_keys,
    make_secret,
)

STOP_SECONDS = 2
KEEP_ALIVE_SECONDS = 75
"""Agents think between two calls; a connection that was closed meanwhile fails the next one."""

log = logging.getLogger("sayso.server")


class Ready(Struct, frozen=True, kw_only=True):
    """The server listens."""

    url: str
    link: str
    """Signs one person in, once."""


def serve(settings: Settings, ready: Callable[[Ready], None] = lambda _: None) -> None:
    """Serve until SIGINT or SIGTERM; held waits are answered before the process ends.

    Args:
        settings: where to listen, where the data is, the limits.
        ready: called once, as soon as the server takes connections.

    Raises:
        ConfigurationError: the port is taken, or the data folder cannot be used.
        StoreError: the database cannot be opened.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    _allow_open_files()
    sockets = _listen(settings)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, sockets, ready))
    finally:
        for listening in sockets:
            listening.close()


async def _serve(
    settings: Settings, sockets: list[socket.socket], ready: Callable[[Ready], None]
) -> None:
    secret = make_secret(settings)
    port: int = sockets[0].getsockname()[1]
    broker, courier = make_broker(settings), make_courier(settings)
    dispatcher = make_dispatcher(settings, broker, courier, secret) if settings.worker else None
    keys = make_keys(settings, secret)
    keeper = make_keeper(settings, broker, keys) if settings.worker else None
    shared = secret if settings.is_shared else None
    async with (
        running(broker, shared=shared, worker=dispatcher, keeper=keeper),
        AsyncExitStack() as stack,
    ):
        accounts = make_accounts(settings, broker)
        stack.push_async_callback(accounts.close)
        await check_admin(settings, accounts)
        public = urlsplit(settings.public_url or f"http://localhost:{port}")
        auth = Authenticator(
            accounts,
            broker.store,
            broker.clock,
            secret,
            cookie=f"sayso_session_{public.port or public.scheme}",
            hosts=frozenset({*settings.allowed_hosts, settings.host, public.hostname or ""}),
            is_https=public.scheme == "https",
            is_open=settings.is_open,
            jwt_secret=settings.jwt_secret,
        )
        url = public.geturl()
        oidc = None
        if settings.oidc_issuer:
            from sayso.server.oidc import Oidc  # only few servers need it

            oidc = Oidc(settings, url + CALLBACK, broker.store, broker.clock, secret)
            stack.push_async_callback(oidc.close)
        link = f"{url}/login?token={make_link_token(secret, broker.clock.now())}"
        server = Server(
            broker,
            accounts,
            auth,
            settings,
            courier=courier,
            signing=make_signing(broker, secret, url),
            callback_secret=callback_secret(secret),
            keys=keys,
            port=port,
            oidc=oidc,
        )
        uvicorn_server = _Uvicorn(
            server, settings, on_ready=lambda: ready(Ready(url=url, link=link))
        )
        beside = [
            asyncio.ensure_future(server.follow_accounts()),
            asyncio.ensure_future(_try_policies(broker)),
        ]
        await uvicorn_server.serve(sockets)
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
    await courier.close()


async def _try_policies(broker: Broker) -> None:
    """Have the log tell of policies that were kept and cannot be used any more."""
    try:
        await broker.tenants.try_policies()
    except BackendError as error:
        log.error("the policies in force cannot be looked at: %s", error)


class _Uvicorn(uvicorn.Server):
    """uvicorn, which by itself never ends a held request."""

    def __init__(self, server: Server, settings: Settings, on_ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            App(server),
            http=FastLane,
            ws="websockets-sansio",
            lifespan="off",
            access_log=False,
            proxy_headers=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            date_header=False,
            backlog=4096,
            ws_max_size=settings.max_body_bytes,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        super().__init__(config)
        self._served = server
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """End by SIGINT and SIGTERM in good order, which is a success: the exit status is 0."""
        loop = asyncio.get_running_loop()
        for caught in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(caught, self.handle_exit, caught, None)
        try:
            yield
        finally:
            for caught in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(caught)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what is loaded now stays: there is no use in looking through it again
        gc.set_threshold(50_000, 20, 50)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is held, then stop."""
        for connection in self.server_state.connections:
            if isinstance(connection, FastLane):
                connection.answer_last()
        await self._served.stop()
        await super().shutdown(sockets)


def _allow_open_files() -> None:
    """Each wait is an open file: take as many as the system grants without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _listen(settings: Settings) -> list[socket.socket]:
    """Sockets on the loopback addresses, both IPv4 and IPv6, since `localhost` may mean either."""
    first = _bind(settings.host, settings.port)
    sockets = [first]
    if settings.host in ("127.0.0.1", "localhost"):
        try:
            sockets.append(_bind("::1", first.getsockname()[1]))
        except ConfigurationError as error:
            if not _no_ipv6(error.__cause__):  # somebody else there would be sent our links
                first.close()
                if settings.port == 0:
                    return _listen(settings)
                raise
    return sockets


def _no_ipv6(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return _bind_to(family, host, port)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on port {port} of {host!r}: {error.strerror}.",
            hint="Stop what uses it, or choose another with --port (0 takes a free one).",
        ) from error


def _bind_to(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        bound.bind((host, port))
        bound.listen(4096)
    except OSError:
        bound.close()
        raise
    return bound
