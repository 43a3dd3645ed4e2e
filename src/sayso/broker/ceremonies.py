"""What a browser is told to make or use a passkey, and what it brings back, as WebAuthn says.

The library is loaded with the first passkey; `Passkeys.of` sees to it that nobody waits for that.
"""

import ipaddress
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypedDict, cast
from urllib.parse import urlsplit

from msgspec import Struct

from sayso.assertions import packed, refused, unpacked
from sayso.domain.accounts import Principal
from sayso.domain.actions import canonical_json
from sayso.domain.passkeys import Passkey
from sayso.nonces import NONCE_LIFETIME
from sayso.types import JsonObject

if TYPE_CHECKING:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor
    from webauthn.registration.verify_registration_response import VerifiedRegistration

_USER = b"sayso user v1\0"
_MILLISECONDS = int(NONCE_LIFETIME.total_seconds() * 1000)
_BROKEN = (ValueError, TypeError, KeyError, AttributeError, IndexError)
"""What the library raises for what it cannot read, besides its own."""


class RelyingParty(Struct, frozen=True, kw_only=True):
    """For whom passkeys are made: the host's name, and the origin of our pages."""

    id: str
    origin: str

    @property
    def is_named(self) -> bool:
        """Whether it has a name: browsers make no passkeys for an IP address."""
        try:
            ipaddress.ip_address(self.id)
        except ValueError:
            return bool(self.id)
        return False


class Signed(TypedDict):
    """What a passkey gave, each part in the one base64url form that we write."""

    credential_id: str
    client_data_json: str
    authenticator_data: str
    signature: str


def relying_party(public_url: str) -> RelyingParty:
    """The one whose pages people open at this address."""
    url = urlsplit(public_url)
    host = url.hostname or ""
    default = {"http": 80, "https": 443}.get(url.scheme)
    port = "" if url.port in (None, default) else f":{url.port}"
    return RelyingParty(id=host, origin=f"{url.scheme}://{host}{port}")


def creation_options(
    party: RelyingParty, by: Principal, known: Sequence[Passkey], challenge: bytes
) -> JsonObject:
    """What a browser needs to make a passkey for a person, besides those that they have."""
    from webauthn import generate_registration_options
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    options = generate_registration_options(
        rp_id=party.id,
        rp_name="Sayso",
        user_id=sha256(_USER + canonical_json({"of": [by.tenant, by.id]})).digest(),
        user_name=by.name,
        challenge=challenge,
        timeout=_MILLISECONDS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[_descriptor(each) for each in known],
    )
    return options_to_json_dict(options)


def request_options(party: RelyingParty, known: Sequence[Passkey], challenge: bytes) -> JsonObject:
    """What a browser needs to have one of these sign."""
    from webauthn import generate_authentication_options
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import UserVerificationRequirement

    options = generate_authentication_options(
        rp_id=party.id,
        challenge=challenge,
        timeout=_MILLISECONDS,
        allow_credentials=[_descriptor(each) for each in known],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json_dict(options)


def read_made(
    party: RelyingParty, credential: JsonObject, challenge: bytes
) -> "VerifiedRegistration":
    """A passkey that a browser has made for this challenge, of a verified person.

    Raises:
        NotPermittedError: it was not, or cannot be read (`passkey_refused`).
    """
    from webauthn import verify_registration_response
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        return verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, *_BROKEN) as error:
        raise refused(str(error)) from error


def read_signed(credential: JsonObject) -> Signed:
    """What a browser brings back from a passkey, not verified yet.

    Raises:
        NotPermittedError: it cannot be read (`passkey_refused`).
    """
    from webauthn.helpers import parse_authentication_credential_json
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        parsed = parse_authentication_credential_json(credential)
    except (WebAuthnException, *_BROKEN) as error:
        raise refused(str(error)) from error
    if packed(parsed.raw_id) != parsed.id:
        raise refused("its two ids are not the same")
    return Signed(
        credential_id=parsed.id,
        client_data_json=packed(parsed.response.client_data_json),
        authenticator_data=packed(parsed.response.authenticator_data),
        signature=packed(parsed.response.signature),
    )


def read_transports(credential: JsonObject) -> tuple[str, ...]:
    """How the device is reached, as far as it says so in words that we know."""
    from webauthn.helpers.structs import AuthenticatorTransport

    response = cast("dict[str, Any]", credential["response"])
    told = response.get("transports")
    if not isinstance(told, list):
        return ()
    known = {each.value for each in AuthenticatorTransport}
    return tuple(str(each) for each in cast("list[object]", told)[:10] if each in known)


def _descriptor(passkey: Passkey) -> "PublicKeyCredentialDescriptor":
    from webauthn.helpers.structs import AuthenticatorTransport, PublicKeyCredentialDescriptor

    transports = [AuthenticatorTransport(each) for each in passkey.transports]
    return PublicKeyCredentialDescriptor(
        id=unpacked(passkey.credential_id), transports=transports or None
    )
