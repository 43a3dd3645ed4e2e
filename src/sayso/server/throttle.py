"""How often something may be tried: by address, by name, by the beginning of a key.

Nobody can lock somebody else out: failures count for an address and a name together, so that the
right password from another address still works; for the name alone, and for the address alone,
they only make it take longer. What succeeds is not counted.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from sayso.errors import RateLimitedError, SignInRequiredError

PROVIDER = RateLimitItemPerMinute(60, 1, "provider")
"""Ways to the OpenID provider, begun from one address."""
ADDRESS_FAILURES = RateLimitItemPerMinute(60, 1, "address")
"""Of one address, with whatever names: after that each further try takes longer."""
FAILURES = RateLimitItemPerMinute(10, 5, "failures")
"""Of one address with one name, in five minutes."""
NAME_FAILURES = RateLimitItemPerMinute(20, 15, "name")
"""With one name, from anywhere: after that each further try takes longer."""
REGISTRATIONS = (
    RateLimitItemPerMinute(30, 1, "registrations"),
    RateLimitItemPerHour(300, 1, "registrations"),
)
PASSWORDS = RateLimitItemPerMinute(20, 5, "passwords")
"""Set by one person from one address, in five minutes."""
LINKS = RateLimitItemPerMinute(60, 1, "links")
"""Links that are not good, from one address."""
KEYS = RateLimitItemPerMinute(600, 1, "keys")
"""Credentials that are not good, from one address,"""
KEY = RateLimitItemPerMinute(60, 1, "key")
"""and those of them that begin alike."""
SLOW_SECONDS = 2.0
_SHOWN = 16


class Throttle:
    """Counts, in this process."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._trying: Counter[tuple[str, str]] = Counter()

    def take(self, what: str, limit: RateLimitItem, *whose: str) -> None:
        """Count one try.

        Raises:
            RateLimitedError: there were too many.
        """
        if not self._limiter.hit(limit, *whose):
            raise self._refusal(what, limit, *whose)

    @asynccontextmanager
    async def sign_in(self, address: str, name: str) -> AsyncGenerator[None]:
        """Try a user name and a password; a `SignInRequiredError` in the block is a failure.

        If it succeeds, what failed with this name from this address does not count any more.

        Raises:
            RateLimitedError: there were too many failures with this name from this address, those
                included that are under way.
        """
        place, name = place_of(address), name.casefold()[:200]
        whose = (place, name)
        if self._limiter.get_window_stats(FAILURES, *whose).remaining <= self._trying[whose]:
            raise self._refusal("Signing in with this name", FAILURES, *whose)
        self._trying[whose] += 1
        try:
            if not (
                self._limiter.test(NAME_FAILURES, name)
                and self._limiter.test(ADDRESS_FAILURES, place)
            ):
                await asyncio.sleep(SLOW_SECONDS)
            yield
            self._limiter.clear(FAILURES, *whose)
        except SignInRequiredError:
            self._limiter.hit(FAILURES, *whose)
            self._limiter.hit(NAME_FAILURES, name)
            self._limiter.hit(ADDRESS_FAILURES, place)
            raise
        finally:
            self._trying[whose] -= 1
            if not self._trying[whose]:
                del self._trying[whose]

    def set_password(self, address: str, person_id: str) -> None:
        """Count one try to set a password: the present one could be guessed by that, too.

        Raises:
            RateLimitedError: there were too many.
        """
        self.take("Setting a password", PASSWORDS, place_of(address), person_id)

    def refuse_key(self, address: str, credential: str) -> None:
        """Count a credential that is not good; good ones are never counted, nor refused.

        Raises:
            RateLimitedError: there were too many.
        """
        place = place_of(address)
        self.take("Calling with credentials that are not good", KEYS, place)
        self.take("Calling with this credential", KEY, place, credential[:_SHOWN])

    def _refusal(self, what: str, limit: RateLimitItem, *whose: str) -> RateLimitedError:
        again = self._limiter.get_window_stats(limit, *whose).reset_time - time.time()
        return RateLimitedError(
            f"{what} was tried too often.", retry_after=max(1, min(int(again) + 1, 3_600))
        )


def place_of(address: str) -> str:
    """What counts as one address: of IPv6 a network, since one host has all of it."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6:
        return str(parsed.ipv4_mapped or ip_network((int(parsed), 64), strict=False))
    return address


def caller_address(peer: str, forwarded: str, trusted: tuple[str, ...]) -> str:
    """Who is calling: the peer, or if that is a proxy of ours, whom it says it calls for.

    Args:
        peer: the address that the connection comes from.
        forwarded: the `X-Forwarded-For`, to which each proxy has added whom it was called by.
        trusted: the networks of our proxies.
    """
    address = peer
    for hop in reversed(forwarded.split(",")):
        if not hop.strip() or not _is_within(address, trusted):
            break
        address = hop.strip()
    return address


def _is_within(address: str, networks: tuple[str, ...]) -> bool:
    try:
        return any(ip_address(address) in ip_network(each) for each in networks)
    except ValueError:
        return False
