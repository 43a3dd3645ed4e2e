"""Decisions that a person signs with a passkey."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from sayso.assertions import Proof, verify_proof
from sayso.broker import answers
from sayso.broker.broker import Broker
from sayso.broker.ceremonies import read_signed, relying_party, request_options
from sayso.broker.passkeys import Passkeys, named
from sayso.domain import lifecycle
from sayso.domain.accounts import Principal
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.lifecycle import Decide
from sayso.domain.passkeys import (
    Assertion,
    Passkey,
    challenge_of,
    shown_strength,
    statement_of,
)
from sayso.domain.requests import Request
from sayso.errors import InvalidTransitionError, PersonRequiredError, RefusedError
from sayso.nonces import NONCE_LIFETIME, make_nonce, read_nonce
from sayso.types import JsonObject


class Challenge(Struct, frozen=True, kw_only=True):
    """What a passkey is to sign, and what that means."""

    nonce: str
    options: JsonObject
    """For `PublicKeyCredential.parseRequestOptionsFromJSON()`."""
    text: str
    """The canonical JSON of what is signed; the options' challenge is its hash."""
    digest: str | None
    """Of the action as it would run."""
    origin: str
    """The address at which it can be signed."""
    expires_at: datetime


class Signing:
    """Has a person's passkey sign what they decide.

    Args:
        broker: decides.
        passkeys: people's.
        secret: the server's.
    """

    def __init__(self, broker: Broker, passkeys: Passkeys, secret: bytes) -> None:
        self._broker = broker
        self._clock = broker.clock
        self.passkeys = passkeys
        self._secret = secret

    async def challenge(self, request_id: str, answer: Answer, *, by: Principal) -> Challenge:
        """What to sign so that this answer counts as given by passkey.

        Raises:
            RefusedError: they have no passkey (`no_passkey`), or the server has no name
                (`no_passkeys_here`).
            NotFoundError, InvalidTransitionError, InvalidAnswerError, NotPermittedError: as
                deciding would, so that nobody signs in vain.
        """
        known = await self.passkeys.of(by)
        request = await self._broker.get(request_id, by=by)
        self._try(request, answer, by)
        if not known:
            raise _none_yet()
        now = self._clock.now()
        nonce = make_nonce(self._secret, _purpose(request, by), now)
        statement = statement_of(request, answer, by, _thumbprints(known), nonce)
        text = statement.text
        return Challenge(
            nonce=nonce,
            options=request_options(self.passkeys.party, known, challenge_of(text)),
            text=text,
            digest=statement.digest,
            origin=self.passkeys.party.origin,
            expires_at=now.replace(microsecond=0) + NONCE_LIFETIME,
        )

    async def decide(
        self,
        request_id: str,
        answer: Answer,
        assertion: Assertion | None,
        *,
        by: Principal,
        channel: Channel,
    ) -> Request:
        """A person's answer, with what their passkey signed for it, if it did.

        Raises:
            NotPermittedError: the passkey signed something else, or somebody else's did
                (`passkey_refused`), or too long ago, or it was used before (`stale_challenge`).
            SaysoError: as `Broker.decide` does.
        """
        proof = None
        if assertion is not None:
            if not by.is_person:
                raise PersonRequiredError
            request = await self._broker.get(request_id, by=by)
            if not request.is_terminal:  # else they are told what was decided
                self._try(request, answer, by)
                answer, proof = await self._witness(request, answer, assertion, by)
        return await self._broker.decide(
            request_id,
            answer,
            by=by,
            channel=channel,
            assertion=None if proof is None else msgspec.to_builtins(proof),
        )

    def _try(self, request: Request, answer: Answer, by: Principal) -> None:
        """Refuse what deciding would refuse."""
        signed = shown_strength(by, {})
        command = Decide(answer=answer, by=signed, channel=Channel.WEB, assertion={})
        try:
            lifecycle.apply(request, command, self._clock.now())
        except InvalidTransitionError as error:
            error.request = msgspec.to_builtins(request)
            raise
        answers.check_answer(request, answer)

    async def _witness(
        self, request: Request, answer: Answer, assertion: Assertion, by: Principal
    ) -> tuple[Answer, Proof]:
        """That this person's passkey signed this answer to this request, now, for the first time.

        The answer comes back bound to the digest that was signed, so that it is refused should
        somebody change what would run in this moment.
        """
        used = read_nonce(self._secret, _purpose(request, by), assertion.nonce, self._clock.now())
        known = await self.passkeys.of(by)
        statement = statement_of(request, answer, by, _thumbprints(known), assertion.nonce)
        proof = self._proof(known, assertion.credential, assertion.nonce, statement.text)
        await self.passkeys.count(
            proof.credential_id,
            lambda passkey: verify_proof(proof, passkey.sign_count)[1].new_sign_count,
        )
        await self.passkeys.use(*used)
        if answer.type is DecisionType.APPROVE and answer.digest is None:
            answer = msgspec.structs.replace(answer, digest=statement.digest)
        return answer, proof

    def _proof(
        self, known: Sequence[Passkey], credential: JsonObject, nonce: str, text: str
    ) -> Proof:
        """What a browser sent, with the public key of the passkey that it names."""
        signed = read_signed(credential)
        passkey = named(known, signed["credential_id"])
        return Proof(
            text=text,
            nonce=nonce,
            rp_id=self.passkeys.party.id,
            origin=self.passkeys.party.origin,
            public_key=passkey.public_key,
            **signed,
        )


def make_signing(broker: Broker, secret: bytes, public_url: str) -> Signing:
    """Passkeys and decisions by them, for people who open our pages at `public_url`."""
    return Signing(broker, Passkeys(broker, secret, relying_party(public_url)), secret)


def _purpose(request: Request, by: Principal) -> tuple[str, ...]:
    return ("decide", by.tenant, by.id, request.id)


def _thumbprints(known: Sequence[Passkey]) -> tuple[str, ...]:
    return tuple(each.thumbprint for each in known)


def _none_yet() -> RefusedError:
    return RefusedError(
        "You have no passkey.", hint="Add one at /passkeys, then try again.", code="no_passkey"
    )
