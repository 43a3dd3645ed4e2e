"""Requests that wait, kept where they survive the process, and the decisions that come in for them.

Behind it is Sayso's own store, signal and broker: one record for each request, pending and then
closed for good, so any process on the same database takes a callback, and the one that waits wakes.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec import Struct

from sayso import codec, wiring
from sayso.backends.callbacks import CallbackSigner
from sayso.backends.loop_thread import LoopThread
from sayso.backends.said import checked
from sayso.broker.broker import Broker
from sayso.broker.engine import follow_log, running
from sayso.clock import SystemClock
from sayso.domain.accounts import Plane, Principal, Role, Scope
from sayso.domain.actions import Action, RiskClass
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Answer, Channel, Decision, DecisionType, Reviewer
from sayso.domain.requests import Draft, Request, Status
from sayso.errors import (
    BackendError,
    BusyError,
    ConfigurationError,
    InvalidTransitionError,
    NotFoundError,
)
from sayso.settings import Settings
from sayso.signatures import key_of, new_secret
from sayso.stores.base import Query
from sayso.types import JsonObject

_AGENT = Principal(plane=Plane.AGENT, id="backend", name="webhook backend", role=Scope.AGENT)
_SECRET = "callback_secret"  # noqa: S105  a name
_WAITS = 1_000_000
_AGAIN_SECONDS = 1.0
_BROKEN_OFF = "If that run was broken off, find out what it did before you ask again."

log = logging.getLogger("sayso.backends")


class PendingApprovalRecord(Struct, frozen=True, kw_only=True):
    """A request to a backend as it is kept: all that it takes to send it again as it was."""

    callback_id: str = ""
    """Given by the store when it is put there."""
    run_id: str
    thread_id: str = "default"
    action_id: str = ""
    tool_name: str
    tool_args: JsonObject = {}
    risk_class: RiskClass | None = None
    policy_name: str = ""
    policy_reason: str = ""
    created_at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    expires_at: datetime | None = None
    """None: never."""
    metadata: JsonObject = {}
    """Whatever the program wants kept beside it."""
    rationale: str = ""
    side_effects: tuple[str, ...] = ()
    context_refs: tuple[str, ...] = ()
    summary_context: str = ""
    args_schema: JsonObject | None = None
    request_id: str = ""
    """The request as Sayso keeps it, for the command line and the log."""
    status: Status = Status.PENDING
    decision: Decision | None = None
    """What was said, once it was."""
    closed_at: datetime | None = None
    closed_reason: str = ""
    traceparent: str = ""
    """The span that asked, as W3C writes it; empty if there was none."""

    @classmethod
    def of(
        cls,
        request: ApprovalRequest,
        *,
        thread_id: str = "default",
        metadata: JsonObject | None = None,
    ) -> Self:
        """The record of a request, not kept yet."""
        action = request.action
        return cls(
            run_id=request.run_id,
            thread_id=thread_id,
            action_id=action.id,
            tool_name=action.tool_name,
            tool_args=action.tool_args,
            risk_class=action.risk_class,
            policy_name=request.policy_name,
            policy_reason=request.policy_reason,
            metadata=metadata or {},
            rationale=action.rationale,
            side_effects=action.side_effects,
            context_refs=action.context_refs,
            summary_context=request.summary_context,
            args_schema=action.args_schema,
            traceparent=request.traceparent,
        )

    def to_request(self) -> ApprovalRequest:
        """The request as it was, to be sent again."""
        return ApprovalRequest(
            run_id=self.run_id,
            thread_id=self.thread_id,
            action=Action(
                id=self.action_id,
                tool_name=self.tool_name,
                tool_args=self.tool_args,
                risk_class=self.risk_class,
                rationale=self.rationale,
                side_effects=self.side_effects,
                context_refs=self.context_refs,
                args_schema=self.args_schema,
            ),
            summary_context=self.summary_context,
            policy_name=self.policy_name,
            policy_reason=self.policy_reason,
            traceparent=self.traceparent,
        )

    def is_expired(self) -> bool:
        """Whether its time is over, by this machine's clock."""
        return self.expires_at is not None and SystemClock().now() >= self.expires_at

    def to_dict(self) -> JsonObject:
        """It as JSON values."""
        return msgspec.to_builtins(self)

    @classmethod
    def from_dict(cls, data: JsonObject) -> Self:
        """It out of JSON values.

        Raises:
            InvalidRequestError: they are no record.
        """
        return codec.decode(cls, codec.encode(data))


