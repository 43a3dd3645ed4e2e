"""hitloop.langgraph."""

from typing import TYPE_CHECKING, Any

from sayso.compat.lazy import attribute

if TYPE_CHECKING:
    from sayso.langgraph import (
        ActionRequest,
        AnomalyValidator,
        HITLInterruptPayload,
        HITLResumePayload,
        HumanInterrupt,
        HumanInterruptConfig,
        HumanResponse,
        InterruptCallback,
        RiskClassResolver,
        create_interrupt_gate_node,
        create_interrupt_tool_node,
        execute_tool_node,
        hitl_action,
        hitl_gate_node,
        should_execute,
    )

_HOMES = {
    "ActionRequest": "sayso.langgraph",
    "AnomalyValidator": "sayso.langgraph",
    "HITLInterruptPayload": "sayso.langgraph",
    "HITLResumePayload": "sayso.langgraph",
    "HumanInterrupt": "sayso.langgraph",
    "HumanInterruptConfig": "sayso.langgraph",
    "HumanResponse": "sayso.langgraph",
    "InterruptCallback": "sayso.langgraph",
    "RiskClassResolver": "sayso.langgraph",
    "create_interrupt_gate_node": "sayso.langgraph",
    "create_interrupt_tool_node": "sayso.langgraph",
    "execute_tool_node": "sayso.langgraph",
    "hitl_action": "sayso.langgraph",
    "hitl_gate_node": "sayso.langgraph",
    "should_execute": "sayso.langgraph",
}

__all__ = [
    "ActionRequest",
    "AnomalyValidator",
    "HITLInterruptPayload",
    "HITLResumePayload",
    "HumanInterrupt",
    "HumanInterruptConfig",
    "HumanResponse",
    "InterruptCallback",
    "RiskClassResolver",
    "create_interrupt_gate_node",
    "create_interrupt_tool_node",
    "execute_tool_node",
    "hitl_action",
    "hitl_gate_node",
    "should_execute",
]


def __getattr__(name: str) -> Any:
    """Import a name from where it lives, when it is first asked for."""
    return attribute(__name__, _HOMES, name)
