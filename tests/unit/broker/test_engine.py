"""What runs beside the calls goes on, whatever the store says for a while."""

import asyncio
from collections.abc import Sequence

import pytest

from sayso.broker import Broker
from sayso.broker.deadlines import keep_deadlines
from sayso.broker.engine import follow_log
from sayso.domain.events import Event
from sayso.domain.requests import Request
from sayso.errors import BusyError, StoreError
from sayso.signals.memory import MemorySignal
from sayso.stores.base import EventQuery
from sayso.stores.memory import MemoryStore
from sayso.testing import AGENT, FakeClock, make_draft

pytestmark = pytest.mark.anyio


class FailingStore(MemoryStore):
    """Fails with each of some errors once, then works."""

    def __init__(self, errors: Sequence[Exception]) -> None:
        super().__init__()
        self.errors = list(errors)

    async def events(self, query: EventQuery) -> tuple[Sequence[Event], int]:
        if query.limit and self.errors:
            raise self.errors.pop(0)
        return await super().events(query)

    async def due(self, now: object, limit: int) -> Sequence[Request]:
        if self.errors:
            raise self.errors.pop(0)
        return await super().due(now, limit)


@pytest.fixture
def store() -> FailingStore:
    return FailingStore([StoreError("Away."), BusyError("Full."), ValueError("Not known here.")])


async def test_the_log_is_followed_again_after_any_error(
    store: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sayso.broker.engine.FOLLOW_SECONDS", 0.001)
    elsewhere = Broker(store, MemorySignal(), FakeClock())
    here = Broker(store, MemorySignal(), FakeClock())
    request = (await elsewhere.submit(make_draft(), by=AGENT)).request
    following = asyncio.ensure_future(follow_log(here))
    with here.signal.subscribe(request.id) as waiter:
        async with asyncio.timeout(60):
            while store.errors:  # noqa: ASYNC110  there is no event to wait for
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert not following.done()
        await elsewhere.cancel(request.id, by=AGENT)
        assert await waiter.wait(60)
    following.cancel()


async def test_deadlines_are_kept_again_after_any_error(
    store: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sayso.broker.deadlines.RETRY_SECONDS", 0.001)
    clock = FakeClock()
    broker = Broker(store, MemorySignal(), clock)
    request = (await broker.submit(make_draft(timeout_seconds=1), by=AGENT)).request
    clock.advance(1)
    keeping = asyncio.ensure_future(keep_deadlines(broker))
    assert (await broker.wait(request.id, seconds=60, by=AGENT)).is_terminal
    keeping.cancel()
