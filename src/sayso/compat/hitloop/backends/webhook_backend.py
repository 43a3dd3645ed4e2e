"""hitloop.backends.webhook_backend."""

from sayso.backends import PendingApproval, SimpleHTTPWebhookBackend, WebhookBackend

__all__ = ["PendingApproval", "SimpleHTTPWebhookBackend", "WebhookBackend"]
