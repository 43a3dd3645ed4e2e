"""Backends that ask nobody: for tests, experiments and baselines."""

import asyncio
import time
from collections.abc import Sequence

from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.gate.ports import ApprovalBackend


class AutoApproveBackend(ApprovalBackend):
    """Says yes to everything.

    Args:
        delay_ms: how long it takes for it.
    """

    def __init__(self, delay_ms: float = 0.0) -> None:
        self.delay_ms = delay_ms

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        """Yes."""
        return await _after(
            self.delay_ms, request, True, "Auto-approved (no human in loop)", "auto"
        )


class AutoRejectBackend(ApprovalBackend):
    """Says no to everything.

    Args:
        delay_ms: how long it takes for it.
    """

    def __init__(self, delay_ms: float = 0.0) -> None:
        self.delay_ms = delay_ms

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        """No."""
        return await _after(self.delay_ms, request, False, "Auto-rejected (testing mode)", "auto")


class ScriptedBackend(ApprovalBackend):
    """Says what a list says, one entry for each request, in the order in which they come.

    Args:
        decisions: the answers.
        delay_ms: how long each takes.
        default_approve: the answer once the list is used up.
    """

    def __init__(
        self,
        decisions: Sequence[bool] | None = None,
        delay_ms: float = 0.0,
        default_approve: bool = True,
    ) -> None:
        self.decisions = list(decisions or ())
        self.delay_ms = delay_ms
        self.default_approve = default_approve
        self._asked = 0

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        """The next answer of the list."""
        index, self._asked = self._asked, self._asked + 1
        listed = index < len(self.decisions)
        approved = self.decisions[index] if listed else self.default_approve
        reason = f"Scripted decision #{index}"
        return await _after(self.delay_ms, request, approved, reason, "scripted")

    def reset(self) -> None:
        """Begin the list again."""
        self._asked = 0


async def _after(
    delay_ms: float, request: ApprovalRequest, approved: bool, reason: str, decided_by: str
) -> Decision:
    began = time.perf_counter()
    if delay_ms > 0:
        await asyncio.sleep(delay_ms / 1000)
    return Decision(
        action_id=request.action.id,
        approved=approved,
        reason=reason,
        decided_by=decided_by,
        took_seconds=time.perf_counter() - began,
    )
