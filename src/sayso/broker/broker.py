"""Submit, decide, cancel, wait, find: every surface comes in through here."""

import asyncio
import contextlib
import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from sayso.broker import answers, policies, standing
from sayso.broker.deliveries import Deliveries
from sayso.broker.journal import Journal
from sayso.broker.policies import Policies
from sayso.broker.rules import Rules
from sayso.broker.sessions import Sessions, check_binding
from sayso.broker.standing import StandingGrants
from sayso.broker.stops import Stops
from sayso.broker.tenants import LoadPolicy, Tenant, Tenants, no_policies
from sayso.broker.webhooks import Webhooks, with_jobs
from sayso.channels.addresses import AddressGuard
from sayso.clock import Clock, RequestIds
from sayso.codec import encode
from sayso.domain import lifecycle
from sayso.domain.accounts import LOCAL_AGENT, Power, Principal
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.events import EventType
from sayso.domain.grants import OutcomeDraft
from sayso.domain.lifecycle import (
    Cancel,
    Change,
    Claim,
    Command,
    Decide,
    EndGrant,
    Expire,
    Extend,
    Remind,
    Report,
)
from sayso.domain.passkeys import shown_strength
from sayso.domain.requests import Draft, OnTimeout, Request
from sayso.domain.rules import Rule
from sayso.domain.stops import Stop, refuse_stopped
from sayso.domain.traces import traceparent_of
from sayso.errors import (
    BusyError,
    ConflictError,
    InvalidTransitionError,
    NotFoundError,
    NotPermittedError,
    PersonRequiredError,
    RefusedError,
)
from sayso.ledger.binding import bind
from sayso.signals.base import EVENTS, JOBS, Signal
from sayso.stores.base import Page, Query, Stores, is_shown
from sayso.types import JsonObject

SWEEP_SIZE = 500
"""Requests that one sweep expires at the most, before it looks again."""
LATE_WAKE_SECONDS = 0.25
MAX_ROUNDS = 50
MAX_WAIT = timedelta(seconds=60)
"""How long one wait may last; whoever wants longer asks again."""


class Submitted(Struct, frozen=True, kw_only=True):
    """A request as kept, and whether an earlier submit with the same key had made it."""

    request: Request
    replayed: bool


