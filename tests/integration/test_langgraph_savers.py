"""One thread on LangGraph's own savers for databases: several bridges at it, and what is killed."""

import asyncio
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import interrupt
from support.graphs import one_node, thread
from support.person import Person
from support.server import RunningServer
from support.servers import PostgresServer

from sayso import AsyncClient
from sayso.langgraph import Bridge, Ended
from sayso.langgraph.claims import Claims

BRIDGES = 4
_numbers = itertools.count()

Opener = Callable[[], AbstractAsyncContextManager[Any]]
"""A saver on one database, each time with a connection of its own, as another process has."""


class State(TypedDict, total=False):
    out: Any


@pytest.fixture(params=["sqlite", "postgres", "async postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    if request.param == "sqlite":
        return lambda: _sqlite(tmp_path / "threads.db")
    dsn = request.getfixturevalue("postgres_dsn")
    with PostgresSaver.from_conn_string(dsn) as saver:
        saver.setup()
    if request.param == "postgres":
        return lambda: _postgres(dsn)
    return lambda: AsyncPostgresSaver.from_conn_string(dsn)


@asynccontextmanager
async def _sqlite(path: Path) -> AsyncGenerator[SqliteSaver]:
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        yield SqliteSaver(connection)
    finally:
        connection.close()


@asynccontextmanager
async def _postgres(dsn: str) -> AsyncGenerator[PostgresSaver]:
    with PostgresSaver.from_conn_string(dsn) as saver:
        yield saver


def asks(_: State) -> Any:
    """A node that has a person say whether to send."""
    config = {"allow_ignore": True, "allow_accept": True}
    return {
        "out": interrupt([{"action_request": {"action": "send", "args": {}}, "config": config}])
    }


def at_once(one: Callable[[int], Any]) -> list[Any]:
    """What each of several coroutines comes to, every one in a thread with a loop of its own."""
    with ThreadPoolExecutor(BRIDGES) as threads:
        return list(threads.map(lambda n: asyncio.run(one(n)), range(BRIDGES)))


@pytest.mark.parametrize("type", ["approve", "reject"])
def test_of_bridges_that_have_the_same_decision_in_hand_one_resumes_the_thread(
    server: RunningServer,
    person: Person,
    opened: Opener,
    type: str,  # noqa: A002
) -> None:
    """stack.md: two concurrent resumes of one thread ran the gated node twice.

    None goes on before all of them have read that the thread waits, and what was decided.
    """
    client_id = f"race-{next(_numbers)}"
    everybody = threading.Barrier(BRIDGES)
    ran: list[Any] = []

    def answer(_: Any, requests: Any) -> Any:
        everybody.wait(30)
        return requests[0].decision.type.value

    def node(state: State) -> Any:
        said = asks(state)
        ran.append(said["out"])
        return said

    async def run(_: int) -> Ended:
        async with opened() as saver, AsyncClient(server.url) as client:
            graph = one_node(node, State, saver)
            bridge = Bridge(graph, client, fields={"client_id": client_id}, answer=answer)
            return await bridge.run("t")

    async def begin() -> None:
        async with opened() as saver:
            if isinstance(saver, AsyncPostgresSaver):
                await one_node(node, State, saver).ainvoke({"out": None}, thread())
            else:
                one_node(node, State, saver).invoke({"out": None}, thread())

    asyncio.run(begin())
    with ThreadPoolExecutor(1) as aside:
        ends = aside.submit(at_once, run)
        person.decide(person.meet(client_id=client_id)["id"], type)
    assert sorted(end.status for end in ends.result()) == ["elsewhere"] * (BRIDGES - 1) + [
        "finished"
    ]
    assert ran == [type]


def test_of_all_who_claim_at_once_each_is_told_the_same_one(opened: Opener) -> None:
    everybody = threading.Barrier(BRIDGES)

    async def begin() -> Any:
        async with opened() as saver:
            graph = one_node(asks, State, saver)
            if isinstance(saver, AsyncPostgresSaver):
                await graph.ainvoke({"out": None}, thread())
                return (await graph.aget_state(thread())).config
            graph.invoke({"out": None}, thread())
            return graph.get_state(thread()).config

    config = asyncio.run(begin())

    async def take(n: int) -> list[bool]:
        async with opened() as saver:
            claims = Claims(saver, in_threads=not isinstance(saver, AsyncPostgresSaver))
            taken: list[bool] = []
            for number in range(10):
                everybody.wait(30)
                taken.append(await claims.take(config, f"claim-{number}", f"word-{n}"))
            return taken

    assert [sum(each) for each in zip(*at_once(take), strict=True)] == [1] * 10


PROGRAM = """
import asyncio, os, signal, sys
from langgraph.checkpoint.postgres import PostgresSaver
from sayso import AsyncClient
from sayso.langgraph import Bridge, create_interrupt_gate_node, create_interrupt_tool_node
from support.graphs import SEND, Asks, gated

url, dsn, client_id, what = sys.argv[1:]

def send(to, amount):
    with open("sent.txt", "a") as sent:
        sent.write(f"{to} {amount}\\n")
    if what == "go on":
        os.kill(os.getpid(), signal.SIGKILL)
    return "sent"

async def main():
    with PostgresSaver.from_conn_string(dsn) as saver:
        gate = create_interrupt_gate_node(Asks())
        graph = gated(gate, create_interrupt_tool_node({"send": send}), saver=saver)
        async with AsyncClient(url) as client:
            bridge = Bridge(graph, client, fields={"client_id": client_id})
            if what == "begin":
                saver.setup()
                ended = await bridge.run("t", {"proposed_action": SEND})
            elif what == "again":
                ended = await bridge.run("t", again=True)
            else:
                ended = (await bridge.recover())["t"]
            print(ended.status)

asyncio.run(main())
"""


@pytest.mark.durable
@pytest.mark.timeout(600)
def test_what_was_asked_before_kill_9_of_program_and_database_is_carried_out_by_one_of_those_after(
    server: RunningServer,
    person: Person,
    postgres_server: PostgresServer,
    postgres_dsn: str,
    tmp_path: Path,
) -> None:
    """Of two that go on, one runs the tool, and is killed in it: then nobody does by itself."""
    client_id = f"killed-{next(_numbers)}"
    (tmp_path / "program.py").write_text(PROGRAM)
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])

    def live(what: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "program.py", server.url, postgres_dsn, client_id, what],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )

    first = live("begin")
    asked = person.meet(90, client_id=client_id)
    first.kill()
    first.communicate()
    postgres_server.kill9()
    person.decide(asked["id"], "edit", args={"to": "bob", "amount": 7})
    postgres_server.start()

    two = [live("go on"), live("go on")]
    said = {each.communicate(timeout=200)[0].strip(): each.returncode for each in two}
    assert said.pop("") == -signal.SIGKILL
    assert said in ({"elsewhere": 0}, {"broken_off": 0})
    assert (tmp_path / "sent.txt").read_text() == "bob 7\n"

    last = live("again")
    assert last.communicate(timeout=200)[0] == "finished\n"
    assert (tmp_path / "sent.txt").read_text() == "bob 7\n" * 2
    everything = person.http.get("/api/v1/requests", params={"client_id": client_id}).json()
    assert len(everything["items"]) == 1, "It was asked once."
