"""hitloop.scenarios.base."""

from sayso.lab import Scenario, ScenarioConfig, ValidationResult

__all__ = ["Scenario", "ScenarioConfig", "ValidationResult"]
