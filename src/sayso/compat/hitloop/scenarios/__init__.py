"""hitloop.scenarios."""

from sayso.lab import (
    EmailDraftScenario,
    RecordUpdateScenario,
    Scenario,
    ScenarioConfig,
    ValidationResult,
)

__all__ = [
    "EmailDraftScenario",
    "RecordUpdateScenario",
    "Scenario",
    "ScenarioConfig",
    "ValidationResult",
]
