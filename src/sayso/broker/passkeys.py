"""Passkeys: registered, listed, renamed, removed.

A challenge holds a nonce that is good for one purpose, one person and five minutes, and is used
once. Nothing is kept of it until then.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256

import msgspec
from msgspec import Struct

from sayso import codec
from sayso.assertions import LIBRARY, packed, refused, verify_signature
from sayso.broker.broker import Broker
from sayso.broker.ceremonies import (
    RelyingParty,
    creation_options,
    read_made,
    read_signed,
    read_transports,
    request_options,
)
from sayso.clock import RequestIds
from sayso.domain.accounts import Power, Principal
from sayso.domain.actions import canonical_json
from sayso.domain.events import EventType
from sayso.domain.passkeys import (
    KIND,
    MAX_PASSKEYS,
    Assertion,
    Passkey,
)
from sayso.domain.records import Record
from sayso.errors import (
    ConflictError,
    NotFoundError,
    NotPermittedError,
    PersonRequiredError,
    RefusedError,
)
from sayso.late import loaded
from sayso.nonces import LOST_PASSKEY, make_nonce, read_nonce, stale
from sayso.stores.base import RecordQuery
from sayso.types import JsonObject

MAX_ROUNDS = 8
_REGISTRATION = b"sayso registration v1\0"
_CONFIRMATION = b"sayso confirmation v1\0"


class PasskeyOptions(Struct, frozen=True, kw_only=True):
    """What a browser needs to make a passkey."""

    nonce: str
    options: JsonObject
    """For `PublicKeyCredential.parseCreationOptionsFromJSON()`."""
    confirm: JsonObject | None
    """Whoever has a passkey confirms another one with it: options to sign first."""


class Confirmation(Struct, frozen=True, kw_only=True):
    """What one of a person's passkeys is to sign before they are changed."""

    nonce: str
    options: JsonObject


