"""What breaks, and when: every kind once in each round, in an order that the seed draws."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from random import Random

from soak.ledger import Broken, Ledger, Unexpected
from soak.places import Place


class Faults:
    """Breaks one thing after the other, and sometimes two at once.

    Args:
        place: where.
        ledger: where it is noted.
        seed: of what breaks, and when.
        pause: the seconds between one recovery and the next fault, from and to.
    """

    def __init__(
        self, place: Place, ledger: Ledger, *, seed: int, pause: tuple[float, float]
    ) -> None:
        self._place = place
        self._ledger = ledger
        self._chance = Random(f"faults {seed}")
        self._pause = pause
        self._deck = self._deal()
        self.rounds = 0

    async def run(self, over: asyncio.Event) -> None:
        """Break things until it is over; then all has recovered."""
        while not over.is_set():
            await _pause(over, self._chance.uniform(*self._pause))
            if not over.is_set():
                count = 2 if self._chance.random() < 0.2 else 1
                await self._break([next(self._deck) for _ in range(count)])

    async def _break(self, names: list[str]) -> None:
        began = time.monotonic()
        await asyncio.gather(*(self._place.faults[name](self._chance) for name in names))
        if not await self._place.all_ready():
            self._ledger.note(Unexpected(f"not all servers were ready again after {names}"))
        took = time.monotonic() - began
        for name in names:
            self._ledger.note(Broken(name, took))

    def _deal(self) -> Iterator[str]:
        while True:
            names = sorted(self._place.faults)
            self._chance.shuffle(names)
            yield from names
            self.rounds += 1


async def _pause(over: asyncio.Event, seconds: float) -> None:
    """Sleep, unless it is over before."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
