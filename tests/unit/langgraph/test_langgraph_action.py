"""`@hitl_action`: a function that asks before it runs."""

import asyncio
import datetime
import inspect
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Annotated, Any, TypedDict

import msgspec
import pytest
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import InjectedToolArg
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from support.graphs import Asks, Log, one_node, pending, thread

from sayso.domain.actions import RiskClass
from sayso.domain.rules import Rule
from sayso.errors import NotApprovedError, UsageError
from sayso.langgraph import hitl_action
from sayso.langgraph.asking import MAX_ROUNDS
from sayso.policies.base import Effect, Verdict

ACCEPT = [{"type": "accept", "args": None}]
IGNORE = [{"type": "ignore", "args": None}]


class State(TypedDict, total=False):
    out: Any


def edit(**args: Any) -> list[Any]:
    return [{"type": "edit", "args": {"action": "send", "args": args}}]


def graph_of(call: Any, saver: Any = None) -> Any:
    """A graph whose one node does `call()`; what that gives is `out`."""

    def node(_: State) -> Any:
        return {"out": call()}

    async def anode(_: State) -> Any:
        return {"out": await call()}

    return one_node(anode if inspect.iscoroutinefunction(call) else node, State, saver)


def shown(graph: Any) -> Any:
    """The first question."""
    (asked,) = pending(graph.invoke({}, thread()))
    return asked.value[0]


def answered(graph: Any, *answers: Any) -> Any:
    """What comes out after the first question and these answers."""
    result = graph.invoke({}, thread())
    for answer in answers:
        assert len(pending(result)) == 1
        result = graph.invoke(Command(resume=answer), thread())
    return result.get("out")


# hitloop 6: the side effect of the first of two ran twice.
def test_two_in_one_node_run_once_each() -> None:
    sent: list[str] = []
    log = Log()
    told: list[str] = []

    def note(asked: Any, _: str) -> None:
        told.append(asked["action_request"]["args"]["to"])

    @hitl_action(logger=log, on_interrupt=note)
    def send(to: str) -> str:
        sent.append(to)
        return f"sent {to}"

    graph = graph_of(lambda: [send("a"), send("b")])
    assert answered(graph, ACCEPT, ACCEPT) == ["sent a", "sent b"]
    assert sent == told == ["a", "b"]
    assert (
        log.names
        == [
            "action_proposed",
            "approval_requested",
            "approval_decided",
            "tool_execution_start",
            "tool_execution_end",
        ]
        * 2
    )


def test_what_failed_once_fails_again_without_running_again() -> None:
    tried: list[str] = []

    class StrangeError(Exception):
        pass

    @hitl_action()
    def send(to: str) -> str:
        tried.append(to)
        raise (ValueError if to == "a" else StrangeError)(f"no {to}")

    @hitl_action()
    def wait() -> str:
        return "waited"

    def call() -> Any:
        errors = list[str]()
        for to in ("a", "b"):
            try:
                send(to)
            except Exception as error:  # noqa: BLE001
                errors.append(f"{type(error).__name__}: {error}")
        return [*errors, wait()]

    out = answered(graph_of(call), ACCEPT, ACCEPT, ACCEPT)
    assert tried == ["a", "b"]
    assert out == ["ValueError: no a", "RuntimeError: StrangeError: no b", "waited"]


# hitloop 29, from here on: defaults were not shown, asynchronous functions became synchronous, ...
def test_all_arguments_are_shown_those_with_defaults_too() -> None:
    @hitl_action(RiskClass.HIGH)
    def send(to: str, amount: int = 3, *cc: str, when: datetime.date | None = None) -> None: ...

    question = shown(graph_of(lambda: send("a", when=datetime.date(2026, 1, 2))))
    assert question["action_request"] == {
        "action": "send",
        "args": {"to": "a", "amount": 3, "cc": [], "when": "2026-01-02"},
    }
    assert question["sayso"]["action"]["risk_class"] == "high"


