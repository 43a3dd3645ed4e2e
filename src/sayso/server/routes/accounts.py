"""Accounts and keys as Loopgate has them, and signing in with a password."""

import re
from datetime import datetime

from msgspec import Struct

from sayso.broker.keys import KeyDraft
from sayso.domain.keys import ApiKey
from sayso.errors import InvalidRequestError, NotPermittedError, SignInRequiredError
from sayso.server.auth import SignedIn
from sayso.server.http import Call, Reply, json_reply
from sayso.server.throttle import REGISTRATIONS, place_of

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Credentials(Struct, frozen=True, kw_only=True):
    """A user name and a password."""

    username: str
    password: str


class NewUser(Struct, frozen=True, kw_only=True):
    """What is told of somebody who has registered."""

    message: str
    user_id: str


class Token(Struct, frozen=True, kw_only=True):
    """A JSON Web Token, to be sent as `Authorization: Bearer TOKEN`."""

    token: str
    user_id: str
    username: str


class KeyWish(Struct, frozen=True, kw_only=True):
    """What somebody wants a key for; all of it may be left out."""

    label: str | None = None
    expires_at: datetime | None = None


class RawKey(Struct, frozen=True, kw_only=True):
    """A key that was just made; `raw_key` is not shown again."""

    id: str
    raw_key: str
    label: str
    prefix: str
    expires_at: datetime | None
    created_at: datetime


class ListedKey(Struct, frozen=True, kw_only=True):
    """A key, without its text."""

    id: str
    label: str
    prefix: str
    last_used_at: datetime | None
    expires_at: datetime | None
    created_at: datetime
    is_active: bool


class Message(Struct, frozen=True, kw_only=True):
    """That it was done."""

    message: str


async def register(call: Call) -> Reply:
    """Make an account for oneself."""
    if not call.server.settings.may_register:
        raise NotPermittedError(
            "People cannot register themselves here.",
            hint="Ask an admin for an account.",
            code="registration_off",
        )
    for limit in REGISTRATIONS:
        call.server.throttle.take("Registering", limit, place_of(call.address))
    given = call.decode(Credentials)
    user = await call.server.accounts.users.register(given.username, given.password)
    return json_reply(201, NewUser(message="User registered successfully", user_id=user.id))


async def login(call: Call) -> Reply:
    """Trade a user name and a password for a JSON Web Token."""
    given = call.decode(Credentials)
    signed_in = await with_password(call, given, browser=False)
    user_id = signed_in.principal.id
    user = await call.server.accounts.users.get(user_id, by=signed_in.principal)
    return json_reply(200, Token(token=signed_in.token, user_id=user_id, username=user.username))


async def create_key(call: Call) -> Reply:
    """Make a key for an agent of one's own."""
    wish = call.decode(KeyWish) if call.body else KeyWish()
    draft = KeyDraft(label=wish.label or "", expires_at=wish.expires_at)
    made = await call.server.accounts.keys.create(draft, by=call.principal)
    key = made.key
    return json_reply(
        201,
        RawKey(
            id=key.id,
            raw_key=made.text,
            label=key.label,
            prefix=key.prefix,
            expires_at=key.expires_at,
            created_at=key.created_at,
        ),
    )


async def list_keys(call: Call) -> Reply:
    """List one's own keys."""
    now = call.server.broker.clock.now()
    keys = await call.server.accounts.keys.find(by=call.principal)
    return json_reply(200, [_listed(key, is_active=key.is_good(now)) for key in keys])


async def revoke_key(call: Call) -> Reply:
    """Let a key of one's own open nothing any more."""
    key_id = call.params["id"]
    if not _UUID.fullmatch(key_id):
        raise InvalidRequestError(f"{key_id[:80]!r} is not a UUID.")
    await call.server.accounts.keys.revoke(key_id.lower(), by=call.principal, own=True)
    return json_reply(200, Message(message="API key revoked successfully"))


async def with_password(call: Call, given: Credentials, *, browser: bool) -> SignedIn:
    """Begin a session of whoever has this name and this password.

    Raises:
        RateLimitedError: it was tried too often.
        SignInRequiredError: nobody has them (`invalid_login`).
    """
    server, address = call.server, call.address
    async with server.throttle.sign_in(address, given.username):
        try:
            user = await server.accounts.users.check(given.username, given.password)
        except SignInRequiredError:
            await server.accounts.users.refused(given.username, address=address)
            raise
    return await server.auth.begin(user, method="password", browser=browser, agent=call.agent)


def _listed(key: ApiKey, *, is_active: bool) -> ListedKey:
    return ListedKey(
        id=key.id,
        label=key.label,
        prefix=key.prefix,
        last_used_at=key.last_used_at,
        expires_at=key.expires_at,
        created_at=key.created_at,
        is_active=is_active,
    )
