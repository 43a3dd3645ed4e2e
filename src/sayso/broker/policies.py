"""The tenant's policy: put, listed, taken back; and what it makes of a request that is submitted.

Versions are kept for good, each as a record of its own, and the newest once more by the tenant's
name, where each look-up finds it. Whatever is wrong with a policy, people are asked.
"""

import asyncio
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from sayso.broker.journal import Journal, next_of, record_of
from sayso.broker.tenants import POLICY, POLICY_VERSION, LoadPolicy, Tenant, Tenants, loaded
from sayso.clock import Clock
from sayso.domain import lifecycle, silence
from sayso.domain.accounts import Power, Principal
from sayso.domain.actions import Action
from sayso.domain.events import EventType
from sayso.domain.lifecycle import Change, Settle
from sayso.domain.policies import PolicyDraft, PolicyVersion, text_digest
from sayso.domain.records import Record
from sayso.domain.requests import Kind, OnTimeout, PolicyMark, Request
from sayso.domain.rules import ASKED_NAME, Rule, rule_for
from sayso.domain.stops import refuse_stopped
from sayso.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    PersonRequiredError,
    RefusedError,
    SaysoError,
)
from sayso.policies.backtest import Backtest, Recorded, compare, recorded
from sayso.policies.base import Context, Effect, Policy, Verdict, judge
from sayso.policies.suggest import Suggestion, as_yaml, suggest
from sayso.stores.base import Query, RecordQuery, Stores
from sayso.types import JsonObject

MAX_ROUNDS = 10
MOST_VERSIONS = 100
"""Of one page of versions."""
PREVIEW_DAYS = 30
PREVIEW_REQUESTS = 5_000
"""How many requests a preview looks at, at most."""
_LAST = 10**9
"""Versions are kept by how far they are from this one, so that the newest comes first."""
_MOST_REASON = 1_024


class History(Struct, frozen=True, kw_only=True):
    """What is on record of the last days."""

    records: tuple[Recorded, ...]
    days: int
    looked_at: int
    """Requests in this time; not each is one that policies say anything of."""
    is_all: bool
    """Whether that was all of them."""


