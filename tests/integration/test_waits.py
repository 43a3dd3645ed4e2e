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


async def settled() -> None:
    """Time for what was sent to arrive."""
    await asyncio.sleep(0.3)


async def test_a_wait_on_a_decided_request_returns_at_once(
    server: RunningServer, person: Person
) -> None:
    async with line_to(server) as line:
        request_id = await ask(line)
        await decide(line, person, request_id)
        began = time.monotonic()
        _, request = await line.ask("GET", f"{SUBMIT}/{request_id}?wait=30")
        assert request["status"] == "approved"
        assert time.monotonic() - began < 0.5


async def test_a_wait_of_no_seconds_is_a_look(server: RunningServer) -> None:
    async with line_to(server) as line:
        request_id = await ask(line)
        began = time.monotonic()
        for wait in ("", "?wait=0", "?wait=0.0"):
            status, request = await line.ask("GET", f"{SUBMIT}/{request_id}{wait}")
            assert (status, request["status"]) == (200, "pending")
        assert time.monotonic() - began < 0.5


async def test_a_wait_that_nobody_ends_returns_pending(server: RunningServer) -> None:
    async with line_to(server) as line:
        request_id = await ask(line)
        began = time.monotonic()
        status, request = await line.ask("GET", f"{SUBMIT}/{request_id}?wait=0.4")
        assert (status, request["status"]) == (200, "pending")
        assert 0.4 <= time.monotonic() - began < 2


async def test_a_wait_for_nothing_is_not_found_at_once(server: RunningServer) -> None:
    async with line_to(server) as line:
        began = time.monotonic()
        status, _ = await line.ask("GET", f"{SUBMIT}/nothing?wait=30")
        assert status == 404
        assert time.monotonic() - began < 0.5


