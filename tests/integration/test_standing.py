"""Standing grants, review rules and the kill switch, over HTTP."""

import asyncio
from collections.abc import Generator
from typing import Any

import httpx2
import pytest
from support.accounts import add_account
from support.person import Person
from support.problems import told
from support.raw import lines
from support.server import RunningServer

REQUESTS = "/api/v1/requests"
GRANTS = "/api/v1/standing-grants"
RULES, STOPS = "/api/v1/rules", "/api/v1/stops"


@pytest.fixture
def server(fresh_server: RunningServer) -> RunningServer:
    return fresh_server


@pytest.fixture
def agent(server: RunningServer) -> Generator[httpx2.Client]:
    with server.http() as http:
        yield http


def action(**args: Any) -> dict[str, Any]:
    return {"tool_name": "mail", "tool_args": args}


def asked(agent: httpx2.Client, **more: Any) -> dict[str, Any]:
    fields = {"message": "Mail?", "action": action(to="a@x.example", n=1), **more}
    reply = agent.post(REQUESTS, json=fields)
    assert reply.status_code == 201, reply.text
    return reply.json()


TO_X: dict[str, Any] = {
    "tool_name": "mail",
    "args": {"to": {"glob": "*@x.example"}, "n": {"min": 1, "max": 5}},
    "uses": 2,
}


def test_a_decision_is_remembered_and_stands_for_what_is_alike(
    agent: httpx2.Client, person: Person
) -> None:
    first = asked(agent)
    person.decide(first["id"], "approve", remember=TO_X)
    (grant,) = person.http.get(GRANTS).json()["items"]
    assert (grant["request_id"], grant["uses_left"]) == (first["id"], 2)
    second = asked(agent, action=action(to="b@x.example", n=5))
    assert (second["status"], second["decision"]["channel"]) == ("approved", "standing")
    assert second["decision"]["standing_grant"] == grant["id"]
    digest = second["action"]["digest"]
    claimed = agent.post(f"{REQUESTS}/{second['id']}/claim", json={"digest": digest})
    assert claimed.status_code == 200
    assert asked(agent, action=action(to="b@y.example", n=1))["status"] == "pending"
    assert asked(agent, action=action(to="b@x.example", n=6))["status"] == "pending"
    assert asked(agent, action=action(to="b@x.example", n=2))["status"] == "approved"
    assert asked(agent)["status"] == "pending", "used up"
    assert person.http.get(GRANTS).json()["items"][0]["uses_left"] == 0


def test_an_edit_is_remembered_as_it_was_edited(agent: httpx2.Client, person: Person) -> None:
    request = asked(agent, action=action(to="a@x.example", n=500))
    edited = {"to": "a@x.example", "n": 5}
    person.decide(request["id"], "edit", args=edited, remember=TO_X)
    assert asked(agent, action=action(to="b@x.example", n=500))["status"] == "pending"
    assert asked(agent, action=action(to="b@x.example", n=5))["status"] == "approved"


async def test_many_at_once_do_not_use_it_more_often_than_was_said(
    server: RunningServer, person: Person
) -> None:
    assert person.http.post(GRANTS, json={**TO_X, "uses": 5}).status_code == 201
    body = {"message": "Mail?", "action": action(to="a@x.example", n=1)}
    async with lines(server.port, 20) as racing:
        replies = await asyncio.gather(*(line.ask("POST", REQUESTS, body) for line in racing))
    statuses = [reply["status"] for _, reply in replies]
    assert (statuses.count("approved"), statuses.count("pending")) == (5, 15)


def test_it_is_previewed_on_what_was_asked_before(agent: httpx2.Client, person: Person) -> None:
    yes, no, other = asked(agent), asked(agent), asked(agent, action=action(to="z@y.example", n=1))
    person.decide(yes["id"], "approve")
    person.decide(no["id"], "reject")
    person.decide(other["id"], "approve")
    preview = person.http.post(f"{GRANTS}/preview", json=TO_X).json()
    assert (preview["looked_at"], preview["matched"]) == (3, 2)
    assert (preview["approved"], preview["rejected"]) == (1, 1)
    assert preview["examples"] == [no["id"]]
    assert preview["is_all"]


def test_it_is_revoked_at_once(agent: httpx2.Client, person: Person) -> None:
    grant = person.http.post(GRANTS, json=TO_X).json()
    assert asked(agent)["status"] == "approved"
    revoked = person.http.delete(f"{GRANTS}/{grant['id']}").json()
    assert revoked["revoked_by"] == "person:local"
    assert asked(agent)["status"] == "pending"
    told(person.http.delete(f"{GRANTS}/nothing"), 404, "not_found")


