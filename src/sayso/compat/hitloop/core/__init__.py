"""hitloop.core."""

from typing import TYPE_CHECKING, Any

from sayso.compat.lazy import attribute
from sayso.domain.actions import Action, RiskClass
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.domain.traces import TraceEvent
from sayso.domain.traces import TraceEventType as EventType

if TYPE_CHECKING:
    from sayso.gate.ports import ApprovalBackend
    from sayso.policies import HITLPolicy
    from sayso.telemetry import TelemetryLogger

_HOMES = {
    "ApprovalBackend": "sayso.gate.ports",
    "HITLPolicy": "sayso.policies",
    "TelemetryLogger": "sayso.telemetry",
}

__all__ = [
    "Action",
    "ApprovalBackend",
    "ApprovalRequest",
    "Decision",
    "EventType",
    "HITLPolicy",
    "RiskClass",
    "TelemetryLogger",
    "TraceEvent",
]


def __getattr__(name: str) -> Any:
    """Import a name from where it lives, when it is first asked for."""
    return attribute(__name__, _HOMES, name)
