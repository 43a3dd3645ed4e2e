"""The wire of Loopgate, reply by reply, and where ours differs on purpose."""

import sqlite3
import time
import uuid
from collections.abc import Generator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from support.accounts import add_account
from support.person import Person
from support.server import RunningServer


@pytest.fixture(scope="module")
def agent(server: RunningServer) -> Generator[httpx2.Client]:
    with server.http() as http:
        http.post("/hitl/register", json={"session_id": "s", "client_id": "c"})
        yield http


def ask(agent: httpx2.Client, **more: Any) -> str:
    body = {"session_id": "s", "client_id": "c", "message": "Go on?", **more}
    reply = agent.post("/hitl/request", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()["request_id"]


def poll(agent: httpx2.Client, request_id: str) -> dict[str, Any]:
    reply = agent.get("/hitl/poll", params={"request_id": request_id})
    assert reply.status_code == 200
    return reply.json()


def refused(reply: httpx2.Response, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    body = reply.json()
    assert body["success"] is False
    assert body["error"] == body["detail"] != ""
    assert body["status"] == status
    return body


def listed(agent: httpx2.Client, request_id: str) -> dict[str, Any]:
    found = agent.get("/hitl/pending").json()
    assert found["count"] == len(found["pending_requests"])
    return next(each for each in found["pending_requests"] if each["id"] == request_id)


# Register, status, deactivate


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x7f"])
@pytest.mark.parametrize("name", ["session_id", "client_id"])
def test_a_name_with_control_characters_is_not_registered(
    agent: httpx2.Client, name: str, character: str
) -> None:
    body = {"session_id": "x", "client_id": "c", name: f"a{character}"}
    told = refused(agent.post("/hitl/register", json=body), 400)
    assert f"U+{ord(character):04X}" in told["detail"]


@pytest.mark.parametrize("path", ["/hitl/register", "/sessions/register"])
def test_a_session_is_registered_by_both_names(agent: httpx2.Client, path: str) -> None:
    name = uuid.uuid4().hex
    reply = agent.post(path, json={"session_id": name, "client_id": "c", "telegram_id": 7})
    assert reply.status_code == 200
    body = reply.json()
    assert set(body) == {"success", "session_id", "message"}
    assert (body["success"], body["session_id"]) == (True, name)


def test_telegram_id_is_not_needed(agent: httpx2.Client) -> None:
    agent.post("/hitl/register", json={"session_id": "no-chat", "client_id": "c"})
    status = agent.get("/hitl/status?session_id=no-chat").json()
    assert set(status) == {"id", "client_id", "telegram_id", "active", "created_at"}
    assert (status["id"], status["telegram_id"], status["active"]) == ("no-chat", None, True)
    assert datetime.fromisoformat(status["created_at"]).tzinfo is not None


def test_registering_again_replaces(agent: httpx2.Client) -> None:
    for client, chat in (("one", 1), ("two", 2)):
        body = {"session_id": "twice", "client_id": client, "telegram_id": chat}
        agent.post("/hitl/register", json=body)
    status = agent.get("/hitl/status?session_id=twice").json()
    assert (status["client_id"], status["telegram_id"]) == ("two", 2)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"session_id": "x"},
        {"client_id": "x"},
        {"session_id": "", "client_id": "x"},
        {"session_id": 5, "client_id": "x"},
        {"session_id": "x", "client_id": "x", "telegram_id": "seven"},
        [],
        None,
    ],
)
def test_a_registration_that_lacks_something_is_refused(agent: httpx2.Client, body: Any) -> None:
    refused(agent.post("/hitl/register", json=body), 400)


@pytest.mark.parametrize("path", ["register", "request", "cancel", "deactivate"])
@pytest.mark.parametrize("content", [b"", b"{", b"not json", b"\xff\xfe"])
def test_what_is_not_json_is_refused(agent: httpx2.Client, path: str, content: bytes) -> None:
    refused(agent.post(f"/hitl/{path}", content=content), 400)


def test_the_status_of_a_session_needs_its_name(agent: httpx2.Client) -> None:
    refused(agent.get("/hitl/status"), 400)
    refused(agent.get("/hitl/status?session_id="), 400)


