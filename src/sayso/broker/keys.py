"""Keys of programs: made, listed, revoked, replaced, and their last use."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from sayso import codec
from sayso.broker.recorder import Recorder, until_kept
from sayso.clock import Clock, RequestIds
from sayso.domain.accounts import Power, Principal, Scope
from sayso.domain.drafts import refuse_control_characters
from sayso.domain.events import Event, EventType
from sayso.domain.keys import ApiKey
from sayso.domain.records import Record
from sayso.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    PersonRequiredError,
    RefusedError,
    SaysoError,
)
from sayso.links import token_hash
from sayso.stores.base import RecordQuery, RecordStore, Stores
from sayso.visible import pieces

KIND = "key"
MAX_KEYS = 200
"""Good ones of one owner."""
MAX_OVERLAP = timedelta(days=30)
LONGEST_TEXT = 200
PAGE = 500
_USE_NOTED = timedelta(minutes=1)
_SHOWN = 6
"""Digits after the prefix that tell keys apart."""

log = logging.getLogger("sayso.keys")


class NewKey(Struct, frozen=True, kw_only=True):
    """A key and its text, which is not kept."""

    key: ApiKey
    text: str


class KeyDraft(Struct, frozen=True, kw_only=True):
    """What somebody wants a key for."""

    label: str = ""
    scope: Scope = Scope.AGENT
    client_id: str | None = None
    session_pattern: str | None = None
    expires_at: datetime | None = None


class Keys:
    """Makes, finds, revokes and replaces keys.

    Args:
        store: where they are kept.
        recorder: keeps a change with its event.
        clock: what time it is.
        prefix: what new keys begin with.
    """

    def __init__(self, store: Stores, recorder: Recorder, clock: Clock, *, prefix: str) -> None:
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._prefix = prefix
        self._ids = RequestIds(clock)
        self._noting: dict[str, asyncio.Task[None]] = {}

    async def create(self, draft: KeyDraft, *, by: Principal) -> NewKey:
        """Make a key, for an agent that is new; made by a key it is that key's owner's.

        Raises:
            NotPermittedError: their role does not go so far.
            InvalidRequestError: a text is too long, or the time is past.
            RefusedError: they have as many as anybody may have (`too_many_keys`).
        """
        _check_may_make(draft.scope, by)
        self._check_draft(draft)
        draft = msgspec.structs.replace(draft, label=_clear(draft.label))
        owner = by.id if by.is_person else by.owner
        good = [key for key in await self._all(by.tenant, owner) if key.is_good(self._clock.now())]
        if len(good) >= MAX_KEYS:
            raise RefusedError(
                f"There are {MAX_KEYS} keys already.",
                hint="Revoke those that are not needed.",
                code="too_many_keys",
            )
        return await self._make(draft, self._ids.next(), owner=owner, by=by)

    async def find(self, *, by: Principal, all_owners: bool = False) -> tuple[ApiKey, ...]:
        """Their own keys, or everybody's in the tenant, oldest first; also those that ended."""
        return tuple(await self._all(by.tenant, None if all_owners else by.id))

    async def revoke(self, key_id: str, *, by: Principal, own: bool = False) -> ApiKey:
        """Let it open nothing any more, from now on.

        Args:
            key_id: which.
            by: its owner, or an admin.
            own: take only one of their own, even from an admin.

        Raises:
            NotFoundError: there is none, or not for `by`.
        """

        async def revoke() -> ApiKey:
            key, version = await self._kept(key_id, by)
            if own and key.owner != by.id:
                raise _none(key_id)
            if key.revoked_at is not None:
                return key
            revoked = msgspec.structs.replace(key, revoked_at=self._clock.now())
            told = self._told(EventType.KEY_REVOKED, revoked, by)
            await self._recorder.put((record_of(revoked, version + 1),), told)
            return revoked

        return await until_kept(revoke)

    async def rotate(
        self,
        key_id: str,
        *,
        by: Principal,
        overlap: timedelta = timedelta(0),
        expires_at: datetime | None = None,
    ) -> NewKey:
        """Make a key in its place, for the same agent; it stays good for `overlap`.

        Args:
            key_id: which.
            by: its owner; the text of the new one speaks for their agent.
            overlap: how long both are good, 30 days at the most.
            expires_at: until when the new one is good. Default: as long as the old one was made
                for, if it was.

        Raises:
            NotFoundError: there is none, or not for `by`.
            NotPermittedError: it is somebody else's; admins revoke, too (`not_yours`).
            RefusedError: it is not good any more or is being replaced (`key_ended`).
            InvalidRequestError: the time is past, or the overlap too long.
        """
        if not timedelta(0) <= overlap <= MAX_OVERLAP:
            raise InvalidRequestError("Both keys can be good for 0 to 30 days.")

        async def rotate() -> NewKey:
            now = self._clock.now()
            old, version = await self._kept(key_id, by)
            if not by.is_person or old.owner != by.id:
                raise NotPermittedError(
                    "Only its owner replaces a key: whoever holds the new one is their agent.",
                    hint="Revoke it; its owner can make another.",
                    code="not_yours",
                )
            if not old.is_good(now):
                raise RefusedError(
                    "The key was revoked or has expired.", hint="Make a new one.", code="key_ended"
                )
            for newer in await self._all(by.tenant, old.owner):
                if newer.replaces == old.id and newer.is_good(now):
                    raise RefusedError(
                        f"The key is being replaced already, by {newer.id!r}.",
                        hint="Rotate that one; this one ends when its overlap does.",
                        code="key_ended",
                    )
            ends = expires_at
            if ends is None and old.expires_at is not None:
                ends = now + (old.expires_at - old.created_at)
            draft = KeyDraft(
                label=old.label,
                scope=old.scope,
                client_id=old.client_id,
                session_pattern=old.session_pattern,
                expires_at=ends,
            )
            _check_may_make(draft.scope, by)
            self._check_draft(draft)
            until = min(filter(None, (old.expires_at, now + overlap)))
            replaced = msgspec.structs.replace(old, expires_at=until)
            return await self._make(
                draft,
                old.agent_id,
                owner=old.owner,
                by=by,
                replaces=old.id,
                beside=(record_of(replaced, version + 1),),
            )

        return await until_kept(rotate)

    async def known(self, key_hash: str) -> ApiKey | None:
        """The key whose text has this hash, good or not."""
        record = await self._store.find_handle(KIND, key_hash)
        return None if record is None else key_of(record)[0]

    def used(self, key: ApiKey) -> None:
        """Remember that it was used: soon, and at most once a minute; the caller does not wait."""
        now = self._clock.now()
        if key.last_used_at is not None and timedelta(0) <= now - key.last_used_at < _USE_NOTED:
            return
        if key.id not in self._noting:
            task = self._noting[key.id] = asyncio.ensure_future(self._note_use(key.id, now))
            task.add_done_callback(lambda _: self._noting.pop(key.id, None))

    async def close(self) -> None:
        """Finish what is being noted."""
        await asyncio.gather(*self._noting.values(), return_exceptions=True)

    async def _note_use(self, key_id: str, now: datetime) -> None:
        try:
            record = await self._store.get_record(KIND, key_id)
            if record is not None:
                key, version = key_of(record)
                used = msgspec.structs.replace(key, last_used_at=now)
                await self._store.put_records((record_of(used, version + 1),))
        except ConflictError:
            pass  # somebody else has noted it, or changed it: next time
        except SaysoError as error:
            log.warning("the use of a key was not noted: %s", error)

    async def _make(
        self,
        draft: KeyDraft,
        agent_id: str,
        *,
        owner: str,
        by: Principal,
        replaces: str | None = None,
        beside: tuple[Record, ...] = (),
    ) -> NewKey:
        digits = secrets.token_hex(32)
        text = self._prefix + digits
        key = ApiKey(
            id=self._ids.next(),
            agent_id=agent_id,
            label=draft.label,
            prefix=self._prefix,
            shown=text[: len(self._prefix) + _SHOWN],
            key_hash=token_hash(text),
            scope=draft.scope,
            owner=owner,
            client_id=draft.client_id,
            session_pattern=draft.session_pattern,
            tenant=by.tenant,
            created_at=self._clock.now(),
            expires_at=draft.expires_at,
            replaces=replaces,
        )
        told = self._told(EventType.KEY_ADDED, key, by, scope=key.scope, replaces=replaces)
        await self._recorder.put((*beside, record_of(key, 1)), told)
        return NewKey(key=key, text=text)

    async def _kept(self, key_id: str, by: Principal) -> tuple[ApiKey, int]:
        record = await self._store.get_record(KIND, key_id)
        if record is not None and record.tenant == by.tenant:
            key, version = key_of(record)
            if by.may(Power.MANAGE) or (by.is_person and key.owner == by.id):
                return key, version
        raise _none(key_id)

    async def _all(self, tenant: str, owner: str | None) -> list[ApiKey]:
        return await keys_of(self._store, tenant, owner)

    def _check_draft(self, draft: KeyDraft) -> None:
        texts = {
            "$.label": draft.label,
            "$.client_id": draft.client_id or "",
            "$.session_pattern": draft.session_pattern or "",
        }
        refuse_control_characters(texts.items())
        for at, text in texts.items():
            if len(text) > LONGEST_TEXT:
                raise _cannot(at, f"It has more than {LONGEST_TEXT} characters.")
        if draft.expires_at is not None:
            if draft.expires_at.tzinfo is None:
                raise _cannot("$.expires_at", "It names no time zone: write Z behind it.")
            if draft.expires_at <= self._clock.now():
                raise _cannot("$.expires_at", "It is past.")

    def _told(self, kind: EventType, key: ApiKey, by: Principal, **more: Any) -> Event:
        data = {"key_id": key.id, "agent_id": key.agent_id, "label": key.label, "owner": key.owner}
        told = self._recorder.event(kind, by, codec.builtins(data | more))
        return msgspec.structs.replace(told, owner=key.owner or None)


