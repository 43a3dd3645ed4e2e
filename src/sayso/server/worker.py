"""Run the worker by itself, beside servers that share its database."""

import asyncio
import logging
import signal
from collections.abc import Callable

import uvloop

from sayso.broker.broker import Broker
from sayso.broker.deadlines import keep_deadlines
from sayso.errors import ConfigurationError
from sayso.settings import Settings
from sayso.wiring import make_broker, make_courier, make_dispatcher, make_secret


def work(settings: Settings, ready: Callable[[], None] = lambda: None) -> None:
    """Carry out jobs and keep deadlines until SIGINT or SIGTERM.

    Args:
        settings: where the data is; those of the servers.
        ready: called once, as soon as it works.

    Raises:
        ConfigurationError: the database serves one process only, and another has it.
        StoreError: the database cannot be opened.
    """
    if settings.memory:
        raise ConfigurationError(
            "A worker of its own has nothing to do for a server that keeps all in memory.",
            hint="Leave --memory out; the server does this work itself.",
        )
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings, ready))


async def _work(settings: Settings, ready: Callable[[], None]) -> None:
    broker, courier = make_broker(settings), make_courier(settings)
    await _open(broker)
    try:
        dispatcher = make_dispatcher(settings, broker, courier, make_secret(settings))
        working = [
            asyncio.ensure_future(each) for each in (keep_deadlines(broker), dispatcher.run())
        ]
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for caught in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(caught, stop.set)
        ready()
        await stop.wait()
        broker.signal.release_all()
        await dispatcher.stop()
        for task in working:
            task.cancel()
    finally:
        await courier.close()
        await broker.store.close()


async def _open(broker: Broker) -> None:
    try:
        await broker.store.open()
    except ConfigurationError as error:
        raise ConfigurationError(
            error.detail,
            hint="The server does this work itself. A worker of its own needs a database that"
            f" several processes share: PostgreSQL. {error.hint}".strip(),
        ) from error
