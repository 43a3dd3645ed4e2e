"""The signal port: wake whoever waits for a key.

A signal is a hint: whoever is woken reads the store again, and whoever subscribes does so
*before* reading, so that nothing can fall in between. Losing one costs time, never a decision.

A signal may wake more than it has to: where something may have been missed, it wakes everybody, as
if each key had been published. So whoever is woken looks, and if nothing has come, waits on.
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
    """Publish and subscribe, by key: short, printable ASCII, such as an id.

    Between `open` and `close` the processes on one bus wake one another's waiters. A bus that is
    lost meanwhile is no error: it is logged, and found again by itself.
    """

    async def open(self) -> None:
        """Connect to the other processes, if there can be any.

        Raises:
            SignalError: the bus cannot be reached, within some five seconds.
        """
        ...

    async def close(self) -> None:
        """Let go, within some seconds, whatever the bus does. Closing twice is harmless."""
        ...

    def publish(self, key: str) -> None:
        """Wake all who wait for `key`; with nobody waiting, nothing happens.

        It never waits and never fails. Waiters in this process are woken before it returns.
        """
        ...

    def wake(self, key: str) -> None:
        """Wake those who wait for `key` in this process alone."""
        ...

    def subscribe(self, key: str) -> AbstractContextManager[Waiter]:
        """A waiter that counts from now on; leaving the block frees it."""
        ...

    def release_all(self) -> None:
        """Wake everybody, whatever they wait for, and whoever comes later at once: we stop."""
        ...
