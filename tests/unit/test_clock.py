"""The time that several processes share, however long it takes to ask for it."""

from datetime import timedelta

import pytest

from sayso import clock as clocks
from sayso.clock import MAX_LOOK_SECONDS, SharedClock
from sayso.testing.factories import NOW

TICKS = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SharedClock:
    """One that stands at `NOW`."""
    monkeypatch.setattr(clocks, "ticks", lambda: TICKS)
    clock = SharedClock()
    clock.set(NOW, asked_at=TICKS, told_at=TICKS)
    assert clock.now() == NOW
    return clock


def seconds_after(clock: SharedClock, told: float, *, took: float) -> float:
    """How late it is, once it was told just now, after so long a look, that it was `told`."""
    there = NOW + timedelta(seconds=told)
    clock.set(there, asked_at=TICKS - took, told_at=TICKS)
    return (clock.now() - NOW).total_seconds()


@pytest.mark.parametrize("told", [-3600, -0.2, 0, 0.2, 3600])
def test_what_is_told_at_once_counts(clock: SharedClock, told: float) -> None:
    assert seconds_after(clock, told, took=0.1) == pytest.approx(told + 0.05)


@pytest.mark.parametrize("told", [-10, -5, 0])
def test_an_answer_that_took_long_leaves_alone_what_may_be_right(
    clock: SharedClock, told: float
) -> None:
    assert MAX_LOOK_SECONDS < 10
    assert seconds_after(clock, told, took=10) == 0


@pytest.mark.parametrize("told", [-3600, -10.5, -10.002, 0.002, 0.5, 3600])
def test_an_answer_that_took_long_sets_what_cannot_be_right_to_the_nearest_that_can(
    clock: SharedClock, told: float
) -> None:
    """A replica whose machine is an hour off would else keep its own time until the next look.

    One that is off by two milliseconds is set by two, and not by half the look.
    """
    nearest = told if told > 0 else told + 10
    assert seconds_after(clock, told, took=10) == pytest.approx(nearest)
