"""Whatever is sent, the server answers with a problem document, keeps nothing wrong, goes on."""

import contextlib
import json
import socket
import time
import uuid
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from support.person import Person
from support.problems import checked, told
from support.raw import exchange, head
from support.server import RunningServer

SUBMIT = "/api/v1/requests"
MEGABYTES_10 = 10 * 1024 * 1024
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 5}}}
ACTION = {"tool_name": "pay", "tool_args": {"n": 1}, "args_schema": SCHEMA}


@pytest.fixture(scope="module")
def agent(server: RunningServer) -> Generator[httpx2.Client]:
    with server.http() as http:
        yield http


def newest(agent: httpx2.Client) -> str | None:
    items = agent.get(SUBMIT, params={"limit": 1}).json()["items"]
    return items[0]["id"] if items else None


@pytest.fixture(autouse=True)
def server_goes_on(server: RunningServer) -> Generator[None]:
    yield
    assert server.is_healthy()
    assert "Traceback" not in server.log


@pytest.fixture
def nothing_stored(agent: httpx2.Client) -> Generator[None]:
    """The test submits only what must be refused."""
    before = newest(agent)
    yield
    assert newest(agent) == before


def ask(agent: httpx2.Client, **more: Any) -> str:
    reply = agent.post(SUBMIT, json={"message": "Go on?", **more})
    assert reply.status_code == 201, reply.text
    return reply.json()["id"]


def stands(agent: httpx2.Client, request_id: str) -> str:
    return agent.get(f"{SUBMIT}/{request_id}").json()["status"]


