"""What somebody's powers rest on: kept, and no longer remembered otherwise."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sayso.broker.journal import Journal
from sayso.domain.events import Event
from sayso.domain.records import Record
from sayso.errors import ConflictError
from sayso.signals.base import EVENTS, Signal

T = TypeVar("T")

ACCOUNTS = "accounts"
"""The signal that is published whenever somebody's powers may have changed."""
MAX_ROUNDS = 50
"""How often a change is tried anew when others change the same record."""


class Recorder:
    """Writes what somebody's powers rest on, and has what is remembered of it forgotten.

    Args:
        journal: keeps records with their events.
        signal: tells the other processes.

    Attributes:
        changed: called at once after each change, in this process.
    """

    def __init__(self, journal: Journal, signal: Signal) -> None:
        self.changed: list[Callable[[], None]] = []
        self.event = journal.event
        self._journal = journal
        self._signal = signal

    async def put(self, records: Sequence[Record], *events: Event) -> None:
        """Keep the records, with their events, and tell. Raises as the journal does."""
        try:
            await self._journal.put(records, *events)
        finally:  # also if it was written, and the answer got lost
            self.tell()

    async def note(self, *events: Event, records: Sequence[Record] = ()) -> None:
        """Keep what nobody's powers rest on, such as when somebody came. Raises as `put` does."""
        await self._journal.put(records, *events)

    def tell(self) -> None:
        """Somebody's powers may have changed: forget what is remembered, here and elsewhere."""
        for forget in self.changed:
            forget()
        self._signal.publish(ACCOUNTS)
        self._signal.publish(EVENTS)


async def until_kept(change: Callable[[], Awaitable[T]]) -> T:
    """Carry out `change`, which reads and puts, anew as long as others get in between.

    Raises:
        ConflictError: they did so again and again.
    """
    for _ in range(MAX_ROUNDS):
        try:
            return await change()
        except ConflictError as error:
            if error.reason_code != ConflictError.code:  # a reason that will not go away
                raise
    raise ConflictError("Others changed the same thing again and again.", hint="Try again.")
