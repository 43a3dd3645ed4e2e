"""What survives in a thread's checkpoints when the program that asked is gone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = '''
import json, os, signal, sqlite3, sys
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command
from sayso.langgraph import (
    HITLState, create_interrupt_gate_node, create_interrupt_tool_node, hitl_action,
)
from sayso.policies.base import Effect, Policy, Verdict

life = sys.argv[1]

def note(what):
    with open("notes.txt", "a") as notes:
        notes.write(f"{life}: {what}\\n")

class Once(Policy):
    """Asks in its first life, and would let everything through in the next."""
    name = "once"
    def evaluate(self, action, context=None):
        note(f"judged {action.tool_args}")
        effect = Effect.ASK if life == "first" else Effect.ALLOW
        return Verdict(effect=effect, reason="because", policy="once")

def send(to):
    note(f"sent to {to}")
    return "sent"

@hitl_action(on_interrupt=lambda *_: note("told"))
def mail(to):
    note(f"mailed {to}")
    return to

def twice(state):
    return {"trace": [mail("a"), mail("b")]}

graph = StateGraph(HITLState)
graph.add_node("gate", create_interrupt_gate_node(Once(), on_interrupt=lambda *_: note("told")))
graph.add_node("execute", create_interrupt_tool_node({"send": send}))
graph.add_node("twice", twice)
graph.add_conditional_edges(START, lambda state: state["run_id"], ["gate", "twice"])
graph.add_edge("gate", "execute")
graph.add_edge("execute", END)
graph.add_edge("twice", END)
saver = SqliteSaver(sqlite3.connect("threads.db", check_same_thread=False))
graph = graph.compile(checkpointer=saver)
results = {}
for thread, given in json.loads(sys.stdin.read()).items():
    config = {"configurable": {"thread_id": thread}}
    answered = isinstance(given, list)
    result = graph.invoke(Command(resume=given) if answered else given, config)
    results[thread] = {k: v for k, v in result.items() if k != "__interrupt__"}
print(json.dumps(results), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
'''

ACCEPT = [{"type": "accept", "args": None}]
EDIT = [{"type": "edit", "args": {"action": "send", "args": {"to": "bob"}}}]
IGNORE = [{"type": "ignore", "args": None}]


def live(folder: Path, life: str, threads: dict[str, Any]) -> Any:
    """One life of the program, which ends by kill -9; what it does with each thread."""
    path = folder / "program.py"
    path.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path), life],
        input=json.dumps(threads),
        cwd=folder,
        env=os.environ | {"LANGGRAPH_STRICT_MSGPACK": "true"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return json.loads(done.stdout)


def notes(folder: Path, life: str) -> list[str]:
    lines = (folder / "notes.txt").read_text().splitlines()
    return [what for line in lines for who, _, what in [line.partition(": ")] if who == life]


# hitloop 1: the policy was asked again on resume, and a person's "no" became "nobody needed".
# hitloop 6: of two approved calls in one node, the first ran twice.
@pytest.mark.timeout(400)
def test_decisions_stand_and_nothing_runs_twice_whoever_goes_on_after_kill_9(
    tmp_path: Path,
) -> None:
    action = {"tool_name": "send", "tool_args": {"to": "alice"}}
    asked = {"run_id": "gate", "proposed_action": action}
    live(tmp_path, "first", {"no": asked, "edit": asked, "twice": {"run_id": "twice"}})
    judged = "judged {'to': 'alice'}"
    assert notes(tmp_path, "first") == [judged, "told", judged, "told", "told"]

    results = live(tmp_path, "second", {"no": IGNORE, "edit": EDIT, "twice": ACCEPT})
    assert results["no"]["approval_decision"]["approved"] is False
    assert results["no"]["hitl_status"] == "human_decided"
    assert results["edit"]["tool_result"]["success"]
    second = ["judged {'to': 'bob'}", "sent to bob", "mailed a", "told"]
    assert notes(tmp_path, "second") == second

    results = live(tmp_path, "third", {"twice": ACCEPT})
    assert results["twice"]["trace"] == ["a", "b"]
    assert notes(tmp_path, "third") == ["mailed b"]
