"""Keeps records with the events that tell of it, and the deliveries that those cause."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sayso.broker.webhooks import Webhooks
from sayso.clock import Clock, RequestIds
from sayso.domain.accounts import Principal
from sayso.domain.events import Event, EventType
from sayso.domain.jobs import deliveries_of
from sayso.domain.records import Record
from sayso.errors import ConflictError
from sayso.signals.base import EVENTS, JOBS, Signal
from sayso.stores.base import RecordStore
from sayso.types import JsonObject

T = TypeVar("T")

ACCOUNTS = "accounts"
"""The signal that is published whenever somebody's powers may have changed."""
MAX_ROUNDS = 50
"""How often a change is tried anew when others change the same record."""


class Recorder:
    """Puts records, all of them or none, and tells whoever waits.

    Args:
        store: where they are kept.
        signal: wakes this process and others.
        clock: what time it is.
        webhooks: who is told of events.

    Attributes:
        changed: called at once after each change, in this process.
    """

    def __init__(
        self, store: RecordStore, signal: Signal, clock: Clock, webhooks: Webhooks
    ) -> None:
        self.changed: list[Callable[[], None]] = []
        self._store = store
        self._signal = signal
        self._clock = clock
        self._ids = RequestIds(clock)
        self._webhooks = webhooks

    async def put(self, records: Sequence[Record], *events: Event) -> None:
        """Keep the records, with their events, in one transaction, and tell.

        Raises:
            ConflictError: one was changed meanwhile, or another has its handle.
        """
        try:
            await self._put(records, events)
        finally:  # also if it was written, and the answer got lost
            self.tell()

    async def _put(self, records: Sequence[Record], events: Sequence[Event]) -> None:
        jobs = [
            job
            for event in events
            for job in deliveries_of(event, self._ids.next(), await self._webhooks.of(event.tenant))
        ]
        await self._store.put_records(records, events, jobs)
        self._signal.publish(EVENTS)
        if jobs:
            self._signal.publish(JOBS)

    async def note(self, *events: Event, records: Sequence[Record] = ()) -> None:
        """Keep what nobody's powers rest on, such as when somebody came. Raises as `put` does."""
        await self._put(records, events)

    def tell(self) -> None:
        """Somebody's powers may have changed: forget what is remembered, here and elsewhere."""
        for forget in self.changed:
            forget()
        self._signal.publish(ACCOUNTS)
        self._signal.publish(EVENTS)

    def event(
        self, kind: EventType, by: Principal, data: JsonObject, *, tenant: str | None = None
    ) -> Event:
        """Something that `by` does now."""
        return Event(
            type=kind,
            at=self._clock.now(),
            actor=by.actor,
            data=data,
            tenant=by.tenant if tenant is None else tenant,
        )


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
