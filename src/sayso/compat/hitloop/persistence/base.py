"""hitloop.persistence.base."""

from sayso.backends import ApprovalStore, PendingApprovalRecord

__all__ = ["ApprovalStore", "PendingApprovalRecord"]