# Submit: what is no request


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"   ",
        b"not json",
        b"{",
        b'{"message": "Go on?"',
        b"{'message': 'Go on?'}",
        b'{"message": "Go on?"} {}',
        b'{"message": NaN}',
        b'{"message": "a\x00b"}',
        b'{"message": "\xff\xfe"}',
        b'{"message": "\xed\xa0\x80"}',
        b'{"message": "\\ud800"}',
        b'{"message": "\\udc00\\ud800"}',
        b'{"message": "x", "metadata": {"n": NaN}}',
        b'{"message": "x", "metadata": {"n": Infinity}}',
        b"\xef\xbb\xbf{}",
        b"<xml/>",
        b"message=Go+on",
    ],
)
def test_what_is_not_json_is_told_so(agent: httpx2.Client, content: bytes) -> None:
    told(agent.post(SUBMIT, content=content), 422, "not_json")


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    ("body", "at"),
    [
        (None, "$"),
        ([], "$"),
        ("Go on?", "$"),
        (5, "$"),
        ({}, "$"),
        ({"kind": "approval"}, "$"),
        ({"message": None}, "$.message"),
        ({"message": 5}, "$.message"),
        ({"message": ""}, "$.message"),
        ({"message": "x" * 16_385}, "$.message"),
        ({"message": "x", "kind": "dance"}, "$.kind"),
        ({"message": "x", "kind": "plan"}, "$.kind"),
        ({"message": "x", "colour": "red"}, "$"),
        ({"message": "x", "status": "approved"}, "$"),
        ({"message": "x", "decision": {"approved": True}}, "$"),
        ({"message": "x", "session_id": ""}, "$.session_id"),
        ({"message": "x", "client_id": "c" * 257}, "$.client_id"),
        ({"message": "x", "priority": "extreme"}, "$.priority"),
        ({"message": "x", "metadata": []}, "$.metadata"),
        ({"message": "x", "on_timeout": "approve"}, "$.on_timeout"),
        ({"message": "x", "timeout_seconds": 0}, "$.timeout_seconds"),
        ({"message": "x", "timeout_seconds": -5}, "$.timeout_seconds"),
        ({"message": "x", "timeout_seconds": 1e300}, "$.timeout_seconds"),
        ({"message": "x", "timeout_seconds": "5"}, "$.timeout_seconds"),
        ({"message": "x", "callback_url": "javascript:alert(1)"}, "$.callback_url"),
        ({"message": "x", "callback_url": "http://a b"}, "$.callback_url"),
        ({"message": "x", "kind": "choice"}, "$.options"),
        ({"message": "x", "kind": "input", "options": ["A"]}, "$.options"),
        ({"message": "x", "options": "Yes"}, "$.options"),
        ({"message": "x", "options": [5]}, "$.options[0]"),
        ({"message": "x", "options": [""]}, "$.options[0]"),
        ({"message": "x", "options": [{"value": "a"}]}, "$.options[0]"),
        ({"message": "x", "options": [{"label": "A", "color": "red"}]}, "$.options[0]"),
        ({"message": "x", "options": ["A", "A"]}, "$.options"),
        ({"message": "x", "options": ["B", {"label": "A", "value": "B"}]}, "$.options"),
        ({"message": "x", "options": ["A"] * 101}, "$.options"),
        ({"message": "x", "action": {}}, "$.action"),
        ({"message": "x", "action": {"tool_name": ""}}, "$.action.tool_name"),
        ({"message": "x", "action": {"tool_name": "t", "run": True}}, "$.action"),
        ({"message": "x", "action": {"tool_name": "t", "tool_args": []}}, "$.action.tool_args"),
        (
            {"message": "x", "action": {"tool_name": "t", "risk_class": "none"}},
            "$.action.risk_class",
        ),
        (
            {"message": "x", "action": {"tool_name": "t", "digest": "sha256:" + "0" * 64}},
            "$.action.digest",
        ),
        (
            {"message": "x", "action": {"tool_name": "t", "tool_args": {"n": 2**60 + 1}}},
            "$.action.tool_args",
        ),
        (
            {"message": "x", "action": {"tool_name": "t", "tool_args": {"n": 10**400}}},
            "$.action.tool_args",
        ),
    ],
)
def test_what_does_not_fit_is_told_where(agent: httpx2.Client, body: Any, at: str) -> None:
    problem = told(agent.post(SUBMIT, content=json.dumps(body)), 422)
    assert problem["errors"][0]["at"] == at
    assert problem["errors"][0]["message"]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    ("where", "put"),
    [
        ("message", {"message": "%s"}),
        ("session", {"message": "x", "session_id": "%s"}),
        ("client", {"message": "x", "client_id": "%s"}),
        ("option", {"message": "x", "options": ["%s"]}),
        ("option label", {"message": "x", "options": [{"label": "%s"}]}),
        ("option value", {"message": "x", "options": [{"label": "A", "value": "%s"}]}),
        ("tool", {"message": "x", "action": {"tool_name": "%s"}}),
        ("rationale", {"message": "x", "action": {"tool_name": "t", "rationale": "%s"}}),
        ("side effect", {"message": "x", "action": {"tool_name": "t", "side_effects": ["%s"]}}),
    ],
)
@pytest.mark.parametrize("character", ["\0", "\x07", "\x1b", "\x7f", "\x0c"])
def test_control_characters_are_refused_in_what_is_shown(
    agent: httpx2.Client, where: str, put: Any, character: str
) -> None:
    text = json.dumps(put).replace("%s", json.dumps(f"a{character}b")[1:-1])
    problem = told(agent.post(SUBMIT, content=text), 422)
    assert f"U+{ord(character):04X}" in problem["detail"]


def test_tab_and_line_breaks_are_kept(agent: httpx2.Client) -> None:
    request_id = ask(agent, message="One\n\tTwo\r\nThree")
    assert agent.get(f"{SUBMIT}/{request_id}").json()["message"] == "One\n\tTwo\r\nThree"


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("opening", ["[", '{"a":', '{"a":['])
def test_deep_json_is_refused(agent: httpx2.Client, opening: str) -> None:
    for levels in (40, 100_000):
        content = '{"message": "x", "metadata": ' + opening * levels
        told(agent.post(SUBMIT, content=content), 422, "too_deep")


