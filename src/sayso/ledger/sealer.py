"""Follows the log and signs it in blocks, beside the hot path.

Several processes may do so at once: a block is kept by its number, once, and each is made from the
one that is kept, so whoever comes second starts again from what the first has made.
"""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from sayso.clock import Clock
from sayso.domain.blocks import MAX_BLOCK, Block
from sayso.errors import ConfigurationError, LedgerError, SaysoError
from sayso.ledger.blocks import GENESIS, HASH_BYTES, block_statement, chained, key_id_of, leaf_of
from sayso.ledger.kept import KeptHead, hold
from sayso.ledger.keys import Keys, SigningKey, fits
from sayso.stores.base import LedgerStore, LogRow

SEAL_SECONDS = 0.5
"""Between two looks at the log: so long an event may stand in it without a signature."""
KEEP_SECONDS = 5.0
"""Between two writings of the newest head to where it is kept outside the database."""
_ALARM_SECONDS = 60
"""After what went wrong, until it is told again."""

log = logging.getLogger("sayso.ledger")


class Sealer:
    """Signs what is appended to the log.

    Args:
        store: an open store.
        keys: the key to sign with.
        clock: what time it is.
        kept: where the newest head is kept outside the database. Default: nowhere.
    """

    def __init__(
        self, store: LedgerStore, keys: Keys, clock: Clock, kept: KeptHead | None = None
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._kept = KeptHead(None) if kept is None else kept
        self._kept_at: tuple[int, float] = (0, 0.0)
        self._can_keep = True
        self._newest: Block | None = None
        """The newest that was seen, by this process or before it."""
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._alarmed: tuple[str, float] = ("", 0.0)

    async def run(self) -> None:
        """Sign what comes, until `stop`."""
        try:
            while not self._stopping.is_set():
                sealed = await self._try()
                await self.keep()
                if sealed < MAX_BLOCK:
                    await self._pause()
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """End, and sign what is there until now."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        await self._ended.wait()
        while await self._try() == MAX_BLOCK:
            pass
        await self.keep(at_once=True)

    async def seal(self) -> int:
        """Sign the next events, in one block; how many they were.

        Raises:
            LedgerError: the log or the last block is not what it was, also before a restart
                (`ledger_rollback`), or the key is not the one that the ledger goes on with.
                Nothing is signed then.
            StoreError: the database failed.
        """
        # Before the last block: another server here may seal, and keep its head, in between.
        known = self._kept.read() if self._newest is None else None
        last, key = await self._store.last_block(), self._keys.current()
        await self._check_last(last, key, known)
        rows = await self._store.log(0 if last is None else last.last, MAX_BLOCK)
        if not rows:
            return 0
        block = make_block(last, rows, key, round(self._clock.now().timestamp() * 1_000_000))
        if await self._store.add_block(block):
            self._newest = msgspec.structs.replace(block, hashes=b"")
        return len(rows)

    async def keep(self, *, at_once: bool = False) -> None:
        """Keep the newest head outside the database, if it is time for that.

        Where that cannot be it is told once, and signing goes on.
        """
        newest, (number, at) = self._newest, self._kept_at
        now = asyncio.get_running_loop().time()
        if newest is None or newest.number == number or not self._can_keep:
            return
        if number and now - at < KEEP_SECONDS and not at_once:
            return
        try:
            await asyncio.to_thread(self._kept.write, newest)
            self._kept_at = (newest.number, now)
        except ConfigurationError as error:
            self._can_keep = False
            log.warning("%s", error)

    async def _check_last(self, last: Block | None, key: SigningKey, known: Block | None) -> None:
        """Never go on from what we would not have signed, or behind what was seen."""
        if self._newest is not None:
            await hold(self._store, self._newest, last)
        elif known is not None:
            await hold(self._store, known, last, f"as {self._kept.path} tells")
        if last is None:
            return
        introductions = (*key.introductions, *last.keys)
        public = next((k.public for k in introductions if key_id_of(k.public) == last.key_id), None)
        if public is None:
            key.since(last.key_id)
        elif not fits(public, last.signature, block_statement(last)):
            raise LedgerError(f"The signature of block {last.number} does not fit.")
        elif last.hashes[-HASH_BYTES:].hex() != last.head:
            raise LedgerError(f"Block {last.number} does not end with its head.")
        self._newest = msgspec.structs.replace(last, hashes=b"")

    async def _try(self) -> int:
        """Seal once; what went wrong is told, and tried again: decisions do not wait for it."""
        try:
            return await self.seal()
        except SaysoError as error:
            self._alarm(str(error), None)
        except Exception as error:  # noqa: BLE001  it is logged; such as a block that only a newer version can read
            self._alarm(repr(error), error)
        return 0

    def _alarm(self, what: str, error: Exception | None) -> None:
        said, at = self._alarmed
        now = asyncio.get_running_loop().time()
        if said != what or now - at >= _ALARM_SECONDS:
            self._alarmed = (what, now)
            log.error("the ledger cannot be signed: %s", what, exc_info=error)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(SEAL_SECONDS):
                await self._stopping.wait()
        except TimeoutError:
            return


def make_block(last: Block | None, rows: Sequence[LogRow], key: SigningKey, at: int) -> Block:
    """The block that comes after `last` and signs these events.

    Args:
        last: the newest block; None for the first.
        rows: the events behind it, one at least.
        key: signs it.
        at: the present moment, in microseconds since 1970.

    Raises:
        LedgerError: a number is missing in the log, or the key does not come next.
    """
    first = 1 if last is None else last.last + 1
    for number, row in enumerate(rows, start=first):
        if row.number != number:
            raise LedgerError(f"Event {number} is missing in the log.")
    previous = GENESIS if last is None else bytes.fromhex(last.head)
    hashes = chained(previous, (leaf_of(row.record) for row in rows))
    block = Block(
        number=1 if last is None else last.number + 1,
        first=first,
        last=rows[-1].number,
        previous=previous.hex(),
        head=hashes[-HASH_BYTES:].hex(),
        at=at,
        key_id=key.key_id,
        signature="",
        keys=key.since(None if last is None else last.key_id),
        hashes=hashes,
    )
    return msgspec.structs.replace(block, signature=key.sign(block_statement(block)))
