"""Ids and addresses by which answers come back."""

import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from sayso.backends.callbacks import CallbackSigner

SIGNER = CallbackSigner(b"k" * 32)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_id_leads_back_to_its_request_and_cannot_be_made_up() -> None:
    """hitloop 17: an id was 32 bits long, so that two requests could have the same."""
    request_id = str(uuid.uuid4())
    callback_id = SIGNER.callback_id(request_id)
    assert SIGNER.request_id(callback_id) == request_id
    assert len(callback_id) == 43, "256 bits"
    flipped = ("A" if callback_id[-3] != "A" else "B").join((callback_id[:-3], callback_id[-2:]))
    others = [flipped, callback_id[:-1], callback_id + "A", "", "x", "é", request_id, "/" * 43]
    assert [SIGNER.request_id(each) for each in others] == [None] * len(others)
    assert CallbackSigner(b"j" * 32).request_id(callback_id) is None


def test_an_address_is_good_until_it_expires_and_only_as_it_was_signed() -> None:
    """hitloop 57: whoever knew or guessed an id could approve."""
    url = SIGNER.url("https://app.example/back/", "the-id", NOW + timedelta(minutes=5))
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://app.example/back/the-id"
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    expires, signature = query["expires"], query["signature"]
    assert SIGNER.fits("the-id", expires, signature, NOW)
    assert SIGNER.fits("the-id", int(expires), signature, NOW)
    assert not SIGNER.fits("the-id", expires, signature, NOW + timedelta(minutes=6))
    assert not SIGNER.fits("other", expires, signature, NOW)
    assert not SIGNER.fits("the-id", int(expires) + 1, signature, NOW)
    assert not SIGNER.fits("the-id", f" {expires}", signature, NOW)
    assert not SIGNER.fits("the-id", 0, signature, NOW)
    assert not CallbackSigner(b"j" * 32).fits("the-id", expires, signature, NOW)


@pytest.mark.parametrize("expires", ["", "-1", "1e9", "\u0661", None, "x"])
def test_what_is_no_time_fits_nothing(expires: object) -> None:
    assert not SIGNER.fits("the-id", expires, "", NOW)
    assert not SIGNER.fits("the-id", expires, "\u00e9", NOW)


def test_an_address_without_an_end_says_so_and_is_signed_all_the_same() -> None:
    url = SIGNER.url("http://localhost", "the-id", None)
    signature = url.rpartition("=")[2]
    assert "expires=0&" in url
    assert SIGNER.fits("the-id", "0", signature, NOW + timedelta(days=4_000))
