"""The fast lane tells the same as the ordinary way, in order, and holds nothing for nobody."""

import asyncio
import contextlib
import http.client
import json
import re
import socket
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from support.person import Person
from support.raw import Line, dial, exchange, head, lines
from support.server import RunningServer
from uvicorn.server import ServerState

from sayso.broker import Broker
from sayso.broker.accounts import Accounts
from sayso.broker.signing import make_signing
from sayso.clock import SystemClock
from sayso.ledger.keys import Keys
from sayso.links import make_link_token
from sayso.server.app import App
from sayso.server.auth import Authenticator
from sayso.server.fast_lane import MAX_HEAD_BYTES, PART, FastLane
from sayso.server.server import Server
from sayso.settings import Settings
from sayso.signals.memory import MemorySignal
from sayso.stores.memory import MemoryStore
from sayso.testing.courier import FakeCourier

pytestmark = pytest.mark.anyio

SUBMIT = "/api/v1/requests"
ORDINARY = "Expect: nothing"
"""With this header a request takes the ordinary way; nobody else looks at it."""


@asynccontextmanager
async def line_to(server: RunningServer) -> AsyncGenerator[Line]:
    line = await dial(server.port)
    try:
        yield line
    finally:
        await line.close()


async def ask(line: Line, **more: Any) -> str:
    status, request = await line.ask("POST", SUBMIT, {"message": "Go on?", **more})
    assert status == 201, request
    return request["id"]


# Both ways alike

