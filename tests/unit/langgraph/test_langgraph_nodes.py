"""The gate that waits for a backend, and the node that runs what was approved."""

import asyncio
import contextlib
import datetime
import operator
import threading
from typing import Annotated, Any

import msgspec
import pytest
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from support.graphs import SEND, Asks, AsksHigh, AsksTwo, Log, Says, gated, recorder, thread

from sayso.domain.actions import Action, RiskClass
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.domain.rules import Rule
from sayso.errors import ConfigurationError, InvalidRequestError
from sayso.gate import ApprovalBackend, ApprovalTimeoutError
from sayso.langgraph import (
    HITLState,
    create_hitl_workflow_nodes,
    execute_tool_node,
    hitl_gate_node,
    should_execute_condition,
)
from sayso.policies import AuditPlusEscalatePolicy
from sayso.policies.base import NO_CONTEXT, Context, Effect, HITLPolicy, Verdict
from sayso.telemetry import TelemetryLogger

YES = Decision(approved=True, decided_by="bob", latency_ms=12.0, reason="looks right")
NO = Decision(approved=False, decided_by="bob", reason="wrong person")


def workflow(backend: Any, tools: dict[str, Any], policy: Any = None, **more: Any) -> Any:
    nodes = create_hitl_workflow_nodes(policy or Asks(), backend, tools, more.pop("logger", None))
    return gated(nodes["hitl_gate"], nodes["execute_tool"], **more)


def test_what_is_approved_runs_and_who_approved_is_told() -> None:
    calls: list[Any] = []
    backend, log = Says(YES), Log()
    graph = workflow(backend, {"send": recorder(calls)}, logger=log)
    result = graph.invoke({"proposed_action": SEND, "run_id": "r1", "messages": ["hello"]})
    assert calls == [("alice@x", 5)]
    assert result["tool_result"]["success"]
    assert result["tool_result"]["result"] == "sent"
    decision = result["approval_decision"]
    assert decision["approved"] is True
    assert (decision["decided_by"], decision["latency_ms"]) == ("bob", 12.0)
    asked = backend.asked[0]
    assert (asked.run_id, asked.policy_reason, asked.policy_name) == ("r1", "said ask", "test")
    assert "hello" in asked.summary_context
    assert log.names == [
        "action_proposed",
        "approval_requested",
        "approval_decided",
        "tool_execution_start",
        "tool_execution_end",
    ]


def test_what_is_rejected_does_not_run_and_the_reason_is_told() -> None:
    calls: list[Any] = []
    result = workflow(Says(NO), {"send": recorder(calls)}).invoke({"proposed_action": SEND})
    assert calls == []
    assert result["tool_result"]["error"] == "Action was rejected"
    assert result["tool_result"]["rejection_reason"] == "wrong person"
    assert should_execute_condition(result) == "skip"


@pytest.mark.parametrize("effect", [Effect.ALLOW, Effect.DENY])
def test_nobody_is_asked_when_the_policy_decides(effect: Effect) -> None:
    calls: list[Any] = []
    backend, log = Says(YES), Log()
    graph = workflow(backend, {"send": recorder(calls)}, Asks(effect), logger=log)
    result = graph.invoke({"proposed_action": SEND})
    assert backend.asked == []
    assert len(calls) == (effect is Effect.ALLOW)
    assert result["approval_decision"]["decided_by"] == "policy:test"
    assert log.names[:2] == ["action_proposed", "approval_decided"]


# hitloop 23: the nodes failed under ainvoke, after asyncio.run, and inside a running loop.
def test_the_nodes_work_after_asyncio_run_in_a_thread_and_in_a_running_loop() -> None:
    calls: list[Any] = []

    async def slowly(to: str, amount: int) -> str:
        await asyncio.sleep(0)
        calls.append((to, amount))
        return "sent"

    graph = workflow(Says(YES), {"send": slowly})
    asyncio.run(asyncio.sleep(0))
    assert graph.invoke({"proposed_action": SEND})["tool_result"]["success"]

    async def inside() -> None:
        assert (await graph.ainvoke({"proposed_action": SEND}))["tool_result"]["success"]
        assert graph.invoke({"proposed_action": SEND})["tool_result"]["success"]

    asyncio.run(inside())
    found: list[Any] = []
    beside = threading.Thread(
        target=lambda: found.append(graph.invoke({"proposed_action": SEND})["tool_result"])
    )
    beside.start()
    beside.join(60)
    assert found[0]["success"]
    assert len(calls) == 4


