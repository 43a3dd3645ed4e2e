"""What a tenant has laid down: its review rules, standing grants and stops, looked up each time.

It is believed for a second, as all look-ups are; where that is too long (a grant is claimed), it
is read anew.
"""

from datetime import datetime

import msgspec
from msgspec import Struct

from sayso.broker.lookups import LookUps
from sayso.clock import Clock
from sayso.domain.accounts import Power
from sayso.domain.actions import Action
from sayso.domain.records import Record
from sayso.domain.rules import ReviewRule, Rule, rule_for
from sayso.domain.standing import StandingGrant
from sayso.domain.stops import Stop
from sayso.domain.users import LOCAL_PERSON, User
from sayso.stores.base import RecordQuery, RecordStore

RULE, STANDING, STOP, USER = "rule", "standing", "stop", "user"
"""The kinds of records."""
MAX_RECORDS = 1_000
"""Of each kind, in one tenant."""


class Standing(Struct, frozen=True):
    """A standing grant, and the record that it was read from."""

    record: Record
    grant: StandingGrant


class Tenant(Struct, frozen=True, kw_only=True):
    """What holds in a tenant."""

    rules: tuple[ReviewRule, ...] = ()
    standing: tuple[Standing, ...] = ()
    by_tool: dict[str, tuple[Standing, ...]] = {}
    """The standing grants by the tool that they are for, of those who may still decide."""
    stops: tuple[Stop, ...] = ()

    def rule(self, action: Action | None, asked: Rule | None) -> Rule | None:
        """What a request needs; None: one reviewer, whoever it is."""
        if not self.rules and asked is None:
            return None
        return rule_for(action, self.rules, asked)


class Tenants:
    """Looks up what holds in a tenant."""

    def __init__(self, store: RecordStore, clock: Clock) -> None:
        self._store = store
        self._known = LookUps(self._read, clock)

    def peek(self, tenant: str, now: datetime) -> Tenant | None:
        """As it was at most a second ago, if that is known already."""
        return self._known.peek(tenant, now)

    async def get(self, tenant: str) -> Tenant:
        """As it was at most a second ago; what this process changed counts at once."""
        return self._known.peek(tenant) or await self._known.get(tenant)

    async def fresh(self, tenant: str) -> Tenant:
        """As it is now."""
        return await self._read(tenant)

    def changed(self, tenant: str) -> None:
        """This process has changed something."""
        self._known.forget(tenant)

    def forget_all(self) -> None:
        """Somebody's role may have changed."""
        self._known.forget_all()

    async def _read(self, tenant: str) -> Tenant:
        standing = tuple(
            Standing(record, msgspec.json.decode(record.body, type=StandingGrant))
            for record in await self._records(STANDING, tenant)
        )
        givers = {each.grant.given_by.id for each in standing}
        trusted = {giver for giver in givers if await self.may_decide(giver, tenant)}
        in_force = [each for each in standing if each.grant.given_by.id in trusted]
        tools = {each.grant.tool_name for each in in_force}
        return Tenant(
            rules=tuple(
                msgspec.json.decode(record.body, type=ReviewRule)
                for record in await self._records(RULE, tenant)
            ),
            standing=standing,
            by_tool={
                tool: tuple(each for each in in_force if each.grant.tool_name == tool)
                for tool in tools
            },
            stops=tuple(
                msgspec.json.decode(record.body, type=Stop)
                for record in await self._records(STOP, tenant)
            ),
        )

    async def may_decide(self, person_id: str, tenant: str) -> bool:
        """Whether somebody who once decided here still may."""
        if person_id == LOCAL_PERSON:
            return True
        record = await self._store.get_record(USER, person_id)
        if record is None or record.tenant != tenant:
            return False
        return msgspec.json.decode(record.body, type=User).may(Power.DECIDE)

    async def _records(self, kind: str, tenant: str) -> list[Record]:
        """All of them, however many: a stop that is not seen stops nothing."""
        found: list[Record] = []
        query = RecordQuery(kind=kind, tenant=tenant, limit=MAX_RECORDS)
        while True:
            page = await self._store.find_records(query)
            found += page
            if len(page) < MAX_RECORDS:
                return found
            query = msgspec.structs.replace(query, after=page[-1].id)
