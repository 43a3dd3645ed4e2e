"""Every signal, by the public contract suites."""

import contextlib
import logging
from collections.abc import AsyncIterator

import pytest
from support.servers import LocalServer, NatsServer, PostgresServer, RedisServer

from sayso.errors import SignalError
from sayso.signals import bus as buses
from sayso.signals.base import Signal
from sayso.signals.bus import BusSignal
from sayso.signals.memory import MemorySignal
from sayso.signals.nats import NatsSignal
from sayso.signals.postgres import PostgresSignal
from sayso.signals.redis import RedisSignal
from sayso.testing.contracts import Bus, BusContract, SignalContract

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def opened(signal: BusSignal) -> AsyncIterator[BusSignal]:
    await signal.open()
    try:
        yield signal
    finally:
        await signal.close()


class TestMemorySignal(SignalContract):
    @pytest.fixture
    def signal(self) -> MemorySignal:
        return MemorySignal()

    def test_a_left_block_is_forgotten(self, signal: MemorySignal) -> None:
        with signal.subscribe("k"):
            pass
        assert signal._waiters == {}


class OnABus(BusContract):
    """What is the same for each backend; a subclass names the signal and its server."""

    kind: type[BusSignal]

    @pytest.fixture
    def bus(self) -> LocalServer:
        raise NotImplementedError

    @pytest.fixture
    def url(self, bus: LocalServer) -> str:
        return bus.start().url

    @pytest.fixture
    async def signal(self, url: str) -> AsyncIterator[BusSignal]:
        async with opened(self.kind(url)) as signal:
            yield signal

    @pytest.fixture
    async def another(self, url: str) -> AsyncIterator[BusSignal]:
        async with opened(self.kind(url)) as signal:
            yield signal

    async def test_installations_on_one_server_are_apart_by_channel(
        self, url: str, signal: BusSignal, another: BusSignal
    ) -> None:
        async with opened(self.kind(url, "other")) as apart:
            with apart.subscribe("k") as far, another.subscribe("k") as near:
                signal.publish("k")
                assert await near.wait(60)
                assert not await far.wait(0.05)

    async def test_a_bus_that_is_not_there_is_told_at_once(
        self, url: str, bus: LocalServer
    ) -> None:
        port = bus.port
        assert port
        secret = "hunter2"
        scheme, _, rest = url.partition("://")
        nowhere = f"{scheme}://ada:{secret}@{rest.rpartition('@')[2]}".replace(f":{port}", ":1")
        with pytest.raises(SignalError, match=r"127.0.0.1:1.*(refused|failed)") as told:
            await self.kind(nowhere).open()
        assert secret not in str(told.value) + repr(told.value.__cause__)

    @pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1:1", "x://a:hunt/er@b:1"])
    async def test_a_wrong_address_is_told_without_its_secrets(self, url: str) -> None:
        with pytest.raises(SignalError) as told:
            await self.kind(url).open()
        assert "hunt" not in str(told.value)

    async def test_closing_while_the_bus_is_away_takes_no_long(
        self, signal: Signal, another: Signal, bus: Bus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(buses, "CLOSE_SECONDS", 1.0)
        await super().test_closing_while_the_bus_is_away_takes_no_long(signal, another, bus)

    async def test_a_loss_is_logged_once_and_so_is_the_return(
        self,
        signal: BusSignal,
        bus: LocalServer,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.WARNING, logger="sayso.signal")
        with signal.subscribe("k") as waiter:
            bus.kill9()
            assert not await waiter.wait(1.5)  # long enough for several attempts
            bus.start()
            assert await waiter.wait(60)
        told = [record.getMessage() for record in caplog.records]
        assert "lost" in told[0]
        assert all("cannot be used" in each for each in told[1:-1])
        assert len(told) <= 4
        assert "is back" in told[-1]


class TestPostgresSignal(OnABus):
    kind = PostgresSignal

    @pytest.fixture
    def bus(self, postgres_server: PostgresServer) -> PostgresServer:
        return postgres_server


class TestRedisSignal(OnABus):
    kind = RedisSignal

    @pytest.fixture
    def bus(self, redis_server: RedisServer) -> RedisServer:
        return redis_server


class TestNatsSignal(OnABus):
    kind = NatsSignal

    @pytest.fixture
    def bus(self, nats_server: NatsServer) -> NatsServer:
        return nats_server
