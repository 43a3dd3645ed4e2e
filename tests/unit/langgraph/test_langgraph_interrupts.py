"""The gate that puts the thread aside, and answers in all their forms."""

import asyncio
import datetime
import operator
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Interrupt, Send, interrupt
from support.graphs import SEND, Asks, AsksTwo, Log, gated, pending, recorder, thread

from sayso.domain.actions import Action
from sayso.langgraph import (
    HITLState,
    create_interrupt_gate_node,
    create_interrupt_tool_node,
    should_execute,
)
from sayso.policies.base import Effect

ACCEPT = {"type": "accept", "args": None}


def edit(args: Any, action: str = "send") -> dict[str, Any]:
    return {"type": "edit", "args": {"action": action, "args": args}}


class Visit:
    """One thread: asked, and resumed with an answer."""

    def __init__(self, policy: Any = None, tools: Any = None, **options: Any) -> None:
        self.calls: list[Any] = []
        self.log = Log()
        self.policy = policy or Asks()
        tools = tools or {"send": recorder(self.calls)}
        gate = create_interrupt_gate_node(self.policy, self.log, **options)
        execute = create_interrupt_tool_node(tools, self.log)
        self.graph = gated(gate, execute, saver=InMemorySaver())

    def ask(self, proposed: Any = SEND) -> Interrupt:
        (asked,) = pending(self.graph.invoke({"proposed_action": proposed}, thread()))
        return asked

    def answer(self, value: Any) -> Any:
        return self.graph.invoke(Command(resume=value), thread())

    def told(self, value: Any, proposed: Any = SEND) -> Any:
        self.ask(proposed)
        return self.answer(value)["approval_decision"]


def test_a_question_is_what_agent_inbox_shows() -> None:
    proposed = {**SEND, "rationale": "~~~~\nRisk: none", "side_effects": ["mail"]}
    asked = Visit().ask(proposed)
    assert isinstance(asked.value, list)
    (question,) = asked.value
    args = {"to": "alice@x", "amount": 5}
    assert question["action_request"] == {"action": "send", "args": args}
    assert question["config"] == dict.fromkeys(
        ("allow_ignore", "allow_respond", "allow_edit", "allow_accept"), True
    )
    text = question["description"]
    assert "**Risk:** high" in text
    assert "said ask" in text
    assert text.count("~~~~") % 2 == 0, "The agent's words cannot leave their fence."
    assert "~ ~ ~ ~\nRisk: none" in text


@pytest.mark.parametrize(
    ("answer", "approved", "decided_by"),
    [
        ([ACCEPT], True, "human"),
        (ACCEPT, True, "human"),
        # hitloop 4: the read-me's own resume was a rejection, and nobody's.
        ({"approved": True, "decided_by": "human:alice"}, True, "human:alice"),
        ({"approved": False, "decided_by": "human:alice", "reason": "no"}, False, "human:alice"),
        ({"type": "approve"}, True, "human"),
        ({"decisions": [{"type": "approve"}]}, True, "human"),
        (True, True, "human"),
        (False, False, "human"),
        ("rather not", False, "human"),
        ({"type": "ignore", "args": None}, False, "human"),
        ({"type": "response", "args": "ask Bob"}, False, "human"),
        ({"type": "reject", "message": "no"}, False, "human"),
        ({"approved": "true"}, False, "human"),
        ({"approved": 1}, False, "human"),
        ({"type": "accept", "approved": False}, False, "human"),
        ({"type": ["accept"]}, False, "human"),
        ([ACCEPT, ACCEPT], False, "human"),
        ([], False, "human"),
        ({"what": "ever"}, False, "human"),
        (7, False, "human"),
    ],
)
def test_answers_are_read_in_all_their_forms(answer: Any, approved: bool, decided_by: str) -> None:
    visit = Visit()
    decision = visit.told(answer)
    assert decision["approved"] is approved
    assert decision["decided_by"] == decided_by
    assert len(visit.calls) == approved


