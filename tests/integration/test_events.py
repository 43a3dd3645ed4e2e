"""The event stream: everything, in order, once, also across a restart."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
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
    """Submit what never expires, so that nothing else is told; its id."""
    draft = {"message": "Go on?", "timeout_seconds": None, **more}
    status, request = await line.ask("POST", SUBMIT, draft)
    assert status == 201, request
    return request["id"]


def told(events: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(event["type"], event["request_id"]) for event in events]


async def test_what_happens_is_told_in_order(server: RunningServer, person: Person) -> None:
    async with Feed(server.url) as feed, line_to(server) as line:
        one, two, three = [await ask(line) for _ in range(3)]
        person.decide(two, "approve")
        await line.ask("POST", f"{SUBMIT}/{one}/cancel")
        person.decide(three, "reject")
        events = await feed.take(6)
    assert told(events) == [
        ("request.submitted", one),
        ("request.submitted", two),
        ("request.submitted", three),
        ("request.decided", two),
        ("request.cancelled", one),
        ("request.decided", three),
    ]
    ids = [event["id"] for event in events]
    assert ids == list(range(ids[0], ids[0] + 6))


async def test_an_event_carries_the_request_as_it_stands(
    server: RunningServer, person: Person
) -> None:
    async with Feed(server.url) as feed, line_to(server) as line:
        request_id = await ask(line, session_id="s", client_id="c")
        (submitted,) = await feed.take(1)
        person.decide(request_id, "approve")
        (decided,) = await feed.take(1)
    assert set(submitted) >= {"id", "type", "at", "request_id", "session_id", "client_id"}
    assert (submitted["session_id"], submitted["client_id"]) == ("s", "c")
    assert submitted["request"]["id"] == request_id
    assert submitted["request"]["status"] == "pending"
    assert decided["request"]["decision"]["approved"] is True


async def test_without_a_place_only_what_comes_is_told(server: RunningServer) -> None:
    async with line_to(server) as line:
        await ask(line)
        async with Feed(server.url) as feed:
            later = await ask(line)
            assert told(await feed.take(1)) == [("request.submitted", later)]


async def test_sessions_are_told_too(server: RunningServer) -> None:
    async with Feed(server.url, "?session_id=opened") as feed, line_to(server) as line:
        await line.ask("POST", "/hitl/register", {"session_id": "opened", "client_id": "c"})
        await line.ask("POST", "/hitl/deactivate", {"session_id": "opened"})
        events = await feed.take(2)
    assert [event["type"] for event in events] == ["session.registered", "session.deactivated"]
    assert {event["request"] for event in events} == {None}


@pytest.mark.parametrize(
    "query", ["session_id=mine", "client_id=me", "type=request.cancelled", "request_id=%s"]
)
async def test_a_filter_leaves_out_the_rest(server: RunningServer, query: str) -> None:
    async with line_to(server) as line:
        mine = await ask(line, session_id="mine", client_id="me")
        async with Feed(server.url, "?" + query.replace("%s", mine)) as feed:
            await ask(line, session_id="theirs", client_id="they")
            await line.ask("POST", f"{SUBMIT}/{mine}/cancel")
            assert told(await feed.take(1)) == [("request.cancelled", mine)]


async def test_several_types_may_be_named(server: RunningServer, person: Person) -> None:
    query = "?type=request.decided,request.cancelled"
    async with Feed(server.url, query) as feed, line_to(server) as line:
        one, two = await ask(line), await ask(line)
        await line.ask("POST", f"{SUBMIT}/{one}/cancel")
        person.decide(two, "approve")
        assert told(await feed.take(2)) == [("request.cancelled", one), ("request.decided", two)]


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_stream_is_resumed_after_the_event_that_was_seen(
    server: RunningServer, by_header: bool
) -> None:
    async with line_to(server) as line:
        async with Feed(server.url) as feed:
            ids = [await ask(line) for _ in range(5)]
            seen = (await feed.take(2))[-1]["id"]
        ids += [await ask(line) for _ in range(5)]
        resumed = (
            Feed(server.url, Last_Event_ID=str(seen))
            if by_header
            else Feed(server.url, f"?after={seen}")
        )
        async with resumed:
            assert [event["request_id"] for event in await resumed.take(8)] == ids[2:]
            last = await ask(line)
            assert told(await resumed.take(1)) == [("request.submitted", last)]


async def test_a_stream_that_broke_before_its_first_event_is_resumed(
    server: RunningServer,
) -> None:
    async with line_to(server) as line:
        await ask(line)
        async with Feed(server.url) as feed:
            place = feed.place
        missed = await ask(line)
        async with Feed(server.url, Last_Event_ID=place) as feed:
            assert told(await feed.take(1)) == [("request.submitted", missed)]


async def test_a_place_that_has_not_come_yet_tells_nothing_old(server: RunningServer) -> None:
    async with line_to(server) as line:
        await ask(line)
        async with Feed(server.url, "?after=0") as feed:
            before = (await feed.take(1))[0]["id"]
        async with Feed(server.url, f"?after={before + 10_000}") as feed:
            await ask(line)
            with pytest.raises(TimeoutError):
                await feed.take(1, 0.3)


async def test_a_restart_leaves_no_gap_and_tells_nothing_twice(fresh_server: RunningServer) -> None:
    ids: list[str] = []
    seen: list[dict[str, Any]] = []
    for life in range(3):
        if life:
            fresh_server.restart()
        resume = {"Last_Event_ID": str(seen[-1]["id"])} if seen else {}
        async with line_to(fresh_server) as line:
            async with Feed(fresh_server.url, **resume) as feed:
                ids += [await ask(line) for _ in range(20)]
                seen += await feed.take(20)
            ids += [await ask(line) for _ in range(5)]  # while nobody listens
        fresh_server.kill9()
    fresh_server.restart()
    async with Feed(fresh_server.url, Last_Event_ID=str(seen[-1]["id"])) as feed:
        seen += await feed.take(len(ids) - len(seen))
    assert [event["request_id"] for event in seen] == ids
    assert [event["id"] for event in seen] == list(range(1, len(ids) + 1))


async def test_thousands_of_events_reach_every_listener_once(server: RunningServer) -> None:
    async with (
        Feed(server.url, "?session_id=many") as one,
        Feed(server.url, "?session_id=many") as two,
        lines(server.port, 20) as asking,
    ):

        async def many(line: Line) -> list[str]:
            return [await ask(line, session_id="many") for _ in range(100)]

        asked, first, second = await asyncio.gather(
            asyncio.gather(*map(many, asking)), one.take(2_000, 120), two.take(2_000, 120)
        )
    assert [event["id"] for event in first] == [event["id"] for event in second]
    assert [event["id"] for event in first] == sorted(event["id"] for event in first)
    sent = sorted(each for some in asked for each in some)
    assert sorted(event["request_id"] for event in first) == sent


async def test_a_listener_that_does_not_read_hurts_nobody(server: RunningServer) -> None:
    padding = {"text": "x" * 20_000}
    async with lines(server.port, 20) as lazy, line_to(server) as line, Feed(server.url) as feed:
        for each in lazy:
            each.send("GET", "/api/v1/events")
            await each.reader.readuntil(b"\r\n\r\n")  # and then never again
        before = server.memory()
        for _ in range(300):
            await ask(line, metadata=padding)
        assert len(await feed.take(300, 60)) == 300
        assert server.is_healthy()
        assert server.memory() - before < 128 * 1024 * 1024
        for each in lazy:
            each.abort()


async def test_a_malformed_place_is_refused_before_the_stream_begins(
    server: RunningServer,
) -> None:
    async with httpx2.AsyncClient(base_url=server.url, verify=False, timeout=60) as agent:
        reply = await agent.get("/api/v1/events?after=yesterday")
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
