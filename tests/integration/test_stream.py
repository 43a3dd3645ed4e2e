"""The WebSocket: many operations at once, answers by their `ref`, and the same rules."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
import websockets
from support.person import Person
from support.problems import checked
from support.server import RunningServer
from websockets.asyncio.client import ClientConnection, connect


def open_stream(server: RunningServer, token: str | None = None, **headers: str) -> connect:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    return connect(
        f"ws://localhost:{server.port}/api/v1/stream",
        additional_headers=sent,
        proxy=None,
        open_timeout=60,
    )


async def send(socket: ClientConnection, op: str, ref: Any, **more: Any) -> None:
    await socket.send(json.dumps({"op": op, "ref": ref, **more}))


async def answers(socket: ClientConnection, count: int) -> dict[Any, dict[str, Any]]:
    """The next answers, by ref; each comes once."""
    found: dict[Any, dict[str, Any]] = {}
    async with asyncio.timeout(60):
        while len(found) < count:
            frame = json.loads(await socket.recv())
            assert set(frame) == {"ref", "status", "body"}
            assert frame["ref"] not in found
            found[frame["ref"]] = frame
    return found


async def ask(socket: ClientConnection, **more: Any) -> str:
    await send(socket, "submit", "ask", body={"message": "Go on?", **more})
    answer = (await answers(socket, 1))["ask"]
    assert answer["status"] == 201, answer
    return answer["body"]["id"]


async def test_a_request_is_submitted_waited_for_and_decided(
    server: RunningServer, person: Person
) -> None:
    async with open_stream(server) as agent, open_stream(server, person.token) as reviewer:
        request_id = await ask(agent, action={"tool_name": "pay", "tool_args": {"n": 1}})
        await send(agent, "wait", 7, request_id=request_id, seconds=60)
        await send(reviewer, "decide", "d", request_id=request_id, body={"type": "approve"})
        decided = (await answers(reviewer, 1))["d"]
        assert (decided["status"], decided["body"]["status"]) == (200, "approved")
        waited = (await answers(agent, 1))[7]
        assert waited["body"] == decided["body"]


async def test_very_many_operations_at_once_are_each_answered(
    server: RunningServer, person: Person
) -> None:
    async with open_stream(server) as agent, open_stream(server, person.token) as reviewer:
        for number in range(300):
            await send(agent, "submit", f"s{number}", body={"message": f"Number {number}?"})
        asked = await answers(agent, 300)
        ids = [asked[f"s{number}"]["body"]["id"] for number in range(300)]
        assert [asked[f"s{n}"]["body"]["message"] for n in range(300)] == [
            f"Number {n}?" for n in range(300)
        ]
        for number, request_id in enumerate(ids):
            await send(agent, "wait", number, request_id=request_id, seconds=60)
        for number, request_id in enumerate(ids):
            kind = "approve" if number % 2 else "reject"
            await send(reviewer, "decide", number, request_id=request_id, body={"type": kind})
        decided, waited = await asyncio.gather(answers(reviewer, 300), answers(agent, 300))
    for number, request_id in enumerate(ids):
        assert decided[number]["status"] == 200
        assert waited[number]["body"]["id"] == request_id
        assert waited[number]["body"]["status"] == ("approved" if number % 2 else "rejected")


async def test_a_wait_holds_up_nothing_else(server: RunningServer) -> None:
    async with open_stream(server) as agent:
        request_id = await ask(agent)
        await send(agent, "wait", "slow", request_id=request_id, seconds=60)
        await send(agent, "get", "quick", request_id=request_id)
        await send(agent, "wait", "short", request_id=request_id, seconds=0.1)
        found = await answers(agent, 2)
        assert {each["body"]["status"] for each in found.values()} == {"pending"}
        assert set(found) == {"quick", "short"}
        await send(agent, "cancel", "cancel", request_id=request_id)
        assert (await answers(agent, 2))["slow"]["body"]["status"] == "cancelled"


async def test_the_asking_side_may_cancel(server: RunningServer) -> None:
    async with open_stream(server) as agent:
        request_id = await ask(agent)
        await send(agent, "cancel", 1, request_id=request_id, body={"reason": "Never mind."})
        answer = (await answers(agent, 1))[1]
        assert (answer["status"], answer["body"]["status"]) == (200, "cancelled")
        await send(agent, "cancel", 2, request_id=request_id)
        checked((await answers(agent, 1))[2]["body"], 409, "cancelled")


async def test_an_idempotency_key_works_here_too(server: RunningServer) -> None:
    async with open_stream(server) as agent:
        for ref in (1, 2):
            await send(agent, "submit", ref, body={"message": "Once?"}, idempotency_key="socket-1")
        found = await answers(agent, 2)
        assert sorted(each["status"] for each in found.values()) == [200, 201]
        assert found[1]["body"]["id"] == found[2]["body"]["id"]


async def test_an_agent_does_not_decide(server: RunningServer) -> None:
    async with open_stream(server) as agent:
        request_id = await ask(agent)
        await send(agent, "decide", 1, request_id=request_id, body={"type": "approve"})
        answer = (await answers(agent, 1))[1]
        assert answer["status"] in (401, 403)
        checked(answer["body"], answer["status"])
        await send(agent, "get", 2, request_id=request_id)
        assert (await answers(agent, 1))[2]["body"]["status"] == "pending"


@pytest.mark.parametrize(
    ("frame", "ref"),
    [
        ("not json", None),
        ("[]", None),
        ("5", None),
        ('{"ref": 1}', 1),
        ('{"op": "explode", "ref": 2}', 2),
        ('{"op": "submit", "ref": 3, "extra": true}', 3),
        ('{"op": "submit", "ref": 4}', 4),
        ('{"op": "submit", "ref": 5, "body": []}', 5),
        ('{"op": "submit", "ref": 6, "body": {"message": ""}}', 6),
        ('{"op": "submit", "ref": 7, "body": {"message": "x"}, "idempotency_key": ""}', 7),
        ('{"op": "wait", "ref": 8}', 8),
        ('{"op": "wait", "ref": 9, "request_id": "x", "seconds": "soon"}', 9),
        ('{"op": "wait", "ref": 10, "request_id": "x", "seconds": -1}', 10),
        ('{"op": "wait", "ref": 11, "request_id": "x", "seconds": 61}', 11),
        ('{"op": "wait", "ref": 12, "request_id": "x", "seconds": 1e999}', 12),
        ('{"op": "get", "ref": 13, "request_id": ""}', 13),
        ('{"op": "submit", "ref": 14, "body": {"message": "\\ud800"}}', None),
        ('{"op": "submit", "ref": 15, "body": ' + '{"a":' * 100 + "1" + "}" * 101, 15),
        ('{"op": "get", "ref": {"a": 1}, "request_id": "x"}', None),
    ],
)
async def test_a_bad_frame_is_answered_and_the_socket_goes_on(
    server: RunningServer, frame: str, ref: Any
) -> None:
    async with open_stream(server) as agent:
        await agent.send(frame)
        answer = json.loads(await agent.recv())
        assert (answer["ref"], answer["status"]) == (ref, 422)
        checked(answer["body"], 422)
        assert await ask(agent)
    assert "Traceback" not in server.log


@pytest.mark.parametrize("op", ["get", "wait", "cancel"])
async def test_what_does_not_exist_is_not_found(server: RunningServer, op: str) -> None:
    async with open_stream(server) as agent:
        for ref, name in enumerate(("nothing", "a/../b", "\0", "x" * 10_000)):
            await send(agent, op, ref, request_id=name)
            checked((await answers(agent, 1))[ref]["body"], 404, "not_found")


async def test_a_key_with_control_characters_is_refused(server: RunningServer) -> None:
    async with open_stream(server) as agent:
        for ref, key in enumerate(("\0", "a\0b", "a\n", "")):
            frame = {"op": "submit", "ref": ref, "idempotency_key": key, "body": {"message": "x"}}
            await agent.send(json.dumps(frame))
            checked((await answers(agent, 1))[ref]["body"], 422, "invalid_request")


async def test_a_frame_without_a_ref_is_answered_without_one(server: RunningServer) -> None:
    async with open_stream(server) as agent:
        await agent.send('{"op": "submit", "body": {"message": "x"}}')
        answer = json.loads(await agent.recv())
        assert (answer["ref"], answer["status"]) == (None, 201)


async def test_one_operation_too_many_is_told_to_try_again(server: RunningServer) -> None:
    async with open_stream(server) as agent:
        request_id = await ask(agent)
        for ref in range(1_001):
            await send(agent, "wait", ref, request_id=request_id, seconds=60)
        (refused,) = (await answers(agent, 1)).values()
        assert (refused["ref"], refused["status"]) == (1_000, 429)
        with server.http() as http:
            assert http.post(f"/api/v1/requests/{request_id}/cancel").status_code == 200
        found = await answers(agent, 1_000)
        assert {each["body"]["status"] for each in found.values()} == {"cancelled"}


@pytest.mark.parametrize("size", [1_100_000, 4_000_000])
async def test_a_frame_that_is_too_large_ends_the_socket_only(
    server: RunningServer, size: int
) -> None:
    async with open_stream(server) as agent:
        with suppress(websockets.ConnectionClosed):  # it may be told before all is sent
            await send(agent, "submit", 1, body={"message": "x" * size})
        with pytest.raises(websockets.ConnectionClosed):
            await agent.recv()
    assert server.is_healthy()


async def test_a_binary_frame_does_no_harm(server: RunningServer) -> None:
    async with open_stream(server) as agent:
        await agent.send(b'{"op": "submit", "ref": 1, "body": {"message": "x"}}')
        try:
            assert json.loads(await agent.recv())["ref"] in (1, None)
        except websockets.ConnectionClosed as closed:
            assert closed.rcvd is not None  # said, not just hung up
    assert server.is_healthy()
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Origin": "http://evil.example"}, 403, "foreign_origin"),
        ({"Origin": "null"}, 403, "foreign_origin"),
        ({"Origin": "http://localhost:1"}, 403, "foreign_origin"),
        ({"Sec_Fetch_Site": "cross-site"}, 403, "foreign_origin"),
        ({"Authorization": "Bearer nothing"}, 401, "invalid_credential"),
        ({"Authorization": "Basic YTpi"}, 401, "invalid_credential"),
    ],
)
async def test_who_may_not_is_refused_at_the_handshake(
    server: RunningServer, headers: dict[str, str], status: int, code: str
) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with open_stream(server, **headers):
            pass
    assert refused.value.response.status_code == status
    checked(json.loads(refused.value.response.body), status, code)


async def test_another_host_is_refused_at_the_handshake(server: RunningServer) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with connect(
            f"ws://rebound.example:{server.port}/api/v1/stream",
            host="127.0.0.1",
            proxy=None,
            open_timeout=60,
        ):
            pass
    assert refused.value.response.status_code == 403


async def test_our_own_page_may_open_it(server: RunningServer) -> None:
    async with open_stream(server, Origin=server.url) as agent:
        assert await ask(agent)


async def test_a_stopping_server_answers_and_says_to_come_again(
    fresh_server: RunningServer,
) -> None:
    async with open_stream(fresh_server) as agent:
        request_id = await ask(agent)
        for ref in range(100):
            await send(agent, "wait", ref, request_id=request_id, seconds=60)
        await send(agent, "get", "last", request_id=request_id)  # frames are taken in their order
        assert set(await answers(agent, 1)) == {"last"}
        fresh_server.terminate()
        found = await answers(agent, 100)
        assert {each["body"]["status"] for each in found.values()} == {"pending"}
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await agent.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    fresh_server.stop()


async def test_sockets_that_vanish_leave_their_waits_behind(server: RunningServer) -> None:
    for _ in range(20):
        async with open_stream(server) as agent:
            request_id = await ask(agent)
            for ref in range(50):
                await send(agent, "wait", ref, request_id=request_id, seconds=60)
            agent.transport.abort()
    assert server.is_healthy()
    assert "Traceback" not in server.log