def test_no_agent_gives_itself_one(agent: httpx2.Client) -> None:
    told(agent.post(GRANTS, json=TO_X), 401, "sign_in_required")
    request = asked(agent)
    answer = {"type": "approve", "remember": TO_X}
    told(agent.post(f"{REQUESTS}/{request['id']}/decision", json=answer), 401)


def test_only_the_approval_of_an_action_is_remembered(agent: httpx2.Client, person: Person) -> None:
    request = asked(agent)
    refused = person.try_to_decide(request["id"], "reject", remember=TO_X)
    told(refused, 409, "not_rememberable")
    other = {**TO_X, "tool_name": "pay"}
    told(person.try_to_decide(request["id"], "approve", remember=other), 422)
    high = asked(agent, action={**action(to="a@x.example", n=1), "risk_class": "high"})
    told(person.try_to_decide(high["id"], "approve", remember=TO_X), 422)
    assert person.http.get(GRANTS).json()["items"] == []
    assert agent.get(f"{REQUESTS}/{request['id']}").json()["status"] == "pending"


def test_a_rule_holds_from_then_on_and_ends_what_was_remembered(
    agent: httpx2.Client, person: Person
) -> None:
    before = asked(agent)
    person.http.post(GRANTS, json=TO_X)
    rule = {"name": "mail", "tools": ["mail*"], "rule": {"approvals": 2}}
    assert person.http.post(RULES, json=rule).status_code == 200
    request = asked(agent)
    assert (request["status"], request["rule"]["approvals"]) == ("pending", 2)
    voted = person.decide(request["id"], "approve")
    assert (voted["status"], len(voted["votes"])) == ("pending", 1)
    told(person.try_to_decide(request["id"], "approve"), 409, "already_voted")
    assert person.decide(before["id"], "approve")["status"] == "approved", "made before the rule"
    assert person.http.delete(f"{RULES}/mail").status_code == 200
    assert asked(agent)["status"] == "approved"
    told(agent.post(RULES, json=rule), 401)


@pytest.mark.parametrize(
    ("stop", "name"),
    [
        ({"kind": "everything", "reason": "on fire"}, "everything"),
        ({"kind": "session", "value": "s1"}, "session:s1"),
        ({"kind": "client", "value": "c1"}, "client:c1"),
        ({"kind": "agent", "value": "local"}, "agent:local"),
    ],
)
def test_nothing_that_is_stopped_is_approved_or_run_until_it_is_lifted(
    agent: httpx2.Client, person: Person, stop: dict[str, Any], name: str
) -> None:
    names = {"session_id": "s1", "client_id": "c1"}
    person.http.post(GRANTS, json=TO_X)
    ready = asked(agent, action=action(other=True), **names)
    person.decide(ready["id"], "approve")
    assert person.http.post(STOPS, json=stop).status_code == 201
    claim = {"digest": ready["action"]["digest"]}
    told(agent.post(f"{REQUESTS}/{ready['id']}/claim", json=claim), 409, "stopped")
    waiting = asked(agent, **names)
    assert waiting["status"] == "pending", "no standing grant either"
    told(person.try_to_decide(waiting["id"], "approve"), 409, "stopped")
    told(
        person.try_to_decide(waiting["id"], "edit", args={"to": "c@x.example", "n": 1}),
        409,
        "stopped",
    )
    refused = asked(agent, **names)
    assert person.decide(refused["id"], "reject")["status"] == "rejected"
    told(agent.delete(f"{STOPS}/{name}"), 401)
    assert [each["kind"] for each in person.http.get(STOPS).json()["items"]] == [stop["kind"]]
    assert person.http.delete(f"{STOPS}/{name}").status_code == 200
    assert person.decide(waiting["id"], "approve")["status"] == "approved"
    assert agent.post(f"{REQUESTS}/{ready['id']}/claim", json=claim).status_code == 200


def test_what_nobody_could_ever_approve_cannot_be_asked(agent: httpx2.Client) -> None:
    draft = {"message": "?", "rule": {"people": ["alice"], "approvals": 2}}
    refused = told(agent.post(REQUESTS, json=draft), 422, "invalid_request")
    assert refused["errors"][0]["at"] == "$.rule.approvals"


def test_what_is_wrong_with_a_rule_is_told_to_those_who_manage(server: RunningServer) -> None:
    with add_account(server, "admin") as boss, add_account(server, "viewer") as vera:
        rule = {"name": "pay", "rule": {"approvals": 9, "people": [vera.id], "groups": ["none"]}}
        put = boss.http.post(RULES, json=rule).json()
        (listed,) = boss.http.get(RULES).json()["items"]
        assert listed == put == boss.http.post(RULES, json=listed).json(), "as it is listed"
        assert any("can approve today" in text for text in listed["warnings"])
        assert "can approve today" in boss.http.get("/rules").text
        (shown,) = vera.http.get(RULES).json()["items"]
        assert (shown["warnings"], shown["names"]) == ([], {vera.id: vera.username})
        assert "can approve today" not in vera.http.get("/rules").text
        boss.http.delete(f"{RULES}/pay")


