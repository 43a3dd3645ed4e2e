"""The engine at work: what runs beside the calls, from opening the store to closing it."""

import asyncio
import contextlib
import hmac
import logging
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, Protocol

from sayso.broker.broker import Broker
from sayso.broker.deadlines import keep_deadlines
from sayso.broker.outages import STORE_ERRORS, Outage
from sayso.domain.events import EventType
from sayso.errors import ConfigurationError
from sayso.signals.base import EVENTS
from sayso.stores.base import EventQuery

FOLLOW_SECONDS = 1.0
"""How long a lost signal may delay a waiter in another process."""
_FOLLOW_EVENTS = 1_000

log = logging.getLogger("sayso.engine")


class Worker(Protocol):
    """Carries out jobs."""

    async def run(self) -> None:
        """Until `stop`."""
        ...

    async def stop(self) -> None:
        """End in good order. Stopping twice is harmless."""
        ...


@contextlib.asynccontextmanager
async def running(
    broker: Broker,
    *,
    shared: bytes | None,
    worker: Worker | None = None,
    keeper: Worker | None = None,
) -> AsyncGenerator[None]:
    """Open the store and the signal, and keep deadlines, until the block ends.

    Args:
        broker: the engine.
        shared: the secret that all processes on the same store must have; None if there are
            no others.
        worker: is run meanwhile, if this process carries out jobs.
        keeper: the same, if it keeps the ledger; it is stopped last, when nothing comes any more.

    Raises:
        StoreError: the database cannot be opened.
        SignalError: the wake-up bus cannot be reached.
        ConfigurationError: they cannot be used as they are, or the secret is not the others'.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(broker.store.close)
        await broker.store.open()
        if shared is not None:
            await _check_secret(broker, shared)
        stack.push_async_callback(broker.signal.close)
        await broker.signal.open()
        if keeper is not None:
            _beside(stack, keeper.run())
            stack.push_async_callback(keeper.stop)
        _beside(stack, keep_deadlines(broker))
        if shared is not None:
            _beside(stack, follow_log(broker))
        if worker is not None:
            _beside(stack, worker.run())
            stack.push_async_callback(worker.stop)
        yield


async def follow_log(broker: Broker) -> None:
    """Wake those who wait for what other processes changed, should the signal have been lost.

    The log tells exactly what was changed since it was last read, after whatever interruption.
    """
    after: int | None = None
    outage = Outage(log, "wake-ups by the log")
    while True:
        try:
            if after is None:
                _, after = await broker.store.events(EventQuery(limit=0))
            query = EventQuery(tenant=None, after=after, limit=_FOLLOW_EVENTS)
            events, after = await broker.store.events(query)
            outage.over()
        except STORE_ERRORS as error:
            outage.failed(error)
            events = ()
        except Exception:  # such as an event that only a newer version can read: go on behind it
            log.exception("the log cannot be followed")
            events, after = (), None
        for event in events:
            if event.request_id is not None and event.type is not EventType.REQUEST_SUBMITTED:
                broker.signal.wake(event.request_id)
        if events:
            broker.signal.wake(EVENTS)
        if len(events) < _FOLLOW_EVENTS:
            await asyncio.sleep(FOLLOW_SECONDS)


async def _check_secret(broker: Broker, secret: bytes) -> None:
    """Links, and what is sent, are signed with it: with two of them neither would fit."""
    mark = hmac.digest(secret, b"sayso shared secret v1\0", "sha256").hex()
    if await broker.store.agree("secret", mark) != mark:
        raise ConfigurationError(
            "This process's secret key is not the one of the others on the same database.",
            hint="Give all of them the same file: copy secret.key, or name it with"
            " SAYSO_SECRET_FILE.",
        )


def _beside(stack: contextlib.AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until the stack is left."""
    task = asyncio.ensure_future(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
