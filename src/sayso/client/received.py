"""For programs that are told by webhook: whether a message is Sayso's, and what it says."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from sayso.domain.requests import Request
from sayso.errors import ConfigurationError, InvalidRequestError, NotPermittedError
from sayso.signatures import fits

TOLERANCE = timedelta(minutes=5)
"""How far the sender's clock may be from ours; what is older may have been recorded."""


class WebhookMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook or a callback says.

    A message may come more than once, always with the same `id`: remember it, and a second one
    changes nothing.
    """

    id: str
    type: str
    """`request.decided`, `request.expired` and so on; not an enumeration, a later server may tell
    of more."""
    at: datetime
    """When it happened."""
    request: Request | None
    """The request as it stood when the message was sent."""
    data: dict[str, Any]
    """All that was sent about it."""


class _Data(msgspec.Struct, frozen=True):
    request: Request | None = None


class _Body(msgspec.Struct, frozen=True):
    type: str
    timestamp: datetime
    data: msgspec.Raw


def verify_webhook(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str | Sequence[str],
    *,
    now: datetime | None = None,
) -> WebhookMessage:
    """What a message says, if it is signed with the secret and not older than five minutes.

    Args:
        body: as it came, byte by byte; not read and written anew.
        headers: of the HTTP request, with names in any case.
        secret: `whsec_...`; several while one is being changed.
        now: what time it is. Default: the machine's clock.

    Raises:
        NotPermittedError: it is not signed so, or too old (`invalid_signature`).
        InvalidRequestError: it is signed, and cannot be read.
        ConfigurationError: the secret is none.
    """
    raw = body.encode() if isinstance(body, str) else bytes(body)
    named = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = named.get("webhook-id", ""), named.get("webhook-timestamp", "")
    signatures = named.get("webhook-signature", "")
    if not (message_id and timestamp and signatures):
        raise _refused(
            "The headers webhook-id, webhook-timestamp and webhook-signature are needed."
        )
    _check_time(timestamp, now or datetime.now(UTC))
    secrets = (secret,) if isinstance(secret, str) else secret
    if not any(_fits(each, message_id, timestamp, raw, signatures) for each in secrets):
        raise _refused("The signature does not fit the message.")
    return _read(message_id, raw)


def _fits(secret: str, message_id: str, timestamp: str, body: bytes, signatures: str) -> bool:
    try:
        return fits(secret, message_id, timestamp, body, signatures)
    except ValueError:
        raise ConfigurationError(
            "The webhook's secret cannot be used: it is empty, too short or not base64.",
            hint="Set it to what the subscription was given: whsec_ and base64 of 16 bytes or"
            " more.",
        ) from None


def _check_time(timestamp: str, now: datetime) -> None:
    sent_at = int(timestamp) if timestamp.isascii() and timestamp.isdigit() else 0
    if abs(now.timestamp() - sent_at) > TOLERANCE.total_seconds():
        raise _refused("The message was not signed in the last five minutes.")


def _read(message_id: str, raw: bytes) -> WebhookMessage:
    try:
        body = msgspec.json.decode(raw, type=_Body)
        return WebhookMessage(
            id=message_id,
            type=body.type,
            at=body.timestamp,
            request=msgspec.json.decode(body.data, type=_Data).request,
            data=msgspec.json.decode(body.data, type=dict[str, Any]),
        )
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequestError(f"The message cannot be read: {error}.") from None


def _refused(why: str) -> NotPermittedError:
    return NotPermittedError(
        why,
        hint="Is it the subscription's secret, and the body as it came?",
        code="invalid_signature",
    )
