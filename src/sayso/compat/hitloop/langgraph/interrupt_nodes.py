"""hitloop.langgraph.interrupt_nodes."""

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
    hitl_action,
    should_execute,
)

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
    "hitl_action",
    "should_execute",
]
