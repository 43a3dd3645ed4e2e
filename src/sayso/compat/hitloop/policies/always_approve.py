"""hitloop.policies.always_approve."""

from sayso.policies import AlwaysApprovePolicy

__all__ = ["AlwaysApprovePolicy"]
