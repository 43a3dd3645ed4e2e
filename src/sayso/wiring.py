"""Settings to objects: the only module that names a concrete backend."""

import secrets
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from sayso.broker.accounts import Accounts
from sayso.broker.broker import Broker
from sayso.broker.dispatch import Dispatcher
from sayso.broker.tenants import LoadPolicy
from sayso.channels.addresses import AddressGuard
from sayso.channels.base import Courier, Parcel, Receipt
from sayso.clock import Clock, SharedClock, SystemClock
from sayso.domain.redaction import Redaction, parse
from sayso.errors import ConfigurationError
from sayso.late import loaded, require
from sayso.ledger.bundle import BundleStore
from sayso.ledger.keeper import Keeper
from sayso.ledger.kept import KeptHead
from sayso.ledger.keys import Keys
from sayso.links import load_secret
from sayso.policies.base import Policy
from sayso.settings import Settings
from sayso.signals.base import Signal
from sayso.signals.memory import MemorySignal
from sayso.signatures import callback_secret
from sayso.stores.base import Stores
from sayso.stores.memory import MemoryStore
from sayso.stores.sqlite import SqliteStore
from sayso.stores.sqlite_ledger import SqliteLedgerFile

DATABASE_FILE = "sayso.db"


def make_secret(settings: Settings) -> bytes:
    """The server's secret: the one of its file, made if need be; in memory a new one."""
    if settings.memory:
        return secrets.token_bytes(32)
    return load_secret(settings.secret_path, create=True)


def database_file(settings: Settings) -> Path | None:
    """The SQLite file that the settings name; None for another database."""
    if settings.memory or settings.is_shared:
        return None
    named = settings.database_scheme == "sqlite"
    return settings.database_path if named else settings.data / DATABASE_FILE


def make_store(settings: Settings) -> tuple[Stores, Clock]:
    """The store that the settings name, not opened yet, and the clock that goes with it."""
    if settings.memory:
        return MemoryStore(), SystemClock()
    match settings.database_scheme:
        case "":
            return SqliteStore(settings.data / DATABASE_FILE), SystemClock()
        case "sqlite":
            return SqliteStore(settings.database_path), SystemClock()
        case "postgres" | "postgresql":
            from sayso.stores.postgres import PostgresStore  # its driver is an extra

            clock = SharedClock()
            connections = settings.database_connections
            return PostgresStore(settings.database_url, connections=connections, clock=clock), clock
        case "redis" | "rediss":
            from sayso.stores.redis import RedisStore

            clock = SharedClock()
            return RedisStore(settings.database_url, clock=clock), clock
        case scheme:
            raise ConfigurationError(
                f"There is no store for addresses that begin with {scheme!r}.",
                hint="Use postgresql://USER:PASSWORD@HOST:PORT/DATABASE,"
                " redis://USER:PASSWORD@HOST:PORT/0, or sqlite:PATH.",
            )


class OpenReader(BundleStore, Protocol):
    """A ledger to be read, and what comes before and after that."""

    async def open(self) -> None:
        """Connect."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


def make_reader(settings: Settings) -> OpenReader:
    """The ledger that the settings name, only read, not opened yet: servers may be using it."""
    match settings.database_scheme:
        case "":
            return SqliteLedgerFile(settings.data / DATABASE_FILE)
        case "sqlite":
            return SqliteLedgerFile(settings.database_path)
        case "postgres" | "postgresql":
            from sayso.stores.postgres import PostgresStore

            return PostgresStore(settings.database_url, connections=1, migrates=False)
        case _:
            return make_store(settings)[0]


def make_keys(settings: Settings, secret: bytes) -> Keys:
    """The ledger's key: of its file, if it was rotated, else made from the secret."""
    return Keys(None if settings.memory else settings.ledger_key_path, secret)


def make_kept_head(settings: Settings) -> KeptHead:
    """Where the ledger's newest head is kept, beside its key."""
    return KeptHead(None if settings.memory else settings.ledger_head_path)


def make_redactions(settings: Settings) -> tuple[Redaction, ...]:
    """Which arguments exports do not show."""
    return tuple(parse(text) for text in settings.redactions)


def make_keeper(settings: Settings, broker: Broker, keys: Keys) -> Keeper:
    """What keeps the ledger, not running yet."""
    return Keeper(
        broker.store,
        keys,
        broker.clock,
        kept=make_kept_head(settings),
        redactions=make_redactions(settings),
        redact_after=timedelta(days=settings.redact_after_days),
        retain=timedelta(days=settings.retain_days),
    )


def make_signal(settings: Settings) -> Signal:
    """The signal that the settings name, not opened yet; else the one that the database has."""
    url = settings.signal_url or (settings.database_url if settings.is_shared else "")
    match url.partition(":")[0]:
        case "":
            return MemorySignal()
        case "postgres" | "postgresql":
            from sayso.signals.postgres import PostgresSignal

            return PostgresSignal(url)
        case "redis" | "rediss" | "unix":
            from sayso.signals.redis import RedisSignal

            return RedisSignal(url)
        case "nats" | "tls":
            from sayso.signals.nats import NatsSignal

            return NatsSignal(url)
        case scheme:
            raise ConfigurationError(
                f"There is no signal for addresses that begin with {scheme!r}.",
                hint="Use postgresql://, redis:// or nats://.",
            )


def make_broker(settings: Settings) -> Broker:
    """A broker on a store that is not opened yet."""
    store, clock = make_store(settings)
    return Broker(
        store,
        make_signal(settings),
        clock,
        default_timeout=settings.default_timeout,
        max_waits=settings.max_waits,
        guard=AddressGuard(settings.callback_networks),
        load_policy=policy_loader(settings),
    )


def policy_loader(settings: Settings) -> LoadPolicy:
    """What makes policies of their texts; what they sample is drawn by the server's secret."""
    secret = sha256(b"sayso policy sampling" + make_secret(settings)).digest()

    def load_policy(text: str) -> Policy:
        from sayso.policies.rules import load  # what it is read with is an extra

        return load(text, "policy", secret=secret)

    return load_policy


def make_accounts(settings: Settings, broker: Broker) -> Accounts:
    """Users, keys, groups and sessions, on the broker's store."""
    return Accounts(broker, key_prefix=settings.key_prefix)


def make_courier(settings: Settings) -> Courier:
    """What carries deliveries; it connects when it is first used."""
    return _LateCourier(AddressGuard(settings.callback_networks), settings.callback_timeout)


class _LateCourier:
    """Loads the courier with the first parcel, and aiohttp with it, which takes 6 MB."""

    def __init__(self, guard: AddressGuard, timeout: float) -> None:
        require("aiohttp", "server")
        self.timeout = timeout
        self._guard = guard
        self._courier: Courier | None = None

    async def deliver(self, parcel: Parcel) -> Receipt:
        """Try once."""
        if self._courier is None:
            await loaded("sayso.channels.webhook")
            self._courier = self._courier or self._made()
        return await self._courier.deliver(parcel)

    async def close(self) -> None:
        """Let connections go."""
        if self._courier is not None:
            await self._courier.close()

    def _made(self) -> Courier:
        from sayso.channels.webhook import WebhookCourier

        return WebhookCourier(self._guard, timeout=self.timeout)


def make_dispatcher(
    settings: Settings, broker: Broker, courier: Courier, secret: bytes
) -> Dispatcher:
    """The worker, not running yet."""
    return Dispatcher(
        broker, courier, secret=callback_secret(secret), schedule=settings.callback_retries
    )
