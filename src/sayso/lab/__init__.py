"""What people's oversight is worth, measured: in experiments, and in production.

experiment   ExperimentRunner: conditions, run and exported
conditions   ExperimentCondition, and four that are usual
trials       one trial: a world, a gate and people of its own
scenarios    tasks, tools, and whether the task was done
injection    errors put in on purpose, so that it is known what is wrong
lookalikes   wrong values that look like the right ones
reviewers    simulated people, with known rates
checks       what is looked at before anything runs
metrics      MetricsCalculator: what any telemetry's runs come to
measures  oversight  comparison  inference    of runs, of actions, of pairs; how much a count says
report       tables in CSV, summaries in JSON
"""

from sayso.lab.experiment import (
    CallResult,
    ExperimentCondition,
    ExperimentRunner,
    TrialResult,
    create_standard_conditions,
)
from sayso.lab.injection import ErrorInjector, InjectionConfig, InjectionResult, InjectionType
from sayso.lab.metrics import ConditionMetrics, MetricsCalculator, RunMetrics
from sayso.lab.reviewers import SimulatedReviewer
from sayso.lab.scenarios import (
    EmailDraftScenario,
    RecordUpdateScenario,
    Scenario,
    ScenarioConfig,
    ValidationResult,
)

__all__ = [
    "CallResult",
    "ConditionMetrics",
    "EmailDraftScenario",
    "ErrorInjector",
    "ExperimentCondition",
    "ExperimentRunner",
    "InjectionConfig",
    "InjectionResult",
    "InjectionType",
    "MetricsCalculator",
    "RecordUpdateScenario",
    "RunMetrics",
    "Scenario",
    "ScenarioConfig",
    "SimulatedReviewer",
    "TrialResult",
    "ValidationResult",
    "create_standard_conditions",
]
