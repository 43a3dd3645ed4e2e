"""Agents' sessions: registered, looked up with each request, closed.

A session is its agent's: others read, close and replace it only if they see all there is, or if it
is their agent's.
"""

from datetime import datetime

import msgspec

from sayso.broker.lookups import LookUps
from sayso.broker.webhooks import Webhooks
from sayso.clock import Clock, RequestIds
from sayso.domain.accounts import Principal
from sayso.domain.drafts import refuse_control_characters
from sayso.domain.events import Event, EventType
from sayso.domain.jobs import deliveries_of
from sayso.domain.sessions import Session
from sayso.errors import ConflictError, NotFoundError, NotPermittedError, RefusedError
from sayso.signals.base import EVENTS, JOBS, Signal
from sayso.stores.base import SessionStore


class Sessions:
    """Registers, finds and closes sessions."""

    def __init__(
        self, store: SessionStore, signal: Signal, clock: Clock, webhooks: Webhooks
    ) -> None:
        self._store = store
        self._webhooks = webhooks
        self._ids = RequestIds(clock)
        self._signal = signal
        self._clock = clock
        self._known = LookUps(self._look_up, clock)

    async def register(
        self, session_id: str, client_id: str, *, telegram_id: int | None, by: Principal
    ) -> Session:
        """Keep a session; registering it again replaces it, and opens it if it was closed.

        It stays with whoever registered it first.

        Raises:
            InvalidRequestError: a name has control characters.
            NotPermittedError: the key is for another client id or session (`key_bound`).
            ConflictError: it is somebody else's (`session_taken`).
        """
        refuse_control_characters((("$.session_id", session_id), ("$.client_id", client_id)))
        check_binding(by, client_id, session_id)
        known = await self._store.get_session(by.tenant, session_id)
        if known is not None and not _is_for(known, by):
            raise ConflictError(
                f"The session {session_id!r} is somebody else's.",
                hint="Register one by another name.",
                code="session_taken",
            )
        registered_by, owner = by.actor, by.owner
        if known is not None and known.registered_by:
            registered_by, owner = known.registered_by, known.owner
        session = Session(
            id=session_id,
            client_id=client_id,
            telegram_id=telegram_id,
            created_at=self._clock.now(),
            tenant=by.tenant,
            registered_by=registered_by,
            owner=owner,
        )
        return await self._put(session, EventType.SESSION_REGISTERED, by)

    async def deactivate(self, session_id: str, *, by: Principal) -> Session:
        """Close a session: requests in it are refused from now on.

        Raises:
            NotFoundError: there is no such session, or not for `by`.
            NotPermittedError: the key is for another client id or session (`key_bound`).
        """
        session = await self.get(session_id, by=by)
        check_binding(by, session.client_id, session_id)
        closed = msgspec.structs.replace(session, active=False)
        return await self._put(closed, EventType.SESSION_DEACTIVATED, by)

    async def get(self, session_id: str, *, by: Principal) -> Session:
        """A session.

        Raises:
            NotFoundError: there is no such session, or not for `by`.
        """
        session = await self._known.get((by.tenant, session_id))
        if session is None or not _is_for(session, by):
            raise NotFoundError(
                f"There is no session {session_id!r}.",
                hint="Register it first: POST /hitl/register.",
                code="unknown_session",
            )
        return session

    def is_label(self, session_id: str, now: datetime, *, by: Principal) -> bool:
        """Whether it is known that nobody has registered it, so that there is nothing to check."""
        return self._known.knows_none((by.tenant, session_id), now)

    async def check_open(self, session_id: str, *, by: Principal) -> None:
        """Refuse a session that was closed; one that nobody registered is a mere label.

        Raises:
            RefusedError: it was closed (`session_inactive`).
        """
        session = await self._known.get((by.tenant, session_id))
        if session is not None and not session.active:
            raise RefusedError(
                f"The session {session_id!r} is closed.",
                hint="Register it again, or use another.",
                code="session_inactive",
            )

    async def _look_up(self, key: tuple[str, str]) -> Session | None:
        tenant, session_id = key
        return await self._store.get_session(tenant, session_id)

    async def _put(self, session: Session, kind: EventType, by: Principal) -> Session:
        event = Event(
            type=kind,
            at=self._clock.now(),
            session_id=session.id,
            client_id=session.client_id,
            actor=by.actor,
            tenant=session.tenant,
        )
        webhooks = await self._webhooks.of(session.tenant)
        jobs = deliveries_of(event, self._ids.next(), webhooks) if webhooks else ()
        await self._store.put_session(session, event, jobs)
        self._known.put((session.tenant, session.id), session)
        self._signal.publish(EVENTS)
        if jobs:
            self._signal.publish(JOBS)
        return session


def check_binding(by: Principal, client_id: str | None, session_id: str | None) -> None:
    """Refuse a key that was made for others.

    Raises:
        NotPermittedError: it is for another client id or session (`key_bound`).
    """
    if not by.is_bound_to(client_id, session_id):
        raise NotPermittedError(
            "This key is not good for that client id or session.",
            hint="Send the client id and a session that the key is bound to.",
            code="key_bound",
        )


def _is_for(session: Session, by: Principal) -> bool:
    """Whether they may do with it what its agent may."""
    return by.sees(session.registered_by, session.owner)
