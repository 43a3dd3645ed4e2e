"""What a passkey signed: verified when it comes in, kept, and verified again later, offline.

A `Proof` is all that it takes, years later and without a database: the text that was signed, what
the authenticator made of it, and the public key. What it cannot show is that the key was that
person's; that is what the record of `passkey.added` is for.
"""

import base64
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import Struct

from sayso.domain.accounts import Strength
from sayso.domain.actions import digest_of
from sayso.domain.decisions import Decision, DecisionType, Reviewer, Vote
from sayso.domain.passkeys import (
    Statement,
    challenge_of,
    question_digest,
    said_digest,
    thumbprint,
)
from sayso.domain.requests import Request
from sayso.errors import NotPermittedError
from sayso.late import require
from sayso.types import Json, JsonObject

if TYPE_CHECKING:
    from webauthn.authentication.verify_authentication_response import VerifiedAuthentication

LIBRARY = "webauthn"
"""Loaded with the first passkey: it takes 5 MB and half a second, and most agents' servers none."""

require(LIBRARY, "server")


class Proof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept with a decision. Bytes are base64url, without padding."""

    text: str
    """The canonical JSON of the `Statement` that was signed."""
    nonce: str
    rp_id: str
    origin: str
    """The page on which it was signed, as the browser told."""
    credential_id: str
    public_key: str
    """As COSE."""
    client_data_json: str
    authenticator_data: str
    signature: str


class _Said(Protocol):
    """What decisions and votes have in common."""

    @property
    def type(self) -> DecisionType: ...
    @property
    def digest(self) -> str | None: ...
    @property
    def option(self) -> str | None: ...
    @property
    def content(self) -> Json: ...
    @property
    def reason(self) -> str: ...
    @property
    def by(self) -> Reviewer: ...


def verify_assertion(assertion: JsonObject, request: Request, said: Decision | Vote) -> Statement:
    """That this person's passkey signed exactly this decision, or vote, on this request.

    Needs nothing but what it is given. Arguments may have been redacted since: their digest is
    what was signed.

    Args:
        assertion: `Decision.assertion` or `Vote.assertion`.
        request: what was asked.
        said: what was decided.

    Raises:
        NotPermittedError: it does not prove that (`passkey_refused`); the message says why.
    """
    try:
        proof = msgspec.convert(assertion, Proof)
    except msgspec.ValidationError as error:
        raise refused(f"what is kept of it cannot be read: {error}") from error
    statement, _ = verify_proof(proof)
    _compare(statement, request, said)
    return statement


def verify_decision(request: Request) -> int:
    """Verify all that passkeys signed on a request; how many that were.

    Raises:
        NotPermittedError: one does not prove what it is kept with, or a decision counts as one by
            passkey and has no proof (`passkey_refused`).
    """
    said = (*request.votes, *(() if request.decision is None else (request.decision,)))
    for each in said:
        if each.assertion is not None:
            verify_assertion(each.assertion, request, each)
        elif each.strength is Strength.PASSKEY and not _is_remembered(each):
            raise refused("the proof is missing")
    return sum(each.assertion is not None for each in said)


def verify_proof(proof: Proof, sign_count: int = 0) -> "tuple[Statement, VerifiedAuthentication]":
    """The statement that was signed; that it is this decision's is for the caller to compare.

    Args:
        proof: what was signed.
        sign_count: how often the passkey was used before, as it said; later uses say more.

    Raises:
        NotPermittedError: it was not signed by this key, on this page, by a verified person
            (`passkey_refused`).
    """
    try:
        statement = msgspec.json.decode(proof.text, type=Statement)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise refused(f"the text that was signed cannot be read: {error}") from error
    if statement.text != proof.text or statement.nonce != proof.nonce:
        raise refused("the text that was signed is not in its canonical form")
    if thumbprint(proof.credential_id, proof.public_key) not in statement.passkeys:
        raise refused("this passkey was not asked to sign")
    verified = verify_signature(
        credential_id=proof.credential_id,
        client_data_json=proof.client_data_json,
        authenticator_data=proof.authenticator_data,
        signature=proof.signature,
        public_key=proof.public_key,
        challenge=challenge_of(proof.text),
        rp_id=proof.rp_id,
        origin=proof.origin,
        sign_count=sign_count,
    )
    return statement, verified


def verify_signature(
    *,
    credential_id: str,
    client_data_json: str,
    authenticator_data: str,
    signature: str,
    public_key: str,
    challenge: bytes,
    rp_id: str,
    origin: str,
    sign_count: int,
) -> "VerifiedAuthentication":
    """That a passkey signed this challenge. All texts are base64url.

    Raises:
        NotPermittedError: it did not (`passkey_refused`).
    """
    from webauthn import verify_authentication_response
    from webauthn.helpers import parse_client_data_json
    from webauthn.helpers.exceptions import WebAuthnException

    response = {
        "clientDataJSON": client_data_json,
        "authenticatorData": authenticator_data,
        "signature": signature,
    }
    for text in (credential_id, public_key, *response.values()):
        unpacked(text)
    credential: dict[str, Any] = {
        "id": credential_id,
        "rawId": credential_id,
        "type": "public-key",
        "response": response,
    }
    try:
        told = parse_client_data_json(unpacked(client_data_json))
        if told.challenge != challenge:
            raise refused("something else was signed than this")
        if told.cross_origin:
            raise refused("it was signed in a page within another site's page")
        return verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=rp_id,
            expected_origin=origin,
            credential_public_key=unpacked(public_key),
            credential_current_sign_count=sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError) as error:
        raise refused(str(error)) from error


def packed(raw: bytes) -> str:
    """Bytes as base64url, without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unpacked(text: str) -> bytes:
    """Bytes from base64url; of all the texts that stand for them, only the one that we write.

    Raises:
        NotPermittedError: it is not (`passkey_refused`).
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise refused("a part of it is not base64url") from error
    if packed(raw) != text:
        raise refused("a part of it is not base64url in its one form")
    return raw


def refused(why: str) -> NotPermittedError:
    """What a passkey gave does not prove this."""
    return NotPermittedError(
        f"The passkey does not prove this: {why.rstrip('.')}.",
        hint="Nothing was decided by it. Ask for a new challenge, and sign that.",
        code="passkey_refused",
    )


def _compare(statement: Statement, request: Request, said: _Said) -> None:
    """That the statement says what is kept."""
    kept: tuple[tuple[str, object, object], ...] = (
        ("tenant", statement.tenant, request.tenant),
        ("request", statement.request_id, request.id),
        ("question", statement.question, question_digest(request)),
        ("person", statement.person_id, said.by.id),
        ("type", statement.type, said.type),
        ("option", statement.option, said.option),
        ("content", statement.content, said_digest(said.content)),
        ("reason", statement.reason, said_digest(said.reason or None)),
    )
    for name, signed, found in kept:
        if signed != found:
            raise refused(f"another {name} was signed than the one that is kept")
    if statement.digest not in _digests(request, said):
        raise refused("another digest was signed than the one that is kept")


def _is_remembered(said: Decision | Vote) -> bool:
    """Whether nobody decided: a standing grant did, and whoever gave that has the strength."""
    return isinstance(said, Decision) and said.standing_grant is not None


def _digests(request: Request, said: _Said) -> tuple[str | None, ...]:
    """What may have been signed for: what was approved, or else what was in sight."""
    action = request.action
    if said.digest is not None or action is None:
        return (said.digest,)
    if request.proposed_args is None:
        return (action.digest,)
    return action.digest, digest_of(action.tool_name, request.proposed_args)
