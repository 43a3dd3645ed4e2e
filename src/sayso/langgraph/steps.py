"""How a node is carried out: with or without an event loop, and each of its steps once.

LangGraph runs a node again from its start when it is resumed. What must not happen again is a
`Once`, a LangGraph task: its value is kept in the thread's checkpoint and taken from there. What a
person is asked is an `Ask`. A node's logic is a generator that yields them, so it is written once.
"""

import asyncio
import inspect
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeAlias, TypeVar, cast

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.errors import GraphInterrupt
from langgraph.func import task  # pyright: ignore[reportMissingTypeStubs]
from langgraph.types import Interrupt, interrupt
from msgspec import Struct

from sayso.errors import UsageError
from sayso.gate import portal
from sayso.types import Json, JsonObject

T = TypeVar("T")
_task: Any = task


def no_graph() -> UsageError:
    """Somebody would be asked, and no graph runs that could wait for the answer."""
    return UsageError(
        "It is called outside of a graph, so nobody can be asked.",
        hint="Call it in a node of a graph that was compiled with a checkpointer.",
    )


class Once(Struct, frozen=True):
    """Done once in a node's life, however often the node runs again."""

    name: str
    work: Callable[[], Any]
    """Gives a JSON value, or an awaitable of one."""
    blocks: bool = False
    """Whether it may take long, and so gets a thread if there is an event loop."""


class Ask(Struct, frozen=True):
    """A question to a person; the answer is what the graph is resumed with."""

    payload: Json
    digest: str
    """Of what it is about."""


Steps: TypeAlias = Generator[Once | Ask, Any, T]
Logic: TypeAlias = Callable[[JsonObject, RunnableConfig], Steps[JsonObject]]


class Node(RunnableLambda[Any, Any]):
    """A node for `add_node`, for `graph.invoke` and `graph.ainvoke` alike.

    It may be called by itself, too, without a graph: `node(state)`.
    """

    def __init__(self, logic: Logic, name: str) -> None:
        def run(state: Any, config: RunnableConfig) -> Any:
            return carry_out(logic(dict(state), config))

        async def arun(state: Any, config: RunnableConfig) -> Any:
            return await acarry_out(logic(dict(state), config))

        super().__init__(run, arun, name=name)

    def __call__(self, state: Any) -> Any:
        """Run it once, outside of any graph."""
        return self.invoke(state)


def carry_out(steps: Steps[T]) -> T:
    """Walk through `steps` without an event loop of one's own."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.send(value) if error is None else steps.throw(error)
        except StopIteration as end:
            return cast("T", end.value)
        value, error = None, None
        try:
            value = _ask(step) if isinstance(step, Ask) else _once(step)
        except BaseException as raised:  # noqa: BLE001  the steps see it first
            error = raised


async def acarry_out(steps: Steps[T]) -> T:
    """Walk through `steps` in the running event loop."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.send(value) if error is None else steps.throw(error)
        except StopIteration as end:
            return cast("T", end.value)
        value, error = None, None
        try:
            value = await (_aask(step) if isinstance(step, Ask) else _aonce(step))
        except BaseException as raised:  # noqa: BLE001  the steps see it first
            error = raised


def _once(step: Once) -> Any:
    def work() -> Any:
        result = step.work()
        return portal.run(_awaited(result)) if inspect.isawaitable(result) else result

    future = _begun(step.name, work)
    return work() if future is None else future.result()


async def _aonce(step: Once) -> Any:
    async def work() -> Any:
        result = await asyncio.to_thread(step.work) if step.blocks else step.work()
        return await result if inspect.isawaitable(result) else result

    def elsewhere() -> Any:
        return portal.run(work())

    future = _abegun(step.name, work, elsewhere)
    return await (work() if future is None else future)


def _abegun(
    name: str, work: Callable[[], Awaitable[Any]], elsewhere: Callable[[], Any]
) -> Awaitable[Any] | None:
    """The task's future; a graph that was called without an event loop takes no coroutines."""
    future = _begun(name, work)
    if future is None and (future := _begun(name, elsewhere)) is not None:
        future = asyncio.wrap_future(future)
    return future


def _begun(name: str, work: Callable[[], Any]) -> Any:
    """The task's future; None where no graph runs, so that nothing is kept."""
    try:
        return _task(work, name=name)()
    except (RuntimeError, KeyError):
        return None


async def _awaited(result: Awaitable[T]) -> T:
    return await result


# Several questions in one node. LangGraph hands out answers in the order in which `interrupt` is
# called, and surfaces one question at a time. Where a node asks from several threads or
# coroutines, that order is nobody's: an answer could reach a question that nobody has seen. So
# each question notes, in the order of the calls, what it is about; an answer is used only where
# that was noted before, for the same, and while one question of a node is open, all others of it
# surface that one.

_ASKING = "sayso_asking"
_in_order = threading.Lock()
_open: OrderedDict[str, tuple[str, Interrupt]] = OrderedDict()
_MAX_OPEN = 1_000


class _Note:
    """What a question is about; `fresh` if that was not noted in an earlier run of the node."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.fresh = False

    def make(self) -> str:
        self.fresh = True
        return self.digest

    async def amake(self) -> str:
        return self.make()


def _ask(step: Ask) -> Any:
    note = _Note(step.digest)
    with _in_order:
        noted = _begun(_ASKING, note.make)
        answer, stop = _asked(step)
    digest = None if noted is None else noted.result()
    return _fitting(step, answer, stop, seen=digest == step.digest and not note.fresh)


async def _aask(step: Ask) -> Any:
    note = _Note(step.digest)
    with _in_order:
        noted = _abegun(_ASKING, note.amake, note.make)
        answer, stop = _asked(step)
    digest = None if noted is None else await noted
    return _fitting(step, answer, stop, seen=digest == step.digest and not note.fresh)


def _asked(step: Ask) -> tuple[Any, GraphInterrupt | None]:
    try:
        return interrupt(step.payload), None
    except GraphInterrupt as stop:
        return None, stop
    except (RuntimeError, KeyError) as error:
        raise no_graph() from error


def _fitting(step: Ask, answer: Any, stop: GraphInterrupt | None, *, seen: bool) -> Any:
    if stop is not None:
        raise _first_open(step, stop)
    if not seen:
        raise UsageError(
            "An answer came to another question than the one that was shown, so it is not used.",
            hint="Ask one after the other and with the same arguments each time the node runs, or"
            " give each call a node of its own (Send), as create_agent does.",
        )
    return answer


def _first_open(step: Ask, stop: GraphInterrupt) -> GraphInterrupt:
    mine: Interrupt = stop.args[0][0]
    with _in_order:
        digest, first = _open.setdefault(mine.id, (step.digest, mine))
        while len(_open) > _MAX_OPEN:
            _open.popitem(last=False)
    return stop if digest == step.digest else GraphInterrupt((first,))