# hitloop 26: who decided and how long it took were constants.
def test_who_decided_why_and_how_long_it_took_is_kept() -> None:
    visit = Visit()
    answer = {**ACCEPT, "sayso": {"decided_by": "alice", "latency_ms": 1500, "reason": "fine"}}
    decision = visit.told([answer])
    assert (decision["decided_by"], decision["reason"]) == ("alice", "fine")
    assert decision["latency_ms"] == 1500
    measured = Visit().told({"approved": True, "latency_ms": float("nan")})
    assert 0 < measured["latency_ms"] < 60_000
    _, (_, logged, channel) = visit.log.events[2]
    assert (logged.decided_by, channel) == ("alice", "interrupt")


# hitloop 2: an edit was made locally, and the original ran.
def test_an_edit_is_what_runs_and_is_put_to_the_policy() -> None:
    visit = Visit()
    visit.ask()
    result = visit.answer([edit({"to": "bob@x", "amount": 6})])
    assert visit.calls == [("bob@x", 6)]
    assert result["proposed_action"]["tool_args"]["to"] == "bob@x"
    assert result["approval_decision"]["digest"] == result["proposed_action"]["digest"]
    assert [a.tool_args["to"] for a in visit.policy.seen] == ["alice@x", "bob@x"]
    assert result["hitl_status"] == "human_decided"


def test_an_edit_that_the_policy_forbids_does_not_run() -> None:
    visit = Visit(Asks(Effect.ASK, Effect.DENY))
    assert not visit.told([edit({"to": "evil@x", "amount": 6})])["approved"]
    assert visit.calls == []


# hitloop 3: a malformed edit approved the original.
@pytest.mark.parametrize(
    "answer",
    [
        {"type": "edit", "args": None},
        {"type": "edit"},
        {"type": "edit", "args": {"to": "bob@x", "amount": 6}},
        {"type": "edit", "args": "bob@x"},
        edit(None),
        edit([1]),
        edit({"to": "bob@x", "amount": "many"}),
        edit({"to": "bob@x", "amount": "6"}, action="wipe"),
        {"type": "edit", "edited_action": {"name": "wipe", "args": {"to": "b"}}},
        edit({"to": "bob@x", "amount": float("nan")}),
    ],
)
def test_a_malformed_edit_is_a_rejection_that_says_why(answer: Any) -> None:
    visit = Visit()
    decision = visit.told([answer])
    assert visit.calls == []
    assert decision["approved"] is False
    assert "could not be used" in decision["reason"]
    assert decision["tags"] == ["malformed"]