def test_a_node_can_be_called_by_itself() -> None:
    gate = hitl_gate_node(Asks(), Says(YES))
    assert gate({"proposed_action": SEND})["approval_decision"]["approved"]
    assert gate({}) == {"approval_decision": None, "tool_result": None}


# hitloop 8: both gates returned the whole state, so that reducers doubled it.
def test_the_nodes_write_their_own_keys_only() -> None:
    class Talk(HITLState, total=False):
        messages: Annotated[list[str], operator.add]

    graph = workflow(Says(YES), {"send": recorder([])}, state=Talk)
    result = graph.invoke({"proposed_action": SEND, "messages": ["u1", "a1"]})
    assert result["messages"] == ["u1", "a1"]


# hitloop 5: an approval was bound to nothing.
@pytest.mark.parametrize(
    "changed",
    [
        {"tool_name": "send", "tool_args": {"to": "mallory@x", "amount": 5}},
        {"tool_name": "wipe", "tool_args": {"to": "alice@x", "amount": 5}},
        {**SEND, "id": "another call"},
    ],
)
def test_an_approval_of_one_action_runs_no_other(changed: dict[str, Any]) -> None:
    calls: list[Any] = []
    tools = {"send": recorder(calls), "wipe": recorder(calls)}
    gate, execute = hitl_gate_node(Asks(), Says(YES)), execute_tool_node(tools)
    approved = gate({"proposed_action": SEND})
    result = execute({**approved, "proposed_action": changed})["tool_result"]
    assert calls == []
    assert result["error"] == "Another action was approved than the one that is proposed now"


# hitloop 5: arguments that were changed in place after the approval ran as they were by then.
def test_arguments_that_are_changed_after_the_approval_do_not_run() -> None:
    calls: list[Any] = []
    action = Action(tool_name="send", tool_args={"to": "alice@x"})
    decision = Decision(approved=True, action_id=action.id, digest=action.digest)
    execute = execute_tool_node({"send": recorder(calls)})
    action.tool_args["to"] = "mallory@x"
    told = execute({"proposed_action": action, "approval_decision": decision})["tool_result"]
    assert calls == []
    assert not told["success"]


def test_a_decision_is_good_for_one_run() -> None:
    calls: list[Any] = []
    state = {"proposed_action": SEND}
    state |= hitl_gate_node(Asks(), Says(YES))(state)
    execute = execute_tool_node({"send": recorder(calls)})
    state |= execute(state)
    again = execute(state)["tool_result"]
    assert len(calls) == 1
    assert "used already" in again["error"]


def test_a_decision_by_hand_counts_if_it_says_for_what_it_is() -> None:
    calls: list[Any] = []
    execute = execute_tool_node({"send": recorder(calls)})
    action = Action(tool_name="send", tool_args={"to": "a"})
    named = Action(tool_name="send", tool_args={"to": "a"}, id="call_1")

    def run(action: Action, decision: Any) -> Any:
        state = {"proposed_action": action, "approval_decision": decision}
        return execute(state)["tool_result"]

    assert run(action, Decision(approved=True, action_id=action.id))["success"]
    assert run(named, Decision(approved=True, action_id="call_1", digest=named.digest))["success"]
    assert (
        "give it the action's digest"
        in run(named, Decision(approved=True, action_id="call_1"))["error"]
    )
    assert not run(action, {"approved": "false", "action_id": action.id})["success"]
    assert not run(action, {"approved": 1, "action_id": action.id})["success"]
    assert not run(action, {"what": "ever"})["success"]
    assert len(calls) == 2


