"""Users, groups and who is calling."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from sayso.domain.accounts import Power, Role, Strength
from sayso.domain.users import Group, User
from sayso.server.http import Call, Reply, bad_parameter, json_reply
from sayso.server.openapi import Parameter
from sayso.server.viewer import names_of

Tenant = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        description="Where; another than one's own is for whoever runs the server.",
    ),
]


class Account(Struct, frozen=True, kw_only=True):
    """A person with an account."""

    id: str
    username: str
    name: str
    role: Role
    tenant: str
    disabled: bool
    has_password: bool
    created_at: datetime
    last_sign_in_at: datetime | None


class AccountList(Struct, frozen=True, kw_only=True):
    """All of them, oldest first."""

    items: tuple[Account, ...]


class AccountDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody to be added; without a password they sign in at the OpenID provider only."""

    username: str
    password: str | None = None
    name: str = ""
    role: Role = Role.MEMBER
    tenant: Tenant | None = None


class AccountChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be another way; what is left out stays."""

    role: Role | None = None
    disabled: bool | None = None
    name: str | None = None


class NewPassword(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A password; `current` is needed by whoever changes their own."""

    password: str
    current: str | None = None


class GroupList(Struct, frozen=True, kw_only=True):
    """All groups, by name; members are ids of users."""

    items: tuple[Group, ...]


class Caller(Struct, frozen=True, kw_only=True):
    """Who is calling, and what they may do."""

    plane: str
    id: str
    name: str
    role: str
    tenant: str
    powers: tuple[Power, ...]
    groups: tuple[str, ...]
    strength: Strength | None
    owner: str
    client_id: str | None
    session_pattern: str | None


class NameList(Struct, frozen=True, kw_only=True):
    """Names by id; whoever is not known has none."""

    names: dict[str, str]


MAX_NAMES = 100
NAMES = (Parameter("id", f"Whose names: one or several ids, by commas, {MAX_NAMES} at the most."),)


async def names(call: Call) -> Reply:
    """What people and agents are called, by their ids."""
    ids = [each for each in (call.one("id") or "").split(",") if each]
    if not 0 < len(ids) <= MAX_NAMES:
        raise bad_parameter("id", f"Give 1 to {MAX_NAMES} of them.")
    known = await names_of(call, ids)
    return json_reply(200, NameList(names={each: known[each] for each in ids if each in known}))


async def find(call: Call) -> Reply:
    """List users."""
    tenant = call.one("tenant")
    users = await call.server.accounts.users.find(by=call.principal, tenant=tenant)
    return json_reply(200, AccountList(items=tuple(map(_account, users))))


async def get(call: Call) -> Reply:
    """One user, by id or user name."""
    return _one(await call.server.accounts.users.get(call.params["id"], by=call.principal))


async def add(call: Call) -> Reply:
    """Add a user."""
    draft = call.decode(AccountDraft)
    user = await call.server.accounts.users.add(
        draft.username,
        by=call.principal,
        password=draft.password,
        name=draft.name,
        role=draft.role,
        tenant=draft.tenant,
    )
    return _one(user, 201)


async def change(call: Call) -> Reply:
    """Give a user another role or name, or let them out or in again."""
    wanted = call.decode(AccountChange)
    user = await call.server.accounts.users.change(
        call.params["id"],
        by=call.principal,
        role=wanted.role,
        disabled=wanted.disabled,
        name=wanted.name,
    )
    return _one(user)


async def set_password(call: Call) -> Reply:
    """Set one's own password, or as an admin somebody's; their sessions end."""
    given, users = call.decode(NewPassword), call.server.accounts.users
    call.server.throttle.set_password(call.address, call.principal.id)
    user = await users.set_password(
        call.params["id"], given.password, by=call.principal, current=given.current
    )
    return _one(user)


async def groups(call: Call) -> Reply:
    """List groups."""
    found = await call.server.accounts.groups.find(by=call.principal)
    return json_reply(200, GroupList(items=found))


async def add_member(call: Call) -> Reply:
    """Put a user into a group, which is made if need be."""
    name, user_id = call.params["name"], call.params["id"]
    return json_reply(200, await call.server.accounts.groups.add(name, user_id, by=call.principal))


async def remove_member(call: Call) -> Reply:
    """Take a user out of a group; with the last one it is gone."""
    name, user_id = call.params["name"], call.params["id"]
    return json_reply(
        200, await call.server.accounts.groups.remove(name, user_id, by=call.principal)
    )


async def me(call: Call) -> Reply:
    """Who is calling, and what they may do."""
    by = call.principal
    return json_reply(
        200,
        Caller(
            plane=by.plane,
            id=by.id,
            name=by.name,
            role=by.role,
            tenant=by.tenant,
            powers=tuple(power for power in Power if by.may(power)),
            groups=tuple(sorted(by.groups)),
            strength=by.strength,
            owner=by.owner,
            client_id=by.client_id,
            session_pattern=by.session_pattern,
        ),
    )


def _one(user: User, status: int = 200) -> Reply:
    return json_reply(status, _account(user))


def _account(user: User) -> Account:
    return Account(
        id=user.id,
        username=user.username,
        name=user.name,
        role=user.role,
        tenant=user.tenant,
        disabled=user.disabled,
        has_password=bool(user.password_hash),
        created_at=user.created_at,
        last_sign_in_at=user.last_sign_in_at,
    )