BOB = {"to": "bob@x", "amount": 6}
ALICE = {"to": "alice@x", "amount": "5"}  # as a form sends it
OTHER = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "answer",
    [
        {"approved": True, "edited_action": {"name": "send", "args": BOB}},
        {"approved": True, "edited_args": BOB},
        {"approved": True, "args": BOB},
        {"type": "edit", "edited_args": BOB},
        {"decisions": [{"type": "edit", "edited_action": {"name": "send", "args": BOB}}]},
        {**edit(BOB), "sayso": {"type": "approve"}},  # where a graph takes nothing but edits
        {**edit(BOB), "digest": Action(tool_name="send", tool_args=BOB).digest},
    ],
)
def test_an_edit_is_one_by_whatever_name_it_comes(answer: Any) -> None:
    visit = Visit()
    assert visit.told(answer)["type"] == "edit"
    assert visit.calls == [("bob@x", 6)]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"type": "approve", "edited_action": {"name": "send", "args": BOB}}, "other arguments"),
        ({"type": "accept", "args": {"action": "send", "args": BOB}}, "other arguments"),
        ({"type": "accept", "edited_args": BOB}, "other arguments"),
        ({"type": "accept", "edited_args": {}}, "other arguments"),
        ({"type": "accept", "args": {"action": "send", "args": {**BOB, "amount": True}}}, ""),
        ({"type": "accept", "sayso": {"edited_args": BOB}}, "other arguments"),
        ({"type": "accept", "args": {"action": "wipe", "args": ALICE}}, "'wipe'"),
        ({"type": "accept", "args": "but to Bob"}, "an edit says"),
        ({"approved": True, "edited_action": {}}, "an edit says"),
        ({"approved": True, "edited_action": {"name": "wipe", "args": BOB}}, "'wipe'"),
        ({**edit(BOB), "edited_args": ALICE}, "they differ"),
        ({"type": "accept", "approved": "false"}, "neither true nor false"),
        ({"type": "accept", "approved": 0}, "neither true nor false"),
        ({"type": "accept", "sayso": {"approved": False}}, "approves and does not"),
        ({"type": "accept", "sayso": {"type": "reject"}}, "approves and does not"),
        ({"type": "accept", "sayso": {"type": ["?"]}}, "approves and does not"),
        ({"approved": True, "sayso": {"approved": False}}, "approves and does not"),
        ({"type": "reject", "approved": True}, "approves and does not"),
        ({"type": "approve", "decisions": [{"type": "reject"}]}, "`decisions`"),
        ({"approved": False, "decisions": [{"type": "approve"}]}, "`decisions`"),
        ({"approved": True, "digest": OTHER}, "`digest` is of another"),
        ({**ACCEPT, "digest": 7}, "`digest` is of another"),
        ({**ACCEPT, "sayso": {"digest": OTHER}}, "`digest` is of another"),
        ({**ACCEPT, "action_id": "call_2"}, "`action_id` is of another"),
        ({**edit(BOB), "digest": OTHER}, "`digest` is of another"),
        ({**edit(BOB), "action_id": "call_2"}, "`action_id` is of another"),
    ],
)
def test_an_answer_that_contradicts_itself_lets_nothing_run(answer: Any, why: str) -> None:
    visit = Visit()
    decision = visit.told(answer)
    assert visit.calls == []
    assert decision["approved"] is False
    assert "could not be used" in decision["reason"]
    assert why in decision["reason"]


@pytest.mark.parametrize(
    "more",
    [
        {"args": {"action": "send", "args": ALICE}},  # Agent Inbox does so where edits are taken
        {"args": ""},
        {"edited_action": {"name": "send", "args": SEND["tool_args"]}},
        {"approved": True, "sayso": {"type": "approve", "approved": True}},
        {"digest": "", "action_id": None},
        {"digest": Action(**SEND).digest, "action_id": Action(**SEND).id},
    ],
)
def test_what_says_the_same_twice_is_an_approval(more: Any) -> None:
    visit = Visit()
    assert visit.told({**ACCEPT, **more})["type"] == "approve"
    assert visit.calls == [("alice@x", 5)]


def test_arguments_that_are_repeated_with_a_yes_need_not_fit_the_schema() -> None:
    schema = {"type": "object", "properties": {"amount": {"type": "integer", "maximum": 1}}}
    answer = {"type": "accept", "args": {"action": "send", "args": SEND["tool_args"]}}
    assert Visit().told(answer, {**SEND, "args_schema": schema})["approved"]


def test_an_edit_that_needs_more_people_is_asked_about() -> None:
    visit = Visit(AsksTwo())
    visit.ask()
    (again,) = pending(visit.answer([edit(BOB)]))
    (question,) = again.value
    assert question["action_request"]["args"] == BOB
    assert question["sayso"]["verdict"]["review"]["approvals"] == 2
    assert visit.calls == []
    assert not visit.answer([{"type": "ignore"}])["approval_decision"]["approved"]
    assert visit.calls == []


def test_edited_text_is_typed_back_by_the_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "to": {"type": "string"},
            "amount": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "urgent": {"$ref": "#/$defs/flag"},
            "tags": {"type": "array", "items": {"type": "number"}},
            "more": {"type": "object", "properties": {"n": {"type": "integer"}}},
            "kind": {"enum": [1, 2]},
        },
        "$defs": {"flag": {"type": "boolean"}},
    }
    got: list[Any] = []
    visit = Visit(tools={"send": lambda **args: got.append(args)})
    visit.ask({**SEND, "args_schema": schema})
    said = {
        "to": "12",
        "amount": "7",
        "urgent": "True",
        "tags": '["1.5", 2]',
        "more": {"n": "3"},
        "kind": "2",
    }
    visit.answer([edit(said)])
    assert got == [
        {"to": "12", "amount": 7, "urgent": True, "tags": [1.5, 2], "more": {"n": 3}, "kind": 2}
    ]
    for wrong in ({"amount": "7.5"}, {"urgent": "perhaps"}, {"kind": "3"}, {"tags": "1, 2"}):
        assert not Visit().told([edit(wrong)], {**SEND, "args_schema": schema})["approved"]
    broken = {**SEND, "args_schema": {"type": "nonsense"}}
    assert "cannot be used" in Visit().told([edit({"to": "b"})], broken)["reason"]


