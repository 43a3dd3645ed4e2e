"""One-time sign-in links: made offline with the server's secret, used once.

A token says until when it is good and carries 128 random bits; the server accepts it if the
signature fits, the time has not passed, and no one has used it before (the store remembers).
So whoever may read the secret beside the database can print a link, running server or not.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sayso.errors import ConfigurationError, SignInRequiredError

LINK_LIFETIME = timedelta(hours=1)
_PURPOSE = b"sayso login link v1\0"


def load_secret(path: Path, *, create: bool) -> bytes:
    """The server's secret: 32 bytes, in a file that only its owner can read.

    Args:
        path: the file.
        create: make its folder and the secret if they do not exist (the server does).

    Raises:
        ConfigurationError: there is no secret, or it cannot be read.
    """
    data = path.parent
    try:
        if create and not path.exists():
            data.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_once(path, secrets.token_hex(32).encode() + b"\n")
        secret = bytes.fromhex(path.read_text().strip())
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no Sayso server data in {str(data)!r}.",
            hint="Start the server once with: sayso serve --data DIR, or name its folder.",
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The secret in {str(path)!r} cannot be read: {error}.",
            hint="It must be a file of 64 hexadecimal digits that you may read.",
        ) from error
    if len(secret) < 32:
        raise ConfigurationError(
            f"The secret in {str(path)!r} is too short.",
            hint="Delete it; the server makes a new one at its next start.",
        )
    return secret


def make_link_token(secret: bytes, now: datetime, lifetime: timedelta = LINK_LIFETIME) -> str:
    """A token that signs a person in once, until `now + lifetime`."""
    expires = int((now + lifetime).timestamp())
    payload = expires.to_bytes(8, "big") + secrets.token_bytes(16)
    return _text(payload + _mac(secret, payload))


def read_link_token(secret: bytes, token: str, now: datetime) -> tuple[str, datetime]:
    """The token's name (to be remembered as used) and the time until which it is good.

    Raises:
        SignInRequiredError: it was not made with this secret, or its time has passed.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    payload, mac = raw[:24], raw[24:]
    if len(payload) != 24 or not hmac.compare_digest(mac, _mac(secret, payload)):
        raise SignInRequiredError("This sign-in link is not valid here.", code="invalid_link")
    expires = datetime.fromtimestamp(int.from_bytes(payload[:8], "big"), UTC)
    if now >= expires:
        raise SignInRequiredError("This sign-in link has expired.", code="expired_link")
    return payload[8:].hex(), expires


def new_session_token() -> str:
    """256 random bits for a signed-in person: the cookie's value, or a bearer token."""
    return "sayso_" + secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What is kept of a random token: SHA-256, so that the database alone signs nobody in."""
    return hashlib.sha256(token.encode()).hexdigest()


def _mac(secret: bytes, payload: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + payload, "sha256")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _write_once(path: Path, content: bytes) -> None:
    """Create `path` with mode 0600 and its whole content at once; keep one that is there."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
