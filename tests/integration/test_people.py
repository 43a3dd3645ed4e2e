"""Who may decide: people who signed in, by no other way, and from no other page."""

import asyncio
import contextlib
import json
import re
import socket
import sqlite3
import stat
import subprocess
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets
from support import warm
from support.feed import Feed
from support.person import Person
from support.problems import told
from support.raw import exchange, head
from support.server import RunningServer, clean_environment

from sayso.links import load_secret, make_link_token

SUBMIT = "/api/v1/requests"
DECIDED = {"approved", "rejected", "answered"}


@pytest.fixture(scope="module")
def agent(server: RunningServer) -> Generator[httpx2.Client]:
    with server.http() as http:
        yield http


@pytest.fixture
def browser(server: RunningServer) -> Generator[httpx2.Client]:
    """Signed in by cookie."""
    with server.http() as http:
        assert http.get(server.new_link()).status_code == 303
        yield http


def ask(agent: httpx2.Client, **more: Any) -> str:
    reply = agent.post(SUBMIT, json={"message": "Go on?", **more})
    assert reply.status_code == 201, reply.text
    return reply.json()["id"]


def stands(agent: httpx2.Client, request_id: str) -> str:
    return agent.get(f"{SUBMIT}/{request_id}").json()["status"]


def decide(http: httpx2.Client, request_id: str, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"type": "approve"}
    return http.post(f"{SUBMIT}/{request_id}/decision", json=body, headers=named)


# Links


def test_the_printed_link_signs_in_once(fresh_server: RunningServer) -> None:
    with fresh_server.http() as browser, fresh_server.http() as thief:
        first = browser.get(fresh_server.link)
        assert (first.status_code, first.headers["location"]) == (303, "/")
        assert browser.get("/").status_code == 200
        again = thief.get(fresh_server.link)
        assert again.status_code in (401, 410)
        assert "set-cookie" not in again.headers
        assert thief.get("/").status_code == 303


def _links(server: RunningServer) -> dict[str, str]:
    secret, now = load_secret(server.secret, create=False), datetime.now(UTC)
    token = server.new_link().partition("token=")[2]
    forged = ("A" if token[20] != "A" else "B").join((token[:20], token[21:]))
    return {
        "forged": forged,
        "cut": token[:-3],
        "empty": "",
        "of another server": make_link_token(b"x" * 32, now),
        "expired": make_link_token(secret, now - timedelta(hours=2)),
        "not one": "../../etc/passwd",
        "too long": token * 50,
    }


@pytest.mark.parametrize(
    "kind", ["forged", "cut", "empty", "of another server", "expired", "not one", "too long"]
)
def test_a_link_that_is_not_good_is_refused(
    server: RunningServer, agent: httpx2.Client, kind: str
) -> None:
    token = _links(server)[kind]
    told(agent.post("/api/auth/link", json={"token": token}), 401)
    page = agent.get("/login", params={"token": token})
    assert page.status_code in ((401, 410) if token else (200, 401))
    assert "set-cookie" not in page.headers
    assert page.headers["content-type"].startswith("text/html")
    assert "sayso login-link" in page.text


def test_a_used_link_is_refused_by_both_ways(server: RunningServer, agent: httpx2.Client) -> None:
    token = server.new_link().partition("token=")[2]
    assert agent.post("/api/auth/link", json={"token": token}).status_code == 200
    told(agent.post("/api/auth/link", json={"token": token}), 401, "used_link")
    page = agent.get(f"/login?token={token}")
    assert page.status_code in (401, 410)
    assert "sayso login-link" in page.text


def test_a_link_used_by_many_at_once_signs_one_in(server: RunningServer) -> None:
    body = json.dumps({"token": server.new_link().partition("token=")[2]}).encode()
    sent = head("POST", "/api/auth/link", server.port, f"Content-Length: {len(body)}") + body

    async def all_at_once() -> list[tuple[int, bytes]]:
        each = (asyncio.to_thread(exchange, server.address, sent) for _ in range(20))
        return await asyncio.gather(*each)

    assert sorted(status for status, _ in asyncio.run(all_at_once())) == [200] + [401] * 19


