"""Asks through a function of one's own, and takes the answer from wherever it comes back."""

import inspect
import secrets
import time
from asyncio import wrap_future
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from sayso.backends.callbacks import CallbackSigner
from sayso.backends.delivery import answered
from sayso.backends.said import check_bool, checked
from sayso.client.tracing import current_traceparent
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Channel, Decision, Reviewer
from sayso.domain.traces import traceparent_of
from sayso.errors import ConfigurationError
from sayso.gate.ports import ApprovalBackend, ApprovalError
from sayso.signatures import key_of, new_secret
from sayso.types import JsonObject

SendRequest = Callable[[ApprovalRequest, str, str], Awaitable[None] | None]
"""Tells somebody of a request; it gets the callback id and the address to answer to as well.

With or without `async`; without, it must not block the event loop."""
OnTimeout = Callable[[ApprovalRequest], Awaitable[Decision]]
"""What silence means; it may raise `ApprovalTimeoutError`."""

CALLBACK_URL = "http://localhost:8000/hitloop/callback"


class PendingApproval(Struct, frozen=True, kw_only=True):
    """A request that waits for its answer in this process."""

    request: ApprovalRequest
    callback_id: str
    created_at: datetime
    future: Future[Decision]


class WebhookBackend(ApprovalBackend):
    """Sends a request out by `send_request`, and waits until `handle_callback` brings the answer.

    What waits is in memory: it ends with the process. `PersistentWebhookBackend` keeps it.

    Args:
        send_request: tells somebody. What it raises becomes an `ApprovalError`.
        timeout_seconds: how long sending and answering may take together; 0: any time.
        callback_base_url: the address under which answers come in.
        on_timeout: decides when nobody did. Default: no.
        secret: signs the addresses that are given out, `whsec_` and base64. Default: a new one.
    """

    def __init__(
        self,
        send_request: SendRequest,
        timeout_seconds: float = 300.0,
        callback_base_url: str = CALLBACK_URL,
        on_timeout: OnTimeout | None = None,
        *,
        secret: str | None = None,
    ) -> None:
        self.timeout_seconds = checked_timeout(timeout_seconds)
        self.callback_base_url = callback_base_url
        self.secret = secret or new_secret()
        self._send = send_request
        self._on_timeout = on_timeout
        self._signer = CallbackSigner(key_of(self.secret))
        self._pending: dict[str, PendingApproval] = {}

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        """What the callback says; when time is up, what `on_timeout` says, or no.

        Raises:
            ApprovalError: it could not be sent.
        """
        request = traced(request)
        pending = PendingApproval(
            request=request,
            callback_id=secrets.token_urlsafe(24),
            created_at=datetime.now(UTC),
            future=Future(),
        )
        pending.future.set_running_or_notify_cancel()  # whoever waits may go; the answer stays
        began = time.monotonic()
        self._pending[pending.callback_id] = pending
        try:
            answer = wrap_future(pending.future)
            delivery = told(self._send, request, pending.callback_id, self._url(pending))
            await answered(delivery, answer, self.timeout_seconds or None)
        except Exception as error:
            if self._pending.pop(pending.callback_id, None) is not None:
                raise undelivered(error) from error
        finally:
            late = self._pending.pop(pending.callback_id, None)
        if late is None:  # whoever took it out decides
            return pending.future.result()
        took = time.monotonic() - began
        return await timed_out(request, self.timeout_seconds, took, self._on_timeout)

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
        """Bring an answer in; False if nobody waits for it (any more).

        Args:
            callback_id: as `send_request` got it; good for one answer.
            approved: the answer, a real bool.
            reason: for the agent to read.
            decided_by: who answered, as far as the program knows: a name, or a number.
            tags: further words for the record.
            args: all arguments, if the person changed them.

        Raises:
            InvalidAnswerError: `approved` is no bool, or another is not of its type.
            InvalidRequestError: the changed arguments have no canonical JSON.
        """
        check_bool(approved)
        reason = reason or ("Approved" if approved else "Rejected")
        by, words = checked(reason, decided_by, () if tags is None else tags, args)
        pending = self._find(callback_id)
        if pending is None:
            return False
        took = datetime.now(UTC) - pending.created_at
        edited = None
        if approved and args is not None:
            edited = pending.request.action.with_args(args).tool_args
        decision = Decision(
            action_id=pending.request.action.id,
            approved=approved,
            args=edited,
            reason=reason,
            tags=words,
            by=by,
            channel=Channel.WEBHOOK,
            took_seconds=max(0.0, took.total_seconds()),
        )
        if self._pending.pop(callback_id, None) is None:  # somebody was quicker
            return False
        pending.future.set_result(decision)
        return True

    async def verify_callback(
        self, callback_id: str, expires: object, signature: str | None
    ) -> bool:
        """Whether an address that was called is one that we gave out, and still good.

        Args:
            callback_id: the last part of the path.
            expires: of the query.
            signature: of the query.
        """
        return self._signer.fits(callback_id, expires, signature, datetime.now(UTC))

    def get_pending_count(self) -> int:
        """How many requests wait."""
        return len(self._pending)

    def get_pending_requests(self) -> list[tuple[str, ApprovalRequest]]:
        """Those that wait, each with its callback id, oldest first."""
        return [(each.callback_id, each.request) for each in tuple(self._pending.values())]

    async def cancel_pending(self, callback_id: str, reason: str = "Cancelled") -> bool:
        """Take a question back, which the agent is told as a no; False if nobody waits."""
        pending = self._find(callback_id)
        if pending is None or self._pending.pop(callback_id, None) is None:
            return False
        took = (datetime.now(UTC) - pending.created_at).total_seconds()
        pending.future.set_result(cancelled(pending.request, reason, max(0.0, took)))
        return True

    def _find(self, callback_id: object) -> PendingApproval | None:
        return self._pending.get(callback_id) if isinstance(callback_id, str) else None

    def _url(self, pending: PendingApproval) -> str:
        end = None
        if self.timeout_seconds:
            end = pending.created_at + timedelta(seconds=self.timeout_seconds)
        return self._signer.url(self.callback_base_url, pending.callback_id, end)


