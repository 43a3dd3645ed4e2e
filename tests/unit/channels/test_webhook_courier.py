"""The courier on real sockets, with names that resolve as the test says."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook
from support.sink import Sink

from sayso.channels.addresses import AddressGuard
from sayso.channels.base import Parcel
from sayso.channels.webhook import SystemResolver, WebhookCourier
from sayso.signatures import new_secret
from sayso.version import __version__

pytestmark = pytest.mark.anyio

LOOPBACK = AddressGuard(["127.0.0.0/8"])


class Names(AbstractResolver):
    """Names with the addresses that they have at each asking, the last ones from then on."""

    def __init__(self, **addresses: list[list[str]]) -> None:
        self._addresses = {f"{name}.test": each for name, each in addresses.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        self.asked.append(host)
        answers = self._addresses.get(host)
        if answers is None:
            raise socket.gaierror(-2, "Name or service not known")
        now = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in now
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
def sink() -> Generator[Sink]:
    with Sink() as running:
        yield running


@pytest.fixture
async def courier() -> AsyncGenerator[WebhookCourier]:
    made = WebhookCourier(LOOPBACK, timeout=60)
    yield made
    await made.close()


def parcel(url: str, *secrets: str, body: bytes = b'{"type":"x"}') -> Parcel:
    return Parcel(
        id="019a-told", url=url, secrets=secrets or (new_secret(),), body=body, at=datetime.now(UTC)
    )


async def test_what_is_sent_verifies_with_the_reference_library(
    sink: Sink, courier: WebhookCourier
) -> None:
    new, old = new_secret(), new_secret()
    sent = parcel(f"{sink.url}/told", new, old, body='{"type":"x","text":"schön"}'.encode())
    receipt = await courier.deliver(sent)
    assert (receipt.ok, receipt.status, receipt.error) == (True, 200, "")
    (came,) = sink.deliveries
    assert came.body == sent.body
    assert came.id == sent.id
    assert came.headers["webhook-timestamp"] == str(int(sent.at.timestamp()))
    assert came.headers["content-type"] == "application/json"
    assert came.headers["user-agent"] == f"sayso/{__version__}"
    assert not {"cookie", "authorization", "accept-encoding"} & set(came.headers)
    for secret in (new, old):
        assert Webhook(secret).verify(came.body, dict(came.headers)) == json.loads(sent.body)
    assert len(came.headers["webhook-signature"].split(" ")) == 2


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_taken(sink: Sink, courier: WebhookCourier, status: int) -> None:
    sink.answers["/"] = lambda _: (status, {}, b"")
    receipt = await courier.deliver(parcel(f"{sink.url}/"))
    assert (receipt.ok, receipt.status) == (True, status)


@pytest.mark.parametrize("status", [400, 401, 404, 422, 500, 502])
async def test_any_other_status_is_a_failure(
    sink: Sink, courier: WebhookCourier, status: int
) -> None:
    sink.answers["/"] = lambda _: (status, {"retry-after": "100"}, b"no")
    receipt = await courier.deliver(parcel(f"{sink.url}/"))
    assert (receipt.ok, receipt.status, receipt.gone) == (False, status, False)
    assert str(status) in receipt.error
    assert receipt.retry_after is None


async def test_gone_is_said(sink: Sink, courier: WebhookCourier) -> None:
    sink.answers["/"] = lambda _: (410, {}, b"")
    assert (await courier.deliver(parcel(f"{sink.url}/"))).gone


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(sink: Sink, courier: WebhookCourier, status: int) -> None:
    sink.answers["/"] = lambda _: (status, {"location": f"{sink.url}/elsewhere"}, b"")
    receipt = await courier.deliver(parcel(f"{sink.url}/"))
    assert (receipt.ok, receipt.status) == (False, status)
    assert "redirects are not followed" in receipt.error
    assert [each.path for each in sink.deliveries] == ["/"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2027 00:00:00 +999999999999999999999", None),
        ("Mon, 01 Jan 0001 00:00:00 +2300", 0),
    ],
)
async def test_the_wish_to_wait_is_read(
    sink: Sink, courier: WebhookCourier, text: str, seconds: float | None
) -> None:
    sink.answers["/"] = lambda n: (429 if n == 1 else 503, {"retry-after": text}, b"")
    for _ in range(2):
        assert (await courier.deliver(parcel(f"{sink.url}/"))).retry_after == seconds


async def test_the_wish_to_wait_may_be_a_date(sink: Sink, courier: WebhookCourier) -> None:
    then = datetime.now(UTC) + timedelta(hours=1)
    sink.answers["/"] = lambda _: (503, {"retry-after": f"{then:%a, %d %b %Y %H:%M:%S} GMT"}, b"")
    wish = (await courier.deliver(parcel(f"{sink.url}/"))).retry_after
    assert wish is not None
    assert 3000 < wish <= 3600


async def test_a_cookie_is_not_sent_back(sink: Sink, courier: WebhookCourier) -> None:
    sink.answers["/"] = lambda _: (200, {"set-cookie": "a=b; Path=/"}, b"")
    for _ in range(2):
        await courier.deliver(parcel(f"{sink.url}/"))
    assert "cookie" not in sink.deliveries[1].headers


async def test_a_proxy_of_the_environment_is_not_used(
    sink: Sink, courier: WebhookCourier, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await courier.deliver(parcel(f"{sink.url}/"))).ok


class Server:
    """Sends what it is told to the first connection, whatever comes.

    Args:
        parts: what to send.
        hangs: say no more after that, instead of hanging up.
    """

    def __init__(self, parts: list[bytes], *, hangs: bool = False) -> None:
        self._parts = parts
        self._end = threading.Event()
        if not hangs:
            self._end.set()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self.sent = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            connection, _ = self._socket.accept()
            with connection:
                connection.settimeout(60)
                connection.recv(65_536)
                for part in self._parts:
                    connection.sendall(part)
                    self.sent += len(part)
                self._end.wait(120)
        except OSError:
            pass

    def close(self) -> None:
        self._end.set()
        self._socket.close()
        self._thread.join(60)


async def test_an_endless_answer_is_not_read() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    server = Server([head, *[b"x" * 65_536] * 1_000])
    courier = WebhookCourier(LOOPBACK, timeout=60)
    assert (await courier.deliver(parcel(server.url))).ok
    await courier.close()
    await asyncio.to_thread(server.close)
    assert server.sent < 32_000_000


async def test_an_answer_whose_body_does_not_end_is_an_answer_all_the_same() -> None:
    server = Server([b"HTTP/1.1 204 No Content\r\n\r\n"], hangs=True)
    slow = Server([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"a"], hangs=True)
    courier = WebhookCourier(LOOPBACK, timeout=100)
    async with asyncio.timeout(60):
        for each in (server, slow):
            assert (await courier.deliver(parcel(each.url))).ok
    await courier.close()
    for each in (server, slow):
        await asyncio.to_thread(each.close)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "hung up"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "cannot be read"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", "cannot be read"),
    ],
)
async def test_what_is_no_answer_is_told_in_words(sent: bytes, said: str) -> None:
    server = Server([sent] if sent else [])
    courier = WebhookCourier(LOOPBACK, timeout=60)
    receipt = await courier.deliver(parcel(server.url))
    assert not receipt.ok
    assert said in receipt.error
    await courier.close()
    await asyncio.to_thread(server.close)


async def test_a_target_that_says_nothing_is_given_up_in_time() -> None:
    server = Server([], hangs=True)
    courier = WebhookCourier(LOOPBACK, timeout=0.3)
    async with asyncio.timeout(60):
        receipt = await courier.deliver(parcel(server.url))
    assert receipt.error == "The target did not answer within 0.3 seconds."
    assert not receipt.hopeless
    await courier.close()
    await asyncio.to_thread(server.close)


async def test_nobody_there_is_a_failure_that_may_pass(courier: WebhookCourier) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # taken, so that nobody else listens there meanwhile
        receipt = await courier.deliver(parcel(f"http://127.0.0.1:{silent.getsockname()[1]}/"))
    assert "No connection" in receipt.error
    assert not receipt.hopeless


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "[::1]", "localhost"],
)
async def test_a_forbidden_address_is_not_connected_to_in_any_spelling(
    sink: Sink, host: str
) -> None:
    courier = WebhookCourier(AddressGuard(), timeout=60)
    receipt = await courier.deliver(parcel(f"http://{host}:{sink.port}/"))
    assert receipt.hopeless
    assert sink.deliveries == []
    await courier.close()


async def test_a_name_that_resolves_to_a_forbidden_address_is_hopeless(
    sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    names = Names(inner=[["127.0.0.1"]], mixed=[["93.184.216.34", "::1"]])
    courier = WebhookCourier(AddressGuard(), timeout=60, resolver=names)
    for name, address in (("inner", "127.0.0.1"), ("mixed", "::1")):
        receipt = await courier.deliver(parcel(f"http://{name}.test:{sink.port}/"))
        assert receipt.hopeless
        assert receipt.error.startswith(f"{name}.test is at an address that is not public.")
        assert "SAYSO_CALLBACK_NETWORKS" in receipt.error
        assert address not in receipt.error, "an agent learns nothing of an inner network"
        assert address in caplog.messages[-1]
    assert sink.deliveries == []
    await courier.close()


async def test_a_name_that_changes_its_answer_gets_nowhere(sink: Sink) -> None:
    names = Names(rebinding=[["127.0.0.2"], ["127.0.0.1"]])
    guard = AddressGuard(["127.0.0.2/32"])
    courier = WebhookCourier(guard, timeout=60, resolver=names)
    url = f"http://rebinding.test:{sink.port}/"
    first = await courier.deliver(parcel(url))  # nobody listens at its first address
    assert "No connection" in first.error
    second = await courier.deliver(parcel(url))
    assert not second.ok
    assert sink.deliveries == []
    await courier.close()


async def test_what_is_connected_to_is_looked_at_even_if_the_resolver_was_not(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sayso.channels.webhook._GuardedResolver", lambda names, _: names)
    names = Names(unguarded=[["127.0.0.1"]])
    courier = WebhookCourier(AddressGuard(), timeout=60, resolver=names)
    receipt = await courier.deliver(parcel(f"http://unguarded.test:{sink.port}/"))
    assert receipt.hopeless
    assert sink.deliveries == []
    await courier.close()


async def test_localhost_is_this_machine_by_rule_and_is_not_looked_up(sink: Sink) -> None:
    names = Names()
    courier = WebhookCourier(LOOPBACK, timeout=60, resolver=names)
    for host in ("localhost", "LOCALHOST", "localhost.", "a.localhost"):
        assert (await courier.deliver(parcel(f"http://{host}:{sink.port}/"))).ok
    assert names.asked == []
    assert (await courier.deliver(parcel(f"http://a.test:{sink.port}/"))).error == (
        "The target's name cannot be resolved."
    )
    await courier.close()


async def test_the_system_looks_names_up_without_holding_anything_up() -> None:
    resolver = SystemResolver()
    found = await resolver.resolve("localhost", 80)
    assert {each["host"] for each in found} <= {"127.0.0.1", "::1"}
    with pytest.raises(OSError, match=r".+"):
        await resolver.resolve("no-such-name.invalid", 80)


async def test_a_url_that_is_none_is_hopeless(courier: WebhookCourier) -> None:
    for url in ("http://", "http://[::1", "nonsense", "ftp://agent.example/"):
        receipt = await courier.deliver(parcel(url))
        assert receipt.hopeless, url


async def test_a_courier_can_be_closed_twice(sink: Sink, courier: WebhookCourier) -> None:
    await courier.deliver(parcel(f"{sink.url}/"))
    await courier.close()
    await courier.close()