def test_looking_at_a_link_without_following_it_does_not_use_it_up(server: RunningServer) -> None:
    link = server.new_link()
    path = link.partition(str(server.port))[2]
    for method in ("HEAD", "OPTIONS"):  # as previews and scanners of links do
        exchange(server.address, head(method, path, server.port, "Connection: close"))
    with server.http() as browser:
        assert browser.get(link).status_code == 303


def test_the_login_page_says_how_to_get_in(agent: httpx2.Client) -> None:
    page = agent.get("/login")
    assert page.status_code == 200
    assert "sayso login-link" in page.text


# Sessions


def test_the_cookie_is_kept_from_scripts_and_other_sites(server: RunningServer) -> None:
    with server.http() as browser:
        cookie = browser.get(server.new_link()).headers["set-cookie"]
    (morsel,) = SimpleCookie(cookie).values()
    assert morsel.key.startswith("sayso_session")
    assert morsel["httponly"] is True
    assert morsel["samesite"] == "Lax"
    assert morsel["path"] == "/"
    assert morsel["domain"] == ""
    assert 0 < int(morsel["max-age"]) <= 7 * 86_400
    assert len(morsel.value) >= 32


def test_a_cookie_and_a_bearer_token_tell_who_it_is(browser: httpx2.Client, person: Person) -> None:
    for http in (browser, person.http):
        me = http.get("/api/auth/me").json()
        assert set(me) == {"id", "name", "plane", "strength"}
        assert (me["plane"], me["strength"]) == ("person", "link")


def test_cookies_in_two_header_lines_are_one_list(
    agent: httpx2.Client, browser: httpx2.Client
) -> None:
    """HTTP/2 sends them so, and not every proxy joins them."""
    (cookie,) = browser.cookies.jar
    lines = [("cookie", f"{cookie.name}={cookie.value}"), ("cookie", "theme=dark")]
    for each in (lines, lines[::-1]):
        assert agent.get("/api/auth/me", headers=each).status_code == 200


def test_nobody_is_nobody(agent: httpx2.Client) -> None:
    told(agent.get("/api/auth/me"), 401, "sign_in_required")


def test_the_decision_tells_who_how_and_how_strongly(
    agent: httpx2.Client, browser: httpx2.Client, person: Person
) -> None:
    me = person.http.get("/api/auth/me").json()
    for http, channel in ((person.http, "api"), (browser, "web")):
        decision = decide(http, ask(agent)).json()["decision"]
        assert decision["by"] == {"id": me["id"], "name": me["name"]}
        assert (decision["channel"], decision["strength"]) == (channel, "link")


def test_signing_out_ends_the_session_everywhere(
    server: RunningServer, agent: httpx2.Client, browser: httpx2.Client
) -> None:
    (cookie,) = browser.cookies.jar
    out = browser.post("/logout", headers={"Origin": server.url})
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    kept = {"Cookie": f"{cookie.name}={cookie.value}"}
    request_id = ask(agent)
    assert agent.get("/api/auth/me", headers=kept).status_code == 401
    assert decide(agent, request_id, **kept).status_code == 401
    assert decide(agent, request_id, Authorization=f"Bearer {cookie.value}").status_code == 401
    assert agent.get("/", headers=kept).status_code == 303
    assert stands(agent, request_id) == "pending"


