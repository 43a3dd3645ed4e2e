"""The ids and addresses by which an answer comes back: signed, so that nobody makes them up."""

import base64
import hmac
import uuid
from datetime import datetime

_ID = b"sayso callback id v1\0"
_URL = b"sayso callback url v1\0"
_MAC_BYTES = 16


class CallbackSigner:
    """Makes callback ids out of request ids, and signs the addresses that people answer to.

    An id is 128 bits of a request's id and 128 bits of a code over it, so that nothing has to be
    kept to find the request again. An address says until when it is good, and a signature says
    that we wrote it.

    Args:
        key: 16 bytes or more, the same wherever answers come in.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def callback_id(self, request_id: str) -> str:
        """The id for a request, as base64url."""
        raw = uuid.UUID(request_id).bytes
        return base64.urlsafe_b64encode(raw + self._code(raw)).rstrip(b"=").decode()

    def request_id(self, callback_id: object) -> str | None:
        """The request that it is for; None if we did not make it."""
        if not isinstance(callback_id, str):
            return None
        try:
            raw = base64.b64decode(callback_id + "=", altchars=b"-_", validate=True)
        except ValueError:
            return None
        request, code = raw[:16], raw[16:]
        if not hmac.compare_digest(code, self._code(request)):
            return None
        return str(uuid.UUID(bytes=request))

    def url(self, base_url: str, callback_id: str, expires_at: datetime | None) -> str:
        """The address to answer to: `BASE/ID?expires=SECONDS&signature=HEX`; 0 is no end."""
        expires = 0 if expires_at is None else int(expires_at.timestamp()) + 1
        signature = self._signature(callback_id, str(expires))
        return f"{base_url.rstrip('/')}/{callback_id}?expires={expires}&signature={signature}"

    def fits(self, callback_id: object, expires: object, signature: object, now: datetime) -> bool:
        """Whether an address that was called is one of ours, and still good.

        Args:
            callback_id: as it was called.
            expires: the query's `expires`, as text or number.
            signature: the query's `signature`.
            now: the present moment.
        """
        if not (isinstance(callback_id, str) and isinstance(signature, str)):
            return False  # the query has none
        until = str(expires)
        if not (callback_id.isascii() and signature.isascii()):
            return False
        if not (until.isascii() and until.isdigit()):
            return False
        if not hmac.compare_digest(signature, self._signature(callback_id, until)):
            return False
        return int(until) == 0 or now.timestamp() < int(until)

    def _code(self, request: bytes) -> bytes:
        return hmac.digest(self._key, _ID + request, "sha256")[:_MAC_BYTES]

    def _signature(self, callback_id: str, expires: str) -> str:
        signed = f"{callback_id}.{expires}".encode()
        return hmac.digest(self._key, _URL + signed, "sha256").hex()
