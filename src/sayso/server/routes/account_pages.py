"""The pages of who may come in: users, groups, keys, sessions."""

from datetime import timedelta
from typing import Any

import msgspec

from sayso.broker.keys import KeyDraft, NewKey
from sayso.domain.accounts import Power, Role, Scope
from sayso.domain.keys import ApiKey
from sayso.errors import InvalidRequestError, SaysoError
from sayso.links import token_hash
from sayso.server.forms import fields_of
from sayso.server.http import Call, Reply, redirect
from sayso.server.routes.settings_pages import shown
from sayso.server.viewer import names_of, need

_SCOPES = (Scope.AGENT, Scope.READER, Scope.ADMIN)
MAX_DAYS = 3_660


async def users(
    call: Call, problem: SaysoError | None = None, given: dict[str, str] | None = None
) -> Reply:
    """The people with an account."""
    need(call, Power.MANAGE)
    found = await call.server.accounts.users.find(by=call.principal)
    return await shown(
        call,
        "users",
        problem,
        items=[
            {
                "id": user.id,
                "username": user.username,
                "name": user.name,
                "role": user.role.value,
                "disabled": user.disabled,
                "has_password": bool(user.password_hash),
                "created_at": _when(user.created_at),
                "last_sign_in_at": _when(user.last_sign_in_at),
            }
            for user in found
        ],
        roles=tuple(Role),
        given=given or {"username": "", "name": "", "role": Role.REVIEWER.value},
    )


async def add_user(call: Call) -> Reply:
    """Add somebody."""
    need(call, Power.MANAGE)
    fields = fields_of(call)
    given = {name: fields(name).strip() for name in ("username", "name", "role")}
    try:
        await call.server.accounts.users.add(
            given["username"],
            by=call.principal,
            password=fields("password") or None,
            name=given["name"],
            role=_role(given["role"]),
        )
    except SaysoError as error:
        return await users(call, error, given)
    return redirect("/users")


async def change_user(call: Call) -> Reply:
    """Give somebody another role or name, let them out or in again."""
    need(call, Power.MANAGE)
    fields = fields_of(call)
    try:
        await call.server.accounts.users.change(
            fields("id"),
            by=call.principal,
            role=_role(fields("role")),
            disabled=bool(fields("disabled")),
            name=fields("name").strip(),
        )
    except SaysoError as error:
        return await users(call, error)
    return redirect(f"/users#{fields('id')}")


async def set_password(call: Call) -> Reply:
    """Give somebody a new password; all their sessions end."""
    fields = fields_of(call)
    user_id = fields("id") or call.principal.id
    is_own = user_id == call.principal.id
    if not is_own:
        need(call, Power.MANAGE)
    try:
        call.server.throttle.set_password(call.address, call.principal.id)
        await call.server.accounts.users.set_password(
            user_id, fields("password"), by=call.principal, current=fields("current")
        )
    except SaysoError as error:
        return await (sessions if is_own else users)(call, error)
    return redirect("/login" if is_own else f"/users#{user_id}")


async def groups(call: Call, problem: SaysoError | None = None) -> Reply:
    """Who is asked together."""
    need(call, Power.MANAGE)
    accounts, by = call.server.accounts, call.principal
    people = [{"id": user.id, "name": user.name} for user in await accounts.users.find(by=by)]
    names = {each["id"]: each["name"] for each in people}
    items = [
        {
            "name": group.name,
            "members": [{"id": m, "name": names.get(m, m)} for m in group.members],
            "others": [each for each in people if each["id"] not in group.members],
        }
        for group in await accounts.groups.find(by=by)
    ]
    return await shown(call, "groups", problem, items=items, people=people)


async def add_member(call: Call) -> Reply:
    """Put somebody into a group, which is made if need be."""
    need(call, Power.MANAGE)
    fields = fields_of(call)
    name = fields("name").strip()
    try:
        await call.server.accounts.groups.add(name, fields("user"), by=call.principal)
    except SaysoError as error:
        return await groups(call, error)
    return redirect(f"/groups#group-{name}")


async def remove_member(call: Call) -> Reply:
    """Take somebody out of a group."""
    need(call, Power.MANAGE)
    fields = fields_of(call)
    try:
        await call.server.accounts.groups.remove(fields("name"), fields("user"), by=call.principal)
    except SaysoError as error:
        return await groups(call, error)
    return redirect("/groups")


