"""hitloop.policies.audit_plus_escalate."""

from sayso.policies import AuditPlusEscalatePolicy

__all__ = ["AuditPlusEscalatePolicy"]
