"""hitloop.eval."""

from typing import TYPE_CHECKING, Any

from sayso.compat.lazy import attribute

if TYPE_CHECKING:
    from sayso.lab import (
        ConditionMetrics,
        ErrorInjector,
        ExperimentCondition,
        ExperimentRunner,
        InjectionConfig,
        InjectionType,
        MetricsCalculator,
        RunMetrics,
    )

_HOMES = {
    "ConditionMetrics": "sayso.lab",
    "ErrorInjector": "sayso.lab",
    "ExperimentCondition": "sayso.lab",
    "ExperimentRunner": "sayso.lab",
    "InjectionConfig": "sayso.lab",
    "InjectionType": "sayso.lab",
    "MetricsCalculator": "sayso.lab",
    "RunMetrics": "sayso.lab",
}

__all__ = [
    "ConditionMetrics",
    "ErrorInjector",
    "ExperimentCondition",
    "ExperimentRunner",
    "InjectionConfig",
    "InjectionType",
    "MetricsCalculator",
    "RunMetrics",
]


def __getattr__(name: str) -> Any:
    """Import a name from where it lives, when it is first asked for."""
    return attribute(__name__, _HOMES, name)
