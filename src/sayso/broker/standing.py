"""Standing grants: given, previewed on what was asked before, listed, used, revoked."""

from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from sayso.broker.journal import Journal, next_of, record_of
from sayso.broker.tenants import MAX_RECORDS, STANDING, Tenant, Tenants
from sayso.clock import Clock, RequestIds
from sayso.domain import lifecycle
from sayso.domain.accounts import Plane, Power, Principal, Role
from sayso.domain.decisions import Answer, Channel, DecisionType, Reviewer
from sayso.domain.events import EventType
from sayso.domain.lifecycle import Change, Decide
from sayso.domain.patterns import StandingDraft
from sayso.domain.records import Record
from sayso.domain.requests import Request, Status
from sayso.domain.review import rule_of
from sayso.domain.standing import StandingGrant, check_standing, may_stand
from sayso.domain.stops import refuse_stopped
from sayso.errors import ConflictError, NotFoundError, NotPermittedError, RefusedError, SaysoError
from sayso.stores.base import Query, Stores
from sayso.types import JsonObject

PREVIEW_DAYS = 30
PREVIEW_REQUESTS = 5_000
"""How many requests a preview looks at, at most."""
KEPT_DAYS = 30
"""How long one that is over can still be looked at."""
_CLOSED = frozenset(Status) - {Status.PENDING}


class Preview(Struct, frozen=True, kw_only=True):
    """What a standing grant would have done, had it been there."""

    days: int
    looked_at: int
    """Closed requests in this time."""
    is_all: bool
    """Whether that was all of them."""
    matched: int
    approved: int
    """Of those that matched: people said yes,"""
    rejected: int
    """and people said no. Each of these would have been run against somebody's word."""
    examples: tuple[str, ...]
    """The ids of some that people rejected, else of some that matched."""


class StandingGrants:
    """A tenant's remembered decisions. Reviewers give them and revoke them."""

    def __init__(self, store: Stores, clock: Clock, journal: Journal, tenants: Tenants) -> None:
        self._store = store
        self._clock = clock
        self._journal = journal
        self._tenants = tenants
        self._ids = RequestIds(clock)

    def draft(self, draft: StandingDraft, request: Request | None, *, by: Principal) -> Record:
        """What to keep for a new one.

        Args:
            draft: what is meant.
            request: whose decision is remembered.
            by: who gives it.

        Raises:
            NotPermittedError: `by` may not decide.
            InvalidRequestError: it lets through too much.
        """
        _need_decide(by)
        action = None if request is None else request.action
        if action is not None and request is not None and request.arguments is not None:
            action = action.with_args(request.arguments)  # as it was approved, edited or not
        check_standing(draft, action)
        now = self._clock.now()
        grant = StandingGrant(
            id=f"sg_{self._ids.next()}",
            tool_name=draft.tool_name,
            args=draft.args,
            uses_left=draft.uses,
            budget=draft.budget,
            expires_at=now + timedelta(seconds=draft.seconds),
            session_id=draft.session_id,
            client_id=draft.client_id,
            asked_by=draft.asked_by,
            note=draft.note,
            given_by=Reviewer(id=by.id, name=by.name),
            strength=by.strength,
            given_at=now,
            request_id=None if request is None else request.id,
            tenant=by.tenant,
        )
        if request is not None and not may_stand(rule_of(request), grant):
            raise RefusedError(
                "The rule for this request wants people to decide each time.",
                hint="Decide without remembering it.",
                code="not_rememberable",
            )
        return record_of(STANDING, grant.id, grant, tenant=by.tenant, owner=by.id)

    async def give(self, draft: StandingDraft, *, by: Principal) -> StandingGrant:
        """Keep a new one. Raises as `draft` does, and RefusedError when there are too many."""
        record = self.draft(draft, None, by=by)
        over = await self.make_room(by=by)
        await self._journal.put((record, *over), self._journal.event(*given(record, by)))
        self._tenants.changed(by.tenant)
        return grant_in(record)

    async def make_room(self, *, by: Principal) -> tuple[Record, ...]:
        """Those that were over long ago, to be forgotten with the next change.

        Raises:
            RefusedError: there are as many as there may be (`too_many`).
        """
        before = self._clock.now() - timedelta(days=KEPT_DAYS)
        standing = (await self._tenants.fresh(by.tenant)).standing
        over = [each for each in standing if not each.grant.is_open(before)]
        if len(standing) - len(over) >= MAX_RECORDS:
            raise RefusedError(
                f"There are {MAX_RECORDS} standing grants already.",
                hint="Revoke what is not needed any more.",
                code="too_many",
            )
        return tuple(next_of(each.record, None) for each in over)

    async def find(self, *, by: Principal) -> tuple[StandingGrant, ...]:
        """All of the tenant's, newest first; those that are over, too."""
        standing = (await self._tenants.fresh(by.tenant)).standing
        return tuple(each.grant for each in reversed(standing))

    async def remembered(self, change: Change, draft: StandingDraft, *, by: Principal) -> Change:
        """A decision, kept together with the standing grant that is made of it.

        Raises:
            RefusedError: it is no approval of an action (`not_rememberable`), or as `give` does.
        """
        if change.request.status is not Status.APPROVED or change.request.action is None:
            raise RefusedError(
                "Only the approval of an action is remembered, once there is one.",
                hint="Decide without `remember`.",
                code="not_rememberable",
            )
        record = self.draft(draft, change.request, by=by)
        over = await self.make_room(by=by)
        event = self._journal.event(*given(record, by))
        told = change.events[-1]
        event = msgspec.structs.replace(
            event,
            at=told.at,
            request_id=told.request_id,
            session_id=told.session_id,
            client_id=told.client_id,
            asked_by=told.asked_by,
            owner=told.owner,
        )
        return msgspec.structs.replace(
            change, records=(record, *over), events=(*change.events[:-1], event, told)
        )

    async def revoke(self, grant_id: str, *, by: Principal) -> StandingGrant:
        """End it now; what it let through stays let through.

        Raises:
            NotPermittedError: `by` may not decide.
            NotFoundError: there is none.
        """
        _need_decide(by)
        for _ in range(10):
            record = await self._store.get_record(STANDING, grant_id)
            if record is None or record.tenant != by.tenant:
                raise NotFoundError(f"There is no standing grant {grant_id!r}.")
            grant = grant_in(record)
            if grant.revoked_at is not None:
                return grant
            revoked = msgspec.structs.replace(
                grant, revoked_at=self._clock.now(), revoked_by=by.actor
            )
            data: JsonObject = {"standing_grant": grant.id, "used": grant.used}
            event = self._journal.event(EventType.STANDING_REVOKED, by, data)
            try:
                await self._journal.put((next_of(record, revoked),), event)
            except ConflictError:  # it was used in the same moment
                continue
            self._tenants.changed(by.tenant)
            return revoked
        raise ConflictError("It is used again and again.", hint="Try again.")

    async def preview(self, draft: StandingDraft, *, by: Principal) -> Preview:
        """What it would have matched in the last days. Raises as `draft` does."""
        record = self.draft(draft, None, by=by)
        grant = msgspec.structs.replace(grant_in(record), uses_left=None, budget=None)
        since = self._clock.now() - timedelta(days=PREVIEW_DAYS)
        looked_at, after = 0, None
        found: list[Request] = []
        while looked_at < PREVIEW_REQUESTS:
            query = Query(tenant=by.tenant, status=_CLOSED, limit=200, after=after)
            page = await self._store.find(query)
            fresh = [request for request in page.items if request.created_at >= since]
            looked_at += len(fresh)
            found += [request for request in fresh if grant.matches(request)]
            after = page.next
            if after is None or len(fresh) < len(page.items):
                after = None
                break
        rejected = [request for request in found if request.status is Status.REJECTED]
        return Preview(
            days=PREVIEW_DAYS,
            looked_at=looked_at,
            is_all=after is None,
            matched=len(found),
            approved=sum(request.status is Status.APPROVED for request in found),
            rejected=len(rejected),
            examples=tuple(request.id for request in (rejected or found)[:5]),
        )


