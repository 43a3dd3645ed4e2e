"""Ask at the terminal before a function runs: yes, no, or yes with other arguments.

    python examples/console.py

Piped answers count as well (`printf 'y\\n\\n' | python examples/console.py`); no answer is a no.
"""

from sayso import Action, RiskClass
from sayso.backends import CLIBackend
from sayso.errors import NotApprovedError
from sayso.gate import Gate
from sayso.policies import RiskBasedPolicy

SCHEMA = {
    "type": "object",
    "properties": {
        "to": {"type": "string"},
        "amount": {"type": "integer", "exclusiveMinimum": 0, "maximum": 10_000},
    },
    "required": ["to", "amount"],
    "additionalProperties": False,
}


def transfer(to: str, amount: int) -> str:
    """The dangerous thing."""
    return f"sent {amount} EUR to {to}"


gate = Gate(RiskBasedPolicy(), CLIBackend(timeout_seconds=60))
action = Action(
    tool_name="transfer",
    tool_args={"to": "Northwind Traders", "amount": 1250},
    args_schema=SCHEMA,
    risk_class=RiskClass.HIGH,
    side_effects=("Moves money; it cannot be taken back",),
    rationale="The invoice INV-2047 is due tomorrow.",
)
try:
    print(gate.run_sync(action, transfer))
except NotApprovedError as error:
    print(f"not run: {error.detail}")
