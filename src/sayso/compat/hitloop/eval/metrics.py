"""hitloop.eval.metrics."""

from sayso.lab import ConditionMetrics, MetricsCalculator, RunMetrics

__all__ = ["ConditionMetrics", "MetricsCalculator", "RunMetrics"]
