"""Look-ups that are believed for a second, on a clock that is moved."""

import asyncio

import pytest

from sayso.broker.lookups import LookUps
from sayso.errors import StoreError
from sayso.testing import FakeClock

pytestmark = pytest.mark.anyio


class Store:
    """Counts how often it is read; it answers once it is let go."""

    def __init__(self) -> None:
        self.value: str | None = "first"
        self.reads = 0
        self.go = asyncio.Event()
        self.go.set()
        self.fails = False

    async def read(self, key: str) -> str | None:
        self.reads += 1
        value = self.value
        await self.go.wait()
        if self.fails:
            raise StoreError
        return value


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_a_value_is_believed_for_a_second(clock: FakeClock) -> None:
    store = Store()
    known = LookUps(store.read, clock)
    assert await known.get("k") == "first"
    store.value = "second"
    clock.advance(0.9)
    assert await known.get("k") == "first"
    clock.advance(0.1)
    assert await known.get("k") == "second"
    assert store.reads == 2


async def test_many_who_ask_at_once_share_a_look_up(clock: FakeClock) -> None:
    store = Store()
    known = LookUps(store.read, clock)
    store.go.clear()
    asking = [asyncio.ensure_future(known.get("k")) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    store.go.set()
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert told[1:] == ["first"] * 4
    assert isinstance(told[0], asyncio.CancelledError)
    assert store.reads == 1


async def test_what_was_read_before_a_change_of_ours_is_not_remembered(clock: FakeClock) -> None:
    store = Store()
    known = LookUps(store.read, clock)
    store.go.clear()
    before = asyncio.ensure_future(known.get("k"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert store.reads == 1
    store.value = "changed"
    known.forget("k")
    store.go.set()
    assert await before == "first"
    assert await known.get("k") == "changed"
    known.put("k", "put")
    assert await known.get("k") == "put"


async def test_a_failure_is_everybodys_and_is_not_remembered(clock: FakeClock) -> None:
    store = Store()
    known = LookUps(store.read, clock)
    store.fails = True
    told = await asyncio.gather(known.get("k"), known.get("k"), return_exceptions=True)
    assert [type(each) for each in told] == [StoreError] * 2
    store.fails = False
    assert await known.get("k") == "first"


async def test_that_there_is_none_is_remembered_only_if_asked_for(clock: FakeClock) -> None:
    for keeps_none, reads in ((True, 1), (False, 2)):
        store = Store()
        store.value = None
        known = LookUps(store.read, clock, keeps_none=keeps_none)
        assert await known.get("k") is None
        assert await known.get("k") is None
        assert store.reads == reads
