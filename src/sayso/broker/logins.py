"""The sessions of people who are signed in: begun, listed, ended."""

from collections.abc import Sequence
from datetime import timedelta

from sayso.broker.recorder import Recorder
from sayso.broker.users import Users
from sayso.clock import Clock, RequestIds
from sayso.domain.accounts import Power, Principal, Strength
from sayso.domain.events import EventType
from sayso.domain.users import LOCAL_PERSON, User
from sayso.errors import NotFoundError, SignInRequiredError
from sayso.links import token_hash
from sayso.stores.base import Login, Stores

LONGEST_AGENT = 256


class Logins:
    """Begins, lists and ends sessions.

    Args:
        store: where they are kept.
        recorder: keeps the events that tell of it.
        clock: what time it is.
        users: whose they are.
    """

    def __init__(self, store: Stores, recorder: Recorder, clock: Clock, users: Users) -> None:
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._users = users
        self._ids = RequestIds(clock)

    def new_id(self) -> str:
        """By which a session will be listed and ended."""
        return self._ids.next()

    async def begin(
        self,
        token: str,
        who: Principal,
        *,
        login_id: str,
        lifetime: timedelta,
        method: str,
        agent: str,
        user: User | None,
    ) -> Login:
        """Keep a session under the hash of its token, and tell of it.

        Args:
            token: what the caller will send.
            who: the person, with the strength by which they were identified.
            login_id: from `new_id`.
            lifetime: for how long.
            method: how they signed in.
            agent: the program by which they did, as it calls itself.
            user: their account as it was when they showed who they are, if they have one.

        Raises:
            SignInRequiredError: they got a new password, or were disabled, meanwhile.
        """
        now = self._clock.now()
        login = Login(
            token_hash=token_hash(token),
            person_id=who.id,
            name=who.name,
            strength=who.strength or Strength.LINK,
            created_at=now,
            expires_at=now + lifetime,
            tenant=who.tenant,
            id=login_id,
            agent="".join(c for c in agent if c.isprintable())[:LONGEST_AGENT],
            method=method,
            epoch=0 if user is None else user.epoch,
        )
        data = {"user_id": who.id, "login_id": login.id, "method": method}
        event = self._recorder.event(EventType.USER_SIGNED_IN, who, data)
        await self._store.put_login(login)
        if user is None:
            await self._recorder.note(event)
            return login
        try:
            await self._users.signed_in(user, event)
        except SignInRequiredError:
            await self._store.end_login(login.token_hash)
            raise
        return login

    async def find(self, *, by: Principal, all_people: bool = False) -> Sequence[Login]:
        """Their own sessions that have not expired, or everybody's in the tenant, newest first."""
        people = [by.id]
        if all_people:
            people = [LOCAL_PERSON, *(user.id for user in await self._users.find(by=by))]
        found = [
            login
            for person_id in people
            for login in await self._store.get_logins(by.tenant, person_id)
            if self._clock.now() < login.expires_at
        ]
        return sorted(found, key=lambda login: (login.created_at, login.id), reverse=True)

    async def end(self, login_id: str, *, by: Principal) -> Login:
        """End one.

        Raises:
            NotFoundError: there is none, or not for `by`.
        """
        for login in await self.find(by=by, all_people=by.may(Power.MANAGE)):
            if login.id == login_id:
                await self._store.end_login(login.token_hash)
                await self._tell(login, by)
                return login
        raise NotFoundError(
            f"There is no session {login_id!r} of yours.",
            hint="List them: sayso sessions, or GET /api/v1/logins.",
        )

    async def end_all(self, person_id: str, *, by: Principal, keep: str = "") -> int:
        """End all sessions of a person, but for the one whose token has the hash `keep`.

        Raises:
            NotFoundError: they are somebody else's, and `by` is no admin.
        """
        if person_id != by.id and not by.may(Power.MANAGE):
            raise NotFoundError(f"There are no sessions of {person_id!r} for you to end.")
        found = [
            login
            for login in await self._store.get_logins(by.tenant, person_id)
            if login.token_hash != keep
        ]
        for login in found:
            await self._store.end_login(login.token_hash)
            await self._tell(login, by)
        return len(found)

    async def end_token(self, hashed: str) -> None:
        """End the session whose token has this hash; one that is not there is no error."""
        await self._store.end_login(hashed)
        self._recorder.tell()

    async def _tell(self, login: Login, by: Principal) -> None:
        data = {"user_id": login.person_id, "login_id": login.id}
        self._recorder.tell()
        await self._recorder.note(self._recorder.event(EventType.SESSION_ENDED, by, data))
