"""Settings to objects: the only module that names a concrete backend."""

import secrets

from sayso.broker.broker import Broker
from sayso.broker.dispatch import Dispatcher
from sayso.channels.addresses import AddressGuard
from sayso.channels.base import Courier
from sayso.channels.webhook import WebhookCourier
from sayso.clock import SystemClock
from sayso.links import load_secret
from sayso.settings import Settings
from sayso.signals.memory import MemorySignal
from sayso.signatures import callback_secret
from sayso.stores.base import Stores
from sayso.stores.memory import MemoryStore
from sayso.stores.sqlite import SqliteStore

DATABASE_FILE = "sayso.db"


def make_secret(settings: Settings) -> bytes:
    """The server's secret: the one beside its data, made if need be; in memory a new one."""
    return secrets.token_bytes(32) if settings.memory else load_secret(settings.data, create=True)


def make_store(settings: Settings) -> Stores:
    """The store that the settings name, not opened yet."""
    return MemoryStore() if settings.memory else SqliteStore(settings.data / DATABASE_FILE)


def make_broker(settings: Settings) -> Broker:
    """A broker on a store that is not opened yet."""
    return Broker(
        make_store(settings),
        MemorySignal(),
        SystemClock(),
        default_timeout=settings.default_timeout,
        max_waits=settings.max_waits,
        guard=AddressGuard(settings.callback_networks),
    )


def make_courier(settings: Settings) -> Courier:
    """What carries deliveries; it connects when it is first used."""
    guard = AddressGuard(settings.callback_networks)
    return WebhookCourier(guard, timeout=settings.callback_timeout)


def make_dispatcher(
    settings: Settings, broker: Broker, courier: Courier, secret: bytes
) -> Dispatcher:
    """The worker, not running yet."""
    return Dispatcher(
        broker, courier, secret=callback_secret(secret), schedule=settings.callback_retries
    )