BEARER = "Authorization: Bearer {token}"
APPROVE = b'{"type": "approve"}'
GOOD = b'{"message": "Go on?"}'
WITH_ACTION = json.dumps(
    {
        "message": "Deploy \u00e4\u2028 now?",
        "action": {"tool_name": "deploy", "tool_args": {"n": 1}, "risk_class": "high"},
        "options": ["yes", {"label": "no", "value": "n"}],
        "timeout_seconds": 9.5,
        "metadata": {"a": [1, None, "x"]},
    }
).encode()
BOTH_WAYS: list[tuple[str, str, list[str], bytes | None]] = [
    ("POST", SUBMIT, [], GOOD),
    ("POST", SUBMIT, [], WITH_ACTION),
    ("POST", SUBMIT, ["Content-Type: text/plain", "Accept-Encoding: gzip"], WITH_ACTION),
    ("POST", SUBMIT, ["Connection: close"], GOOD),
    ("POST", SUBMIT, ["Connection: keep-alive"], GOOD),
    ("POST", SUBMIT, ["Idempotency-Key: {key}"], GOOD),
    ("POST", SUBMIT, ["Idempotency-Key: "], GOOD),
    ("POST", SUBMIT, ["Idempotency-Key: " + "k" * 257], GOOD),
    ("POST", SUBMIT, [], b""),
    ("POST", SUBMIT, [], None),
    ("POST", SUBMIT, [], b"{"),
    ("POST", SUBMIT, [], b"\xff\xfe"),
    ("POST", SUBMIT, [], b'{"message": 5}'),
    ("POST", SUBMIT, [], b'{"message": "a", "unknown": 1}'),
    ("POST", SUBMIT, [], b'{"message": "a", "metadata": ' + b"[" * 40 + b"]" * 40 + b"}"),
    ("POST", SUBMIT, [], b'{"message": "' + b"x" * 40_000 + b'"}'),
    ("POST", SUBMIT, [], b'{"message": "' + b"x" * 70_000 + b'"}'),
    ("POST", SUBMIT, [], b'{"message": "' + b"x" * 1_100_000 + b'"}'),
    ("POST", SUBMIT, ["Origin: http://evil.example"], GOOD),
    ("POST", SUBMIT, ["Sec-Fetch-Site: cross-site"], GOOD),
    ("POST", SUBMIT, ["Authorization: Bearer nobody"], GOOD),
    ("POST", SUBMIT, ["Authorization: Basic abc"], GOOD),
    ("POST", SUBMIT, ["X-Api-Key: nobody"], GOOD),
    ("POST", SUBMIT, ["Cookie: a=b; c"], GOOD),
    ("POST", SUBMIT, [BEARER], GOOD),
    ("POST", f"{SUBMIT}?a=b", [], GOOD),
    ("GET", SUBMIT + "?q=nothing-that-is-there", [], None),
    ("GET", SUBMIT + "?status=strange", [], None),
    ("GET", SUBMIT + "/{id}", [], None),
    ("GET", SUBMIT + "/{id}", ["Connection: close"], None),
    ("GET", SUBMIT + "/{id}", [], b"a body that nobody wants"),
    ("GET", SUBMIT + "/{id}#part", [], None),
    ("GET", SUBMIT + "/%7Bid%7D", [], None),
    ("GET", SUBMIT + "/nothing", [], None),
    ("GET", SUBMIT + "/" + "x" * 2_000, [], None),
    ("GET", SUBMIT + "/", [], None),
    ("GET", SUBMIT + "//", [], None),
    ("GET", SUBMIT + "/{id}/decision", [], None),
    ("GET", SUBMIT + "/{id}/nothing", [], None),
    ("GET", "http://localhost" + SUBMIT + "/nothing", [], None),
    ("GET", SUBMIT + "/{id}?wait=0", [], None),
    ("GET", SUBMIT + "/{id}?wait=0.01", [], None),
    ("GET", SUBMIT + "/{id}?wait=%30", [], None),
    ("GET", SUBMIT + "/{id}?wait=", [], None),
    ("GET", SUBMIT + "/{id}?wait=long", [], None),
    ("GET", SUBMIT + "/{id}?wait=61", [], None),
    ("GET", SUBMIT + "/{id}?wait=-1", [], None),
    ("GET", SUBMIT + "/{id}?wait=nan", [], None),
    ("GET", SUBMIT + "/{id}?wait=1&wait=2", [], None),
    ("GET", SUBMIT + "/{id}?wait=%ff", [], None),
    ("GET", SUBMIT + "/{id}?wait=%00", [], None),
    ("GET", SUBMIT + "/{id}?wait=0&" + "&".join("abcdefghij" * 6), [], None),
    ("GET", SUBMIT + "/nothing?wait=9", [], None),
    ("POST", SUBMIT + "/{id}/decision", [], APPROVE),
    ("POST", SUBMIT + "/{id}/decision", ["Authorization: Bearer nobody"], APPROVE),
    ("POST", SUBMIT + "/{id}/decision", [BEARER], APPROVE),
    ("POST", SUBMIT + "/{id}/decision", [BEARER], b'{"type": "reject", "reason": "No."}'),
    ("POST", SUBMIT + "/{id}/decision", [BEARER], b'{"type": "respond"}'),
    ("POST", SUBMIT + "/{id}/decision", [BEARER], b'{"type": "edit", "args": {}}'),
    ("POST", SUBMIT + "/{id}/decision", [BEARER], b'{"type": "perhaps"}'),
    ("POST", SUBMIT + "/{id}/decision", [BEARER], b""),
    ("POST", SUBMIT + "/nothing/decision", [BEARER], APPROVE),
    ("POST", SUBMIT + "/{closed}/decision", [BEARER], APPROVE),
    ("POST", SUBMIT + "/{id}/cancel", [], None),
    ("POST", SUBMIT + "/{id}/cancel", [], b'{"reason": "Never mind."}'),
    ("POST", SUBMIT + "/{id}/cancel", [], b"[]"),
    ("POST", SUBMIT + "/{closed}/cancel", [], None),
    ("GET", SUBMIT + "/{closed}?wait=9", [], None),
    ("POST", "/hitl/request", [], b'{"session_id": "none", "message": "Go on?"}'),
    ("POST", "/hitl/request", [], b"{}"),
    ("GET", "/hitl/poll?request_id={id}", [], None),
    ("GET", "/hitl/poll?request_id=nothing", [], None),
    ("GET", "/hitl/poll", [], None),
    ("PUT", SUBMIT, [], GOOD),
    ("DELETE", SUBMIT + "/{id}", [], None),
    ("HEAD", SUBMIT + "/{id}", [], None),
    ("GET", "/hitl/request", [], None),
    ("GET", "/health", [], None),
    ("GET", "/nothing", [], None),
]