# hitloop 2: an edit was thrown away, and not put to the policy.
def test_an_edit_is_what_runs_and_what_the_state_then_proposes() -> None:
    calls: list[Any] = []
    edit = Decision(approved=True, args={"to": "bob@x", "amount": 6}, decided_by="bob")
    policy = Asks()
    graph = workflow(Says(edit), {"send": recorder(calls)}, policy)
    proposed = {**SEND, "side_effects": ["mail"], "context_refs": ["thread 7"], "id": "c1"}
    result = graph.invoke({"proposed_action": proposed})
    assert calls == [("bob@x", 6)]
    kept = result["proposed_action"]
    assert kept["tool_args"] == {"to": "bob@x", "amount": 6}
    assert (kept["id"], kept["side_effects"]) == ("c1", ["mail"])
    assert result["approval_decision"]["digest"] == kept["digest"]
    assert [action.tool_args["to"] for action in policy.seen] == ["alice@x", "bob@x"]


def test_an_edit_that_the_policy_forbids_does_not_run() -> None:
    calls: list[Any] = []
    edit = Decision(approved=True, args={"to": "evil@x"}, decided_by="bob")
    graph = workflow(Says(edit), {"send": recorder(calls)}, Asks(Effect.ASK, Effect.DENY))
    result = graph.invoke({"proposed_action": SEND})
    assert calls == []
    assert "The edit by bob does not run" in result["approval_decision"]["reason"]


def test_an_edit_that_does_not_fit_the_schema_does_not_run() -> None:
    calls: list[Any] = []
    schema = {"type": "object", "properties": {"amount": {"type": "integer", "maximum": 10}}}
    edit = Decision(approved=True, args={"to": "a", "amount": 99}, decided_by="bob")
    graph = workflow(Says(edit), {"send": recorder(calls)})
    result = graph.invoke({"proposed_action": {**SEND, "args_schema": schema}})
    assert calls == []
    assert "99" in result["approval_decision"]["reason"]


def test_a_decision_about_another_action_is_a_rejection() -> None:
    for wrong in (
        Decision(approved=True, action_id="another"),
        Decision(approved=True, digest="sha256:" + "0" * 64),
    ):
        gate = hitl_gate_node(Asks(), Says(wrong))
        assert not gate({"proposed_action": SEND})["approval_decision"]["approved"]


def test_silence_is_a_rejection_and_a_broken_backend_stops_the_node() -> None:
    gate = hitl_gate_node(Asks(), Says(ApprovalTimeoutError("Nobody answered.")))
    decision = gate({"proposed_action": SEND})["approval_decision"]
    assert (decision["approved"], decision["decided_by"]) == (False, "system:timeout")
    with pytest.raises(OSError, match="away"):
        hitl_gate_node(Asks(), Says(OSError("away")))({"proposed_action": SEND})


class AsksBriefly(Asks):
    """Gives people next to no time."""

    def __init__(self, silence: str) -> None:
        super().__init__()
        self.silence = silence

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        return msgspec.structs.replace(
            super().evaluate(action, context), timeout_seconds=0.01, on_timeout=self.silence
        )


