"""hitloop.core.logger."""

from sayso.telemetry import TelemetryLogger

__all__ = ["TelemetryLogger"]
