"""Passkeys over HTTP, as a program would use them, on a real server and its database."""

from collections.abc import Generator
from typing import Any

import httpx2
import pytest
from support import warm
from support.agents import ask
from support.authenticator import PRESENT, Authenticator
from support.person import Person
from support.problems import told
from support.server import RunningServer, clean_environment

from sayso.assertions import verify_decision
from sayso.codec import decode_request

PAY = {"tool_name": "pay", "tool_args": {"amount": 500, "to": "Ada"}}
STRICT = {"min_strength": "passkey"}


@pytest.fixture
def device(fresh_server: RunningServer) -> Authenticator:
    return Authenticator(fresh_server.url)


@pytest.fixture
def reviewer(fresh_server: RunningServer) -> Generator[Person]:
    somebody = Person(fresh_server)
    yield somebody
    somebody.close()


def pay(server: RunningServer) -> str:
    return ask(server, action=PAY, rule=STRICT)


def register(
    reviewer: Person, device: Authenticator, *, using: Authenticator | None = None, name="Laptop"
) -> httpx2.Response:
    begun = reviewer.http.post("/api/v1/passkeys/options").json()
    body = {
        "name": name,
        "nonce": begun["nonce"],
        "credential": device.create(begun["options"]),
        "confirmation": None if using is None else using.get(begun["confirm"]),
    }
    return reviewer.http.post("/api/v1/passkeys", json=body)


def sign(
    reviewer: Person, device: Authenticator, request_id: str, answer: dict[str, Any], **lies: Any
) -> dict[str, Any]:
    reply = reviewer.http.post(f"/api/v1/requests/{request_id}/challenge", json=answer)
    assert reply.status_code == 200, reply.text
    begun = reply.json()
    return {"nonce": begun["nonce"], "credential": device.get(begun["options"], **lies)}


def test_a_passkey_decides_and_the_proof_outlives_the_server(
    fresh_server: RunningServer, reviewer: Person, device: Authenticator
) -> None:
    made = register(reviewer, device)
    assert made.status_code == 201, made.text
    assert "public_key" not in made.json()
    request_id = pay(fresh_server)
    refused = reviewer.try_to_decide(request_id, "approve")
    told(refused, 403, "strength_required")
    signed = sign(reviewer, device, request_id, {"type": "approve"})
    done = reviewer.decide(request_id, "approve", assertion=signed)
    assert done["decision"]["strength"] == "passkey"
    assert reviewer.http.get("/api/v1/passkeys").json()["items"][0]["last_used_at"]
    fresh_server.restart()
    with fresh_server.http() as agent:
        kept = agent.get(f"/api/v1/requests/{request_id}").content
    fresh_server.stop()
    assert verify_decision(decode_request(kept)) == 1


def test_rejecting_takes_no_passkey(fresh_server: RunningServer, reviewer: Person) -> None:
    assert reviewer.decide(pay(fresh_server), "reject")["status"] == "rejected"


def test_whoever_has_no_passkey_is_told(fresh_server: RunningServer, reviewer: Person) -> None:
    path = f"/api/v1/requests/{pay(fresh_server)}/challenge"
    told(reviewer.http.post(path, json={"type": "approve"}), 409, "no_passkey")


def test_the_answer_is_the_one_that_was_signed(
    fresh_server: RunningServer, reviewer: Person, device: Authenticator
) -> None:
    register(reviewer, device)
    request_id, other = pay(fresh_server), pay(fresh_server)
    small = {"type": "edit", "args": {"amount": 5, "to": "Ada"}}
    signed = sign(reviewer, device, request_id, small)
    for answer in (
        {"type": "approve"},
        {"type": "reject"},
        {"type": "edit", "args": {"amount": 5000, "to": "Ada"}},
        small | {"reason": "More"},
    ):
        refused = reviewer.try_to_decide(request_id, **answer, assertion=signed)
        told(refused, 403, "passkey_refused")
    refused = reviewer.try_to_decide(other, **small, assertion=signed)
    told(refused, 403, "stale_challenge")
    assert reviewer.decide(request_id, **small, assertion=signed)["status"] == "approved"
    late = reviewer.try_to_decide(request_id, **small, assertion=signed)
    told(late, 409, "already_decided")
    assert late.json()["request"]["status"] == "approved"


