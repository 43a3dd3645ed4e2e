"""The key that signs the ledger, and its successor.

Without a file of its own the key is derived from the server's secret, which all processes on one
database share already. A rotation writes the file: the new key, and its introduction signed by the
old one. Blocks carry introductions, so whoever has the blocks can follow the keys.
"""

import contextlib
import hmac
import os
import secrets
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from sayso.domain.blocks import KeyIntroduction
from sayso.errors import ConfigurationError, LedgerError, MissingExtraError
from sayso.ledger.blocks import introduction_statement, key_id_of

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
except ModuleNotFoundError as error:
    raise MissingExtraError("cryptography", "server") from error

_PURPOSE = b"sayso ledger key v1\0"


class KeyFile(Struct, frozen=True, kw_only=True):
    """What stands in the file of a key that was rotated."""

    private: str
    """32 bytes, in hexadecimal."""
    introductions: tuple[KeyIntroduction, ...]
    """From the ledger's first key to this one."""


class SigningKey:
    """A private key, and how it came to be the ledger's.

    Attributes:
        key_id: its name.
        introductions: from the ledger's first key to this one.
    """

    def __init__(self, private: bytes, introductions: tuple[KeyIntroduction, ...] = ()) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(private)
        self.public = self._private.public_key().public_bytes_raw().hex()
        self.key_id = key_id_of(self.public)
        self.introductions = introductions or (self.introduce(self.public, by="", at=0),)

    def sign(self, statement: bytes) -> str:
        """The signature, in hexadecimal."""
        return self._private.sign(statement).hex()

    def introduce(self, public: str, *, by: str, at: int) -> KeyIntroduction:
        """Vouch for a key, this one or its successor."""
        draft = KeyIntroduction(public=public, by=by, at=at, signature="")
        signature = self.sign(introduction_statement(draft))
        return msgspec.structs.replace(draft, signature=signature)

    def since(self, key_id: str | None) -> tuple[KeyIntroduction, ...]:
        """The introductions that a ledger needs which has ended with that key so far.

        Args:
            key_id: None for a ledger without blocks.

        Raises:
            LedgerError: this key does not come after that one (`ledger_key`).
        """
        if key_id is None:
            return self.introductions
        ids = [key_id_of(each.public) for each in self.introductions]
        if key_id in ids:
            return self.introductions[ids.index(key_id) + 1 :]
        if self.introductions[-1].by == "" and len(ids) == 1 and self.introductions[-1].at:
            return self.introductions  # the key before it was lost, and somebody has said so
        raise LedgerError(
            f"The ledger was signed with the key {key_id} last, which {self.key_id}, the one that"
            " this process has, does not follow.",
            hint="Give all processes the same key file (SAYSO_LEDGER_KEY_FILE). If that key is"
            " lost: sayso audit rotate-key --lost",
            code="ledger_key",
        )


class Keys:
    """Where the key is found; a rotation is noticed while the server runs.

    Args:
        path: its file, which need not be there.
        secret: the server's, from which the key is derived without the file.
    """

    def __init__(self, path: Path | None, secret: bytes) -> None:
        self._path = path
        self._secret = secret
        self._key: SigningKey | None = None
        self._mark: tuple[int, int] | None = None

    def current(self) -> SigningKey:
        """The key to sign with now.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        mark = _mark(self._path)
        if self._key is None or mark != self._mark:
            self._key = _read(self._path) if self._path and mark else derived(self._secret)
            self._mark = mark
        return self._key


def derived(secret: bytes) -> SigningKey:
    """The key of a server that has no file for it."""
    return SigningKey(hmac.digest(secret, _PURPOSE, "sha256"))


def rotate(path: Path, old: SigningKey, now: datetime, *, lost: bool = False) -> SigningKey:
    """Make a new key, introduced by the old one, and keep it in `path` with mode 0600.

    The file is replaced in one piece; a running server takes it within a second.

    Args:
        path: the file.
        old: the key until now.
        now: the present moment.
        lost: the ledger's key is lost, and `old` is not it: the new one vouches for itself.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    private, at = secrets.token_bytes(32), round(now.timestamp() * 1_000_000)
    plain = SigningKey(private)
    if lost:
        introductions = (plain.introduce(plain.public, by="", at=at),)
    else:
        introductions = (
            *old.introductions,
            old.introduce(plain.public, by=old.key_id, at=at),
        )
    content = KeyFile(private=private.hex(), introductions=introductions)
    try:
        write_private(path, msgspec.json.format(msgspec.json.encode(content)) + b"\n")
    except OSError as error:
        raise ConfigurationError(
            f"The ledger's key cannot be written to {str(path)!r}: {error.strerror}.",
            hint="Name another file with SAYSO_LEDGER_KEY_FILE, for the servers, too.",
        ) from error
    return SigningKey(private, introductions)


def write_private(path: Path, content: bytes) -> None:
    """Put a file there in one piece, with mode 0600.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()


def fits(public: str, signature: str, statement: bytes) -> bool:
    """Whether the signature over the statement was made with this key.

    Rubbish does not fit, nor does the right one in another spelling: each has one only.
    """
    try:
        if any(bytes.fromhex(text).hex() != text for text in (public, signature)):
            return False
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), statement)
    except (InvalidSignature, ValueError):
        return False
    return True


def _read(path: Path) -> SigningKey:
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=KeyFile)
        key = SigningKey(bytes.fromhex(kept.private), kept.introductions)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ConfigurationError(
            f"The ledger's key in {str(path)!r} cannot be read: {error}.",
            hint="Restore it, or make another one: sayso audit rotate-key --lost",
        ) from error
    if not kept.introductions or kept.introductions[-1].public != key.public:
        raise ConfigurationError(
            f"The ledger's key in {str(path)!r} is not the one that its introductions end with.",
            hint="Restore the file.",
        )
    return key


def _mark(path: Path | None) -> tuple[int, int] | None:
    """What changes when the file is replaced; None if there is none."""
    try:
        found = path.stat() if path is not None else None
    except FileNotFoundError:
        return None
    return None if found is None else (found.st_ino, found.st_mtime_ns)
