"""LangGraph: approval nodes, interrupts in Agent Inbox's form, and a bridge to a Sayso server.

nodes       a gate that waits for a backend, and a node that runs what was approved
interrupts  a gate that puts the thread aside; Agent Inbox's questions and answers (payloads)
decorator   hitl_action: a function that asks before it runs
bridge      questions of any graph to a Sayso server, and its answers back into the thread
"""

from sayso.errors import MissingExtraError

try:
    import langgraph.types  # noqa: F401  # pyright: ignore[reportUnusedImport]
except ImportError as error:
    raise MissingExtraError("langgraph", "langgraph") from error

from sayso.langgraph.bridge import Bridge, Ended
from sayso.langgraph.decorator import hitl_action
from sayso.langgraph.interrupts import (
    create_interrupt_gate_node,
    create_interrupt_tool_node,
    should_execute,
)
from sayso.langgraph.nodes import (
    create_hitl_workflow_nodes,
    execute_tool_node,
    hitl_gate_node,
    should_execute_condition,
)
from sayso.langgraph.payloads import (
    ActionRequest,
    AnomalyValidator,
    HITLInterruptPayload,
    HITLResumePayload,
    HumanInterrupt,
    HumanInterruptConfig,
    HumanResponse,
    InterruptCallback,
    RiskClassResolver,
)
from sayso.langgraph.state import HITLState

__all__ = [
    "ActionRequest",
    "AnomalyValidator",
    "Bridge",
    "Ended",
    "HITLInterruptPayload",
    "HITLResumePayload",
    "HITLState",
    "HumanInterrupt",
    "HumanInterruptConfig",
    "HumanResponse",
    "InterruptCallback",
    "RiskClassResolver",
    "create_hitl_workflow_nodes",
    "create_interrupt_gate_node",
    "create_interrupt_tool_node",
    "execute_tool_node",
    "hitl_action",
    "hitl_gate_node",
    "should_execute",
    "should_execute_condition",
]
