"""hitloop.persistence."""

from typing import TYPE_CHECKING, Any

from sayso.compat.lazy import attribute

if TYPE_CHECKING:
    from sayso.backends import (
        ApprovalStore,
        InMemoryApprovalStore,
        PendingApprovalRecord,
        PostgresApprovalStore,
        RedisApprovalStore,
    )

_HOMES = {
    "ApprovalStore": "sayso.backends",
    "InMemoryApprovalStore": "sayso.backends",
    "PendingApprovalRecord": "sayso.backends",
    "PostgresApprovalStore": "sayso.backends",
    "RedisApprovalStore": "sayso.backends",
}

__all__ = [
    "ApprovalStore",
    "InMemoryApprovalStore",
    "PendingApprovalRecord",
    "PostgresApprovalStore",
    "RedisApprovalStore",
]


def __getattr__(name: str) -> Any:
    """Import a name from where it lives, when it is first asked for."""
    return attribute(__name__, _HOMES, name)
