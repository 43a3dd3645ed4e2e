"""The product's gate around a call that the policy allows, with its telemetry to SQLite."""

import json
from typing import Any

import msgspec

from bench import policies
from bench.peers.gating import Gates, main
from bench.questions import question
from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.gate import ApprovalBackend, Gate
from sayso.policies import RiskBasedPolicy
from sayso.telemetry import TelemetryLogger

_EVENTS_OF_A_CALL = 3


class Nobody(ApprovalBackend):
    """Is never asked."""

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        raise RuntimeError("The policy was to allow it.")


def gates(database: str) -> Gates:
    """With the log in that file."""
    asked = [json.loads(question(number))["action"] for number in range(64)]
    actions = [msgspec.convert(action | {"risk_class": "low"}, Action) for action in asked]
    policy, logger = RiskBasedPolicy(), TelemetryLogger(database)
    with_log = Gate(policy, Nobody(), telemetry=logger)
    without = Gate(policy, Nobody())
    calls = 0

    async def one(gate: Gate, number: int) -> None:
        action = msgspec.structs.replace(actions[number % 64], id=f"action-{number}")
        done = await gate.run(action, lambda **_: "done", session_id=f"run-{number}")
        if done != "done":
            raise RuntimeError(f"The gate did not run the tool: {done}")

    async def logged(number: int) -> None:
        nonlocal calls
        calls += 1
        await one(with_log, number)

    async def bare(number: int) -> None:
        await one(without, number)

    def finish() -> dict[str, float]:
        written = len(logger.get_events())
        if written != calls * _EVENTS_OF_A_CALL:
            raise RuntimeError(f"Of {calls} calls there are {written} events in the file.")
        logger.close()
        return {"rules_us": _rules()}

    def judge() -> Any:
        return policy.evaluate(actions[0])

    return Gates(logged, bare, judge, finish)


def _rules() -> float:
    """100 rules with a condition each, all of them evaluated."""
    measured = policies.measure()
    return measured[f"{policies.RULES} rules, all conditions evaluated"]


if __name__ == "__main__":
    main(gates)