class Policies:
    """A tenant's policy; admins change it."""

    def __init__(
        self,
        store: Stores,
        clock: Clock,
        journal: Journal,
        tenants: Tenants,
        load: LoadPolicy,
    ) -> None:
        self._store = store
        self._clock = clock
        self._journal = journal
        self._tenants = tenants
        self._load = load

    async def active(self, *, by: Principal) -> PolicyVersion | None:
        """The version in force, and why it cannot be used if it cannot; None without one."""
        record = await self._store.get_record(POLICY, by.tenant)
        kept = None if record is None else version_in(record)
        if kept is None or kept.is_removed:
            return None
        return await self._tenants.with_problem(kept, by.tenant)

    async def get(self, *, by: Principal) -> PolicyVersion:
        """The version in force.

        Raises:
            NotFoundError: there is none.
        """
        kept = await self.active(by=by)
        if kept is None:
            raise NotFoundError("There is no policy.", hint="Put one: sayso policy push FILE.")
        return kept

    async def versions(
        self, *, by: Principal, before: int | None = None, limit: int = MOST_VERSIONS
    ) -> tuple[PolicyVersion, ...]:
        """Versions without their texts, newest first.

        Args:
            by: who asks; their tenant's are listed.
            before: only those that are older than this one.
            limit: at most so many.
        """
        after = f"{by.tenant}/" if before is None else _id(by.tenant, before)
        query = RecordQuery(
            kind=POLICY_VERSION, tenant=by.tenant, after=after, limit=min(limit, MOST_VERSIONS)
        )
        found = await self._store.find_records(query)
        return tuple(msgspec.structs.replace(version_in(record), text="") for record in found)

    async def version(self, number: int, *, by: Principal) -> PolicyVersion:
        """One version, with its text.

        Raises:
            NotFoundError: there is none of this number.
        """
        record = None
        if 0 < number < _LAST:
            record = await self._store.get_record(POLICY_VERSION, _id(by.tenant, number))
        if record is None:
            raise NotFoundError(
                f"There is no version {number} of the policy.",
                hint="List them: sayso policy versions.",
            )
        return version_in(record)

    async def check(self, text: str) -> Policy:
        """A text as a policy.

        Raises:
            InvalidRequestError: it is none; with each place, as line and column
                (`invalid_policy`).
        """
        try:
            return await loaded(self._load, text)
        except SaysoError as error:
            raise InvalidRequestError(
                error.detail, hint=error.hint, errors=error.errors, code="invalid_policy"
            ) from None

    async def history(self, *, by: Principal) -> History:
        """What is on record of the last days, newest first, up to a number of requests."""
        since = self._clock.now() - timedelta(days=PREVIEW_DAYS)
        found: list[Recorded] = []
        looked_at, after = 0, None
        while looked_at < PREVIEW_REQUESTS:
            page = await self._store.find(Query(tenant=by.tenant, limit=200, after=after))
            fresh = [request for request in page.items if request.created_at >= since]
            looked_at += len(fresh)
            found += [each for request in fresh if (each := recorded(request)) is not None]
            after = page.next if len(fresh) == len(page.items) else None
            if after is None:
                break
        return History(
            records=tuple(found), days=PREVIEW_DAYS, looked_at=looked_at, is_all=after is None
        )

    async def preview(self, text: str, *, by: Principal) -> tuple[Backtest, History]:
        """What a text would have changed lately, beside the policy in force.

        Raises:
            InvalidRequestError: it is no policy (`invalid_policy`).
        """
        new, active = await self.check(text), (await self._tenants.fresh(by.tenant)).policy
        history = await self.history(by=by)
        old = None if active is None else active.policy
        return await asyncio.to_thread(compare, history.records, old, new), history

    async def suggestions(self, *, by: Principal) -> tuple[tuple[Suggestion, ...], str, History]:
        """Rules that the record of the last days speaks for, and the same as a policy's text."""
        history = await self.history(by=by)
        found = await asyncio.to_thread(suggest, history.records)
        return found, as_yaml(found), history

    async def put(self, draft: PolicyDraft, *, by: Principal) -> PolicyVersion:
        """Keep a new version; it holds for what is submitted from now on.

        Raises:
            NotPermittedError: `by` is no person, or no admin.
            InvalidRequestError: it is no policy (`invalid_policy`).
            ConflictError: it was made from another version than the active one.
        """
        _need_manage(by)
        await self.check(draft.text)
        return await self._add(draft.text, draft.note, by=by, replaces=draft.replaces)

    async def activate(
        self, number: int, *, by: Principal, note: str = "", replaces: int | None = None
    ) -> PolicyVersion:
        """Go back to an older version: its text, as a new one. Raises as `put` and `version`.

        Args:
            number: which one.
            by: who wants it.
            note: why.
            replaces: what was in force when it was chosen; 0: none. Default: whatever is.
        """
        _need_manage(by)
        old = await self.version(number, by=by)
        if old.is_removed:
            return await self.remove(by=by, note=note, replaces=replaces)
        await self.check(old.text)
        return await self._add(old.text, note, by=by, replaces=replaces, activates=number)

    async def remove(
        self, *, by: Principal, note: str = "", replaces: int | None = None
    ) -> PolicyVersion:
        """Have none from now on; the versions stay.

        Raises:
            NotPermittedError: `by` is no person, or no admin.
            NotFoundError: there is none.
            ConflictError: another version is in force than the one that it `replaces`.
        """
        _need_manage(by)
        await self.get(by=by)
        return await self._add("", note, by=by, replaces=replaces)

    async def _add(
        self,
        text: str,
        note: str,
        *,
        by: Principal,
        replaces: int | None = None,
        activates: int | None = None,
    ) -> PolicyVersion:
        for _ in range(MAX_ROUNDS):
            head = await self._store.get_record(POLICY, by.tenant)
            last = None if head is None else version_in(head)
            in_force = 0 if last is None or last.is_removed else last.number
            if replaces is not None and replaces != in_force:
                now = f"version {in_force}" if in_force else "none"
                raise ConflictError(
                    f"The policy was changed meanwhile: in force is {now}, not {replaces}.",
                    hint="Look at what is in force, then do it again if you still want it.",
                    code="policy_changed",
                )
            new = PolicyVersion(
                number=1 if last is None else last.number + 1,
                digest=text_digest(text),
                note=note,
                by=by.actor,
                by_name=by.name,
                at=self._clock.now(),
                is_removed=not text,
                activates=activates,
                text=text,
            )
            name = _id(by.tenant, new.number)
            records: tuple[Record, ...] = (
                record_of(POLICY_VERSION, name, new, tenant=by.tenant),
                record_of(POLICY, by.tenant, new, tenant=by.tenant)
                if head is None
                else next_of(head, new),
            )
            data: JsonObject = {"version": new.number, "digest": new.digest, "note": note}
            if new.is_removed:
                data["is_removed"] = True
            if activates is not None:
                data["activates"] = activates
            event = self._journal.event(EventType.POLICY_CHANGED, by, data)
            try:
                await self._journal.put(records, event)
            except ConflictError:  # somebody put one in the same moment
                continue
            self._tenants.changed(by.tenant)
            return new
        raise ConflictError("Others change the policy again and again.", hint="Try again.")


