"""Every attack that the security model speaks of, tried over real HTTP, in the model's order.

What has a module of its own is tried there: every route with every credential (test_who_may.py),
the eye (tests/e2e/test_attacks_on_the_eye.py, test_cli_attacks.py), the parser (test_http_fuzz.py),
and all of it as an operator would (test_selftest.py).
"""

import base64
import json
import re
import socket
import sqlite3
import stat
import uuid
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from support import warm
from support.credentials import REQUESTS, Everybody
from support.problems import told
from support.server import RunningServer, clean_environment

PAY = {"tool_name": "pay", "tool_args": {"to": "Ann", "amount": 1}}
APPROVE = {"type": "approve"}
EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> Generator[Everybody]:
    """At a server that takes no calls without a credential."""
    settings = {"SAYSO_REQUIRE_KEYS": "true"}
    server = RunningServer(tmp_path_factory.mktemp("server"), environment=settings).start()
    all_ = Everybody(server)
    yield all_
    all_.close()
    server.stop()


def post(all_: Everybody, who: str, path: str, body: Any, **headers: str) -> httpx2.Response:
    return all_.call(who, "POST", path, json=body, headers=headers)


def at(request: dict[str, Any], verb: str) -> str:
    return f"{REQUESTS}/{request['id']}/{verb}"


def read(all_: Everybody, request: dict[str, Any]) -> dict[str, Any]:
    return all_.did("GET", f"{REQUESTS}/{request['id']}", all_.headers["agent"])


# Two planes


@pytest.mark.parametrize("who", ["agent", "other", "reader", "manager"])
def test_no_key_decides_and_the_request_waits_on(everybody: Everybody, who: str) -> None:
    request = everybody.ask(action=PAY)
    told(post(everybody, who, at(request, "decision"), APPROVE), 403, "person_required")
    assert read(everybody, request)["status"] == "pending"


def test_a_person_who_may_not_decide_does_not(everybody: Everybody) -> None:
    request = everybody.ask(action=PAY)
    for who in ("member", "viewer"):
        told(post(everybody, who, at(request, "decision"), APPROVE), 403, "power_required")
    assert read(everybody, request)["status"] == "pending"


def test_who_asks_through_an_agent_does_not_answer_where_four_eyes_are_asked_for(
    everybody: Everybody,
) -> None:
    rule = {"four_eyes": True}
    body = {"message": "May I?", "action": PAY, "rule": rule}
    mine = everybody.did("POST", REQUESTS, everybody.headers["other"], **body)  # the reviewer's
    refused = post(everybody, "reviewer", at(mine, "decision"), APPROVE)
    assert refused.status_code in (403, 409), refused.text
    assert everybody.did("POST", at(mine, "decision"), everybody.headers["admin"], **APPROVE)


def test_a_quorum_counts_people_and_not_presses(everybody: Everybody) -> None:
    request = everybody.ask(action=PAY, rule={"approvals": 2})
    for _ in range(3):
        post(everybody, "reviewer", at(request, "decision"), APPROVE)
    assert read(everybody, request)["status"] == "pending"
    post(everybody, "admin", at(request, "decision"), APPROVE)
    assert read(everybody, request)["status"] == "approved"


@pytest.mark.parametrize(
    "claim",
    [{"by": {"id": "x", "name": "Ann"}}, {"reviewer": "Ann"}, {"strength": "passkey"},
     {"channel": "web"}, {"assertion": {}}],
)  # fmt: skip
def test_who_decided_does_not_come_from_the_body(everybody: Everybody, claim: Any) -> None:
    request = everybody.ask(action=PAY)
    told(post(everybody, "reviewer", at(request, "decision"), {**APPROVE, **claim}), 422)
    decided = everybody.did(
        "POST", at(request, "decision"), everybody.headers["reviewer"], **APPROVE
    )
    assert decided["decision"]["by"]["id"] == everybody.ids["reviewer"]
    assert decided["decision"]["strength"] == "login"


def test_an_identity_that_is_too_weak_is_not_enough(everybody: Everybody) -> None:
    request = everybody.ask(action=PAY, rule={"min_strength": "passkey"})
    refused = post(everybody, "reviewer", at(request, "decision"), APPROVE)
    assert refused.status_code == 403, refused.text
    assert read(everybody, request)["status"] == "pending"


# The open local mode


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_it_does_not_listen_to_others_without_accounts(tmp_path: Any, host: str) -> None:
    words = ("serve", "--host", host, "--port", "0", "--data", str(tmp_path))
    done = warm.run(*words, environment=clean_environment())
    assert done.returncode == 2
    assert "Refusing to listen" in done.stderr


