"""Ask before a function runs, and run exactly the arguments that were approved.

The person may approve, change the arguments, answer instead, or refuse with a reason.
"""

from sayso import Client, Request

SCHEMA = {
    "type": "object",
    "properties": {
        "to": {"type": "string"},
        "amount": {"type": "number", "exclusiveMinimum": 0, "maximum": 10_000},
        "currency": {"type": "string", "enum": ["EUR", "USD"]},
    },
    "required": ["to", "amount", "currency"],
    "additionalProperties": False,
}


def transfer(to: str, amount: float, currency: str) -> str:
    """The dangerous thing."""
    return f"sent {amount} {currency} to {to}"


def ask_to_transfer(client: Client, to: str, amount: float, currency: str) -> Request:
    """The question, with everything that a person needs to decide it."""
    return client.ask(
        f"Pay {amount} {currency} to {to}?",
        action={
            "tool_name": "transfer",
            "tool_args": {"to": to, "amount": amount, "currency": currency},
            "args_schema": SCHEMA,
            "risk_class": "high",
            "side_effects": ["Moves money; it cannot be taken back"],
            "rationale": "The invoice INV-2047 is due tomorrow.",
        },
        client_id="billing-agent",
    )


with Client() as client:
    request = ask_to_transfer(client, "Northwind Traders", 1250.0, "EUR")
    if request.arguments is not None:
        print(transfer(**request.arguments))
    else:
        print(f"not run: {request.status}, {request.reason or 'no reason given'}")