class Thinks(ApprovalBackend):
    """Says yes, in its own time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        await asyncio.sleep(self.seconds)
        return YES


async def test_a_backend_has_the_time_that_the_policy_gives_people() -> None:
    gate = hitl_gate_node(AsksBriefly("reject"), Thinks(3_600))
    decision = (await gate.ainvoke({"proposed_action": SEND}))["approval_decision"]
    assert (decision["approved"], decision["decided_by"]) == (False, "system:timeout")
    assert decision["reason"] == "Nobody answered within 0.01 seconds."
    parked = hitl_gate_node(AsksBriefly("park"), Thinks(0.05))
    assert (await parked.ainvoke({"proposed_action": SEND}))["approval_decision"]["approved"]


def test_one_backend_is_not_asked_where_two_people_are_wanted() -> None:
    class Two(Asks):
        def evaluate(self, *args: Any) -> Verdict:
            verdict = super().evaluate(*args)
            return msgspec.structs.replace(verdict, review=Rule(approvals=2))

    backend = Says(YES)
    with pytest.raises(ConfigurationError):
        hitl_gate_node(Two(), backend)({"proposed_action": SEND})
    assert backend.asked == []


def test_an_edit_that_needs_two_people_does_not_run_on_the_word_of_one() -> None:
    backend = Says(Decision(approved=True, args={"to": "bob@x"}, decided_by="bob"))
    with pytest.raises(ConfigurationError):
        hitl_gate_node(AsksTwo(), backend)({"proposed_action": SEND})
    assert len(backend.asked) == 1


# hitloop 7, and the tools of LangChain.
async def test_asynchronous_tools_are_awaited_and_tools_of_langchain_are_invoked() -> None:
    @tool
    async def slow(to: str) -> str:
        """Send."""
        return f"slow {to}"

    @tool
    def quick(to: str) -> str:
        """Send."""
        return f"quick {to}"

    graph = workflow(Says(YES), {"slow": slow, "quick": quick})
    for name in ("slow", "quick"):
        call = {"name": name, "args": {"to": "a"}, "id": "call_1", "type": "tool_call"}
        for result in (
            await graph.ainvoke({"proposed_action": call}),
            await asyncio.to_thread(graph.invoke, {"proposed_action": call}),
        ):
            assert result["tool_result"]["result"] == f"{name} a"
            assert result["tool_result"]["action_id"] == "call_1"


def test_a_tool_that_fails_is_told_and_an_unknown_one_does_not_run() -> None:
    def broken(**_: Any) -> None:
        raise ValueError("no such address")

    graph = workflow(Says(YES), {"send": broken})
    told = graph.invoke({"proposed_action": SEND})["tool_result"]
    assert (told["error"], told["error_class"]) == ("no such address", "ValueError")
    told = graph.invoke({"proposed_action": {**SEND, "tool_name": "x"}})["tool_result"]
    assert told["error"] == "Unknown tool: x"


# hitloop 30: its own classes stood in checkpoints. hitloop 27: arguments that are not JSON.
def test_checkpoints_hold_plain_values_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", "true")
    calls: list[Any] = []

    class Odd:
        def __str__(self) -> str:
            return "odd"

    saver = InMemorySaver()
    graph = workflow(Says(YES), {"send": recorder(calls, Odd())}, saver=saver)
    args = {"to": "a", "amount": datetime.date(2026, 1, 2)}
    proposed = msgspec.to_builtins({"tool_name": "send", "tool_args": args})
    graph.invoke({"proposed_action": proposed}, thread())
    values = graph.get_state(thread()).values
    assert values["tool_result"]["result"] == "odd"
    assert msgspec.json.decode(msgspec.json.encode(values)) == values
    gate = hitl_gate_node(Asks(), Says(YES))
    written = gate({"proposed_action": Action(tool_name="send", tool_args=args)})
    assert written["proposed_action"]["tool_args"]["amount"] == "2026-01-02"
    assert msgspec.json.encode(written)


# hitloop 28: what a policy noted was lost, done in place, or never asked for.
def test_what_a_policy_notes_is_kept_and_the_state_is_not_changed_in_place() -> None:
    class Counting(HITLPolicy):
        @property
        def name(self) -> str:
            return "counting"

        def should_request_approval(self, action: Action, state: Any) -> tuple[bool, str]:
            return True, f"{state.get('rejections', [])} {state.get('failures', 0)}"

        def post_decision_update(self, state: Any, action: Action, decision: Decision) -> Any:
            if not decision.approved:
                state.setdefault("rejections", []).append(action.tool_name)
            return state

        def post_execution_update(self, state: Any, action: Action, result: Any) -> Any:
            return {**state, "failures": state.get("failures", 0) + (not result["success"])}

    def broken(**_: Any) -> None:
        raise ValueError

    graph = workflow(Says(NO, YES), {"send": broken}, Counting(), saver=InMemorySaver())
    given = {"proposed_action": SEND, "run_id": "r"}
    first = graph.invoke(given, thread())["policy_state"]
    second = graph.invoke(given, thread())["policy_state"]
    assert first == {"rejections": ["send"]}
    assert second == {"rejections": ["send"], "failures": 1}
    backend = Says(YES)
    workflow(backend, {"send": broken}, Counting()).invoke({**given, "policy_state": second})
    assert backend.asked[0].policy_reason == "['send'] 1"
    assert first == {"rejections": ["send"]}


def test_what_a_policy_cannot_note_does_not_undo_a_decision(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(AsksHigh):
        def post_decision_update(self, *_: Any) -> Any:
            raise RuntimeError("no room")

    with contextlib.closing(TelemetryLogger()) as logger:
        written = hitl_gate_node(Broken(), Says(YES), logger)({"proposed_action": SEND})
        told = logger.get_events(event_type="approval_decided")
    assert written["approval_decision"]["approved"]
    assert [event.payload["approved"] for event in told] == [True]
    assert "could not note" in caplog.text


def test_what_is_no_action_is_refused() -> None:
    for wrong in (7, {"tool_args": {}}, {"tool_name": "x", "tool_args": [1]}):
        with pytest.raises(InvalidRequestError):
            hitl_gate_node(Asks(), Says(YES))({"proposed_action": wrong})


def test_a_policy_that_fails_has_a_person_asked() -> None:
    class Broken(AsksHigh):
        def evaluate(self, *_: Any) -> Verdict:
            raise RuntimeError("no rules")

    backend = Says(NO)
    low = {**SEND, "risk_class": RiskClass.LOW.value}
    hitl_gate_node(Broken(), backend)({"proposed_action": low})
    assert "no rules" in backend.asked[0].policy_reason


# The node waits; a program that ends meanwhile begins it again, with the verdict that it had.
def test_the_policy_is_not_asked_again_when_the_node_is_begun_again() -> None:
    policy, backend = Asks(Effect.ASK, Effect.ALLOW), Says(OSError("away"), YES)
    graph = workflow(backend, {"send": recorder([])}, policy, saver=InMemorySaver())
    with pytest.raises(OSError, match="away"):
        graph.invoke({"proposed_action": SEND}, thread())
    result = graph.invoke(None, thread())
    assert len(policy.seen) == 1
    assert result["approval_decision"]["decided_by"] == "bob"


# hitloop 28: what the policy of the package itself counted was dropped between two nodes.
def test_a_streak_over_several_visits_is_noticed() -> None:
    policy = AuditPlusEscalatePolicy(audit_sample_rate=0, consecutive_action_threshold=3)
    backend = Says(YES)
    graph = workflow(backend, {"send": recorder([])}, policy, saver=InMemorySaver())
    low = {**SEND, "risk_class": "low"}
    for n in range(3):
        result = graph.invoke({"proposed_action": {**low, "id": f"c{n}"}}, thread())
        assert result["tool_result"]["success"]
        assert len(backend.asked) == (n == 2)
    assert "3 consecutive" in backend.asked[0].policy_reason


# hitloop 27: events from worker threads failed with "no such table".
async def test_events_are_kept_from_whatever_thread_the_nodes_run_in() -> None:
    with contextlib.closing(TelemetryLogger()) as logger:
        graph = workflow(Says(YES), {"send": recorder([])}, logger=logger)
        await asyncio.to_thread(graph.invoke, {"proposed_action": SEND, "run_id": "r"})
        await graph.ainvoke({"proposed_action": SEND, "run_id": "r"})
        kinds = [event.event_type.value for event in logger.get_events("r")]
    assert (
        kinds
        == [
            "action_proposed",
            "approval_requested",
            "approval_decided",
            "tool_execution_start",
            "tool_execution_end",
        ]
        * 2
    )