@pytest.mark.usefixtures("nothing_stored")
def test_a_hundred_thousand_options_are_refused(agent: httpx2.Client) -> None:
    options = [str(number) for number in range(100_000)]
    told(agent.post(SUBMIT, json={"message": "x", "options": options}), 422)


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "number", ["1e999", "1" * 500_000, "1e" + "9" * 1000, "-" + "9" * 5000, "0." + "1" * 500_000]
)
def test_huge_numbers_harm_nobody(server: RunningServer, agent: httpx2.Client, number: str) -> None:
    before = server.work()
    reply = agent.post(SUBMIT, content=f'{{"message": "x", "timeout_seconds": {number}, "no": 1}}')
    told(reply, 422)
    assert server.work() - before < 2


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({}, "a form is an object"),
        ({"type": "string"}, "a form is an object"),
        ({"type": "object", "properties": {}}, "it asks nothing"),
        ({"type": "object", "properties": {"a": {"type": "object"}}}, "nested"),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, "a list of anything"),
        ({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}}, "remote"),
        (
            {
                "type": "object",
                "properties": {
                    "a": {"type": "string", "allOf": [{"$ref": "http://127.0.0.1:1/x"}]}
                },
            },
            "remote",
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "string", "allOf": [{"$ref": "file:///etc/passwd"}]}},
            },
            "a file",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "integer", "minimum": "one"}}},
            "not valid",
        ),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}, "not valid"),
        ({"type": "object", "properties": {"a": "text"}}, "not valid"),
        ({"type": "object", "properties": []}, "not valid"),
        (
            {"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(101)}},
            "too long",
        ),
    ],
)
@pytest.mark.usefixtures("nothing_stored")
def test_a_form_that_nobody_can_fill_in_is_refused(
    agent: httpx2.Client, schema: Any, why: str
) -> None:
    problem = told(agent.post(SUBMIT, json={"message": "x", "schema": schema}), 422)
    assert problem["errors"][0]["at"].startswith("$.schema"), why


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, {"$ref": "http://127.0.0.1:1/x"}, {"required": "n"}]
)
def test_a_schema_of_arguments_that_cannot_be_used_is_refused(
    agent: httpx2.Client, schema: Any
) -> None:
    body = {"message": "x", "action": {"tool_name": "t", "args_schema": schema}}
    problem = told(agent.post(SUBMIT, json=body), 422)
    assert problem["errors"][0]["at"] == "$.action.args_schema"


@pytest.mark.usefixtures("nothing_stored")
def test_a_schema_only_goes_with_an_input(agent: httpx2.Client) -> None:
    body = {"message": "x", "kind": "approval", "schema": SCHEMA}
    told(agent.post(SUBMIT, json=body), 422)


# Large bodies, half requests, odd heads


@pytest.mark.usefixtures("nothing_stored")
def test_a_body_of_ten_megabytes_is_refused(agent: httpx2.Client) -> None:
    content = json.dumps({"message": "x", "metadata": {"a": "x" * MEGABYTES_10}})
    told(agent.post(SUBMIT, content=content), 413, "too_large")


@pytest.mark.usefixtures("nothing_stored")
def test_a_body_of_ten_megabytes_in_chunks_is_refused(agent: httpx2.Client) -> None:
    def parts() -> Generator[bytes]:
        yield b'{"message": "'
        for _ in range(MEGABYTES_10 // 65_536):
            yield b"x" * 65_536
        yield b'"}'

    told(agent.post(SUBMIT, content=parts()), 413, "too_large")


@pytest.mark.usefixtures("nothing_stored")
def test_a_body_that_only_says_it_is_large_is_refused_unread(server: RunningServer) -> None:
    for size in ("10485760", "1" * 18):
        sent = head("POST", SUBMIT, server.port, f"Content-Length: {size}")
        status, body = exchange(server.address, sent)
        assert status == 413
        checked(json.loads(body), 413, "too_large")


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: -1",),
        ("Content-Length: many",),
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked, identity",),
    ],
)
def test_a_body_of_doubtful_length_stores_nothing(
    server: RunningServer, headers: tuple[str, ...]
) -> None:
    sent = head("POST", SUBMIT, server.port, *headers) + b"zzzzz\r\n\r\n"
    with contextlib.suppress(TimeoutError):
        status, _ = exchange(server.address, sent, seconds=1)
        assert status in (0, 400, 413, 422)


