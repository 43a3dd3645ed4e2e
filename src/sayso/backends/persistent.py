"""Asks through a function of one's own, and loses neither the question nor the answer."""

import asyncio
import contextlib
from collections.abc import Generator, Sequence

import msgspec

from sayso.backends.delivery import (
    Attempt,
    Breaker,
    CircuitBreakerConfig,
    CircuitState,
    RetryConfig,
    answered,
    retried,
)
from sayso.backends.persistence import (
    ApprovalStore,
    InMemoryApprovalStore,
    PendingApprovalRecord,
    approval,
    unsafe_store,
)
from sayso.backends.said import check_bool
from sayso.backends.webhook import (
    CALLBACK_URL,
    OnTimeout,
    SendRequest,
    cancelled,
    checked_timeout,
    timed_out,
    told,
    traced,
    undelivered,
)
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.domain.requests import Status
from sayso.errors import BackendError, SaysoError
from sayso.gate.ports import ApprovalBackend, ApprovalError
from sayso.types import JsonObject

_VERBS = (
    "put", "decide", "cancel", "claim", "wait", "list_pending", "callback_url", "verify", "close",
)  # fmt: skip
"""What a store has to have."""
_GRACE_SECONDS = 30.0
"""How long after its deadline a request waits for a database that is away."""


