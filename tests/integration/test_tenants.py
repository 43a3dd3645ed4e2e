"""Nothing in one tenant is shown in another, or changed from there."""

from collections.abc import Generator
from typing import Any

import httpx2
import pytest
from support.accounts import Account, add_account, ask, new_name
from support.feed import Feed
from support.problems import told
from support.server import RunningServer

PAY = {"tool_name": "pay", "tool_args": {"amount": 5}}
GRANT = {"tool_name": "pay", "args": {"amount": {"max": 10}}}


@pytest.fixture(scope="module")
def ours(server: RunningServer) -> Generator[Account]:
    with add_account(server, "admin", tenant="ours") as admin:
        yield admin


@pytest.fixture(scope="module")
def theirs(server: RunningServer) -> Generator[Account]:
    with add_account(server, "admin", tenant="theirs") as admin:
        yield admin


@pytest.fixture
def agent(ours: Account) -> Generator[httpx2.Client]:
    with ours.agent() as agent:
        yield agent


def test_only_whoever_runs_the_server_makes_a_tenant(server: RunningServer, ours: Account) -> None:
    body = {"username": new_name(), "password": "correct horse battery", "tenant": "more"}
    told(ours.http.post("/api/v1/users", json=body), 403, "operator_required")
    told(ours.http.get("/api/v1/users?tenant=theirs"), 403, "operator_required")
    with server.http(server.sign_in()) as operator:
        assert operator.get("/api/v1/users?tenant=ours").json()["items"][0]["id"] == ours.id
        bad = {**body, "tenant": "No / Such"}
        told(operator.post("/api/v1/users", json=bad), 422)


def test_no_road_leads_from_one_tenant_to_anothers_request(
    agent: httpx2.Client, ours: Account, theirs: Account
) -> None:
    request_id = ask(agent, action=PAY, session_id="s")
    digest = agent.get(f"/api/v1/requests/{request_id}").json()["action"]["digest"]
    at = f"/api/v1/requests/{request_id}"
    with theirs.agent() as stranger:
        for who in (theirs.http, stranger):
            for method, path, body in (
                ("GET", at, None),
                ("GET", f"{at}?wait=0.1", None),
                ("POST", f"{at}/cancel", {}),
                ("POST", f"{at}/extend", {"timeout_seconds": 900}),
                ("POST", f"{at}/claim", {"digest": digest}),
                ("POST", f"{at}/outcome", {"status": "succeeded"}),
                ("POST", f"{at}/reopen", {}),
                ("GET", f"/hitl/poll?request_id={request_id}", None),
                ("POST", "/hitl/cancel", {"request_id": request_id}),
            ):
                reply = who.request(method, path, json=body)
                assert reply.status_code == 404, f"{method} {path}: {reply.text}"
            for listed in ("/api/v1/requests", "/hitl/pending"):
                assert request_id not in who.get(listed).text
    told(theirs.http.post(f"{at}/decision", json={"type": "approve"}), 404)
    told(theirs.http.get(f"/api/v1/audit/requests/{request_id}"), 404)
    assert theirs.http.get(f"/requests/{request_id}").status_code == 404
    assert ours.http.get(at).json()["status"] == "pending"


def test_names_are_told_within_a_tenant_only(ours: Account, theirs: Account) -> None:
    key = ours.http.post("/api/v1/keys", json={"label": "Night bot"}).json()
    ids = f"{ours.id},{key['agent_id']},unknown,local"
    mine = ours.http.get("/api/v1/names", params={"id": ids}).json()["names"]
    me = ours.http.get("/api/v1/me").json()["name"]
    assert mine == {ours.id: me, key["agent_id"]: "Night bot"}
    assert theirs.http.get("/api/v1/names", params={"id": ids}).json()["names"] == {}
    ours.http.delete(f"/api/v1/keys/{key['id']}")
    revoked = ours.http.get("/api/v1/names", params={"id": key["agent_id"]}).json()["names"]
    assert revoked == {key["agent_id"]: "Night bot"}
    for bad in ("", ",".join("x" * 101)):
        told(ours.http.get("/api/v1/names", params={"id": bad}), 422, "invalid_request")