class Broker:
    """Takes questions in and decisions out, and keeps every promise between the two.

    Args:
        store: where state lives.
        signal: who gets woken.
        clock: what time it is.
        default_timeout: the deadline of a request that names none.
        max_waits: waits held at once, at the most.
        guard: which addresses may be told of something. Default: public ones.
        load_policy: makes a policy of its text. Default: there are none.
    """

    def __init__(
        self,
        store: Stores,
        signal: Signal,
        clock: Clock,
        *,
        default_timeout: timedelta = timedelta(seconds=300),
        max_waits: int = 20_000,
        guard: AddressGuard | None = None,
        load_policy: LoadPolicy = no_policies,
    ) -> None:
        self.store = store
        self.signal = signal
        self.clock = clock
        self.webhooks = Webhooks(store, clock, guard or AddressGuard())
        self.deliveries = Deliveries(store, signal, clock, self.webhooks)
        self.sessions = Sessions(store, signal, clock, self.webhooks)
        self.journal = Journal(store, signal, clock, self.webhooks)
        self.tenants = Tenants(store, clock, load_policy)
        self.policies = Policies(store, clock, self.journal, self.tenants, load_policy)
        self.rules = Rules(store, self.journal, self.tenants)
        self.stops = Stops(store, clock, self.journal, self.tenants)
        self.standing = StandingGrants(store, clock, self.journal, self.tenants)
        self.waits = 0
        self._default_timeout = default_timeout
        self._max_waits = max_waits
        self._ids = RequestIds(clock)

    async def submit(
        self,
        draft: Draft,
        *,
        by: Principal,
        key: str | None = None,
        any_callback: bool = False,
        traceparent: str | None = None,
    ) -> Submitted:
        """Keep a new request; once this returns it survives anything.

        Args:
            draft: the question.
            by: who asks.
            key: an idempotency key: the same key and draft return the same request.
            any_callback: take a `callback_url` that can be seen to be forbidden, too; telling it
                will fail.
            traceparent: the span that asks, as W3C writes it; what is none is left out.

        Raises:
            InvalidRequestError: the draft contradicts itself, a schema cannot be used, or the
                `callback_url` leads to where it may not.
            ConflictError: the key was used for another draft (`idempotency_conflict`).
            RefusedError: the session was closed (`session_inactive`).
        """
        _need(by, Power.SUBMIT)
        check_binding(by, draft.client_id, draft.session_id)
        scoped_key, fingerprint = None, ""
        if key is not None:
            scoped_key = _scoped(by, key)
            fingerprint = hashlib.sha256(encode(draft)).hexdigest()
            known = await self._replayed(by, scoped_key, fingerprint)
            if known is not None:
                return known
        answers.check_draft(draft)
        if draft.callback_url is not None and not any_callback:
            self.webhooks.guard.check_url(draft.callback_url, "$.callback_url")
        now = self.clock.now()
        session = draft.session_id
        if session is not None and not self.sessions.is_label(session, now, by=by):
            await self.sessions.check_open(session, by=by)
            now = self.clock.now()
        tenant = self.tenants.peek(by.tenant, now) or await self.tenants.get(by.tenant)
        for _ in range(MAX_ROUNDS):
            change = lifecycle.submit(
                draft,
                request_id=self._ids.next(),
                now=now,
                default_timeout=self._default_timeout,
                by=by,
                rule=tenant.rule(draft.action, draft.rule),
                key=scoped_key,
                fingerprint=fingerprint,
                traceparent=traceparent_of(traceparent),
            )
            if tenant.policy is not None:
                is_timed = draft.timeout_seconds is not msgspec.UNSET
                change = self._by_policy(tenant, change, now, draft.rule, is_timed=is_timed)
            if tenant.by_tool and not change.request.is_terminal:
                change = standing.applied(tenant, change, now)
            webhooks = self.webhooks.peek(by.tenant, now)
            if webhooks is None:
                webhooks = await self.webhooks.of(by.tenant)
            is_closed = change.request.is_terminal
            if webhooks or draft.remind_every_seconds is not None or is_closed:
                change = with_jobs(change, webhooks)
            try:
                await self._commit(change)
            except ConflictError:
                known = None
                if scoped_key is not None:
                    known = await self._replayed(by, scoped_key, fingerprint)
                if known is not None:
                    return known
                if not change.records:
                    raise
                tenant = await self.tenants.fresh(by.tenant)  # the standing grant was used
                now = self.clock.now()
                continue
            if change.records:
                self.tenants.changed(by.tenant)
            return Submitted(request=change.request, replayed=False)
        raise ConflictError("The standing grant is used again and again.", hint="Try again.")

    async def recall(self, key: str, *, by: Principal) -> Request | None:
        """The request that this caller submitted under an idempotency key, as it is now."""
        known = await self.store.replay(by.tenant, _scoped(by, key))
        return None if known is None else known.request

    async def decide(
        self,
        request_id: str,
        answer: Answer,
        *,
        by: Principal,
        channel: Channel,
        assertion: JsonObject | None = None,
        tags: tuple[str, ...] = (),
    ) -> Request:
        """A person's answer; the first one stands, or as many as the rule wants.

        Args:
            request_id: which.
            answer: what they say.
            by: who they are, as authentication knows them.
            channel: by which way it came.
            assertion: what their passkey signed, checked already.
            tags: words of the program through which it came, kept with the decision.

        Raises:
            NotFoundError: there is no such request.
            PersonRequiredError: no person gave it.
            InvalidTransitionError: it is already decided, expired or cancelled; the error's
                `request` tells what was decided.
            InvalidAnswerError: it does not fit the question.
            NotPermittedError: the rule asks others, or wants them identified more strongly.
            RefusedError: a stop is set (`stopped`).
        """
        if not by.is_person:
            raise PersonRequiredError
        _need(by, Power.DECIDE)
        by = shown_strength(by, assertion)
        command = Decide(answer=answer, by=by, channel=channel, assertion=assertion, tags=tags)
        return await self._apply(request_id, command, by)

    async def claim(
        self,
        request_id: str,
        digest: str,
        *,
        by: Principal,
        facts: JsonObject | None = None,
        key: str = "",
    ) -> Request:
        """Take the grant, to run exactly what was approved, once.

        Args:
            request_id: which.
            digest: of what is about to run.
            by: the agent that asked.
            facts: what holds now, if facts were told when it was asked.
            key: a word for this claim: with it a claim whose answer was lost is repeated.

        Raises:
            NotFoundError: there is no such request.
            NotPermittedError: another agent asked (`not_yours`).
            InvalidTransitionError: see `sayso.domain.claims.claimed`; with `facts_changed` the
                question was asked again, as the error's `request`.
            RefusedError: a stop is set (`stopped`).
        """
        _need(by, Power.SUBMIT)
        command = Claim(by=by, digest=digest, facts=facts, key=key)
        try:
            return await self._apply(request_id, command, by)
        except RefusedError as error:
            await self._tell_refused(request_id, error, by, digest)
            if error.reason_code == "facts_changed":
                reopened = await self._reopen_changed(request_id, facts, by=by)
                error.request = msgspec.to_builtins(reopened)
            raise

    async def report(self, request_id: str, outcome: OutcomeDraft, *, by: Principal) -> Request:
        """Tell what became of a run.

        Raises:
            NotFoundError: there is no such request.
            NotPermittedError: another agent holds the grant (`not_yours`).
            InvalidTransitionError: nobody holds it (`not_claimed`), or another outcome was
                reported (`already_reported`).
        """
        _need(by, Power.SUBMIT)
        return await self._apply(request_id, Report(by=by, outcome=outcome), by)

    async def reopen(
        self, request_id: str, *, by: Principal, facts: JsonObject | None = None
    ) -> Submitted:
        """Ask again what expired, as a question or as a grant; reopened twice, it is one request.

        Args:
            request_id: which.
            by: who asked, or a reviewer.
            facts: what holds now.

        Raises:
            NotFoundError: there is no such request.
            InvalidTransitionError: it was decided otherwise, or may have run
                (`not_reopenable`).
        """
        _need(by, Power.SUBMIT)
        request = await self.get(request_id, by=by)
        key = f"reopen:{request.id}"
        known = await self.store.replay(by.tenant, key)
        if known is not None:
            return Submitted(request=known.request, replayed=True)
        tenant, now = await self.tenants.get(by.tenant), self.clock.now()
        change = lifecycle.reopen(
            request,
            request_id=self._ids.next(),
            facts=facts,
            now=now,
            by=by,
            rule=tenant.rule(request.action, request.rule),
            key=key,
        )
        change = self._by_policy(tenant, change, now, request.rule, is_timed=True)
        change = with_jobs(change, await self.webhooks.of(by.tenant))
        try:
            await self._commit(change)
        except ConflictError:
            known = await self.store.replay(by.tenant, key)
            if known is None:
                raise
            return Submitted(request=known.request, replayed=True)
        return Submitted(request=change.request, replayed=False)

    async def cancel(self, request_id: str, *, by: Principal, reason: str = "") -> Request:
        """Take a question back. Raises as `decide` does."""
        _need(by, Power.SUBMIT)
        return await self._apply(request_id, Cancel(by=by, reason=reason), by)

    async def extend(
        self, request_id: str, timeout_seconds: float | None, *, by: Principal
    ) -> Request:
        """Give people more time: so many seconds from now, or with None any.

        Raises:
            NotFoundError: there is no such request.
            InvalidTransitionError: it is closed, or has more time already (`not_later`).
        """
        _need(by, Power.SUBMIT)
        timeout = None if timeout_seconds is None else timedelta(seconds=timeout_seconds)
        return await self._apply(request_id, Extend(by=by, timeout=timeout), by)

    async def remind(self, request_id: str, *, after: int, tenant: str) -> Request:
        """Tell that nobody has answered yet, if there were `after` reminders before.

        Raises:
            NotFoundError: there is no such request.
            InvalidTransitionError: it is closed, or was reminded of already.
        """
        system = msgspec.structs.replace(LOCAL_AGENT, id="system", name="Sayso", tenant=tenant)
        return await self._apply(request_id, Remind(after=after), system)

    async def get(self, request_id: str, *, by: Principal) -> Request:
        """The request as it stands.

        Raises:
            NotFoundError: there is no such request.
        """
        request = await self.store.get(by.tenant, request_id)
        if request is None or not is_shown(request, by):
            raise NotFoundError(
                f"There is no request {request_id!r}.", hint="Check the id that submit returned."
            )
        return request

    async def wait(self, request_id: str, *, seconds: float, by: Principal) -> Request:
        """The request, at once when it is closed, else when it is decided or time is up.

        Raises:
            NotFoundError: there is no such request.
            BusyError: too many waits are held already.
        """
        if self.waits >= self._max_waits:
            raise BusyError(f"This server holds {self._max_waits} waits already.")
        self.waits += 1
        try:
            with self.signal.subscribe(request_id) as waiter:  # before reading: nothing is missed
                request = await self.get(request_id, by=by)
                if request.is_terminal or seconds <= 0:
                    return request
                del request  # ten thousand waits hold ten thousand of them for nothing
                loop = asyncio.get_running_loop()
                until = loop.time() + min(seconds, MAX_WAIT.total_seconds())
                while await waiter.wait(until - loop.time()):  # woken by a reminder, it goes on
                    request = await self.get(request_id, by=by)
                    if request.is_terminal:
                        return request
                    del request
                return await self.get(request_id, by=by)
        finally:
            self.waits -= 1

    async def find(self, query: Query) -> Page:
        """One page of requests, newest first."""
        return await self.store.find(query)

    async def expire_due(self) -> int:
        """What silence means for what nobody answered in time; how many requests it was."""
        now = self.clock.now()
        due = await self.store.due(now, SWEEP_SIZE)
        yes = {request.tenant for request in due if request.on_timeout is OnTimeout.APPROVE}
        stops: dict[str, tuple[Stop, ...]] = {}
        for tenant in yes:
            with contextlib.suppress(RefusedError):  # it is logged; nothing is approved there
                stops[tenant] = (await self.tenants.fresh(tenant)).stops
        due = [r for r in due if r.on_timeout is not OnTimeout.APPROVE or r.tenant in stops]
        closed = await asyncio.gather(
            *(self._expire(request, now, stops.get(request.tenant, ())) for request in due),
            return_exceptions=True,
        )
        failed = [each for each in closed if isinstance(each, BaseException)]
        if failed and not any(each is True for each in closed):
            raise failed[0]
        return sum(each is True for each in closed)

    async def _apply(self, request_id: str, command: Command, by: Principal) -> Request:
        """Compare-and-set: if somebody else wrote in between, look again what they made of it."""
        for _ in range(MAX_ROUNDS):
            request = await self.get(request_id, by=by)
            now = self.clock.now()
            try:
                if isinstance(command, Decide):
                    change = await self._decide(request, command, now)
                else:
                    change = lifecycle.apply(request, command, now)
            except InvalidTransitionError as error:
                error.request = msgspec.to_builtins(request)
                raise
            if isinstance(command, Claim):
                refuse_stopped(request, (await self.tenants.fresh(request.tenant)).stops)
            if not change.events:  # it was so already
                return request
            webhooks = self.webhooks.peek(request.tenant, now)
            if webhooks is None:
                webhooks = await self.webhooks.of(request.tenant)
            change = with_jobs(change, webhooks)
            try:
                await self._commit(change)
            except ConflictError:
                continue
            if change.records:
                self.tenants.changed(request.tenant)
            return change.request
        raise ConflictError("Others changed the request again and again.", hint="Try again.")

    async def _decide(self, request: Request, command: Decide, now: datetime) -> Change:
        """The change that a decision makes, checked against what holds in the tenant."""
        answer = command.answer
        tenant = self.tenants.peek(request.tenant, now) or await self.tenants.get(request.tenant)
        if request.votes:  # of those who may no longer decide none counts
            counted = [
                vote
                for vote in request.votes
                if await self.tenants.may_decide(vote.by.id, request.tenant)
            ]
            request = msgspec.structs.replace(request, votes=tuple(counted))
        if answer.type is DecisionType.EDIT and answer.args is not None and request.action:
            edited = request.action.with_args(answer.args)
            rule = policies.rule_of_edit(tenant, request, edited)
            command = msgspec.structs.replace(command, rule=rule)
        change = lifecycle.apply(request, command, now)
        answers.check_answer(request, answer)
        approves = change.request.approved or change.request.votes != request.votes
        if approves and answer.type not in (DecisionType.REJECT, DecisionType.IGNORE):
            refuse_stopped(request, tenant.stops)
        if answer.remember is None:
            return change
        return await self.standing.remembered(change, answer.remember, by=command.by)

    def _by_policy(
        self, tenant: Tenant, change: Change, now: datetime, asked: Rule | None, *, is_timed: bool
    ) -> Change:
        return policies.applied(
            tenant, change, now, asked=asked, is_timed=is_timed, usual=self._default_timeout
        )

    async def _tell_refused(
        self, request_id: str, error: RefusedError, by: Principal, digest: str
    ) -> None:
        """A claim that is refused is on record, if there is such a request."""
        if isinstance(error, (NotFoundError, ConflictError)):
            return
        request = await self.get(request_id, by=by)
        data: JsonObject = {"code": error.reason_code, "digest": digest[:80]}
        await self.journal.tell(request, EventType.GRANT_REFUSED, by, data)

    async def _reopen_changed(
        self, request_id: str, facts: JsonObject | None, *, by: Principal
    ) -> Request:
        """End the grant for what does not hold any more, then ask again."""
        reason = "What held when it was asked does not hold any more."
        with contextlib.suppress(InvalidTransitionError):
            await self._apply(request_id, EndGrant(by=by, reason=reason), by)
        return (await self.reopen(request_id, by=by, facts=facts)).request

    async def _expire(self, request: Request, now: datetime, stops: Iterable[Stop]) -> bool:
        is_stopped = any(stop.covers(request) for stop in stops)
        change = lifecycle.apply(request, Expire(is_stopped=is_stopped), now)
        change = with_jobs(change, await self.webhooks.of(request.tenant))
        try:
            await self._commit(change)
        except ConflictError:
            return False  # decided in the same moment: that decision stands
        return True

    async def _commit(self, change: Change) -> None:
        """Keep a change, then wake whoever waits for it.

        A caller that is cancelled meanwhile does not take the change back, so its waiters are
        woken all the same, a little later.
        """
        try:
            await self.store.commit(bind(change))
        except asyncio.CancelledError:
            loop = asyncio.get_running_loop()
            loop.call_later(LATE_WAKE_SECONDS, self._publish, change)
            raise
        self._publish(change)

    async def _replayed(self, by: Principal, key: str, fingerprint: str) -> Submitted | None:
        replay = await self.store.replay(by.tenant, key)
        if replay is None:
            return None
        if replay.fingerprint != fingerprint:
            raise ConflictError(
                f"The idempotency key was used for another request, {replay.request.id!r}.",
                hint="Use a new key for a new question.",
                code="idempotency_conflict",
            )
        return Submitted(request=replay.request, replayed=True)

    def _publish(self, change: Change) -> None:
        if change.expected_version:  # nobody waits for what is new
            self.signal.publish(change.request.id)
        self.signal.publish(EVENTS)
        if change.jobs:
            self.signal.publish(JOBS)


def _need(by: Principal, power: Power) -> None:
    if not by.may(power):
        raise NotPermittedError(
            f"{by.name!r} does not have the power to {power.value}.", code="power_required"
        )


def _scoped(by: Principal, key: str) -> str:
    """Each caller has idempotency keys of their own."""
    return f"{by.plane}:{by.id}:{key}"
