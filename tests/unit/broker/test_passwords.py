"""Passwords: hashed in threads, few at once, and no faster for a name that nobody has."""

import asyncio

import pytest
from argon2 import PasswordHasher

from sayso.broker.passwords import MAX_WAITING, Passwords
from sayso.errors import BusyError

pytestmark = pytest.mark.anyio
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Counting(PasswordHasher):
    """Counts what it verifies."""

    verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002
        self.verified += 1
        return super().verify(hash, password)


async def test_a_password_fits_its_own_hash_alone() -> None:
    passwords = Passwords(QUICK)
    kept = await passwords.hash("gr\u00fc\u00dfe aus Wien")
    assert await passwords.fits(kept, "gru\u0308\u00dfe aus Wien")
    assert not await passwords.fits(kept, "gr\u00fc\u00dfe aus Linz")
    assert not await passwords.fits(kept, "x" * 100_000)
    assert not await passwords.fits("no hash at all", "gr\u00fc\u00dfe aus Wien")
    assert not passwords.is_outdated(kept)
    assert Passwords().is_outdated(kept)
    passwords.close()


async def test_a_name_that_nobody_has_costs_a_verification_too() -> None:
    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    passwords = Passwords(hasher)
    assert not await passwords.fits("", "anything")
    assert hasher.verified == 1
    passwords.close()


async def test_a_flood_is_told_to_try_again() -> None:
    passwords = Passwords(QUICK)
    done = await asyncio.gather(
        *(passwords.hash("the same") for _ in range(MAX_WAITING + 10)), return_exceptions=True
    )
    assert sum(isinstance(each, BusyError) for each in done) == 10
    assert sum(isinstance(each, str) for each in done) == MAX_WAITING
    passwords.close()


async def test_by_default_a_hash_costs_what_rfc_9106_wants_where_memory_is_scarce() -> None:
    """Servers of tests hash for less, see `tests/support/nursery.py`; this is what people get."""
    passwords = Passwords()
    kept = await passwords.hash("correct horse")
    passwords.close()
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
