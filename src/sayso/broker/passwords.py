"""Passwords: which ones are taken, how they are kept, how they are checked.

They are hashed with argon2id, which costs 64 MiB and a good part of a tenth of a second each time.
So it is done in threads of its own, few at once, and only so many may wait for their turn.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sayso.errors import BusyError, InvalidRequestError

T = TypeVar("T")

SHORTEST = 8
"""Characters."""
LONGEST = 1_024
"""Bytes, in UTF-8."""
AT_ONCE = 2
MAX_WAITING = 64
_COMMON = Path(__file__).with_name("common_passwords.txt")


class Passwords:
    """Hashes and checks them, a few at a time.

    Args:
        hasher: argon2id and its parameters. Default: the low-memory profile of RFC 9106.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")
        self._waiting = 0
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """What is kept of it.

        Raises:
            BusyError: too many are waiting for the same.
        """
        return await self._in_thread(self._hasher.hash, _normal(password))

    async def fits(self, kept: str, password: str) -> bool:
        """Whether it is the one; without one that is kept it takes as long to say no.

        Raises:
            BusyError: too many are waiting for the same.
        """
        if len(password.encode(errors="surrogatepass")) > LONGEST:
            password, kept = "", ""
        if self._nobodys is None:
            self._nobodys = await self.hash(secrets.token_hex())
        fits = await self._in_thread(self._verify, kept or self._nobodys, _normal(password))
        return fits and bool(kept)

    def is_outdated(self, kept: str) -> bool:
        """Whether it was hashed with other parameters than are used now."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, kept: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, work: Callable[..., T], *given: Any) -> T:
        if self._waiting >= MAX_WAITING:
            raise BusyError("Too many people are signing in at once.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)
        finally:
            self._waiting -= 1


def check_password(password: str, username: str) -> None:
    """Refuse what is too short, too long, or the first that others would try.

    Raises:
        InvalidRequestError: with the code `weak_password`.
    """
    if len(password) < SHORTEST:
        raise _weak(f"The password has fewer than {SHORTEST} characters.")
    if len(password.encode(errors="surrogatepass")) > LONGEST:
        raise _weak(f"The password has more than {LONGEST} bytes.")
    if "\0" in password or any("\ud800" <= character <= "\udfff" for character in password):
        raise _weak("The password has characters that no keyboard types.")
    if password.casefold() == username.casefold():
        raise _weak("The password is the user name.")
    if password.casefold() in _common():
        raise _weak("The password is one of those that everybody tries first.")


@cache
def _common() -> frozenset[str]:
    return frozenset(_COMMON.read_text(encoding="utf-8").split())


def _normal(password: str) -> bytes:
    """The same bytes from every keyboard: NFKC, as RFC 8265 has it."""
    return unicodedata.normalize("NFKC", password).encode(errors="surrogatepass")


def _weak(detail: str) -> InvalidRequestError:
    return InvalidRequestError(
        detail,
        hint="Take a longer one, such as four words that nobody would put together.",
        code="weak_password",
        errors=({"at": "$.password", "message": detail},),
    )
