"""Deadlines: what is due is closed on time, whether or not anybody looks."""

import asyncio
import logging

from sayso.broker.broker import SWEEP_SIZE, Broker
from sayso.broker.outages import STORE_ERRORS, Outage

SWEEP_SECONDS = 0.1
"""Between two sweeps; one that finds nothing due is a look at the end of an index, some us."""
RETRY_SECONDS = 1.0
"""After one that failed."""

log = logging.getLogger("sayso.deadlines")


async def keep_deadlines(broker: Broker) -> None:
    """Expire due requests until cancelled; a failing store is tried again."""
    outage = Outage(log, "deadlines")
    while True:
        pause = SWEEP_SECONDS
        try:
            closed = await broker.expire_due()
            outage.over()
        except STORE_ERRORS as error:
            outage.failed(error)
            closed, pause = 0, RETRY_SECONDS
        except Exception:
            log.exception("a sweep of the deadlines failed")
            closed, pause = 0, RETRY_SECONDS
        if closed < SWEEP_SIZE:
            await asyncio.sleep(pause)