class Passkeys:
    """People's passkeys, and what they sign.

    Args:
        broker: decides, and knows the store and the clock.
        secret: the server's.
        party: where people meet us.
    """

    def __init__(self, broker: Broker, secret: bytes, party: RelyingParty) -> None:
        self._broker = broker
        self._store = broker.store
        self._clock = broker.clock
        self._secret = secret
        self._ids = RequestIds(broker.clock)
        self.party = party

    async def registration(self, *, by: Principal) -> PasskeyOptions:
        """Options to make another passkey.

        Raises:
            PersonRequiredError: agents have none.
            RefusedError: they have as many as there may be (`too_many_passkeys`), or the server
                has no name (`no_passkeys_here`).
        """
        known = await self.of(by)
        if len(known) >= MAX_PASSKEYS:
            raise _too_many()
        purpose = ("add", by.tenant, by.id)
        nonce = make_nonce(self._secret, purpose, self._clock.now())
        options = creation_options(self.party, by, known, _registration_challenge(nonce))
        confirm = (
            request_options(self.party, known, _confirmation_challenge(purpose, nonce))
            if known
            else None
        )
        return PasskeyOptions(nonce=nonce, options=options, confirm=confirm)

    async def register(
        self,
        name: str,
        *,
        nonce: str,
        credential: JsonObject,
        confirmation: JsonObject | None,
        by: Principal,
    ) -> Passkey:
        """Keep a passkey that a browser has made.

        Args:
            name: by which the person knows it.
            nonce: the registration's.
            credential: what `navigator.credentials.create()` gave, by its `toJSON`.
            confirmation: what a passkey that they have gave for `confirm`; None with the first.
            by: whose it is.

        Raises:
            NotPermittedError: it was not made for this (`passkey_refused`, `stale_challenge`), or
                is not confirmed (`passkey_required`).
            ConflictError: it is registered already.
            RefusedError: as `registration` does.
        """
        known = await self.of(by)
        if len(known) >= MAX_PASSKEYS:
            raise _too_many()
        purpose = ("add", by.tenant, by.id)
        used = read_nonce(self._secret, purpose, nonce, self._clock.now())
        made = read_made(self.party, credential, _registration_challenge(nonce))
        if known:
            await self._confirm(known, purpose, nonce, confirmation)
        await self.use(*used)
        passkey = Passkey(
            id=self._ids.next(),
            person_id=by.id,
            name=name,
            credential_id=packed(made.credential_id),
            public_key=packed(made.credential_public_key),
            sign_count=made.sign_count,
            aaguid=made.aaguid,
            transports=read_transports(credential),
            backed_up=made.credential_backed_up,
            created_at=self._clock.now(),
            tenant=by.tenant,
        )
        try:
            await self._keep(_record(passkey, 1), EventType.PASSKEY_ADDED, passkey, by)
        except ConflictError:
            raise ConflictError("This passkey is registered already.") from None
        return passkey

    async def find(self, *, by: Principal, person_id: str | None = None) -> Sequence[Passkey]:
        """A person's passkeys, oldest first: the caller's own, or for an admin anybody's.

        Raises:
            NotPermittedError: they are somebody else's (`power_required`).
        """
        owner = by.id if person_id is None else person_id
        if owner != by.id and not by.may(Power.MANAGE):
            raise NotPermittedError(
                "Whose passkeys these are is for them to see, and for an admin.",
                code="power_required",
            )
        return await self._passkeys(by.tenant, owner)

    async def rename(self, passkey_id: str, name: str, *, by: Principal) -> Passkey:
        """Give a passkey of one's own another name.

        Raises:
            NotFoundError: they have no such passkey.
        """
        for _ in range(MAX_ROUNDS):
            record, passkey = await self._own(passkey_id, by)
            renamed = msgspec.structs.replace(passkey, name=name)
            try:
                await self._store.put_records([_record(renamed, record.version + 1)])
            except ConflictError:
                continue
            return renamed
        raise _restless()

    async def removal(self, passkey_id: str, *, by: Principal) -> Confirmation:
        """What a passkey has to sign so that one of them is removed.

        Raises:
            NotFoundError: they have no such passkey.
        """
        await self._own(passkey_id, by)
        known = await self.of(by)
        purpose = ("remove", by.tenant, by.id, passkey_id)
        nonce = make_nonce(self._secret, purpose, self._clock.now())
        return Confirmation(
            nonce=nonce,
            options=request_options(self.party, known, _confirmation_challenge(purpose, nonce)),
        )

    async def remove(
        self,
        passkey_id: str,
        *,
        confirmation: Assertion | None,
        by: Principal,
        code: str | None = None,
    ) -> Passkey:
        """Forget a passkey: one's own, confirmed by one of them, or as an admin somebody else's.

        Args:
            passkey_id: which.
            confirmation: what one of their passkeys gave.
            by: who removes it.
            code: instead of a confirmation, what `sayso passkey-code` printed.

        Raises:
            NotFoundError: there is no such passkey, or it is not theirs to remove.
            NotPermittedError: it is not confirmed (`passkey_required`, `passkey_refused`).
        """
        for _ in range(MAX_ROUNDS):
            record = await self._store.get_record(KIND, passkey_id)
            if record is not None and record.tenant == by.tenant and record.owner != by.id:
                if not by.is_person or not by.may(Power.MANAGE):
                    raise _not_there(passkey_id)
                passkey = _passkey(record)
            else:
                await self._own(passkey_id, by)
                await self._confirm_removal(passkey_id, confirmation, code, by)
                confirmation = code = None  # it is used: another round would need another
                record, passkey = await self._own(passkey_id, by)  # it may have counted just now
            gone = msgspec.structs.replace(record, version=record.version + 1, body=b"")
            try:
                await self._keep(gone, EventType.PASSKEY_REMOVED, passkey, by)
            except ConflictError:
                continue
            return passkey
        raise _restless()

    async def _confirm_removal(
        self, passkey_id: str, confirmation: Assertion | None, code: str | None, by: Principal
    ) -> None:
        now = self._clock.now()
        if confirmation is not None:
            purpose = ("remove", by.tenant, by.id, passkey_id)
            used = read_nonce(self._secret, purpose, confirmation.nonce, now)
            known = await self.of(by)
            await self._confirm(known, purpose, confirmation.nonce, confirmation.credential)
        elif code is not None:
            used = read_nonce(self._secret, LOST_PASSKEY, code, now)
        else:
            raise _unconfirmed()
        await self.use(*used)

    async def _confirm(
        self,
        known: Sequence[Passkey],
        purpose: tuple[str, ...],
        nonce: str,
        credential: JsonObject | None,
    ) -> None:
        """That one of these passkeys signed this change."""
        if credential is None:
            raise _unconfirmed()
        signed = read_signed(credential)
        named(known, signed["credential_id"])
        await self.count(
            signed["credential_id"],
            lambda passkey: (
                verify_signature(
                    **signed,
                    public_key=passkey.public_key,
                    challenge=_confirmation_challenge(purpose, nonce),
                    rp_id=self.party.id,
                    origin=self.party.origin,
                    sign_count=passkey.sign_count,
                ).new_sign_count
            ),
        )

    async def count(self, credential_id: str, verify: Callable[[Passkey], int]) -> None:
        """Verify with the passkey as it is kept, and keep that it was used.

        When two of its uses meet, the later one is verified again, against the new count.
        """
        for _ in range(MAX_ROUNDS):
            record = await self._store.find_handle(KIND, credential_id)
            if record is None:
                raise refused("it is no passkey of yours (any more)")
            passkey = _passkey(record)
            used = msgspec.structs.replace(
                passkey, sign_count=verify(passkey), last_used_at=self._clock.now()
            )
            try:
                await self._store.put_records([_record(used, record.version + 1)])
            except ConflictError:
                continue
            return
        raise _restless()

    async def use(self, name: str, expires_at: datetime) -> None:
        """Take a nonce, by its name.

        Raises:
            NotPermittedError: somebody has (`stale_challenge`).
        """
        if not await self._store.use_link(name, expires_at):
            raise stale("The challenge was used already.")

    async def of(self, by: Principal) -> Sequence[Passkey]:
        """The passkeys of a person who may use some here.

        Raises:
            PersonRequiredError: agents have none.
            RefusedError: the server has no name (`no_passkeys_here`).
        """
        if not by.is_person:
            raise PersonRequiredError
        if not self.party.is_named:
            raise RefusedError(
                f"Passkeys cannot be used at {self.party.origin}: browsers make none for an IP"
                " address.",
                hint="Set SAYSO_PUBLIC_URL to an address with a name, such as"
                " http://localhost:8080 or https://approvals.example.com.",
                code="no_passkeys_here",
            )
        await loaded(LIBRARY)
        return await self._passkeys(by.tenant, by.id)

    async def _passkeys(self, tenant: str, person_id: str) -> Sequence[Passkey]:
        query = RecordQuery(kind=KIND, tenant=tenant, owner=person_id, limit=MAX_PASSKEYS * 2)
        return [_passkey(record) for record in await self._store.find_records(query)]

    async def _own(self, passkey_id: str, by: Principal) -> tuple[Record, Passkey]:
        record = await self._store.get_record(KIND, passkey_id)
        if record is None or (record.tenant, record.owner) != (by.tenant, by.id):
            raise _not_there(passkey_id)
        return record, _passkey(record)

    async def _keep(self, record: Record, kind: EventType, passkey: Passkey, by: Principal) -> None:
        data: JsonObject = {
            "passkey_id": passkey.id,
            "person_id": passkey.person_id,
            "name": passkey.name,
            "thumbprint": passkey.thumbprint,
        }
        journal = self._broker.journal
        event = msgspec.structs.replace(journal.event(kind, by, data), owner=passkey.person_id)
        await journal.put((record,), event)


