"""What the ledger needs beside calls: the sealer, and what retention is set to."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import timedelta

from sayso.clock import Clock
from sayso.domain.redaction import Redaction
from sayso.errors import SaysoError
from sayso.ledger.kept import KeptHead
from sayso.ledger.keys import Keys
from sayso.ledger.retention import RetentionStore, redact, retire
from sayso.ledger.sealer import Sealer

TIDY_SECONDS = 21_600.0
"""Between two looks at what may go."""

log = logging.getLogger("sayso.ledger")


class Keeper:
    """Keeps the ledger while a server or a worker runs.

    Args:
        store: an open store.
        keys: the key to sign with.
        clock: what time it is.
        kept: where the newest head is kept outside the database,
        redactions: which arguments are taken out of closed requests,
        redact_after: and how long after they were closed; zero: never.
        retain: how long closed requests and their events stay; zero: for ever.
    """

    def __init__(
        self,
        store: RetentionStore,
        keys: Keys,
        clock: Clock,
        *,
        kept: KeptHead,
        redactions: Sequence[Redaction] = (),
        redact_after: timedelta = timedelta(0),
        retain: timedelta = timedelta(0),
    ) -> None:
        self.sealer = Sealer(store, keys, clock, kept)
        self._store = store
        self._keys = keys
        self._clock = clock
        self._redactions = redactions
        self._redact_after = redact_after
        self._retain = retain

    async def run(self) -> None:
        """Until `stop`."""
        tidying = asyncio.ensure_future(self._tidy_again_and_again())
        try:
            await self.sealer.run()
        finally:
            tidying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tidying

    async def stop(self) -> None:
        """End, and sign what is there until now."""
        await self.sealer.stop()

    async def tidy(self) -> None:
        """Take out and delete what is old enough."""
        now = self._clock.now()
        keys, clock = self._keys, self._clock
        if self._redact_after:
            before = now - self._redact_after
            await redact(self._store, before, self._redactions, keys=keys, clock=clock)
        if self._retain:
            await retire(self._store, now - self._retain, keys=keys, clock=clock)

    async def _tidy_again_and_again(self) -> None:
        if not self._redact_after and not self._retain:
            return
        while True:
            try:
                await self.tidy()
            except SaysoError as error:
                log.error("what is old cannot be retired: %s", error)
            except Exception:
                log.exception("what is old cannot be retired")
            await asyncio.sleep(TIDY_SECONDS)
