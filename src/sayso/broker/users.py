"""The people with an account: added, changed, found, and known by their password."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from sayso import codec
from sayso.broker.passwords import Passwords, check_password
from sayso.broker.recorder import Recorder, until_kept
from sayso.clock import Clock, RequestIds
from sayso.domain.accounts import DEFAULT_TENANT, Plane, Power, Principal, Role, powers_of
from sayso.domain.drafts import refuse_control_characters
from sayso.domain.events import Event, EventType
from sayso.domain.records import Record
from sayso.domain.users import LOCAL_PERSON, User, handle_of
from sayso.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    PersonRequiredError,
    RefusedError,
    SignInRequiredError,
)
from sayso.stores.base import RecordQuery, Stores
from sayso.types import JsonObject

KIND = "user"
ADMINS = "admins"
"""The kind of a record, one a tenant, that changes whenever somebody ceases to be an admin."""
LONGEST_NAME = 128
PAGE = 500
_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")


class Users:
    """Adds, finds and changes them.

    Args:
        store: where they are kept.
        recorder: keeps a change with its event.
        clock: what time it is.
        passwords: hashes and checks passwords.
    """

    def __init__(
        self, store: Stores, recorder: Recorder, clock: Clock, passwords: Passwords
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._passwords = passwords
        self._ids = RequestIds(clock)

    async def register(self, username: str, password: str) -> User:
        """Add somebody who comes by themselves: a member, whoever they say they are.

        Raises:
            InvalidRequestError: the name or the password cannot be taken (`weak_password`).
            ConflictError: the name is taken (`username_taken`).
        """
        return await self._add(username, password=password, name="", role=Role.MEMBER, by=None)

    async def add(
        self,
        username: str,
        *,
        by: Principal,
        password: str | None = None,
        name: str = "",
        role: Role = Role.MEMBER,
        tenant: str | None = None,
    ) -> User:
        """Add somebody. Without a password they can sign in at an OpenID provider only.

        Args:
            username: what they sign in with.
            by: who adds them.
            password: theirs.
            name: what others are shown. Default: the user name.
            role: what they may do.
            tenant: where; another than one's own is for whoever runs the server. Nothing in one
                tenant is ever shown in another.

        Raises:
            NotPermittedError: it is another tenant (`operator_required`).
            PersonRequiredError: whoever may decide is made by a person, never by a key.
            InvalidRequestError: the name or the password cannot be taken (`weak_password`).
            ConflictError: the name is taken (`username_taken`).
        """
        _check_grant(role, by)
        tenant = _tenant(tenant, by)
        return await self._add(
            username, password=password, name=name, role=role, by=by, tenant=tenant
        )

    async def find(self, *, by: Principal, tenant: str | None = None) -> tuple[User, ...]:
        """All of a tenant, oldest first.

        Raises:
            NotPermittedError: it is another than one's own (`operator_required`).
        """
        found: list[User] = []
        query = RecordQuery(kind=KIND, tenant=_tenant(tenant, by), limit=PAGE)
        while True:
            records = await self._store.find_records(query)
            found += [user_of(record)[0] for record in records]
            if len(records) < PAGE:
                return tuple(found)
            query = msgspec.structs.replace(query, after=records[-1].id)

    async def get(self, user_id: str, *, by: Principal) -> User:
        """One of the tenant's, by id or by user name.

        Raises:
            NotFoundError: there is none.
        """
        return (await self._kept(user_id, by))[0]

    async def one(self, user_id: str) -> User | None:
        """Whoever has this id, in whatever tenant."""
        record = await self._store.get_record(KIND, user_id)
        return None if record is None else user_of(record)[0]

    async def named(self, username: str) -> User | None:
        """Whoever signs in by this name, in whatever tenant."""
        record = await self._store.find_handle(KIND, handle_of(username))
        return None if record is None else user_of(record)[0]

    async def has_admin(self) -> bool:
        """Whether somebody can manage this installation, in whatever tenant."""
        query = RecordQuery(kind=KIND, tenant=None, limit=PAGE)
        while True:
            records = await self._store.find_records(query)
            if any(user_of(record)[0].may(Power.MANAGE) for record in records):
                return True
            if len(records) < PAGE:
                return False
            query = msgspec.structs.replace(query, after=records[-1].id)

    async def change(
        self,
        user_id: str,
        *,
        by: Principal,
        role: Role | None = None,
        disabled: bool | None = None,
        name: str | None = None,
    ) -> User:
        """Give them another role or name, let them out or in again; what is None stays.

        Raises:
            NotFoundError: there is no such user.
            PersonRequiredError: a key may give nobody the power to decide.
            RefusedError: nobody would be left to manage (`last_admin`).
        """
        if name is not None:
            _check_name(name)
        given = {"role": role, "disabled": disabled, "name": name}
        wanted: JsonObject = {key: value for key, value in given.items() if value is not None}

        async def change() -> User:
            user, version = await self._kept(user_id, by)
            changed = msgspec.structs.replace(user, **wanted)
            if changed == user:
                return user
            if changed.disabled and not user.disabled:
                changed = msgspec.structs.replace(changed, epoch=user.epoch + 1)
            powers = (user.role, user.disabled)
            if (changed.role, changed.disabled) != powers and not changed.disabled:
                _check_grant(changed.role, by)
            beside = ()
            if user.may(Power.MANAGE) and not changed.may(Power.MANAGE):
                beside = (await self._one_admin_less(user),)
            told = self._told(EventType.USER_CHANGED, changed, by, **wanted)
            await self._recorder.put((record_of(changed, version + 1), *beside), told)
            return changed

        changed = await until_kept(change)
        if changed.disabled:
            await self._end_logins(changed)
        return changed

    async def set_password(
        self, user_id: str, password: str, *, by: Principal, current: str | None = None
    ) -> User:
        """Give them a new password; all their sessions end.

        Args:
            user_id: whose.
            password: the new one.
            by: themselves, or an admin.
            current: the one they have; needed when they change it themselves.

        Raises:
            NotFoundError: there is no such user, or not for `by`.
            PersonRequiredError: a key asked.
            SignInRequiredError: `current` is not the one they have (`invalid_login`).
            InvalidRequestError: the new one cannot be taken (`weak_password`).
        """
        if not by.is_person:
            raise PersonRequiredError("Only a person can set a password.")
        user, _ = await self._kept(user_id, by)
        if by.id == user.id:
            if not await self._passwords.fits(user.password_hash, current or ""):
                raise SignInRequiredError(
                    "The present password is not right.", code="invalid_login"
                )
        elif not by.may(Power.MANAGE):
            raise _nobody(user_id)
        check_password(password, user.username)
        hashed = await self._passwords.hash(password)

        async def change() -> User:
            user, version = await self._kept(user_id, by)
            changed = msgspec.structs.replace(user, password_hash=hashed, epoch=user.epoch + 1)
            told = self._told(EventType.USER_CHANGED, changed, by, password="changed")  # noqa: S106
            await self._recorder.put((record_of(changed, version + 1),), told)
            return changed

        changed = await until_kept(change)
        await self._end_logins(changed)
        return changed

    async def check(self, username: str, password: str) -> User:
        """Whoever has this name and this password.

        It takes as long and says the same whether the name, the password or the account is wrong.

        Raises:
            SignInRequiredError: nobody (`invalid_login`).
            BusyError: too many are signing in at once.
        """
        user = await self.named(username[:LONGEST_NAME])
        kept = "" if user is None else user.password_hash
        fits = await self._passwords.fits(kept, password)
        if user is None or not fits or user.disabled:
            raise _not_them()
        if self._passwords.is_outdated(kept):
            hashed = await self._passwords.hash(password)
            await self._update(user.id, lambda u: _if_kept(u, kept, hashed))
        return user

    async def signed_in(self, user: User, event: Event) -> User:
        """Remember when they came, with the event that tells of it.

        Raises:
            SignInRequiredError: they got a new password, or were disabled, since `user` was read.
        """

        def came(now: User) -> User:
            if now.disabled or now.epoch != user.epoch:
                raise _not_them()
            return msgspec.structs.replace(now, last_sign_in_at=event.at)

        return await self._update(user.id, came, event)

    async def refused(self, username: str, *, address: str) -> None:
        """Put on record that somebody tried in vain to sign in, whether the name exists or not."""
        user = await self.named(username[:LONGEST_NAME])
        event = Event(
            type=EventType.SIGN_IN_REFUSED,
            at=self._clock.now(),
            actor="system",
            data={"user_id": None if user is None else user.id, "address": address},
            tenant=DEFAULT_TENANT if user is None else user.tenant,
        )
        await self._recorder.note(event)

    async def _add(
        self,
        username: str,
        *,
        password: str | None,
        name: str,
        role: Role,
        by: Principal | None,
        tenant: str = DEFAULT_TENANT,
    ) -> User:
        if not _USERNAME.fullmatch(username):
            message = (
                "A user name has 1 to 128 letters, digits and . _ @ + -, and begins with a letter"
                " or digit."
            )
            raise InvalidRequestError(message, errors=({"at": "$.username", "message": message},))
        _check_name(name)
        if password is not None:
            check_password(password, username)
        if await self.named(username) is not None:
            raise _taken(username)
        hashed = "" if password is None else await self._passwords.hash(password)
        user = User(
            id=self._ids.next(),
            username=username,
            name=name or username,
            role=role,
            password_hash=hashed,
            created_at=self._clock.now(),
            tenant=tenant,
        )
        by = by or Principal(plane=Plane.PERSON, id=user.id, name=user.name, role=role)
        try:
            await self._recorder.put(
                (record_of(user, 1),), self._told(EventType.USER_ADDED, user, by, role=role)
            )
        except ConflictError:
            raise _taken(username) from None
        return user

    async def _kept(self, user_id: str, by: Principal) -> tuple[User, int]:
        record = await self._store.get_record(KIND, user_id)
        if record is None:
            record = await self._store.find_handle(KIND, handle_of(user_id))
        if record is None or not (record.tenant == by.tenant or _is_operator(by)):
            raise _nobody(user_id)
        return user_of(record)

    async def _update(self, user_id: str, change: Callable[[User], User], *events: Event) -> User:
        """Change what nobody's powers rest on."""

        async def update() -> User:
            record = await self._store.get_record(KIND, user_id)
            if record is None:
                raise _nobody(user_id)
            user, version = user_of(record)
            changed = change(user)
            await self._recorder.note(*events, records=(record_of(changed, version + 1),))
            return changed

        return await until_kept(update)

    async def _one_admin_less(self, user: User) -> Record:
        """What is to be kept with it: of two admins who cease at once, one is too late.

        Raises:
            RefusedError: nobody would be left to manage (`last_admin`).
        """
        kept = await self._store.get_record(ADMINS, user.tenant)  # before the others are looked at
        by = user.principal(frozenset(), strength=None)
        others = [each for each in await self.find(by=by) if each.id != user.id]
        if not any(each.may(Power.MANAGE) for each in others):
            raise RefusedError(
                "This is the only admin: nobody would be left to manage users.",
                hint="Make somebody else an admin first.",
                code="last_admin",
            )
        return Record(
            kind=ADMINS,
            id=user.tenant,
            tenant=user.tenant,
            version=1 if kept is None else kept.version + 1,
            body=codec.encode({"ceased": user.id}),
        )

    async def _end_logins(self, user: User) -> None:
        await self._store.end_logins(user.tenant, user.id)
        self._recorder.tell()

    def _told(self, kind: EventType, user: User, by: Principal, **what: Any) -> Event:
        data = {"user_id": user.id, "username": user.username, **what}
        return self._recorder.event(kind, by, codec.builtins(data), tenant=user.tenant)


