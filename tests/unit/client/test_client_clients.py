import inspect
import socket
import threading
from collections.abc import Callable, Generator
from typing import Any

import anyio
import httpx2
import msgspec
import pytest
from driven import APPROVED, NOON, PENDING

from sayso.client import AsyncClient, Client, Submission
from sayso.client.transport import lost
from sayso.domain.requests import Draft
from sayso.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    ServerError,
    UsageError,
)


def server(*answers: httpx2.Response | Exception) -> tuple[httpx2.MockTransport, list[Any]]:
    """A transport that gives these answers in turn, and the requests that it saw."""
    left, seen = iter(answers), []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx2.MockTransport(handle), seen


def json(body: object, status: int = 200) -> httpx2.Response:
    return httpx2.Response(status, content=msgspec.json.encode(body))


def stream(*events: str) -> httpx2.Response:
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, text="".join(events))


def event(number: int, request: object = None) -> str:
    data = {"id": number, "type": "request.decided", "at": NOON, "request": request, "new": 1}
    return f"id: {number}\nevent: request.decided\ndata: {msgspec.json.encode(data).decode()}\n\n"


def public(cls: type) -> dict[str, Callable[..., Any]]:
    return {
        name: value
        for name, value in inspect.getmembers(cls, callable)
        if not name.startswith("_") or name == "__init__"
    }


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    blocking, asynchronous = public(Client), public(AsyncClient)
    assert blocking.keys() == asynchronous.keys()
    for name, method in blocking.items():
        ours = inspect.signature(method).parameters.values()
        theirs = inspect.signature(asynchronous[name]).parameters.values()
        assert [(p.name, p.kind, p.default) for p in ours] == [
            (p.name, p.kind, p.default) for p in theirs
        ], name


def test_a_submission_has_the_fields_that_the_server_takes() -> None:
    ours = Submission.__annotations__.keys() - {"idempotency_key", "traceparent"}  # headers
    theirs = set(Draft.__struct_fields__) - {"message"}
    assert ours == theirs


def test_every_public_method_tells_what_it_promises() -> None:
    for cls in (Client, AsyncClient):
        methods = [method for name, method in public(cls).items() if name != "__init__"]
        assert all(method.__doc__ for method in [cls, *methods])


def test_a_request_carries_the_key_and_the_version_of_the_client() -> None:
    transport, seen = server(json(PENDING))
    with Client("http://sayso.test/base", token="key", transport=transport) as client:
        assert client.get("r1") == PENDING
    assert str(seen[0].url) == "http://sayso.test/base/api/v1/requests/r1"
    assert seen[0].headers["authorization"] == "Bearer key"
    assert seen[0].headers["user-agent"].startswith("sayso-python/")


def test_a_wait_leaves_the_server_time_to_answer() -> None:
    transport, seen = server(json(APPROVED))
    with Client("http://sayso.test", timeout=2, transport=transport) as client:
        client.wait("r1")
    assert seen[0].extensions["timeout"]["read"] == 62
    assert seen[0].extensions["timeout"]["connect"] == 2
    assert seen[0].extensions["timeout"]["pool"] is None


def test_find_goes_through_all_pages() -> None:
    transport, seen = server(
        json({"items": [PENDING, APPROVED], "next": "c1"}),
        json({"items": [], "next": "c2"}),
        json({"items": [PENDING], "next": None}),
    )
    with Client("http://sayso.test", transport=transport) as client:
        assert len(list(client.find(q="deploy"))) == 3
    assert [request.url.params.get("after") for request in seen] == [None, "c1", "c2"]
    assert all(request.url.params["q"] == "deploy" for request in seen)


def test_find_stops_at_its_limit() -> None:
    transport, seen = server(
        json({"items": [PENDING, PENDING], "next": "c1"}), json({"items": [PENDING], "next": "c2"})
    )
    with Client("http://sayso.test", transport=transport) as client:
        assert len(list(client.find(limit=3))) == 3
    assert [request.url.params["limit"] for request in seen] == ["3", "1"]


def test_events_resume_after_the_last_one_seen() -> None:
    transport, seen = server(
        stream(event(7), event(8, PENDING), "id: 9\n\n"),
        httpx2.ConnectError("restarting"),
        httpx2.Response(503),
        stream(": ping\n\n", event(10)),
    )
    with Client("http://sayso.test", transport=transport) as client:
        events = client.events(after=6, session_id="s1")
        assert [next(events).id for _ in range(3)] == [7, 8, 10]
        events.close()
    assert [request.headers["last-event-id"] for request in seen] == ["6", "9", "9", "9"]
    assert all(request.url.params["session_id"] == "s1" for request in seen)


