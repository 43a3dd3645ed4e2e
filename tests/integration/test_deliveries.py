"""Callbacks and webhooks from a real server to a real target."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook
from support.person import Person
from support.server import RunningServer, port_to_come_back_to
from support.sink import TAKEN, Sink

from sayso.links import load_secret
from sayso.signatures import callback_secret

REQUESTS = "/api/v1/requests"
LOOPBACK = {"SAYSO_CALLBACK_NETWORKS": "127.0.0.0/8"}
SOON = LOOPBACK | {"SAYSO_CALLBACK_RETRIES": "0.1,0.1,0.1", "SAYSO_CALLBACK_TIMEOUT": "30"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningServer]:
    """A server that may call this machine, and tries again soon."""
    running = RunningServer(tmp_path_factory.mktemp("server"), environment=SOON).start()
    yield running
    running.stop()


@pytest.fixture
def sink() -> Generator[Sink]:
    with Sink() as running:
        yield running


def hold(sink: Sink) -> threading.Event:
    """It answers nothing before this is set; what comes is noted all the same."""
    goes_on = threading.Event()
    sink.answers["/told"] = lambda _: (goes_on.wait(170), TAKEN)[1]
    return goes_on


def ask(server: RunningServer, **more: Any) -> str:
    with server.http() as agent:
        reply = agent.post(REQUESTS, json={"message": "Go on?", **more})
        assert reply.status_code == 201, reply.text
        return reply.json()["id"]


def verified(server: RunningServer, delivery: Any) -> dict[str, Any]:
    """What came, if the reference library takes its signature."""
    secret = callback_secret(load_secret(server.secret, create=False))
    return Webhook(secret).verify(delivery.body, dict(delivery.headers))


def by_decision(server: RunningServer, person: Person, request_id: str) -> str:
    person.decide(request_id, "approve")
    return "approved"


def by_cancellation(server: RunningServer, person: Person, request_id: str) -> str:
    with server.http() as agent:
        assert agent.post(f"{REQUESTS}/{request_id}/cancel").status_code == 200
    return "cancelled"


def by_deadline(server: RunningServer, person: Person, request_id: str) -> str:
    return "expired"


@pytest.mark.parametrize("end", [by_decision, by_cancellation, by_deadline])
def test_a_callback_is_told_how_the_request_ended(
    server: RunningServer, person: Person, sink: Sink, end: Callable[..., str]
) -> None:
    timeout = 0.3 if end is by_deadline else 60
    request_id = ask(server, callback_url=f"{sink.url}/told", timeout_seconds=timeout)
    status = end(server, person, request_id)
    delivery, *again = sink.meet("/told")
    assert {each.id for each in again} <= {delivery.id}
    told = verified(server, delivery)
    assert told["type"] == f"request.{'decided' if status == 'approved' else status}"
    with server.http() as agent:
        assert told["data"]["request"] == agent.get(f"{REQUESTS}/{request_id}").json()
    assert told["data"]["request"]["status"] == status


def test_a_target_that_fails_twice_is_told_at_last_under_one_id(
    server: RunningServer, person: Person, sink: Sink
) -> None:
    sink.answers["/told"] = lambda number: (500, {}, b"no") if number < 3 else TAKEN
    person.decide(ask(server, callback_url=f"{sink.url}/told"), "approve")
    deliveries = sink.meet("/told", 3)
    assert len({each.id for each in deliveries}) == 1
    for each in deliveries:
        verified(server, each)


def test_a_slow_target_does_not_hold_up_a_fast_one(server: RunningServer, person: Person) -> None:
    with Sink() as slow, Sink() as fast:
        goes_on = hold(slow)
        for _ in range(40):
            person.decide(ask(server, callback_url=f"{slow.url}/told"), "approve")
        person.decide(ask(server, callback_url=f"{fast.url}/told"), "approve")
        fast.meet("/told", seconds=25)  # no try at the slow one has ended by then
        goes_on.set()
        slow.meet("/told", 40)


def test_a_redirect_is_not_followed(server: RunningServer, person: Person, sink: Sink) -> None:
    sink.answers["/told"] = lambda _: (307, {"location": f"{sink.url}/elsewhere"}, b"")
    person.decide(ask(server, callback_url=f"{sink.url}/told"), "approve")
    sink.meet("/told", 2)
    assert sink.at("/elsewhere") == []


def test_reminders_are_events(server: RunningServer, person: Person) -> None:
    began = time.monotonic()
    request_id = ask(server, remind_every_seconds=1, timeout_seconds=60)
    while True:
        with server.http() as agent:
            request = agent.get(f"{REQUESTS}/{request_id}?wait=0.2").json()
        if request["reminders"] or request["status"] != "pending":
            break
    assert 1 <= request["reminders"] <= time.monotonic() - began
    assert request["status"] == "pending"
    person.decide(request_id, "approve")


@contextlib.contextmanager
def server_that_may_die(folder: Path, **more: str) -> Generator[RunningServer]:
    running = RunningServer(folder, port=port_to_come_back_to(), environment=SOON | more).start()
    try:
        yield running
    finally:
        running.kill9()


def test_a_decision_before_a_crash_is_delivered_after_the_restart(
    tmp_path: Path, sink: Sink
) -> None:
    with server_that_may_die(tmp_path) as server:
        goes_on = hold(sink)
        person = Person(server)
        for _ in range(20):
            person.decide(ask(server, callback_url=f"{sink.url}/told"), "approve")
        person.close()
        sink.meet("/told")
        server.kill9()
        before = {each.id for each in sink.at("/told")}
        sink.answers.clear()
        goes_on.set()
        sink.deliveries.clear()
        server.restart()
        until = time.monotonic() + 60
        while len({each.id for each in sink.at("/told")}) < 20 and time.monotonic() < until:
            time.sleep(0.02)
        assert len({each.id for each in sink.at("/told")}) == 20
        assert before <= {each.id for each in sink.at("/told")}
        assert len({verified(server, e)["data"]["request_id"] for e in sink.at("/told")}) == 20


def test_a_storm_of_decisions_and_crashes_tells_of_each_at_least_once(
    tmp_path: Path, sink: Sink
) -> None:
    asked: dict[str, int] = {}
    with server_that_may_die(tmp_path) as server:
        for _ in range(3):
            person = Person(server)
            for _ in range(25):
                request_id = ask(server, callback_url=f"{sink.url}/told")
                person.decide(request_id, "approve")
                asked[request_id] = 0
            server.kill9()
            person.close()
            server.restart()
        until = time.monotonic() + 60
        while time.monotonic() < until and 0 in asked.values():
            time.sleep(0.05)
            asked = dict.fromkeys(asked, 0)
            for each in sink.at("/told"):
                asked[each.told["data"]["request_id"]] += 1
        assert 0 not in asked.values()
        ids = {(each.told["data"]["request_id"], each.id) for each in sink.at("/told")}
        assert len(ids) == len(asked), "one id for each"


def test_a_server_that_is_stopped_puts_back_what_it_cannot_finish(
    tmp_path: Path, sink: Sink
) -> None:
    with server_that_may_die(tmp_path) as server:
        goes_on = hold(sink)
        person = Person(server)
        person.decide(ask(server, callback_url=f"{sink.url}/told"), "approve")
        person.close()
        sink.meet("/told")
        server.stop(25)  # before the try has ended
        assert server.process is not None
        assert server.process.returncode == 0
        sink.answers.clear()
        goes_on.set()
        server.start()
        first, second, *_ = sink.meet("/told", 2, seconds=50)  # before its lease would have ended
        assert first.id == second.id


def test_without_a_worker_nothing_is_sent_until_there_is_one(tmp_path: Path, sink: Sink) -> None:
    with server_that_may_die(tmp_path, SAYSO_WORKER="false") as server:
        person = Person(server)
        person.decide(ask(server, callback_url=f"{sink.url}/told"), "approve")
        person.close()
        time.sleep(0.7)
        assert sink.deliveries == []
