"""A courier that goes nowhere."""

import asyncio
from collections.abc import Callable

from sayso.channels.base import Parcel, Receipt

TAKEN = Receipt(ok=True, status=200)


class FakeCourier:
    """Notes what it is given, and answers as it is told.

    Args:
        answer: what comes of a parcel. Default: it is taken.

    Attributes:
        parcels: all that it was given, in order.
        held: how many of them are under way.
    """

    timeout = 10.0

    def __init__(self, answer: Callable[[Parcel], Receipt] = lambda _: TAKEN) -> None:
        self.answer = answer
        self.parcels: list[Parcel] = []
        self.held = 0
        self._go = asyncio.Event()
        self._go.set()

    def hold(self) -> None:
        """Let no parcel arrive until `release`."""
        self._go.clear()

    def release(self) -> None:
        """Let all parcels arrive."""
        self._go.set()

    async def deliver(self, parcel: Parcel) -> Receipt:
        """Note it, and answer."""
        self.parcels.append(parcel)
        self.held += 1
        try:
            await self._go.wait()
        finally:
            self.held -= 1
        return self.answer(parcel)

    async def close(self) -> None:
        """Nothing to let go."""
