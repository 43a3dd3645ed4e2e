"""The signal between processes, on a bus whose every failure is in the test's hand."""

import asyncio
import contextlib
import importlib
import logging
import sys
from collections.abc import AsyncIterator

import pytest

from sayso.errors import MissingExtraError, SignalError
from sayso.signals import bus
from sayso.signals.bus import EVERYBODY, KEY_BYTES, MAX_KEYS, MESSAGE_BYTES, BusSignal

pytestmark = pytest.mark.anyio


class Hub:
    """A bus within the test."""

    def __init__(self) -> None:
        self.connections: list[HubConnection] = []
        self.messages: list[str] = []
        self.refuses = False
        self.swallows = False
        self.hangs = False
        self.swallows_cancellation = False

    def lose_all(self) -> None:
        for connection in self.connections:
            connection.heard.put_nowait(None)
        self.connections.clear()


class HubConnection:
    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.heard: asyncio.Queue[str | None] = asyncio.Queue()

    async def send(self, message: str) -> None:
        if self.hub.hangs:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if not self.hub.swallows_cancellation:
                    raise
                return
        if self not in self.hub.connections:
            raise ConnectionError("hung up")
        self.hub.messages.append(message)
        if not self.hub.swallows:
            for connection in self.hub.connections:
                connection.heard.put_nowait(message)

    async def receive(self) -> str:
        message = await self.heard.get()
        if message is None:
            raise ConnectionError("hung up")
        return message

    async def close(self) -> None:
        if self.hub.hangs:
            await asyncio.Event().wait()
        if self in self.hub.connections:
            self.hub.connections.remove(self)


class HubSignal(BusSignal):
    beat_seconds = 0.1
    lost_seconds = 60

    def __init__(self, hub: Hub, url: str = "hub://ada:hunter2@there") -> None:
        super().__init__(url)
        self.hub = hub

    async def connect(self) -> HubConnection:
        if self.hub.refuses:
            raise ConnectionRefusedError("hub://ada:hunter2@there refused")
        connection = HubConnection(self.hub)
        self.hub.connections.append(connection)
        return connection


class Impatient(HubSignal):
    """Takes a connection for lost so soon that a busy machine may lose one by standing still."""

    lost_seconds = 0.5


@contextlib.asynccontextmanager
async def opened(signal: HubSignal) -> AsyncIterator[HubSignal]:
    await signal.open()
    try:
        yield signal
    finally:
        await signal.close()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "ECHO_SECONDS", 60)


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
async def signal(hub: Hub) -> AsyncIterator[HubSignal]:
    async with opened(HubSignal(hub)) as signal:
        yield signal


@pytest.fixture
async def another(hub: Hub) -> AsyncIterator[HubSignal]:
    async with opened(HubSignal(hub)) as signal:
        yield signal


async def settled(signal: HubSignal) -> None:
    """What was published is sent."""
    async with asyncio.timeout(60):
        await signal._sent.wait()


def carrying(hub: Hub) -> list[list[str]]:
    """The keys of each message that has any."""
    return [message.split("\n")[1:] for message in hub.messages if "\n" in message]


async def test_keys_of_one_turn_travel_together_and_once(hub: Hub, signal: HubSignal) -> None:
    for key in ("a", "b", "a", "c", "a"):
        signal.publish(key)
    await settled(signal)
    assert [sorted(keys) for keys in carrying(hub)] == [["a", "b", "c"]]


async def test_many_keys_are_cut_into_messages_that_postgres_takes(
    hub: Hub, signal: HubSignal
) -> None:
    keys = {f"{number:0{KEY_BYTES}}" for number in range(200)}
    for key in keys:
        signal.publish(key)
    await settled(signal)
    assert max(map(len, hub.messages)) <= MESSAGE_BYTES
    sent = [key for keys in carrying(hub) for key in keys]
    assert sorted(sent) == sorted(keys)


async def test_keys_published_while_the_bus_is_away_are_sent_when_it_is_back(
    hub: Hub, signal: HubSignal
) -> None:
    hub.lose_all()
    signal.publish("k")
    await settled(signal)
    assert carrying(hub) == [["k"]]