@pytest.mark.parametrize("kind", ["approve", "reject"])
async def test_a_wait_ends_with_the_decision(
    server: RunningServer, person: Person, kind: str
) -> None:
    delays: list[float] = []
    async with line_to(server) as waiting, line_to(server) as deciding:
        for _ in range(20):
            request_id = await ask(waiting)
            waiting.send("GET", f"{SUBMIT}/{request_id}?wait=30")
            await asyncio.sleep(0.02)
            await decide(deciding, person, request_id, kind)
            decided = time.monotonic()
            _, request = await waiting.reply()
            delays.append(time.monotonic() - decided)
            assert request["status"] == {"approve": "approved", "reject": "rejected"}[kind]
    assert sorted(delays)[len(delays) // 2] < 0.05
    assert max(delays) < 0.5


async def test_a_wait_ends_with_the_cancellation(server: RunningServer) -> None:
    async with line_to(server) as waiting, line_to(server) as other:
        request_id = await ask(waiting)
        waiting.send("GET", f"{SUBMIT}/{request_id}?wait=30")
        await asyncio.sleep(0.05)
        await other.ask("POST", f"{SUBMIT}/{request_id}/cancel", {"reason": "Never mind."})
        _, request = await waiting.reply()
        assert (request["status"], request["closed_reason"]) == ("cancelled", "Never mind.")


async def test_a_thousand_waits_on_one_request_are_all_told(
    server: RunningServer, person: Person
) -> None:
    async with line_to(server) as line, lines(server.port, 1_000) as waiting:
        request_id = await ask(line)
        for each in waiting:
            each.send("GET", f"{SUBMIT}/{request_id}?wait=50")
        await settled()
        await decide(line, person, request_id)
        decided = time.monotonic()
        replies = await asyncio.gather(*(each.reply() for each in waiting))
        assert {(status, request["status"]) for status, request in replies} == {(200, "approved")}
        assert time.monotonic() - decided < 5


async def test_a_thousand_waits_on_as_many_requests_are_each_told_their_own(
    server: RunningServer, person: Person
) -> None:
    async with lines(server.port, 1_000) as waiting, lines(server.port, 20) as deciding:
        ids = await asyncio.gather(*(ask(each) for each in waiting))
        for each, request_id in zip(waiting, ids, strict=True):
            each.send("GET", f"{SUBMIT}/{request_id}?wait=50")
        await settled()

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
    async with line_to(small_server) as line, lines(small_server.port, 50) as waiting:
        request_id = await ask(line)
        for each in waiting:
            each.send("GET", f"{SUBMIT}/{request_id}?wait=50")
        await settled()
        status, problem = await line.ask("GET", f"{SUBMIT}/{request_id}?wait=50")
        assert (status, problem["code"]) == (429, "busy")
        status, request = await line.ask("GET", f"{SUBMIT}/{request_id}")
        assert (status, request["status"]) == (200, "pending")


async def test_waits_of_clients_that_vanished_are_freed(small_server: RunningServer) -> None:
    async with line_to(small_server) as line:
        request_id = await ask(line)
        for _ in range(40):  # 2,000 in all, where 50 may be held
            async with lines(small_server.port, 50) as waiting:
                for each in waiting:
                    each.send("GET", f"{SUBMIT}/{request_id}?wait=50")
                await asyncio.sleep(0.03)
                for each in waiting:
                    each.abort()
            await _is_free(line, request_id)


async def test_event_streams_of_clients_that_vanished_are_freed(
    small_server: RunningServer,
) -> None:
    for _ in range(4):
        async with lines(small_server.port, 50) as listening:
            for each in listening:
                each.send("GET", "/api/v1/events")
            for each in listening:
                assert b" 200 " in await each.reader.readuntil(b"\r\n\r\n")
            async with line_to(small_server) as line:
                status, problem = await line.ask("GET", "/api/v1/events")
                assert (status, problem["code"]) == (429, "busy")
            for each in listening:
                each.abort()
        await settled()


async def _is_free(line: Line, request_id: str) -> None:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        status, _ = await line.ask("GET", f"{SUBMIT}/{request_id}?wait=0.001")
        if status == 200:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("Waits are held for clients that are gone.")


async def test_vanished_clients_leave_no_memory_behind(server: RunningServer) -> None:
    async with line_to(server) as line:
        request_id = await ask(line)

        async def vanish(times: int) -> None:
            for _ in range(times):
                async with lines(server.port, 250) as waiting:
                    for each in waiting:
                        each.send("GET", f"{SUBMIT}/{request_id}?wait=50")
                    await asyncio.sleep(0.05)
                    for each in waiting:
                        each.abort()
            await settled()

        await vanish(4)
        before = server.memory()
        await vanish(8)
        assert server.memory() - before < 16 * 1024 * 1024


# Deadlines


async def test_a_request_expires_on_time_though_nobody_looks(
    server: RunningServer, person: Person
) -> None:
    async with Feed(server.url, "?type=request.expired") as feed, line_to(server) as line:
        request_id = await ask(line, timeout_seconds=0.3)
        began = time.monotonic()
        (event,) = await feed.take(1)
        assert 0.2 < time.monotonic() - began < 1.3
        assert event["request_id"] == request_id
        assert event["request"]["status"] == "expired"
        late = person.try_to_decide(request_id, "approve")
        assert (late.status_code, late.json()["code"]) == (409, "expired")
        assert late.json()["request"]["closed_reason"]


async def test_a_wait_ends_with_the_deadline(server: RunningServer) -> None:
    async with line_to(server) as line:
        request_id = await ask(line, timeout_seconds=0.3)
        began = time.monotonic()
        _, request = await line.ask("GET", f"{SUBMIT}/{request_id}?wait=30")
        assert (request["status"], request["decision"]) == ("expired", None)
        assert 0.2 < time.monotonic() - began < 1.3


async def test_two_thousand_requests_expire_together(server: RunningServer) -> None:
    async with lines(server.port, 20) as asking:

        async def many(line: Line) -> list[str]:
            return [await ask(line, timeout_seconds=2.5, session_id="crowd") for _ in range(100)]

        ids = {each for some in await asyncio.gather(*map(many, asking)) for each in some}
        until = time.monotonic() + 15
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
        _, request = await line.ask("GET", f"{SUBMIT}/{request_id}?wait=2")
        assert request["status"] == "expired"


# Stopping


async def test_held_waits_are_answered_when_the_server_stops(fresh_server: RunningServer) -> None:
    async with line_to(fresh_server) as line, lines(fresh_server.port, 500) as waiting:
        request_id = await ask(line)
        for each in waiting:
            each.send("GET", f"{SUBMIT}/{request_id}?wait=60")
        await settled()
        stopping = asyncio.create_task(asyncio.to_thread(fresh_server.stop))
        replies = await asyncio.gather(*(each.reply() for each in waiting))
        assert await stopping < 2
    assert {(status, request["status"]) for status, request in replies} == {(200, "pending")}


async def test_open_streams_and_sockets_do_not_keep_the_server(fresh_server: RunningServer) -> None:
    url = f"ws://localhost:{fresh_server.port}/api/v1/stream"
    async with (
        Feed(fresh_server.url) as one,
        Feed(fresh_server.url) as two,
        websockets.connect(url) as socket,
        websockets.connect(url),
        lines(fresh_server.port, 5),  # idle ones, kept alive
    ):
        stopping = asyncio.create_task(asyncio.to_thread(fresh_server.stop))
        assert await one.ends()
        assert await two.ends()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert await stopping < 2
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert "Traceback" not in fresh_server.log


def test_a_stopped_server_lets_go_of_port_and_data(fresh_server: RunningServer) -> None:
    with fresh_server.http() as agent:
        request_id = agent.post(SUBMIT, json={"message": "Still there?"}).json()["id"]
    assert fresh_server.stop() < 2
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{fresh_server.url}/health")
    fresh_server.restart()
    with fresh_server.http() as agent:
        assert agent.get(f"{SUBMIT}/{request_id}").json()["status"] == "pending"
