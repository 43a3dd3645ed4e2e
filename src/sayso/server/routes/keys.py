"""Keys of programs, and sessions of people."""

from datetime import datetime, timedelta

from msgspec import Struct

from sayso.broker.keys import KeyDraft, NewKey
from sayso.domain.accounts import Power, Scope, Strength
from sayso.domain.keys import ApiKey
from sayso.errors import NotPermittedError
from sayso.links import token_hash
from sayso.server.http import Call, Reply, json_reply
from sayso.stores.base import Login

_THIS = "this"


class Key(Struct, frozen=True, kw_only=True):
    """A key, without its text; `shown` is how it begins."""

    id: str
    agent_id: str
    label: str
    shown: str
    scope: Scope
    owner: str
    client_id: str | None
    session_pattern: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    replaces: str | None
    is_active: bool


class KeyText(Key, frozen=True, kw_only=True):
    """A key that was just made; its text, `key`, is not shown again."""

    key: str


class KeyList(Struct, frozen=True, kw_only=True):
    """Keys, oldest first."""

    items: tuple[Key, ...]


class Rotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a key is replaced: for how long both are good, and until when the new one is."""

    overlap_seconds: float = 0
    expires_at: datetime | None = None


class SignIn(Struct, frozen=True, kw_only=True):
    """A session of somebody who is signed in."""

    id: str
    user_id: str
    name: str
    method: str
    strength: Strength
    agent: str
    created_at: datetime
    expires_at: datetime
    is_this: bool
    """The one by which this was asked."""


class SignInList(Struct, frozen=True, kw_only=True):
    """Sessions, newest first."""

    items: tuple[SignIn, ...]


class Ended(Struct, frozen=True, kw_only=True):
    """How many sessions were ended."""

    ended: int


async def create(call: Call) -> Reply:
    """Make a key."""
    made = await call.server.accounts.keys.create(call.decode(KeyDraft), by=call.principal)
    return _text(call, made, 201)


async def find(call: Call) -> Reply:
    """List one's own keys, or with `all` those of everybody."""
    of_all = _wants_all(call) or not call.principal.is_person
    if of_all:
        _check_manages(call)
    keys = await call.server.accounts.keys.find(by=call.principal, all_owners=of_all)
    return json_reply(200, KeyList(items=tuple(_key(call, key) for key in keys)))


async def revoke(call: Call) -> Reply:
    """Let a key open nothing any more."""
    key = await call.server.accounts.keys.revoke(call.params["id"], by=call.principal)
    return json_reply(200, _key(call, key))


async def rotate(call: Call) -> Reply:
    """Make a key in another's place, for the same agent."""
    wanted = call.decode(Rotation) if call.body else Rotation()
    made = await call.server.accounts.keys.rotate(
        call.params["id"],
        by=call.principal,
        overlap=timedelta(seconds=min(max(wanted.overlap_seconds, -1), 1e9)),
        expires_at=wanted.expires_at,
    )
    return _text(call, made, 201)


async def logins(call: Call) -> Reply:
    """List one's own sessions, or with `all` those of everybody."""
    of_all = _wants_all(call)
    found = await call.server.accounts.logins.find(by=call.principal, all_people=of_all)
    return json_reply(200, SignInList(items=tuple(_sign_in(call, login) for login in found)))


async def end_login(call: Call) -> Reply:
    """End a session: one's own (`this`: the one that asks), or as an admin anybody's."""
    logins, login_id = call.server.accounts.logins, call.params["id"]
    if login_id == _THIS:
        mine = (_sign_in(call, each) for each in await logins.find(by=call.principal))
        login_id = next((each.id for each in mine if each.is_this), login_id)
    ended = await logins.end(login_id, by=call.principal)
    return json_reply(200, _sign_in(call, ended))


async def end_logins(call: Call) -> Reply:
    """End all one's sessions but this one, or as an admin all of `user_id`."""
    person_id = call.one("user_id") or call.principal.id
    keep = token_hash(call.server.auth.token_of(call.headers) or "")
    ended = await call.server.accounts.logins.end_all(person_id, by=call.principal, keep=keep)
    return json_reply(200, Ended(ended=ended))


def _wants_all(call: Call) -> bool:
    if not call.flag("all"):
        return False
    _check_manages(call)
    return True


def _check_manages(call: Call) -> None:
    if not call.principal.may(Power.MANAGE):
        raise NotPermittedError(
            "Those of everybody are for admins to see.",
            hint="Leave `all` out for your own.",
            code="power_required",
        )


def _text(call: Call, made: NewKey, status: int) -> Reply:
    fields = {name: getattr(_key(call, made.key), name) for name in Key.__struct_fields__}
    return json_reply(status, KeyText(**fields, key=made.text))


def _key(call: Call, key: ApiKey) -> Key:
    return Key(
        id=key.id,
        agent_id=key.agent_id,
        label=key.label,
        shown=key.shown,
        scope=key.scope,
        owner=key.owner,
        client_id=key.client_id,
        session_pattern=key.session_pattern,
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
        replaces=key.replaces,
        is_active=key.is_good(call.server.broker.clock.now()),
    )


def _sign_in(call: Call, login: Login) -> SignIn:
    token = call.server.auth.token_of(call.headers)
    return SignIn(
        id=login.id,
        user_id=login.person_id,
        name=login.name,
        method=login.method,
        strength=Strength(login.strength),
        agent=login.agent,
        created_at=login.created_at,
        expires_at=login.expires_at,
        is_this=token is not None and login.token_hash == token_hash(token),
    )
