"""People and policies that a test writes down beforehand."""

import asyncio
from collections.abc import Callable
from typing import Any

from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.domain.traces import ToolResult
from sayso.gate import ApprovalBackend
from sayso.policies import Context, Effect, Policy, State, Verdict
from sayso.policies.base import NO_CONTEXT


class Says(Policy):
    """A policy that says what it is told to, and counts."""

    def __init__(self, *effects: Effect, **fields: Any) -> None:
        self.effects, self.fields, self.asked = list(effects), fields, 0
        self.decisions: list[bool] = []
        self.successes: list[bool] = []

    @property
    def name(self) -> str:
        return "says"

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        effect = self.effects[min(self.asked, len(self.effects) - 1)]
        self.asked += 1
        return Verdict(effect=effect, reason="because", policy="says", **self.fields)

    def post_decision_update(self, state: State, action: Action, decision: Decision) -> State:
        self.decisions.append(decision.approved)
        return {**state, "decisions": len(self.decisions)}

    def post_execution_update(self, state: State, action: Action, result: State) -> State:
        self.successes.append(result["success"])
        return state


class Person(ApprovalBackend):
    """Somebody who answers by a function."""

    def __init__(self, answer: Callable[[ApprovalRequest], Any]) -> None:
        self.answer, self.asked = answer, list[ApprovalRequest]()

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        self.asked.append(request)
        await asyncio.sleep(0)
        return self.answer(request)


def yes(request: ApprovalRequest) -> Decision:
    return Decision(action_id=request.action.id, approved=True, decided_by="alice")


def no(request: ApprovalRequest) -> Decision:
    return Decision(action_id=request.action.id, approved=False, reason="Not today")


def edits(**args: Any) -> Callable[[ApprovalRequest], Decision]:
    return lambda request: Decision(approved=True, args=args, decided_by="alice")


class Heard:
    """Telemetry that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.run_ids: set[str] = set()
        self.results: list[ToolResult] = []
        self.decisions: list[Decision] = []

    def _hear(self, run_id: str, what: str) -> None:
        self.events.append(what)
        self.run_ids.add(run_id)

    def log_action_proposed(
        self, run_id: str, action: Action, injected_error: bool = False
    ) -> None:
        self._hear(run_id, "proposed")

    def log_approval_requested(
        self, run_id: str, request: ApprovalRequest, channel: str = "unknown"
    ) -> None:
        self._hear(run_id, "requested")

    def log_approval_decided(
        self, run_id: str, decision: Decision, channel: str = "unknown"
    ) -> None:
        self._hear(run_id, "decided")
        self.decisions.append(decision)

    def log_tool_execution_start(self, run_id: str, action: Action) -> None:
        self._hear(run_id, f"start {action.tool_args}")

    def log_tool_execution_end(self, run_id: str, result: ToolResult) -> None:
        self._hear(run_id, "end")
        self.results.append(result)

    def log_error(self, run_id: str, error: Exception, context: Any = None) -> None:
        self._hear(run_id, "error")
