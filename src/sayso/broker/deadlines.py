"""Deadlines: what is due is closed on time, whether or not anybody looks."""

import asyncio
import logging

from sayso.broker.broker import SWEEP_SIZE, Broker
from sayso.errors import BackendError, BusyError

SWEEP_SECONDS = 0.1
"""Between two sweeps; one that finds nothing due is a look at the end of an index, some us."""
RETRY_SECONDS = 1.0
"""After one that failed, which leaves a line in the log."""

log = logging.getLogger("sayso.deadlines")


async def keep_deadlines(broker: Broker) -> None:
    """Expire due requests until cancelled; a failing store is tried again."""
    while True:
        pause = SWEEP_SECONDS
        try:
            closed = await broker.expire_due()
        except (BackendError, BusyError) as error:
            log.error("deadlines wait for the store: %s", error)
            closed, pause = 0, RETRY_SECONDS
        except Exception:
            log.exception("a sweep of the deadlines failed")
            closed, pause = 0, RETRY_SECONDS
        if closed < SWEEP_SIZE:
            await asyncio.sleep(pause)
