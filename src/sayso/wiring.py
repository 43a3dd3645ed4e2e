"""Settings to objects: the only module that names a concrete backend."""

from sayso.broker.broker import Broker
from sayso.clock import SystemClock
from sayso.settings import Settings
from sayso.signals.memory import MemorySignal
from sayso.stores.base import Stores
from sayso.stores.memory import MemoryStore
from sayso.stores.sqlite import SqliteStore

DATABASE_FILE = "sayso.db"


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
    )
