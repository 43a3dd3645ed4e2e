"""Passkeys: add, list, rename and remove them, and have them sign decisions."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sayso.domain.decisions import Answer
from sayso.domain.passkeys import Assertion, Passkey, PasskeyName
from sayso.server.http import Call, Reply, json_reply
from sayso.types import JsonObject

_Credential = Annotated[
    JsonObject,
    Meta(max_length=32, description="What the browser gave, by `PublicKeyCredential.toJSON`."),
]


class PasskeyInfo(Struct, frozen=True, kw_only=True):
    """A passkey, without its key."""

    id: str
    name: str
    backed_up: bool
    """Whether it is kept in more places than one device."""
    transports: tuple[str, ...]
    aaguid: str
    """Which make of authenticator, as it says."""
    thumbprint: str
    """Names its credential and public key; statements that it signed hold it."""
    created_at: datetime
    last_used_at: datetime | None


class PasskeyList(Struct, frozen=True, kw_only=True):
    """A person's passkeys, oldest first, and where they can be used."""

    items: tuple[PasskeyInfo, ...]
    rp_id: str
    origin: str


class NewPasskey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A passkey that a browser has made."""

    name: PasskeyName
    nonce: Annotated[str, Meta(max_length=200, description="The registration's.")]
    credential: _Credential
    confirmation: Annotated[
        _Credential | None,
        Meta(description="What another of the person's passkeys gave for `confirm`."),
    ] = None


class PasskeyRename(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another name."""

    name: PasskeyName


class PasskeyRemoval(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The confirmation by one of the person's passkeys; an admin needs none for others'."""

    assertion: Assertion | None = None
    code: Annotated[
        Annotated[str, Meta(max_length=200)] | None,
        Meta(description="Instead, if they are lost: what `sayso passkey-code` printed."),
    ] = None


async def find(call: Call) -> Reply:
    """List one's own passkeys; with `user_id`, as an admin, somebody else's."""
    passkeys = call.server.passkeys
    found = await passkeys.find(by=call.principal, person_id=call.one("user_id"))
    return json_reply(
        200,
        PasskeyList(
            items=tuple(map(_info, found)), rp_id=passkeys.party.id, origin=passkeys.party.origin
        ),
    )


async def options(call: Call) -> Reply:
    """Begin to add a passkey: options for the browser, good for five minutes."""
    return json_reply(200, await call.server.passkeys.registration(by=call.principal))


async def add(call: Call) -> Reply:
    """Add a passkey that the browser has made. All but the first are confirmed with another."""
    new = call.decode(NewPasskey)
    passkey = await call.server.passkeys.register(
        new.name,
        nonce=new.nonce,
        credential=new.credential,
        confirmation=new.confirmation,
        by=call.principal,
    )
    return json_reply(201, _info(passkey))


async def rename(call: Call) -> Reply:
    """Give a passkey another name."""
    name = call.decode(PasskeyRename).name
    passkey = await call.server.passkeys.rename(call.params["id"], name, by=call.principal)
    return json_reply(200, _info(passkey))


async def removal(call: Call) -> Reply:
    """Begin to remove a passkey: what one of them has to sign."""
    return json_reply(200, await call.server.passkeys.removal(call.params["id"], by=call.principal))


async def remove(call: Call) -> Reply:
    """Remove a passkey: one's own, confirmed with one of them, or as an admin somebody else's."""
    body = call.decode(PasskeyRemoval) if call.body.strip() else PasskeyRemoval()
    passkey = await call.server.passkeys.remove(
        call.params["id"], confirmation=body.assertion, code=body.code, by=call.principal
    )
    return json_reply(200, _info(passkey))


async def challenge(call: Call) -> Reply:
    """Begin to decide with a passkey: what to sign for this answer, good for five minutes."""
    answer = call.decode(Answer)
    return json_reply(
        200, await call.server.signing.challenge(call.params["id"], answer, by=call.principal)
    )


def _info(passkey: Passkey) -> PasskeyInfo:
    return msgspec.convert(passkey, PasskeyInfo, from_attributes=True)
