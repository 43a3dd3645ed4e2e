"""A message is taken if it is signed, fresh and ours; the reference library signs."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from driven import APPROVED
from standardwebhooks import Webhook

from sayso import verify_webhook
from sayso.errors import ConfigurationError, InvalidRequestError, NotPermittedError
from sayso.signatures import callback_secret, key_of, new_secret, sign

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER = "whsec_YW5vdGhlciBzZWNyZXQsIGFsc28gMzIgYnl0ZXMgbG9uZw=="
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DATA = {"request_id": APPROVED.id, "request": msgspec.to_builtins(APPROVED)}
BODY = msgspec.json.encode({"type": "request.decided", "timestamp": NOW, "data": DATA})


def signed(
    body: bytes = BODY, at: datetime = NOW, secret: str = SECRET, message_id: str = "m1"
) -> dict[str, str]:
    """The headers that the reference library makes."""
    return {
        "Webhook-Id": message_id,
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": Webhook(secret).sign(message_id, at, body.decode()),
    }


def test_a_message_says_what_happened() -> None:
    message = verify_webhook(BODY, signed(), SECRET, now=NOW)
    assert (message.id, message.type, message.at) == ("m1", "request.decided", NOW)
    assert message.request == APPROVED
    assert message.data["request_id"] == APPROVED.id


def test_our_signature_is_that_of_the_reference_library() -> None:
    at = int(NOW.timestamp())
    for body in (BODY, b"", '{"text":"grüß"}'.encode()):
        headers = signed(body)
        assert sign([SECRET], "m1", at, body) == headers["Webhook-Signature"]


def test_any_of_several_signatures_and_of_several_secrets_is_enough() -> None:
    old = new_secret()
    headers = signed() | {
        "Webhook-Signature": sign([SECRET, old], "m1", int(NOW.timestamp()), BODY) + " v1a,xyz"
    }
    for secret in (SECRET, old, [new_secret(), old]):
        assert verify_webhook(BODY.decode(), headers, secret, now=NOW).id == "m1"


@pytest.mark.parametrize("minutes", [-5, 0, 5])
def test_a_message_is_taken_within_five_minutes(minutes: int) -> None:
    verify_webhook(BODY, signed(at=NOW + timedelta(minutes=minutes)), SECRET, now=NOW)


@pytest.mark.parametrize(
    ("body", "headers", "secret"),
    [
        (BODY + b" ", signed(), SECRET),
        (BODY, signed(), OTHER),
        (BODY, signed() | {"Webhook-Id": "m2"}, SECRET),
        (BODY, signed() | {"Webhook-Timestamp": str(int(NOW.timestamp()) + 1)}, SECRET),
        (BODY, signed(at=NOW + timedelta(seconds=301)), SECRET),
        (BODY, signed(at=NOW - timedelta(seconds=301)), SECRET),
        (BODY, signed() | {"Webhook-Timestamp": "soon"}, SECRET),
        (BODY, signed() | {"Webhook-Timestamp": "\u0661"}, SECRET),
        (BODY, signed() | {"Webhook-Timestamp": "-1"}, SECRET),
        (BODY, signed() | {"Webhook-Signature": ""}, SECRET),
        (BODY, signed() | {"Webhook-Signature": "v1,"}, SECRET),
        (BODY, signed() | {"Webhook-Signature": "v1"}, SECRET),
        (BODY, signed() | {"Webhook-Signature": "v1,\u00e4"}, SECRET),
        (BODY, {}, SECRET),
        (BODY, signed(), []),
    ],
)
def test_what_is_not_signed_so_or_not_now_is_refused(
    body: bytes, headers: dict[str, str], secret: str
) -> None:
    with pytest.raises(NotPermittedError) as refused:
        verify_webhook(body, headers, secret, now=NOW)
    assert refused.value.reason_code == "invalid_signature"


def test_a_signed_message_that_is_none_is_told_apart() -> None:
    for body in (b"{}", b"[1]", b"no", b'{"type":"x","timestamp":"y","data":{}}'):
        with pytest.raises(InvalidRequestError):
            verify_webhook(body, signed(body), SECRET, now=NOW)


def test_an_event_without_a_request_has_none() -> None:
    body = json.dumps({"type": "webhook.test", "timestamp": "2026-01-01T12:00:00Z", "data": {}})
    message = verify_webhook(body, signed(body.encode()), SECRET, now=NOW)
    assert (message.type, message.request) == ("webhook.test", None)


@pytest.mark.parametrize(
    "secret", ["whsec_not base64", "", "whsec_", "whsec_AA==", "whsec_MDEyMzQ1Njc4OWFiY2Rl"]
)
def test_a_secret_that_is_none_is_told(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="16 bytes"):
        verify_webhook(BODY, signed(), secret, now=NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AA=="])
def test_nobody_forges_a_message_for_a_receiver_whose_secret_is_left_blank(secret: str) -> None:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    made = hmac.digest(key, b"m1.%d.%s" % (NOW.timestamp(), BODY), "sha256")
    forged = signed() | {
        "webhook-id": "m1",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
    }
    with pytest.raises(ConfigurationError):
        verify_webhook(BODY, forged, secret, now=NOW)
    with pytest.raises(ValueError, match="16 bytes"):
        sign([secret], "m1", 0, BODY)


def test_the_callbacks_secret_follows_from_the_servers_and_does_not_tell_it() -> None:
    server = b"s" * 32
    assert callback_secret(server) == callback_secret(server) != callback_secret(b"t" * 32)
    assert len(key_of(callback_secret(server))) == 32
    assert server not in key_of(callback_secret(server))