async def test_an_asynchronous_function_stays_one_with_and_without_an_event_loop() -> None:
    sent: list[str] = []

    @hitl_action()
    async def send(to: str) -> str:
        await asyncio.sleep(0)
        sent.append(to)
        return f"sent {to}"

    assert inspect.iscoroutinefunction(send)

    async def call() -> Any:
        return [await send("a"), await send("b")]

    graph = graph_of(call)
    await graph.ainvoke({}, thread())
    await graph.ainvoke(Command(resume=ACCEPT), thread())
    result = await graph.ainvoke(Command(resume=ACCEPT), thread())
    assert result["out"] == ["sent a", "sent b"]
    assert sent == ["a", "b"]


def test_an_edit_runs_with_the_types_of_the_hints() -> None:
    got: list[Any] = []

    @hitl_action()
    def send(to: str, amount: int = 0, when: datetime.date = datetime.date(2026, 1, 1)) -> None:
        got.append((to, amount, when))

    graph = graph_of(lambda: send("a"))
    answered(graph, edit(to="b", amount="7", when="2026-02-03"))
    assert got == [("b", 7, datetime.date(2026, 2, 3))]
    for wrong in ({"to": "b", "amount": "x"}, {"to": "b", "extra": "1"}, {"amount": "1"}):
        with pytest.raises(NotApprovedError, match="could not be used"):
            answered(graph_of(lambda: send("a")), edit(**wrong))
    assert len(got) == 1


def test_a_description_may_have_braces() -> None:
    @hitl_action(description='{tool_name} {args} {risk} {"json": {}} {0} {x}')
    def send(to: str) -> None: ...

    text = shown(graph_of(lambda: send("{risk}")))["description"]
    assert text == "send {'to': '{risk}'} medium {\"json\": {}} {0} {x}"


def test_low_risk_is_not_asked_about_and_doubt_is() -> None:
    def broken(_: Any) -> Any:
        raise KeyError("amount")

    def odd(args: Any) -> tuple[bool, str]:
        return args["to"] != "evil", "A new recipient"

    def call(to: str = "a", **options: Any) -> Any:
        @hitl_action(**options)
        def send(to: str) -> str:
            return "sent"

        return graph_of(lambda: send(to))

    low = RiskClass.LOW
    assert call(risk_class=low, anomaly_validators=[odd]).invoke({}, thread())["out"] == "sent"
    assert call(risk_class=lambda _: low).invoke({}, thread())["out"] == "sent"
    for graph, why in (
        (call("evil", risk_class=low, anomaly_validators=[odd]), "A new recipient"),
        (call(risk_class=low, anomaly_validators=[broken]), "Validator error: KeyError: 'amount'"),
        (call(risk_class=broken), "Risk unknown: KeyError: 'amount'"),
        (call(risk_class=lambda _: "enormous"), "Risk unknown"),
        (call(risk_class=lambda _: None), "Risk unknown"),
    ):
        question = shown(graph)
        assert question["sayso"]["action"]["risk_class"] == "high"
        assert why in question["description"]


def test_a_rejection_raises_or_returns_as_asked() -> None:
    def graph(**options: Any) -> Any:
        @hitl_action(**options)
        def send(to: str) -> str:
            raise AssertionError("It ran.")

        return graph_of(lambda: send("a"))

    no = {"approved": False, "reason": "wrong person", "decided_by": "bob"}
    with pytest.raises(NotApprovedError, match="wrong person"):
        answered(graph(), no)
    assert answered(graph(on_reject="return"), no) == "send did not run: wrong person"
    answer = [{"type": "response", "args": "It is Tuesday."}]
    assert answered(graph(on_reject="return"), answer) == "It is Tuesday."


def test_a_policy_may_say_whether_a_person_is_asked() -> None:
    @hitl_action(policy=Asks(Effect.ALLOW, Effect.ASK, Effect.DENY))
    def send(to: str) -> str:
        return to

    graph = graph_of(lambda: [send("a"), send("b")])
    assert answered(graph, ACCEPT) == ["a", "b"]
    with pytest.raises(NotApprovedError, match="said deny"):
        answered(graph_of(lambda: send("c")))


def test_what_the_framework_puts_in_is_not_shown() -> None:
    class Mail:
        @hitl_action()
        def send(
            self,
            to: str,
            token: Annotated[str, InjectedToolArg],
            config: RunnableConfig | None = None,
        ) -> str:
            return token

    graph = graph_of(lambda: Mail().send("a", "secret"))
    question = shown(graph)
    assert question["action_request"]["args"] == {"to": "a", "config": None}
    assert "secret" not in str(question)
    assert graph.invoke(Command(resume=ACCEPT), thread())["out"] == "secret"


