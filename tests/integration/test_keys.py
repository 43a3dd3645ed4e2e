"""Keys and tokens of programs, over HTTP: what they open, how they end, and what is none."""

import base64
import hashlib
import hmac
import json
import sqlite3
import time
import uuid
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from support.accounts import PASSWORD, Account, add_account, ask
from support.problems import told
from support.server import RunningServer

KEYS = "/api/v1/keys"
LOOPGATE = "/api/user/apikeys"
LATER = (datetime.now(UTC) + timedelta(days=1)).isoformat()


@pytest.fixture(scope="module")
def admin(server: RunningServer) -> Generator[Account]:
    with add_account(server, "admin") as account:
        yield account


@pytest.fixture(scope="module")
def member(server: RunningServer) -> Generator[Account]:
    with add_account(server) as account:
        yield account


def me(server: RunningServer, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with server.http() as http:
        return http.get("/api/v1/me", headers=named)


# As Loopgate has them


def test_a_key_is_made_listed_and_revoked(server: RunningServer, member: Account) -> None:
    made = member.http.post(LOOPGATE, json={"label": "My Test Key"})
    assert made.status_code == 201
    key = made.json()
    assert set(key) == {"id", "raw_key", "label", "prefix", "expires_at", "created_at"}
    assert key["raw_key"].startswith("lk_pub_")
    assert len(key["raw_key"]) == len("lk_pub_") + 64
    assert (key["prefix"], key["label"], key["expires_at"]) == ("lk_pub_", "My Test Key", None)
    (listed,) = (each for each in member.http.get(LOOPGATE).json() if each["id"] == key["id"])
    assert set(listed) == {
        "id",
        "label",
        "prefix",
        "last_used_at",
        "expires_at",
        "created_at",
        "is_active",
    }
    assert listed["is_active"]
    for header in ({"Authorization": f"Bearer {key['raw_key']}"}, {"X-API-Key": key["raw_key"]}):
        found = me(server, **header).json()
        assert (found["plane"], found["owner"], found["name"]) == (
            "agent",
            member.id,
            "My Test Key",
        )
    revoked = member.http.delete(f"{LOOPGATE}/{key['id']}")
    assert (revoked.status_code, set(revoked.json())) == (200, {"message"})
    assert told(me(server, x_api_key=key["raw_key"]), 401)["code"] == "invalid_credential"
    assert not next(k for k in member.http.get(LOOPGATE).json() if k["id"] == key["id"])[
        "is_active"
    ]


def test_a_key_needs_no_wishes(member: Account) -> None:
    assert member.http.post(LOOPGATE).status_code == 201
    assert member.http.post(LOOPGATE, json={"expires_at": LATER}).json()["expires_at"]


@pytest.mark.parametrize("expires_at", ["2020-01-01T00:00:00Z", "tomorrow", "2090-01-01T00:00:00"])
def test_a_key_that_has_ended_already_is_not_made(member: Account, expires_at: str) -> None:
    told(member.http.post(LOOPGATE, json={"expires_at": expires_at}), 400)


def test_somebody_elses_key_is_not_there(member: Account, admin: Account) -> None:
    theirs = admin.key()["id"]
    told(member.http.delete(f"{LOOPGATE}/{theirs}"), 404)
    told(member.http.delete(f"{KEYS}/{theirs}"), 404)
    told(member.http.post(f"{KEYS}/{theirs}/rotate"), 404)
    told(member.http.delete(f"{LOOPGATE}/{uuid.uuid4()}"), 404)
    told(member.http.delete(f"{LOOPGATE}/not-a-uuid"), 400)
    told(admin.http.delete(f"{LOOPGATE}/{member.key()['id']}"), 404)


def test_keys_are_for_people_to_manage(server: RunningServer, member: Account) -> None:
    with member.agent() as agent, server.http() as nobody:
        for method, path in (("GET", LOOPGATE), ("POST", LOOPGATE), ("POST", KEYS)):
            refused = agent.request(method, path, json={})
            assert told(refused, 403)["code"] == "person_required"
        told(nobody.get(LOOPGATE), 401)
        assert nobody.post(KEYS, json={}).status_code in (401, 403)


def test_a_member_makes_keys_of_agents_only(member: Account) -> None:
    for scope in ("reader", "admin"):
        refused = member.http.post(KEYS, json={"scope": scope})
        assert told(refused, 403)["code"] == "power_required"
    refused = told(member.http.post(KEYS, json={"scope": "local"}), 422)
    assert refused["hint"] == "Use agent, reader or admin."


# What a key opens


def test_a_reader_reads_and_changes_nothing(admin: Account, member: Account) -> None:
    with admin.agent(scope="reader") as reader, member.agent() as agent:
        request_id = ask(agent)
        assert reader.get(f"/api/v1/requests/{request_id}").status_code == 200
        told(reader.post("/api/v1/requests", json={"message": "May I?"}), 403)
        told(reader.post(f"/api/v1/requests/{request_id}/cancel", json={}), 403)
        told(reader.get("/api/v1/users"), 403)


def test_a_key_reaches_no_further_than_its_owner(server: RunningServer, admin: Account) -> None:
    with add_account(server, "admin") as other, other.agent(scope="reader") as reader:
        assert reader.get("/api/v1/requests").status_code == 200
        admin.http.patch(f"/api/v1/users/{other.id}", json={"role": "member"})
        told(reader.get("/api/v1/requests"), 401)


def test_a_bound_key_is_good_for_its_client_alone(member: Account) -> None:
    with member.agent(client_id="ci", session_pattern="deploy-*") as agent:
        assert agent.get("/api/v1/me").json()["session_pattern"] == "deploy-*"
        ask(agent, client_id="ci", session_id="deploy-7")
        for more in ({}, {"client_id": "cd", "session_id": "deploy-7"}, {"client_id": "ci"}):
            told(agent.post("/api/v1/requests", json={"message": "May I?", **more}), 403)


# How it ends


def test_a_key_expires(server: RunningServer, member: Account) -> None:
    for seconds in (1, 5, 25):  # longer, if this machine is too slow to use it in time
        soon = datetime.now(UTC) + timedelta(seconds=seconds)
        made = member.http.post(KEYS, json={"expires_at": soon.isoformat()})
        key = made.json().get("key", "")
        if made.status_code == 201 and me(server, x_api_key=key).status_code == 200:
            break
        assert datetime.now(UTC) > soon, made.text
    else:
        raise AssertionError("It was never good.")
    while datetime.now(UTC) < soon:
        time.sleep(0.05)
    told(me(server, x_api_key=key), 401)


def test_a_rotated_key_goes_on_for_its_overlap_as_the_same_agent(
    server: RunningServer, member: Account
) -> None:
    old = member.key(label="bot", client_id="ci")
    made = member.http.post(f"{KEYS}/{old['id']}/rotate", json={"overlap_seconds": 3_600})
    new = made.json()
    assert made.status_code == 201
    assert (new["replaces"], new["agent_id"], new["client_id"]) == (
        old["id"],
        old["agent_id"],
        "ci",
    )
    assert me(server, x_api_key=old["key"]).json() == me(server, x_api_key=new["key"]).json()
    again = member.http.post(f"{KEYS}/{old['id']}/rotate", json={"overlap_seconds": 1})
    assert again.json()["code"] == "key_ended", "a second one would shorten the overlap"
    newest = member.http.post(f"{KEYS}/{new['id']}/rotate").json()
    told(me(server, x_api_key=new["key"]), 401)
    assert me(server, x_api_key=newest["key"]).status_code == 200
    ended = member.http.post(f"{KEYS}/{new['id']}/rotate")
    assert told(ended, 409)["code"] == "key_ended"


def test_the_last_use_is_noted(server: RunningServer, member: Account) -> None:
    key = member.key()
    me(server, x_api_key=key["key"])
    until = time.monotonic() + 60
    while time.monotonic() < until:
        listed = member.http.get(KEYS).json()["items"]
        if next(each for each in listed if each["id"] == key["id"])["last_used_at"]:
            return
        time.sleep(0.02)
    raise AssertionError("It was not noted.")


def test_keys_outlive_the_server_and_no_key_is_in_its_database(
    fresh_server: RunningServer,
) -> None:
    with add_account(fresh_server) as account:
        key = account.key()["key"]
        token = account.token
        fresh_server.restart()
        assert me(fresh_server, x_api_key=key).status_code == 200
        assert me(fresh_server, authorization=f"Bearer {token}").status_code == 200
    kept = b"".join(file.read_bytes() for file in fresh_server.data.glob("sayso.db*"))
    for secret in (key, token, PASSWORD):
        assert secret.encode() not in kept
    assert b"$argon2id$" in kept


# What is no credential


@pytest.mark.parametrize("name", ["api_key", "apikey", "key", "token", "access_token"])
def test_a_key_in_the_query_is_not_read(server: RunningServer, member: Account, name: str) -> None:
    key = member.key()["key"]
    with server.http() as http:
        assert http.get("/api/v1/me", params={name: key}).json()["id"] == "local"


def test_a_cookie_is_no_bearer_token_and_a_key_is_no_cookie(
    server: RunningServer, member: Account
) -> None:
    form = {"username": member.username, "password": PASSWORD}
    name = f"sayso_session_{server.port}"
    with server.http() as browser:
        assert browser.post("/login", data=form).status_code == 303
        cookie = browser.cookies[name]
        assert browser.get("/api/v1/me").json()["id"] == member.id
    told(me(server, authorization=f"Bearer {cookie}"), 401)
    told(me(server, x_api_key=cookie), 401)
    for credential in (member.token, member.key()["key"]):
        told(me(server, cookie=f"{name}={credential}"), 401)


def test_what_is_nearly_a_key_is_none(server: RunningServer, member: Account) -> None:
    key = member.key()["key"]
    for wrong in (key[:-1], key + "0", key.upper(), f"{key} {key}", key[7:], "lk_pub_", "null"):
        told(me(server, x_api_key=wrong), 401)
    told(me(server, authorization=f"Basic {key}"), 401)
    told(me(server, authorization=f"Bearer {key}, Bearer {key}"), 401)


def _json(part: dict[str, Any]) -> str:
    raw = json.dumps(part, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _signed(header: dict[str, Any], claims: dict[str, Any], key: bytes) -> str:
    message = f"{_json(header)}.{_json(claims)}"
    mac = hmac.digest(key, message.encode(), hashlib.sha256)
    return f"{message}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def test_a_forged_token_is_refused(server: RunningServer, member: Account, admin: Account) -> None:
    head, body, mac = member.token.split(".")
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, body))
    raised = {**claims, "sub": admin.id}
    forged = {
        "none": f"{_json({**header, 'alg': 'none'})}.{body}.",
        "None": f"{_json({**header, 'alg': 'None'})}.{body}.{mac}",
        "another subject": f"{head}.{_json(raised)}.{mac}",
        "an empty key": _signed(header, raised, b""),
        "Loopgate's key": _signed(header, raised, b"your-secret-key"),
        "its own key": _signed({**header, "jwk": {"kty": "oct", "k": "AAAA"}}, raised, b"\0\0\0"),
        "another algorithm": _signed({**header, "alg": "HS512"}, claims, b"x"),
        "RS256": f"{_json({**header, 'alg': 'RS256'})}.{body}.{mac}",
        "no signature": f"{head}.{body}.",
        "more": f"{member.token}A",
        "no JSON": f"{head}.AAAA.{mac}",
        "long": f"{head}.{'A' * 8_000}.{mac}",
    }
    for kind, token in forged.items():
        refused = me(server, authorization=f"Bearer {token}")
        assert refused.status_code == 401, kind
    assert me(server, authorization=f"Bearer {member.token}").json()["id"] == member.id


