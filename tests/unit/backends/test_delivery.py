"""Tries, pauses, and the breaker around deliveries."""

import asyncio
import random

import pytest

from sayso.backends import CircuitBreakerConfig, CircuitState, RetryConfig
from sayso.backends.delivery import Breaker, retried
from sayso.errors import ConfigurationError
from sayso.gate.ports import ApprovalError


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def breaker(ticks: Ticks) -> Breaker:
    """Opens after two failures, for ten seconds; then tries two."""
    return Breaker(CircuitBreakerConfig(2, 10.0, 2), ticks)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.admit().end(works=False)


def test_so_many_failures_in_a_row_open_it_and_a_success_in_between_does_not(
    breaker: Breaker,
) -> None:
    fail(breaker)
    breaker.admit().end(works=True)
    fail(breaker)
    assert breaker.state is CircuitState.CLOSED
    fail(breaker)
    assert breaker.state is CircuitState.OPEN
    with pytest.raises(ApprovalError, match="Circuit breaker open"):
        breaker.admit()


def test_half_open_admits_exactly_as_many_as_it_was_told(breaker: Breaker, ticks: Ticks) -> None:
    """hitloop 21: with half_open_max_calls=1 two were let through."""
    fail(breaker, 2)
    ticks.now = 10.0
    assert breaker.state is CircuitState.HALF_OPEN
    attempts = [breaker.admit(), breaker.admit()]
    with pytest.raises(ApprovalError):
        breaker.admit()
    attempts[0].end(works=True)
    assert breaker.state is CircuitState.CLOSED
    for _ in range(5):
        breaker.admit()


def test_a_try_that_fails_half_open_opens_it_again(breaker: Breaker, ticks: Ticks) -> None:
    fail(breaker, 2)
    ticks.now = 10.0
    fail(breaker)
    assert breaker.state is CircuitState.OPEN
    ticks.now = 19.9
    assert breaker.state is CircuitState.OPEN
    ticks.now = 20.0
    assert breaker.state is CircuitState.HALF_OPEN


def test_tries_that_are_broken_off_do_not_leave_it_stuck(breaker: Breaker, ticks: Ticks) -> None:
    """hitloop 21: probes that were cancelled left it half open, and nothing came through."""
    fail(breaker, 2)
    ticks.now = 10.0
    for _ in range(20):
        attempt = breaker.admit()
        attempt.end(None)
        attempt.end(works=True)  # too late to count
    assert breaker.state is CircuitState.HALF_OPEN
    breaker.admit().end(works=True)
    assert breaker.state is CircuitState.CLOSED


def test_pauses_grow_to_a_limit_and_a_fifth_is_chance() -> None:
    config = RetryConfig(initial_delay=1.0, max_delay=5.0, exponential_base=2.0)
    assert [config.pause(n, 0.5) for n in range(1, 6)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert config.pause(1, 0.0) == pytest.approx(0.8)
    assert 1.0 < config.pause(1, random.uniform(0.51, 0.99)) < 1.2
    assert config.pause(100_000, 0.5) == 5.0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: RetryConfig(max_retries=-1),
        lambda: RetryConfig(initial_delay=-1.0),
        lambda: RetryConfig(exponential_base=0.5),
        lambda: CircuitBreakerConfig(failure_threshold=0),
        lambda: CircuitBreakerConfig(half_open_max_calls=0),
        lambda: CircuitBreakerConfig(recovery_timeout=-1),
    ],
)
def test_numbers_that_cannot_work_are_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError):
        wrong()  # type: ignore[operator]


@pytest.mark.anyio
async def test_it_is_tried_as_often_as_was_told_and_the_last_error_is_told() -> None:
    tries = 0

    async def broken() -> None:
        nonlocal tries
        tries += 1
        raise OSError(f"try {tries}")

    with pytest.raises(OSError, match="try 3"):
        await retried(broken, RetryConfig(max_retries=2, initial_delay=0.001))
    assert tries == 3
    await asyncio.sleep(0)
