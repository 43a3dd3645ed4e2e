"""Submit, decide, cancel, wait, find: every surface comes in through here."""

import asyncio
import hashlib
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from sayso.broker import answers
from sayso.broker.deliveries import Deliveries
from sayso.broker.sessions import Sessions
from sayso.broker.webhooks import Webhooks, with_jobs
from sayso.channels.addresses import AddressGuard
from sayso.clock import Clock, RequestIds
from sayso.codec import encode
from sayso.domain import lifecycle
from sayso.domain.accounts import LOCAL_AGENT, Power, Principal
from sayso.domain.decisions import Answer, Channel
from sayso.domain.lifecycle import Cancel, Change, Command, Decide, Expire, Extend, Remind
from sayso.domain.passkeys import shown_strength
from sayso.domain.requests import Draft, Request
from sayso.errors import (
    BusyError,
    ConflictError,
    InvalidTransitionError,
    NotFoundError,
    NotPermittedError,
    PersonRequiredError,
)
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
    ) -> None:
        self.store = store
        self.signal = signal
        self.clock = clock
        self.webhooks = Webhooks(store, clock, guard or AddressGuard())
        self.deliveries = Deliveries(store, signal, clock, self.webhooks)
        self.sessions = Sessions(store, signal, clock, self.webhooks)
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
    ) -> Submitted:
        """Keep a new request; once this returns it survives anything.

        Args:
            draft: the question.
            by: who asks.
            key: an idempotency key: the same key and draft return the same request.
            any_callback: take a `callback_url` that can be seen to be forbidden, too; telling it
                will fail.

        Raises:
            InvalidRequestError: the draft contradicts itself, a schema cannot be used, or the
                `callback_url` leads to where it may not.
            ConflictError: the key was used for another draft (`idempotency_conflict`).
            RefusedError: the session was closed (`session_inactive`).
        """
        _need(by, Power.SUBMIT)
        _check_binding(by, draft)
        scoped_key, fingerprint = None, ""
        if key is not None:
            scoped_key = f"{by.plane}:{by.id}:{key}"
            fingerprint = hashlib.sha256(encode(draft)).hexdigest()
            known = await self._replayed(by, scoped_key, fingerprint)
            if known is not None:
                return known
        answers.check_draft(draft)
        if draft.callback_url is not None and not any_callback:
            self.webhooks.guard.check_url(draft.callback_url, "$.callback_url")
        if draft.session_id is not None:
            await self.sessions.check_open(draft.session_id, by=by)
        now = self.clock.now()
        change = lifecycle.submit(
            draft,
            request_id=self._ids.next(),
            now=now,
            default_timeout=self._default_timeout,
            by=by,
            key=scoped_key,
            fingerprint=fingerprint,
        )
        webhooks = await self.webhooks.of(by.tenant)
        if webhooks or draft.remind_every_seconds is not None:
            change = with_jobs(change, webhooks)
        try:
            await self._commit(change)
        except ConflictError:
            if scoped_key is None:
                raise
            known = await self._replayed(by, scoped_key, fingerprint)
            if known is None:
                raise
            return known
        return Submitted(request=change.request, replayed=False)

    async def decide(
        self,
        request_id: str,
        answer: Answer,
        *,
        by: Principal,
        channel: Channel,
        assertion: JsonObject | None = None,
    ) -> Request:
        """A person's answer; the first one stands.

        Args:
            request_id: which request.
            answer: what they say.
            by: who they are.
            channel: by which way it came.
            assertion: what their passkey signed for it, as `Passkeys` has verified it.

        Raises:
            NotFoundError: there is no such request.
            PersonRequiredError: no person gave it.
            InvalidTransitionError: it is already decided, expired or cancelled; the error's
                `request` tells what was decided.
            InvalidAnswerError: it does not fit the question.
        """
        if not by.is_person:
            raise PersonRequiredError
        _need(by, Power.DECIDE)
        by = shown_strength(by, assertion)
        command = Decide(answer=answer, by=by, channel=channel, assertion=assertion)
        return await self._apply(request_id, command, by)

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
        """Close what nobody answered in time; how many were closed."""
        now = self.clock.now()
        due = await self.store.due(now, SWEEP_SIZE)
        closed = await asyncio.gather(
            *(self._expire(request, now) for request in due), return_exceptions=True
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
                change = lifecycle.apply(request, command, now)
            except InvalidTransitionError as error:
                error.request = msgspec.to_builtins(request)
                raise
            if isinstance(command, Decide):
                answers.check_answer(request, command.answer)
            change = with_jobs(change, await self.webhooks.of(request.tenant))
            try:
                await self._commit(change)
            except ConflictError:
                continue
            return change.request
        raise ConflictError("Others changed the request again and again.", hint="Try again.")

    async def _expire(self, request: Request, now: datetime) -> bool:
        change = lifecycle.apply(request, Expire(), now)
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
            await self.store.commit(change)
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


def _check_binding(by: Principal, draft: Draft) -> None:
    if not by.is_bound_to(draft.client_id, draft.session_id):
        raise NotPermittedError(
            "This key is not good for that client id or session.",
            hint="Send the client id and a session that the key is bound to.",
            code="key_bound",
        )
