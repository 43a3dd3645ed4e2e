"""hitloop.backends."""

from typing import TYPE_CHECKING, Any

from sayso.compat.lazy import attribute

if TYPE_CHECKING:
    from sayso.backends import (
        AutoApproveBackend,
        AutoRejectBackend,
        CircuitBreakerConfig,
        CircuitState,
        CLIBackend,
        PersistentWebhookBackend,
        RetryConfig,
        ScriptedBackend,
        SimpleHTTPWebhookBackend,
        WebhookBackend,
    )

_HOMES = {
    "AutoApproveBackend": "sayso.backends",
    "AutoRejectBackend": "sayso.backends",
    "CLIBackend": "sayso.backends",
    "CircuitBreakerConfig": "sayso.backends",
    "CircuitState": "sayso.backends",
    "PersistentWebhookBackend": "sayso.backends",
    "RetryConfig": "sayso.backends",
    "ScriptedBackend": "sayso.backends",
    "SimpleHTTPWebhookBackend": "sayso.backends",
    "WebhookBackend": "sayso.backends",
}

__all__ = [
    "AutoApproveBackend",
    "AutoRejectBackend",
    "CLIBackend",
    "CircuitBreakerConfig",
    "CircuitState",
    "PersistentWebhookBackend",
    "RetryConfig",
    "ScriptedBackend",
    "SimpleHTTPWebhookBackend",
    "WebhookBackend",
]


def __getattr__(name: str) -> Any:
    """Import a name from where it lives, when it is first asked for."""
    return attribute(__name__, _HOMES, name)
