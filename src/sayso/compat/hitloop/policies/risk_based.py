"""hitloop.policies.risk_based."""

from sayso.policies import RiskBasedPolicy

__all__ = ["RiskBasedPolicy"]
