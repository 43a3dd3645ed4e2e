"""The signal port: wake whoever waits for a key.

A signal is a hint: whoever is woken reads the store again, and whoever subscribes does so
*before* reading, so that nothing can fall in between. Losing one costs time, never a decision.
"""

from contextlib import AbstractContextManager
from typing import Protocol

EVENTS = "events"
"""The key that is published whenever the event log grows."""
JOBS = "jobs"
"""The key that is published whenever there may be something due for a worker."""


class Waiter(Protocol):
    """One subscription."""

    async def wait(self, seconds: float) -> bool:
        """Return True when the key was published since the last call, False after `seconds`."""
        ...


class Signal(Protocol):
    """Publish and subscribe, by key."""

    def publish(self, key: str) -> None:
        """Wake all who wait for `key`; with nobody waiting, nothing happens."""
        ...

    def subscribe(self, key: str) -> AbstractContextManager[Waiter]:
        """A waiter that counts from now on; leaving the block frees it."""
        ...

    def release_all(self) -> None:
        """Wake everybody, whatever they wait for, and whoever comes later at once: we stop."""
        ...