async def keys_of(store: RecordStore, tenant: str, owner: str | None = None) -> list[ApiKey]:
    """All of a tenant, or of one owner, oldest first; also those that ended."""
    found: list[ApiKey] = []
    query = RecordQuery(kind=KIND, tenant=tenant, owner=owner, limit=PAGE)
    while True:
        records = await store.find_records(query)
        found += [key_of(record)[0] for record in records]
        if len(records) < PAGE:
            return found
        query = msgspec.structs.replace(query, after=records[-1].id)


def key_of(record: Record) -> tuple[ApiKey, int]:
    """A key as kept, and the version."""
    return _decode(record.body), record.version


def record_of(key: ApiKey, version: int) -> Record:
    """A key as it is to be kept."""
    return Record(
        kind=KIND,
        id=key.id,
        tenant=key.tenant,
        owner=key.owner,
        handle=key.key_hash,
        version=version,
        body=codec.encode(key),
    )


_decode: Callable[[bytes], ApiKey] = msgspec.json.Decoder(ApiKey).decode


def _check_may_make(scope: Scope, by: Principal) -> None:
    if scope is Scope.LOCAL:
        raise _cannot(
            "$.scope", "'local' is what callers without a key have.", "Use agent, reader or admin."
        )
    if not by.is_person and not by.may(Power.MANAGE):
        raise PersonRequiredError("Keys are made by people.")
    needed = Power.SUBMIT if scope is Scope.AGENT else Power.MANAGE
    if not by.may(needed) and not by.may(Power.MANAGE):
        raise NotPermittedError(
            f"Making a key of the scope {scope.value!r} takes the power to {needed.value}.",
            hint="Ask an admin for it.",
            code="power_required",
        )


def _clear(label: str) -> str:
    """A label as it is kept: people know an agent by it, so no two only look the same.

    Raises:
        InvalidRequestError: it has characters that nobody can see, or that pass for others.
    """
    label = " ".join(label.split())
    for piece in pieces(label, one_line=True):
        if piece.kind:
            raise _cannot(
                "$.label",
                f"{piece.text} {piece.why}".strip() + ".",
                "Agents are known by their labels: write it in plain letters.",
            )
    return label


def _none(key_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no key {key_id!r}.", hint="List them: sayso keys, or GET /api/v1/keys."
    )


def _cannot(at: str, message: str, hint: str = "") -> InvalidRequestError:
    told = {"at": at, "message": message}
    return InvalidRequestError(f"{at}: {message}", hint=hint, errors=(told,))