def use(tenant: Tenant, request: Request, now: datetime) -> tuple[StandingGrant, Record] | None:
    """The standing grant that lets a new request through, and its record after that; or None.

    Whatever is wrong with one (it cannot be reckoned with, something is stopped) people are asked.
    So they are if the policy was in doubt: it might have said no, against which none stands.
    """
    if request.policy is not None and request.policy.is_doubtful:
        return None
    tool = "" if request.action is None else request.action.tool_name
    for each in tenant.by_tool.get(tool, ()):
        try:
            used = each.grant.used_for(request, now)
            if used is not None and may_stand(rule_of(request), each.grant):
                refuse_stopped(request, tenant.stops)
                return used, next_of(each.record, used)
        except (SaysoError, TypeError, ValueError, OverflowError):
            continue
    return None


def applied(tenant: Tenant, change: Change, now: datetime) -> Change:
    """A submit, decided at once if a remembered decision stands for it."""
    found = use(tenant, change.request, now)
    if found is None:
        return change
    grant, record = found
    giver = Principal(
        plane=Plane.PERSON,
        id=grant.given_by.id,
        name=grant.given_by.name,
        tenant=grant.tenant,
        strength=grant.strength,
        role=Role.REVIEWER,
    )
    decide = Decide(
        answer=Answer(type=DecisionType.APPROVE),
        by=giver,
        channel=Channel.STANDING,
        standing_grant=grant.id,
    )
    decided = lifecycle.apply(change.request, decide, now)
    (told,) = change.events
    left: JsonObject = {"standing_grant": grant.id, "used": grant.used, "left": grant.uses_left}
    if grant.budget is not None:
        left["spent"] = grant.spent
    used = msgspec.structs.replace(told, type=EventType.STANDING_USED, actor="system", data=left)
    return msgspec.structs.replace(
        change,
        request=msgspec.structs.replace(decided.request, version=1),
        events=(told, used, *decided.events),
        records=(record,),
    )


def grant_in(record: Record) -> StandingGrant:
    """What a record holds."""
    return msgspec.json.decode(record.body, type=StandingGrant)


def given(record: Record, by: Principal) -> tuple[EventType, Principal, JsonObject]:
    """What the event tells of a new one."""
    grant = grant_in(record)
    data: JsonObject = {"standing_grant": grant.id, "strength": grant.strength}
    data |= msgspec.to_builtins(grant.limits)
    return EventType.STANDING_GIVEN, by, data


def _need_decide(by: Principal) -> None:
    if not by.may(Power.DECIDE):
        raise NotPermittedError("Only reviewers give standing grants.", code="power_required")
