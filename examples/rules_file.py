"""Rules in a file: which calls run by themselves, who is asked about others, what never runs."""

import asyncio
from pathlib import Path

from sayso import Action, Decision, RiskClass
from sayso.domain.approvals import ApprovalRequest
from sayso.errors import NotApprovedError
from sayso.gate import ApprovalBackend, Gate
from sayso.policies.rules import load_file

POLICY = load_file(Path(__file__).with_name("policy.yaml"), secret=b"the same in every process")


class Colleague(ApprovalBackend):
    """Stands for a person; a server would ask a real one, or two of the board."""

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        print("   asked:", request.action.summary())
        return Decision(approved=True, reason="It is the customer's money.", decided_by="ada")


async def main() -> None:
    gate = Gate(POLICY, Colleague(), session_id="demo")
    for tool, args in (
        ("list_orders", {"customer": "Bob"}),
        ("refund", {"order": "A17", "amount": 20}),
        ("refund", {"order": "A18", "amount": "$ 240"}),
        ("drop_table", {"table": "orders"}),
    ):
        action = Action(tool_name=tool, tool_args=args, risk_class=RiskClass.LOW)
        verdict = gate.check(action)
        print(f"{action.summary()}\n   {verdict.effect}: {verdict.reason}")
        try:
            print("  ", await gate.run(action, lambda **_: "done"))
        except NotApprovedError as error:
            print("  ", error)

    large = Action(tool_name="refund", tool_args={"amount": "€ 5.000"}, risk_class=RiskClass.LOW)
    for step in POLICY.explain(large).steps:
        print(f"line {step.line}, {step.rule}: {step.outcome}; {step.why}")


asyncio.run(main())
