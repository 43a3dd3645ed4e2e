"""hitloop.persistence.memory."""

from sayso.backends import InMemoryApprovalStore

__all__ = ["InMemoryApprovalStore"]
