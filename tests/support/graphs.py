"""Small graphs around one gate, and whoever decides, judges and listens in tests of them."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from sayso.domain.actions import Action, RiskClass
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.domain.rules import Rule
from sayso.gate import ApprovalBackend
from sayso.langgraph import HITLState
from sayso.policies.base import NO_CONTEXT, Context, Effect, Policy, Verdict

SEND = {"tool_name": "send", "tool_args": {"to": "alice@x", "amount": 5}, "risk_class": "high"}


class Asks(Policy):
    """Says the given effects one after the other, the last of them for ever; counts."""

    def __init__(self, *effects: Effect) -> None:
        self.effects = list(effects) or [Effect.ASK]
        self.seen: list[Action] = []
        self.states: list[dict[str, Any]] = []

    @property
    def name(self) -> str:
        return "test"

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        self.seen.append(action)
        self.states.append(context.state)
        effect = self.effects[min(len(self.seen), len(self.effects)) - 1]
        return Verdict(effect=effect, reason=f"said {effect.value}", policy=self.name)


class AsksTwo(Asks):
    """Wants one person's word, and that of two where it goes to Bob."""

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        verdict = super().evaluate(action, context)
        people = 2 if action.tool_args["to"].startswith("bob") else 1
        return msgspec.structs.replace(verdict, review=Rule(approvals=people))


class AsksHigh(Policy):
    """Asks about what is of high risk."""

    @property
    def name(self) -> str:
        return "high"

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        high = action.risk_class is RiskClass.HIGH
        return Verdict(effect=Effect.ASK if high else Effect.ALLOW, reason="risk", policy="high")


class Says(ApprovalBackend):
    """Decides at once, and remembers what it was asked."""

    def __init__(self, *decisions: Decision | Exception) -> None:
        self.decisions = list(decisions) or [Decision(approved=True, decided_by="bob")]
        self.asked: list[ApprovalRequest] = []

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        self.asked.append(request)
        said = self.decisions[min(len(self.asked), len(self.decisions)) - 1]
        if isinstance(said, Exception):
            raise said
        return said


class Log:
    """Telemetry that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith("log_"):
            raise AttributeError(name)

        def log(run_id: str, *what: Any) -> None:
            self.events.append((name[4:], (run_id, *what)))

        return log

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


def gated(
    gate: Any,
    execute: Any,
    *,
    saver: BaseCheckpointSaver[Any] | None = None,
    state: Any = HITLState,
) -> Any:
    """gate, then execute, whatever the gate wrote: execute has to look for itself."""
    graph = StateGraph(state)
    graph.add_node("gate", gate)
    graph.add_node("execute", execute)
    graph.add_edge(START, "gate")
    graph.add_edge("gate", "execute")
    graph.add_edge("execute", END)
    return graph.compile(checkpointer=saver)


def one_node(node: Any, state: Any, saver: BaseCheckpointSaver[Any] | None = None) -> Any:
    """A graph of one node, with a checkpointer."""
    graph = StateGraph(state)
    graph.add_node("only", node)
    graph.add_edge(START, "only")
    graph.add_edge("only", END)
    return graph.compile(checkpointer=saver or InMemorySaver())


def thread(name: str = "t") -> dict[str, Any]:
    return {"configurable": {"thread_id": name}}


def recorder(calls: list[Any], answer: Any = "sent") -> Callable[..., Any]:
    """A tool that notes what it was called with."""

    def send(to: str, amount: int = 0) -> Any:
        calls.append((to, amount))
        return answer

    return send


def pending(result: dict[str, Any]) -> Sequence[Any]:
    """The interrupts that a result of `invoke` tells of."""
    return result["__interrupt__"]
