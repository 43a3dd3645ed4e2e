"""What passes between the protocol, which decides, and its drivers, which do the I/O."""

from collections.abc import Generator, Mapping
from typing import Literal, TypeAlias, TypeVar

import msgspec

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """Send this HTTP request. It is answered by a `Reply`, or by the `Lost` that came instead."""

    method: Method
    path: str  # below the base address
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    patience: float = 0.0  # seconds that the server may stay silent, on top of the usual time


class Sleep(msgspec.Struct, frozen=True):
    """Let this many seconds pass. It is answered by None."""

    seconds: float


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP response that came."""

    status: int
    headers: Mapping[str, str] = {}  # any object that is blind to case
    content: bytes = b""


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """No response came; unless it was `refused`, the server may have done what was asked."""

    why: Literal["refused", "broken", "slow"]
    error: Exception  # the cause, as the HTTP library raised it


T = TypeVar("T")
Operation: TypeAlias = Generator[Send | Sleep, Reply | Lost | None, T]
"""A conversation with the server that ends in a `T`."""