def test_an_unknown_session_is_not_found(agent: httpx2.Client) -> None:
    refused(agent.get("/hitl/status?session_id=nobody"), 404)
    refused(agent.post("/hitl/deactivate", json={"session_id": "nobody"}), 404)
    body = {"session_id": "nobody", "client_id": "c", "message": "Hello?"}
    refused(agent.post("/hitl/request", json=body), 404)


def test_a_closed_session_asks_nothing_until_it_is_registered_again(agent: httpx2.Client) -> None:
    registration = {"session_id": "closed", "client_id": "c"}
    agent.post("/hitl/register", json=registration)
    done = agent.post("/hitl/deactivate", json={"session_id": "closed"})
    assert (done.status_code, done.json()["success"]) == (200, True)
    assert set(done.json()) == {"success", "message"}
    assert agent.get("/hitl/status?session_id=closed").json()["active"] is False
    body = {"session_id": "closed", "client_id": "c", "message": "Hello?"}
    refused(agent.post("/hitl/request", json=body), 400)
    agent.post("/hitl/register", json=registration)
    assert agent.post("/hitl/request", json=body).status_code == 200


def test_deactivating_needs_a_session(agent: httpx2.Client) -> None:
    refused(agent.post("/hitl/deactivate", json={}), 400)


# Request, poll, pending


def test_a_request_is_taken_at_once(agent: httpx2.Client) -> None:
    body = {"session_id": "s", "client_id": "c", "message": "Go on?", "options": ["Yes", "No"]}
    reply = agent.post("/hitl/request", json=body)
    assert reply.status_code == 200
    assert set(reply.json()) == {"success", "request_id", "status", "created_at"}
    assert (reply.json()["success"], reply.json()["status"]) == (True, "pending")


@pytest.mark.parametrize("missing", ["session_id", "client_id", "message"])
def test_a_request_needs_its_three_fields(agent: httpx2.Client, missing: str) -> None:
    body = {"session_id": "s", "client_id": "c", "message": "Go on?"}
    del body[missing]
    refused(agent.post("/hitl/request", json=body), 400)
    refused(agent.post("/hitl/request", json=body | {missing: ""}), 400)


@pytest.mark.parametrize(
    "wrong",
    [
        {"request_type": "dance"},
        {"options": "Yes"},
        {"options": [1, 2]},
        {"timeout_seconds": -1},
        {"timeout_seconds": "soon"},
        {"metadata": []},
        {"request_type": "choice"},
        {"request_type": "input", "options": ["Yes"]},
    ],
)
def test_a_request_that_cannot_be_put_is_refused(agent: httpx2.Client, wrong: Any) -> None:
    body = {"session_id": "s", "client_id": "c", "message": "Go on?", **wrong}
    refused(agent.post("/hitl/request", json=body), 400)


def test_a_pending_request_is_polled_without_a_response(agent: httpx2.Client) -> None:
    request_id = ask(agent, metadata={"build": 7})
    assert poll(agent, request_id) == {
        "request_id": request_id,
        "status": "pending",
        "completed": False,
        "approved": False,
    }


def test_polling_needs_a_known_request(agent: httpx2.Client) -> None:
    refused(agent.get("/hitl/poll"), 400)
    refused(agent.get("/hitl/poll?request_id="), 400)
    refused(agent.get("/hitl/poll?request_id=nothing"), 404)


def test_a_decision_is_polled_with_metadata_and_time(agent: httpx2.Client, person: Person) -> None:
    request_id = ask(agent, options=["Yes", "No"], metadata={"build": 7})
    decided = person.choose(request_id, "Yes")
    assert poll(agent, request_id) == {
        "request_id": request_id,
        "status": "completed",
        "completed": True,
        "approved": True,
        "response": "Yes",
        "metadata": {"build": 7},
        "timestamp": decided["decision"]["decided_at"],
    }


