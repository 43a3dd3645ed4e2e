"""The span that asks: kept with the request, told to targets, linked from where it goes on."""

from collections.abc import Generator
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.person import Person
from support.server import RunningServer
from support.sink import Sink

from sayso import Client
from sayso.errors import InvalidRequestError, NotApprovedError
from sayso.gate import Gate
from sayso.policies.base import NO_CONTEXT, Context, Effect, Policy, Verdict
from sayso.telemetry.otel import OpenTelemetry

REQUESTS, WEBHOOKS = "/api/v1/requests", "/api/v1/webhooks"
GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ACTION = {"tool_name": "send_email", "tool_args": {"to": "ann@example.com"}}


class Asks(Policy):
    @property
    def name(self) -> str:
        return "asks"

    def evaluate(self, action: Any, context: Context = NO_CONTEXT) -> Verdict:
        return Verdict(effect=Effect.ASK, reason="always", policy="asks")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningServer]:
    environment = {"SAYSO_CALLBACK_NETWORKS": "127.0.0.0/8"}
    running = RunningServer(tmp_path_factory.mktemp("server"), environment=environment).start()
    yield running
    running.stop()


@pytest.fixture
def agent(server: RunningServer) -> Generator[httpx2.Client]:
    with server.http() as http:
        yield http


def test_a_request_keeps_the_span_that_asked_and_callbacks_and_webhooks_carry_it(
    agent: httpx2.Client, person: Person
) -> None:
    with Sink() as sink:
        webhook = agent.post(WEBHOOKS, json={"url": f"{sink.url}/hook"}).json()
        body = {"message": "Go on?", "callback_url": f"{sink.url}/callback"}
        asked = agent.post(REQUESTS, json=body, headers={"traceparent": GOOD}).json()
        assert asked["traceparent"] == GOOD
        person.decide(asked["id"], "approve")
        for each in (*sink.meet("/hook", 2), *sink.meet("/callback")):
            assert each.headers["traceparent"] == GOOD
            assert each.told["data"]["request"]["traceparent"] == GOOD
        agent.delete(f"{WEBHOOKS}/{webhook['id']}")


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "x" * 4_000,
        GOOD.upper(),
        f"{GOOD}-more",
        f"ff{GOOD[2:]}",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-<script>alert()-01",
    ],
)
def test_what_is_no_span_leaves_nothing_behind(agent: httpx2.Client, sent: str | None) -> None:
    headers = {} if sent is None else {"traceparent": sent}
    reply = agent.post(REQUESTS, json={"message": "Go on?"}, headers=headers)
    assert reply.status_code == 201
    assert "traceparent" not in reply.json()


def test_another_span_under_the_same_key_is_the_same_question(agent: httpx2.Client) -> None:
    first, again = (
        agent.post(
            REQUESTS,
            json={"message": "Go on?"},
            headers={"idempotency-key": "traced", "traceparent": GOOD[:-1] + flag},
        )
        for flag in "01"
    )
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["traceparent"] == GOOD[:-1] + "0"


def test_a_span_that_is_named_is_sent_and_one_that_is_none_is_refused(
    server: RunningServer,
) -> None:
    with Client(server.url) as client:
        assert client.submit("Go on?", traceparent=GOOD).traceparent == GOOD
        with pytest.raises(InvalidRequestError, match="no traceparent"):
            client.submit("Go on?", traceparent="4711")


def test_a_call_that_goes_on_in_another_process_has_a_link_to_the_span_that_asked(
    server: RunningServer, person: Person
) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("test")
    with Client(server.url) as client:
        # Each gate remembers its own calls only, as one process each would.
        with (
            tracer.start_as_current_span("asking") as asking,
            pytest.raises(NotApprovedError) as pending,
        ):
            Gate(Asks(), client).run_sync(ACTION, _send, key="t:1", timeout=0)
        asked = asking.get_span_context()
        request = pending.value.request or {}
        assert request["traceparent"][:-2] == f"00-{asked.trace_id:032x}-{asked.span_id:016x}-"
        person.decide(request["id"], "approve")
        later = Gate(Asks(), client, telemetry=OpenTelemetry(provider))
        assert later.run_sync(ACTION, _send, key="t:1") == "sent"
    told = {span.name: span for span in kept.get_finished_spans()}
    for name in ("execute_tool send_email", "hitl.wait"):
        links = [link.context for link in told[name].links]
        assert [(each.trace_id, each.span_id) for each in links] == [
            (asked.trace_id, asked.span_id)
        ]


def _send(to: str) -> str:
    return "sent"
