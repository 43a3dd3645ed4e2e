"""What the ledger is made of: blocks that sign ranges of the log, and the keys that sign them."""

from msgspec import Struct

MAX_BLOCK = 1_000
"""Events in one block at the most."""


class KeyIntroduction(Struct, frozen=True, kw_only=True):
    """A public key, vouched for by the one before it; the first of a ledger vouches for itself."""

    public: str
    """Ed25519: 32 bytes, in hexadecimal."""
    by: str = ""
    """The id of the key that signed this; empty: itself, because it is the first, or the one
    before it was lost."""
    at: int
    """When, in microseconds since 1970, UTC."""
    signature: str
    """64 bytes, in hexadecimal."""


class Block(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A signed range of the log. Numbers of blocks and events begin with 1 and have no gaps."""

    number: int
    first: int
    """The number of its first event,"""
    last: int
    """and of its last."""
    previous: str
    """The head of the block before it: 32 bytes, in hexadecimal."""
    head: str
    """The chain's hash after its last event."""
    at: int
    """When it was signed, in microseconds since 1970, UTC."""
    key_id: str
    signature: str
    keys: tuple[KeyIntroduction, ...] = ()
    """Keys that begin with this block; the last of them signed it."""
    hashes: bytes = b""
    """The chain's hash after each of its events, 32 bytes each; empty where only heads are told."""
