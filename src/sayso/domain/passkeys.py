"""Passkeys, and the statement that a person signs with one to decide."""

from datetime import datetime
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sayso.domain.accounts import DEFAULT_TENANT, Principal, Strength
from sayso.domain.actions import canonical_json, digest_of
from sayso.domain.decisions import Answer, DecisionType
from sayso.domain.requests import Request
from sayso.errors import InvalidAnswerError, InvalidRequestError
from sayso.types import Json, JsonObject

KIND = "passkey"
"""Of the records that hold them: the handle is the credential's id, the owner is the person."""
MAX_PASSKEYS = 20
"""How many a person may have."""
_DECISION = b"sayso decision v1\0"
"""Nothing else that a passkey may be asked to sign here begins like this."""

PasskeyName = Annotated[str, Meta(min_length=1, max_length=100)]


class Passkey(Struct, frozen=True, kw_only=True):
    """A key pair of a person's, whose private half their device keeps."""

    id: str
    person_id: str
    name: str
    credential_id: str
    """base64url, as are all of WebAuthn's bytes here."""
    public_key: str
    """As COSE."""
    sign_count: int
    """How often it says that it was used; one that does not count stays at 0."""
    aaguid: str
    """Which make of authenticator, as it says; nobody has vouched for it."""
    transports: tuple[str, ...] = ()
    backed_up: bool
    """Whether it is kept in more places than one device."""
    created_at: datetime
    last_used_at: datetime | None = None
    tenant: str = DEFAULT_TENANT

    @property
    def thumbprint(self) -> str:
        """Names the credential and its public key together."""
        return thumbprint(self.credential_id, self.public_key)


class Assertion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a browser brings back from a passkey."""

    nonce: Annotated[str, Meta(max_length=200, description="The challenge's.")]
    credential: Annotated[
        JsonObject,
        Meta(
            max_length=32, description="What `navigator.credentials.get()` gave, by its `toJSON`."
        ),
    ]


class Statement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed: who decides what, and how. Its canonical JSON makes the challenge."""

    tenant: str
    person_id: str
    request_id: str
    question: str
    """SHA-256 of what is asked."""
    type: DecisionType
    digest: str | None
    """Of the action as it would run."""
    option: str | None
    content: str | None
    """SHA-256 of the text or form that is the answer."""
    reason: str | None
    remember: str | None
    """SHA-256 of the standing grant that is given with it."""
    passkeys: tuple[str, ...]
    """The thumbprints of those that may sign."""
    nonce: str

    @property
    def text(self) -> str:
        """The canonical JSON (RFC 8785)."""
        return canonical_json(msgspec.to_builtins(self)).decode()


def statement_of(
    request: Request, answer: Answer, by: Principal, passkeys: tuple[str, ...], nonce: str
) -> Statement:
    """What `by` would sign to give this answer now.

    Args:
        request: as it is now, with arguments that somebody else may have changed.
        answer: what they say.
        by: who they are.
        passkeys: the thumbprints of those that may sign.
        nonce: makes each statement another one.

    Raises:
        InvalidAnswerError: it holds a number that has no canonical form.
    """
    return Statement(
        tenant=request.tenant,
        person_id=by.id,
        request_id=request.id,
        question=question_digest(request),
        type=answer.type,
        digest=_effective_digest(request, answer),
        option=answer.option,
        content=said_digest(answer.content),
        reason=said_digest(answer.reason or None),
        remember=said_digest(msgspec.to_builtins(answer.remember)),
        passkeys=tuple(sorted(passkeys)),
        nonce=nonce,
    )


def challenge_of(text: str) -> bytes:
    """What a passkey signs to agree to a statement's text: 32 bytes."""
    return sha256(_DECISION + text.encode()).digest()


def question_digest(request: Request) -> str:
    """Of everything that is asked, and never changes: kind, message, action, options, form."""
    action = request.action
    asked: JsonObject = {
        "kind": request.kind,
        "message": request.message,
        "action": None if action is None else action.digest,
        "options": msgspec.to_builtins(request.options),
        "schema": request.schema,
    }
    return _digest(asked)


def said_digest(value: Json) -> str | None:
    """Of words or a form, so that a statement is short and tells nobody what they were."""
    return None if value is None else _digest({"said": value})


def thumbprint(credential_id: str, public_key: str) -> str:
    """Names a credential and its public key together."""
    return _digest({"credential_id": credential_id, "public_key": public_key})


def shown_strength(by: Principal, assertion: JsonObject | None) -> Principal:
    """How strongly somebody is identified for one decision.

    A passkey counts for what it signed alone: a session that began with one is a login.
    """
    if assertion is not None:
        return msgspec.structs.replace(by, strength=Strength.PASSKEY)
    if by.strength is Strength.PASSKEY:
        return msgspec.structs.replace(by, strength=Strength.LOGIN)
    return by


def _effective_digest(request: Request, answer: Answer) -> str | None:
    """Of the action as this answer would have it run."""
    if request.action is None:
        return None
    args = answer.args if answer.type is DecisionType.EDIT else request.proposed_args
    return request.action.digest if args is None else digest_of(request.action.tool_name, args)


def _digest(value: JsonObject) -> str:
    try:
        return f"sha256:{sha256(canonical_json(value)).hexdigest()}"
    except InvalidRequestError as error:
        raise InvalidAnswerError(
            "This cannot be signed: it holds a number or a text without a canonical form.",
            hint="Send numbers beyond 2^53 as texts.",
        ) from error
