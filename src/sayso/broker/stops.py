"""The kill switch: set, listed, lifted."""

from collections.abc import Iterable

import msgspec

from sayso.broker.journal import Journal, next_of, record_of
from sayso.broker.keys import keys_of
from sayso.broker.tenants import MAX_RECORDS, STOP, USER, Tenants
from sayso.clock import Clock
from sayso.domain.accounts import DEFAULT_TENANT, LOCAL_AGENT, Power, Principal
from sayso.domain.drafts import refuse_control_characters
from sayso.domain.events import EventType
from sayso.domain.plain import plain
from sayso.domain.stops import Stop, StopDraft, StopKind
from sayso.domain.users import User
from sayso.errors import (
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    PersonRequiredError,
    RefusedError,
)
from sayso.stores.base import RecordQuery, RecordStore


class Stops:
    """Sets and lifts stops. Any reviewer may stop; to lift takes an admin."""

    def __init__(
        self, store: RecordStore, clock: Clock, journal: Journal, tenants: Tenants
    ) -> None:
        self._store = store
        self._clock = clock
        self._journal = journal
        self._tenants = tenants

    async def set(self, draft: StopDraft, *, by: Principal) -> Stop:
        """Stop something; what is stopped already stays as it is.

        Raises:
            NotPermittedError: `by` is neither a reviewer nor an admin.
            InvalidRequestError: it does not say what to stop, in letters that can be seen.
        """
        if not (by.may(Power.DECIDE) or by.may(Power.MANAGE)):
            raise NotPermittedError("To stop takes a reviewer or an admin.", code="power_required")
        if (draft.kind is StopKind.EVERYTHING) == bool(draft.value) or (
            draft.value and not plain(draft.value)
        ):
            raise InvalidRequestError(
                "`everything` has no value; an agent, a client and a session have an id (at"
                " $.value).",
                errors=({"at": "$.value", "message": "give the id, or leave it out"},),
            )
        refuse_control_characters((("$.value", draft.value), ("$.reason", draft.reason)))
        stop = Stop(
            kind=draft.kind,
            value=draft.value,
            reason=draft.reason,
            set_by=by.actor,
            set_at=self._clock.now(),
            tenant=by.tenant,
            label=await self._agent_name(draft, by.tenant),
            set_by_name=by.name,
        )
        old = await self._store.get_record(STOP, _id(by.tenant, stop.name))
        if old is None:
            if draft.kind is not StopKind.EVERYTHING and len(await self.find(by=by)) >= MAX_RECORDS:
                raise RefusedError(
                    f"There are {MAX_RECORDS} stops already.",
                    hint="Stop everything, or lift what is not needed any more.",
                    code="too_many",
                )
            record = record_of(STOP, _id(by.tenant, stop.name), stop, tenant=by.tenant)
            data = {"stop": stop.name, "reason": stop.reason}
            await self._journal.put((record,), self._journal.event(EventType.STOP_SET, by, data))
            self._tenants.changed(by.tenant)
        return stop

    async def _agent_name(self, draft: StopDraft, tenant: str) -> str:
        """What the agent with this id is called, as its newest key says; empty if none does."""
        if draft.kind is not StopKind.AGENT:
            return ""
        keys = await keys_of(self._store, tenant)
        return next((key.label for key in reversed(keys) if key.agent_id == draft.value), "")

    async def warnings(self, stops: Iterable[Stop], *, by: Principal) -> dict[str, tuple[str, ...]]:
        """What stops of agents do not stop, by the name of the stop; without those that do."""
        set_for = [stop for stop in stops if stop.kind is StopKind.AGENT]
        if not set_for:
            return {}
        known = await _known_agents(self._store, by.tenant)
        return {
            stop.name: (f"No agent is known by the id or the name {stop.value!r}.",)
            for stop in set_for
            if not any(stop.covers_agent(*agent) for agent in known)
        }

    async def find(self, *, by: Principal) -> tuple[Stop, ...]:
        """All that are set."""
        return (await self._tenants.fresh(by.tenant)).stops

    async def lift(self, name: str, *, by: Principal) -> Stop:
        """Lift one.

        Raises:
            NotPermittedError: `by` is no admin.
            NotFoundError: it is not set.
        """
        if not by.is_person:  # a program may stop, and never let go again
            raise PersonRequiredError("Only a person lifts a stop.")
        if not by.may(Power.MANAGE):
            raise NotPermittedError("To lift a stop takes an admin.", code="power_required")
        record = await self._store.get_record(STOP, _id(by.tenant, name))
        stop = next((stop for stop in await self.find(by=by) if stop.name == name), None)
        if record is None or stop is None:
            raise NotFoundError(f"There is no stop {name!r}.", hint="List them: sayso stop list.")
        event = self._journal.event(EventType.STOP_LIFTED, by, {"stop": name})
        await self._journal.put((next_of(record, None),), event)
        self._tenants.changed(by.tenant)
        return stop


async def _known_agents(store: RecordStore, tenant: str) -> set[tuple[str, str]]:
    """The ids and names of whoever may have asked something: agents, and people."""
    known = {(key.agent_id, key.label) for key in await keys_of(store, tenant)}
    query = RecordQuery(kind=USER, tenant=tenant, limit=MAX_RECORDS)
    for record in await store.find_records(query):
        user = msgspec.json.decode(record.body, type=User)
        known.add((user.id, user.name))
    if tenant == DEFAULT_TENANT:
        known.add((LOCAL_AGENT.id, LOCAL_AGENT.name))
    return known


def _id(tenant: str, name: str) -> str:
    return f"{tenant}/{name}"
