"""hitloop's names: `from sayso.compat.hitloop import RiskBasedPolicy`, as it was from `hitloop`.

There is no logic here. What is lazy needs an extra, or time to import.
"""

from typing import TYPE_CHECKING, Any

from sayso.compat.lazy import attribute
from sayso.domain.actions import Action, RiskClass
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.domain.traces import TraceEvent
from sayso.domain.traces import TraceEventType as EventType
from sayso.version import __version__

if TYPE_CHECKING:
    from sayso.backends import CLIBackend
    from sayso.gate.ports import ApprovalBackend
    from sayso.langgraph import execute_tool_node, hitl_gate_node
    from sayso.policies import (
        AlwaysApprovePolicy,
        AuditPlusEscalatePolicy,
        HITLPolicy,
        RiskBasedPolicy,
    )
    from sayso.telemetry import TelemetryLogger

_HOMES = {
    "AlwaysApprovePolicy": "sayso.policies",
    "ApprovalBackend": "sayso.gate.ports",
    "AuditPlusEscalatePolicy": "sayso.policies",
    "CLIBackend": "sayso.backends",
    "HITLPolicy": "sayso.policies",
    "RiskBasedPolicy": "sayso.policies",
    "TelemetryLogger": "sayso.telemetry",
    "execute_tool_node": "sayso.langgraph",
    "hitl_gate_node": "sayso.langgraph",
}

__all__ = [
    "Action",
    "AlwaysApprovePolicy",
    "ApprovalBackend",
    "ApprovalRequest",
    "AuditPlusEscalatePolicy",
    "CLIBackend",
    "Decision",
    "EventType",
    "HITLPolicy",
    "RiskBasedPolicy",
    "RiskClass",
    "TelemetryLogger",
    "TraceEvent",
    "__version__",
    "execute_tool_node",
    "hitl_gate_node",
]


def __getattr__(name: str) -> Any:
    """Import a name from where it lives, when it is first asked for."""
    return attribute(__name__, _HOMES, name)