def test_a_server_that_wants_keys_takes_no_call_without_one(everybody: Everybody) -> None:
    told(post(everybody, "nobody", REQUESTS, {"message": "May I?"}), 401, "sign_in_required")
    for key in ("", "x", "sayso_" + "A" * 43, "null", "undefined"):
        reply = everybody.call("nobody", "GET", REQUESTS, headers={"X-Api-Key": key})
        assert reply.status_code == 401, key


@pytest.mark.parametrize("who", ["nobody", "agent", "admin"])
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", ""])
def test_another_host_name_is_refused(everybody: Everybody, who: str, host: str) -> None:
    reply = everybody.call(who, "GET", REQUESTS, headers={"Host": host})
    told(reply, 403, "unknown_host")


@pytest.mark.parametrize(
    "origin", [EVIL, "null", "http://localhost:1", "http://localhost.evil.example"]
)
def test_a_page_of_another_origin_is_refused(everybody: Everybody, origin: str) -> None:
    request = everybody.ask(action=PAY)
    told(
        post(everybody, "admin", at(request, "decision"), APPROVE, Origin=origin),
        403,
        "foreign_origin",
    )
    told(post(everybody, "agent", REQUESTS, {"message": "x"}, Origin=origin), 403, "foreign_origin")
    assert read(everybody, request)["status"] == "pending"


def test_the_secret_is_its_owners_and_there_is_none_built_in(everybody: Everybody) -> None:
    path = everybody.server.secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(bytes.fromhex(path.read_text().strip())) == 32


# What was approved is what runs


def test_a_digest_that_is_not_of_what_is_shown_is_refused(everybody: Everybody) -> None:
    wrong = {**PAY, "digest": "sha256:" + "0" * 64}
    told(post(everybody, "agent", REQUESTS, {"message": "x", "action": wrong}), 422)
    request = everybody.ask(action=PAY)
    body = {**APPROVE, "digest": wrong["digest"]}
    reply = post(everybody, "admin", at(request, "decision"), body)
    assert reply.status_code in (409, 422), reply.text
    assert read(everybody, request)["status"] == "pending"


def test_a_grant_is_claimed_once_however_many_try_at_once(everybody: Everybody) -> None:
    request = everybody.granted()
    body = {"digest": request["action"]["digest"]}

    def claim(_: int) -> int:
        with everybody.server.http() as http:
            headers = everybody.headers["agent"]
            return http.post(at(request, "claim"), json=body, headers=headers).status_code

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(claim, range(24)))
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 409}


def test_a_grant_fits_one_digest(everybody: Everybody) -> None:
    request = everybody.granted()
    other = everybody.ask(action={"tool_name": "pay", "tool_args": {"to": "Eve"}})
    for digest in (other["action"]["digest"], "sha256:" + "0" * 64, ""):
        reply = post(everybody, "agent", at(request, "claim"), {"digest": digest})
        assert reply.status_code in (403, 409, 422), reply.text
    assert read(everybody, request)["grant"]["claimed_at"] is None


def test_after_an_edit_the_agents_own_version_cannot_be_claimed(everybody: Everybody) -> None:
    request = everybody.ask(action=PAY)
    body = {"type": "edit", "args": {"to": "Ann", "amount": 0.5}}
    decided = everybody.did("POST", at(request, "decision"), everybody.headers["admin"], **body)
    digest = request["action"]["digest"]
    refused = post(everybody, "agent", at(request, "claim"), {"digest": digest})
    assert refused.status_code in (403, 409, 422), refused.text
    good = {"digest": decided["decision"]["digest"]}
    assert post(everybody, "agent", at(request, "claim"), good).status_code == 200


@pytest.mark.parametrize("answer", [{"type": "reject"}, {"type": "ignore"}, None])
def test_nothing_is_claimed_that_was_not_approved(everybody: Everybody, answer: Any) -> None:
    request = everybody.ask(action=PAY)
    if answer is not None:
        everybody.did("POST", at(request, "decision"), everybody.headers["admin"], **answer)
    body = {"digest": request["action"]["digest"]}
    reply = post(everybody, "agent", at(request, "claim"), body)
    assert reply.status_code == 409, reply.text


def test_another_agent_neither_sees_claims_nor_reports(everybody: Everybody) -> None:
    request = everybody.granted()
    body = {"digest": request["action"]["digest"]}
    told(post(everybody, "other", at(request, "claim"), body), 404)
    everybody.did("POST", at(request, "claim"), everybody.headers["agent"], **body)
    told(post(everybody, "other", at(request, "outcome"), {"status": "succeeded"}), 404)
    assert read(everybody, request)["outcome"] is None