@pytest.mark.usefixtures("nothing_stored")
def test_half_requests_and_sudden_ends_store_nothing(server: RunningServer) -> None:
    body = b'{"message": "Go on?"}'
    # One byte is missing at the end, so what came is JSON, but not what was to be sent.
    whole = head("POST", SUBMIT, server.port, f"Content-Length: {len(body) + 1}") + body
    for end in (1, 10, 40, len(whole) - len(body), len(whole) - 5, len(whole)):
        with socket.create_connection(server.address, timeout=60) as connection:
            connection.sendall(whole[:end])
        with socket.create_connection(server.address, timeout=60) as connection:
            connection.sendall(whole[:end])
            reset = b"\x01\0\0\0\0\0\0\0"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    time.sleep(0.3)  # for the server to see that they are gone


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 300,  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"BREW /api/v1/requests HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\xff" * 10_000,
        b"POST /api/v1/requests HTTP/1.1\r\n: no name\r\n\r\n",
    ],
)
def test_what_is_not_http_is_hung_up_on(server: RunningServer, sent: bytes) -> None:
    with contextlib.suppress(TimeoutError):
        status, _ = exchange(server.address, sent, seconds=1)
        assert status in (0, 400, 403, 404, 414, 431, 505)


@pytest.mark.parametrize("flood", [["X-A: b"] * 5_000, ["X-A: " + "b" * 500_000]])
def test_a_flood_of_headers_is_survived(server: RunningServer, flood: list[str]) -> None:
    sent = head("GET", "/health", server.port, *flood)
    status, _ = exchange(server.address, sent)
    assert status in (0, 200, 400, 431)


def test_many_cookies_are_survived(server: RunningServer, agent: httpx2.Client) -> None:
    cookies = "; ".join(f"c{number}=v" for number in range(2_000))
    assert agent.get(SUBMIT, headers={"Cookie": cookies}).status_code == 200


# Reading


@pytest.mark.parametrize(
    "request_id",
    ["nothing", "%00", "a%00b", "..%2f..%2fetc", "%ff", "x" * 5_000, "%F0%9F%9A%80", "'; DROP--"],
)
@pytest.mark.parametrize("verb", ["", "/decision", "/cancel"])
def test_an_unknown_id_is_not_found(person: Person, request_id: str, verb: str) -> None:
    path = f"{SUBMIT}/{request_id}{verb}"
    if verb:
        reply = person.http.post(path, json={"type": "approve"} if verb == "/decision" else {})
    else:
        reply = person.http.get(path)
    told(reply, 404, "not_found")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=many",
        "limit=nan",
        "limit=1e400",
        "limit=5&limit=6",
        "limit=2.5",
        "status=done",
        "status=pending,done",
        "session_id=a%00b",
        "client_id=%00",
        "q=%00",
        "after=%00",
        "after=not-a-cursor",
        "q=%ff",
        "&".join(f"a{number}=1" for number in range(100)),
    ],
)
def test_a_bad_filter_is_refused(agent: httpx2.Client, query: str) -> None:
    told(agent.get(f"{SUBMIT}?{query}"), 422)


@pytest.mark.parametrize(
    "wait", ["-1", "61", "1e9", "nan", "inf", "-inf", "soon", "1&wait=2", "0x10"]
)
def test_a_bad_wait_is_refused(agent: httpx2.Client, wait: str) -> None:
    request_id = ask(agent)
    told(agent.get(f"{SUBMIT}/{request_id}?wait={wait}"), 422)


