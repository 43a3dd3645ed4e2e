"""A gate in front of a plain function: small amounts run, larger ones are asked about.

Needs a server, as `make run` starts it; somebody has to decide in its inbox.
"""

from sayso import Client, Gate, NotApprovedError, RiskBasedPolicy, RiskClass

account = {"balance": 2000.0}

with Client() as client:
    policy = RiskBasedPolicy(unknown_risk=RiskClass.LOW, max_amount_without_approval=100)
    gate = Gate(policy, client, session_id="payments")

    @gate.tool(
        message=lambda to, amount: f"Pay {amount:,} EUR to {to}?",
        preview=lambda to, amount: f"{account['balance'] - amount:,.2f} EUR would be left.",
        facts=lambda: dict(account),
    )
    def pay(to: str, amount: float) -> str:
        """Move money; only the gate calls it."""
        account["balance"] -= amount
        return f"Paid {amount:,.2f} EUR to {to}; {account['balance']:,.2f} EUR are left."

    for to, amount in (("Ann", 20.0), ("Northwind Traders", 1250.0)):
        try:
            print(pay(to, amount))
        except NotApprovedError as error:
            print(f"Not paid to {to}: {error}")
