"""deploy/nginx.conf in front of two real replicas: HTTPS, passwords, waits, streams, failover."""

import asyncio
import contextlib
import json
import ssl
import subprocess
import time
from base64 import b64encode
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import websockets
from support.programs import Beside

from sayso.client import Client
from sayso.errors import ConfigurationError, ServerError, TooLargeError
from tools.replicas import NGINX_CONF, Cluster, Nginx, nginx_conf, port_to_come_back_to
from tools.servers import PostgresServer

SUBMIT = "/api/v1/requests"
AGENT = ("agent", "let-me-in")


class Front:
    """Two replicas behind nginx, configured as we ship it."""

    def __init__(self, cluster: Cluster, nginx: Nginx, tls: ssl.SSLContext) -> None:
        self.cluster = cluster
        self.nginx = nginx
        self.tls = tls
        self.url = f"https://localhost:{nginx.port}"

    def http(self, **settings: Any) -> httpx2.Client:
        given = {"auth": AGENT, "base_url": self.url, "verify": self.tls, "timeout": 120}
        return httpx2.Client(**given | settings)

    @contextlib.contextmanager
    def browser(self) -> Generator[httpx2.Client]:
        """A person's, signed in by cookie."""
        with self.http() as browser:
            reply = browser.get("/login" + self.cluster.new_link().partition("/login")[2])
            assert (reply.status_code, reply.headers["location"]) == (303, "/")
            yield browser

    def ask(self, **more: Any) -> str:
        with self.http() as agent:
            reply = agent.post(SUBMIT, json={"message": "Go on?", **more})
            assert reply.status_code == 201, reply.text
            return reply.json()["id"]

    def wait(self, request_id: str) -> dict[str, Any]:
        with self.http() as agent:
            reply = agent.get(f"{SUBMIT}/{request_id}?wait=60")
            assert reply.status_code == 200, reply.text
            return reply.json()

    def decide(self, request_id: str) -> dict[str, Any]:
        with self.browser() as person:
            reply = person.post(f"{SUBMIT}/{request_id}/decision", json={"type": "approve"})
            assert reply.status_code == 200, reply.text
            return reply.json()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Generator[Front]:
    for each in (PostgresServer, Nginx):
        if (missing := each.missing()) is not None:
            pytest.skip(f"{missing} is missing: run tools/install_test_tools.py")
    folder, port = tmp_path_factory.mktemp("proxy"), port_to_come_back_to()
    public = {"SAYSO_PUBLIC_URL": f"https://localhost:{port}"}
    with Cluster(folder / "cluster", proxy=False, environment=public) as cluster:
        place = folder / "nginx"
        tls = make_files(place)
        ports = [each.port for each in cluster.replicas]
        conf = nginx_conf(NGINX_CONF.read_text(), place, listen=f"127.0.0.1:{port}", replicas=ports)
        nginx = Nginx(place, conf, port=port).start()
        yield Front(cluster, nginx, tls)
        nginx.kill9()


@pytest.fixture
def whole(front: Front) -> Generator[Front]:
    """One of whose replicas a test may kill; they run again afterwards."""
    yield front
    for replica in front.cluster.replicas:
        replica.start()


def make_files(place: Path) -> ssl.SSLContext:
    """A certificate and passwords, as the proxy reads them; what trusts the certificate."""
    (place / "tls").mkdir(parents=True)
    key, certificate = place / "tls/tls.key", place / "tls/tls.crt"
    words = [
        "req",
        "-x509",
        "-nodes",
        "-newkey",
        "rsa:2048",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    words += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key)]
    subprocess.run(["openssl", *words, "-out", certificate], check=True, capture_output=True)
    name, password = AGENT
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", password], check=True, capture_output=True, text=True
    )
    (place / "htpasswd").write_text(f"{name}:{hashed.stdout}")
    return ssl.create_default_context(cafile=certificate)


def test_nobody_comes_in_without_the_password(front: Front) -> None:
    for auth in (None, ("agent", "wrong")):
        with front.http(auth=auth) as stranger:
            for path in (SUBMIT, "/", "/login", "/health", "/api/v1/events"):
                assert stranger.get(path).status_code == 401
    with front.http() as agent:
        assert agent.get(SUBMIT).status_code == 200
        assert agent.get("/ready").json()["status"] == "ready"


def test_a_network_that_is_named_needs_no_password_and_brings_tokens(front: Front) -> None:
    place, port = front.nginx.folder, port_to_come_back_to()
    commented = ("satisfy any;", "allow 10.20.0.0/16;", "deny all;")
    text = NGINX_CONF.read_text()
    for line in commented:
        assert f"        # {line}\n" in text
        text = text.replace(f"# {line}", line.replace("10.20.0.0/16", "127.0.0.0/8"))
    ports = [each.port for each in front.cluster.replicas]
    (place / "named").mkdir()
    conf = nginx_conf(text, place, listen=f"127.0.0.1:{port}", replicas=ports)
    nginx = Nginx(place / "named", conf, port=port).start()
    try:
        with front.http(auth=None, base_url=f"https://localhost:{port}") as program:
            token = front.cluster.new_link().partition("token=")[2]
            signed_in = program.post("/api/auth/link", json={"token": token}).json()
            program.headers["Authorization"] = f"Bearer {signed_in['token']}"
            assert program.get("/api/auth/me").status_code == 200
    finally:
        nginx.kill9()