@pytest.mark.parametrize("resume", ["-1", "x", "1.5", "1" * 30, "%00", "٣", "1&after=2"])
def test_a_bad_place_to_resume_from_is_refused(agent: httpx2.Client, resume: str) -> None:
    told(agent.get(f"/api/v1/events?after={resume}"), 422)


@pytest.mark.parametrize("resume", [b"-1", b"x", b"1.5", b"1" * 30, b"\xd9\xa3"])
def test_a_bad_last_event_id_is_refused(agent: httpx2.Client, resume: bytes) -> None:
    headers = [(b"Last-Event-ID", resume)]
    told(agent.get("/api/v1/events", headers=headers), 422)


def test_an_unknown_type_of_event_is_refused(agent: httpx2.Client) -> None:
    told(agent.get("/api/v1/events?type=request.exploded"), 422)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", SUBMIT),
        ("PUT", SUBMIT),
        ("PATCH", f"{SUBMIT}/x"),
        ("DELETE", f"{SUBMIT}/x"),
        ("GET", f"{SUBMIT}/x/decision"),
        ("GET", f"{SUBMIT}/x/cancel"),
        ("GET", "/hitl/request"),
        ("POST", "/hitl/poll"),
        ("POST", "/health"),
        ("PROPFIND", SUBMIT),
    ],
)
def test_a_wrong_method_is_refused(agent: httpx2.Client, method: str, path: str) -> None:
    told(agent.request(method, path), 405)


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/v2/requests", f"{SUBMIT}/x/explode", "/api/v1", "/hitl", "/a%00b"]
)
def test_an_unknown_path_is_refused(agent: httpx2.Client, path: str) -> None:
    told(agent.get(path), 404, "not_found")


def test_a_list_in_two_header_lines_is_one_list(server: RunningServer) -> None:
    with server.http() as http:
        twice = [("accept-encoding", "gzip"), ("accept-encoding", "br")]
        reply = http.get("/static/main.js", headers=twice)
        assert reply.headers["content-encoding"] == "gzip"
        known = [*twice, ("if-none-match", reply.headers["etag"]), ("if-none-match", '"x"')]
        assert http.get("/static/main.js", headers=known).status_code == 304


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/..%2f..%2fapp.py", "/static/%00", "/static//etc/passwd"]
)
def test_static_files_are_only_our_own(server: RunningServer, path: str) -> None:
    status, body = exchange(server.address, head("GET", path, server.port))
    assert status in (400, 404)
    assert b"import" not in body


@pytest.mark.parametrize(
    "credential",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "bearer nothing",
        "Token x",
        "Bearer \xff",
        "x" * 9_000,
    ],
)
def test_a_malformed_credential_is_refused_not_ignored(
    server: RunningServer, credential: str
) -> None:
    sent = head("GET", SUBMIT, server.port, f"Authorization: {credential}")
    status, body = exchange(server.address, sent)
    assert status == 401
    checked(json.loads(body), 401)


# Deciding


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nope",
        b"[]",
        b"{}",
        b'{"type": "maybe"}',
        b'{"type": "approve", "by": "me"}',
        b'{"type": "approve", "reason": 5}',
        b'{"type": "approve", "approved": true}',
    ],
)
def test_a_decision_that_cannot_be_read_decides_nothing(
    agent: httpx2.Client, person: Person, content: bytes
) -> None:
    request_id = ask(agent)
    told(person.http.post(f"{SUBMIT}/{request_id}/decision", content=content), 422)
    assert stands(agent, request_id) == "pending"


