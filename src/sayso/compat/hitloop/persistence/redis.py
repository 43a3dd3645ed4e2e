"""hitloop.persistence.redis."""

from sayso.backends import RedisApprovalStore

__all__ = ["RedisApprovalStore"]
