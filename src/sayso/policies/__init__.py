"""Is a human needed? Pure functions of an action and its context.

base                  the verdict, the context, and what a policy has to have
always_approve        nobody is asked
always_ask            somebody always is
risk_based            by risk, tool, sensitive arguments and amounts
audit_plus_escalate   a sample, and whatever is unusual in a run
combined              several policies as one: AllOf, AnyOf, FirstMatch
rules                 rules as data: a YAML file with conditions in CEL (extra `rules`)

amounts, written_json   how amounts and JSON in texts are read
history, sampling     what a run has shown so far; which calls are drawn
"""

from sayso.policies.always_approve import AlwaysApprovePolicy
from sayso.policies.always_ask import AlwaysAskPolicy
from sayso.policies.audit_plus_escalate import AuditPlusEscalatePolicy
from sayso.policies.base import Context, Effect, HITLPolicy, Policy, State, Verdict, judge
from sayso.policies.combined import AllOf, AnyOf, FirstMatch
from sayso.policies.risk_based import RiskBasedPolicy

__all__ = [
    "AllOf",
    "AlwaysApprovePolicy",
    "AlwaysAskPolicy",
    "AnyOf",
    "AuditPlusEscalatePolicy",
    "Context",
    "Effect",
    "FirstMatch",
    "HITLPolicy",
    "Policy",
    "RiskBasedPolicy",
    "State",
    "Verdict",
    "judge",
]