FORM = {"schema": {**SCHEMA, "required": ["n"]}}
CHOICE = {"options": ["Yes", "No"]}


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({}, {"type": "respond"}),
        ({}, {"type": "respond", "option": "Yes"}),
        ({}, {"type": "respond", "content": ""}),
        ({}, {"type": "respond", "content": {"a": 1}}),
        ({}, {"type": "edit", "args": {"n": 1}}),
        ({}, {"type": "approve", "args": {"n": 1}}),
        ({}, {"type": "reject", "content": "x"}),
        ({"action": ACTION}, {"type": "edit"}),
        ({"action": ACTION}, {"type": "edit", "args": {"n": 6}}),
        ({"action": ACTION}, {"type": "edit", "args": {"n": "one"}}),
        ({"action": {"tool_name": "t"}}, {"type": "edit", "args": {"n": 2**60 + 1}}),
        (CHOICE, {"type": "approve"}),
        (CHOICE, {"type": "edit", "args": {}}),
        (CHOICE, {"type": "respond", "option": "Maybe"}),
        (CHOICE, {"type": "respond", "option": "yes"}),
        (CHOICE, {"type": "respond", "content": "Yes"}),
        (CHOICE, {"type": "respond", "option": "Yes", "content": "Yes"}),
        ({"kind": "input"}, {"type": "approve"}),
        ({"kind": "input"}, {"type": "respond", "content": "  "}),
        ({"kind": "input"}, {"type": "respond", "content": 5}),
        ({"kind": "input"}, {"type": "respond", "content": "x" * 65_537}),
        (FORM, {"type": "respond", "content": "five"}),
        (FORM, {"type": "respond", "content": {}}),
        (FORM, {"type": "respond", "content": {"n": 6}}),
        (FORM, {"type": "respond", "content": {"n": "5"}}),
    ],
)
def test_an_answer_that_does_not_fit_decides_nothing(
    agent: httpx2.Client, person: Person, asked: Any, answer: Any
) -> None:
    request_id = ask(agent, **asked)
    told(person.try_to_decide(request_id, **answer), 422)
    assert stands(agent, request_id) == "pending"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"type": "reject", "reason": "\\ud800"}', "not_json"),
        (b'{"type": "respond", "content": ' + b"[" * 100_000, "too_deep"),
        (b'{"type": "reject", "reason": "' + b"x" * 9_000 + b'"}', "invalid_request"),
    ],
)
def test_a_decision_that_breaks_a_limit_decides_nothing(
    agent: httpx2.Client, person: Person, content: bytes, code: str
) -> None:
    request_id = ask(agent)
    told(person.http.post(f"{SUBMIT}/{request_id}/decision", content=content), 422, code)
    assert stands(agent, request_id) == "pending"


def test_a_fitting_edit_and_a_fitting_form_are_taken(agent: httpx2.Client, person: Person) -> None:
    edited = person.decide(ask(agent, action=ACTION), "edit", args={"n": 5})
    assert edited["decision"]["args"] == {"n": 5}
    assert edited["decision"]["digest"] != edited["action"]["digest"]
    filled = person.decide(ask(agent, **FORM), "respond", content={"n": 5})
    assert (filled["status"], filled["decision"]["content"]) == ("answered", {"n": 5})


@pytest.mark.parametrize(
    ("first", "status"),
    [({"type": "approve"}, "approved"), ({"type": "reject", "reason": "Not today."}, "rejected")],
)
def test_a_second_decision_is_refused_and_told_the_first(
    agent: httpx2.Client, person: Person, first: Any, status: str
) -> None:
    request_id = ask(agent)
    decided = person.decide(request_id, **first)
    for second in ("approve", "reject", "ignore"):
        problem = told(person.try_to_decide(request_id, second), 409, "already_decided")
        assert problem["request"] == decided
        assert problem["request"]["status"] == status
    told(agent.post(f"{SUBMIT}/{request_id}/cancel"), 409, "already_decided")


def test_a_decision_that_comes_late_is_refused(agent: httpx2.Client, person: Person) -> None:
    request_id = ask(agent, timeout_seconds=0.05)
    time.sleep(0.1)
    told(person.try_to_decide(request_id, "approve"), 409, "expired")
    assert agent.get(f"{SUBMIT}/{request_id}?wait=60").json()["status"] == "expired"
    problem = told(person.try_to_decide(request_id, "approve"), 409, "expired")
    assert problem["request"]["status"] == "expired"