@pytest.fixture(scope="module")
def token(server: RunningServer) -> str:
    return server.sign_in()


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"


def told(server: RunningServer, method: str, sent: bytes) -> tuple[int, list[Any], str, bool]:
    """Status, headers, body without ids and times, and whether the connection was kept."""
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall(sent)
        reply = http.client.HTTPResponse(connection, method=method)
        reply.begin()
        body = reply.read().decode()
        try:  # whether it is taken for the next request
            connection.sendall(head("GET", "/health", server.port))
            kept = connection.recv(1) != b""
        except ConnectionError:
            kept = False
    body = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[-0-9a-f]{21}", "ID", body)
    body = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME", body)
    body = re.sub(r'"took_seconds":[0-9.e-]+', '"took_seconds":0', body)
    headers = sorted((k.lower(), v) for k, v in reply.getheaders() if k != "content-length")
    return reply.status, headers, body, kept


def new_request(server: RunningServer, *, closed: bool = False) -> str:
    size = f"Content-Length: {len(GOOD)}"
    status, body = exchange(server.address, head("POST", SUBMIT, server.port, size) + GOOD)
    assert status == 201, body
    request_id = json.loads(body)["id"]
    if closed:
        path = f"{SUBMIT}/{request_id}/cancel"
        status, body = exchange(server.address, head("POST", path, server.port))
        assert status == 200, body
    return request_id


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "chunks"),
    [(*asked, False) for asked in BOTH_WAYS]
    + [(*asked, True) for asked in BOTH_WAYS if asked[0] == "POST" and asked[3] is not None],
)
def test_the_lane_tells_the_same_as_the_ordinary_way(
    server: RunningServer,
    token: str,
    method: str,
    path: str,
    headers: list[str],
    body: bytes | None,
    chunks: bool,
) -> None:
    replies: list[Any] = []
    for way in ("lane", "ordinary"):
        fill = {"token": token, "key": f"{way}-{time.monotonic_ns()}"}
        if "{id}" in path:
            fill["id"] = new_request(server)
        if "{closed}" in path:
            fill["closed"] = new_request(server, closed=True)
        told_by = [line.format(**fill) for line in headers]
        content = body or b""
        if way == "ordinary" and chunks:
            told_by.append("Transfer-Encoding: chunked")
            content = chunked(content)
        elif body is not None:
            told_by.append(f"Content-Length: {len(body)}")
        if way == "ordinary" and not chunks:
            told_by.append(ORDINARY)
        sent = head(method, path.format(**fill), server.port, *told_by) + content
        replies.append(told(server, method, sent))
    assert replies[0] == replies[1]


@pytest.mark.parametrize("host", ["evil.example", "", "localhost:1:2"])
def test_a_foreign_name_is_refused_both_ways_alike(server: RunningServer, host: str) -> None:
    top = f"GET {SUBMIT}/nothing HTTP/1.1\r\nHost: {host}\r\n"
    hot = told(server, "GET", f"{top}\r\n".encode())
    assert hot == told(server, "GET", f"{top}{ORDINARY}\r\n\r\n".encode())
    assert hot[0] == 403


# What takes the lane, in this process, with a transport that only writes down


