"""hitloop.core.models: the records."""

from sayso.domain.actions import Action, RiskClass
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.domain.traces import RunMetadata, ToolResult, TraceEvent
from sayso.domain.traces import TraceEventType as EventType

__all__ = [
    "Action",
    "ApprovalRequest",
    "Decision",
    "EventType",
    "RiskClass",
    "RunMetadata",
    "ToolResult",
    "TraceEvent",
]
