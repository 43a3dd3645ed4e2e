"""A question, as an agent asks it."""

from typing import Any

from sayso.domain.actions import Action, RiskClass
from sayso.domain.approvals import ApprovalRequest

ARGS = {"to": "bob@example.org", "amount": 12}


def asked(**fields: Any) -> ApprovalRequest:
    """May 12 go to Bob?"""
    named = {"id": "call-1", "tool_name": "pay", "tool_args": ARGS, "risk_class": RiskClass.HIGH}
    about = {name: fields.pop(name) for name in tuple(fields) if name in Action.__struct_fields__}
    told = {
        "run_id": "run-1",
        "policy_name": "risk_based",
        "policy_reason": "It is HIGH.",
        **fields,
    }
    return ApprovalRequest(action=Action(**named | about), **told)