def test_a_retry_attaches_and_never_asks_twice(everybody: Everybody) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"message": "May I?", "action": PAY}
    first, second = (post(everybody, "agent", REQUESTS, body, **key) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    other = {"message": "May I?", "action": {"tool_name": "pay", "tool_args": {"amount": 9}}}
    told(post(everybody, "agent", REQUESTS, other, **key), 409, "idempotency_conflict")
    theirs = post(everybody, "other", REQUESTS, body, **key)
    assert theirs.json()["id"] != first.json()["id"]


def test_what_changed_meanwhile_is_asked_again(everybody: Everybody) -> None:
    request = everybody.ask(action=PAY, facts={"balance": 100})
    everybody.did("POST", at(request, "decision"), everybody.headers["admin"], **APPROVE)
    body = {"digest": request["action"]["digest"], "facts": {"balance": 5}}
    reply = post(everybody, "agent", at(request, "claim"), body)
    assert reply.status_code == 409, reply.text
    assert (
        post(everybody, "agent", at(request, "claim"), {"digest": body["digest"]}).status_code
        != 200
    )


@pytest.mark.parametrize(
    "raw",
    [b'{"message": "x", "action": {"tool_name": "t", "tool_args": {"to": "Ann", "to": "Eve"}}}',
     b'{"message": "x", "mess\\u0061ge": "y"}', b'{"message": "x", "message" :"y"}',
     b'{"message":"x","metadata":{"to":{},"to":{}}}', b'{"message":"x","message":"x"}'],
)  # fmt: skip
def test_a_name_with_two_values_is_refused(everybody: Everybody, raw: bytes) -> None:
    told(everybody.call("agent", "POST", REQUESTS, content=raw), 422, "duplicate_name")


# What the person sees: text is data in every reply


MARK = "<script>alert(1)</script>\u202e"


def test_no_reply_can_be_taken_for_a_page(everybody: Everybody) -> None:
    request = everybody.ask(message=MARK)
    for path in (f"{REQUESTS}/{request['id']}", f"{REQUESTS}?q=script", "/hitl/pending"):
        reply = everybody.call("agent", "GET", path, headers={"Accept": "text/html"})
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/requests/{id}", "/", "/history", "/history?q=%3Cscript%3Ealert(1)"]
)
def test_no_page_holds_markup_of_an_agent(everybody: Everybody, path: str) -> None:
    options = [{"label": MARK[:30], "value": "v"}]
    request = everybody.ask(message=MARK, kind="choice", options=options, metadata={MARK: MARK})
    reply = everybody.call("admin", "GET", path.format(id=request["id"]))
    assert reply.status_code == 200
    assert "<script>alert" not in reply.text
    assert "\u202e" not in reply.text
    assert "script-src 'self'" in reply.headers["content-security-policy"]


def test_an_error_page_holds_nothing_of_its_address(everybody: Everybody) -> None:
    reply = everybody.call(
        "nobody", "GET", "/%3Cscript%3Ealert(1)", headers={"Accept": "text/html"}
    )
    assert reply.status_code == 404
    assert "<script>alert" not in reply.text


def test_the_log_holds_no_line_of_an_agent(everybody: Everybody) -> None:
    forged = "\r\n2026-11-21 12:00:00 INFO sayso.server: approved by admin"
    post(everybody, "agent", REQUESTS, {"message": forged}, **{"X-Forged": "y"})
    everybody.call("nobody", "GET", "/x%0d%0aapproved%20by%20admin")
    assert "approved by admin" not in everybody.server.log


# Channels


def test_no_get_decides_not_even_a_persons(everybody: Everybody) -> None:
    request = everybody.ask(action=PAY)
    for path in (at(request, "decision"), f"/requests/{request['id']}/decision"):
        for method in ("GET", "HEAD"):
            for who in ("agent", "admin"):
                everybody.call(who, method, f"{path}?type=approve")
                override = {"X-HTTP-Method-Override": "POST"}
                everybody.call(who, method, path, headers=override)
    assert read(everybody, request)["status"] == "pending"


def test_a_scanner_does_not_use_up_a_link(everybody: Everybody) -> None:
    link = everybody.server.new_link()
    with everybody.server.http() as scanner:
        assert scanner.head(link).status_code == 405
    with everybody.server.http() as browser:
        assert browser.get(link).status_code == 303
    with everybody.server.http() as thief:
        assert "set-cookie" not in thief.get(link).headers


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:{port}/", "http://localhost:{port}/",
     "http://[::ffff:127.0.0.1]:{port}/", "http://10.0.0.1/", "http://0:{port}/",
     "http://2130706433:{port}/", "http://0x7f.1:{port}/", "http://0177.0.0.1:{port}/",
     "http://127.1:{port}/", "file:///etc/passwd", "http://user:pw@127.0.0.1:{port}/"],
)  # fmt: skip
def test_callbacks_go_nowhere_inside(everybody: Everybody, url: str) -> None:
    """What is no address yet when it is taken is checked when it is connected to."""
    with socket.create_server(("127.0.0.1", 0)) as inside:
        inside.settimeout(0.2)
        port = inside.getsockname()[1]
        reply = post(
            everybody, "agent", REQUESTS, {"message": "x", "callback_url": url.format(port=port)}
        )
        if reply.status_code == 201:
            everybody.did("POST", at(reply.json(), "cancel"), everybody.headers["agent"])
        else:
            told(reply, 422)
        with pytest.raises(TimeoutError):
            inside.accept()


