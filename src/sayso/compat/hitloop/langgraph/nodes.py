"""hitloop.langgraph.nodes."""

from sayso.langgraph import (
    HITLState,
    create_hitl_workflow_nodes,
    execute_tool_node,
    hitl_gate_node,
    should_execute_condition,
)

__all__ = [
    "HITLState",
    "create_hitl_workflow_nodes",
    "execute_tool_node",
    "hitl_gate_node",
    "should_execute_condition",
]
