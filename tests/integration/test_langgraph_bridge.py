"""A graph's questions at a real server, decided over HTTP, and brought back into the thread."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel
from support.graphs import SEND, Asks, AsksTwo, gated, one_node, recorder, thread
from support.person import Person
from support.server import RunningServer

from sayso import AsyncClient
from sayso.errors import UsageError
from sayso.langgraph import (
    Bridge,
    Ended,
    create_interrupt_gate_node,
    create_interrupt_tool_node,
    execute_tool_node,
    hitl_gate_node,
)
from sayso.policies.base import Verdict

_numbers = itertools.count()


class State(TypedDict, total=False):
    out: Any


@pytest.fixture
async def client(server: RunningServer) -> AsyncGenerator[AsyncClient]:
    async with AsyncClient(server.url) as agent:
        yield agent


@pytest.fixture
def fields() -> dict[str, Any]:
    """What marks the questions of this test."""
    return {"client_id": f"graph-{next(_numbers)}"}


class Bridged:
    """One thread behind a bridge, run beside the test."""

    def __init__(self, graph: Any, client: AsyncClient, person: Person, **fields: Any) -> None:
        self.person = person
        self.fields = fields
        self.bridge = Bridge(graph, client, fields=fields)

    def start(self, given: Any = None, thread_id: str = "t", **more: Any) -> asyncio.Task[Ended]:
        return asyncio.create_task(self.bridge.run(thread_id, given, **more))

    async def meet(self) -> dict[str, Any]:
        return await asyncio.to_thread(self.person.meet, client_id=self.fields["client_id"])

    async def decide(self, type: str, **answer: Any) -> dict[str, Any]:  # noqa: A002
        """Wait for the question, and decide it; the request as it was asked."""
        asked = await self.meet()
        await asyncio.to_thread(self.person.decide, asked["id"], type, **answer)
        return asked

    def read(self, request_id: str) -> dict[str, Any]:
        return self.person.http.get(f"/api/v1/requests/{request_id}").json()


def interrupting(calls: list[Any], saver: Any = None) -> Any:
    gate = create_interrupt_gate_node(Asks())
    execute = create_interrupt_tool_node({"send": recorder(calls)})
    return gated(gate, execute, saver=saver or InMemorySaver())


async def test_an_edit_at_the_server_runs_once_and_the_reviewer_sees_what_became_of_it(
    client: AsyncClient, person: Person, fields: dict[str, Any]
) -> None:
    calls: list[Any] = []
    bridged = Bridged(interrupting(calls), client, person, **fields)
    running = bridged.start({"proposed_action": {**SEND, "rationale": "the invoice is due"}})
    asked = await bridged.decide("edit", args={"to": "bob@x", "amount": 6}, reason="not Alice")
    assert asked["action"]["risk_class"] == "high"
    assert asked["action"]["rationale"] == "the invoice is due"
    assert asked["metadata"]["thread_id"] == "t"
    ended = await running
    assert ended.status == "finished"
    assert calls == [("bob@x", 6)]
    decision = ended.values["approval_decision"]
    assert decision["reason"] == "not Alice"
    assert decision["decided_by"] not in ("human", "")
    assert decision["latency_ms"] > 0
    request = bridged.read(asked["id"])
    assert request["grant"]["claimed_at"]
    assert request["outcome"]["status"] == "succeeded"
    assert request["outcome"]["result"] == "sent"


@pytest.mark.parametrize(
    ("type", "answer", "reason"),
    [
        ("reject", {"reason": "wrong person"}, "wrong person"),
        ("ignore", {}, "Ignored by human"),
        ("respond", {"content": "ask Carol"}, "ask Carol"),
    ],
)
async def test_what_is_not_approved_does_not_run(
    client: AsyncClient,
    person: Person,
    fields: dict[str, Any],
    type: str,  # noqa: A002
    answer: Any,
    reason: str,
) -> None:
    calls: list[Any] = []
    bridged = Bridged(interrupting(calls), client, person, **fields)
    running = bridged.start({"proposed_action": SEND})
    await bridged.decide(type, **answer)
    ended = await running
    assert ended.status == "finished"
    assert calls == []
    assert ended.values["approval_decision"]["reason"] == reason
    assert ended.values["approval_decision"]["type"] == type


async def test_a_schema_that_the_server_does_not_take_is_checked_by_the_gate(
    client: AsyncClient, person: Person, fields: dict[str, Any]
) -> None:
    calls: list[Any] = []
    schema = {
        "type": "object",
        "properties": {"amount": {"type": "integer"}, "to": {"type": "string"}, "x": {"$ref": "#"}},
    }
    bridged = Bridged(interrupting(calls), client, person, **fields)
    running = bridged.start({"proposed_action": {**SEND, "args_schema": schema}})
    await bridged.decide("edit", args={"to": "b", "amount": "many"})
    ended = await running
    assert calls == []
    assert "could not be used" in ended.values["approval_decision"]["reason"]


async def test_silence_is_a_rejection(
    client: AsyncClient, person: Person, fields: dict[str, Any]
) -> None:
    calls: list[Any] = []
    bridge = Bridge(interrupting(calls), client, fields={**fields, "timeout_seconds": 0.2})
    ended = await bridge.run("t", {"proposed_action": SEND})
    assert ended.status == "finished"
    assert calls == []
    assert ended.values["approval_decision"]["decided_by"] == "system:expired"


async def test_several_questions_at_once_are_resumed_as_they_are_decided(
    client: AsyncClient, person: Person, fields: dict[str, Any]
) -> None:
    def add(one: list[Any], other: list[Any]) -> list[Any]:
        return one + other

    class Many(TypedDict, total=False):
        done: Annotated[list[Any], add]

    def ask(state: Any) -> Any:
        return {"done": [interrupt(f"What about {state['name']}?")]}

    graph = StateGraph(Many)
    graph.add_node("ask", ask)
    graph.add_conditional_edges(START, lambda _: [Send("ask", {"name": n}) for n in "abc"], ["ask"])
    graph.add_edge("ask", END)
    bridged = Bridged(graph.compile(checkpointer=InMemorySaver()), client, person, **fields)
    running = bridged.start({"done": []})
    for _ in range(3):
        asked = await bridged.meet()
        assert asked["kind"] == "input"
        name = asked["message"].removeprefix("What about ")[0]
        await asyncio.to_thread(person.write, asked["id"], f"{name} is fine")
    assert sorted((await running).values["done"]) == ["a is fine", "b is fine", "c is fine"]


async def test_a_form_is_asked_as_its_schema_says_and_a_number_is_a_number(
    client: AsyncClient, person: Person, fields: dict[str, Any]
) -> None:
    class Trip(BaseModel):
        city: str
        days: int

    def ask(_: State) -> Any:
        trip = interrupt({"question": "Where to?"}, response_schema=Trip)
        count = interrupt("How many?", response_schema={"type": "integer"})
        return {"out": [trip.city, trip.days, count]}

    bridged = Bridged(one_node(ask, State), client, person, **fields)
    running = bridged.start({"out": None})
    asked = await bridged.decide("respond", content={"city": "Rome", "days": 3})
    assert asked["message"] == "Where to?"
    assert set(asked["schema"]["properties"]) == {"city", "days"}
    await bridged.decide("respond", content="7")
    assert (await running).values["out"] == ["Rome", 3, 7]


async def test_a_rejection_that_the_graph_cannot_hear_leaves_the_thread_as_it_is(
    client: AsyncClient, person: Person, fields: dict[str, Any]
) -> None:
    def ask(_: State) -> Any:
        return {"out": interrupt({"what": ["is", "this"]})}

    graph = one_node(ask, State)
    bridged = Bridged(graph, client, person, **fields)
    running = bridged.start({"out": None})
    asked = await bridged.decide("reject", reason="no idea")
    assert asked["metadata"]["value"] == {"what": ["is", "this"]}
    ended = await running
    assert ended.status == "blocked"
    assert len(graph.get_state(thread()).interrupts) == 1
    bridge = Bridge(graph, client, fields=fields, answer=lambda _, requests: requests[0].reason)
    assert (await bridge.run("t")).values["out"] == "no idea"


async def test_agent_inbox_payloads_of_other_graphs_take_what_they_allow(
    client: AsyncClient, person: Person, fields: dict[str, Any]
) -> None:
    allowed = {"allow_accept": True, "allow_edit": False, "allow_respond": True}
    request = {
        "action_request": {"action": "send", "args": {"to": "a"}},
        "config": {**allowed, "allow_ignore": False},
        "description": "May it?",
    }

    def ask(_: State) -> Any:
        return {"out": [interrupt([request])[0], interrupt([request])[0]]}

    bridged = Bridged(one_node(ask, State), client, person, **fields)
    running = bridged.start({"out": None})
    asked = await bridged.meet()
    refused = await asyncio.to_thread(person.try_to_decide, asked["id"], "edit", args={"to": "b"})
    assert refused.status_code == 422
    await bridged.decide("approve")
    await bridged.decide("reject", reason="not now")
    first, second = (await running).values["out"]
    assert (first["type"], first["args"]) == ("accept", None)
    assert (second["type"], second["args"]) == ("response", "not now")


async def test_a_grant_that_expired_is_asked_again(
    client: AsyncClient, person: Person, fields: dict[str, Any]
) -> None:
    calls: list[Any] = []
    fields["rule"] = {"grant_seconds": 0.05}
    graph = interrupting(calls)
    bridged = Bridged(graph, client, person, **fields)
    running = bridged.start({"proposed_action": SEND})
    first = await bridged.meet()
    running.cancel()
    await asyncio.to_thread(person.decide, first["id"], "approve")
    await asyncio.sleep(0.1)
    running = bridged.start()
    second = await bridged.meet()
    assert second["id"] != first["id"]
    assert calls == []
    await asyncio.to_thread(person.decide, second["id"], "reject", reason="too late")
    ended = await running
    assert calls == []
    assert ended.values["approval_decision"]["reason"] == "too late"


PROGRAM = """
import asyncio, sqlite3, sys
from langgraph.checkpoint.sqlite import SqliteSaver
from sayso import AsyncClient
from sayso.langgraph import Bridge, create_interrupt_gate_node, create_interrupt_tool_node
from support.graphs import SEND, Asks, gated

