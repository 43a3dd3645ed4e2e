"""hitloop.eval.runner."""

from sayso.lab import ExperimentCondition, ExperimentRunner, TrialResult, create_standard_conditions

__all__ = ["ExperimentCondition", "ExperimentRunner", "TrialResult", "create_standard_conditions"]
