"""Ways to ask somebody from within a program, without a server.

automatic   asks nobody: yes, no, or by a script
console     whoever sits at the terminal
webhook     sends a request out by a function of one's own, and takes the answer back
outbound    the same by a signed POST
persistent  the same, kept in a database that survives the process

What they are made of: `terminal` and `shown` (the console), `callbacks` (ids and signed
addresses), `said` (answers), `delivery` (tries, breaker), `persistence` (stores), `loop_thread`.

Each name is imported when it is first used: the persistent ones need the extra `server`, and the
console takes rich from the extra `cli`, if it is there.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sayso.backends.automatic import AutoApproveBackend, AutoRejectBackend, ScriptedBackend
    from sayso.backends.console import CLIBackend
    from sayso.backends.delivery import CircuitBreakerConfig, CircuitState, RetryConfig
    from sayso.backends.outbound import SimpleHTTPWebhookBackend
    from sayso.backends.persistence import (
        ApprovalStore,
        InMemoryApprovalStore,
        PendingApprovalRecord,
        PostgresApprovalStore,
        RedisApprovalStore,
        SQLiteApprovalStore,
    )
    from sayso.backends.persistent import PersistentWebhookBackend
    from sayso.backends.webhook import PendingApproval, WebhookBackend

_HOMES = {
    "ApprovalStore": "persistence",
    "AutoApproveBackend": "automatic",
    "AutoRejectBackend": "automatic",
    "CLIBackend": "console",
    "CircuitBreakerConfig": "delivery",
    "CircuitState": "delivery",
    "InMemoryApprovalStore": "persistence",
    "PendingApproval": "webhook",
    "PendingApprovalRecord": "persistence",
    "PersistentWebhookBackend": "persistent",
    "PostgresApprovalStore": "persistence",
    "RedisApprovalStore": "persistence",
    "RetryConfig": "delivery",
    "SQLiteApprovalStore": "persistence",
    "ScriptedBackend": "automatic",
    "SimpleHTTPWebhookBackend": "outbound",
    "WebhookBackend": "webhook",
}

__all__ = [
    "ApprovalStore",
    "AutoApproveBackend",
    "AutoRejectBackend",
    "CLIBackend",
    "CircuitBreakerConfig",
    "CircuitState",
    "InMemoryApprovalStore",
    "PendingApproval",
    "PendingApprovalRecord",
    "PersistentWebhookBackend",
    "PostgresApprovalStore",
    "RedisApprovalStore",
    "RetryConfig",
    "SQLiteApprovalStore",
    "ScriptedBackend",
    "SimpleHTTPWebhookBackend",
    "WebhookBackend",
]


def __getattr__(name: str) -> Any:
    """Import a name from where it lives, when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sayso.backends' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"sayso.backends.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    """All names, also those that were not asked for yet."""
    return sorted(__all__)