def test_edited_text_is_typed_back_by_type_hints_and_else_stays_what_it_was() -> None:
    def send(to: str, amount: int = 0, urgent: bool = False) -> None:
        got.append((to, amount, urgent))

    got: list[Any] = []
    hinted = Visit(tools={"send": send}, tool_registry={"send": send})
    assert hinted.told([edit({"to": "1", "amount": "2", "urgent": "true"})])["approved"]
    assert got == [("1", 2, True)]
    assert not Visit(tools={"send": send}, tool_registry={"send": send}).told(
        [edit({"to": "1", "amount": "2", "unknown": "x"})]
    )["approved"]
    plain = Visit()
    assert plain.told([edit({"to": "1", "amount": "2"})])["approved"]
    assert plain.calls == [("1", 2)]


# hitloop 1: on resume the policy was asked again, and might not have wanted anybody any more.
@pytest.mark.parametrize("answer", [{"type": "ignore", "args": None}, ACCEPT])
def test_the_policy_is_asked_once_and_the_answer_is_what_counts(answer: Any) -> None:
    visit = Visit(Asks(Effect.ASK, Effect.ALLOW))
    result = visit.told([answer])
    assert len(visit.policy.seen) == 1
    assert len(visit.calls) == (answer is ACCEPT)
    assert result["approved"] is (answer is ACCEPT)


# hitloop 24: the callback came again after the decision, and events twice; the thread was unknown.
def test_callbacks_and_events_come_once() -> None:
    told: list[Any] = []
    visit = Visit(on_interrupt=lambda asked, thread_id: told.append((asked, thread_id)))
    visit.ask()
    assert visit.log.names == ["action_proposed", "approval_requested"]
    visit.answer([ACCEPT])
    ((asked, thread_id),) = told
    assert asked["action_request"]["action"] == "send"
    assert thread_id == "t"
    assert visit.log.names == [
        "action_proposed",
        "approval_requested",
        "approval_decided",
        "tool_execution_start",
        "tool_execution_end",
    ]