def test_a_client_asks_with_the_password_in_its_address(front: Front) -> None:
    address = front.url.replace("https://", f"https://{AGENT[0]}:{AGENT[1]}@")
    with Client(address, transport=httpx2.HTTPTransport(verify=front.tls)) as client:
        assert client.base_url == front.url
        asked = client.submit("Deploy?")
        answer = Beside(lambda: client.wait(asked.id, timeout=60))
        front.decide(asked.id)
        assert answer.result().approved


def test_a_certificate_that_is_not_trusted_is_told_and_the_password_is_not(front: Front) -> None:
    address = front.url.replace("https://", f"https://{AGENT[0]}:{AGENT[1]}@")
    with Client(address, retry_seconds=0) as client, pytest.raises(ServerError) as refused:
        client.submit("Deploy?")
    assert str(refused.value).startswith(f"The certificate of {front.url} is not trusted (")
    with pytest.raises(ConfigurationError) as wrong:
        Client(f"htps://{AGENT[0]}:{AGENT[1]}@localhost")
    assert AGENT[1] not in str(wrong.value)


def test_the_cookie_goes_by_https_alone(front: Front) -> None:
    with front.http() as browser:
        reply = browser.get("/login" + front.cluster.new_link().partition("/login")[2])
        assert reply.headers["set-cookie"].endswith("; Secure")
        assert browser.post("/logout").headers["set-cookie"].endswith("; Secure")
        assert browser.get("/").headers["set-cookie"].endswith("; Secure")


def test_a_page_of_the_proxy_may_call_and_another_may_not(front: Front) -> None:
    with front.browser() as person:
        for origin, status in ((front.url, 201), ("https://evil.example", 403)):
            headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
            assert person.post(SUBMIT, json={"message": "?"}, headers=headers).status_code == status
        assert person.get(SUBMIT, headers={"Host": "evil.example"}).json()["code"] == "unknown_host"


def test_waits_are_held_and_released_across_replicas(front: Front) -> None:
    ids = [front.ask() for _ in range(4)]
    waiting = [Beside(lambda each=each: front.wait(each)) for each in ids]
    time.sleep(0.5)
    for request_id in ids:
        front.decide(request_id)
    assert [each.result()["status"] for each in waiting] == ["approved"] * 4


@pytest.mark.anyio
async def test_events_are_told_as_they_happen(front: Front) -> None:
    client = httpx2.AsyncClient(auth=AGENT, base_url=front.url, verify=front.tls, timeout=60)
    async with client, client.stream("GET", "/api/v1/events") as reply:
        lines = reply.aiter_lines()
        while await anext(lines) != ": connected":
            pass
        request_id = await asyncio.to_thread(front.ask)
        told_of = ""
        async with asyncio.timeout(60):  # what a proxy gathers first would take hours
            while told_of != request_id:
                name, _, value = (await anext(lines)).partition(": ")
                told_of = json.loads(value)["request_id"] if name == "data" else told_of


@pytest.mark.anyio
async def test_a_websocket_goes_through(front: Front) -> None:
    address = front.url.replace("https://", "wss://") + "/api/v1/stream"
    basic = "Basic " + b64encode(":".join(AGENT).encode()).decode()
    headers = {"Authorization": basic}
    connecting = websockets.connect(
        address, additional_headers=headers, ssl=front.tls, open_timeout=60
    )
    async with connecting as socket:
        await socket.send(json.dumps({"op": "submit", "ref": "a", "body": {"message": "?"}}))
        submitted = json.loads(await socket.recv())
        assert submitted["status"] == 201
        request_id = submitted["body"]["id"]
        await socket.send(json.dumps({"op": "wait", "ref": "b", "request_id": request_id}))
        await asyncio.to_thread(front.decide, request_id)
        async with asyncio.timeout(60):
            assert json.loads(await socket.recv())["body"]["status"] == "approved"


def test_what_is_too_large_is_refused_once_and_for_all(front: Front) -> None:
    address = front.url.replace("https://", f"https://{AGENT[0]}:{AGENT[1]}@")
    with Client(address, transport=httpx2.HTTPTransport(verify=front.tls)) as client:
        client.submit("As large as it may be.", metadata={"a": "x" * 1_048_000})
        with pytest.raises(TooLargeError):
            client.submit("Larger.", metadata={"a": "x" * 1_048_576})


@pytest.mark.parametrize("place", [0, 1])
def test_a_replica_that_is_killed_is_not_missed(whole: Front, place: int) -> None:
    request_id = whole.ask()
    waiting = [Beside(lambda: whole.wait(request_id)) for _ in range(4)]
    time.sleep(0.5)
    whole.cluster.replicas[place].kill9()
    ids = [whole.ask() for _ in range(10)]
    whole.decide(request_id)
    assert {each.result()["status"] for each in waiting} == {"approved"}
    whole.cluster.replicas[place].start()
    whole.cluster.replicas[1 - place].kill9()
    for request_id in ids:
        whole.decide(request_id)


def test_no_token_stands_in_the_log_of_the_proxy(front: Front) -> None:
    with front.browser() as person:
        assert person.get("/").status_code == 200
    log, until = "", time.monotonic() + 60
    while '"GET /login" 303' not in log:  # it is written once the answer is sent
        assert time.monotonic() < until, log
        time.sleep(0.02)
        log = (front.nginx.folder / "access.log").read_text()
    assert "token" not in log


def test_a_link_leads_to_the_proxy(front: Front) -> None:
    log = front.cluster.replicas[0].log
    links = [line for line in log.splitlines() if "/login?token=" in line]
    assert urlsplit(links[-1]).netloc == urlsplit(front.url).netloc
    assert "sayso login-link, with these settings in the environment\n" in log
