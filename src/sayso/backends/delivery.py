"""Bringing a question to people: tried again with pauses, and not at all while nothing works.

All of this is about the delivery. How long people take to answer, or what they say, is not.
"""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

from msgspec import Struct

from sayso.errors import ConfigurationError
from sayso.gate.ports import ApprovalError

JITTER = 0.2
"""A pause is so much shorter or longer, so that what failed together does not return together."""


class RetryConfig(Struct, frozen=True):
    """How a delivery that failed is tried again.

    Raises:
        ConfigurationError: it cannot work like that.
    """

    max_retries: int = 3
    """Tries after the first one."""
    initial_delay: float = 1.0
    """Seconds before the second try,"""
    max_delay: float = 30.0
    """at the most before any,"""
    exponential_base: float = 2.0
    """and how many times longer each pause is; a fifth of it is left to chance."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.max_retries < 0 or self.initial_delay < 0 or self.max_delay < 0:
            raise ConfigurationError("Retries and pauses cannot be fewer than none.")
        if self.exponential_base < 1:
            raise ConfigurationError("exponential_base below 1 would make pauses shorter.")

    def pause(self, failures: int, chance: float) -> float:
        """Seconds to wait after so many failures.

        Args:
            failures: 1 or more.
            chance: a random number in [0, 1).
        """
        grown = self.initial_delay * self.exponential_base ** min(failures - 1, 64)
        return min(self.max_delay, grown) * (1 - JITTER + 2 * JITTER * chance)


class CircuitBreakerConfig(Struct, frozen=True):
    """When deliveries are not tried any more for a while.

    Raises:
        ConfigurationError: it cannot work like that.
    """

    failure_threshold: int = 5
    """Deliveries in a row that failed, each with all its tries."""
    recovery_timeout: float = 30.0
    """Seconds until some are tried again,"""
    half_open_max_calls: int = 3
    """and how many of them at once."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.failure_threshold < 1 or self.half_open_max_calls < 1:
            raise ConfigurationError("A breaker counts at least one failure, and tries one call.")
        if self.recovery_timeout < 0:
            raise ConfigurationError("recovery_timeout cannot be negative.")


class CircuitState(Enum):
    """Whether deliveries are tried: yes, no, or a few to see whether they work again."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """A circuit breaker, for any thread.

    Args:
        config: its numbers.
        clock: seconds that only rise.
    """

    def __init__(
        self, config: CircuitBreakerConfig, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._probes = 0
        self._opened_at: float | None = None

    @property
    def state(self) -> CircuitState:
        """What it lets through now."""
        with self._lock:
            return self._state()

    def admit(self) -> "Attempt":
        """Begin a delivery, of which must be told how it ended.

        Raises:
            ApprovalError: none is tried now.
        """
        with self._lock:
            state = self._state()
            probes = state is CircuitState.HALF_OPEN
            if state is CircuitState.OPEN or (
                probes and self._probes >= self._config.half_open_max_calls
            ):
                raise ApprovalError(
                    "Circuit breaker open: the last deliveries failed, so none is tried now, and"
                    " nobody was asked. Look at what send_request raised."
                )
            self._probes += probes
            return Attempt(self._ended, probes=probes)

    def _ended(self, works: bool | None, *, probes: bool) -> None:
        with self._lock:
            if probes:
                self._probes -= 1
            if works is None:
                return
            if works:
                self._failures, self._opened_at = 0, None
                return
            self._failures += 1
            if probes or self._failures >= self._config.failure_threshold:
                self._opened_at = self._clock()

    def _state(self) -> CircuitState:
        if self._opened_at is None:
            return CircuitState.CLOSED
        if self._clock() - self._opened_at < self._config.recovery_timeout:
            return CircuitState.OPEN
        return CircuitState.HALF_OPEN


class Attempt:
    """One delivery that a breaker let through."""

    def __init__(self, ended: Callable[..., None], *, probes: bool) -> None:
        self._ended = ended
        self._probes = probes
        self._open = True

    def end(self, works: bool | None) -> None:
        """It worked, failed, or with None was broken off; only the first word counts."""
        if self._open:
            self._open = False
            self._ended(works, probes=self._probes)


async def retried(send: Callable[[], Awaitable[None]], config: RetryConfig) -> None:
    """Try until it works, or the last try has failed; what that raised comes through.

    A `TypeError` comes through at once: it is a mistake in the program, which stays.
    """
    failures = 0
    while True:
        try:
            return await send()
        except TypeError:
            raise
        except Exception:
            failures += 1
            if failures > config.max_retries:
                raise
        await asyncio.sleep(config.pause(failures, random.random()))  # noqa: S311  a pause


async def answered(
    delivery: Awaitable[None], answer: "asyncio.Future[Any]", seconds: float | None
) -> bool:
    """Deliver, and wait for the answer, which may come before the delivery has ended.

    Args:
        delivery: brings the question there. It is called off when this ends.
        answer: done when there is one; left alone otherwise.
        seconds: how long both may take together. None: any time.

    Returns:
        Whether the delivery had ended.

    Raises:
        Exception: what the delivery raised, if there is no answer yet.
    """
    sending = asyncio.ensure_future(delivery)
    until = None if seconds is None else time.monotonic() + seconds
    try:
        await asyncio.wait({sending, answer}, timeout=seconds, return_when="FIRST_COMPLETED")
        if answer.done() or not sending.done():
            return sending.done()
        sending.result()
        left = None if until is None else max(0.0, until - time.monotonic())
        await asyncio.wait({answer}, timeout=left)
        return True
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
