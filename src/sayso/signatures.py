"""Standard Webhooks signatures: made for what is sent, checked by whoever receives it.

The signed bytes are `{id}.{timestamp}.{body}`; a secret is `whsec_` and base64 of its key.
See https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
import os
from collections.abc import Iterable

PREFIX = "whsec_"
MIN_KEY_BYTES = 16
"""A shorter key can be guessed; an empty one, of a setting left blank, is known to everybody."""
_PURPOSE = b"sayso callback secret v1\0"


def new_secret() -> str:
    """256 random bits, as a secret is written."""
    return _written(os.urandom(32))


def callback_secret(server_secret: bytes) -> str:
    """The secret that signs what requests' own `callback_url`s are told.

    It follows from the server's secret, so that it is kept nowhere and outlives restarts; nobody
    can tell the server's secret from it.
    """
    return _written(hmac.digest(server_secret, _PURPOSE, "sha256"))


def sign(secrets: Iterable[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each secret, with spaces between.

    Args:
        secrets: as they are written; two while one is being changed.
        message_id: the header `webhook-id`.
        timestamp: the header `webhook-timestamp`, in seconds since 1970.
        body: as it is sent.
    """
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return " ".join(f"v1,{_mac(key_of(secret), signed)}" for secret in secrets)


def fits(secret: str, message_id: str, timestamp: str, body: bytes, signatures: str) -> bool:
    """Whether one of the signatures was made with this secret.

    Raises:
        ValueError: the secret is none.
    """
    signed = b"%s.%s.%s" % (message_id.encode(), timestamp.encode(), body)
    expected = f"v1,{_mac(key_of(secret), signed)}".encode()
    given = signatures.encode().split(b" ")
    return any(hmac.compare_digest(expected, each) for each in given)


def key_of(secret: str) -> bytes:
    """The key that a secret stands for.

    Raises:
        ValueError: it is not written as a secret, or its key is too short.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"A secret holds {MIN_KEY_BYTES} bytes or more, and this {len(key)}.")
    return key


def _mac(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def _written(key: bytes) -> str:
    return PREFIX + base64.b64encode(key).decode()
