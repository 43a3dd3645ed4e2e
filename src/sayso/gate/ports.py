"""What a gate needs of others: somebody who asks people, and somebody who listens."""

from abc import ABC, abstractmethod
from typing import Any, Literal, Protocol

from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.domain.requests import Request
from sayso.domain.traces import ToolResult
from sayso.types import Json, JsonObject


class Approver(Protocol):
    """Keeps requests and has people decide them: `AsyncClient`, or something in this process."""

    async def submit(self, message: str, **fields: Any) -> Request:
        """Ask; the request, pending or decided already. The same `idempotency_key`: the same."""
        ...

    async def recall(self, idempotency_key: str) -> Request | None:
        """The request that was asked under this key; None if none was."""
        ...

    async def wait(
        self,
        request_id: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  returns the pending request
    ) -> Request:
        """The decided request, or the pending one after `timeout` seconds."""
        ...

    async def claim(
        self, request_id: str, digest: str, *, facts: JsonObject | None = None
    ) -> Request:
        """Take the grant for exactly what is about to run, once."""
        ...

    async def report(
        self,
        request_id: str,
        status: Literal["succeeded", "failed", "unknown"],
        *,
        result: Json = None,
        error: str = "",
    ) -> Request:
        """Tell what became of the run."""
        ...


class SyncApprover(Protocol):
    """The same, for programs without an event loop: `Client`."""

    def submit(self, message: str, **fields: Any) -> Request:
        """See `Approver.submit`."""
        ...

    def recall(self, idempotency_key: str) -> Request | None:
        """See `Approver.recall`."""
        ...

    def wait(self, request_id: str, *, timeout: float | None = None) -> Request:
        """See `Approver.wait`."""
        ...

    def claim(self, request_id: str, digest: str, *, facts: JsonObject | None = None) -> Request:
        """See `Approver.claim`."""
        ...

    def report(
        self,
        request_id: str,
        status: Literal["succeeded", "failed", "unknown"],
        *,
        result: Json = None,
        error: str = "",
    ) -> Request:
        """See `Approver.report`."""
        ...


class ApprovalError(Exception):
    """A backend could not bring a decision."""


class ApprovalTimeoutError(ApprovalError):
    """Nobody answered in time."""


class ApprovalCancelledError(ApprovalError):
    """Whoever was asked called it off."""


class ApprovalBackend(ABC):
    """The simplest way to ask: one function that comes back with a decision.

    `Gate` wraps it in a `LocalApprover`, which binds the decision to the arguments.
    """

    @abstractmethod
    async def request_approval(self, request: ApprovalRequest) -> Decision:
        """What somebody says to `request`.

        Raises:
            ApprovalError: no decision could be had; the action does not run.
        """

    async def claim(self, request_id: str, digest: str) -> None:  # noqa: B027  most forget
        """What was approved is about to run; a backend that keeps decisions says no to a second.

        Args:
            request_id: `ApprovalRequest.request_id` of what was asked.
            digest: of the action that runs.

        Raises:
            InvalidTransitionError: it was claimed already (`already_claimed`), or something else
                was approved (`digest_mismatch`).
        """

    async def close(self) -> None:  # noqa: B027  most hold nothing
        """Let go of what it holds."""


class Telemetry(Protocol):
    """Hears what a gate does, in order; it must neither block nor raise."""

    def log_action_proposed(
        self,
        run_id: str,
        action: Action,
        injected_error: bool = False,
    ) -> None:
        """An agent wants to act."""
        ...

    def log_approval_requested(
        self, run_id: str, request: ApprovalRequest, channel: str = "unknown"
    ) -> None:
        """Somebody is asked."""
        ...

    def log_approval_decided(
        self, run_id: str, decision: Decision, channel: str = "unknown"
    ) -> None:
        """It was decided, by a person or by the policy."""
        ...

    def log_tool_execution_start(self, run_id: str, action: Action) -> None:
        """The tool begins, with exactly these arguments."""
        ...

    def log_tool_execution_end(self, run_id: str, result: ToolResult) -> None:
        """The tool is done, or failed; told in the context that the start was told in."""
        ...

    def log_error(self, run_id: str, error: Exception, context: JsonObject | None = None) -> None:
        """Something failed that is not the tool."""
        ...