async def test_more_keys_than_are_kept_wake_everybody(
    hub: Hub, signal: HubSignal, another: HubSignal
) -> None:
    hub.refuses = True
    hub.lose_all()
    for number in range(3 * MAX_KEYS):
        signal.publish(str(number))
        assert len(signal._outgoing) <= MAX_KEYS
    with another.subscribe("what was never published") as waiter:
        hub.refuses = False
        await settled(signal)
        assert carrying(hub) == [[EVERYBODY]]
        assert await waiter.wait(60)


async def test_keys_whose_sending_failed_are_sent_again(hub: Hub, signal: HubSignal) -> None:
    hub.hangs = True
    signal.publish("k")
    with signal.subscribe("other") as waiter:
        await asyncio.sleep(0)
        hub.hangs = False
        hub.lose_all()
        await settled(signal)
        assert await waiter.wait(60)  # everybody, as it was connected again
    assert carrying(hub)[-1] == ["k"]


@pytest.mark.parametrize("failure", ["swallows", "hangs"])
async def test_a_bus_that_says_nothing_is_lost(
    hub: Hub, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="sayso.signal")
    async with opened(Impatient(hub)) as signal:
        with signal.subscribe("k") as waiter:
            setattr(hub, failure, True)
            async with asyncio.timeout(60):
                while not caplog.records:  # noqa: ASYNC110  a log has no event to wait for
                    await asyncio.sleep(0.01)
            setattr(hub, failure, False)
            assert await waiter.wait(60)
    assert "hub://there was lost, connecting again: it does not answer" in caplog.text
    assert "hunter2" not in caplog.text


async def longest_stop(seconds: float) -> float:
    """For how long this process stood still at the most, while so much time passed."""
    loop, longest = asyncio.get_running_loop(), 0.0
    until = loop.time() + seconds
    while (now := loop.time()) < until:
        await asyncio.sleep(0.01)
        longest = max(longest, loop.time() - now)
    return longest


async def test_a_quiet_bus_is_not_lost(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    lost = Impatient.lost_seconds
    stood_still = lost
    while stood_still > lost / 4:  # then it was the machine, and tells nothing
        caplog.clear()
        async with opened(Impatient(hub)) as signal:
            with signal.subscribe("k") as waiter:
                waiting = waiter.wait(3 * lost)
                woken, stood_still = await asyncio.gather(waiting, longest_stop(3 * lost))
    assert not woken
    assert caplog.records == []
    assert carrying(hub) == []


async def test_what_does_not_come_back_is_found_at_the_start(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "ECHO_SECONDS", 0.05)
    hub.swallows = True
    with pytest.raises(SignalError, match="does not come back"):
        await HubSignal(hub).open()
    assert hub.connections == []


async def test_a_refusal_is_told_without_the_password(hub: Hub) -> None:
    hub.refuses = True
    with pytest.raises(SignalError) as told:
        await HubSignal(hub).open()
    assert "The wake-up bus hub://there cannot be used" in str(told.value)
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("swallows", [False, True])
async def test_closing_does_not_hang_with_the_bus(hub: Hub, swallows: bool) -> None:
    signal = HubSignal(hub)
    await signal.open()
    hub.hangs = True
    hub.swallows_cancellation = swallows
    signal.publish("k")
    async with asyncio.timeout(60):
        await signal.close()


async def test_closing_at_once_leaves_no_connection_behind(hub: Hub) -> None:
    signal = HubSignal(hub)
    await signal.open()
    assert len(hub.connections) == 1
    await signal.close()
    assert hub.connections == []


async def test_closing_while_the_bus_is_lost_does_not_connect_again(hub: Hub) -> None:
    signal = HubSignal(hub)
    await signal.open()
    await asyncio.sleep(0)
    hub.lose_all()
    async with asyncio.timeout(60):
        await signal.close()
    assert hub.connections == []


async def test_what_is_published_when_closed_stays_here(hub: Hub) -> None:
    signal = HubSignal(hub)
    signal.publish("before")
    await signal.open()
    await signal.close()
    signal.publish("after")
    assert carrying(hub) == []


@pytest.mark.parametrize(
    ("module", "package"), [("postgres", "asyncpg"), ("redis", "redis"), ("nats", "nats")]
)
def test_a_package_that_is_missing_is_named(
    module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"sayso.signals.{module}", raising=False)
    with pytest.raises(MissingExtraError, match=f"sayso\\[{module}\\]"):
        importlib.import_module(f"sayso.signals.{module}")
