"""hitloop.persistence.postgres."""

from sayso.backends import PostgresApprovalStore

__all__ = ["PostgresApprovalStore"]
