"""The one place that asks what time it is, and that makes ids out of it."""

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time, as an aware UTC datetime."""

    def now(self) -> datetime:
        """The present moment."""
        ...


class SystemClock:
    """The machine's clock, which may be set back: nothing may depend on it always rising."""

    def now(self) -> datetime:
        """The present moment."""
        return datetime.now(UTC)


MAX_LOOK_SECONDS = 0.5
"""A look at another clock that takes longer tells too little to set a clock by that is right."""
_TICKS = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def ticks() -> float:
    """Seconds that only rise, and go on while the machine is suspended."""
    return time.clock_gettime(_TICKS)


class SharedClock:
    """The time of a database that several processes share, kept up by this machine's ticks.

    So all of them agree, whatever their own clocks say, and a clock that is set here moves no
    deadline. Until it is set it is the machine's.
    """

    def __init__(self) -> None:
        self._then, self._at = datetime.now(UTC), ticks()

    def set(self, now: datetime, *, asked_at: float, told_at: float) -> None:
        """The database was asked and answered `now`.

        By `told_at` it was no earlier than that there, and no later by more than the look took. A
        quick answer sets the clock to the middle. Of one that took long no more is believed than
        that: a clock that is outside is set to the nearer end, else left alone.

        Args:
            now: what it told.
            asked_at: when it was asked, by `ticks`.
            told_at: when it answered.
        """
        took = told_at - asked_at
        off = (self._then - now).total_seconds() + told_at - self._at
        if took <= MAX_LOOK_SECONDS:
            self._then, self._at = now, (asked_at + told_at) / 2
        elif off < 0:
            self._then, self._at = now, told_at
        elif off > took:
            self._then, self._at = now, asked_at

    def now(self) -> datetime:
        """The present moment."""
        return self._then + timedelta(seconds=ticks() - self._at)


class RequestIds:
    """UUIDv7 ids (RFC 9562): ordered by time, and within one process by creation.

    The 12 bits after the millisecond count up from a random start; if they overflow, or the
    clock is set back, the last millisecond is kept or advanced, so ids never go backwards.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._millisecond = 0
        self._counter = 0
        self._random, self._used = b"", 0

    def next(self) -> str:
        """A new id, as text."""
        millisecond = int(self._clock.now().timestamp() * 1000)
        with self._lock:
            if self._used == len(self._random):
                self._random, self._used = os.urandom(10 * 256), 0  # one call for many ids
            random = self._random[self._used : self._used + 10]
            self._used += 10
            if millisecond > self._millisecond:
                self._millisecond = millisecond
                self._counter = int.from_bytes(random[8:], "big") & 0x7FF
            else:
                self._counter += 1
                if self._counter > 0xFFF:
                    self._millisecond += 1
                    self._counter = 0
            millisecond, counter = self._millisecond, self._counter
        variant = 0x8000 | (int.from_bytes(random[6:8], "big") & 0x3FFF)
        high, low = millisecond >> 16, millisecond & 0xFFFF
        return f"{high:08x}-{low:04x}-7{counter:03x}-{variant:04x}-{random[:6].hex()}"