def test_an_ended_token_is_refused(server: RunningServer, member: Account) -> None:
    with Account(server, member.username) as again:
        assert again.http.delete("/api/v1/logins/this").json()["is_this"]
        told(again.http.get("/api/v1/me"), 401)


# Closed mode


def test_with_keys_required_nobody_asks_without_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("closed")
    environment = {
        "SAYSO_REQUIRE_KEYS": "1",
        "SAYSO_REGISTRATION": "0",
        "API_KEY_PREFIX": "acme_",
        "JWT_SECRET_KEY": "short",
    }
    closed = RunningServer(folder, environment=environment).start()
    try:
        with closed.http() as nobody:
            for method, path in (
                ("POST", "/api/v1/requests"),
                ("GET", "/api/v1/requests"),
                ("POST", "/hitl/request"),
                ("GET", "/hitl/pending"),
                ("GET", "/api/v1/me"),
                ("GET", "/api/v1/events"),
            ):
                told(nobody.request(method, path, json={}), 401, "sign_in_required")
            body = {"username": "somebody", "password": PASSWORD}
            off = nobody.post("/api/auth/register", json=body)
            assert told(off, 403)["code"] == "registration_off"
            assert nobody.get("/health").status_code == 200
            assert nobody.get("/", follow_redirects=False).headers["location"] == "/login"
        with add_account(closed) as account:
            key = account.key()
            assert key["key"].startswith("acme_")
            with closed.http(key["key"]) as agent:
                ask(agent)
    finally:
        closed.stop()


