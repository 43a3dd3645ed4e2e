"""Waits and deadlines: told at once, told on time, and nothing held for nobody."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets
from support.feed import Feed
from support.person import Person
from support.raw import Line, dial, lines
from support.server import RunningServer

SUBMIT = "/api/v1/requests"
AT_ONCE_SECONDS = 30
"""Half of what a wait would take that nobody ends: far more than a slow machine needs."""


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


async def decide(line: Line, person: Person, request_id: str, kind: str = "approve") -> None:
    status, told = await line.ask(
        "POST",
        f"{SUBMIT}/{request_id}/decision",
        {"type": kind},
        f"Authorization: Bearer {person.token}",
    )
    assert status == 200, told


async def test_a_wait_on_a_decided_request_returns_at_once(
    server: RunningServer, person: Person
) -> None:
    async with line_to(server) as line:
        request_id = await ask(line)
        await decide(line, person, request_id)
        began = time.monotonic()
        _, request = await line.ask("GET", f"{SUBMIT}/{request_id}?wait=60")
        assert request["status"] == "approved"
        assert time.monotonic() - began < AT_ONCE_SECONDS


async def test_a_wait_of_no_seconds_is_a_look(server: RunningServer) -> None:
    async with line_to(server) as line:
        request_id = await ask(line)
        began = time.monotonic()
        for wait in ("", "?wait=0", "?wait=0.0"):
            status, request = await line.ask("GET", f"{SUBMIT}/{request_id}{wait}")
            assert (status, request["status"]) == (200, "pending")
        assert time.monotonic() - began < AT_ONCE_SECONDS


async def test_a_wait_that_nobody_ends_returns_pending(server: RunningServer) -> None:
    async with line_to(server) as line:
        request_id = await ask(line)
        began = time.monotonic()
        status, request = await line.ask("GET", f"{SUBMIT}/{request_id}?wait=0.4")
        assert (status, request["status"]) == (200, "pending")
        assert 0.4 <= time.monotonic() - began < AT_ONCE_SECONDS


async def test_a_wait_for_nothing_is_not_found_at_once(server: RunningServer) -> None:
    async with line_to(server) as line:
        began = time.monotonic()
        status, _ = await line.ask("GET", f"{SUBMIT}/nothing?wait=60")
        assert status == 404
        assert time.monotonic() - began < AT_ONCE_SECONDS


@pytest.mark.parametrize("kind", ["approve", "reject"])
async def test_a_wait_ends_with_the_decision(
    server: RunningServer, person: Person, kind: str
) -> None:
    delays: list[float] = []
    async with line_to(server) as waiting, line_to(server) as deciding:
        for _ in range(20):
            request_id = await ask(waiting)
            waiting.send("GET", f"{SUBMIT}/{request_id}?wait=60")
            await asyncio.sleep(0.02)
            await decide(deciding, person, request_id, kind)
            decided = time.monotonic()
            _, request = await waiting.reply()
            delays.append(time.monotonic() - decided)
            assert request["status"] == {"approve": "approved", "reject": "rejected"}[kind]
    assert min(delays) < 0.5, "It looks now and then, instead of being told."
    assert max(delays) < AT_ONCE_SECONDS


async def test_a_wait_ends_with_the_cancellation(server: RunningServer) -> None:
    async with line_to(server) as waiting, line_to(server) as other:
        request_id = await ask(waiting)
        waiting.send("GET", f"{SUBMIT}/{request_id}?wait=60")
        await other.until_read()
        await other.ask("POST", f"{SUBMIT}/{request_id}/cancel", {"reason": "Never mind."})
        _, request = await waiting.reply()
        assert (request["status"], request["closed_reason"]) == ("cancelled", "Never mind.")


async def test_a_thousand_waits_on_one_request_are_all_told(
    server: RunningServer, person: Person
) -> None:
    async with line_to(server) as line, lines(server.port, 1_000) as waiting:
        request_id = await ask(line)
        for each in waiting:
            each.send("GET", f"{SUBMIT}/{request_id}?wait=60")
        await line.until_read()
        await decide(line, person, request_id)
        decided = time.monotonic()
        replies = await asyncio.gather(*(each.reply() for each in waiting))
        assert {(status, request["status"]) for status, request in replies} == {(200, "approved")}
        assert time.monotonic() - decided < AT_ONCE_SECONDS


async def test_a_thousand_waits_on_as_many_requests_are_each_told_their_own(
    server: RunningServer, person: Person
) -> None:
    async with lines(server.port, 1_000) as waiting, lines(server.port, 20) as deciding:
        ids = await asyncio.gather(*(ask(each) for each in waiting))
        for each, request_id in zip(waiting, ids, strict=True):
            each.send("GET", f"{SUBMIT}/{request_id}?wait=60")
        await deciding[0].until_read()

        async def work(line: Line, mine: list[int]) -> None:
            for place in mine:
                kind = "approve" if place % 2 else "reject"
                await decide(line, person, ids[place], kind)

        shares = [list(range(start, 1_000, 20)) for start in range(20)]
        await asyncio.gather(*(work(*pair) for pair in zip(deciding, shares, strict=True)))
        replies = await asyncio.gather(*(each.reply() for each in waiting))
    for place, (status, request) in enumerate(replies):
        assert (status, request["id"]) == (200, ids[place])
        assert request["status"] == ("approved" if place % 2 else "rejected")


# Held for nobody


@pytest.fixture
def small_server(tmp_path: Path) -> Generator[RunningServer]:
    running = RunningServer(tmp_path, environment={"SAYSO_MAX_WAITS": "50"}).start()
    yield running
    running.kill9()


async def test_one_wait_too_many_is_told_to_try_again(small_server: RunningServer) -> None:
    async with line_to(small_server) as line, lines(small_server.port, 51) as waiting:
        request_id = await ask(line)
        for each in waiting:
            each.send("GET", f"{SUBMIT}/{request_id}?wait=60")
        replies = [asyncio.ensure_future(each.reply()) for each in waiting]
        (refused,), held = await asyncio.wait(replies, return_when=asyncio.FIRST_COMPLETED)
        status, problem = refused.result()
        assert (status, problem["code"]) == (429, "busy")
        status, request = await line.ask("GET", f"{SUBMIT}/{request_id}")
        assert (status, request["status"]) == (200, "pending")
        await line.ask("POST", f"{SUBMIT}/{request_id}/cancel", {})
        ended = await asyncio.gather(*held)
        assert {(status, request["status"]) for status, request in ended} == {(200, "cancelled")}


async def test_waits_of_clients_that_vanished_are_freed(small_server: RunningServer) -> None:
    async with line_to(small_server) as line:
        request_id = await ask(line)
        for _ in range(40):  # 2,000 in all, where 50 may be held
            async with lines(small_server.port, 50) as waiting:
                for each in waiting:
                    each.send("GET", f"{SUBMIT}/{request_id}?wait=60")
                await line.until_read()
                for each in waiting:
                    each.abort()
            await _is_free(line, request_id)


async def test_event_streams_of_clients_that_vanished_are_freed(
    small_server: RunningServer,
) -> None:
    for _ in range(4):
        async with lines(small_server.port, 50) as listening:
            await asyncio.gather(*(_listens(each) for each in listening))
            async with line_to(small_server) as line:
                status, problem = await line.ask("GET", "/api/v1/events")
                assert (status, problem["code"]) == (429, "busy")
            for each in listening:
                each.abort()


async def _listens(line: Line) -> None:
    """Open the stream of events, once there is room for one more."""
    until = time.monotonic() + 60
    while True:
        line.send("GET", "/api/v1/events")
        top = await line.reader.readuntil(b"\r\n\r\n")
        if b" 200 " in top:
            return
        assert b" 429 " in top, top
        assert time.monotonic() < until, "Streams are open for clients that are gone."
        length = int(top.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await line.reader.readexactly(length)
        await asyncio.sleep(0.02)


async def _is_free(line: Line, request_id: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        status, _ = await line.ask("GET", f"{SUBMIT}/{request_id}?wait=0.001")
        if status == 200:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("Waits are held for clients that are gone.")


async def test_vanished_clients_leave_no_memory_behind(server: RunningServer) -> None:
    async with line_to(server) as line:
        request_id = await ask(line)
        files = server.open_files()

        async def vanish(times: int) -> None:
            for _ in range(times):
                async with lines(server.port, 250) as waiting:
                    for each in waiting:
                        each.send("GET", f"{SUBMIT}/{request_id}?wait=60")
                    await line.until_read()
                    for each in waiting:
                        each.abort()
                await server.until_gone(files + 5)

        await vanish(4)
        before = server.memory()
        await vanish(8)
        assert server.memory() - before < 16 * 1024 * 1024


# Deadlines


async def test_a_request_expires_on_time_though_nobody_looks(
    server: RunningServer, person: Person
) -> None:
    async with Feed(server.url, "?type=request.expired") as feed, line_to(server) as line:
        took: list[float] = []
        while not took or (min(took) > 1.3 and len(took) < 5):  # the machine may have been busy
            began = time.monotonic()
            request_id = await ask(line, timeout_seconds=0.3)
            (event,) = await feed.take(1)
            while event["request_id"] != request_id:  # what others have left here may expire, too
                (event,) = await feed.take(1)
            took.append(time.monotonic() - began)
        assert 0.3 <= min(took) < 1.3
        assert event["request"]["status"] == "expired"
        late = person.try_to_decide(request_id, "approve")
        assert (late.status_code, late.json()["code"]) == (409, "expired")
        assert late.json()["request"]["closed_reason"]


async def test_a_wait_ends_with_the_deadline(server: RunningServer) -> None:
    async with line_to(server) as line:
        began = time.monotonic()
        request_id = await ask(line, timeout_seconds=0.3)
        _, request = await line.ask("GET", f"{SUBMIT}/{request_id}?wait=60")
        assert (request["status"], request["decision"]) == ("expired", None)
        assert 0.3 <= time.monotonic() - began < AT_ONCE_SECONDS


async def test_two_thousand_requests_expire_together(server: RunningServer) -> None:
    async with lines(server.port, 20) as asking:

        async def many(line: Line) -> list[str]:
            return [await ask(line, timeout_seconds=2.5, session_id="crowd") for _ in range(100)]

        ids = {each for some in await asyncio.gather(*map(many, asking)) for each in some}
        until = time.monotonic() + 90
        left = 1
        while left and time.monotonic() < until:
            await asyncio.sleep(0.1)
            _, page = await asking[0].ask("GET", f"{SUBMIT}?status=pending&session_id=crowd")
            left = len(page["items"])
        assert left == 0
        _, request = await asking[0].ask("GET", f"{SUBMIT}/{min(ids)}")
        assert request["status"] == "expired"


async def test_without_a_deadline_nothing_expires(server: RunningServer) -> None:
    async with line_to(server) as line:
        request_id = await ask(line, timeout_seconds=None)
        _, request = await line.ask("GET", f"{SUBMIT}/{request_id}?wait=0.3")
        assert (request["status"], request["deadline_at"]) == ("pending", None)


async def test_a_deadline_that_passed_while_the_server_was_down_is_kept(
    fresh_server: RunningServer,
) -> None:
    async with line_to(fresh_server) as line:
        request_id = await ask(line, timeout_seconds=0.2)
    fresh_server.kill9()
    await asyncio.sleep(0.3)
    fresh_server.restart()
    async with line_to(fresh_server) as line:
        _, request = await line.ask("GET", f"{SUBMIT}/{request_id}?wait=60")
        assert request["status"] == "expired"


# Stopping


async def test_held_waits_are_answered_when_the_server_stops(fresh_server: RunningServer) -> None:
    async with line_to(fresh_server) as line, lines(fresh_server.port, 500) as waiting:
        request_id = await ask(line)
        for each in waiting:
            each.send("GET", f"{SUBMIT}/{request_id}?wait=60")
        await line.until_read()
        stopping = asyncio.create_task(asyncio.to_thread(fresh_server.stop))
        replies = await asyncio.gather(*(each.reply() for each in waiting))
        await stopping
    assert {(status, request["status"]) for status, request in replies} == {(200, "pending")}


async def test_open_streams_and_sockets_do_not_keep_the_server(fresh_server: RunningServer) -> None:
    url = f"ws://localhost:{fresh_server.port}/api/v1/stream"
    async with (
        Feed(fresh_server.url) as one,
        Feed(fresh_server.url) as two,
        websockets.connect(url, open_timeout=60) as socket,
        websockets.connect(url, open_timeout=60),
        lines(fresh_server.port, 5),  # idle ones, kept alive
    ):
        stopping = asyncio.create_task(asyncio.to_thread(fresh_server.stop))
        assert await one.ends()
        assert await two.ends()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        await stopping
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert "Traceback" not in fresh_server.log


def test_a_stopped_server_lets_go_of_port_and_data(fresh_server: RunningServer) -> None:
    with fresh_server.http() as agent:
        request_id = agent.post(SUBMIT, json={"message": "Still there?"}).json()["id"]
    took = [fresh_server.stop()]
    while min(took) >= 2 and len(took) < 5:  # this machine may have been busy with something else
        took.append(fresh_server.restart().stop())
    assert min(took) < 2
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{fresh_server.url}/health")
    fresh_server.restart()
    with fresh_server.http() as agent:
        assert agent.get(f"{SUBMIT}/{request_id}").json()["status"] == "pending"
