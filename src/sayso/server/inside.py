"""The application without a socket: for commands that manage accounts while no server runs."""

import contextlib
from collections.abc import AsyncGenerator

from sayso.broker.engine import running
from sayso.broker.signing import make_signing
from sayso.links import make_link_token
from sayso.server.app import App
from sayso.server.auth import Authenticator
from sayso.server.server import Server
from sayso.settings import Settings
from sayso.signatures import callback_secret
from sayso.wiring import make_accounts, make_broker, make_courier, make_keys, make_secret


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[tuple[App, str]]:
    """The application on the database that the settings name, and a one-time link's token.

    Other servers on the same database may go on; they are told of what changes.

    Raises:
        ConfigurationError: a server holds the database for itself (`database_in_use`), or it
            cannot be used.
        StoreError: the database cannot be opened.
    """
    secret = make_secret(settings)
    broker = make_broker(settings)
    async with running(broker, shared=secret if settings.is_shared else None):
        accounts = make_accounts(settings, broker)
        auth = Authenticator(accounts, broker.store, broker.clock, secret, cookie="inside")
        server = Server(
            broker,
            accounts,
            auth,
            settings,
            courier=make_courier(settings),
            signing=make_signing(broker, secret, settings.public_url),
            callback_secret=callback_secret(secret),
            keys=make_keys(settings, secret),
        )
        try:
            yield App(server), make_link_token(secret, broker.clock.now())
        finally:
            await accounts.close()
