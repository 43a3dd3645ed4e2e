"""hitloop.scenarios.record_update."""

from sayso.lab import RecordUpdateScenario

__all__ = ["RecordUpdateScenario"]