def test_what_a_checkpoint_cannot_keep_is_returned_once_and_does_not_run_again() -> None:
    sent: list[Any] = []

    @hitl_action()
    def send() -> Any:
        sent.append(object())
        return sent[-1]

    @hitl_action()
    def then() -> str:
        return "then"

    with pytest.raises(UsageError, match="a checkpoint cannot keep"):
        answered(graph_of(lambda: [str(send()), then()]), ACCEPT, ACCEPT)
    assert len(sent) == 1
    assert answered(graph_of(lambda: bool(send())), ACCEPT) is True


def test_another_call_than_the_one_that_was_asked_about_is_refused() -> None:
    calls = iter("abc")
    sent: list[str] = []

    @hitl_action()
    def send(to: str) -> None:
        sent.append(to)

    with pytest.raises(UsageError, match="with other arguments"):
        answered(graph_of(lambda: send(next(calls))), ACCEPT)
    assert sent == []


# LangGraph hands answers out in the order in which `interrupt` is called, whoever calls.
def test_an_answer_to_one_of_two_in_threads_does_not_let_the_other_run() -> None:
    sent: list[str] = []
    order = ["a", "b"]

    @hitl_action()
    def send(to: str) -> str:
        sent.append(to)
        return to

    def call() -> Any:
        """Both, each in a thread, begun in the order of `order`; what `b` raises comes first."""
        found: dict[str, Any] = {}
        for to in order:
            with ThreadPoolExecutor(1) as pool:
                found[to] = pool.submit(copy_context().run, send, to)
        return [found[to].result() for to in ("b", "a")]

    graph = graph_of(call)
    (asked,) = pending(graph.invoke({}, thread()))
    assert asked.value[0]["action_request"]["args"] == {"to": "a"}, "It was asked first."
    order.reverse()
    with pytest.raises(UsageError):
        graph.invoke(Command(resume={asked.id: ACCEPT}), thread())
    assert sent == []
    order.reverse()
    result = graph.invoke(None, thread())
    assert len(pending(result)) == 1
    assert sent == ["a"]


async def test_two_at_once_in_coroutines_are_asked_one_after_the_other() -> None:
    sent: list[str] = []

    @hitl_action(on_reject="return")
    async def send(to: str) -> str:
        sent.append(to)
        return to

    async def call() -> Any:
        return await asyncio.gather(send("a"), send("b"))

    graph = graph_of(call, InMemorySaver())
    seen = list[str]()
    result = await graph.ainvoke({}, thread())
    for answer in (ACCEPT, IGNORE):
        (asked,) = pending(result)
        seen.append(asked.value[0]["action_request"]["args"]["to"])
        result = await graph.ainvoke(Command(resume=answer), thread())
    assert seen == ["a", "b"]
    assert sent == ["a"]
    assert result["out"] == ["a", "send did not run: Ignored by human"]


def test_outside_of_a_graph_it_does_not_run() -> None:
    @hitl_action()
    def send(to: str) -> None:
        raise AssertionError("It ran.")

    with pytest.raises(UsageError, match="outside of a graph"):
        send("a")
    with pytest.raises(UsageError, match="outside of a graph"):
        RunnableLambda(lambda _: send("a")).invoke(None)


async def test_outside_of_a_graph_a_coroutine_function_does_not_run_either() -> None:
    @hitl_action()
    async def send(to: str) -> None:
        raise AssertionError("It ran.")

    with pytest.raises(UsageError, match="outside of a graph"):
        await send("a")


def test_what_is_edited_for_ever_does_not_run_in_the_end() -> None:
    class Turns(Asks):
        def evaluate(self, *args: Any) -> Verdict:
            verdict = super().evaluate(*args)
            groups = ("a",) if len(self.seen) % 2 else ("b",)
            return msgspec.structs.replace(verdict, review=Rule(groups=groups))

    sent: list[str] = []

    @hitl_action(policy=Turns(), on_reject="return")
    def send(to: str) -> str:
        sent.append(to)
        return to

    edits = [edit(to=f"person {n}") for n in range(MAX_ROUNDS)]
    assert "again and again" in answered(graph_of(lambda: send("a")), *edits)
    assert sent == []