class ApprovalStore:
    """Keeps requests that wait. It works for any thread and event loop, and opens by itself.

    Args:
        settings: which database.
        secret: makes callback ids and signs addresses, `whsec_` and base64, the same for all
            processes. Default: one that is kept in the database.
    """

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Refuse what was written for hitloop's port: it has nothing by which one claims.

        Raises:
            ConfigurationError: the class has a `delete`, as hitloop's stores do.
        """
        if hasattr(cls, "delete"):
            raise unsafe_store(cls)
        return super().__new__(cls)

    def __init__(self, settings: Settings, *, secret: str | None = None) -> None:
        self._settings = settings
        self._secret = secret
        self._thread = LoopThread("sayso-approvals")
        self._opening = asyncio.Lock()
        self._open: _Open | None = None
        self._waits: set[asyncio.Task[PendingApprovalRecord | None]] = set()

    async def setup(self) -> None:
        """Connect, and make the tables if there are none.

        Raises:
            StoreError: the database cannot be opened.
            ConfigurationError: it cannot be used as it is.
        """
        await self._thread.run(self._opened())

    async def put(
        self,
        record: PendingApprovalRecord,
        *,
        timeout_seconds: float | None = None,
        key: str | None = None,
    ) -> PendingApprovalRecord:
        """Keep a new request; once this returns it survives anything.

        Args:
            record: its `callback_id`, `status` and what follows from them are not looked at.
            timeout_seconds: how long people have. Default: until the record's `expires_at`.
            key: the same key and record are one request, however often it is put.

        Returns:
            The record with its callback id.

        Raises:
            InvalidRequestError: it is longer than may be, or cannot be shown.
            ConflictError: the key was used for another record.
            StoreError: the database failed.
        """
        return await self._thread.run(self._put(record, timeout_seconds, key))

    async def get(self, callback_id: str) -> PendingApprovalRecord | None:
        """The request that the id is for, pending or closed; None if we gave out no such id."""
        return await self._thread.run(self._get(callback_id))

    async def decide(
        self,
        callback_id: str,
        answer: Answer,
        *,
        decided_by: str | int,
        tags: Sequence[str] = (),
    ) -> bool:
        """Keep an answer; False if there is no such request, or it is closed: the first stands.

        Raises:
            InvalidAnswerError: changed arguments do not fit the tool's schema, or what was said
                is not of its type.
            NotPermittedError: a review rule of the database asks others.
            StoreError: the database failed; the answer may be sent again.
        """
        by, words = checked(answer.reason, decided_by, tags, answer.args)
        return await self._thread.run(self._decide(callback_id, answer, by, words))

    async def cancel(self, callback_id: str, reason: str = "") -> bool:
        """Take a request back; False if there is none, or it is closed. What was asked stays.

        Raises:
            InvalidAnswerError: the reason is no text.
        """
        checked(reason, "", ())
        return await self._thread.run(self._cancel(callback_id, reason))

    async def claim(self, key: str, digest: str) -> None:
        """Use up what was said to a request: one who is about to run it does so first.

        Args:
            key: under which it was put.
            digest: of what is about to run.

        Raises:
            NotFoundError: nothing was put under this key.
            InvalidTransitionError: it was used already (`already_claimed`), is for something else
                (`digest_mismatch`), too old (`grant_expired`), or nobody approved it.
            RefusedError: a stop is set (`stopped`).
            StoreError: the database failed.
        """
        await self._thread.run(self._claim(key, digest))

    async def wait(self, callback_id: str) -> PendingApprovalRecord | None:
        """The request once it is closed, by whichever process; None if there is no such id.

        While the database is away it goes on waiting.
        """
        return await self._thread.run(self._waited(callback_id))

    async def list_pending(
        self, thread_id: str | None = None, limit: int | None = None
    ) -> list[PendingApprovalRecord]:
        """All requests that wait, newest first.

        Args:
            thread_id: only those of this thread.
            limit: only so many. None: all.
        """
        return await self._thread.run(self._list(thread_id, limit, frozenset({Status.PENDING})))

    async def list_decided(
        self, thread_id: str | None = None, limit: int | None = None
    ) -> list[PendingApprovalRecord]:
        """All requests that somebody has decided, newest first, perhaps while nobody waited.

        Args:
            thread_id: only those of this thread.
            limit: only so many. None: all.
        """
        decided = frozenset({Status.APPROVED, Status.REJECTED})
        return await self._thread.run(self._list(thread_id, limit, decided))

    async def cleanup_expired(self) -> int:
        """Close what nobody answered in time, at once; how many. It happens by itself, too."""
        return await self._thread.run(self._clean())

    async def callback_url(self, base_url: str, record: PendingApprovalRecord) -> str:
        """The signed address to answer a record to, good until it expires."""
        signer = (await self._thread.run(self._opened())).signer
        return signer.url(base_url, record.callback_id, record.expires_at)

    async def verify(self, callback_id: str, expires: object, signature: str | None) -> bool:
        """Whether an address that was called is one that we gave out, and still good."""
        opened = await self._thread.run(self._opened())
        return opened.signer.fits(callback_id, expires, signature, opened.broker.clock.now())

    async def close(self) -> None:
        """Let go of the database; what waits stays there. Closing twice is harmless."""
        if self._open is not None:
            await self._thread.run(self._closed())
        await asyncio.to_thread(self._thread.stop)
        self._opening = asyncio.Lock()  # the next loop's

    async def __aenter__(self) -> Self:
        await self.setup()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _opened(self) -> "_Open":
        async with self._opening:
            if self._open is None:
                self._open = await _open(self._settings, self._secret)
            return self._open

    async def _closed(self) -> None:
        async with self._opening:
            opened, self._open = self._open, None
            if opened is not None:
                for wait in tuple(self._waits):
                    wait.cancel()
                await asyncio.gather(*self._waits, return_exceptions=True)
                await opened.stack.aclose()

    async def _put(
        self, record: PendingApprovalRecord, seconds: float | None, key: str | None
    ) -> PendingApprovalRecord:
        opened = await self._opened()
        if seconds is None and record.expires_at is not None:
            left = record.expires_at - opened.broker.clock.now()
            seconds = max(left.total_seconds(), 0.001)
        submitted = await opened.broker.submit(
            _draft(record, seconds), by=_AGENT, key=key, traceparent=record.traceparent or None
        )
        return _record(submitted.request, opened.signer)

    async def _get(self, callback_id: str) -> PendingApprovalRecord | None:
        opened = await self._opened()
        request_id = opened.signer.request_id(callback_id)
        if request_id is None:
            return None
        try:
            return _record(await opened.broker.get(request_id, by=_AGENT), opened.signer)
        except NotFoundError:
            return None

    async def _decide(
        self, callback_id: str, answer: Answer, by: Reviewer, tags: tuple[str, ...]
    ) -> bool:
        opened = await self._opened()
        request_id = opened.signer.request_id(callback_id)
        if request_id is None:
            return False
        person = Principal(plane=Plane.PERSON, id=by.id, name=by.name, role=Role.REVIEWER)
        try:
            await opened.broker.decide(
                request_id, answer, by=person, channel=Channel.WEBHOOK, tags=tags
            )
        except (InvalidTransitionError, NotFoundError):
            return False
        return True

    async def _cancel(self, callback_id: str, reason: str) -> bool:
        opened = await self._opened()
        request_id = opened.signer.request_id(callback_id)
        if request_id is None:
            return False
        try:
            await opened.broker.cancel(request_id, by=_AGENT, reason=reason)
        except (InvalidTransitionError, NotFoundError):
            return False
        return True

    async def _claim(self, key: str, digest: str) -> None:
        broker = (await self._opened()).broker
        request, mark = await broker.recall(key, by=_AGENT), secrets.token_hex(16)
        if request is None:
            raise NotFoundError(f"Nothing was asked under the key {key[:80]!r}.")
        if request.status is Status.EXPIRED:  # nobody answered, and `on_timeout` said yes
            if await broker.store.agree(f"claimed:{request.id}", mark) != mark:
                raise InvalidTransitionError(
                    "What silence allowed was claimed already; it is good for one run.",
                    hint=_BROKEN_OFF,
                    code="already_claimed",
                )
            return
        try:
            await broker.claim(request.id, digest, by=_AGENT, key=mark)
        except InvalidTransitionError as error:
            if error.reason_code == "grant_expired":
                error.hint = "Ask again under another key."
            raise

    async def _waited(self, callback_id: str) -> PendingApprovalRecord | None:
        task = asyncio.ensure_future(self._wait(callback_id))
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)
        return await task

    async def _wait(self, callback_id: str) -> PendingApprovalRecord | None:
        opened = await self._opened()
        request_id = opened.signer.request_id(callback_id)
        while request_id is not None:
            try:
                request = await opened.broker.wait(request_id, seconds=60, by=_AGENT)
            except NotFoundError:
                return None
            except (BackendError, BusyError) as error:
                log.error("a wait for a decision goes on when the store is back: %s", error)
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            if request.is_terminal:
                return _record(request, opened.signer)
        return None

    async def _list(
        self, thread_id: str | None, limit: int | None, status: frozenset[Status]
    ) -> list[PendingApprovalRecord]:
        opened = await self._opened()
        now = opened.broker.clock.now()
        found: list[PendingApprovalRecord] = []
        after: str | None = None
        while limit is None or len(found) < limit:
            query = Query(
                status=status,
                session_id=thread_id,
                seen_by=_AGENT,
                after=after,
                limit=200,
            )
            page = await opened.broker.find(query)
            found += [
                _record(request, opened.signer)
                for request in page.items
                if request.is_terminal or request.deadline_at is None or now < request.deadline_at
            ]
            after = page.next
            if after is None:
                break
        return found[:limit]

    async def _clean(self) -> int:
        broker = (await self._opened()).broker
        closed = 0
        while count := await broker.expire_due():
            closed += count
        return closed


def unsafe_store(kind: type) -> ConfigurationError:
    """Why a store of this class is not taken, and the way out."""
    return ConfigurationError(
        f"{kind.__name__} cannot be used as a store of approvals: what can put, get, delete and"
        " list, as for hitloop, neither keeps what was decided nor lets one alone use it up, so"
        " that an action could run twice.",
        hint="Use SQLiteApprovalStore(path), PostgresApprovalStore or RedisApprovalStore. For"
        " another database see docs/coming-from-hitloop.md.",
    )


class InMemoryApprovalStore(ApprovalStore):
    """Keeps requests in this process, and forgets them with it.

    Args:
        secret: see `ApprovalStore`.
    """

    def __init__(self, *, secret: str | None = None) -> None:
        super().__init__(Settings(memory=True, max_waits=_WAITS), secret=secret)


class _AddressedStore(ApprovalStore):
    """One that is found by its address.

    Args:
        url: the address.
        secret: see `ApprovalStore`.
    """

    def __init__(self, url: str, *, secret: str | None = None) -> None:
        settings = Settings(database_url=url, max_waits=_WAITS)
        wiring.make_store(settings)  # the extra is missing, or the address is none: say so now
        super().__init__(settings, secret=secret)


class SQLiteApprovalStore(_AddressedStore):
    """Keeps requests in a file, which one process at a time may use.

    Args:
        path: of the file.
        secret: see `ApprovalStore`.
    """

    def __init__(self, path: str | Path, *, secret: str | None = None) -> None:
        super().__init__(f"sqlite:{path}", secret=secret)


class PostgresApprovalStore(_AddressedStore):
    """Keeps requests in PostgreSQL, for any number of processes."""

    @classmethod
    async def from_conn_string(cls, conn_string: str, *, secret: str | None = None) -> Self:
        """The store at an address; `setup` connects.

        Args:
            conn_string: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.
            secret: see `ApprovalStore`.
        """
        return cls(conn_string, secret=secret)


class RedisApprovalStore(_AddressedStore):
    """Keeps requests in Redis or Valkey, for any number of processes."""

    @classmethod
    async def from_url(cls, url: str, *, secret: str | None = None) -> Self:
        """The store at an address; `setup` connects.

        Args:
            url: `redis://USER:PASSWORD@HOST:PORT/0`.
            secret: see `ApprovalStore`.
        """
        return cls(url, secret=secret)


class _Open(Struct, frozen=True):
    """An open database, and how to let go of it."""

    broker: Broker
    signer: CallbackSigner
    stack: contextlib.AsyncExitStack


async def _open(settings: Settings, secret: str | None) -> _Open:
    async with contextlib.AsyncExitStack() as stack:
        broker = wiring.make_broker(settings)
        await stack.enter_async_context(running(broker, shared=None))
        if settings.is_shared:  # so that a lost signal costs a second
            following = asyncio.ensure_future(follow_log(broker))

            async def end() -> None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

            stack.push_async_callback(end)
        signs = secret or await broker.store.agree(_SECRET, new_secret())
        return _Open(broker, CallbackSigner(key_of(signs)), stack.pop_all())


def approval(approved: bool, reason: str, args: JsonObject | None) -> Answer:
    """A callback's answer."""
    reason = reason or ("Approved" if approved else "Rejected")
    if not approved:
        return Answer(type=DecisionType.REJECT, reason=reason)
    if args is not None:
        return Answer(type=DecisionType.EDIT, args=args, reason=reason)
    return Answer(type=DecisionType.APPROVE, reason=reason)