@pytest.mark.parametrize(
    ("more", "kind", "called"),
    [
        ({}, "input", "input"),
        ({"options": []}, "input", "input"),
        ({"options": ["Yes", "No"]}, "choice", "choice"),
        ({"request_type": "confirmation"}, "approval", "confirmation"),
        ({"request_type": "confirmation", "options": ["Yes", "No"]}, "approval", "confirmation"),
        ({"request_type": "input"}, "input", "input"),
        ({"request_type": "", "options": ["Yes"]}, "choice", "choice"),
    ],
)
def test_the_type_of_a_request_is_read_off_it(
    agent: httpx2.Client, more: Any, kind: str, called: str
) -> None:
    request_id = ask(agent, **more)
    assert agent.get(f"/api/v1/requests/{request_id}").json()["kind"] == kind
    assert listed(agent, request_id)["request_type"] == called


def test_pending_lists_a_request_in_full(agent: httpx2.Client) -> None:
    url = "https://example.org/told"
    request_id = ask(
        agent, options=["A", "B"], timeout_seconds=60, callback_url=url, metadata={"n": 1}
    )
    found = listed(agent, request_id)
    assert datetime.fromisoformat(found.pop("created_at")).tzinfo is not None
    assert found == {
        "id": request_id,
        "session_id": "s",
        "client_id": "c",
        "message": "Go on?",
        "request_type": "choice",
        "options": ["A", "B"],
        "timeout_seconds": 60,
        "callback_url": url,
        "metadata": {"n": 1},
        "status": "pending",
        "response": "",
        "approved": False,
        "responded_at": None,
    }


def test_what_is_decided_is_not_pending(agent: httpx2.Client, person: Person) -> None:
    request_id = ask(agent, options=["Yes"])
    person.choose(request_id, "Yes")
    ids = [each["id"] for each in agent.get("/hitl/pending").json()["pending_requests"]]
    assert request_id not in ids


def test_fields_that_loopgate_does_not_know_do_no_harm(agent: httpx2.Client) -> None:
    assert ask(agent, urgency="high")


# Cancel


def test_a_cancelled_request_is_canceled(agent: httpx2.Client) -> None:
    request_id = ask(agent)
    reply = agent.post("/hitl/cancel", json={"request_id": request_id})
    assert (reply.status_code, reply.json()["success"]) == (200, True)
    assert set(reply.json()) == {"success", "message"}
    assert poll(agent, request_id) == {
        "request_id": request_id,
        "status": "canceled",
        "completed": True,
        "approved": False,
    }


def test_cancelling_needs_a_known_request(agent: httpx2.Client) -> None:
    refused(agent.post("/hitl/cancel", json={}), 400)
    refused(agent.post("/hitl/cancel", json={"request_id": "nothing"}), 404)


def test_a_decided_request_is_not_cancelled(agent: httpx2.Client, person: Person) -> None:
    request_id = ask(agent, options=["Yes"])
    person.choose(request_id, "Yes")
    told = refused(agent.post("/hitl/cancel", json={"request_id": request_id}), 409)
    assert told["code"] == "already_decided"
    assert poll(agent, request_id)["approved"] is True


def test_health_says_who_it_is(agent: httpx2.Client) -> None:
    health = agent.get("/health").json()
    assert set(health) == {"status", "service", "version"}
    assert health["status"] == "healthy"


# Difference 1: what approves


@pytest.mark.parametrize(
    ("label", "approved"),
    [
        ("Yes", True),
        ("🚀 Deploy", True),
        ("Approve", True),
        ("Note it and go on", True),
        ("Not needed? Do it", False),
        ("No", False),
        ("NO!", False),
        ("no, thanks", False),
        ("⏸️ Hold", False),
        ("❌ Cancel", False),
        ("🛑 STOP", False),
        ("Reject it", False),
        ("Deny", False),
        ("Decline", False),
        ("Abort", False),
        ("Wait for Better Price", False),
        ("ignore", False),
        ("Block user", False),
        ("Skip", False),
        ("👍", False),
    ],
)
def test_a_plain_option_approves_unless_it_begins_with_a_refusing_word(
    agent: httpx2.Client, person: Person, label: str, approved: bool
) -> None:
    request_id = ask(agent, options=[label, "Something else"])
    person.choose(request_id, label)
    polled = poll(agent, request_id)
    assert (polled["response"], polled["approved"]) == (label, approved)


