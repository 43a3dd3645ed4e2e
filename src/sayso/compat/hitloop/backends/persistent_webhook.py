"""hitloop.backends.persistent_webhook."""

from sayso.backends import CircuitBreakerConfig, CircuitState, PersistentWebhookBackend, RetryConfig

__all__ = ["CircuitBreakerConfig", "CircuitState", "PersistentWebhookBackend", "RetryConfig"]