def test_what_is_managed_in_one_tenant_is_not_there_in_another(
    ours: Account, theirs: Account
) -> None:
    key = ours.key(label="ours")
    grant = ours.http.post("/api/v1/standing-grants", json=GRANT).json()
    rule = {"name": "pay", "tools": ["pay"], "rule": {"approvals": 2}}
    ours.http.post("/api/v1/rules", json=rule)
    ours.http.post("/api/v1/stops", json={"kind": "session", "value": "s"})
    ours.http.put(f"/api/v1/groups/finance/members/{ours.id}")
    webhook = ours.http.post("/api/v1/webhooks", json={"url": "https://hooks.example/"}).json()
    for path in (
        "users", "keys?all=true", "groups", "logins?all=true", "rules", "stops",
        "standing-grants", "webhooks", "deliveries",
    ):  # fmt: skip
        found: list[dict[str, Any]] = theirs.http.get(f"/api/v1/{path}").json()["items"]
        assert ours.id not in str(found), path
        assert not any(each.get("tenant") == "ours" for each in found), path
        if path not in ("users", "logins?all=true", "keys?all=true"):
            assert found == [], path
    for method, path, body in (
        ("DELETE", f"keys/{key['id']}", None),
        ("POST", f"keys/{key['id']}/rotate", {}),
        ("DELETE", f"standing-grants/{grant['id']}", None),
        ("DELETE", "rules/pay", None),
        ("DELETE", "stops/session:s", None),
        ("GET", f"users/{ours.id}", None),
        ("GET", f"users/{ours.username}", None),
        ("PATCH", f"users/{ours.id}", {"disabled": True}),
        ("POST", f"users/{ours.id}/password", {"password": "another good one"}),
        ("PUT", f"groups/finance/members/{ours.id}", None),
        ("DELETE", f"groups/finance/members/{ours.id}", None),
        ("DELETE", f"webhooks/{webhook['id']}", None),
        ("POST", f"webhooks/{webhook['id']}/rotate", {}),
        ("POST", f"webhooks/{webhook['id']}/enable", {}),
    ):
        reply = theirs.http.request(method, f"/api/v1/{path}", json=body)
        assert reply.status_code == 404, f"{method} {path}: {reply.status_code} {reply.text}"
    with ours.agent() as agent, theirs.agent() as stranger:
        assert (
            stranger.post("/api/v1/requests", json={"message": "?", "action": PAY}).json()["status"]
            == "pending"
        ), "their standing grant is not ours"
        request = agent.post("/api/v1/requests", json={"message": "?", "action": PAY}).json()
        assert request["rule"]["approvals"] == 2
        their_request = stranger.post("/api/v1/requests", json={"message": "?", "action": PAY})
        assert their_request.json()["rule"] is None
    for path in ("rules/pay", "stops/session:s", f"standing-grants/{grant['id']}"):
        assert ours.http.delete(f"/api/v1/{path}").status_code == 200


async def test_the_stream_tells_of_ones_own_tenant_only(
    server: RunningServer, ours: Account, theirs: Account
) -> None:
    async with Feed(server.url, "?after=0", authorization=f"Bearer {theirs.token}") as feed:
        with ours.agent() as agent, theirs.agent() as stranger:
            hidden, shown = ask(agent), ask(stranger)
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["request_id"] != shown:
            seen += await feed.take(1)
    assert hidden not in {event["request_id"] for event in seen}
    assert ours.id not in str(seen)


def test_the_same_names_in_two_tenants_are_two_things(ours: Account, theirs: Account) -> None:
    body = {"session_id": "same", "client_id": "c"}
    with ours.agent() as agent, theirs.agent() as stranger:
        agent.post("/hitl/register", json=body)
        told(stranger.get("/hitl/status?session_id=same"), 404)
        stranger.post("/hitl/register", json=body)
        agent.post("/hitl/deactivate", json={"session_id": "same"})
        assert stranger.get("/hitl/status?session_id=same").json()["active"]
        key = {"Idempotency-Key": "one"}
        first = agent.post("/api/v1/requests", json={"message": "?"}, headers=key).json()
        other = stranger.post("/api/v1/requests", json={"message": "!"}, headers=key)
        assert other.status_code == 201
        assert other.json()["id"] != first["id"]
