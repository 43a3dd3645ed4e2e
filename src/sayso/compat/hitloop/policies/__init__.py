"""hitloop.policies."""

from sayso.policies import AlwaysApprovePolicy, AuditPlusEscalatePolicy, RiskBasedPolicy

__all__ = ["AlwaysApprovePolicy", "AuditPlusEscalatePolicy", "RiskBasedPolicy"]
