"""Subscriptions, dead letters and more time, over HTTP, the command line and Python."""

import asyncio
import json
import re
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets
from standardwebhooks import Webhook
from support import warm
from support.columns import rows_of
from support.person import Person
from support.problems import checked, told
from support.server import RunningServer, clean_environment
from support.sink import TAKEN, Sink

from sayso import AsyncClient, Client, verify_webhook

REQUESTS, WEBHOOKS, DELIVERIES = "/api/v1/requests", "/api/v1/webhooks", "/api/v1/deliveries"
SOON = {
    "SAYSO_CALLBACK_NETWORKS": "127.0.0.0/8",
    "SAYSO_CALLBACK_RETRIES": "0.1",
    "SAYSO_CALLBACK_TIMEOUT": "30",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningServer]:
    """A server that may call this machine, tries again once, and soon."""
    running = RunningServer(tmp_path_factory.mktemp("server"), environment=SOON).start()
    yield running
    running.stop()


@pytest.fixture
def sink() -> Generator[Sink]:
    with Sink() as running:
        yield running


@pytest.fixture
def agent(server: RunningServer) -> Generator[httpx2.Client]:
    with server.http() as http:
        yield http
        for webhook in http.get(WEBHOOKS).json()["items"]:
            assert http.delete(f"{WEBHOOKS}/{webhook['id']}").status_code == 200


def ask(http: httpx2.Client, **more: Any) -> str:
    reply = http.post(REQUESTS, json={"message": "Go on?", **more})
    assert reply.status_code == 201, reply.text
    return reply.json()["id"]


def subscribe(http: httpx2.Client, url: str, **more: Any) -> dict[str, Any]:
    reply = http.post(WEBHOOKS, json={"url": url, **more})
    assert reply.status_code == 201, reply.text
    return reply.json()