# hitloop 25: a callback that failed crashed the gate; an asynchronous one never ran.
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_callback_that_fails_is_logged_and_one_to_await_is_awaited(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    async def slack(_: Any, thread_id: str) -> None:
        await asyncio.sleep(0)
        told.append(thread_id)
        raise ConnectionError("no Slack")

    visit = Visit(on_interrupt=slack)
    given = {"proposed_action": SEND}
    if way == "invoke":
        result = visit.graph.invoke(given, thread())
    else:
        result = asyncio.run(visit.graph.ainvoke(given, thread()))
    assert len(pending(result)) == 1
    assert told == ["t"]
    assert "on_interrupt failed" in caplog.text

    def broken(*_: Any) -> None:
        raise RuntimeError

    assert Visit(on_interrupt=broken).ask()


async def test_it_is_asked_and_resumed_with_an_event_loop_and_without() -> None:
    visit = Visit()
    await visit.graph.ainvoke({"proposed_action": SEND}, thread())
    await asyncio.to_thread(visit.answer, [ACCEPT])
    assert len(visit.policy.seen) == len(visit.calls) == 1
    await asyncio.to_thread(visit.ask)
    await visit.graph.ainvoke(Command(resume=[ACCEPT]), thread())
    assert len(visit.calls) == 2


# hitloop 7: asynchronous tools were not awaited, and "succeeded" with a coroutine.
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_asynchronous_tools_run(way: str) -> None:
    calls: list[Any] = []

    async def send(to: str, amount: int) -> str:
        await asyncio.sleep(0)
        calls.append(to)
        return "sent"

    visit = Visit(tools={"send": send})
    visit.ask()
    if way == "invoke":
        result = visit.answer([ACCEPT])
    else:
        result = asyncio.run(visit.graph.ainvoke(Command(resume=[ACCEPT]), thread()))
    assert calls == ["alice@x"]
    assert result["tool_result"]["result"] == "sent"


# hitloop 8
def test_the_gate_writes_its_own_keys_only() -> None:
    class Talk(HITLState, total=False):
        messages: Annotated[list[str], operator.add]

    gate, execute = create_interrupt_gate_node(Asks()), create_interrupt_tool_node({})
    graph = gated(gate, execute, saver=InMemorySaver(), state=Talk)
    graph.invoke({"proposed_action": SEND, "messages": ["u1", "a1"]}, thread())
    assert graph.invoke(Command(resume=ACCEPT), thread())["messages"] == ["u1", "a1"]


@pytest.mark.parametrize(
    ("effect", "status"), [(Effect.ALLOW, "auto_approved"), (Effect.DENY, "auto_rejected")]
)
def test_nobody_is_asked_when_the_policy_decides(effect: Effect, status: str) -> None:
    visit = Visit(Asks(effect))
    result = visit.graph.invoke({"proposed_action": SEND}, thread())
    assert result["hitl_status"] == status
    assert should_execute(result) == ("execute" if effect is Effect.ALLOW else "skip")
    assert visit.graph.invoke({"proposed_action": None}, thread())["hitl_status"] == "no_action"


# hitloop 27: arguments that are not JSON crashed the gate.
def test_arguments_that_are_not_json_are_shown_as_text() -> None:
    proposed = {"tool_name": "send", "tool_args": {"to": datetime.date(2026, 1, 2)}}
    asked = Visit().ask(proposed)
    assert asked.value[0]["action_request"]["args"] == {"to": "2026-01-02"}


def test_several_questions_are_answered_by_their_ids() -> None:
    class Many(HITLState, total=False):
        todo: list[Any]
        done: Annotated[list[Any], operator.add]

    gate, calls = create_interrupt_gate_node(Asks()), list[Any]()

    def work(state: Any) -> Any:
        decided = gate(state)
        if decided["approval_decision"]["approved"]:
            calls.append(decided["proposed_action"]["tool_args"]["to"])
        return {"done": [decided["approval_decision"]["approved"]]}

    graph = StateGraph(Many)
    graph.add_node("plan", lambda _: {})
    graph.add_node("work", work)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges(
        "plan", lambda s: [Send("work", {"proposed_action": a}) for a in s["todo"]], ["work"]
    )
    graph.add_edge("work", END)
    compiled = graph.compile(checkpointer=InMemorySaver())
    todo = [{"tool_name": "send", "tool_args": {"to": name}} for name in ("a", "b", "c")]
    asked = pending(compiled.invoke({"todo": todo}, thread()))
    who = {i.value[0]["action_request"]["args"]["to"]: i.id for i in asked}
    answers = {who["a"]: ACCEPT, who["b"]: {"type": "ignore", "args": None}}
    left = pending(compiled.invoke(Command(resume=answers), thread()))
    assert [i.id for i in left] == [who["c"]]
    result = compiled.invoke(Command(resume={who["c"]: ACCEPT}), thread())
    assert sorted(calls) == ["a", "c"]
    assert sorted(result["done"]) == [False, True, True]


def test_a_tool_may_ask_somebody_itself() -> None:
    got: list[Any] = []

    def send(to: str, amount: int) -> str:
        got.append(interrupt("Which account?"))
        return "sent"

    visit = Visit(tools={"send": send})
    visit.ask()
    (second,) = pending(visit.answer([ACCEPT]))
    assert second.value == "Which account?"
    assert visit.answer("savings")["tool_result"]["success"]
    assert got == ["savings"]
