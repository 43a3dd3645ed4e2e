"""Several servers on one PostgreSQL, or one Redis: any takes any submit, decision and wait."""

import asyncio
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.feed import Feed
from support.person import Person
from support.problems import told
from support.programs import Beside
from support.server import RunningServer
from support.servers import LocalServer

from sayso.links import load_secret

SUBMIT = "/api/v1/requests"


def replica_of(folder: Path, address: str, secret: Path) -> RunningServer:
    environment = {"SAYSO_SECRET_FILE": str(secret)}
    arguments = ["--database-url", address]
    return RunningServer(folder, environment=environment, arguments=arguments, secret=secret)


@pytest.fixture(params=["postgres", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def database(kind: str, request: pytest.FixtureRequest) -> LocalServer:
    return request.getfixturevalue(f"{kind}_server")


@pytest.fixture
def address(kind: str, request: pytest.FixtureRequest) -> str:
    """Of an empty database."""
    return request.getfixturevalue("postgres_dsn" if kind == "postgres" else "redis_url")


@pytest.fixture
def replicas(tmp_path: Path, address: str) -> Generator[list[RunningServer]]:
    secret = tmp_path / "secret.key"
    servers = [replica_of(tmp_path / name, address, secret) for name in ("a", "b", "c")]
    for server in servers:
        server.start()
    yield servers
    for server in servers:
        server.stop()


def ask(server: RunningServer, **more: Any) -> str:
    with server.http() as agent:
        reply = agent.post(SUBMIT, json={"message": "Go on?", **more})
        assert reply.status_code == 201, reply.text
        return reply.json()["id"]


def wait(server: RunningServer, request_id: str, seconds: int = 60) -> dict[str, Any]:
    with server.http() as agent:
        return agent.get(f"{SUBMIT}/{request_id}?wait={seconds}").json()


def test_a_decision_at_one_replica_releases_a_wait_at_another(
    replicas: list[RunningServer],
) -> None:
    a, b, c = replicas
    request_id = ask(a)
    waiting = [Beside(lambda server=server: wait(server, request_id)) for server in (a, b)]
    time.sleep(0.3)
    person = Person(c)
    decided = person.decide(request_id, "approve")
    began = time.monotonic()
    for each in waiting:
        assert each.result(90)["decision"] == decided["decision"]
    assert time.monotonic() - began < 30, "It would have been told after 60 seconds anyway."
    person.close()


def test_a_wait_at_one_replica_ends_when_its_key_is_revoked_at_another(
    replicas: list[RunningServer],
) -> None:
    a, b, _ = replicas
    with b.http(b.sign_in()) as admin:
        key = admin.post("/api/v1/keys", json={"label": "ends"}).json()
        with a.http(key["key"]) as agent:
            path = f"{SUBMIT}/{agent.post(SUBMIT, json={'message': '?'}).json()['id']}"
            waiting = Beside(lambda: agent.get(path, params={"wait": 60}, timeout=120))
            time.sleep(0.5)  # for it to be held
            assert admin.delete(f"/api/v1/keys/{key['id']}").status_code == 200
            told(waiting.result(120), 401, "invalid_credential")


def test_a_person_who_signed_in_at_one_replica_is_known_at_all(
    replicas: list[RunningServer],
) -> None:
    a, b, c = replicas
    token = a.sign_in()
    for server in (b, c):
        with server.http(token) as http:
            assert http.get("/api/auth/me").status_code == 200
    link = b.new_link().partition("token=")[2]
    with a.http() as first, c.http() as second:
        assert first.post("/api/auth/link", json={"token": link}).status_code == 200
        assert second.post("/api/auth/link", json={"token": link}).status_code == 401


def test_a_key_is_one_request_at_all_replicas(replicas: list[RunningServer]) -> None:
    ids = set()
    for server in replicas:
        with server.http() as agent:
            headers = {"Idempotency-Key": "the same"}
            ids.add(agent.post(SUBMIT, json={"message": "Once?"}, headers=headers).json()["id"])
    assert len(ids) == 1


@pytest.mark.anyio
async def test_the_stream_of_one_replica_tells_of_the_others(
    replicas: list[RunningServer],
) -> None:
    a, b, _ = replicas
    async with Feed(a.url) as feed:
        request_id = await asyncio.to_thread(ask, b)
        (told,) = await feed.take()
        assert (told["type"], told["request_id"]) == ("request.submitted", request_id)


def test_a_replica_that_is_killed_takes_nothing_along(replicas: list[RunningServer]) -> None:
    a, b, _ = replicas
    ids = [ask(a) for _ in range(20)]
    a.kill9()
    person = Person(b)
    for request_id in ids:
        assert person.decide(request_id, "approve")["status"] == "approved"
    a.restart()
    assert wait(a, ids[0])["status"] == "approved"
    person.close()


def test_replicas_expire_a_request_once(replicas: list[RunningServer]) -> None:
    a, b, _ = replicas
    request_id = ask(a, timeout_seconds=1)
    assert wait(b, request_id)["status"] == "expired"
    with b.http() as agent:
        events = agent.get("/api/v1/requests", params={"status": "expired"}).json()["items"]
    assert [each["version"] for each in events] == [2]


def test_another_secret_than_the_others_have_is_refused(
    replicas: list[RunningServer], tmp_path: Path, address: str
) -> None:
    load_secret(tmp_path / "other.key", create=True)
    stranger = replica_of(tmp_path / "stranger", address, tmp_path / "other.key")
    with pytest.raises(AssertionError, match="not the one of the others"):
        stranger.start()


def test_a_database_that_is_away_is_told_and_forgotten_when_it_is_back(
    replicas: list[RunningServer], database: LocalServer
) -> None:
    a, b, _ = replicas
    request_id = ask(a)
    person = Person(b)

    def patient_wait() -> dict[str, Any]:
        while True:
            reply = httpx2.get(f"{a.url}{SUBMIT}/{request_id}?wait=30", timeout=120)
            if reply.status_code == 200 and reply.json()["status"] != "pending":
                return reply.json()

    waiting = Beside(patient_wait)
    time.sleep(0.3)
    database.kill9()
    with a.http() as agent:
        reply = agent.post(SUBMIT, json={"message": "Now?"})
        assert (reply.status_code, reply.json()["code"]) == (503, "database_away")
        assert reply.headers["retry-after"] == "1"
        assert agent.get("/ready").status_code == 503
        assert agent.get("/health").status_code == 200
    database.start()
    until = time.monotonic() + 60
    with a.http() as agent:
        while agent.get("/ready").status_code != 200:
            assert time.monotonic() < until, a.log
            time.sleep(0.02)
    assert person.decide(request_id, "approve")["status"] == "approved"
    assert waiting.result(120)["status"] == "approved"
    person.close()
    assert "secret@" not in a.log
