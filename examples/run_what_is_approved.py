"""Run a tool exactly as it was approved, once, and let the reviewer see what became of it.

The balance is a fact: if it changes between the question and the run, people are asked again.
"""

from sayso import Client
from sayso.errors import NotApprovedError

balance = {"EUR": 5000}


def transfer(to: str, amount: int) -> dict[str, int]:
    """The dangerous thing; what it returns or raises is reported."""
    if amount > balance["EUR"]:
        raise ValueError("there is not enough left")
    balance["EUR"] -= amount
    return {"left": balance["EUR"]}


def facts() -> dict[str, int]:
    """What holds now."""
    return dict(balance)


def pay(client: Client, to: str, amount: int) -> None:
    """Ask, and pay if somebody agrees."""
    try:
        receipt = client.run(
            f"Pay {amount} EUR to {to}?",
            transfer,
            action={
                "tool_name": "transfer",
                "tool_args": {"to": to, "amount": amount},
                "side_effects": ["Moves money; it cannot be taken back"],
            },
            facts=facts,
            client_id="billing-agent",
        )
    except NotApprovedError as error:
        print(f"not paid: {error.detail}")
    except ValueError as error:
        print(f"approved, but it failed: {error}")
    else:
        print(f"paid, {receipt['left']} EUR left")


with Client() as client:
    pay(client, "Northwind Traders", 1250)
    pay(client, "Contoso", 9000)
    for request in client.find(client_id="billing-agent", limit=2):
        if request.outcome is not None:
            print(f"{request.message} {request.outcome.status}: {request.outcome.error or 'done'}")
