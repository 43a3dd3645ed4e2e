"""Agents of LangChain's `create_agent`, with its middleware that asks, behind a bridge."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from support.person import Person
from support.server import RunningServer

from sayso import AsyncClient
from sayso.domain.actions import RiskClass
from sayso.langgraph import Bridge, hitl_action

_numbers = itertools.count()


class Scripted(GenericFakeChatModel):
    """A model that says what it is told to."""

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Any:
        return self


def says(*messages: AIMessage | str) -> Scripted:
    return Scripted(messages=iter(messages))


def calls(*named: tuple[str, str, dict[str, Any]]) -> AIMessage:
    listed = [{"id": key, "name": name, "args": args} for key, name, args in named]
    return AIMessage(content="", tool_calls=listed)


@pytest.fixture
async def client(server: RunningServer) -> AsyncGenerator[AsyncClient]:
    async with AsyncClient(server.url) as agent:
        yield agent


@pytest.fixture
def sent() -> list[Any]:
    return []


@pytest.fixture
def send(sent: list[Any]) -> Any:
    @tool
    def send(to: str, amount: int) -> str:
        """Send money."""
        sent.append((to, amount))
        if to == "nobody":
            raise ValueError("There is no such person.")
        return f"sent {amount} to {to}"

    return send


def told(values: Any) -> dict[str, Any]:
    """What the tools said, or what was said in their place, by the id of the call."""
    return {m.tool_call_id: m for m in values["messages"] if isinstance(m, ToolMessage)}


class Deciding:
    """A person who decides what a test's agent asks."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.client_id = f"agent-{next(_numbers)}"

    async def meet(self, count: int) -> dict[str, dict[str, Any]]:
        """So many pending requests, by the first argument of their actions."""
        while True:
            found = await asyncio.to_thread(self.person.pending, client_id=self.client_id)
            if len(found) >= count:
                return {each["action"]["tool_args"]["to"]: each for each in found}
            await asyncio.sleep(0.02)

    async def decide(self, request: dict[str, Any], type: str, **answer: Any) -> None:  # noqa: A002
        await asyncio.to_thread(self.person.decide, request["id"], type, **answer)

    def outcome(self, request: dict[str, Any]) -> Any:
        reply = self.person.http.get(f"/api/v1/requests/{request['id']}")
        return reply.json()["outcome"]


@pytest.mark.parametrize("mode", ["batched", "per_call"])
async def test_people_decide_on_each_call_of_an_agent(
    client: AsyncClient, person: Person, sent: list[Any], send: Any, mode: Any
) -> None:
    four = [(to, "send", {"to": to, "amount": 1}) for to in ("a", "b", "c", "d")]
    agent = create_agent(
        says(calls(*four), "done"),
        [send],
        middleware=[HumanInTheLoopMiddleware({"send": True}, interrupt_mode=mode)],
        checkpointer=InMemorySaver(),
    )
    deciding = Deciding(person)
    bridge = Bridge(agent, client, fields={"client_id": deciding.client_id})
    running = asyncio.create_task(bridge.run("t", {"messages": ["Pay them"]}))
    asked = await deciding.meet(4)
    if mode == "per_call":
        wrong = {"to": "bob", "amount": "much"}
        refused = person.try_to_decide(asked["b"]["id"], "edit", args=wrong)
        assert refused.status_code == 422, "The tool's own schema came along."
    await deciding.decide(asked["d"], "reject", reason="not Dave")
    await deciding.decide(asked["b"], "edit", args={"to": "bob", "amount": 2})
    await deciding.decide(asked["a"], "approve")
    await deciding.decide(asked["c"], "respond", content="Carol was paid already.")
    ended = await running
    assert ended.status == "finished"
    assert sorted(sent) == [("a", 1), ("bob", 2)]
    messages = told(ended.values)
    assert messages["a"].content == "sent 1 to a"
    assert "sent 2 to bob" in messages["b"].content
    assert (messages["c"].content, messages["c"].status) == ("Carol was paid already.", "success")
    assert "not Dave" in messages["d"].content
    assert messages["d"].status == "error"
    assert deciding.outcome(asked["a"]) | {"reported_at": 0, "reported_by": 0} == {
        "status": "succeeded",
        "result": "sent 1 to a",
        "error": "",
        "reported_at": 0,
        "reported_by": 0,
    }
    assert deciding.outcome(asked["b"])["status"] == "succeeded"
    assert "sent 2 to bob" in deciding.outcome(asked["b"])["result"]


# hitloop 6 and langgraph#6533: answers of calls that are made at once are not mixed up.
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_tools_that_ask_for_themselves_in_one_turn_are_decided_one_by_one(
    sent: list[Any], way: str
) -> None:
    @tool
    @hitl_action(RiskClass.HIGH, on_reject="return")
    def send(to: str, amount: int = 1) -> str:
        """Send money."""
        sent.append((to, amount))
        return f"sent to {to}"

    three = [(to, "send", {"to": to}) for to in ("a", "b", "c")]
    agent = create_agent(says(calls(*three), "done"), [send], checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}

    async def go(given: Any) -> Any:
        if way == "invoke":
            return await asyncio.to_thread(agent.invoke, given, config)
        return await agent.ainvoke(given, config)

    result = await go({"messages": ["Pay them"]})
    ids = {i.value[0]["action_request"]["args"]["to"]: i.id for i in result["__interrupt__"]}
    assert set(ids) == {"a", "b", "c"}
    edit = {"action": "send", "args": {"to": "carl", "amount": "3"}}
    answers = {
        ids["c"]: [{"type": "edit", "args": edit}],
        ids["b"]: {"approved": False, "reason": "no"},
        ids["a"]: True,
    }
    result = await go(Command(resume=answers))
    assert sorted(sent) == [("a", 1), ("carl", 3)]
    assert told(result)["b"].content == "send did not run: no"


async def test_a_tool_that_failed_is_told_to_who_approved_it(
    client: AsyncClient, person: Person, send: Any
) -> None:
    @tool
    def careful(to: str) -> str:
        """Send money."""
        message: ToolMessage = ToolMessage(f"no {to}", tool_call_id="x", status="error")
        return message  # type: ignore[return-value]

    agent = create_agent(
        says(calls(("x", "careful", {"to": "nobody"})), "done"),
        [careful],
        middleware=[HumanInTheLoopMiddleware({"careful": True})],
        checkpointer=InMemorySaver(),
    )
    deciding = Deciding(person)
    bridge = Bridge(agent, client, fields={"client_id": deciding.client_id})
    running = asyncio.create_task(bridge.run("t", {"messages": ["Pay them"]}))
    asked = await deciding.meet(1)
    await deciding.decide(asked["nobody"], "approve")
    await running
    outcome = deciding.outcome(asked["nobody"])
    assert outcome["status"] == "failed"
    assert "no nobody" in outcome["error"]
