"""Ask at the terminal before a function runs: yes, no, or yes with other arguments.

    python examples/console.py

Piped answers count as well (`printf 'y\\n\\n' | python examples/console.py`); no answer is a no.
"""

import asyncio

from sayso import Action, RiskClass
from sayso.backends import CLIBackend
from sayso.domain.approvals import ApprovalRequest


def transfer(to: str, amount: int) -> str:
    """The dangerous thing."""
    return f"sent {amount} EUR to {to}"


async def main() -> None:
    action = Action(
        tool_name="transfer",
        tool_args={"to": "Northwind Traders", "amount": 1250},
        risk_class=RiskClass.HIGH,
        side_effects=("Moves money; it cannot be taken back",),
        rationale="The invoice INV-2047 is due tomorrow.",
    )
    backend = CLIBackend(timeout_seconds=60)
    decision = await backend.request_approval(ApprovalRequest(run_id="billing", action=action))
    if decision.approved:
        args = action.tool_args if decision.args is None else decision.args
        print(f"\n{transfer(**args)}")
    else:
        print(f"\nnot run: {decision.reason}")


asyncio.run(main())
