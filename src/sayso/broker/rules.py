"""Review rules: put, listed, removed. What is changed holds for requests from then on."""

from sayso.broker.journal import Journal, next_of, record_of
from sayso.broker.tenants import MAX_RECORDS, RULE, Tenants
from sayso.domain.accounts import Power, Principal
from sayso.domain.events import EventType
from sayso.domain.quorum import check_possible
from sayso.domain.rules import ReviewRule
from sayso.errors import NotFoundError, NotPermittedError, PersonRequiredError, RefusedError
from sayso.stores.base import RecordStore
from sayso.types import JsonObject


class Rules:
    """A tenant's review rules; admins change them."""

    def __init__(self, store: RecordStore, journal: Journal, tenants: Tenants) -> None:
        self._store = store
        self._journal = journal
        self._tenants = tenants

    async def find(self, *, by: Principal) -> tuple[ReviewRule, ...]:
        """All of them, by name."""
        return (await self._tenants.fresh(by.tenant)).rules

    async def put(self, rule: ReviewRule, *, by: Principal) -> ReviewRule:
        """Keep a rule, in place of one of the same name.

        Raises:
            NotPermittedError: `by` is no person, or no admin.
            InvalidRequestError: nobody could ever satisfy it.
            RefusedError: there are too many.
        """
        _need_manage(by)
        check_possible(rule.rule)
        name = _id(by.tenant, rule.name)
        old = await self._store.get_record(RULE, name)
        if old is None and len(await self.find(by=by)) >= MAX_RECORDS:
            raise RefusedError(f"There are {MAX_RECORDS} rules already.", code="too_many")
        new = record_of(RULE, name, rule, tenant=by.tenant)
        data: JsonObject = {"rule": rule.name, "is_new": old is None}
        event = self._journal.event(EventType.RULE_CHANGED, by, data)
        await self._journal.put((new if old is None else next_of(old, rule),), event)
        self._tenants.changed(by.tenant)
        return rule

    async def remove(self, name: str, *, by: Principal) -> ReviewRule:
        """Forget a rule.

        Raises:
            NotPermittedError: `by` is no admin.
            NotFoundError: there is none of this name.
        """
        _need_manage(by)
        record = await self._store.get_record(RULE, _id(by.tenant, name))
        rule = next((rule for rule in await self.find(by=by) if rule.name == name), None)
        if record is None or rule is None:
            raise NotFoundError(f"There is no rule {name!r}.", hint="List them: sayso rules list.")
        data: JsonObject = {"rule": name, "is_removed": True}
        event = self._journal.event(EventType.RULE_CHANGED, by, data)
        await self._journal.put((next_of(record, None),), event)
        self._tenants.changed(by.tenant)
        return rule


def _need_manage(by: Principal) -> None:
    if not by.is_person:  # what people are asked for is not for a program to say
        raise PersonRequiredError("Only a person changes rules.")
    if not by.may(Power.MANAGE):
        raise NotPermittedError("To change rules takes an admin.", code="power_required")


def _id(tenant: str, name: str) -> str:
    return f"{tenant}/{name}"