def checked_timeout(seconds: float) -> float:
    """It, if it is a time.

    Raises:
        ConfigurationError: it is none.
    """
    if not 0 <= seconds <= 31_622_400:
        raise ConfigurationError(
            f"timeout_seconds is {seconds}.", hint="Use a number of seconds up to 366 days; 0: any."
        )
    return seconds


def traced(request: ApprovalRequest) -> ApprovalRequest:
    """It, with the current span as the one that asks, unless it names another.

    What cannot be read names none: a hint that no header or database could take stops no question.
    """
    span = traceparent_of(request.traceparent) or current_traceparent() or ""
    return msgspec.structs.replace(request, traceparent=span)


async def told(
    send: SendRequest, request: ApprovalRequest, callback_id: str, callback_url: str
) -> None:
    """Tell somebody, by a function with or without `async`."""
    came = send(request, callback_id, callback_url)
    if inspect.isawaitable(came):
        await came


def undelivered(error: BaseException) -> ApprovalError:
    """Nobody was told: that is no answer, and above all no person's no."""
    if isinstance(error, ApprovalError):
        return error
    return ApprovalError(f"The request could not be sent: {type(error).__name__}: {error}")


def cancelled(request: ApprovalRequest, reason: str, took_seconds: float) -> Decision:
    """The no of a question that was taken back."""
    return _by_system(request, reason, "cancelled", took_seconds)


async def timed_out(
    request: ApprovalRequest, seconds: float, took_seconds: float, on_timeout: OnTimeout | None
) -> Decision:
    """What silence means; what `on_timeout` raises comes through."""
    if on_timeout is None:
        why = f"Timeout after {seconds}s - no human response"
        return _by_system(request, why, "timeout", took_seconds)
    said: Any = on_timeout(request)
    said = await said if inspect.isawaitable(said) else said
    if not isinstance(said, Decision):
        raise ApprovalError(f"on_timeout returned {type(said).__name__} instead of a Decision.")
    return said


def _by_system(request: ApprovalRequest, reason: str, what: str, took_seconds: float) -> Decision:
    name = f"system:{what}"
    return Decision(
        action_id=request.action.id,
        approved=False,
        reason=reason,
        by=Reviewer(id=name, name=name),
        took_seconds=took_seconds,
    )