def _draft(record: PendingApprovalRecord, seconds: float | None) -> Draft:
    """The record as a question to people.

    Raises:
        InvalidRequestError: it says what does not fit.
    """
    told: JsonObject = {
        "run_id": record.run_id,
        "policy_name": record.policy_name,
        "policy_reason": record.policy_reason,
        "context": record.summary_context,
        "metadata": record.metadata,
    }
    draft: JsonObject = {
        "message": f"May {record.tool_name[:256]} run?",
        "session_id": record.thread_id,
        "action": {
            "id": record.action_id,
            "tool_name": record.tool_name,
            "tool_args": record.tool_args,
            "args_schema": record.args_schema,
            "risk_class": record.risk_class,
            "side_effects": record.side_effects,
            "rationale": record.rationale,
            "context_refs": record.context_refs,
        },
        "metadata": {name: value for name, value in told.items() if value},
        "timeout_seconds": seconds,
    }
    return codec.decode(Draft, codec.encode(draft))


def _record(request: Request, signer: CallbackSigner) -> PendingApprovalRecord:
    action, told = request.action, request.metadata
    if action is None:
        raise AssertionError(f"The request {request.id} was made without an action.")
    decision = request.decision
    if decision is not None:
        decision = msgspec.structs.replace(decision, action_id=action.id)
    words: dict[str, Any] = {
        "run_id": told.get("run_id", ""),
        "policy_name": told.get("policy_name", ""),
        "policy_reason": told.get("policy_reason", ""),
        "summary_context": told.get("context", ""),
        "metadata": told.get("metadata", {}),
    }
    return PendingApprovalRecord(
        callback_id=signer.callback_id(request.id),
        thread_id=request.session_id or "",
        action_id=action.id,
        tool_name=action.tool_name,
        tool_args=action.tool_args,
        risk_class=action.risk_class,
        created_at=request.created_at,
        expires_at=request.deadline_at,
        rationale=action.rationale,
        side_effects=action.side_effects,
        context_refs=action.context_refs,
        args_schema=action.args_schema,
        request_id=request.id,
        status=request.status,
        decision=decision,
        closed_at=request.closed_at,
        closed_reason=request.closed_reason,
        traceparent=request.traceparent or "",
        **words,
    )
