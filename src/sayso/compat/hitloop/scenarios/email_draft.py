"""hitloop.scenarios.email_draft."""

from sayso.lab import EmailDraftScenario

__all__ = ["EmailDraftScenario"]
