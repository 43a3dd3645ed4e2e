"""The engine at work: what runs beside the calls, from opening the store to closing it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

from sayso.broker.broker import Broker
from sayso.broker.deadlines import keep_deadlines
from sayso.domain.events import EventType
from sayso.errors import BackendError
from sayso.signals.base import EVENTS
from sayso.stores.base import EventQuery

FOLLOW_SECONDS = 1.0
"""How long a lost signal may delay a waiter in another process."""
_FOLLOW_EVENTS = 1_000

log = logging.getLogger("sayso.engine")


@contextlib.asynccontextmanager
async def running(broker: Broker, *, shared: bool) -> AsyncGenerator[None]:
    """Open the store and the signal, and keep deadlines, until the block ends.

    Args:
        broker: the engine.
        shared: whether other processes use the same store.

    Raises:
        StoreError: the database cannot be opened.
        SignalError: the wake-up bus cannot be reached.
        ConfigurationError: they cannot be used as they are.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(broker.store.close)
        await broker.store.open()
        stack.push_async_callback(broker.signal.close)
        await broker.signal.open()
        _beside(stack, keep_deadlines(broker))
        if shared:
            _beside(stack, follow_log(broker))
        yield


async def follow_log(broker: Broker) -> None:
    """Wake those who wait for what other processes changed, should the signal have been lost.

    The log tells exactly what was changed since it was last read, after whatever interruption.
    """
    after: int | None = None
    while True:
        try:
            if after is None:
                _, after = await broker.store.events(EventQuery(limit=0))
            query = EventQuery(tenant=None, after=after, limit=_FOLLOW_EVENTS)
            events, after = await broker.store.events(query)
        except BackendError as error:
            log.error("the log cannot be followed: %s", error)
            events = ()
        for event in events:
            if event.request_id is not None and event.type is not EventType.REQUEST_SUBMITTED:
                broker.signal.wake(event.request_id)
        if events:
            broker.signal.wake(EVENTS)
        if len(events) < _FOLLOW_EVENTS:
            await asyncio.sleep(FOLLOW_SECONDS)


def _beside(stack: contextlib.AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until the stack is left."""
    task = asyncio.ensure_future(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
