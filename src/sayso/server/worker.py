"""Run the worker by itself, beside servers that share its database."""

import asyncio
import logging
import signal
from collections.abc import Callable

import uvloop

from sayso.broker.engine import running
from sayso.errors import ConfigurationError
from sayso.settings import Settings
from sayso.wiring import (
    make_broker,
    make_courier,
    make_dispatcher,
    make_keeper,
    make_keys,
    make_secret,
)


def work(settings: Settings, ready: Callable[[], None] = lambda: None) -> None:
    """Carry out jobs and keep deadlines until SIGINT or SIGTERM.

    Args:
        settings: where the data is; those of the servers.
        ready: called once, as soon as it works.

    Raises:
        ConfigurationError: the database serves one process only.
        StoreError: the database cannot be opened.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings, ready))


async def _work(settings: Settings, ready: Callable[[], None]) -> None:
    if not settings.is_shared:
        raise ConfigurationError(
            "A worker of its own needs a database that several processes share.",
            hint="Name one with --database-url, as for the servers; with the embedded database"
            " the server does this work itself.",
        )
    secret = make_secret(settings)
    broker, courier = make_broker(settings), make_courier(settings)
    dispatcher = make_dispatcher(settings, broker, courier, secret)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for caught in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(caught, stop.set)
    keeper = make_keeper(settings, broker, make_keys(settings, secret))
    async with running(broker, shared=secret, worker=dispatcher, keeper=keeper):
        ready()
        await stop.wait()
        broker.signal.release_all()
    await courier.close()
