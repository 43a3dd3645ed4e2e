"""The chain over the log, and the exact bytes that are signed. Pure.

`h(0)` is `GENESIS`; `h(n) = SHA-256(h(n-1) || SHA-256(record n))`, where record n is the event as
it is stored, byte for byte. A block signs the hash after its last event.
"""

from collections.abc import Iterable
from hashlib import sha256

from sayso.domain.blocks import Block, KeyIntroduction

HASH_BYTES = 32
_PIECE = 2_047
"""To hash more bytes at once Python lets another thread go on, such as the one that writes, and to
get its turn back takes many times as long as the hash."""
GENESIS = sha256(b"sayso ledger v1\n").digest()
"""The hash before the first event."""


def leaf_of(record: bytes) -> bytes:
    """An event's own hash; all that a bundle tells of an event that is not its reader's."""
    return sha256(record).digest()


def chained(previous: bytes, leaves: Iterable[bytes]) -> bytes:
    """The chain's hash after each of these, one behind the other, 32 bytes each."""
    hashes = bytearray()
    for leaf in leaves:
        previous = sha256(previous + leaf).digest()
        hashes += previous
    return bytes(hashes)


def record_hash(record: bytes) -> str:
    """A stored request's hash as its events tell it (`data.record`)."""
    if len(record) <= _PIECE:
        return f"sha256:{sha256(record).hexdigest()}"
    hashed = sha256(record[:_PIECE])
    for start in range(_PIECE, len(record), _PIECE):
        hashed.update(record[start : start + _PIECE])
    return f"sha256:{hashed.hexdigest()}"


def block_statement(block: Block) -> bytes:
    """What a block's signature is over."""
    return (
        "sayso ledger block v1\n"
        f"number: {block.number}\n"
        f"first: {block.first}\n"
        f"last: {block.last}\n"
        f"previous: {block.previous}\n"
        f"head: {block.head}\n"
        f"at: {block.at}\n"
        f"key: {block.key_id}\n"
    ).encode()


def introduction_statement(introduction: KeyIntroduction) -> bytes:
    """What is signed when a key is introduced."""
    return (
        "sayso ledger key v1\n"
        f"public: {introduction.public}\n"
        f"by: {introduction.by}\n"
        f"at: {introduction.at}\n"
    ).encode()


def told_statement(text: str) -> bytes:
    """What is signed when the ledger itself is changed: redaction, retirement."""
    return b"sayso ledger statement v1\n" + text.encode()


def manifest_statement(manifest: bytes) -> bytes:
    """What is signed of a bundle."""
    return b"sayso bundle v1\n" + manifest


def key_id_of(public: str) -> str:
    """A key's name: the first 16 bytes of the SHA-256 of its 32 bytes, in hexadecimal.

    Raises:
        ValueError: it is not hexadecimal.
    """
    return sha256(bytes.fromhex(public)).hexdigest()[:32]
