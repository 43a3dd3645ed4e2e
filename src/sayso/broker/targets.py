"""What is known of a target host: how busy it is with our tries, and whether it works at all.

A host that is slow gets no more than its share of the tries under way, and one that fails gets
none for a while, so that neither holds up the others. What is kept waiting for such a reason
does not count as failed. All of this is about deliveries; requests never come here.
"""

import random
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from sayso.channels.base import Receipt
from sayso.domain.jobs import Job

MAX_RUNNING = 32
"""Tries under way at one host."""
FEW_RUNNING = 8
"""The same while the worker is short of room: the rest is for hosts that have none under way."""
MAX_FAILURES = 5
"""Failures in a row after which a host is left alone."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=5)
"""For how long: it doubles each time that the host still fails."""
HOLD_SECONDS = 0.5
"""What is held for a host is begun within this time, as it goes; the rest is put back."""
SHORTEST_DELAY = timedelta(seconds=0.01)
LONGEST_DELAY = timedelta(minutes=5)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Target:
    """One host: a share of the tries, and a circuit breaker.

    Args:
        chance: a random number in [0, 1).
    """

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self.running = 0
        self.held: deque[Job] = deque()
        """Claimed, to be begun as soon as one of those under way has ended."""
        self._chance = chance
        self._seconds = 0.1  # that a try takes, on the average of the last ones
        self._room_at = _LONG_AGO
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._shut_until: datetime | None = None

    def comes_later(self, now: datetime, *, room_is_short: bool = False) -> datetime | None:
        """None if a try may begin now, or as soon as there is room; else when to come again.

        While the worker's room is short nothing is held, so that many slow hosts do not fill it.
        """
        if self._shut_until is not None:
            if now < self._shut_until:
                return self._shut_until + self._pause / 4 * self._chance()
            if self.running:  # one try tells whether it works again
                return now + FIRST_PAUSE / 4 * (0.5 + self._chance())
            return None
        if room_is_short:
            may_begin = self.running < FEW_RUNNING
        else:
            may_begin = (
                not self.is_full or len(self.held) * self.spacing.total_seconds() < HOLD_SECONDS
            )
        if may_begin:
            return None
        self._room_at = max(self._room_at, now + SHORTEST_DELAY) + self.spacing
        self._room_at = min(self._room_at, now + LONGEST_DELAY)
        return self._room_at

    @property
    def is_full(self) -> bool:
        """Whether no further try may begin before one has ended."""
        return self.running >= MAX_RUNNING

    @property
    def spacing(self) -> timedelta:
        """Between two tries, as it works through them."""
        return timedelta(seconds=self._seconds / MAX_RUNNING)

    def is_crowded(self, now: datetime) -> bool:
        """Whether more waits for it than it has room for."""
        return self._room_at > now

    @property
    def is_busy(self) -> bool:
        """Whether something is under way there, or held for it."""
        return bool(self.running or self.held)

    def began(self) -> None:
        """A try begins."""
        self.running += 1

    def left(self) -> None:
        """A try was broken off: it tells nothing of the host."""
        self.running -= 1

    def ended(self, now: datetime, seconds: float, *, works: bool) -> None:
        """A try has ended.

        Args:
            now: when.
            seconds: how long it took.
            works: whether the host gave any sensible answer.
        """
        self.running -= 1
        self._seconds += (seconds - self._seconds) / 8
        if works:
            self._failures, self._pause, self._shut_until = 0, FIRST_PAUSE, None
            return
        self._failures += 1
        if self._failures >= MAX_FAILURES and (self._shut_until is None or now >= self._shut_until):
            if self._shut_until is not None:
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._shut_until = now + self._pause


def is_working(receipt: Receipt) -> bool:
    """Whether a host works: a 404 is about one address of it, not about the host."""
    return receipt.status is not None and receipt.status < 500 and receipt.status != 429


class Targets:
    """The hosts that were used last, and no more than so many.

    One that is forgotten is met as a new one: if it still fails, that is found out again.

    Args:
        most: how many. What is under way is never forgotten, so it is to be more than that can be.
        chance: a random number in [0, 1).
    """

    def __init__(self, most: int, chance: Callable[[], float] = random.random) -> None:
        self._most = most
        self._chance = chance
        self._known: OrderedDict[str, Target] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, host: str) -> Target:
        """What is known of it; used longest ago is forgotten first."""
        target = self._known.get(host)
        if target is not None:
            self._known.move_to_end(host)
            return target
        for _ in range(len(self._known)):
            if len(self._known) < self._most:
                break
            oldest, known = self._known.popitem(last=False)
            if known.is_busy:  # in use: behind the others, so that it is not looked at each time
                self._known[oldest] = known
        target = self._known[host] = Target(self._chance)
        return target


def host_of(url: str) -> str:
    """What counts as one host: scheme, name and port."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}:{parts.port or ''}"
    except ValueError:
        return url
