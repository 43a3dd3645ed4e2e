"""Short-lived nonces, each for one purpose: made and read with the server's secret alone.

So nothing is kept of those that nobody uses. Whoever takes one has the store remember it, as it
does used links.
"""

import base64
import hmac
import json
import secrets
from datetime import UTC, datetime, timedelta

from sayso.errors import NotPermittedError

NONCE_LIFETIME = timedelta(minutes=5)
LOST_PASSKEY = ("lost passkey",)
"""The purpose of a code for somebody who has no passkey to confirm with."""
_PURPOSE = b"sayso nonce v1\0"


def make_nonce(
    secret: bytes,
    purpose: tuple[str, ...],
    now: datetime,
    *,
    lifetime: timedelta = NONCE_LIFETIME,
) -> str:
    """A nonce that is good for this purpose, until `now` and `lifetime`."""
    expires = int((now + lifetime).timestamp())
    payload = expires.to_bytes(8, "big") + secrets.token_bytes(16)
    return base64.urlsafe_b64encode(payload + _mac(secret, purpose, payload)).decode()


def read_nonce(
    secret: bytes, purpose: tuple[str, ...], nonce: str, now: datetime
) -> tuple[str, datetime]:
    """The nonce's name (to be remembered as used) and the time until which it is good.

    Raises:
        NotPermittedError: it was made for another purpose, elsewhere, or too long ago
            (`stale_challenge`).
    """
    try:
        raw = base64.b64decode(nonce, altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    payload, mac = raw[:24], raw[24:]
    if len(payload) != 24 or not hmac.compare_digest(mac, _mac(secret, purpose, payload)):
        raise stale("The challenge was not made here for this.")
    expires = datetime.fromtimestamp(int.from_bytes(payload[:8], "big"), UTC)
    if now >= expires:
        raise stale("The challenge is too old.")
    return f"nonce_{payload[8:].hex()}", expires


def stale(detail: str) -> NotPermittedError:
    """A challenge that does not count (any more)."""
    return NotPermittedError(detail, hint="Ask for a new one, and sign it.", code="stale_challenge")


def _mac(secret: bytes, purpose: tuple[str, ...], payload: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + json.dumps(purpose).encode() + b"\0" + payload, "sha256")