async def test_signing_out_ends_what_an_open_socket_may_do(
    server: RunningServer, agent: httpx2.Client
) -> None:
    request_id, token = ask(agent), server.sign_in()
    credential = {"Authorization": f"Bearer {token}"}
    url = f"ws://localhost:{server.port}/api/v1/stream"
    connecting = websockets.connect(url, additional_headers=credential, proxy=None, open_timeout=60)
    async with connecting as stream:
        assert agent.post("/logout", headers=credential).status_code == 303
        frame = {"op": "decide", "ref": 1, "request_id": request_id, "body": {"type": "approve"}}
        with contextlib.suppress(websockets.ConnectionClosed):
            await stream.send(json.dumps(frame))
            answer = json.loads(await stream.recv())
            assert answer["status"] in (401, 403), answer
    assert stands(agent, request_id) == "pending"


def test_signing_out_by_get_does_nothing(browser: httpx2.Client) -> None:
    browser.get("/logout")
    assert browser.get("/api/auth/me").status_code == 200


def test_two_servers_on_one_host_do_not_share_sessions(
    server: RunningServer, fresh_server: RunningServer
) -> None:
    """Browsers send a host's cookies to all its ports."""
    with server.http() as browser:
        browser.get(server.new_link())
        browser.get(fresh_server.new_link())
        names = {cookie.name for cookie in browser.cookies.jar}
        assert len(names) == 2
        for each in (server, fresh_server):
            assert browser.get(f"{each.url}/api/auth/me").status_code == 200
        browser.post(f"{fresh_server.url}/logout", headers={"Origin": fresh_server.url})
        assert browser.get(f"{server.url}/api/auth/me").status_code == 200
        assert browser.get(f"{fresh_server.url}/api/auth/me").status_code == 401


@pytest.mark.parametrize("cookie", ["sayso_session=x", "sayso_session_%s=x", "a=b", ";;;=;"])
def test_a_made_up_cookie_is_nobody(
    server: RunningServer, agent: httpx2.Client, cookie: str
) -> None:
    headers = {"Cookie": cookie.replace("%s", str(server.port))}
    assert agent.get("/api/auth/me", headers=headers).status_code == 401


def test_the_database_signs_nobody_in(server: RunningServer, person: Person) -> None:
    with contextlib.closing(sqlite3.connect(server.database)) as connection:
        everything = "\n".join(connection.iterdump())
    assert person.token not in everything
    for secret in re.findall(r"[0-9a-f]{64}", everything):
        with server.http(secret) as thief:
            assert thief.get("/api/auth/me").status_code == 401


# Agents


def test_no_route_lets_an_agent_decide(agent: httpx2.Client) -> None:
    document = agent.get("/openapi.json").json()
    routes = [(m.upper(), p) for p, entry in document["paths"].items() for m in entry]
    routes += [("POST", "/requests/{id}/decision"), ("POST", "/requests/{id}/cancel")]
    assert ("POST", "/api/v1/requests/{id}/decision") in routes
    approve = {"type": "approve", "status": "approved", "approved": True, "response": "Yes"}
    for method, path in routes:
        if "events" in path:
            continue
        request_id = ask(agent, kind="approval", options=["Yes", "No"])
        at = path.replace("{id}", request_id)
        body = approve | {"request_id": request_id, "option": "Yes", "decision": approve}
        for sent in ({"json": body}, {"data": body}, {"params": body}):
            reply = agent.request(method, at, **sent)
            assert reply.status_code < 500
            if at.endswith("/decision"):
                assert reply.status_code in (303, 401, 403)
        assert stands(agent, request_id) not in DECIDED, (method, path)


def test_what_only_people_may_do_is_marked_so(agent: httpx2.Client) -> None:
    document = agent.get("/openapi.json").json()
    for path, entry in document["paths"].items():
        for method, operation in entry.items():
            if "security" in operation:
                reply = agent.request(method.upper(), path.replace("{id}", "x"), json={})
                told(reply, 401, "sign_in_required")


