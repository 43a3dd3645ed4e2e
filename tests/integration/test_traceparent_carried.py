"""The span that asks, also out of LangGraph's nodes and through backends of one's own."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from support.graphs import SEND, Asks, gated, recorder, thread
from support.person import Person
from support.server import RunningServer
from support.sink import Sink

from sayso import AsyncClient
from sayso.backends import (
    PersistentWebhookBackend,
    SimpleHTTPWebhookBackend,
    SQLiteApprovalStore,
)
from sayso.client.tracing import current_traceparent
from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.gate import Gate
from sayso.langgraph import (
    Bridge,
    create_interrupt_gate_node,
    create_interrupt_tool_node,
    execute_tool_node,
    hitl_gate_node,
)
from sayso.telemetry.otel import OpenTelemetry


class Begun(SpanProcessor):
    """All spans, as soon as they begin: whether each of them ends is another question."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_start(self, span: ReadableSpan, parent_context: Any = None) -> None:
        del parent_context
        self.spans.append(span)


_numbers = itertools.count()
_begun = Begun()
_provider = TracerProvider()
_provider.add_span_processor(_begun)
_tracer = _provider.get_tracer("test")
ACTION = {"tool_name": "send", "tool_args": {"to": "ann"}}


def new() -> dict[str, Any]:
    """An action of its own, by which its request is found."""
    return {**SEND, "tool_args": {"to": f"traced{next(_numbers)}", "amount": 1}}


def calls(run_id: str) -> list[ReadableSpan]:
    """The spans of the calls of a run."""
    return [
        span
        for span in _begun.spans
        if (span.attributes or {}).get("gen_ai.conversation.id") == run_id
    ]


def links(run_id: str) -> list[tuple[int, int]]:
    """Where these link to."""
    found = [link.context for span in calls(run_id) for link in span.links]
    return [(each.trace_id, each.span_id) for each in found]


@pytest.fixture
async def client(server: RunningServer) -> AsyncGenerator[AsyncClient]:
    async with AsyncClient(server.url) as agent:
        yield agent


@pytest.mark.parametrize("in_loop", [True, False])
async def test_a_gate_node_asks_a_server_as_the_span_in_which_its_graph_runs(
    client: AsyncClient, person: Person, *, in_loop: bool
) -> None:
    action = new()
    gate, execute = hitl_gate_node(Asks(), client), execute_tool_node({"send": recorder([])})
    graph = gated(gate, execute)
    given = {"proposed_action": action}
    with _tracer.start_as_current_span("asking"):
        span = current_traceparent()
        work = graph.ainvoke(given) if in_loop else asyncio.to_thread(graph.invoke, given)
        running = asyncio.create_task(work)
    asked = await asyncio.to_thread(person.meet, q=action["tool_args"]["to"])
    await asyncio.to_thread(person.decide, asked["id"], "reject")
    await running
    assert span is not None
    assert asked["traceparent"] == span


async def test_a_node_that_is_begun_again_has_a_link_to_the_span_that_asked(
    client: AsyncClient, person: Person
) -> None:
    action, run_id = new(), f"run-{next(_numbers)}"
    saver = InMemorySaver()

    def graph() -> Any:
        """As another process makes it."""
        telemetry = OpenTelemetry(_provider)
        execute = execute_tool_node({"send": recorder([])}, telemetry, approver=client)
        return gated(hitl_gate_node(Asks(), client, telemetry), execute, saver=saver)

    config = thread(run_id)
    with _tracer.start_as_current_span("asking") as asking:
        first = asyncio.create_task(graph().ainvoke({"proposed_action": action}, config))
        asked = await asyncio.to_thread(person.meet, q=action["tool_args"]["to"])
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    await asyncio.to_thread(person.decide, asked["id"], "approve")
    result = await graph().ainvoke(None, config)
    assert result["tool_result"]["success"], result
    context = asking.get_span_context()
    assert (context.trace_id, context.span_id) in links(run_id)


