"""What was approved is what runs, once: claims, outcomes, reopening, over HTTP."""

import asyncio
from collections.abc import Generator
from typing import Any

import httpx2
import pytest
from support.feed import Feed
from support.person import Person
from support.problems import told
from support.raw import lines
from support.server import RunningServer

PAY = {"tool_name": "pay", "tool_args": {"to": "Ann", "amount": 5}, "risk_class": "medium"}
REQUESTS = "/api/v1/requests"


def asked(agent: httpx2.Client, **more: Any) -> dict[str, Any]:
    reply = agent.post(REQUESTS, json={"message": "Pay?", "action": PAY, **more})
    assert reply.status_code == 201, reply.text
    return reply.json()


def claim(agent: httpx2.Client, request: dict[str, Any], **more: Any) -> httpx2.Response:
    body = {"digest": request["action"]["digest"], **more}
    return agent.post(f"{REQUESTS}/{request['id']}/claim", json=body)


def outcome(agent: httpx2.Client, request: dict[str, Any], **what: Any) -> httpx2.Response:
    return agent.post(f"{REQUESTS}/{request['id']}/outcome", json=what)


@pytest.fixture
def agent(server: RunningServer) -> Generator[httpx2.Client]:
    with server.http() as http:
        yield http


def test_what_was_approved_is_claimed_once_and_its_outcome_is_kept(
    agent: httpx2.Client, person: Person
) -> None:
    request = asked(agent)
    told(claim(agent, request), 409, "not_approved")
    approved = person.decide(request["id"], "approve")
    assert approved["grant"]["digest"] == request["action"]["digest"]
    assert approved["grant"]["claimed_at"] is None
    told(outcome(agent, request, status="succeeded"), 409, "not_claimed")
    claimed = claim(agent, request).json()
    assert claimed["grant"]["claimed_by"] == "agent:local"
    told(claim(agent, request), 409, "already_claimed")
    done = outcome(agent, request, status="succeeded", result={"receipt": 7})
    assert done.json()["outcome"]["result"] == {"receipt": 7}
    again = outcome(agent, request, status="succeeded", result={"receipt": 7})
    assert again.json()["version"] == done.json()["version"]
    told(outcome(agent, request, status="failed"), 409, "already_reported")


def test_anything_but_what_was_approved_is_refused(agent: httpx2.Client, person: Person) -> None:
    request = asked(agent)
    edited = person.decide(request["id"], "edit", args={"to": "Ann", "amount": 4})
    told(claim(agent, request), 409, "digest_mismatch")
    told(claim(agent, request, digest="sha256:" + "0" * 64), 409, "digest_mismatch")
    told(claim(agent, request, digest=""), 409, "digest_mismatch")
    assert claim(agent, request, digest=edited["decision"]["digest"]).status_code == 200


@pytest.mark.parametrize("decision", ["reject", "ignore", "cancel"])
def test_what_was_not_approved_cannot_be_claimed(
    agent: httpx2.Client, person: Person, decision: str
) -> None:
    request = asked(agent)
    if decision == "cancel":
        agent.post(f"{REQUESTS}/{request['id']}/cancel")
    else:
        person.decide(request["id"], decision)
    told(claim(agent, request), 409, "not_approved")


def test_a_claim_whose_answer_was_lost_is_repeated_under_its_key(
    agent: httpx2.Client, person: Person
) -> None:
    request = asked(agent)
    person.decide(request["id"], "approve")
    first = claim(agent, request, key="run-1").json()
    assert claim(agent, request, key="run-1").json() == first
    for wrong in ("run-2", first["grant"]["claim_mark"]):
        told(claim(agent, request, key=wrong), 409, "already_claimed")
    told(claim(agent, request), 409, "already_claimed")


async def test_of_many_that_claim_at_once_one_wins(server: RunningServer, person: Person) -> None:
    with server.http() as agent:
        request = asked(agent)
        person.decide(request["id"], "approve")
        async with lines(server.port, 20) as racing:
            path = f"{REQUESTS}/{request['id']}/claim"
            body = {"digest": request["action"]["digest"]}
            replies = await asyncio.gather(*(line.ask("POST", path, body) for line in racing))
    statuses = sorted(status for status, _ in replies)
    assert statuses == [200] + [409] * 19


