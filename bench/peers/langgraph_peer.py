"""LangGraph: a graph of one node that calls `interrupt()`, on its asynchronous savers."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypedDict

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from bench.peers.driving import Job, main
from bench.questions import question

_CONNECTIONS = 8


class State(TypedDict, total=False):
    """What the graph keeps."""

    asked: dict[str, Any]
    approved: bool


def approval(state: State) -> State:
    """Ask a person."""
    return {"approved": interrupt(state["asked"])["approved"]}


class LangGraph:
    """Asks by running a graph until it is interrupted; answers by resuming its thread."""

    def __init__(self, saver: Any) -> None:
        graph = StateGraph(State)
        graph.add_node("approval", approval)
        graph.add_edge(START, "approval")
        graph.add_edge("approval", END)
        self._graph = graph.compile(checkpointer=saver)
        self._asked = [json.loads(question(number)) for number in range(64)]
        self._threads = 0

    async def ask(self, number: int) -> str:
        """Run until the interrupt is saved; nobody waits then."""
        self._threads += 1
        thread = f"thread-{self._threads}"
        state = await self._graph.ainvoke({"asked": self._asked[number % 64]}, _config(thread))
        if "__interrupt__" not in state:
            raise RuntimeError("LangGraph was not interrupted")
        return thread

    async def answer(self, key: str) -> None:
        """Resume, and run to the end."""
        state = await self._graph.ainvoke(Command(resume={"approved": True}), _config(key))
        if not state["approved"]:
            raise RuntimeError("LangGraph tells no")


def _config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[LangGraph]:
    """With the saver for the database that the address names."""
    if job["address"].startswith("postgresql:"):
        options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        async with AsyncConnectionPool(
            job["address"], min_size=_CONNECTIONS, max_size=_CONNECTIONS, kwargs=options
        ) as pool:
            saver = AsyncPostgresSaver(pool)  # type: ignore[arg-type]
            await saver.setup()
            yield LangGraph(saver)
    else:
        async with AsyncSqliteSaver.from_conn_string(job["address"]) as saver:
            await saver.setup()
            yield LangGraph(saver)


if __name__ == "__main__":
    main(opened)
