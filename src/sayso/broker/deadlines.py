"""Deadlines: what is due is closed on time, whether or not anybody looks."""

import asyncio
import logging

from sayso.broker.broker import SWEEP_SIZE, Broker
from sayso.errors import BackendError

SWEEP_SECONDS = 0.1
"""Between two sweeps; one that finds nothing due is a look at the end of an index, some us."""

log = logging.getLogger("sayso.deadlines")


async def keep_deadlines(broker: Broker) -> None:
    """Expire due requests until cancelled; a failing store is tried again."""
    while True:
        try:
            closed = await broker.expire_due()
        except BackendError as error:
            log.error("deadlines wait for the store: %s", error)
            closed = 0
        except Exception:
            log.exception("a sweep of the deadlines failed")
            closed = 0
        if closed < SWEEP_SIZE:
            await asyncio.sleep(SWEEP_SECONDS)