def test_a_cancelled_request_is_not_decided(agent: httpx2.Client, person: Person) -> None:
    request_id = ask(agent)
    assert agent.post(f"{SUBMIT}/{request_id}/cancel").status_code == 200
    told(person.try_to_decide(request_id, "approve"), 409, "cancelled")
    told(agent.post(f"{SUBMIT}/{request_id}/cancel"), 409, "cancelled")


def test_a_cancellation_that_cannot_be_read_cancels_nothing(agent: httpx2.Client) -> None:
    request_id = ask(agent)
    for content in (b"nope", b"[]", b'{"because": "x"}', b'{"reason": 5}'):
        told(agent.post(f"{SUBMIT}/{request_id}/cancel", content=content), 422)
    assert stands(agent, request_id) == "pending"


@pytest.mark.parametrize(
    ("verb", "content"), [("decision", b'{"type": "approve"}'), ("cancel", b"")]
)
def test_a_body_that_breaks_off_changes_nothing(
    server: RunningServer, agent: httpx2.Client, person: Person, verb: str, content: bytes
) -> None:
    request_id = ask(agent)
    headers = (f"Authorization: Bearer {person.token}", f"Content-Length: {len(content) + 100}")
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall(head("POST", f"{SUBMIT}/{request_id}/{verb}", server.port, *headers))
        connection.sendall(content)
    time.sleep(0.3)  # for the server to see that its sender is gone
    assert stands(agent, request_id) == "pending"


# Idempotency


def test_the_same_key_returns_the_same_request(agent: httpx2.Client, person: Person) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"message": "Once?", "action": ACTION}
    first = agent.post(SUBMIT, json=body, headers=headers)
    again = agent.post(SUBMIT, json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    person.decide(first.json()["id"], "approve")
    assert agent.post(SUBMIT, json=body, headers=headers).json()["status"] == "approved"


def test_the_same_key_with_another_body_is_a_conflict(agent: httpx2.Client) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = agent.post(SUBMIT, json={"message": "One?"}, headers=headers).json()["id"]
    reply = agent.post(SUBMIT, json={"message": "Two?"}, headers=headers)
    assert first in told(reply, 409, "idempotency_conflict")["detail"]
    assert newest(agent) == first


@pytest.mark.parametrize("key", [b"", b"k" * 257])
@pytest.mark.usefixtures("nothing_stored")
def test_a_key_has_a_length(agent: httpx2.Client, key: bytes) -> None:
    headers = [(b"Idempotency-Key", key)]
    told(agent.post(SUBMIT, json={"message": "x"}, headers=headers), 422)


def test_twenty_submits_with_one_key_make_one_request(server: RunningServer) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}

    def submit(_: int) -> tuple[int, str]:
        with server.http() as http:
            reply = http.post(SUBMIT, json={"message": "Once?"}, headers=headers)
        return reply.status_code, reply.json()["id"]

    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(submit, range(20)))
    assert len({request_id for _, request_id in replies}) == 1
    assert sorted(status for status, _ in replies) == [200] * 19 + [201]


def test_a_request_is_read_back_as_it_was_sent(agent: httpx2.Client) -> None:
    body = {
        "message": "Zahlen & Zeichen: 日本 🚀 \u202e <script>",
        "metadata": {"n": 1.5, "big": 2**53, "none": None, "deep": {"a": [{"b": []}]}, "": ""},
        "action": {"tool_name": "t", "tool_args": {"ü": "\u0000\u001b", "x": [1, -0.5, True]}},
    }
    kept = agent.get(f"{SUBMIT}/{ask(agent, **body)}").json()
    assert kept["message"] == body["message"]
    assert kept["metadata"] == body["metadata"]
    assert kept["action"]["tool_args"] == body["action"]["tool_args"]