@pytest.mark.parametrize("path", ["/api/v1/requests/%s/decision", "/requests/%s/decision"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_a_post_decides(agent: httpx2.Client, person: Person, method: str, path: str) -> None:
    request_id = ask(agent)
    query = {"type": "approve", "_method": "POST"}
    headers = {"X-HTTP-Method-Override": "POST"}
    reply = person.http.request(method, path % request_id, params=query, headers=headers)
    assert reply.status_code in (404, 405)
    for page in (f"/requests/{request_id}", "/", f"{SUBMIT}/{request_id}"):
        person.http.get(page, params={**query, "decision": "approve"})
    assert stands(agent, request_id) == "pending"


# Hosts and origins


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:%s",
        "localhost.evil.example:%s",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "2130706433:%s",
        "0.0.0.0:%s",
        "[::2]:%s",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", SUBMIT, "/health", "/login", "/hitl/pending", "/docs"])
def test_another_hosts_name_is_refused(server: RunningServer, host: str, path: str) -> None:
    name = host.replace("%s", str(server.port))
    sent = f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()
    status, body = exchange(server.address, sent)
    assert status == 403
    assert b"unknown_host" in body or b"is not called" in body


@pytest.mark.parametrize("path", ["/static/main.js", "/nothing", "/static/nothing"])
def test_another_hosts_name_is_refused_for_files_too(server: RunningServer, path: str) -> None:
    status, _ = exchange(server.address, head("GET", path, server.port, host="evil.example"))
    assert status == 403


@pytest.mark.parametrize("host", ["localhost:%s", "127.0.0.1:%s", "[::1]:%s", "LOCALHOST:%s"])
def test_the_machines_own_names_are_known(server: RunningServer, host: str) -> None:
    name = host.replace("%s", str(server.port))
    status, _ = exchange(server.address, head("GET", "/health", server.port, host=name))
    assert status == 200


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
    {"Origin": "https://localhost"},
    {"Origin": "http://localhost"},
    {"Origin": "file://"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_another_origins_page_decides_and_asks_nothing(
    agent: httpx2.Client, browser: httpx2.Client, headers: dict[str, str]
) -> None:
    request_id = ask(agent)
    told(browser.post(SUBMIT, json={"message": "x"}, headers=headers), 403, "foreign_origin")
    cases = [(f"{SUBMIT}/{request_id}/decision", {"json": {"type": "approve"}})]
    cases += [(f"/requests/{request_id}/decision", {"data": {"type": "approve"}})]
    cases += [(f"/requests/{request_id}/cancel", {"data": {}}), ("/logout", {"data": {}})]
    cases += [("/hitl/cancel", {"json": {"request_id": request_id}})]
    for path, body in cases:
        assert browser.post(path, headers=headers, **body).status_code == 403
    assert stands(agent, request_id) == "pending"
    assert browser.get("/api/auth/me").status_code == 200


@pytest.mark.parametrize("headers", FOREIGN[:-1], ids=str)
def test_another_origins_page_reads_nothing(
    browser: httpx2.Client, headers: dict[str, str]
) -> None:
    for path in (SUBMIT, "/api/v1/events", "/hitl/pending", "/api/auth/me"):
        told(browser.get(path, headers=headers), 403)
    reply = browser.get("/health")
    assert "access-control-allow-origin" not in reply.headers


def test_a_link_on_another_page_may_lead_here(browser: httpx2.Client) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert browser.get("/", headers=headers).status_code == 200


def test_our_own_page_decides(
    server: RunningServer, agent: httpx2.Client, browser: httpx2.Client
) -> None:
    headers = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    request_id = ask(agent)
    form = {"type": "approve", "reason": ""}
    reply = browser.post(f"/requests/{request_id}/decision", data=form, headers=headers)
    assert reply.status_code == 303
    assert stands(agent, request_id) == "approved"


def test_a_page_may_not_be_framed_and_runs_only_our_scripts(browser: httpx2.Client) -> None:
    for path in ("/", "/login", "/history", "/docs"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] in ("no-referrer", "same-origin")


def test_what_an_agent_says_is_shown_as_text(agent: httpx2.Client, browser: httpx2.Client) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"
    request_id = ask(
        agent,
        message=evil,
        session_id=evil,
        client_id=evil,
        metadata={evil: evil},
        action={"tool_name": evil, "tool_args": {evil: evil}, "rationale": evil},
    )
    for path in ("/", f"/requests/{request_id}"):
        page = browser.get(path).text
        assert "&lt;script&gt;" in page
        assert "<script>alert" not in page
        assert "<img src=x" not in page


async def test_a_stream_of_a_person_is_told_apart_from_no_credential(
    server: RunningServer, person: Person
) -> None:
    async with Feed(server.url, Authorization=f"Bearer {person.token}") as feed:
        with server.http() as http:
            request_id = ask(http)
        told_of = ""
        while told_of != request_id:  # what others have left here may end meanwhile
            told_of = (await feed.take(1))[0]["request_id"]


# Starting


def start(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A start that must fail."""
    words = ("serve", "--data", str(folder / "data"), *words)
    return warm.run(*words, environment=clean_environment(**environment))


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_it_refuses_to_listen_for_everybody_without_an_admin(tmp_path: Path, host: str) -> None:
    assert_refused(
        start(tmp_path, "--port", "0", "--host", host), "Refusing to listen", "sayso users add"
    )


def test_an_address_that_is_not_ours_is_told(tmp_path: Path) -> None:
    assert_refused(start(tmp_path, "--port", "0", "--host", "192.0.2.1"), "Cannot listen")


def test_it_refuses_it_by_the_environment_too(tmp_path: Path) -> None:
    assert_refused(start(tmp_path, "--port", "0", SAYSO_HOST="0.0.0.0"), "Refusing to listen")


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert_refused(start(tmp_path, "--port", port), port, "--port")


def test_a_port_that_somebody_else_has_on_ipv6_is_taken(tmp_path: Path) -> None:
    """A browser tries [::1] first: whoever listens there would be sent our sign-in link."""
    try:
        taken = socket.socket(socket.AF_INET6)
        taken.bind(("::1", 0))
    except OSError:  # no IPv6 here: then nobody else can be there, and it starts
        RunningServer(tmp_path).start().stop()
        return
    with taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        assert_refused(start(tmp_path, "--port", port), port, "--port")


@pytest.mark.parametrize(
    "environment",
    [
        {"SAYSO_PORT": "many"},
        {"SAYSO_PORT": "70000"},
        {"SERVER_PORT": "-1"},
        {"REQUEST_TIMEOUT": "0"},
        {"SAYSO_MAX_WAITS": "none"},
        {"LOG_LEVEL": "loud"},
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_is_told(tmp_path: Path, environment: dict[str, str]) -> None:
    words = () if any("PORT" in name for name in environment) else ("--port", "0")
    assert_refused(start(tmp_path, *words, **environment))


def test_a_second_server_on_the_same_data_is_refused(server: RunningServer) -> None:
    done = start(server.data.parent, "--port", "0")
    assert_refused(done, "Another Sayso server", "--data")
    assert server.is_healthy()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "data/sayso.db")) as connection:
        connection.execute("PRAGMA user_version = 999")
    assert_refused(start(tmp_path, "--port", "0"), "newer Sayso")
    with contextlib.closing(sqlite3.connect(tmp_path / "data/sayso.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (999,)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/sayso.db").write_bytes(b"This is no database. " * 100)
    done = start(tmp_path, "--port", "0")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    assert_refused(start(tmp_path, "--port", "0"))


def test_a_spoiled_secret_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/secret.key").write_text("nonsense")
    assert_refused(start(tmp_path, "--port", "0"), "secret")


def test_secrets_are_the_owners_alone(server: RunningServer) -> None:
    secret = server.data / "secret.key"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert len(bytes.fromhex(secret.read_text().strip())) == 32


def test_neither_secrets_nor_tokens_are_logged(server: RunningServer, person: Person) -> None:
    for token in (person.token, (server.data / "secret.key").read_text().strip()):
        assert token not in server.log
    assert server.log.count("/login?token=") == 1
