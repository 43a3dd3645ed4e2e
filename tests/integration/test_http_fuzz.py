"""The hot routes under bytes that no decent client sends: never a 500, a hang, or two for one."""

import contextlib
import json
import re
import socket
import uuid
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.agents import ask
from support.person import Person
from support.server import RunningServer

SUBMIT = "/api/v1/requests"
LAST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
OFTEN = settings(
    max_examples=30, derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def unharmed(server: RunningServer) -> Generator[None]:
    """Whatever was sent, the server made no mistake, and still serves."""
    yield
    assert "Traceback" not in server.log
    assert "failed" not in server.log
    assert server.is_healthy()


HANGS_UP = 60.0
"""Patience where it has to hang up by itself."""


def replies(server: RunningServer, sent: bytes, *, patience: float = 0.5) -> list[int]:
    """The statuses of all replies until it hangs up, or waits for more."""
    received = b""
    with socket.create_connection(server.address, timeout=HANGS_UP) as connection:
        connection.settimeout(patience)
        with contextlib.suppress(ConnectionError, TimeoutError):
            connection.sendall(sent)
        with contextlib.suppress(ConnectionError, TimeoutError):
            while part := connection.recv(65_536):
                received += part
    found: list[int] = []
    while received:
        head, end, rest = received.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.[01] (\d{3})", head)
        assert status is not None, received[:200]
        assert end
        found.append(int(status[1]))
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        chunked = re.search(rb"(?i)\r\ntransfer-encoding: chunked", head)
        if chunked is not None:
            rest = rest.partition(b"0\r\n\r\n")[2]
        received = rest[int(length[1]) :] if length is not None else rest
    return found


def unbroken(found: list[int]) -> None:
    assert all(status < 500 for status in found), found


# Bytes

TOP = b" HTTP/1.1\r\nHost: localhost\r\n"
CHUNKS = b'12\r\n{"type":"approve"}\r\n0\r\n\r\n'
SEEDS = [
    b"POST /api/v1/requests" + TOP + b'Content-Length: 23\r\n\r\n{"message":"Go on, x?"}',
    b"GET /api/v1/requests/0?wait=0.01" + TOP + b"X-Api-Key: k\r\n\r\n",
    b"POST /api/v1/requests/0/decision" + TOP + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    b"GET /hitl/poll?request_id=0" + TOP + b"Cookie: a=b; c=\r\n\r\n",
    b"POST /api/v1/requests/0/cancel" + TOP + b"Expect: 1\r\nContent-Length: 2\r\n\r\n{}",
]
PARTS = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"\x0b", b"HTTP/1.1", b"HTTP/9.9", b"Host: evil\r\n",
     b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"ffffffff", b"-1", b"\xff\xfe",
     b"Upgrade: websocket\r\n", b"%00", b"%", b"?", b"#", b"../", b"GET / HTTP/1.1\r\n\r\n"]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good request, or several, with some bytes put in, cut out or replaced."""
    raw = b"".join(draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=4)))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(raw)))
        cut = draw(st.integers(0, 6))
        raw = raw[:at] + draw(st.one_of(PARTS, st.binary(max_size=8))) + raw[at + cut :]
    return raw


@pytest.mark.slow
@OFTEN
@given(raw=mutated())
@example(raw=b"")
@example(raw=b"\r\n" * 100)
@example(raw=b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n")
@example(raw=b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n")
@example(raw=b"POST /api/v1/requests" + TOP + b"Content-Length: 99999999999999999999\r\n\r\n")
@example(raw=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
@example(raw=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
def test_bytes_of_any_kind_break_nothing(server: RunningServer, raw: bytes) -> None:
    unbroken(replies(server, raw + LAST, patience=0.2))


@pytest.mark.slow
@OFTEN
@given(raw=st.binary(max_size=400))
def test_a_body_of_any_bytes_is_one_body(server: RunningServer, raw: bytes) -> None:
    top = f"POST {SUBMIT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(raw)}\r\n\r\n"
    found = replies(server, top.encode() + raw + LAST, patience=HANGS_UP)
    unbroken(found)
    assert found[1:] == [200]


def smuggling(inner: bytes) -> dict[str, bytes]:
    """Framings on which two servers may disagree; `inner` is hidden within."""
    at = b"POST /api/v1/requests HTTP/1.1\r\nHost: localhost\r\n"
    zero, size = b"0\r\n\r\n" + inner, b"Content-Length: %d\r\n" % (len(inner) + 5)
    chunked = b"Transfer-Encoding: chunked\r\n"
    return {
        "both": at + size + chunked + b"\r\n" + zero,
        "both, turned": at + chunked + size + b"\r\n" + zero,
        "two lengths": at + b"Content-Length: 0\r\n" + size + b"\r\n" + inner,
        "a list of lengths": at + b"Content-Length: 0, %d\r\n\r\n" % len(inner) + inner,
        "a signed length": at + b"Content-Length: +%d\r\n\r\n" % len(inner) + inner,
        "a length in hex": at + b"Content-Length: 0x%x\r\n\r\n" % len(inner) + inner,
        "a negative length": at + b"Content-Length: -1\r\n\r\n" + inner,
        "an empty length": at + b"Content-Length: \r\n\r\n" + inner,
        "a blank before the colon": at + b"Content-Length : %d\r\n\r\n" % len(inner) + inner,
        "a folded line": at + b"X: y\r\n Content-Length: %d\r\n\r\n" % len(inner) + inner,
        "another coding": at + size + b"Transfer-Encoding: xchunked\r\n\r\n" + zero,
        "coded twice": at + size + b"Transfer-Encoding: chunked, identity\r\n\r\n" + zero,
        "two codings": at + size + chunked + b"Transfer-Encoding: identity\r\n\r\n" + zero,
        "a tab before": at + size + b"Transfer-Encoding:\tchunked\r\n\r\n" + zero,
        "a control in the name": at + size + b"Transfer-Encoding\x0b: chunked\r\n\r\n" + zero,
        "bare line feeds": at.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n" + inner,
        "a bare return": at + b"X: y\rContent-Length: %d\r\n\r\n" % len(inner) + inner,
        "a NUL": at + b"X: y\0\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner,
    }


@pytest.mark.parametrize("name", list(smuggling(b"")))
def test_framings_that_can_be_read_in_two_ways_are_refused(
    server: RunningServer, person: Person, name: str
) -> None:
    """Whoever stands in front may read the one way; so neither the outer nor the inner is done."""
    mark = uuid.uuid4().hex
    body = json.dumps({"message": mark}).encode()
    top = b"POST /api/v1/requests HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    found = replies(server, smuggling(top % len(body) + body)[name])
    unbroken(found)
    assert person.pending(q=mark) == [], found


@pytest.mark.parametrize("count", [2, 3, 50])
def test_each_of_several_requests_at_once_gets_its_own_reply(
    server: RunningServer, person: Person, count: int
) -> None:
    mark = uuid.uuid4().hex
    sent = b""
    for number in range(count):
        body = json.dumps({"message": f"{mark} {number}"}).encode()
        top = f"POST {SUBMIT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        sent += top.encode() + body
    found = replies(server, sent + LAST, patience=HANGS_UP)
    assert found == [201] * count + [200]
    assert len(person.pending(q=mark, limit=200)) == count


# JSON

VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
FIELDS = [
    "message", "kind", "session_id", "client_id", "action", "options", "schema", "timeout_seconds",
    "on_timeout", "priority", "metadata", "remind_every_seconds", "facts", "rule", "callback_url",
    "type", "args", "content", "option", "reason", "digest", "status", "result", "key",
]  # fmt: skip
ACTIONS = st.dictionaries(
    st.sampled_from(["tool_name", "tool_args", "args_schema", "risk_class", "side_effects",
                     "rationale", "digest"]),
    VALUES,
)  # fmt: skip
BODIES = st.dictionaries(st.sampled_from(FIELDS), st.one_of(VALUES, ACTIONS), max_size=6).map(
    lambda body: {"message": "Go on?", **body}
)


@pytest.mark.slow
@OFTEN
@given(body=st.one_of(BODIES, VALUES))
@pytest.mark.parametrize(
    "verb", ["", "/decision", "/cancel", "/extend", "/claim", "/outcome", "/reopen"]
)
def test_json_of_any_shape_breaks_nothing(
    server: RunningServer, person: Person, verb: str, body: Any
) -> None:
    content = json.dumps(body).encode(errors="replace")
    path = SUBMIT if not verb else f"{SUBMIT}/{standing(server)}{verb}"
    reply = person.http.post(path, content=content)
    assert reply.status_code < 500, reply.text


_STANDING: dict[int, str] = {}


def standing(server: RunningServer) -> str:
    """A request that is asked anew only when the one before was decided."""
    known = _STANDING.get(server.port)
    with server.http() as agent:
        if known is None or agent.get(f"{SUBMIT}/{known}").json()["status"] != "pending":
            action = {"tool_name": "t", "tool_args": {"a": 1}}
            known = _STANDING[server.port] = ask(server, action=action)
    return known


# Headers

NAMES = [
    "Host", "Origin", "Cookie", "Authorization", "X-Api-Key", "Idempotency-Key", "Sec-Fetch-Site",
    "Sec-Fetch-Mode", "Content-Type", "Accept-Encoding", "Connection", "Last-Event-ID", "Upgrade",
    "User-Agent", "X-Forwarded-For", "X",
]  # fmt: skip
ONE_LINE = str.maketrans("", "", "\r\n")
HEADERS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.text(st.characters(max_codepoint=255), max_size=40)),
    max_size=6,
)


@pytest.mark.slow
@OFTEN
@given(headers=HEADERS)
@pytest.mark.parametrize(
    "top",
    [
        f"POST {SUBMIT}",
        f"GET {SUBMIT}/0",
        "GET /hitl/poll?request_id=0",
        "GET /",
        "GET /login?token=x",
    ],
)
def test_headers_of_any_kind_break_nothing(
    server: RunningServer, top: str, headers: list[tuple[str, str]]
) -> None:
    lines = [f"{top} HTTP/1.1", "Host: localhost", "Content-Length: 0"]
    lines += [f"{name}: {value.translate(ONE_LINE)}" for name, value in headers]
    found = replies(server, "\r\n".join([*lines, "", ""]).encode("latin-1") + LAST, patience=0.3)
    unbroken(found)
    assert len(found) <= 2
