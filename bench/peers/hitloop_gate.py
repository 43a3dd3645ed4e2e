"""hitloop: its gate and its tool node around a call that the policy allows, with its SQLite log."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hitloop import Action, RiskBasedPolicy, TelemetryLogger
from hitloop.backends import AutoApproveBackend
from hitloop.langgraph.nodes import execute_tool_node, hitl_gate_node

from bench.peers.driving import Job, main
from bench.questions import question


class HitloopGate:
    """Asks by running both nodes one after the other, outside of any graph."""

    def __init__(self, database: str) -> None:
        logger = TelemetryLogger(database)
        gate = hitl_gate_node(RiskBasedPolicy(), AutoApproveBackend(), logger)
        execute = execute_tool_node({"deploy": lambda **_: "done"}, logger)
        self._gate: Any = gate.__wrapped_async__  # type: ignore[attr-defined]
        self._execute: Any = execute.__wrapped_async__  # type: ignore[attr-defined]
        asked = [json.loads(question(number))["action"] for number in range(64)]
        self._actions = [Action(**(action | {"risk_class": "low"})) for action in asked]

    async def ask(self, number: int) -> None:
        """One call that nobody has to approve."""
        action = self._actions[number % 64].model_copy(update={"id": f"action-{number}"})
        state = await self._gate({"run_id": f"run-{number}", "proposed_action": action})
        state = state | await self._execute(state)
        if not state["tool_result"]["success"]:
            raise RuntimeError(f"hitloop did not run the tool: {state['tool_result']}")

    async def answer(self, key: Any) -> None:
        """There is nothing to answer."""


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[HitloopGate]:
    """With the log in a file."""
    yield HitloopGate(job["address"])


if __name__ == "__main__":
    main(opened)
