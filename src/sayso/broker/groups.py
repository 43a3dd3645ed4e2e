"""Groups of reviewers: who is in them, and which ones somebody is in."""

import re
from collections.abc import Mapping

import msgspec

from sayso import codec
from sayso.broker.lookups import LookUps
from sayso.broker.recorder import Recorder, until_kept
from sayso.broker.users import Users
from sayso.clock import Clock
from sayso.domain.accounts import Principal
from sayso.domain.events import EventType
from sayso.domain.records import Record
from sayso.domain.users import Group
from sayso.errors import InvalidRequestError, NotFoundError, RefusedError
from sayso.stores.base import RecordQuery, Stores

KIND = "group"
MAX_GROUPS = 1_000
MAX_MEMBERS = 10_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Groups:
    """Adds and removes members; a group is there as long as somebody is in it.

    Args:
        store: where they are kept.
        recorder: keeps a change with its event.
        clock: what time it is.
        users: who can be in one.
    """

    def __init__(self, store: Stores, recorder: Recorder, clock: Clock, users: Users) -> None:
        self._store = store
        self._recorder = recorder
        self._users = users
        self._of = LookUps(self._look_up, clock)
        recorder.changed.append(self._of.forget_all)

    async def find(self, *, by: Principal) -> tuple[Group, ...]:
        """All of the tenant, by name."""
        return await self._all(by.tenant)

    async def add(self, name: str, user_id: str, *, by: Principal) -> Group:
        """Put somebody into a group, which is made if it is not there.

        Raises:
            NotFoundError: there is no such user.
            InvalidRequestError: a group cannot have this name.
            RefusedError: there are as many as there may be (`too_many_groups`).
        """
        if not _NAME.fullmatch(name):
            raise InvalidRequestError(
                f"A group cannot be called {name[:80]!r}.",
                hint="1 to 64 small letters, digits and . _ -, as in payments-eu.",
            )
        user = await self._users.get(user_id, by=by)

        async def add() -> Group:
            group, version = await self._kept(name, by)
            if user.id in group.members:
                return group
            many = len(group.members) >= MAX_MEMBERS
            if many or (not version and len(await self._all(by.tenant)) >= MAX_GROUPS):
                raise RefusedError(
                    f"There are {MAX_MEMBERS} members already."
                    if many
                    else f"There are {MAX_GROUPS} groups already.",
                    hint="Remove what is not needed.",
                    code="too_many_groups",
                )
            return await self._put(group, (*group.members, user.id), version, by, added=user.id)

        return await until_kept(add)

    async def remove(self, name: str, user_id: str, *, by: Principal) -> Group:
        """Take somebody out of a group; with the last one it is gone.

        Raises:
            NotFoundError: they are not in it, or there is no such user.
        """
        user = await self._users.get(user_id, by=by)

        async def remove() -> Group:
            group, version = await self._kept(name, by)
            if user.id not in group.members:
                raise NotFoundError(
                    f"{user.username!r} is not in a group {name!r}.",
                    hint="List them: sayso groups, or GET /api/v1/groups.",
                )
            left = tuple(each for each in group.members if each != user.id)
            return await self._put(group, left, version, by, removed=user.id)

        return await until_kept(remove)

    async def of(self, tenant: str, user_id: str) -> frozenset[str]:
        """The groups that somebody is in, as of at most a second ago."""
        return (await self._of.get(tenant)).get(user_id, frozenset())

    async def _look_up(self, tenant: str) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for group in await self._all(tenant):
            for member in group.members:
                found.setdefault(member, set()).add(group.name)
        return {member: frozenset(names) for member, names in found.items()}

    async def _all(self, tenant: str) -> tuple[Group, ...]:
        query = RecordQuery(kind=KIND, tenant=tenant, limit=MAX_GROUPS)
        return tuple(_decode(record.body) for record in await self._store.find_records(query))

    async def _kept(self, name: str, by: Principal) -> tuple[Group, int]:
        """The group, and its version: 0 if there is none yet."""
        group = Group(name=name, tenant=by.tenant)
        record = await self._store.get_record(KIND, group.id)
        return (group, 0) if record is None else (_decode(record.body), record.version)

    async def _put(
        self, group: Group, members: tuple[str, ...], version: int, by: Principal, **what: str
    ) -> Group:
        changed = msgspec.structs.replace(group, members=members)
        record = Record(
            kind=KIND,
            id=group.id,
            tenant=group.tenant,
            version=version + 1,
            body=codec.encode(changed) if members else b"",
        )
        data = {"group": group.name, **what}
        event = self._recorder.event(EventType.GROUP_CHANGED, by, data)
        await self._recorder.put((record,), event)
        return changed


_decode = msgspec.json.Decoder(Group).decode