def user_of(record: Record) -> tuple[User, int]:
    """A user as kept, and the version."""
    return _decode(record.body), record.version


def record_of(user: User, version: int) -> Record:
    """A user as they are to be kept."""
    return Record(
        kind=KIND,
        id=user.id,
        tenant=user.tenant,
        handle=user.handle,
        version=version,
        body=codec.encode(user),
    )


_decode = msgspec.json.Decoder(User).decode


def _check_grant(role: Role, by: Principal) -> None:
    """No key makes somebody who decides: it could then decide as them."""
    if Power.DECIDE in powers_of(role) and not by.is_person:
        raise PersonRequiredError(f"Only a person can make somebody a {role.value}.")


def _is_operator(by: Principal) -> bool:
    """Whether they can read the server's secret: the one person who is above tenants."""
    return by.is_person and by.id == LOCAL_PERSON


def _tenant(tenant: str | None, by: Principal) -> str:
    if tenant is None or tenant == by.tenant or _is_operator(by):
        return tenant or by.tenant
    raise NotPermittedError(
        "Accounts in another tenant are made by whoever runs the server.",
        hint="Sign in by its one-time link, or use sayso users on its machine.",
        code="operator_required",
    )


def _check_name(name: str) -> None:
    refuse_control_characters((("$.name", name),))
    if len(name) > LONGEST_NAME:
        raise InvalidRequestError(f"A name has {LONGEST_NAME} characters at the most.")


def _if_kept(user: User, old: str, new: str) -> User:
    return msgspec.structs.replace(user, password_hash=new) if user.password_hash == old else user


def _nobody(user_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no user {user_id!r}.", hint="List them: sayso users, or GET /api/v1/users."
    )


def _not_them() -> SignInRequiredError:
    return SignInRequiredError(
        "The user name or the password is not right, or the account is disabled.",
        hint="Passwords are told apart by case. An admin can set a new one.",
        code="invalid_login",
    )


def _taken(username: str) -> ConflictError:
    return ConflictError(
        f"The user name {username!r} is taken.", hint="Take another.", code="username_taken"
    )