async def keys(
    call: Call, problem: SaysoError | None = None, *, made: NewKey | None = None
) -> Reply:
    """The keys by which programs are known: one's own, or for an admin everybody's."""
    manages = call.principal.may(Power.MANAGE)
    of_all = manages and call.one("all") is not None
    found = await call.server.accounts.keys.find(by=call.principal, all_owners=of_all)
    names = await names_of(call, {key.owner for key in found if key.owner})
    scopes = _SCOPES if manages else _SCOPES[:2] if call.principal.may(Power.READ) else _SCOPES[:1]
    return await shown(
        call,
        "keys",
        problem,
        status=200 if made is None else 201,
        items=[_key(call, key, names) for key in reversed(found)],
        made=None if made is None else {"text": made.text, "label": made.key.label},
        scopes=[scope.value for scope in scopes],
        of_all=of_all,
        once=call.server.auth.form_nonce(call.principal),
    )


async def create_key(call: Call) -> Reply:
    """Make a key, and show it this once."""
    fields = fields_of(call)
    try:
        await call.server.auth.take_form(fields("once"), call.principal)
        days = fields.number("days")
        if days is not None and not 0 < days <= MAX_DAYS:
            raise InvalidRequestError(f"A key is good for at most {MAX_DAYS} days, or for ever.")
        now = call.server.broker.clock.now()
        draft = KeyDraft(
            label=fields("label").strip(),
            scope=msgspec.convert(fields("scope") or Scope.AGENT.value, Scope),
            client_id=fields("client_id").strip() or None,
            session_pattern=fields("session_pattern").strip() or None,
            expires_at=None if days is None else now + timedelta(days=days),
        )
        made = await call.server.accounts.keys.create(draft, by=call.principal)
    except msgspec.ValidationError as error:
        return await keys(call, InvalidRequestError(f"The form cannot be used: {error}."))
    except SaysoError as error:
        return await keys(call, error)
    return await keys(call, made=made)


async def rotate_key(call: Call) -> Reply:
    """Make a key in another's place, and show it this once."""
    fields = fields_of(call)
    try:
        await call.server.auth.take_form(fields("once"), call.principal)
        hours = fields.number("hours") or 0
        made = await call.server.accounts.keys.rotate(
            fields("id"),
            by=call.principal,
            overlap=timedelta(hours=min(max(hours, -1), 1e6)),
            expires_at=None,
        )
    except SaysoError as error:
        return await keys(call, error)
    return await keys(call, made=made)


async def revoke_key(call: Call) -> Reply:
    """Let a key open nothing any more."""
    key_id = fields_of(call)("id")
    try:
        await call.server.accounts.keys.revoke(key_id, by=call.principal)
    except SaysoError as error:
        return await keys(call, error)
    return redirect(f"/keys{'?all=1' if call.one('all') is not None else ''}#{key_id}")


async def sessions(call: Call, problem: SaysoError | None = None) -> Reply:
    """Where somebody is signed in: oneself, or for an admin everybody."""
    by = call.principal
    of_all = by.may(Power.MANAGE) and call.one("all") is not None
    found = await call.server.accounts.logins.find(by=by, all_people=of_all)
    this = token_hash(call.server.auth.token_of(call.headers) or "")
    user = await call.server.accounts.users.one(by.id)
    return await shown(
        call,
        "sessions",
        problem,
        items=[
            {
                "id": login.id,
                "name": login.name,
                "method": login.method,
                "agent": login.agent,
                "created_at": _when(login.created_at),
                "expires_at": _when(login.expires_at),
                "is_this": login.token_hash == this,
            }
            for login in found
        ],
        of_all=of_all,
        has_password=user is not None and bool(user.password_hash),
    )


async def end_session(call: Call) -> Reply:
    """End a session: one's own, or as an admin anybody's."""
    try:
        await call.server.accounts.logins.end(fields_of(call)("id"), by=call.principal)
    except SaysoError as error:
        return await sessions(call, error)
    return redirect("/sessions" + ("?all=1" if call.one("all") is not None else ""))


async def end_others(call: Call) -> Reply:
    """End all one's sessions but this one."""
    keep = token_hash(call.server.auth.token_of(call.headers) or "")
    await call.server.accounts.logins.end_all(call.principal.id, by=call.principal, keep=keep)
    return redirect("/sessions")


def _key(call: Call, key: ApiKey, names: dict[str, str]) -> dict[str, Any]:
    now = call.server.broker.clock.now()
    is_good = key.is_good(now)
    state = "" if is_good else "revoked" if key.revoked_at is not None else "expired"
    return {
        "id": key.id,
        "agent_id": key.agent_id,
        "label": key.label,
        "shown": key.shown,
        "scope": key.scope.value,
        "owner": names.get(key.owner, key.owner),
        "client_id": key.client_id,
        "session_pattern": key.session_pattern,
        "created_at": _when(key.created_at),
        "expires_at": _when(key.expires_at),
        "last_used_at": _when(key.last_used_at),
        "state": state,
        "is_mine": key.owner == call.principal.id,
    }


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise InvalidRequestError(f"{text[:40]!r} is not a role.") from None


def _when(moment: Any) -> str | None:
    return None if moment is None else msgspec.to_builtins(moment)