# Limits


@pytest.mark.parametrize("who", ["nobody", "agent", "admin"])
def test_what_is_too_much_is_refused(everybody: Everybody, who: str) -> None:
    deep = b'{"message":"x","metadata":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001
    many = b'{"message":"x","metadata":{"a":[' + b"[]," * 200_000 + b"[]]}}"
    for raw in (b'{"message":"' + b"x" * 3_000_000 + b'"}', deep, many):
        reply = everybody.call(who, "POST", REQUESTS, content=raw)
        assert reply.status_code in (401, 413, 422), reply.text


def test_guessing_a_password_is_slowed_down(everybody: Everybody) -> None:
    given = {"username": f"guess-{uuid.uuid4().hex[:6]}", "password": "wrong wrong wrong 1"}
    statuses = [post(everybody, "nobody", "/api/auth/login", given).status_code for _ in range(14)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


@pytest.mark.parametrize("alg", ["none", "None", "HS256"])
def test_a_token_that_anybody_can_make_is_none(everybody: Everybody, alg: str) -> None:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"sub": everybody.ids["admin"], "role": "admin", "exp": 9_999_999_999}
    token = f"{part({'alg': alg, 'typ': 'JWT'})}.{part(claims)}."
    headers = {"Authorization": f"Bearer {token}"}
    told(everybody.call("nobody", "GET", "/api/auth/me", headers=headers), 401)


def test_the_database_alone_signs_nobody_in(everybody: Everybody) -> None:
    """Neither keys nor sessions nor passwords stand there as they are sent."""
    sent = [re.sub("^Bearer ", "", h["Authorization"]) for h in everybody.headers.values() if h]
    with sqlite3.connect(everybody.server.database) as database:
        dump = "\n".join(database.iterdump())
    assert not [word for word in sent if word in dump]
    assert "correct-Horse-battery-9" not in dump


def test_a_stopped_agent_is_granted_nothing_until_it_is_lifted(everybody: Everybody) -> None:
    session = f"s-{uuid.uuid4().hex[:8]}"
    request = everybody.ask(action=PAY, session_id=session)
    stop = {"kind": "session", "value": session}
    everybody.did("POST", "/api/v1/stops", everybody.headers["reviewer"], **stop)
    post(everybody, "admin", at(request, "decision"), APPROVE)
    body = {"digest": request["action"]["digest"]}
    assert not post(everybody, "agent", at(request, "claim"), body).is_success
    told(everybody.call("agent", "DELETE", f"/api/v1/stops/session:{session}"), 403)
    everybody.did("DELETE", f"/api/v1/stops/session:{session}", everybody.headers["admin"])
    post(everybody, "admin", at(request, "decision"), APPROVE)
    assert post(everybody, "agent", at(request, "claim"), body).is_success


def test_the_standing_grant_of_a_person_is_not_an_agents_to_widen(everybody: Everybody) -> None:
    tool = f"t-{uuid.uuid4().hex[:8]}"
    draft = {"tool_name": tool, "uses": 1}
    for who in ("agent", "other", "reader", "manager", "member", "viewer"):
        assert not post(everybody, who, "/api/v1/standing-grants", draft).is_success
    everybody.did("POST", "/api/v1/standing-grants", everybody.headers["admin"], **draft)
    asked = [everybody.ask(action={"tool_name": tool, "tool_args": {}})["status"] for _ in range(2)]
    assert asked == ["approved", "pending"]


def test_the_command_line_of_an_agent_decides_nothing(everybody: Everybody, tmp_path: Any) -> None:
    request = everybody.ask(action=PAY)
    key = everybody.headers["agent"]["Authorization"].removeprefix("Bearer ")
    environment = clean_environment(SAYSO_URL=everybody.server.url, SAYSO_TOKEN=key)
    words = ("requests", "decide", request["id"], "approve")
    done = warm.run(*words, environment=environment, folder=tmp_path)
    assert done.returncode == 2
    assert read(everybody, request)["status"] == "pending"