def test_a_grant_that_has_expired_is_refused_and_can_be_asked_again(
    agent: httpx2.Client, person: Person
) -> None:
    request = asked(agent, rule={"grant_seconds": 0.05})
    person.decide(request["id"], "approve")
    while (reply := agent.post(f"{REQUESTS}/{request['id']}/reopen")).status_code != 201:
        told(reply, 409, "not_reopenable")
    told(claim(agent, request), 409, "grant_expired")
    again = reply.json()
    assert (again["status"], again["reopens"]) == ("pending", request["id"])
    assert again["action"] == request["action"]
    twice = agent.post(f"{REQUESTS}/{request['id']}/reopen")
    assert (twice.status_code, twice.json()["id"]) == (200, again["id"])


def test_what_changed_since_it_was_asked_is_asked_again_with_the_difference(
    agent: httpx2.Client, person: Person
) -> None:
    request = asked(agent, facts={"balance": 100, "owner": "Ann"})
    person.decide(request["id"], "approve")
    told(claim(agent, request), 409, "facts_required")
    problem = told(
        claim(agent, request, facts={"balance": 3, "owner": "Ann"}), 409, "facts_changed"
    )
    again = problem["request"]
    assert (again["status"], again["reopens"]) == ("pending", request["id"])
    assert again["changes"] == {"balance": [100, 3]}
    told(claim(agent, request, facts={"balance": 100, "owner": "Ann"}), 409, "grant_expired")
    person.decide(again["id"], "approve")
    assert claim(agent, again, facts={"balance": 3, "owner": "Ann"}).status_code == 200


def test_facts_are_compared_as_json(agent: httpx2.Client, person: Person) -> None:
    request = asked(agent, facts={"version": 1, "locked": False, "rate": 2})
    person.decide(request["id"], "approve")
    same = {"locked": False, "rate": 2.0, "version": 1}
    other = {**same, "version": True, "locked": 0}
    problem = told(claim(agent, request, facts=other), 409, "facts_changed")
    assert problem["request"]["changes"] == {"version": [1, True], "locked": [False, 0]}
    again = asked(agent, facts={"version": 1, "locked": False, "rate": 2})
    person.decide(again["id"], "approve")
    assert claim(agent, again, facts=same).status_code == 200


def test_what_was_refused_or_run_is_not_asked_again(agent: httpx2.Client, person: Person) -> None:
    refused, run = asked(agent), asked(agent)
    person.decide(refused["id"], "reject")
    person.decide(run["id"], "approve")
    told(agent.post(f"{REQUESTS}/{run['id']}/reopen"), 409, "not_reopenable")
    claim(agent, run)
    for request in (refused, run):
        told(agent.post(f"{REQUESTS}/{request['id']}/reopen"), 409, "not_reopenable")


async def test_a_claim_that_is_refused_is_on_record(server: RunningServer, person: Person) -> None:
    with server.http() as agent:
        request = asked(agent)
        person.decide(request["id"], "approve")
        async with Feed(server.url, "?after=0&type=grant.refused") as feed:
            told(claim(agent, request, digest="sha256:other"), 409, "digest_mismatch")
            events = await feed.take(1)
            while events[-1]["request_id"] != request["id"]:
                events += await feed.take(1)
    assert events[-1]["data"] == {"code": "digest_mismatch", "digest": "sha256:other"}


def test_a_claim_survives_kill_9(fresh_server: RunningServer) -> None:
    server = fresh_server
    person = Person(server)
    with server.http() as agent:
        request = asked(agent)
        person.decide(request["id"], "approve")
        assert claim(agent, request).status_code == 200
    server.kill9()
    server.restart()
    person.close()
    with server.http() as agent:
        told(claim(agent, request), 409, "already_claimed")
        assert outcome(agent, request, status="unknown").status_code == 200
        assert outcome(agent, request, status="failed", error="broke off").status_code == 200