def test_a_stop_says_what_it_stops(agent: httpx2.Client, person: Person) -> None:
    told(person.http.post(STOPS, json={"kind": "agent"}), 422)
    told(person.http.post(STOPS, json={"kind": "everything", "value": "x"}), 422)
    for blank in (" ", "\u00a0", "\u200b"):
        told(person.http.post(STOPS, json={"kind": "agent", "value": blank}), 422)
    told(agent.post(STOPS, json={"kind": "everything"}), 403, "power_required")
    told(person.http.delete(f"{STOPS}/agent:nobody"), 404)


def test_what_holds_survives_kill_9(server: RunningServer, person: Person) -> None:
    person.http.post(GRANTS, json=TO_X)
    person.http.post(STOPS, json={"kind": "session", "value": "s1"})
    rule = {"name": "pay", "tools": ["pay"], "rule": {"approvals": 2}}
    person.http.post(RULES, json=rule)
    server.kill9()
    server.restart()
    again = Person(server)
    assert len(again.http.get(GRANTS).json()["items"]) == 1
    assert len(again.http.get(STOPS).json()["items"]) == 1
    assert again.http.get(RULES).json()["items"][0]["name"] == "pay"
    again.close()


def test_whoever_may_no_longer_decide_lets_nothing_through(
    server: RunningServer, agent: httpx2.Client
) -> None:
    rule = {"name": "pay", "tools": ["pay"], "rule": {"approvals": 2}}
    with server.http(server.sign_in()) as admin, add_account(server, "reviewer") as mal:
        assert mal.http.post(GRANTS, json=TO_X).status_code == 201
        assert asked(agent)["status"] == "approved"
        admin.post(RULES, json=rule)
        paid = asked(agent, action={"tool_name": "pay", "tool_args": {}})
        at = f"{REQUESTS}/{paid['id']}/decision"
        assert mal.http.post(at, json={"type": "approve"}).json()["status"] == "pending"
        changed = admin.patch(f"/api/v1/users/{mal.id}", json={"disabled": True})
        assert changed.status_code == 200
        assert asked(agent)["status"] == "pending", "what they had remembered"
        voted = admin.post(at, json={"type": "approve"}).json()
        assert (voted["status"], len(voted["votes"])) == ("pending", 1), "their vote"


def test_an_agents_stop_covers_whatever_looks_like_its_name_and_says_if_nothing_does(
    server: RunningServer, person: Person
) -> None:
    keys = "/api/v1/keys"
    with add_account(server) as mem:
        for label in ("Ops\u200bBot", "\u041eps Bot", "Ops\u202eBot"):
            told(mem.http.post(keys, json={"label": label}), 422)
        made = mem.http.post(keys, json={"label": "Ops\u00a0 Bot "}).json()
        assert made["label"] == "Ops Bot"
        with server.http(made["key"]) as bot:
            request = asked(bot)
    stop = {"kind": "agent", "value": "ops  B\u043et"}
    assert person.http.post(STOPS, json=stop).json()["warnings"] == []
    told(person.try_to_decide(request["id"], "approve"), 409, "stopped")
    (warning,) = person.http.post(STOPS, json={**stop, "value": "Opps"}).json()["warnings"]
    assert "No agent is known" in warning
    assert person.http.get("/stops").text.count("No agent is known") == 1


async def stopped(server: RunningServer, person: Person, count: int) -> set[int]:
    """Stop so many agents, over one line; with which statuses that was answered."""
    async with lines(server.port, 1) as (line,):
        for number in range(count):
            stop = {"kind": "agent", "value": f"a{number}"}
            line.send("POST", STOPS, stop, f"Authorization: Bearer {person.token}")
        return {(await line.reply())[0] for _ in range(count)}


def test_a_thousand_stops_do_not_hide_one_more(
    server: RunningServer, agent: httpx2.Client, person: Person
) -> None:
    assert asyncio.run(stopped(server, person, 1_000)) == {201}
    told(person.http.post(STOPS, json={"kind": "agent", "value": "b"}), 409, "too_many")
    assert person.http.post(STOPS, json={"kind": "everything"}).status_code == 201
    request = asked(agent)
    told(person.try_to_decide(request["id"], "approve"), 409, "stopped")
    assert person.http.delete(f"{STOPS}/everything").status_code == 200
    assert person.decide(request["id"], "approve")["status"] == "approved"
