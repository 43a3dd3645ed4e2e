"""Each replica and the worker is restarted in turn, twice around, under load: nothing is lost.

What clients saw meanwhile is counted. They may see only what they can simply try again.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Generator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets
from support.sink import Sink

from sayso.client import AsyncClient
from tools.replicas import Cluster, Nginx
from tools.servers import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(400)]

REQUESTS = "/api/v1/requests"
ROUNDS = 2
AGENTS, POLLERS, PEOPLE = 4, 4, 3
BETWEEN_SECONDS = 0.7
"""How long everything runs after each restart."""
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 90
TRY_AGAIN = frozenset({502, 503, 504})
_numbers = itertools.count(1)


class Load:
    """Agents that ask, people who decide, and all that they were told.

    Attributes:
        asked: by its message, which is said once only, the id of each acknowledged request.
        decided: by id, the person's reason of each acknowledged decision.
        told: by id, the reason that the agent's wait was told.
        happened: the types of the events of each request, as the stream told them.
        saw: what clients had to try again, by client and kind.
        slowest: the longest that each kind of call took, tries included, in seconds.
        served: when some call was answered.
    """

    def __init__(self, urls: Sequence[str], token: str, callback_url: str) -> None:
        self._urls = urls
        self._callback_url = callback_url
        self._person = {"Authorization": f"Bearer {token}"}
        self._http = httpx2.AsyncClient(timeout=90, verify=False)
        self._to_decide: asyncio.Queue[str] = asyncio.Queue()
        self._is_over = False
        self.asked: dict[str, str] = {}
        self.decided: dict[str, str] = {}
        self.told: dict[str, str] = {}
        self.happened: dict[str, list[str]] = defaultdict(list)
        self.places: list[int] = []
        self.saw: Counter[str] = Counter()
        self.slowest: Counter[str] = Counter()
        self.served: list[float] = []

    async def run(self, restarts: AsyncIterator[None]) -> None:
        """Everybody at once, until `restarts` has ended; then everything begun is finished."""
        feed = asyncio.ensure_future(self._follow())
        people = [asyncio.ensure_future(self._decide_all()) for _ in range(PEOPLE)]
        agents = [self._agent(self._urls[n % len(self._urls)]) for n in range(AGENTS)]
        agents += [self._poller(n) for n in range(POLLERS)]
        asking = [asyncio.ensure_future(each) for each in [*agents, self._socket()]]
        async for _ in restarts:
            for each in [feed, *people, *asking]:
                if each.done():
                    each.result()
        self._is_over = True
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*asking)
            while not self._is_finished():
                for each in (feed, *people):
                    if each.done():
                        each.result()
                await asyncio.sleep(PAUSE_SECONDS)
        for each in (feed, *people):
            each.cancel()
        await asyncio.gather(feed, *people, return_exceptions=True)
        await self._http.aclose()

    def _is_finished(self) -> bool:
        """Whether the stream has told of each request how it ended, and so has who decided it."""
        ended = {each for each, types in self.happened.items() if len(types) > 1}
        return set(self.asked.values()) <= ended & set(self.decided)

    @property
    def longest_silence(self) -> float:
        """The longest time in which no call at all was answered."""
        times = sorted(self.served)
        return max(later - sooner for sooner, later in itertools.pairwise(times))

    async def _agent(self, url: str) -> None:
        """Asks by our client, which knows one address."""
        async with AsyncClient(url, retry_seconds=PATIENCE_SECONDS) as client:
            while not self._is_over:
                message = f"question {next(_numbers)}"
                began = time.monotonic()
                request = await client.submit(message, callback_url=self._callback_url)
                self._answered("submit (Client)", began)
                self.asked[message] = request.id
                request = await client.wait(request.id, timeout=PATIENCE_SECONDS)
                assert request.decision is not None, request
                self.told[request.id] = request.decision.reason
                await asyncio.sleep(PAUSE_SECONDS)

    async def _poller(self, number: int) -> None:
        """Asks as curl does, and goes to the next address if one does not answer."""
        while not self._is_over:
            message = f"question {next(_numbers)}"
            headers = {"Idempotency-Key": message}
            body = {"message": message}
            reply = await self._call("submit", "POST", REQUESTS, headers=headers, json=body)
            assert reply.status_code in (200, 201), reply.text
            request_id = reply.json()["id"]
            self.asked[message] = request_id
            while True:
                path = f"{REQUESTS}/{request_id}?wait=20"
                reply = await self._call("wait", "GET", path)
                assert reply.status_code == 200, reply.text
                if reply.json()["status"] != "pending":
                    break
                self.saw["wait: answered before its time, pending"] += 1
                await asyncio.sleep(PAUSE_SECONDS)
            self.told[request_id] = reply.json()["decision"]["reason"]
            await asyncio.sleep(PAUSE_SECONDS)

    async def _socket(self) -> None:
        """Asks over WebSockets; if one is closed, it goes on over another, under the same key."""
        message = ""
        for url in itertools.cycle(self._urls):
            address = f"{url.replace('http', 'ws', 1)}/api/v1/stream"
            try:
                async with websockets.connect(address) as socket:
                    while message or not self._is_over:
                        message = message or f"question {next(_numbers)}"
                        await self._ask_over(socket, message)
                        message = ""
                        await asyncio.sleep(PAUSE_SECONDS)
                    return
            except (OSError, websockets.WebSocketException) as error:
                code = getattr(getattr(error, "rcvd", None), "code", "")
                self.saw[f"WebSocket: {type(error).__name__} {code}".rstrip()] += 1
                await asyncio.sleep(PAUSE_SECONDS)

    async def _ask_over(self, socket: websockets.ClientConnection, message: str) -> None:
        asking = {"op": "submit", "ref": "a", "idempotency_key": message}
        await socket.send(json.dumps({**asking, "body": {"message": message}}))
        submitted = json.loads(await socket.recv())
        assert submitted["status"] in (200, 201), submitted
        request_id = submitted["body"]["id"]
        self.asked[message] = request_id
        while True:
            waiting = {"op": "wait", "ref": "b", "request_id": request_id, "seconds": 20}
            await socket.send(json.dumps(waiting))
            told = json.loads(await socket.recv())
            assert told["status"] == 200, told
            if told["body"]["status"] != "pending":
                self.told[request_id] = told["body"]["decision"]["reason"]
                return

    async def _decide_all(self) -> None:
        """A person, who decides what the stream tells of."""
        while True:
            request_id = await self._to_decide.get()
            reason = f"because {next(_numbers)}"
            body = {"type": "approve", "reason": reason}
            path = f"{REQUESTS}/{request_id}/decision"
            reply = await self._call("decide", "POST", path, headers=self._person, json=body)
            decided = reply.json()
            if reply.status_code == 409:  # the try before was taken, and its answer lost
                self.saw["decide: taken before, the answer was lost"] += 1
                decided = decided["request"]
            else:
                assert reply.status_code == 200, reply.text
            assert decided["decision"]["reason"] == reason, decided
            self.decided[request_id] = reason

    async def _follow(self) -> None:
        """The stream of events, resumed where it was."""
        place = "0"
        for url in itertools.cycle(self._urls):
            headers = {"Last-Event-ID": place}
            stream = self._http.stream("GET", f"{url}/api/v1/events", headers=headers)
            try:
                async with stream as reply:
                    if reply.status_code == 200:
                        async for line in reply.aiter_lines():
                            name, _, value = line.partition(": ")
                            if name == "data":
                                event = json.loads(value)
                                place = str(event["id"])
                                self._take(event)
                        self.saw["stream: ended, resumed"] += 1
                    else:
                        self.saw[f"stream: {reply.status_code}"] += 1
            except httpx2.TransportError as error:
                self.saw[f"stream: {type(error).__name__}"] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    def _take(self, event: dict[str, Any]) -> None:
        self.places.append(event["id"])
        if event["request_id"] is None:  # somebody signed in
            return
        self.happened[event["request_id"]].append(event["type"])
        if event["type"] == "request.submitted":
            self._to_decide.put_nowait(event["request_id"])

    async def _call(self, kind: str, method: str, path: str, **more: Any) -> httpx2.Response:
        """A call that is tried again, at the next address, until it is answered."""
        began = time.monotonic()
        first = next(_numbers)
        for number in itertools.count(first):
            url = self._urls[number % len(self._urls)]
            try:
                reply = await self._http.request(method, url + path, **more)
            except httpx2.TransportError as error:
                self.saw[f"{kind}: {type(error).__name__}"] += 1
            else:
                if reply.status_code not in TRY_AGAIN:
                    if kind != "wait":
                        self._answered(kind, began)
                    return reply
                self.saw[f"{kind}: {reply.status_code}"] += 1
            assert time.monotonic() - began < PATIENCE_SECONDS, kind
            await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError

    def _answered(self, kind: str, began: float) -> None:
        now = time.monotonic()
        self.served.append(now)
        self.slowest[kind] = max(self.slowest[kind], now - began)


async def restart_in_turn(cluster: Cluster, taken: Counter[str]) -> AsyncIterator[None]:
    """SIGTERM to each, once it has ended start it again, and so on, twice around."""
    await asyncio.sleep(BETWEEN_SECONDS)
    for _ in range(ROUNDS):
        for server in (*cluster.replicas, cluster.worker):
            for word, act in (("to stop", server.stop), ("to start", server.start)):
                began = time.monotonic()
                await asyncio.to_thread(act)
                key = f"{server.name}, {word}"
                taken[key] = max(taken[key], time.monotonic() - began)
                if word == "to stop":
                    assert server.process is not None
                    assert server.process.returncode == 0, server.log
            yield
            await asyncio.sleep(BETWEEN_SECONDS)
            yield


@pytest.fixture(params=["behind nginx", "on both ports"])
def way(request: pytest.FixtureRequest) -> str:
    if request.param == "behind nginx" and (missing := Nginx.missing()) is not None:
        pytest.skip(f"{missing} is missing: run tools/install_test_tools.py")
    return request.param


@pytest.fixture
def sink() -> Generator[Sink]:
    with Sink() as sink:
        yield sink


async def test_a_rolling_restart_loses_nothing(way: str, sink: Sink, tmp_path: Path) -> None:
    if (missing := PostgresServer.missing()) is not None:
        pytest.skip(f"{missing} is missing: run tools/install_test_tools.py")
    environment = {"SAYSO_CALLBACK_NETWORKS": "127.0.0.0/8"}
    taken: Counter[str] = Counter()
    with Cluster(tmp_path, proxy=way == "behind nginx", environment=environment) as cluster:
        urls = [cluster.url] if cluster.proxy else [each.url for each in cluster.replicas]
        load = Load(urls, sign_in(cluster), f"{sink.url}/told")
        await load.run(restart_in_turn(cluster, taken))
        kept = await all_requests(urls[0])
        called_back = {each["id"] for each in kept.values() if each["callback_url"]}
        await told_of(sink, called_back)
        logs = [server.log for server in cluster.servers]
    tell(way, load, taken)
    print(f"  {len(sink.deliveries)} deliveries for {len(called_back)} callbacks")

    assert {each["message"]: each["id"] for each in kept.values()} == load.asked
    assert len(kept) == len(load.asked)
    stands = {each["id"]: each["decision"]["reason"] for each in kept.values()}
    assert {each["status"] for each in kept.values()} == {"approved"}
    assert stands == load.decided == load.told
    assert load.places == sorted(set(load.places))
    for happened in load.happened.values():
        assert happened == ["request.submitted", "request.decided"]
    assert set(load.happened) == set(kept)
    assert "Traceback" not in "".join(logs)


def sign_in(cluster: Cluster) -> str:
    body = {"token": cluster.new_link().partition("token=")[2]}
    url = f"{cluster.url}/api/auth/link"
    reply = httpx2.post(url, json=body, verify=False, timeout=PATIENCE_SECONDS)
    assert reply.status_code == 200, reply.text
    return reply.json()["token"]


async def all_requests(url: str) -> dict[str, dict[str, Any]]:
    """What is in the database, by id."""
    found: dict[str, dict[str, Any]] = {}
    after: dict[str, str] = {}
    settings = {"base_url": url, "verify": False, "timeout": PATIENCE_SECONDS}
    async with httpx2.AsyncClient(**settings) as http:
        while True:
            page = (await http.get(REQUESTS, params={"limit": "200", **after})).json()
            found |= {each["id"]: each for each in page["items"]}
            if page["next"] is None:
                return found
            after = {"after": page["next"]}


async def told_of(sink: Sink, ids: set[str]) -> None:
    """Each of these was delivered to its callback, at least once."""
    told: set[str] = set()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not ids <= told:
                await asyncio.sleep(0.2)
                told = {each.told["data"]["request"]["id"] for each in tuple(sink.deliveries)}
    assert ids <= told, f"{len(ids - told)} callbacks were not delivered"


def tell(way: str, load: Load, taken: Counter[str]) -> None:
    """What it was like, for `pytest -s`."""
    print(f"\nA rolling restart {way}: {len(load.asked)} asked, {len(load.decided)} decided,")
    print(f"{len(load.told)} waits told; longest silence {load.longest_silence:.2f} s")
    for kind, seconds in sorted([*load.slowest.items(), *taken.items()]):
        print(f"  at the longest, {kind}: {seconds:.2f} s")
    for kind, count in sorted(load.saw.items()):
        print(f"  seen {count} times: {kind}")