def context_of(request: Request) -> Context:
    """What a policy is told of whoever asks: as authentication knows them.

    The run is whoever asks, too: by a session of its own choice an agent could try until it is
    not drawn.
    """
    return Context(
        run_id=request.requested_by.actor,
        client_id=request.client_id,
        session_id=request.session_id,
        tenant=request.tenant,
        asked_by=request.requested_by.actor,
        session_pattern=request.requested_by.session_pattern,
    )


def applied(
    tenant: Tenant,
    change: Change,
    now: datetime,
    *,
    asked: Rule | None,
    is_timed: bool,
    usual: timedelta,
) -> Change:
    """A submit, as the tenant's policy has it: decided at once, or put to people as it says.

    Args:
        tenant: with its policy, and the review rules, which may ask for more.
        change: the submit, with the review rules in it already.
        now: when.
        asked: the rule that the asking side wants; whoever wants one wants people.
        is_timed: the asking side has set the deadline, which is kept if it is the shorter one.
        usual: the time that people have if nobody says otherwise.
    """
    active, request = tenant.policy, change.request
    if active is None or request.action is None:
        return change
    verdict = judge(active.policy, request.action, context_of(request))
    has_rule = request.rule is not None and bool(request.rule.names)
    wants_people = asked is not None or has_rule
    why_not = ""
    if verdict.effect is Effect.ALLOW:
        why_not = _why_not(tenant, request, asked)
    mark = PolicyMark(
        version=active.version,
        effect=verdict.effect,
        rule=verdict.rule,
        reason=f"{verdict.reason[:_MOST_REASON]} {why_not}".strip(),
        is_doubtful=verdict.is_doubtful,
    )
    told = change.events[0]
    data: JsonObject = {"version": mark.version, "effect": mark.effect, "rule": mark.rule}
    told = msgspec.structs.replace(told, data=told.data | {"policy": data})
    request = msgspec.structs.replace(request, policy=mark)
    change = msgspec.structs.replace(change, request=request, events=(told, *change.events[1:]))
    if verdict.effect is Effect.DENY:
        return _settled(change, verdict, now)
    if verdict.effect is Effect.ALLOW:
        return change if why_not else _settled(change, verdict, now)
    rule = request.rule
    if verdict.review is not None:
        rule = rule_for(request.action, tenant.rules, asked, _named(verdict))
        if asked is not None and ASKED_NAME not in rule.names:
            rule = msgspec.structs.replace(rule, names=(*rule.names, ASKED_NAME))
    deadline, is_shorter = _deadline(request, verdict, is_timed=is_timed, usual=usual)
    request = msgspec.structs.replace(
        request, rule=rule, deadline_at=deadline, escalate_to=verdict.escalate_to
    )
    on_timeout = _silence(request, verdict, may_approve=not (wants_people or is_shorter))
    request = msgspec.structs.replace(request, on_timeout=on_timeout)
    return msgspec.structs.replace(change, request=request)