# Whose keys are


def test_a_key_that_a_key_made_ends_with_their_owner(server: RunningServer, admin: Account) -> None:
    with add_account(server, "admin") as leaving, leaving.agent(scope="admin") as manager:
        made = manager.post(KEYS, json={"scope": "admin"}).json()
        assert made["owner"] == leaving.id
        with server.http(made["key"]) as second:
            assert second.get("/api/v1/me").json()["owner"] == leaving.id
            disabled = admin.http.patch(f"/api/v1/users/{leaving.id}", json={"disabled": True})
            assert disabled.status_code == 200
            told(second.get("/api/v1/me"), 401)
            told(manager.get("/api/v1/me"), 401)


def test_four_eyes_are_not_those_of_whose_key_made_the_agents(
    server: RunningServer, admin: Account
) -> None:
    with admin.agent(scope="admin") as manager:
        key = manager.post(KEYS, json={"scope": "agent"}).json()["key"]
    with server.http(key) as agent:
        request_id = ask(agent, rule={"four_eyes": True})
    alone = admin.http.post(f"/api/v1/requests/{request_id}/decision", json={"type": "approve"})
    assert told(alone, 403)["code"] == "four_eyes"


def test_a_key_that_is_nobodys_opens_nothing(fresh_server: RunningServer) -> None:
    """As keys made by keys were once kept."""
    with add_account(fresh_server) as account:
        key = account.key()
    fresh_server.stop()
    with closing(sqlite3.connect(fresh_server.database)) as database, database:
        changed = database.execute(
            'UPDATE records SET body = CAST(replace(CAST(body AS TEXT), ?, \'"owner":""\')'
            " AS BLOB) WHERE id = ?",
            (f'"owner":"{account.id}"', key["id"]),
        )
        assert changed.rowcount == 1
    fresh_server.restart()
    told(me(fresh_server, x_api_key=key["key"]), 401)


