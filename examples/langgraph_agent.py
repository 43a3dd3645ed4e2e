"""A LangGraph agent: it calculates as it likes, and mails only what a person approves."""

import argparse
import ast
import operator as op
import re
from typing import Annotated, Any

from langchain_core.messages import AIMessage, ToolMessage
from langgraph.graph import END, START, StateGraph

from sayso import RiskBasedPolicy, RiskClass
from sayso.backends import AutoApproveBackend, CLIBackend
from sayso.langgraph import HITLState, create_hitl_workflow_nodes


def calculate(expression: str) -> float:
    """Work out plus, minus and times; nothing else is understood."""
    node = ast.parse(expression.strip(), mode="eval").body
    if not isinstance(node, ast.BinOp):
        return float(ast.literal_eval(node))
    left, right = calculate(ast.unparse(node.left)), calculate(ast.unparse(node.right))
    return {ast.Add: op.add, ast.Sub: op.sub, ast.Mult: op.mul}[type(node.op)](left, right)


def simulated(messages: list[Any]) -> AIMessage:
    """What a model might say: first the sum, then the email with its result, then goodbye."""
    query, seen = messages[0], [str(m.content) for m in messages if isinstance(m, ToolMessage)]
    calls = [("calculate", {"expression": e}) for e in re.findall(r"\d[\d.+* -]*", query)[:1]]
    body, names = seen[0] if seen else query, re.findall(r"[Mm]ail (\w+)", query)
    calls += [("send_email", {"to": name, "body": body}) for name in names]
    wanted = [{"name": n, "args": a, "id": f"call_{i}"} for i, (n, a) in enumerate(calls)]
    return AIMessage("; ".join(seen), tool_calls=wanted[len(seen) : len(seen) + 1])


def propose(state: Any) -> Any:
    told = state.get("tool_result") or {}
    text = told.get("result" if told.get("success") else "error")
    new: list[Any] = [ToolMessage(str(text), tool_call_id=told["action_id"])] if told else []
    new.append(simulated([*state["messages"], *new]))  # a real model's `invoke` goes here
    return {"messages": new, "proposed_action": next(iter(new[-1].tool_calls), None)}


class State(HITLState, total=False):
    messages: Annotated[list[Any], op.add]


parser = argparse.ArgumentParser()
parser.add_argument("--simulate", action="store_true", help="this one has no other model")
parser.add_argument("--auto", action="store_true", help="approve without asking")
parser.add_argument("--query", default="Mail bob what 6 * 7 is")
args = parser.parse_args()
policy = RiskBasedPolicy(high_risk_tools=["send_email"], unknown_risk=RiskClass.LOW)
tools = {"calculate": calculate, "send_email": lambda to, body: f"sent to {to}: {body}"}
backend = AutoApproveBackend() if args.auto else CLIBackend()
nodes = create_hitl_workflow_nodes(policy, backend, tools)
graph = StateGraph(State).add_node("propose", propose).add_sequence(list(nodes.items()))
graph.add_edge(START, "propose").add_edge("execute_tool", "propose")
graph.add_conditional_edges("propose", lambda s: "hitl_gate" if s["proposed_action"] else END)
print(graph.compile().invoke({"messages": [args.query]})["messages"][-1].content)