def rule_of_edit(tenant: Tenant, request: Request, edited: Action) -> Rule | None:
    """What an edited action needs, beside what its request does.

    Raises:
        RefusedError: the policy denies it (`policy_denied`).
    """
    if tenant.policy is None:
        return tenant.rule(edited, None)
    verdict = judge(tenant.policy.policy, edited, context_of(request))
    if verdict.effect is Effect.DENY:
        raise RefusedError(
            f"The policy does not let this run as it was edited: {verdict.reason or 'denied'}",
            hint="Edit it otherwise, or reject it.",
            code="policy_denied",
        )
    if verdict.effect is Effect.ALLOW or verdict.review is None:
        return tenant.rule(edited, None)
    return rule_for(edited, tenant.rules, None, _named(verdict))


def version_in(record: Record) -> PolicyVersion:
    """What a record holds."""
    return msgspec.json.decode(record.body, type=PolicyVersion)


def _settled(change: Change, verdict: Verdict, now: datetime) -> Change:
    """Decided in the same moment: one change, with the events of both."""
    settle = Settle(
        approves=verdict.effect is Effect.ALLOW,
        rule=verdict.rule or verdict.policy or "policy",
        reason=verdict.reason,
    )
    decided = lifecycle.apply(change.request, settle, now)
    return msgspec.structs.replace(
        change,
        request=msgspec.structs.replace(decided.request, version=1),
        events=(*change.events, *decided.events),
    )


def _why_not(tenant: Tenant, request: Request, asked: Rule | None) -> str:
    """Why a rule's yes cannot stand for a person's here; empty if it can."""
    if request.reopens is not None and asked is not None:
        return "People are asked all the same: it keeps what it needed when it was asked before."
    if asked is not None:
        return "People are asked all the same: the asking side wants it."
    if request.rule is not None and request.rule.names:
        return f"People are asked all the same, for the rule {', '.join(request.rule.names)}."
    if request.kind is not Kind.APPROVAL or request.options:
        return "People are asked all the same: only they choose."
    try:
        refuse_stopped(request, tenant.stops)
    except RefusedError:
        return "It waits, because it is stopped."
    return ""


def _named(verdict: Verdict) -> Rule:
    """What the verdict demands, under the name of what demands it."""
    assert verdict.review is not None  # noqa: S101  callers have looked
    name = f"policy/{verdict.rule or verdict.policy}"
    return msgspec.structs.replace(verdict.review, names=(name,))


def _deadline(
    request: Request, verdict: Verdict, *, is_timed: bool, usual: timedelta
) -> tuple[datetime | None, bool]:
    """The deadline, and whether the asking side has made it shorter than it would be."""
    own, seconds = request.deadline_at, verdict.timeout_seconds
    if seconds is msgspec.UNSET:
        without = request.created_at + usual
        return own, is_timed and own is not None and own < without
    theirs = None if seconds is None else request.created_at + timedelta(seconds=seconds)
    if not is_timed or own is None:
        return theirs, False
    if theirs is None:
        return own, True
    return min(own, theirs), own < theirs


def _silence(request: Request, verdict: Verdict, *, may_approve: bool) -> OnTimeout:
    """What silence means: as the policy says, unless it would be a yes that somebody doubts."""
    if verdict.on_timeout is None:
        return request.on_timeout
    try:
        wish = OnTimeout(verdict.on_timeout)
    except ValueError:
        return OnTimeout.EXPIRE
    if wish is OnTimeout.APPROVE:
        is_sure = may_approve and request.on_timeout is OnTimeout.EXPIRE
        return wish if is_sure and silence.may_approve(request) else request.on_timeout
    if wish is OnTimeout.ESCALATE and verdict.escalate_to is None:
        return OnTimeout.EXPIRE
    return wish


def _need_manage(by: Principal) -> None:
    if not by.is_person:  # what people are asked for is not for a program to say
        raise PersonRequiredError("Only a person changes the policy.")
    if not by.may(Power.MANAGE):
        raise NotPermittedError("To change the policy takes an admin.", code="power_required")


def _id(tenant: str, number: int) -> str:
    return f"{tenant}/{_LAST - number:09d}"
