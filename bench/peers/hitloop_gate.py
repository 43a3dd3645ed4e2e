"""hitloop: its gate and its tool node around a call that the policy allows, with its SQLite log."""

import json
from typing import Any

from hitloop import Action, RiskBasedPolicy, TelemetryLogger
from hitloop.backends import AutoApproveBackend
from hitloop.langgraph.nodes import execute_tool_node, hitl_gate_node

from bench.peers.gating import Call, Gates, main
from bench.questions import question


def gates(database: str) -> Gates:
    """Both nodes, one after the other, outside of any graph."""
    asked = [json.loads(question(number))["action"] for number in range(64)]
    actions = [Action(**(action | {"risk_class": "low"})) for action in asked]
    policy = RiskBasedPolicy()

    def around(logger: TelemetryLogger | None) -> Call:
        gate: Any = hitl_gate_node(policy, AutoApproveBackend(), logger)
        node: Any = execute_tool_node({"deploy": lambda **_: "done"}, logger)
        ask, execute = gate.__wrapped_async__, node.__wrapped_async__

        async def one(number: int) -> None:
            action = actions[number % 64].model_copy(update={"id": f"action-{number}"})
            state = await ask({"run_id": f"run-{number}", "proposed_action": action})
            state = state | await execute(state)
            if not state["tool_result"]["success"]:
                raise RuntimeError(f"hitloop did not run the tool: {state['tool_result']}")

        return one

    def judge() -> Any:
        return policy.should_request_approval(actions[0], {})

    return Gates(around(TelemetryLogger(database)), around(None), judge, dict)


if __name__ == "__main__":
    main(gates)
