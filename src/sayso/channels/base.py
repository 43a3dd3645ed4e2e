"""The courier port: carry one thing to somebody outside, once, and tell what came of it.

A courier does not decide whether to try again, and remembers nothing between two tries; that is
`sayso.broker.dispatch`.
"""

from datetime import datetime
from typing import Protocol

from msgspec import UNSET, Struct, UnsetType


class Parcel(Struct, frozen=True, kw_only=True):
    """What is to be delivered."""

    id: str
    """The same over all tries, so that a receiver can tell that it has had it."""
    url: str
    secrets: tuple[str, ...]
    """Each signs it."""
    body: bytes
    """JSON."""
    at: datetime
    """When this try is made."""
    traceparent: str | UnsetType = UNSET
    """The span that asked for what is told, if it is known: goes along as a header."""


class Receipt(Struct, frozen=True, kw_only=True):
    """What came of one try."""

    ok: bool = False
    """The target has taken it."""
    status: int | None = None
    """The target's HTTP status, if it answered."""
    error: str = ""
    """Why it was not taken, as a sentence."""
    retry_after: float | None = None
    """The target's wish not to be tried again before so many seconds."""
    gone: bool = False
    """The target says that it wants no more, ever."""
    hopeless: bool = False
    """No later try can do better."""


class Courier(Protocol):
    """Carries parcels, many at once."""

    timeout: float
    """Seconds after which a try is given up."""

    async def deliver(self, parcel: Parcel) -> Receipt:
        """Try once. Whatever the target does is told by the receipt; nothing is raised for it."""
        ...

    async def close(self) -> None:
        """Let connections go. Closing twice is harmless."""
        ...