class PersistentWebhookBackend(ApprovalBackend):
    """Like `WebhookBackend`, but each request is on record until it is decided, and after.

    A process that ends leaves its requests pending: whoever comes next finds them by
    `recover_pending`, and waits on by `register_pending`. Any process with the same store takes
    the callbacks.

    Args:
        send_request: tells somebody. It is tried again as `retry_config` says; if it fails for
            good the request is taken back, and an `ApprovalError` tells why.
        store: where requests are kept. Default: in memory.
        timeout_seconds: how long sending and answering may take together; 0: any time.
        callback_base_url: the address under which answers come in.
        retry_config: how a failed delivery is tried again.
        circuit_breaker_config: when deliveries are not tried any more for a while.
        on_timeout: decides when nobody did. Default: no.

    Raises:
        ConfigurationError: the store is none that lets one alone use an approval up, such as one
            that was written for hitloop.
    """

    def __init__(
        self,
        send_request: SendRequest,
        store: ApprovalStore | None = None,
        timeout_seconds: float = 300.0,
        callback_base_url: str = CALLBACK_URL,
        retry_config: RetryConfig | None = None,
        circuit_breaker_config: CircuitBreakerConfig | None = None,
        on_timeout: OnTimeout | None = None,
    ) -> None:
        self.timeout_seconds = checked_timeout(timeout_seconds)
        self.callback_base_url = callback_base_url
        self.store = InMemoryApprovalStore() if store is None else _checked(store)
        self._send = send_request
        self._retry = retry_config or RetryConfig()
        self._breaker = Breaker(circuit_breaker_config or CircuitBreakerConfig())
        self._on_timeout = on_timeout
        self._waiting: dict[str, ApprovalRequest] = {}

    async def request_approval(
        self, request: ApprovalRequest, thread_id: str | None = None
    ) -> Decision:
        """What the callback says; when time is up, what `on_timeout` says, or no.

        A request that has a `request_id` is asked once: whoever asks it again joins it, and it is
        sent again.

        Args:
            request: the question.
            thread_id: by which it is found again. Default: the request's, or `default`.

        Raises:
            ApprovalError: it could not be kept or sent; the action does not run.
        """
        attempt = self._breaker.admit()
        try:
            thread = thread_id or request.thread_id or "default"
            with _as_approval_errors():
                record = await self.store.put(
                    PendingApprovalRecord.of(traced(request), thread_id=thread),
                    timeout_seconds=self.timeout_seconds or None,
                    key=request.request_id or None,
                )
            request = msgspec.structs.replace(request, traceparent=record.traceparent)  # the first
            open_ = record.status is Status.PENDING
            return await self._decision(record, request, attempt if open_ else None)
        finally:
            attempt.end(None)

    async def claim(self, request_id: str, digest: str) -> None:
        """Use the approval up before its action runs: it is on record, and good for one run.

        Raises:
            InvalidTransitionError: it was used, perhaps by another process (`already_claimed`), is
                for something else (`digest_mismatch`), or too old (`grant_expired`).
            ApprovalError: the store failed, so nobody knows; the action does not run.
        """
        try:
            await self.store.claim(request_id, digest)
        except BackendError as error:
            raise ApprovalError(f"The store: {error}") from error

    async def handle_callback(
        self,
        callback_id: str,
        approved: bool,
        reason: str = "",
        decided_by: str | int = "human",
        tags: Sequence[str] | None = None,
        *,
        args: JsonObject | None = None,
    ) -> bool:
        """Keep an answer; True once it cannot be lost any more, False if it comes too late.

        Args:
            callback_id: as `send_request` got it, by whichever process; good for one answer.
            approved: the answer, a real bool.
            reason: for the agent to read.
            decided_by: who answered, as far as the program knows: a name, or a number.
            tags: further words for the record.
            args: all arguments, if the person changed them.

        Raises:
            InvalidAnswerError: `approved` is no bool, another is not of its type, or `args` do not
                fit the tool's schema.
            NotPermittedError: a review rule of the database asks others.
            StoreError: the database failed; the answer may be sent again.
        """
        check_bool(approved)
        answer = approval(approved, reason, args)
        return await self.store.decide(
            callback_id, answer, decided_by=decided_by, tags=() if tags is None else tags
        )

    async def verify_callback(
        self, callback_id: str, expires: object, signature: str | None
    ) -> bool:
        """Whether an address that was called is one that was given out, and still good.

        Args:
            callback_id: the last part of the path.
            expires: of the query.
            signature: of the query.
        """
        return await self.store.verify(callback_id, expires, signature)

    async def callback_url(self, record: PendingApprovalRecord) -> str:
        """The signed address to answer a record to, to send it again."""
        return await self.store.callback_url(self.callback_base_url, record)

    def get_pending_count(self) -> int:
        """How many requests wait in this process."""
        return len(self._waiting)

    def get_pending_requests(self) -> list[tuple[str, ApprovalRequest]]:
        """Those that wait in this process, each with its callback id, oldest first."""
        return list(self._waiting.items())

    async def cancel_pending(self, callback_id: str, reason: str = "Cancelled") -> bool:
        """Take a question back, which the agent is told as a no; False if it is closed."""
        return await self.store.cancel(callback_id, reason)

    async def recover_pending(self, thread_id: str | None = None) -> list[PendingApprovalRecord]:
        """All requests that wait in the store, newest first, whichever process asked them."""
        return await self.store.list_pending(thread_id)

    def register_pending(self, record: PendingApprovalRecord) -> "asyncio.Future[Decision]":
        """Wait for the decision of a request that was asked before, perhaps by another process.

        If it was decided meanwhile the decision is there at once; it expires when it would have.
        """
        return asyncio.ensure_future(self._decision(record, record.to_request(), None))

    def get_circuit_state(self) -> CircuitState:
        """Whether deliveries are tried."""
        return self._breaker.state

    async def close(self) -> None:
        """Let go of the store; what waits stays there."""
        await self.store.close()

    async def _decision(
        self, record: PendingApprovalRecord, request: ApprovalRequest, attempt: Attempt | None
    ) -> Decision:
        """Send it if there is an attempt, and wait until it is closed."""
        answer = asyncio.ensure_future(self.store.wait(record.callback_id))
        self._waiting[record.callback_id] = request
        try:
            sent = await answered(self._sent(record, request, attempt), answer, _patience(record))
        except Exception as error:
            reason = f"It could not be sent: {type(error).__name__}: {error}"
            with _as_approval_errors():
                taken_back = await self.store.cancel(record.callback_id, reason)
            if taken_back:
                raise undelivered(error) from error
            sent = True  # somebody answered all the same
            await asyncio.wait({answer}, timeout=_GRACE_SECONDS)
        finally:
            self._waiting.pop(record.callback_id, None)
            if not answer.done():
                answer.cancel()
        return await self._told(answer, request, attempt, sent=sent)

    async def _told(
        self,
        answer: "asyncio.Future[PendingApprovalRecord | None]",
        request: ApprovalRequest,
        attempt: Attempt | None,
        *,
        sent: bool,
    ) -> Decision:
        if answer.cancelled() or not answer.done():
            raise ApprovalError("The store was closed, or away at the deadline: no decision.")
        with _as_approval_errors():
            closed = answer.result()
        if closed is None:
            raise ApprovalError("There is no such request in the store.")
        if closed.decision is not None:
            return closed.decision
        took = 0.0
        if closed.closed_at is not None:
            took = max(0.0, (closed.closed_at - closed.created_at).total_seconds())
        if closed.status is Status.EXPIRED:
            if attempt is not None and not sent:
                attempt.end(works=False)
                raise ApprovalError("The request could not be sent before its time was up.")
            seconds = self.timeout_seconds
            return await timed_out(request, seconds, took, self._on_timeout)
        return cancelled(request, closed.closed_reason or "Cancelled", took)

    async def _sent(
        self, record: PendingApprovalRecord, request: ApprovalRequest, attempt: Attempt | None
    ) -> None:
        if attempt is None:
            return
        url = await self.callback_url(record)
        try:
            await retried(lambda: told(self._send, request, record.callback_id, url), self._retry)
        except Exception:
            attempt.end(works=False)
            raise
        attempt.end(works=True)


def _checked(store: ApprovalStore) -> ApprovalStore:
    if any(not callable(getattr(store, verb, None)) for verb in _VERBS):
        raise unsafe_store(type(store))
    return store


def _patience(record: PendingApprovalRecord) -> float | None:
    """Seconds to wait; the store closes it before that, unless it is away."""
    if record.expires_at is None:
        return None
    return (record.expires_at - record.created_at).total_seconds() + _GRACE_SECONDS


@contextlib.contextmanager
def _as_approval_errors() -> Generator[None]:
    """What the store raises, as callers of a backend expect it."""
    try:
        yield
    except SaysoError as error:
        raise ApprovalError(f"The store: {error}") from error