class Wire(asyncio.Transport):
    """The other side of a connection: what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    @property
    def statuses(self) -> list[int]:
        text = b"".join(self.written)
        return [int(found) for found in re.findall(rb"(?:^|})HTTP/1\.1 (\d{3}) ", text)]


class CountingApp(App):
    """The application, which counts what comes to it the ordinary way."""

    calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        await super().__call__(scope, receive, send)


class Inside:
    """A server without a socket."""

    def __init__(self, *, keep_alive: float = 75) -> None:
        clock, secret = SystemClock(), b"s" * 32
        self.broker = Broker(MemoryStore(), MemorySignal(), clock)
        self.accounts = Accounts(self.broker)
        self.auth = Authenticator(self.accounts, self.broker.store, clock, secret, cookie="c")
        self.link = make_link_token(secret, datetime.now(UTC))
        self.app = CountingApp(
            Server(
                self.broker,
                self.accounts,
                self.auth,
                Settings(),
                courier=FakeCourier(),
                signing=make_signing(self.broker, secret, "http://localhost:8080"),
                callback_secret="whsec_",
                keys=Keys(None, secret),
            )
        )
        self.config = uvicorn.Config(
            self.app,
            lifespan="off",
            log_config=None,
            server_header=False,
            date_header=False,
            timeout_keep_alive=keep_alive,  # type: ignore[arg-type]
        )
        self.config.load()
        self.state = ServerState()

    def connect(self) -> tuple[FastLane, Wire]:
        lane, wire = FastLane(self.config, self.state, {}), Wire()
        lane.connection_made(wire)
        return lane, wire

    async def submit(self) -> str:
        lane, wire = self.connect()
        lane.data_received(self.post(SUBMIT, GOOD))
        await until(lambda: wire.written)
        lane.connection_lost(None)
        return json.loads(wire.written[0].partition(b"\r\n\r\n")[2])["id"]

    def post(self, path: str, body: bytes, *headers: str) -> bytes:
        return head("POST", path, 80, *headers, f"Content-Length: {len(body)}") + body

    def get(self, path: str, *headers: str) -> bytes:
        return head("GET", path, 80, *headers)


async def until(done: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "It never happened."
        await asyncio.sleep(0.001)


async def test_hot_requests_make_no_asgi_call_and_one_write_each() -> None:
    inside = Inside()
    request_id = await inside.submit()
    lane, wire = inside.connect()
    for sent in (
        inside.get(f"{SUBMIT}/{request_id}"),
        inside.get(f"{SUBMIT}/{request_id}?wait=0.01"),
        inside.post(f"{SUBMIT}/{request_id}/cancel", b"{}"),
        inside.get(f"/hitl/poll?request_id={request_id}"),
    ):
        wire.written.clear()
        lane.data_received(sent)
        await until(lambda: wire.written)
        assert (wire.statuses, len(wire.written)) == ([200], 1)
    assert inside.app.calls == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /api/v1/requests/x HTTP/1.0\r\nHost: localhost\r\n\r\n",
        b"HEAD /api/v1/requests/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/v1/requests/%78 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://localhost/api/v1/requests/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/v1/requests/x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n",
        b"GET /api/v1/requests/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
        b"POST /hitl/request HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/requests HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n"
        + b" " * 65_537,
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
async def test_what_is_not_plainly_hot_takes_the_ordinary_way(sent: bytes) -> None:
    inside = Inside()
    lane, wire = inside.connect()
    lane.data_received(sent)
    await until(lambda: wire.written)
    assert inside.app.calls == 1
    lane.connection_lost(None)
    await until(lambda: not inside.state.tasks)


async def test_requests_split_at_every_byte_are_answered_whole_and_in_order() -> None:
    inside = Inside()
    request_id = await inside.submit()
    sent = (
        inside.post(SUBMIT, GOOD)
        + inside.get("/nothing")
        + inside.get(f"{SUBMIT}/{request_id}?wait=0.001")
        + inside.post(SUBMIT, GOOD, ORDINARY)
        + inside.post(SUBMIT, b"{", "Accept: */*")
        + inside.post(f"{SUBMIT}/{request_id}/decision", APPROVE)
    )
    wanted = [201, 404, 200, 201, 422, 401]
    for at in range(1, len(sent)):
        lane, wire = inside.connect()
        lane.data_received(sent[:at])
        if at % 3:  # the first part is answered before the second comes, or not
            await asyncio.sleep(0.002)
        lane.data_received(sent[at:])
        await until(lambda wire=wire: len(wire.statuses) == len(wanted))
        assert wire.statuses == wanted
    lane, wire = inside.connect()
    for byte in sent:
        lane.data_received(bytes((byte,)))
    await until(lambda: len(wire.statuses) == len(wanted))
    assert wire.statuses == wanted


async def test_a_decision_stands_though_its_client_hung_up_at_once() -> None:
    inside = Inside()
    signed_in = await inside.auth.sign_in(inside.link, browser=False)
    request_id = await inside.submit()
    lane, wire = inside.connect()
    bearer = f"Authorization: Bearer {signed_in.token}"
    lane.data_received(inside.post(f"{SUBMIT}/{request_id}/decision", APPROVE, bearer))
    wire.closed = True
    lane.connection_lost(ConnectionResetError())
    await until(lambda: not inside.state.tasks)
    assert wire.written == []
    lane, wire = inside.connect()
    lane.data_received(inside.get(f"{SUBMIT}/{request_id}"))
    await until(lambda: wire.written)
    assert b'"status":"approved"' in wire.written[0]


@pytest.mark.parametrize("turns", [0, 1, 2, 20])
async def test_a_wait_whose_client_hung_up_is_given_up_at_once(turns: int) -> None:
    inside = Inside()
    request_id = await inside.submit()
    lane, wire = inside.connect()
    lane.data_received(inside.get(f"{SUBMIT}/{request_id}?wait=60"))
    for _ in range(turns):
        await asyncio.sleep(0)
    assert inside.broker.waits == (turns > 0)
    wire.closed = True
    lane.connection_lost(None)
    await until(lambda: not inside.state.tasks, seconds=30)
    assert inside.broker.waits == 0
    assert not inside.state.connections
    assert wire.written == []


async def test_nothing_is_written_to_a_client_that_does_not_read() -> None:
    inside = Inside()
    request_id = await inside.submit()
    lane, wire = inside.connect()
    lane.pause_writing()
    lane.data_received(inside.get(f"{SUBMIT}/{request_id}") * 3)
    await asyncio.sleep(0.05)
    assert wire.written == []
    lane.resume_writing()
    await until(lambda: wire.statuses == [200, 200, 200])


async def test_a_connection_idle_too_long_is_closed_and_one_that_waits_is_not() -> None:
    inside = Inside(keep_alive=0.1)
    request_id = await inside.submit()
    lane, wire = inside.connect()
    sent = inside.get(f"{SUBMIT}/{request_id}?wait=0.2")

    def write(data: bytes) -> None:
        """Ask again at once, however late this process has its turn."""
        Wire.write(wire, data)
        if len(wire.written) < 3:
            asyncio.get_running_loop().call_soon(lane.data_received, sent)

    wire.write = write
    lane.data_received(sent)
    await until(lambda: wire.closed)
    assert wire.statuses == [200, 200, 200]


# Order


async def test_what_is_pipelined_behind_a_held_wait_is_answered_after_it(
    server: RunningServer,
) -> None:
    async with line_to(server) as line:
        request_id = await ask(line)
        began = time.monotonic()
        line.send("GET", f"{SUBMIT}/{request_id}?wait=0.4")
        line.send("GET", "/nothing")
        line.send("POST", SUBMIT, {"message": "And this?"})
        line.send("GET", "/health")
        line.send("GET", f"{SUBMIT}/nothing?wait=60", None, ORDINARY)
        line.send("GET", f"{SUBMIT}/{request_id}")
        replies = [await line.reply() for _ in range(6)]
    assert [status for status, _ in replies] == [200, 404, 201, 200, 404, 200]
    assert replies[0][1]["id"] == replies[5][1]["id"] == request_id
    assert 0.4 <= time.monotonic() - began < 50


async def test_a_hot_request_behind_a_cold_wait_is_answered_after_it(
    server: RunningServer,
) -> None:
    async with line_to(server) as line:
        request_id = await ask(line)
        line.send("GET", f"{SUBMIT}/{request_id}?wait=0.3", None, ORDINARY)
        line.send("POST", SUBMIT, {"message": "Hot."})
        replies = [await line.reply() for _ in range(2)]
    assert [status for status, _ in replies] == [200, 201]


async def test_the_body_of_a_pipelined_request_may_come_after_its_turn(
    server: RunningServer,
) -> None:
    for pause in (0.05, 0.4):  # before the wait in front of it has ended, and after
        async with line_to(server) as line:
            request_id = await ask(line)
            line.send("GET", f"{SUBMIT}/{request_id}?wait=0.2")
            line.writer.write(head("POST", SUBMIT, server.port, f"Content-Length: {len(GOOD)}"))
            line.writer.write(GOOD[:5])
            await asyncio.sleep(pause)
            line.writer.write(GOOD[5:])
            replies = [await line.reply() for _ in range(2)]
            assert [status for status, _ in replies] == [200, 201]
            assert (await line.ask("GET", f"{SUBMIT}/{request_id}"))[0] == 200


async def test_nothing_is_answered_after_connection_close(server: RunningServer) -> None:
    async with line_to(server) as line:
        request_id = await ask(line)
        line.send("GET", f"{SUBMIT}/{request_id}?wait=0.1", None, "Connection: close")
        line.send("POST", SUBMIT, {"message": "Too late."})
        assert (await line.reply())[0] == 200
        with contextlib.suppress(ConnectionError):  # if the second came after the end
            assert await line.reader.read() == b""


# Thousands at once on one connection


@pytest.mark.parametrize("path", [f"{SUBMIT}/nothing", "/health"])
async def test_few_of_thousands_of_pipelined_requests_are_parsed_at_once(path: str) -> None:
    inside = Inside()
    lane, wire = inside.connect()
    sent, count = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 3_000
    lane.data_received(sent * count + b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n")
    most = 0

    def done() -> bool:
        nonlocal most
        most = max(most, len(lane.pipeline))
        return len(wire.written) >= count and len(wire.statuses) == count

    await until(done)
    assert 0 < most <= PART / len(sent) + 1
    assert set(wire.statuses) == {404 if path.startswith(SUBMIT) else 200}
    wire.written.clear()
    lane.data_received(b"\r\n")
    await until(lambda: wire.statuses == [404])


@pytest.mark.parametrize("path", [f"{SUBMIT}/nothing", "/health"])
async def test_a_client_that_pipelines_without_end_takes_no_memory_and_no_turn_of_others(
    server: RunningServer, path: str
) -> None:
    async with line_to(server) as flood, line_to(server) as other:
        before = server.memory()
        sent = head("GET", path, server.port) * 3_000

        async def write() -> None:
            while True:
                flood.writer.write(sent)
                await flood.writer.drain()

        async def read() -> None:
            while await flood.reader.read(65_536):
                pass

        tasks = [asyncio.create_task(each()) for each in (write, read)]
        for _ in range(20):
            assert (await other.ask("GET", f"{SUBMIT}/nothing"))[0] == 404
            await asyncio.sleep(0.1)
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        flood.abort()  # what it still wants to send is taken by nobody
        assert server.memory() - before < 96 * 1024 * 1024  # unbounded it takes gigabytes


# Gone


@pytest.fixture
def small_server(tmp_path: Path) -> Generator[RunningServer]:
    running = RunningServer(tmp_path, environment={"SAYSO_MAX_WAITS": "20"}).start()
    yield running
    running.stop()


@pytest.mark.parametrize("politely", [True, False])
async def test_waits_are_freed_as_soon_as_their_clients_are_gone(
    small_server: RunningServer, politely: bool
) -> None:
    async with line_to(small_server) as line:
        request_id = await ask(line)
        assert (await line.ask("GET", f"{SUBMIT}/{request_id}?wait=0.01"))[0] == 200
        files = small_server.open_files()
        for _ in range(3):
            started = time.monotonic()
            async with lines(small_server.port, 20) as waiting:
                for each in waiting:
                    each.send("GET", f"{SUBMIT}/{request_id}?wait=60")
                await line.until_read()
                assert (await line.ask("GET", f"{SUBMIT}/{request_id}?wait=1"))[0] == 429
                for each in waiting:
                    each.writer.close() if politely else each.abort()
                await small_server.until_gone(files)
                await line.until_read()  # and has given up what they waited for
            assert time.monotonic() - started < 50, "They were held until their time was up."


async def test_half_a_body_is_never_taken_for_a_whole_one(server: RunningServer) -> None:
    async with line_to(server) as line:
        body = b'{"message": "half a body"}'
        size = f"Content-Length: {len(body) + 10}"
        for abort in (True, False):
            other = await dial(server.port)
            other.writer.write(head("POST", SUBMIT, server.port, size) + body)
            await asyncio.sleep(0.1)
            other.abort() if abort else await other.close()
        await asyncio.sleep(0.1)
        _, page = await line.ask("GET", f"{SUBMIT}?q=half")
        assert page["items"] == []
    assert "Traceback" not in server.log


async def test_a_client_that_does_not_read_does_not_fill_the_memory(server: RunningServer) -> None:
    async with line_to(server) as line:
        request_id = await ask(line, message="x" * 16_000)
        before = server.memory()
        for _ in range(4_000):
            line.send("GET", f"{SUBMIT}/{request_id}")
        await asyncio.sleep(1)
        assert server.memory() - before < 24 * 1024 * 1024  # all replies are 64 MB
        for _ in range(4_000):
            status, request = await line.reply()
            assert (status, request["id"]) == (200, request_id)


# Limits and the end


def test_a_hot_head_that_does_not_end_is_cut_off(server: RunningServer) -> None:
    sent = f"GET {SUBMIT}/x HTTP/1.1\r\nHost: localhost\r\n".encode() + b"X-A: " + b"a" * 700_000
    assert exchange(server.address, sent) == (0, b"")


def test_a_head_after_a_hot_request_is_cut_off_alike(server: RunningServer) -> None:
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall(head("GET", f"{SUBMIT}/nothing", server.port))
        assert b" 404 " in connection.recv(65_536)
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /" + b"a" * 700_000)
        with contextlib.suppress(ConnectionError):
            assert connection.recv(65_536) == b""


@pytest.mark.parametrize("sent", [b"NONSENSE\r\n\r\n", b"POST /api/v1/requests HTTP/1.1\r\nHost"])
def test_what_is_no_http_is_told_so_after_a_hot_request_too(
    server: RunningServer, sent: bytes
) -> None:
    if sent.startswith(b"POST"):
        sent += b": localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall(head("GET", f"{SUBMIT}/nothing", server.port))
        assert b" 404 " in connection.recv(65_536)
        connection.sendall(sent)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("path", [f"{SUBMIT}/x", "/health"])
@pytest.mark.parametrize(("size", "is_taken"), [(63_000, True), (66_000, False), (69_000, False)])
async def test_a_head_that_comes_in_one_read_is_measured_alike(
    path: str, size: int, is_taken: bool
) -> None:
    inside = Inside()
    lane, wire = inside.connect()
    lane.data_received(inside.get(path, "X-A: " + "a" * size))
    await until(lambda: wire.statuses or wire.closed)
    assert wire.closed is not is_taken
    assert (wire.statuses not in ([], [400])) is is_taken
    assert size < MAX_HEAD_BYTES or not is_taken


@pytest.mark.parametrize("path", [f"{SUBMIT}/nothing", "/health", "/api/v1/stream"])
def test_two_hosts_are_refused(server: RunningServer, path: str) -> None:
    for hosts in (["evil.example", "localhost"], ["localhost", "localhost"]):
        lines = [f"Host: {host}\r\n" for host in hosts]
        sent = f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()
        assert exchange(server.address, sent)[0] == 400


H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAA")


@pytest.mark.parametrize("way", [(), (ORDINARY,)])
async def test_the_offer_of_another_protocol_is_ignored(way: tuple[str, ...]) -> None:
    inside = Inside()
    offer = inside.post(SUBMIT, GOOD, *H2C, *way)
    sent = inside.get("/nothing") + offer + inside.get(f"{SUBMIT}/x", *H2C) + offer
    wanted = [404, 201, 404, 201]
    for at in range(0, len(sent), 3):
        lane, wire = inside.connect()
        lane.data_received(sent[:at])
        if at % 2:
            await asyncio.sleep(0.002)
        lane.data_received(sent[at:])
        await until(lambda wire=wire: len(wire.statuses) >= len(wanted))
        assert wire.statuses == wanted
        assert not wire.closed


async def test_the_offer_of_another_protocol_is_ignored_on_a_socket(server: RunningServer) -> None:
    async with line_to(server) as line:
        for way in ((), (ORDINARY,)):
            line.send("POST", SUBMIT, {"message": "Offered?"}, *H2C, *way)
            line.send("GET", f"{SUBMIT}/nothing")
            status, request = await line.reply()
            assert (status, request["message"]) == (201, "Offered?")
            assert (await line.reply())[0] == 404


@pytest.mark.parametrize(
    "broken",
    [
        "garbage\r\n\r\n",
        f"GET {SUBMIT} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        f"POST {SUBMIT} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        # what is due would be written into the WebSocket
        (
            "GET /api/v1/stream HTTP/1.1\r\nHost: a\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
    ],
)
@pytest.mark.parametrize("way", [(), (ORDINARY,)])
async def test_what_breaks_is_refused_after_the_replies_that_are_due(
    broken: str, way: tuple[str, ...]
) -> None:
    inside = Inside()
    request_id = await inside.submit()
    due = inside.get(f"{SUBMIT}/{request_id}?wait=0.02", *way) + inside.post(SUBMIT, GOOD, *way)
    for behind in (b"", inside.get("/nothing")):
        lane, wire = inside.connect()
        lane.data_received(due + broken.encode() + behind)
        lane.data_received(behind)
        await until(lambda wire=wire: wire.closed)
        await until(lambda: not inside.state.tasks)
        text = b"".join(wire.written)
        assert [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", text)] == [200, 201, 400]


async def test_a_stop_answers_what_is_held_and_then_hangs_up(fresh_server: RunningServer) -> None:
    async with line_to(fresh_server) as line, line_to(fresh_server) as idle:
        request_id = await ask(line)
        assert (await idle.ask("GET", f"{SUBMIT}/{request_id}"))[0] == 200
        line.send("GET", f"{SUBMIT}/{request_id}?wait=60")
        await idle.until_read()
        stopping = asyncio.create_task(asyncio.to_thread(fresh_server.stop))
        top = await line.reader.readuntil(b"\r\n\r\n")
        assert top.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in top
        assert b'"status":"pending"' in await line.reader.read()
        assert await idle.reader.read() == b""
        assert await stopping < 50
    assert "Traceback" not in fresh_server.log


async def test_a_stop_does_not_wait_long_for_a_body_that_never_comes(
    fresh_server: RunningServer,
) -> None:
    async with line_to(fresh_server) as line, line_to(fresh_server) as other:
        line.writer.write(head("POST", SUBMIT, fresh_server.port, "Content-Length: 9"))
        await other.until_read()
        await asyncio.to_thread(fresh_server.stop, 60)


async def test_a_person_decides_in_the_lane(server: RunningServer, person: Person) -> None:
    async with line_to(server) as waiting, line_to(server) as deciding:
        request_id = await ask(waiting)
        waiting.send("GET", f"{SUBMIT}/{request_id}?wait=30")
        bearer = f"Authorization: Bearer {person.token}"
        path = f"{SUBMIT}/{request_id}/decision"
        status, decided = await deciding.ask("POST", path, {"type": "approve"}, bearer)
        assert (status, decided["decision"]["channel"]) == (200, "api")
        assert await waiting.reply() == (200, decided)