def test_an_option_may_say_itself_whether_it_approves(agent: httpx2.Client, person: Person) -> None:
    options = [
        {"label": "No objection", "value": "ok", "approves": True},
        {"label": "Yes, but later", "value": "later", "approves": False},
    ]
    for value, label, approved in (
        ("ok", "No objection", True),
        ("later", "Yes, but later", False),
    ):
        request_id = ask(agent, options=options)
        person.choose(request_id, value)
        polled = poll(agent, request_id)
        assert (polled["response"], polled["approved"]) == (label, approved)


def test_an_answer_to_an_input_is_its_response(agent: httpx2.Client, person: Person) -> None:
    request_id = ask(agent, request_type="input")
    person.write(request_id, "no")
    polled = poll(agent, request_id)
    assert (polled["response"], polled["approved"]) == ("no", True)


def test_an_input_that_a_person_refuses_is_not_approved(
    agent: httpx2.Client, person: Person
) -> None:
    request_id = ask(agent, request_type="input")
    person.decide(request_id, "reject", reason="None of your business.")
    polled = poll(agent, request_id)
    assert (polled["completed"], polled["approved"]) == (True, False)
    assert polled["response"] == "None of your business."


@pytest.mark.parametrize(("type", "approved"), [("approve", True), ("reject", False)])
def test_a_confirmation_is_approved_or_rejected(
    agent: httpx2.Client,
    person: Person,
    type: str,  # noqa: A002
    approved: bool,
) -> None:
    request_id = ask(agent, request_type="confirmation")
    person.decide(request_id, type)
    polled = poll(agent, request_id)
    assert (polled["status"], polled["approved"]) == ("completed", approved)
    assert polled["response"]


# Difference 2: the first decision stands


def test_a_late_answer_changes_nothing_and_is_told_what_was_decided(
    agent: httpx2.Client, person: Person
) -> None:
    request_id = ask(agent, options=["Yes", "No"])
    person.choose(request_id, "No")
    late = person.try_to_decide(request_id, "respond", option="Yes")
    assert late.status_code == 409
    assert late.json()["code"] == "already_decided"
    assert late.json()["request"]["decision"]["option"] == "No"
    assert poll(agent, request_id)["response"] == "No"


def test_a_late_answer_does_not_revive_a_cancelled_request(
    agent: httpx2.Client, person: Person
) -> None:
    request_id = ask(agent, options=["Yes"])
    agent.post("/hitl/cancel", json={"request_id": request_id})
    late = person.try_to_decide(request_id, "respond", option="Yes")
    assert (late.status_code, late.json()["code"]) == (409, "cancelled")
    assert poll(agent, request_id)["status"] == "canceled"


# Difference 3: timeouts are kept


def test_a_request_times_out_and_is_not_approved(agent: httpx2.Client, person: Person) -> None:
    request_id = ask(agent, options=["Yes"], timeout_seconds=0.2)
    until = time.monotonic() + 60
    while not poll(agent, request_id)["completed"] and time.monotonic() < until:
        time.sleep(0.02)
    assert poll(agent, request_id) == {
        "request_id": request_id,
        "status": "timeout",
        "completed": True,
        "approved": False,
    }
    late = person.try_to_decide(request_id, "respond", option="Yes")
    assert (late.status_code, late.json()["code"]) == (409, "expired")


@pytest.mark.parametrize("more", [{}, {"timeout_seconds": 0}, {"timeout_seconds": None}])
def test_without_a_timeout_the_servers_own_counts(agent: httpx2.Client, more: Any) -> None:
    kept = agent.get(f"/api/v1/requests/{ask(agent, **more)}").json()
    created, deadline = (datetime.fromisoformat(kept[n]) for n in ("created_at", "deadline_at"))
    assert deadline - created == timedelta(seconds=300)


# Difference 4: deciding needs a person


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"X-API-Key": "lk_pub_1"}, 401), ({"Authorization": "Bearer nothing"}, 401)],
)
def test_whoever_asks_cannot_decide(agent: httpx2.Client, headers: Any, status: int) -> None:
    request_id = ask(agent, options=["Yes"])
    body = {"type": "respond", "option": "Yes"}
    path = f"/api/v1/requests/{request_id}/decision"
    assert agent.post(path, json=body, headers=headers).status_code == status
    for field in ("status", "response", "approved"):
        agent.post("/hitl/request", json={"request_id": request_id, field: "completed"})
    assert poll(agent, request_id)["status"] == "pending"


