"""Who somebody is here, whom an OpenID provider knows."""

import contextlib
import hashlib
import re

import msgspec
from msgspec import Struct

from sayso import codec
from sayso.broker.recorder import Recorder
from sayso.broker.users import Users
from sayso.domain.accounts import Plane, Principal, Role
from sayso.domain.records import Record
from sayso.domain.users import User
from sayso.errors import ConflictError, NotPermittedError
from sayso.stores.base import RecordQuery, RecordStore

KIND = "identity"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._@+-]")


class Kept(Struct, frozen=True, kw_only=True):
    """Which user an identity belongs to."""

    user_id: str
    issuer: str
    subject: str


class Identities:
    """Finds the user of an identity, and adds one for a new identity.

    Args:
        store: where they are kept.
        recorder: keeps them.
        users: the people with an account.
    """

    def __init__(self, store: RecordStore, recorder: Recorder, users: Users) -> None:
        self._store = store
        self._recorder = recorder
        self._users = users

    async def user(
        self, issuer: str, subject: str, *, email: str, username: str, name: str, role: Role
    ) -> User:
        """The user whose identity this is, from now on if it is new.

        A new identity with a verified address gets the account of that name which an admin has
        added without a password; else an account of its own. It never gets one that somebody else
        may hold.

        Args:
            issuer: the provider.
            subject: by which the provider knows them.
            email: verified, or empty.
            username: what the provider calls them.
            name: for others to see.
            role: what they are, if the account is new.

        Raises:
            NotPermittedError: they are disabled, or their name is somebody else's (`no_account`).
        """
        identity = hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()
        record = await self._store.get_record(KIND, identity)
        if record is not None:
            user = await self._users.one(_decode(record.body).user_id)
        else:
            user = await self._meet(email or username or subject, email, name, role)
            kept = Kept(user_id=user.id, issuer=issuer, subject=subject)
            body = codec.encode(kept)
            new = Record(kind=KIND, id=identity, owner=user.id, tenant=user.tenant, body=body)
            with contextlib.suppress(ConflictError):  # they came twice at once: it is theirs
                await self._recorder.note(records=(new,))
        if user is None or user.disabled:
            raise NotPermittedError("This account is disabled.", code="no_account")
        return user

    async def _meet(self, username: str, email: str, name: str, role: Role) -> User:
        safe = _NOT_IN_NAMES.sub("_", username).lstrip("._@+-")[:128] or "user"
        invited = await self._users.named(safe)
        if invited is not None:
            if email and safe == email and not await self._is_held(invited):
                return invited
            raise NotPermittedError(
                f"There is an account {safe!r} already, which may be somebody else's.",
                hint="Ask an admin.",
                code="no_account",
            )
        by = Principal(plane=Plane.PERSON, id="oidc", name="OpenID provider", role=Role.ADMIN)
        return await self._users.add(safe, by=by, name=name, role=role)

    async def _is_held(self, user: User) -> bool:
        """Whether somebody can sign in to it already."""
        if user.password_hash:
            return True
        query = RecordQuery(kind=KIND, tenant=user.tenant, owner=user.id, limit=1)
        return bool(await self._store.find_records(query))


_decode = msgspec.json.Decoder(Kept).decode