def test_only_the_owner_replaces_a_key(
    server: RunningServer, admin: Account, member: Account
) -> None:
    """Whoever holds the new one is their agent."""
    key = member.key()
    where = f"{KEYS}/{key['id']}/rotate"
    with admin.agent(scope="admin") as manager, server.http(server.sign_in()) as operator:
        for other in (admin.http, manager, operator):
            refused = told(other.post(where), 403)
            assert refused["code"] == "not_yours"
            assert "Revoke it" in refused["hint"]
        assert me(server, x_api_key=key["key"]).status_code == 200
        page = admin.http.get("/keys", params={"all": "1"}).text
        assert f'id="hours-{key["id"]}"' not in page
        assert member.http.post(where).status_code == 201
        others = operator.post(KEYS, json={}).json()["id"]
        assert operator.post(f"{KEYS}/{others}/rotate").status_code == 201
        assert manager.delete(f"{KEYS}/{key['id']}").status_code == 200


def test_a_page_that_refuses_somebody_still_leads_them_to_what_is_theirs(member: Account) -> None:
    reply = member.http.get("/users")
    assert reply.status_code == 403
    assert '<a href="/keys" >Settings</a>' in reply.text
    assert f"Signed in as {member.username}" in reply.text


def test_a_wait_that_is_held_ends_when_its_caller_may_no_longer_see_the_request(
    server: RunningServer, admin: Account, member: Account
) -> None:
    others = f"/api/v1/requests/{ask(member.http)}"
    with add_account(server, "reviewer") as bob, ThreadPoolExecutor() as pool:
        own = f"/api/v1/requests/{ask(bob.http)}"
        waits = [
            pool.submit(bob.http.get, path, params={"wait": 60}, timeout=120)
            for path in (others, own)
        ]
        time.sleep(0.5)  # for both to be held
        admin.http.patch(f"/api/v1/users/{bob.id}", json={"role": "member"})
        told(waits[0].result(), 404, "not_found")
        assert member.http.get(others).json()["status"] == "pending"
        assert not waits[1].done()
        bob.http.post(f"{own}/cancel")
        assert waits[1].result().json()["status"] == "cancelled"


def test_a_wait_that_is_held_ends_when_its_key_is_revoked_and_others_go_on(
    server: RunningServer, member: Account
) -> None:
    keys = [member.http.post(KEYS, json={"label": label}).json() for label in ("ends", "stays")]
    agents = [server.http(key["key"]) for key in keys]
    asked = [agent.post("/api/v1/requests", json={"message": "?"}).json() for agent in agents]
    with ThreadPoolExecutor() as pool:
        held = [
            pool.submit(
                agent.get, f"/api/v1/requests/{request['id']}", params={"wait": 60}, timeout=120
            )
            for agent, request in zip(agents, asked, strict=True)
        ]
        time.sleep(0.5)  # for both to be held; a refusal before that is one as well
        member.http.delete(f"{KEYS}/{keys[0]['id']}")
        told(held[0].result(), 401, "invalid_credential")
        assert not held[1].done()
        assert agents[1].post(f"/api/v1/requests/{asked[1]['id']}/cancel").status_code == 200
        assert held[1].result().json()["status"] == "cancelled"
    for agent in agents:
        agent.close()
