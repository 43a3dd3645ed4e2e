"""The newest head, kept outside the database: beside the key, where who writes to it cannot.

So a restart, too, notices that signed blocks are gone or are others. The file holds a block as
`GET /api/v1/audit/blocks` shows it; `sayso audit verify --against` takes it as it is.
"""

from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from sayso import codec
from sayso.clock import Clock
from sayso.domain.blocks import Block
from sayso.domain.events import Event, EventType
from sayso.errors import ConfigurationError, LedgerError
from sayso.ledger.keys import write_private
from sayso.stores.base import LedgerReader, RecordStore
from sayso.types import JsonObject

_WAY_OUT = (
    "Find out what happened: sayso audit verify. If a backup was restored on purpose, stop the"
    " servers, then: sayso audit accept-rollback"
)


class RollbackStore(LedgerReader, RecordStore, Protocol):
    """What accepting a rollback reads and writes."""


class KeptHead:
    """The file with the newest head that this machine has seen.

    Args:
        path: the file, which need not be there; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def read(self) -> Block | None:
        """The head; None if none was kept.

        Raises:
            LedgerError: the file cannot be read (`ledger_rollback`).
        """
        if self.path is None:
            return None
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Block)
        except FileNotFoundError:
            return None
        except (OSError, *codec.UNREADABLE) as error:
            raise LedgerError(
                f"The ledger's newest head in {str(self.path)!r} cannot be read: {error}.",
                hint=_WAY_OUT,
                code="ledger_rollback",
            ) from error

    def write(self, block: Block | None) -> None:
        """Keep this one instead, with mode 0600, in one piece; None forgets it.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        if self.path is None:
            return
        try:
            if block is None:
                self.path.unlink(missing_ok=True)
            else:
                content = msgspec.json.encode(msgspec.structs.replace(block, hashes=b""))
                write_private(self.path, content + b"\n")
        except OSError as error:
            raise ConfigurationError(
                f"The ledger's newest head cannot be kept in {str(self.path)!r}: {error.strerror}."
                " After a restart nobody here would notice that signed blocks are gone.",
                hint="Let the server write to the folder of its key, or keep heads elsewhere:"
                " docs/audit.md.",
            ) from error


class Rollback(Struct, frozen=True, kw_only=True):
    """What was accepted."""

    kept: Block | None
    """The head that was kept; None if it could not be read."""
    found: Block | None
    """The newest block of the ledger; None if it has none."""


async def hold(store: LedgerReader, known: Block, last: Block | None, where: str = "") -> None:
    """See to it that a ledger still has a head.

    Args:
        store: an open store.
        known: the head.
        last: the newest block of the ledger.
        where: what tells the head, for the error.

    Raises:
        LedgerError: it has not (`ledger_rollback`).
        StoreError: the database failed.
    """
    told = f" ({where})" if where else ""
    if last is None or last.number < known.number:
        at = "nothing" if last is None else f"block {last.number}"
        raise LedgerError(
            f"The ledger was at block {known.number}{told}, and is at {at} now: blocks were"
            " deleted, or an older copy of the database was restored.",
            hint=_WAY_OUT,
            code="ledger_rollback",
        )
    head = last.head
    if last.number > known.number:
        rows = await store.block_rows(known.number - 1, 1)
        head = codec.decode_block(rows[0].record).head if rows else ""
    if head != known.head:
        raise LedgerError(
            f"Block {known.number} is another one than it was{told}: what was signed was"
            " rewritten, or this is another ledger.",
            hint=_WAY_OUT,
            code="ledger_rollback",
        )


async def accept_rollback(store: RollbackStore, kept: KeptHead, clock: Clock) -> Rollback | None:
    """Take the ledger as it is for the right one; an event tells of it.

    Args:
        store: an open store.
        kept: the head that it does not have.
        clock: what time it is.

    Returns:
        None if the ledger has the head: there is nothing to accept.

    Raises:
        ConfigurationError: the file cannot be written.
        StoreError: the database failed.
    """
    known: Block | None = None
    try:
        known = kept.read()  # before the last block is: a server may seal in between
        if known is None:
            return None
        await hold(store, known, await store.last_block())
    except LedgerError:
        last = await store.last_block()
        found = None if last is None else msgspec.structs.replace(last, hashes=b"")
        data: JsonObject = {"kept": _named(known), "found": _named(found)}
        event = Event(type=EventType.ROLLBACK_ACCEPTED, at=clock.now(), actor="operator", data=data)
        await store.put_records((), [event])
        kept.write(found)
        return Rollback(kept=known, found=found)
    return None


def _named(block: Block | None) -> JsonObject | None:
    return None if block is None else {"block": block.number, "head": block.head}