def test_an_unverified_person_is_refused(
    fresh_server: RunningServer, reviewer: Person, device: Authenticator
) -> None:
    register(reviewer, device)
    request_id = pay(fresh_server)
    signed = sign(reviewer, device, request_id, {"type": "approve"}, flags=PRESENT)
    refused = reviewer.try_to_decide(request_id, "approve", assertion=signed)
    told(refused, 403, "passkey_refused")


def test_a_counter_that_goes_back_is_refused(
    fresh_server: RunningServer, reviewer: Person, device: Authenticator
) -> None:
    register(reviewer, device)
    device.count = 7
    first, second = pay(fresh_server), pay(fresh_server)
    signed = sign(reviewer, device, first, {"type": "approve"})
    reviewer.decide(first, "approve", assertion=signed)
    device.count = 2  # a copy of it that was made before
    signed = sign(reviewer, device, second, {"type": "approve"})
    refused = reviewer.try_to_decide(second, "approve", assertion=signed)
    told(refused, 403, "passkey_refused")


def test_a_second_one_and_a_removal_are_confirmed(
    fresh_server: RunningServer, reviewer: Person, device: Authenticator
) -> None:
    first = register(reviewer, device).json()
    second = Authenticator(fresh_server.url)
    told(register(reviewer, second), 403, "passkey_required")
    assert register(reviewer, second, using=device, name="Phone").status_code == 201
    path = f"/api/v1/passkeys/{first['id']}"
    renamed = reviewer.http.post(f"{path}/rename", json={"name": "Old laptop"})
    assert renamed.json()["name"] == "Old laptop"
    told(reviewer.http.post(f"{path}/remove"), 403, "passkey_required")
    begun = reviewer.http.post(f"{path}/challenge").json()
    body = {"assertion": {"nonce": begun["nonce"], "credential": second.get(begun["options"])}}
    assert reviewer.http.post(f"{path}/remove", json=body).status_code == 200
    told(reviewer.http.post(f"{path}/remove", json=body), 404, "not_found")
    listed = reviewer.http.get("/api/v1/passkeys").json()
    assert [each["name"] for each in listed["items"]] == ["Phone"]
    assert listed["origin"] == fresh_server.url


def test_whoever_has_lost_it_removes_it_with_a_code(
    fresh_server: RunningServer, reviewer: Person, device: Authenticator
) -> None:
    made = register(reviewer, device).json()
    words = ("passkey-code", "--data", str(fresh_server.data))
    printed = warm.run(*words, environment=clean_environment())
    path = f"/api/v1/passkeys/{made['id']}/remove"
    told(reviewer.http.post(path, json={"code": "x"}), 403, "stale_challenge")
    body = {"code": printed.stdout.strip()}
    assert reviewer.http.post(path, json=body).status_code == 200
    assert reviewer.http.get("/api/v1/passkeys").json()["items"] == []


def test_an_agent_gets_no_challenge_and_no_passkey(fresh_server: RunningServer) -> None:
    request_id = pay(fresh_server)
    with fresh_server.http() as agent:
        for method, path in (
            ("POST", f"/api/v1/requests/{request_id}/challenge"),
            ("POST", "/api/v1/passkeys/options"),
            ("POST", "/api/v1/passkeys"),
            ("GET", "/api/v1/passkeys"),
            ("POST", "/api/v1/passkeys/x/remove"),
        ):
            told(agent.request(method, path, json={}), 401, "sign_in_required")


def test_a_made_up_challenge_is_refused(fresh_server: RunningServer, reviewer: Person) -> None:
    request_id = pay(fresh_server)
    for nonce in ("", "x", "A" * 76, "A" * 75 + "\u00e9"):
        made_up = {"nonce": nonce, "credential": {}}
        refused = reviewer.try_to_decide(request_id, "approve", assertion=made_up)
        told(refused, 403, "stale_challenge")