def _registration_challenge(nonce: str) -> bytes:
    return sha256(_REGISTRATION + nonce.encode()).digest()


def _confirmation_challenge(purpose: tuple[str, ...], nonce: str) -> bytes:
    text = canonical_json({"purpose": list(purpose), "nonce": nonce})
    return sha256(_CONFIRMATION + text).digest()


def named(known: Sequence[Passkey], credential_id: str) -> Passkey:
    """The passkey of these that has this credential.

    Raises:
        NotPermittedError: none of them has (`passkey_refused`).
    """
    for passkey in known:
        if passkey.credential_id == credential_id:
            return passkey
    raise refused("it is no passkey of yours (any more)")


def _record(passkey: Passkey, version: int) -> Record:
    return Record(
        kind=KIND,
        id=passkey.id,
        tenant=passkey.tenant,
        owner=passkey.person_id,
        handle=passkey.credential_id,
        version=version,
        body=codec.encode(passkey),
    )


def _passkey(record: Record) -> Passkey:
    return msgspec.json.decode(record.body, type=Passkey)


def _too_many() -> RefusedError:
    return RefusedError(
        f"You have {MAX_PASSKEYS} passkeys already.",
        hint="Remove one that you do not use.",
        code="too_many_passkeys",
    )


def _unconfirmed() -> NotPermittedError:
    return NotPermittedError(
        "This has to be confirmed with one of your passkeys.",
        hint="If you have lost them, an admin can remove them, or give you the code that"
        " `sayso passkey-code` prints.",
        code="passkey_required",
    )


def _not_there(passkey_id: str) -> NotFoundError:
    return NotFoundError(f"You have no passkey {passkey_id[:100]!r}.")


def _restless() -> ConflictError:
    return ConflictError("The passkey was changed again and again.", hint="Try again.")
