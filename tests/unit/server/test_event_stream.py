"""A stream that has begun ends as a stream does, whatever the store says meanwhile."""

import contextlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from sayso.broker import Broker
from sayso.domain.events import Event
from sayso.errors import BusyError, SaysoError, StoreError
from sayso.server.routes.events import EventStream
from sayso.signals.memory import MemorySignal
from sayso.stores.base import EventQuery
from sayso.stores.memory import MemoryStore
from sayso.testing import FakeClock

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("error", [StoreError("Away."), BusyError("Too many operations.")])
async def test_a_stream_that_meets_a_full_store_ends_in_good_order(error: SaysoError) -> None:
    class FullStore(MemoryStore):
        async def events(self, query: EventQuery) -> tuple[Sequence[Event], int]:
            raise error

    server = SimpleNamespace(
        streams=0,
        stopping=False,
        settings=SimpleNamespace(max_waits=1),
        broker=Broker(FullStore(), MemorySignal(), FakeClock()),
    )
    call: Any = SimpleNamespace(server=server, given_up_when_gone=contextlib.nullcontext)
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await EventStream(call, EventQuery()).send(send)
    assert [message["type"][14:] for message in sent] == ["start", "body", "body"]
    assert not sent[-1].get("more_body")
    assert server.streams == 0