# Difference 5: a request that was taken is there, with its event; one that was not is not


def test_a_request_is_kept_with_its_event_or_not_at_all(agent: httpx2.Client) -> None:
    message = uuid.uuid4().hex
    body = {"session_id": "s", "client_id": "c", "message": message, "options": ["A", "A"]}
    refused(agent.post("/hitl/request", json=body), 400)
    pending = agent.get("/hitl/pending").json()["pending_requests"]
    assert message not in {each["message"] for each in pending}
    assert agent.get("/api/v1/requests", params={"q": message}).json()["items"] == []
    request_id = ask(agent)
    with agent.stream("GET", f"/api/v1/events?after=0&request_id={request_id}") as feed:
        event = next(line for line in feed.iter_lines() if line.startswith("event:"))
    assert event == "event: request.submitted"


# Whose a session is


def test_another_agents_session_is_not_there(server: RunningServer) -> None:
    name = uuid.uuid4().hex
    mine = {"session_id": name, "client_id": "c", "telegram_id": 7}
    with (
        add_account(server) as bob,
        add_account(server) as mal,
        add_account(server, "reviewer") as reviewer,
        bob.agent() as agent,
        mal.agent() as other,
    ):
        assert agent.post("/hitl/register", json=mine).status_code == 200
        for who in (other, mal.http):
            refused(who.get(f"/hitl/status?session_id={name}"), 404)
            refused(who.post("/hitl/deactivate", json={"session_id": name}), 404)
            refused(who.post("/hitl/request", json={**mine, "message": "May I?"}), 404)
            taken = who.post("/hitl/register", json={**mine, "client_id": "x", "telegram_id": 6})
            assert refused(taken, 409)["code"] == "session_taken"
        kept = agent.get(f"/hitl/status?session_id={name}").json()
        assert (kept["client_id"], kept["telegram_id"], kept["active"]) == ("c", 7, True)
        for who in (bob.http, reviewer.http):
            assert who.get(f"/hitl/status?session_id={name}").status_code == 200
            assert who.post("/hitl/deactivate", json={"session_id": name}).status_code == 200
            assert who.post("/hitl/register", json=mine).status_code == 200
        refused(other.get(f"/hitl/status?session_id={name}"), 404)
        assert ask(agent, session_id=name)  # it is still the agent's


def test_a_bound_key_registers_and_closes_what_it_is_bound_to(server: RunningServer) -> None:
    name = f"m-{uuid.uuid4().hex}"
    with (
        add_account(server) as mal,
        mal.agent(client_id="mc", session_pattern="m-*") as agent,
    ):
        for wrong in (
            {"session_id": "S1", "client_id": "mc"},
            {"session_id": name, "client_id": "x"},
        ):
            told = refused(agent.post("/hitl/register", json=wrong), 403)
            assert told["code"] == "key_bound"
        named = {"session_id": name, "client_id": "mc"}
        assert agent.post("/hitl/register", json=named).status_code == 200
        assert mal.http.post("/hitl/register", json={**named, "client_id": "x"}).status_code == 200
        mal.http.post("/hitl/register", json=named)
        assert agent.post("/hitl/deactivate", json={"session_id": name}).status_code == 200


def test_a_session_of_before_is_for_whoever_sees_all(fresh_server: RunningServer) -> None:
    """It does not say whose it is."""
    with fresh_server.http() as local, add_account(fresh_server) as bob, bob.agent() as agent:
        local.post("/hitl/register", json={"session_id": "old", "client_id": "c"})
        fresh_server.stop()
        with closing(sqlite3.connect(fresh_server.database)) as database, database:
            changed = database.execute(
                "UPDATE sessions SET record = CAST(replace(CAST(record AS TEXT),"
                ' \'"registered_by":"agent:local"\', \'"registered_by":""\') AS BLOB)'
            )
            assert changed.rowcount == 1
        fresh_server.restart()
        refused(agent.get("/hitl/status?session_id=old"), 404)
        taken = agent.post("/hitl/register", json={"session_id": "old", "client_id": "c"})
        assert refused(taken, 409)["code"] == "session_taken"
        assert local.get("/hitl/status?session_id=old").json()["active"]