async def test_a_thread_that_waits_aside_is_asked_about_as_the_span_that_came_to_the_question(
    client: AsyncClient, person: Person
) -> None:
    action, run_id = new(), f"run-{next(_numbers)}"
    saver = InMemorySaver()

    def graph() -> Any:
        telemetry = OpenTelemetry(_provider)
        gate = create_interrupt_gate_node(Asks(), telemetry)
        execute = create_interrupt_tool_node({"send": recorder([])}, telemetry)
        return gated(gate, execute, saver=saver)

    with _tracer.start_as_current_span("asking") as asking:
        span = current_traceparent()
        await graph().ainvoke({"proposed_action": action}, thread(run_id))
    with _tracer.start_as_current_span("bridging"):
        running = asyncio.create_task(Bridge(graph(), client).run(run_id))
    asked = await asyncio.to_thread(person.meet, q=action["tool_args"]["to"])
    assert asked["traceparent"] == span
    await asyncio.to_thread(person.decide, asked["id"], "approve")
    assert (await running).status == "finished"
    context = asking.get_span_context()
    assert (context.trace_id, context.span_id) in links(run_id)


async def test_in_one_process_a_call_that_was_put_aside_is_one_call_without_a_link_to_itself() -> (
    None
):
    run_id, telemetry = f"run-{next(_numbers)}", OpenTelemetry(_provider)
    gate = create_interrupt_gate_node(Asks(), telemetry)
    execute = create_interrupt_tool_node({"send": recorder([])}, telemetry)
    graph = gated(gate, execute, saver=InMemorySaver())
    with _tracer.start_as_current_span("asking"):
        await graph.ainvoke({"proposed_action": SEND}, thread(run_id))
        with _tracer.start_as_current_span("deciding"):
            resumed = Command(resume=[{"type": "accept", "args": None}])
            await graph.ainvoke(resumed, thread(run_id))
    (call,) = calls(run_id)
    assert call.end_time is not None
    assert links(run_id) == []


async def test_what_a_foreign_graph_calls_a_span_and_is_none_is_left_out(
    client: AsyncClient, person: Person
) -> None:
    action = new()["tool_args"]["to"]

    def asks(_: Any) -> Any:
        request = {
            "action_request": {"action": "send", "args": {"to": action}},
            "config": {"allow_accept": True, "allow_ignore": True},
            "sayso": {"traceparent": "00-nonsense"},
        }
        interrupt([request])
        return {}

    graph = gated(asks, lambda _: {}, saver=InMemorySaver())
    running = asyncio.create_task(Bridge(graph, client).run(action, {}))
    asked = await asyncio.to_thread(person.meet, q=action)
    await asyncio.to_thread(person.decide, asked["id"], "approve")
    await running
    assert "traceparent" not in asked


async def test_a_persistent_backend_keeps_the_span_and_tells_it_on_though_another_asks_again(
    tmp_path: Path,
) -> None:
    path, sent = tmp_path / "approvals.db", list[ApprovalRequest]()
    came = asyncio.Event()

    def send(request: ApprovalRequest, callback_id: str, url: str) -> None:
        sent.append(request)
        came.set()

    async def ask(store: SQLiteApprovalStore) -> asyncio.Task[Any]:
        gate = Gate(Asks(), PersistentWebhookBackend(send, store))
        came.clear()
        running = asyncio.create_task(gate.run(ACTION, recorder([]), key="mail-7"))
        await asyncio.wait_for(came.wait(), 30)
        return running

    with _tracer.start_as_current_span("asking"):
        span = current_traceparent()
        async with SQLiteApprovalStore(path) as store:
            running = await ask(store)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    with _tracer.start_as_current_span("asking again"):
        async with SQLiteApprovalStore(path) as store:
            backend = PersistentWebhookBackend(send, store)
            running = await ask(store)
            (record,) = await store.list_pending()
            await backend.handle_callback(record.callback_id, approved=True)
            assert await running == "sent"
    assert span is not None
    assert record.traceparent == record.to_request().traceparent == span
    assert [request.traceparent for request in sent] == [span, span]


async def test_what_is_posted_has_the_span_in_its_header() -> None:
    with Sink() as sink, _tracer.start_as_current_span("asking"):
        backend = SimpleHTTPWebhookBackend(f"{sink.url}/ask")
        request = ApprovalRequest(run_id="r", action=Action(**ACTION))
        running = asyncio.create_task(backend.request_approval(request))
        (posted,) = await asyncio.to_thread(sink.meet, "/ask")
        await backend.handle_callback(posted.told["callback_id"], approved=True)
        await running
        assert posted.headers["traceparent"] == current_traceparent()
        assert posted.told["traceparent"] == current_traceparent()