def soon_dead(http: httpx2.Client, request_id: str) -> dict[str, Any]:
    """The request's delivery, as soon as it is given up."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = http.get(DELIVERIES, params={"state": "dead", "request_id": request_id}).json()
        if found["items"]:
            return found["items"][0]
        time.sleep(0.02)
    raise AssertionError("It was not given up.")


def test_a_subscription_is_told_what_it_wants_and_signed_with_its_secret(
    agent: httpx2.Client, person: Person, sink: Sink
) -> None:
    types = ["request.decided", "request.extended"]
    webhook = subscribe(agent, f"{sink.url}/told", types=types, session_id="mine")
    request_id = ask(agent, session_id="mine")
    ask(agent, session_id="another")
    agent.post(f"{REQUESTS}/{request_id}/extend", json={"timeout_seconds": 9_000})
    person.decide(request_id, "approve")
    deliveries = sink.meet("/told", 2)
    messages = [verify_webhook(d.body, d.headers, webhook["secret"]) for d in deliveries]
    assert {message.type for message in messages} == set(types)
    assert {message.data["request_id"] for message in messages} == {request_id}
    assert len({message.id for message in messages}) == 2
    for each in deliveries:
        Webhook(webhook["secret"]).verify(each.body, dict(each.headers))


def test_the_secret_is_shown_when_it_is_made_and_never_again(
    agent: httpx2.Client, person: Person
) -> None:
    webhook = subscribe(agent, "https://agent.example/told", description="for the test")
    assert webhook["secret"].startswith("whsec_")
    assert (webhook["active"], webhook["created_by"]) == (True, "agent:local")
    shown = agent.get(f"{WEBHOOKS}/{webhook['id']}").json()
    assert shown == {k: v for k, v in webhook.items() if k != "secret"}
    assert agent.get(WEBHOOKS).json()["items"] == [shown]
    rotated = agent.post(f"{WEBHOOKS}/{webhook['id']}/rotate").json()
    assert rotated["secret"] != webhook["secret"]
    for http in (agent, person.http):
        for path in (WEBHOOKS, f"{WEBHOOKS}/{webhook['id']}"):
            assert "whsec_" not in http.get(path).text
    assert agent.delete(f"{WEBHOOKS}/{webhook['id']}").json() == shown
    told(agent.get(f"{WEBHOOKS}/{webhook['id']}"), 404, "not_found")


def test_while_a_secret_is_rotated_either_verifies(agent: httpx2.Client, sink: Sink) -> None:
    old = subscribe(agent, f"{sink.url}/told")
    new = agent.post(f"{WEBHOOKS}/{old['id']}/rotate").json()
    ask(agent)
    (delivery,) = sink.meet("/told")
    for webhook in (old, new):
        Webhook(webhook["secret"]).verify(delivery.body, dict(delivery.headers))


def test_an_agent_does_not_see_what_a_person_registered(
    agent: httpx2.Client, person: Person
) -> None:
    theirs = subscribe(person.http, "https://agent.example/theirs")
    mine = subscribe(agent, "https://agent.example/mine")
    assert [each["id"] for each in agent.get(WEBHOOKS).json()["items"]] == [mine["id"]]
    path = f"{WEBHOOKS}/{theirs['id']}"
    for reply in (
        agent.get(path),
        agent.delete(path),
        agent.post(f"{path}/rotate"),
        agent.post(f"{path}/test"),
        agent.get(f"{path}/deliveries"),
    ):
        told(reply, 404, "not_found")
    seen = [each["id"] for each in person.http.get(WEBHOOKS).json()["items"]]
    assert {theirs["id"], mine["id"]} <= set(seen)
    person.http.delete(path)


def test_only_a_person_is_shown_the_secret_of_callbacks(
    server: RunningServer, agent: httpx2.Client, person: Person
) -> None:
    told(agent.get("/api/v1/callback-secret"), 401, "sign_in_required")
    shown = person.http.get("/api/v1/callback-secret").json()
    offline = sayso(server, "webhooks", "secret", "--data", str(server.data))
    assert shown == {"secret": offline.strip()}


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://user@agent.example/",
        "http://2886729729/",
    ],
)
def test_a_forbidden_target_is_refused_with_the_way_out(agent: httpx2.Client, url: str) -> None:
    for path, body in (
        (WEBHOOKS, {"url": url}),
        (REQUESTS, {"message": "Hi", "callback_url": url}),
    ):
        problem = told(agent.post(path, json=body), 422, "invalid_request")
        assert problem["errors"][0]["at"] == ("$.url" if path == WEBHOOKS else "$.callback_url")
        assert "SAYSO_CALLBACK_NETWORKS" in problem["hint"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": 1},
        {"url": "ftp://agent.example/"},
        {"url": "https://agent.example/", "types": ["request.forgotten"]},
        {"url": "https://agent.example/", "secret": "whsec_bWluZQ=="},
        {"url": "https://agent.example/", "description": "x" * 257},
    ],
)
def test_a_subscription_that_makes_no_sense_is_refused(
    agent: httpx2.Client, body: dict[str, Any]
) -> None:
    told(agent.post(WEBHOOKS, json=body), 422, "invalid_request")


def test_a_name_that_leads_to_a_forbidden_address_is_a_dead_letter(tmp_path: Path) -> None:
    server = RunningServer(tmp_path).start()
    try:
        with server.http() as agent:
            body = {"session_id": "s", "client_id": "c"}
            agent.post("/hitl/register", json=body)
            reply = agent.post(
                "/hitl/request",
                json={**body, "message": "Hi", "callback_url": "http://localhost:9/"},
            )
            request_id = reply.json()["request_id"]
            agent.post("/hitl/cancel", json={"request_id": request_id})
            dead = soon_dead(agent, request_id)
    finally:
        server.stop()
    assert dead["tries"] == 1
    assert dead["error"].startswith("localhost is at an address that is not public.")


def test_a_target_that_is_gone_disables_its_subscription(agent: httpx2.Client, sink: Sink) -> None:
    sink.answers["/told"] = lambda _: (410, {}, b"")
    webhook = subscribe(agent, f"{sink.url}/told")
    soon_dead(agent, ask(agent))
    shown = agent.get(f"{WEBHOOKS}/{webhook['id']}").json()
    assert (shown["active"], shown["disabled_reason"]) == (False, "The target wants no more (410).")
    ask(agent)
    assert len(agent.get(f"{WEBHOOKS}/{webhook['id']}/deliveries").json()["items"]) == 1
    assert len(sink.deliveries) == 1


def test_a_dead_letter_is_replayed(agent: httpx2.Client, person: Person, sink: Sink) -> None:
    sink.answers["/told"] = lambda _: (404, {}, b"")
    request_id = ask(agent, callback_url=f"{sink.url}/told")
    person.decide(request_id, "approve")
    dead = soon_dead(agent, request_id)
    assert (dead["kind"], dead["type"], dead["tries"], dead["status"]) == (
        "callback",
        "request.decided",
        2,
        404,
    )
    sink.answers.clear()
    again = agent.post(f"{DELIVERIES}/{dead['id']}/replay").json()
    assert (again["state"], again["tries"], again["error"]) == ("waiting", 0, "")
    assert len({each.id for each in sink.meet("/told", 3)}) == 1


def test_deliveries_are_found_page_by_page(agent: httpx2.Client, sink: Sink) -> None:
    webhook = subscribe(agent, f"{sink.url}/told")
    asked = [ask(agent) for _ in range(5)]
    sink.meet("/told", 5)
    found: list[str] = []
    query: dict[str, Any] = {"webhook_id": webhook["id"], "limit": 2}
    while True:
        page = agent.get(DELIVERIES, params=query).json()
        found += [each["request_id"] for each in page["items"]]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert found == asked[::-1]
    for name, value in (("state", "lost"), ("limit", "0"), ("after", "x" * 2_000)):
        told(agent.get(DELIVERIES, params={name: value}), 422, "invalid_request")
    told(agent.post(f"{DELIVERIES}/none/replay"), 404, "not_found")


def test_a_test_tells_what_came_of_it(agent: httpx2.Client, sink: Sink) -> None:
    sink.answers["/no"] = lambda _: (500, {}, b"secret")
    good, bad = subscribe(agent, f"{sink.url}/yes"), subscribe(agent, f"{sink.url}/no")
    reply = agent.post(f"{WEBHOOKS}/{good['id']}/test").json()
    assert reply == {"ok": True, "status": 200, "error": ""}
    (delivery,) = sink.at("/yes")
    assert verify_webhook(delivery.body, delivery.headers, good["secret"]).type == "webhook.test"
    reply = agent.post(f"{WEBHOOKS}/{bad['id']}/test").json()
    assert (reply["ok"], reply["status"]) == (False, 500)
    assert "secret" not in reply["error"]


def test_more_time_is_given_by_anybody_but_not_less_and_not_too_late(
    agent: httpx2.Client, person: Person
) -> None:
    request_id = ask(agent, timeout_seconds=100)
    path = f"{REQUESTS}/{request_id}/extend"
    for http, seconds in ((agent, 200), (person.http, 300.5)):
        extended = http.post(path, json={"timeout_seconds": seconds}).json()
        assert extended["status"] == "pending"
    told(agent.post(path, json={"timeout_seconds": 10}), 409, "not_later")
    for body in ({}, {"timeout_seconds": 0}, {"timeout_seconds": "x"}, {"timeout_seconds": 1e9}):
        told(agent.post(path, json=body), 422, "invalid_request")
    assert agent.post(path, json={"timeout_seconds": None}).json()["deadline_at"] is None
    person.decide(request_id, "approve")
    told(agent.post(path, json={"timeout_seconds": 999}), 409, "already_decided")
    told(agent.post(f"{REQUESTS}/none/extend", json={"timeout_seconds": 9}), 404, "not_found")


async def _over_the_socket(server: RunningServer, *frames: dict[str, Any]) -> list[dict[str, Any]]:
    url = f"ws://localhost:{server.port}/api/v1/stream"
    async with websockets.connect(url, open_timeout=60) as socket:
        replies = []
        for frame in frames:
            await socket.send(json.dumps(frame))
            replies.append(json.loads(await socket.recv()))
        return replies


def test_more_time_is_given_over_a_websocket(server: RunningServer, agent: httpx2.Client) -> None:
    frame = {"op": "extend", "request_id": ask(agent), "body": {"timeout_seconds": 9_000}}
    (good, bad) = asyncio.run(_over_the_socket(server, frame, frame | {"body": {}}))
    assert (good["status"], good["body"]["status"]) == (200, "pending")
    checked(bad["body"], 422, "invalid_request")


def sayso(server: RunningServer, *words: str, status: int = 0) -> str:
    environment = clean_environment(SAYSO_URL=server.url, SAYSO_DATA=str(server.data))
    done = warm.run(*words, environment=environment)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def test_all_of_it_by_the_command_line(
    server: RunningServer, agent: httpx2.Client, sink: Sink
) -> None:
    url = f"{sink.url}/told"
    webhook_id, secret = sayso(server, "webhooks", "add", url, "--session", "cli").split()
    (row,) = rows_of(sayso(server, "webhooks", "list"))
    assert (row["ID"], row["STATE"], row["EVENTS"]) == (webhook_id, "active", "all")
    assert row["URL"] == url
    assert sayso(server, "webhooks", "test", webhook_id) == "taken, with the status 200\n"
    rotated = json.loads(sayso(server, "webhooks", "rotate", webhook_id, "--json"))
    assert rotated["secret"] != secret

    sink.answers["/told"] = lambda _: (500, {}, b"")
    assert "500" in sayso(server, "webhooks", "test", webhook_id, status=1)
    request_id = ask(agent, session_id="cli")
    dead = soon_dead(agent, request_id)
    (row,) = rows_of(sayso(server, "deliveries", "--dead", "--request", request_id))
    assert (row["ID"], row["STATE"]) == (dead["id"], "dead")
    assert (row["TRIES"], row["STATUS"]) == ("2", "500")
    sink.answers["/told"] = lambda _: TAKEN
    assert sayso(server, "replay", dead["id"]) == f"{dead['id']}\twaiting\n"
    sink.meet("/told", 5)
    page = json.loads(sayso(server, "deliveries", "--webhook", webhook_id, "--json"))
    assert [each["id"] for each in page["items"]] == [dead["id"]]

    extended = sayso(server, "extend", request_id, "--seconds", "9000")
    assert re.fullmatch(rf"{request_id}\t20\S+Z\n", extended)
    assert sayso(server, "extend", request_id, "--no-deadline").endswith("no deadline\n")
    assert "--seconds" in sayso(server, "extend", request_id, status=2)
    assert sayso(server, "webhooks", "remove", webhook_id) == f"{webhook_id}\tremoved\n"
    assert sayso(server, "webhooks", "list") == ""


def test_all_of_it_in_python(server: RunningServer, person: Person, sink: Sink) -> None:
    with Client(server.url) as client, Client(server.url, token=person.token) as human:
        webhook = client.add_webhook(f"{sink.url}/told", types=["request.cancelled"])
        assert client.test_webhook(webhook.id).ok
        rotated = client.rotate_webhook(webhook.id)
        assert [each.id for each in client.webhooks()] == [webhook.id]
        sink.answers["/told"] = lambda number: (404, {}, b"") if number < 4 else TAKEN
        request = client.submit("Go on?", remind_every_seconds=60, timeout_seconds=100)
        assert client.extend(request.id, None).deadline_at is None
        client.cancel(request.id)
        with server.http() as http:
            soon_dead(http, request.id)
        (dead,) = client.deliveries(state="dead", request_id=request.id).items
        assert (dead.tries, dead.status, dead.webhook_id) == (2, 404, webhook.id)
        assert client.replay(dead.id).state == "waiting"
        delivery = sink.meet("/told", 4)[-1]
        message = verify_webhook(delivery.body, delivery.headers, rotated.secret)
        assert message.request is not None
        assert (message.id, message.request.status) == (dead.id, "cancelled")
        assert client.remove_webhook(webhook.id).id == webhook.id
        assert human.callback_secret().startswith("whsec_")


async def _in_asyncio(server: RunningServer) -> None:
    async with AsyncClient(server.url) as client:
        webhook = await client.add_webhook("https://agent.example/told", description="async")
        assert webhook.id in [each.id for each in await client.webhooks()]
        request = await client.submit("Go on?")
        assert (await client.extend(request.id, None)).deadline_at is None
        assert (await client.deliveries(request_id=request.id)).items
        await client.remove_webhook(webhook.id)


def test_all_of_it_in_asyncio(server: RunningServer) -> None:
    asyncio.run(_in_asyncio(server))


def worker(server: RunningServer, **environment: str) -> warm.Process:
    return warm.Process(
        ["sayso.cli", "worker", "--data", str(server.data)],
        environment=clean_environment(**SOON, **environment),
    )


@pytest.mark.parametrize("memory", ["0", "1"])
def test_a_worker_of_what_is_not_shared_is_refused_with_the_way_out(
    server: RunningServer, memory: str
) -> None:
    refused = worker(server, SAYSO_MEMORY=memory)
    out, err = refused.communicate(timeout=60)
    assert (refused.returncode, out) == (2, "")
    assert "--database-url" in err


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_by_itself_says_that_it_is_ready_and_delivers(
    tmp_path: Path, sink: Sink, postgres_dsn: str, ending: signal.Signals
) -> None:
    environment = {**SOON, "SAYSO_DATABASE_URL": postgres_dsn}
    server = RunningServer(tmp_path, environment=environment, arguments=["--no-worker"]).start()
    with server.http() as agent:
        request_id = ask(agent, callback_url=f"{sink.url}/told")
        late = ask(agent, callback_url=f"{sink.url}/late", timeout_seconds=0.5)
        agent.post(f"{REQUESTS}/{request_id}/cancel")
    time.sleep(0.7)
    assert sink.at("/told") == []
    working = worker(server, SAYSO_DATABASE_URL=postgres_dsn)
    assert working.said("ready")
    (delivery,) = sink.meet("/told")
    assert delivery.told["data"]["request_id"] == request_id
    (delivery,) = sink.meet("/late")
    assert (delivery.told["type"], delivery.told["data"]["request_id"]) == ("request.expired", late)
    working.send_signal(ending)
    assert working.wait(60) == 0
    assert working.communicate()[0].endswith("ready. Stop: Ctrl-C\nStopped.\n")
    server.stop()


def test_a_subscription_that_a_410_disabled_is_enabled_again(
    server: RunningServer, agent: httpx2.Client, person: Person, sink: Sink
) -> None:
    webhook = subscribe(agent, f"{sink.url}/left", types=["request.submitted"])
    path = f"{WEBHOOKS}/{webhook['id']}"
    sink.answers["/left"] = lambda _: (410, {}, b"")
    missed = soon_dead(agent, ask(agent))
    assert agent.get(path).json()["active"] is False
    sink.answers["/left"] = lambda _: TAKEN
    told(person.http.post(f"{WEBHOOKS}/wh_none/enable"), 404, "not_found")
    enabled = agent.post(f"{path}/enable")
    assert enabled.status_code == 200, enabled.text
    assert (enabled.json()["active"], enabled.json()["disabled_reason"]) == (True, "")
    assert agent.post(f"{path}/enable").json() == enabled.json()
    request_id = ask(agent)
    later = sink.meet("/left", 2)
    assert later[-1].told["data"]["request_id"] == request_id
    assert sayso(server, "replay", missed["id"]) == f"{missed['id']}\twaiting\n"
    sink.meet("/left", 3)
    assert sayso(server, "webhooks", "enable", webhook["id"]) == f"{webhook['id']}\tenabled\n"
    with Client(server.url) as client:
        assert client.enable_webhook(webhook["id"]).active


def test_what_somebody_disabled_is_told_nothing_until_it_is_enabled(
    server: RunningServer, agent: httpx2.Client, sink: Sink
) -> None:
    webhook = subscribe(agent, f"{sink.url}/off", types=["request.submitted"])
    with Client(server.url) as client:
        disabled = client.disable_webhook(webhook["id"])
    assert (disabled.active, disabled.disabled_reason) == (False, "by local agent")
    assert sayso(server, "webhooks", "disable", webhook["id"]) == f"{webhook['id']}\tdisabled\n"
    ask(agent, session_id="missed")
    assert agent.post(f"{WEBHOOKS}/{webhook['id']}/enable").json()["active"] is True
    request_id = ask(agent)
    (delivery,) = sink.meet("/off")
    assert delivery.told["data"]["request_id"] == request_id
    told(agent.post(f"{WEBHOOKS}/wh_none/disable"), 404, "not_found")