def send(to, amount):
    with open("sent.txt", "a") as sent:
        sent.write(f"{to} {amount}\\n")
    return "sent"

async def main():
    saver = SqliteSaver(sqlite3.connect("threads.db", check_same_thread=False))
    gate = create_interrupt_gate_node(Asks())
    graph = gated(gate, create_interrupt_tool_node({"send": send}), saver=saver)
    async with AsyncClient(sys.argv[1]) as client:
        bridge = Bridge(graph, client, fields={"client_id": "killed"})
        if sys.argv[2] == "begin":
            print(await bridge.run("t", {"proposed_action": SEND}))
        else:
            for thread_id, ended in (await bridge.recover()).items():
                print(thread_id, ended.status, flush=True)

asyncio.run(main())
"""


@pytest.mark.timeout(300)
async def test_a_bridge_that_was_killed_is_taken_up_by_another(
    server: RunningServer, person: Person, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])

    def live(what: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(program), server.url, what],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )

    first = live("begin")
    asked = await asyncio.to_thread(person.meet, 120, client_id="killed")
    first.kill()
    first.communicate()
    await asyncio.to_thread(person.decide, asked["id"], "edit", args={"to": "bob", "amount": 7})
    second = live("go on")
    printed, _ = await asyncio.to_thread(second.communicate, None, 120)
    assert printed == "t finished\n"
    assert (tmp_path / "sent.txt").read_text() == "bob 7\n"
    everything = person.http.get("/api/v1/requests", params={"client_id": "killed"}).json()
    assert len(everything["items"]) == 1, "It was asked once."
    assert everything["items"][0]["outcome"]["status"] == "succeeded"


@pytest.mark.parametrize(("breaks_in", "status"), [("ask", "elsewhere"), ("work", "broken_off")])
async def test_what_broke_off_in_the_middle_is_not_begun_again_unless_one_says_so(
    client: AsyncClient, person: Person, fields: dict[str, Any], breaks_in: str, status: str
) -> None:
    tries: list[str] = []

    def try_(node: str) -> None:
        tries.append(node)
        if node == breaks_in and tries.count(node) == 1:
            raise OSError("the power went off")

    def ask(_: State) -> Any:
        answer = interrupt("Go?")
        try_("ask")
        return {"out": answer}

    def work(_: State) -> Any:
        try_("work")
        return {}

    bridged = Bridged(
        gated(ask, work, saver=InMemorySaver(), state=State), client, person, **fields
    )
    running = bridged.start({"out": None})
    await bridged.decide("respond", content="go")
    with pytest.raises(OSError, match="power"):
        await running
    assert (await bridged.bridge.run("t")).status == status
    assert tries.count(breaks_in) == 1
    ended = await bridged.bridge.run("t", again=True)
    assert (ended.status, ended.values["out"]) == ("finished", "go")
    assert tries.count(breaks_in) == 2


async def test_what_is_done_but_not_kept_as_a_step_is_not_the_end(
    client: AsyncClient, person: Person, fields: dict[str, Any]
) -> None:
    """Who is killed between the two leaves a thread for which LangGraph names nothing as next."""
    worked: list[str] = []

    def ask(_: State) -> Any:
        return {"out": interrupt("Go?")}

    def work(state: State) -> Any:
        worked.append(state["out"])
        return {}

    saver = InMemorySaver()
    graph = gated(ask, work, saver=saver, state=State)
    config: Any = {"configurable": {"thread_id": "t"}}
    graph.invoke({"out": None}, config)
    waits = graph.get_state(config)
    saver.put_writes(waits.config, [("out", "go"), ("branch:to:execute", None)], waits.tasks[0].id)
    assert (graph.get_state(config).next, graph.get_state(config).interrupts) == ((), ())

    bridge = Bridge(graph, client, fields=fields)
    assert (await bridge.run("t")).status == "broken_off"
    assert worked == []
    assert (await bridge.run("t", again=True)).status == "finished"
    assert worked == ["go"]


async def test_who_claimed_and_went_away_is_replaced_by_one_only(
    client: AsyncClient, person: Person, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    graph = interrupting(calls)
    gone = Bridge(graph, client, fields=fields)

    async def dies(*_: Any) -> None:
        raise SystemError("killed here")

    monkeypatch.setattr(gone, "_resume", dies)
    running = asyncio.create_task(gone.run("t", {"proposed_action": SEND}))
    asked = await asyncio.to_thread(person.meet, client_id=fields["client_id"])
    await asyncio.to_thread(person.decide, asked["id"], "approve")
    with pytest.raises(SystemError):
        await running
    bridges = [Bridge(graph, client, fields=fields) for _ in range(3)]
    assert (await bridges[0].run("t")).status == "elsewhere"
    assert calls == []
    ends = await asyncio.gather(*(each.run("t", again=True) for each in bridges))
    assert calls == [("alice@x", 5)]
    assert "finished" in {end.status for end in ends}


# The gate that waits by itself, with the server as its approver.
async def test_a_gate_asks_a_server_and_the_run_takes_the_grant(
    client: AsyncClient, person: Person, fields: dict[str, Any]
) -> None:
    calls: list[Any] = []
    gate = hitl_gate_node(Asks(), client)
    execute = execute_tool_node({"send": recorder(calls)}, approver=client)
    graph = gated(gate, execute)
    name = f"send{next(_numbers)}"
    action = {"tool_name": "send", "tool_args": {"to": name, "amount": 1}}
    running = asyncio.create_task(graph.ainvoke({"proposed_action": action}))
    asked = await asyncio.to_thread(person.meet, q=name)
    await asyncio.to_thread(person.decide, asked["id"], "edit", args={"to": "b", "amount": 2})
    result = await running
    assert calls == [("b", 2)]
    request = person.http.get(f"/api/v1/requests/{asked['id']}").json()
    assert request["outcome"]["status"] == "succeeded"
    again = await graph.nodes["execute"].bound.ainvoke({**result, "tool_result": None})
    assert again["tool_result"]["error_class"] == "InvalidTransitionError", "It was claimed."
    assert calls == [("b", 2)]


class Patient(AsksTwo):
    """Goes on waiting where nobody answers in time."""

    def evaluate(self, *args: Any) -> Verdict:
        verdict = super().evaluate(*args)
        return msgspec.structs.replace(verdict, on_timeout="park", timeout_seconds=60.0)


async def test_an_edit_that_needs_two_people_is_asked_at_the_server_with_the_policys_silence(
    client: AsyncClient, person: Person
) -> None:
    calls: list[Any] = []
    execute = execute_tool_node({"send": recorder(calls)}, approver=client)
    graph = gated(hitl_gate_node(Patient(), client), execute)
    alice, bob = f"alice{next(_numbers)}", f"bob{next(_numbers)}"
    action = {"tool_name": "send", "tool_args": {"to": alice, "amount": 1}}
    running = asyncio.create_task(graph.ainvoke({"proposed_action": action}))
    first = await asyncio.to_thread(person.meet, q=alice)
    assert (first["on_timeout"], first["rule"]["approvals"]) == ("park", 1)
    edited = {"to": bob, "amount": 1}
    await asyncio.to_thread(person.decide, first["id"], "edit", args=edited)
    second = await asyncio.to_thread(person.meet, q=bob)
    assert second["id"] != first["id"]
    assert (second["on_timeout"], second["rule"]["approvals"]) == ("park", 2)
    await asyncio.to_thread(person.decide, second["id"], "reject", reason="not Bob")
    result = await running
    assert result["approval_decision"]["reason"] == "not Bob"
    assert calls == []


async def test_the_bridge_brings_the_policys_silence_and_asks_more_people_about_an_edit(
    client: AsyncClient, person: Person, fields: dict[str, Any]
) -> None:
    calls: list[Any] = []
    gate = create_interrupt_gate_node(Patient())
    execute = create_interrupt_tool_node({"send": recorder(calls)})
    bridged = Bridged(gated(gate, execute, saver=InMemorySaver()), client, person, **fields)
    running = bridged.start({"proposed_action": SEND})
    first = await bridged.decide("edit", args={"to": "bob@x", "amount": 5})
    second = await bridged.decide("reject", reason="not Bob")
    assert (first["on_timeout"], second["on_timeout"]) == ("park", "park")
    assert (first["rule"]["approvals"], second["rule"]["approvals"]) == (1, 2)
    assert (await running).values["approval_decision"]["reason"] == "not Bob"
    assert calls == []


async def test_a_graph_that_cannot_wait_is_refused(client: AsyncClient) -> None:
    with pytest.raises(UsageError, match="no checkpointer"):
        Bridge(gated(lambda _: {}, lambda _: {}), client)


async def test_a_thread_that_is_resumed_by_hand_is_left_alone(
    client: AsyncClient, person: Person, fields: dict[str, Any]
) -> None:
    calls: list[Any] = []
    graph = interrupting(calls)
    bridged = Bridged(graph, client, person, **fields)
    running = bridged.start({"proposed_action": SEND})
    asked = await bridged.meet()
    graph.invoke(Command(resume=[{"type": "ignore", "args": None}]), thread())
    await asyncio.to_thread(person.decide, asked["id"], "approve")
    assert (await running).status == "finished"
    assert calls == []
