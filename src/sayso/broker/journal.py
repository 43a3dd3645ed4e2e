"""Small records, changed together with the event that tells of it and what that causes."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from sayso.broker.webhooks import Webhooks
from sayso.clock import Clock, RequestIds
from sayso.codec import encode
from sayso.domain.accounts import Principal
from sayso.domain.events import Event, EventType
from sayso.domain.jobs import deliveries_of
from sayso.domain.records import Record
from sayso.domain.requests import Request
from sayso.signals.base import EVENTS, JOBS, Signal
from sayso.stores.base import RecordStore
from sayso.types import JsonObject


class Journal:
    """Writes records and tells of it."""

    def __init__(
        self, store: RecordStore, signal: Signal, clock: Clock, webhooks: Webhooks
    ) -> None:
        self._store = store
        self._signal = signal
        self._clock = clock
        self._webhooks = webhooks
        self._ids = RequestIds(clock)

    async def put(self, records: Sequence[Record], *events: Event) -> None:
        """Keep or forget records, with their events, in one transaction.

        Raises:
            ConflictError: one was changed meanwhile, or another has its handle.
        """
        jobs = [
            job
            for event in events
            for job in deliveries_of(event, self._ids.next(), await self._webhooks.of(event.tenant))
        ]
        await self._store.put_records(records, events, jobs)
        self._signal.publish(EVENTS)
        if jobs:
            self._signal.publish(JOBS)

    def event(
        self, kind: EventType, by: Principal, data: JsonObject, *, tenant: str | None = None
    ) -> Event:
        """What somebody does now."""
        return Event(
            type=kind,
            at=self._clock.now(),
            actor=by.actor,
            data=data,
            tenant=by.tenant if tenant is None else tenant,
        )

    async def tell(
        self, request: Request, kind: EventType, by: Principal, data: JsonObject
    ) -> None:
        """Tell of something that changed nothing, such as an attempt that was refused."""
        asked = request.requested_by
        event = msgspec.structs.replace(
            self.event(kind, by, data),
            request_id=request.id,
            session_id=request.session_id,
            client_id=request.client_id,
            asked_by=asked.actor,
            owner=asked.owner or None,
        )
        await self.put((), event)


def record_of(
    kind: str, record_id: str, value: Struct, *, tenant: str, owner: str = "", version: int = 1
) -> Record:
    """A value as a record."""
    return Record(
        kind=kind,
        id=record_id,
        tenant=tenant,
        owner=owner,
        version=version,
        body=encode(value),
    )


def next_of(record: Record, value: Struct | None) -> Record:
    """The record with another value; None forgets it."""
    body = b"" if value is None else encode(value)
    return msgspec.structs.replace(record, version=record.version + 1, body=body)