def test_events_carry_the_request() -> None:
    transport, _ = server(stream(event(1, APPROVED)))
    with Client("http://sayso.test", transport=transport) as client:
        assert next(client.events()).request == APPROVED


def test_events_that_are_refused_end_with_the_refusal() -> None:
    transport, _ = server(json({"code": "not_found", "detail": "No."}, 404))
    with Client("http://sayso.test", transport=transport) as client, pytest.raises(NotFoundError):
        next(client.events())


def test_events_without_a_server_give_up() -> None:
    refused = httpx2.MockTransport(refuse)
    with (
        Client("http://sayso.test", retry_seconds=0, transport=refused) as client,
        pytest.raises(ServerError, match="No Sayso server"),
    ):
        next(client.events())


def test_a_page_that_is_no_stream_is_not_followed_for_ever() -> None:
    page = httpx2.MockTransport(lambda _: httpx2.Response(200, html="<p>hello"))
    with (
        Client("http://sayso.test", retry_seconds=0, transport=page) as client,
        pytest.raises(ServerError),
    ):
        next(client.events())


@pytest.mark.anyio
async def test_the_asyncio_client_does_the_same() -> None:
    transport, seen = server(
        json(PENDING, 201),
        httpx2.ReadError("gone"),
        json(APPROVED),
        json({"items": [PENDING], "next": "c1"}),
        json({"items": [APPROVED], "next": None}),
        stream(event(1)),
        httpx2.Response(502),
        stream(event(2)),
    )
    async with AsyncClient("http://sayso.test", transport=transport) as client:
        assert (await client.ask("Deploy?")).approved
        assert [request.status async for request in client.find()] == ["pending", "approved"]
        numbers = []
        async for each in client.events():
            numbers.append(each.id)
            if len(numbers) == 2:
                break
        assert numbers == [1, 2]
    assert seen[-1].headers["last-event-id"] == "1"


@pytest.mark.anyio
async def test_a_cancelled_wait_ends_at_once() -> None:
    async def hang(_: httpx2.Request) -> httpx2.Response:
        await anyio.sleep_forever()
        raise AssertionError

    transport = httpx2.MockTransport(hang)
    async with AsyncClient("http://sayso.test", transport=transport) as client:
        with anyio.move_on_after(0.05) as scope:
            await client.wait("r1")
    assert scope.cancelled_caught


def test_threads_share_one_client() -> None:
    transport = httpx2.MockTransport(lambda _: json(APPROVED))
    found: list[bool] = []
    with Client("http://sayso.test", transport=transport) as client:
        threads = [
            threading.Thread(target=lambda: found.append(client.wait("r1").approved))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [True] * 20


@pytest.mark.parametrize("url", ["sayso.test", "http://[", "http://a b", "http://x:port"])
def test_a_bad_address_is_found_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Client(url)


def test_a_closed_client_says_so() -> None:
    client = Client("http://sayso.test")
    client.close()
    with pytest.raises(UsageError, match="closed"):
        client.get("r1")
    with pytest.raises(UsageError, match="closed"):
        next(client.events())


def test_closing_ends_the_waits_of_other_threads(unused_server: str) -> None:
    client = Client(unused_server)
    ended: list[Exception] = []

    def wait() -> None:
        try:
            client.wait("r1")
        except UsageError as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    client.close()
    thread.join(60)
    assert len(ended) == 1


@pytest.fixture
def unused_server() -> Generator[str]:
    """An address at which nobody listens, and nobody else will meanwhile."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


def test_a_key_that_is_no_header_is_the_callers_mistake() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(InvalidRequestError):
        client.submit("?", idempotency_key="a\r\nX-Evil: 1")


def subclasses(cls: type[Exception]) -> set[type[Exception]]:
    return {cls}.union(*(subclasses(below) for below in cls.__subclasses__()))


@pytest.mark.parametrize("cls", sorted(subclasses(httpx2.RequestError), key=lambda c: c.__name__))
def test_no_error_of_the_http_library_crosses_the_border(cls: type[httpx2.RequestError]) -> None:
    def fail(_: httpx2.Request) -> httpx2.Response:
        raise cls("it failed")

    transport = httpx2.MockTransport(fail)
    with (
        Client("http://sayso.test", transport=transport) as client,
        pytest.raises((ServerError, InvalidRequestError)) as caught,
    ):
        client.get("r1")
    assert isinstance(caught.value.__cause__, cls)


def test_a_refused_connection_is_told_from_one_that_broke() -> None:
    assert lost(httpx2.ConnectError("no")).why == "refused"
    assert lost(httpx2.ReadTimeout("late")).why == "slow"
    assert lost(httpx2.ReadError("reset")).why == "broken"


def refuse(_: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("refused")
