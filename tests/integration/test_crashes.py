"""Power cuts and crowds: what was acknowledged stands, once."""

import contextlib
import itertools
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx2
import pytest
from support.person import Person
from support.programs import Beside
from support.server import RunningServer

pytestmark = pytest.mark.durable
SUBMIT = "/api/v1/requests"


def ask(server: RunningServer, **more: Any) -> str:
    with server.http() as agent:
        reply = agent.post(SUBMIT, json={"message": "Go on?", **more})
        assert reply.status_code == 201
        return reply.json()["id"]


def assert_sound(server: RunningServer) -> None:
    """The database of a server that does not run is whole."""
    connection = sqlite3.connect(server.database)
    with contextlib.closing(connection):
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        places = [row[0] for row in connection.execute("SELECT id FROM events ORDER BY id")]
        assert places == list(range(1, len(places) + 1))


def test_a_request_outlives_a_crash(fresh_server: RunningServer) -> None:
    request_id = ask(fresh_server, action={"tool_name": "pay", "tool_args": {"n": 1}})
    with fresh_server.http() as agent:
        before = agent.get(f"{SUBMIT}/{request_id}").json()
    fresh_server.kill9()
    assert_sound(fresh_server)
    fresh_server.restart()
    with fresh_server.http() as agent:
        assert agent.get(f"{SUBMIT}/{request_id}").json() == before
    person = Person(fresh_server)
    assert person.decide(request_id, "approve")["status"] == "approved"
    person.close()


def test_a_crash_between_decision_and_wake_up_loses_no_decision(
    fresh_server: RunningServer,
) -> None:
    request_id = ask(fresh_server)
    person = Person(fresh_server)

    def wait() -> dict[str, Any]:
        """As a client does: when the line breaks, ask again."""
        while True:
            try:
                with fresh_server.http() as agent:
                    reply = agent.get(f"{SUBMIT}/{request_id}?wait=20")
                return reply.json()
            except httpx2.TransportError:
                time.sleep(0.05)

    waiting = [Beside(wait) for _ in range(5)]
    time.sleep(0.3)
    decided = person.decide(request_id, "approve")
    fresh_server.kill9()
    assert_sound(fresh_server)
    fresh_server.restart()
    for each in waiting:
        assert each.result()["decision"] == decided["decision"]
    assert person.try_to_decide(request_id, "reject").status_code == 409
    person.close()


def test_a_person_stays_signed_in_over_a_crash(fresh_server: RunningServer) -> None:
    person = Person(fresh_server)
    used = fresh_server.new_link().partition("token=")[2]
    body = {"token": used}
    assert person.http.post("/api/auth/link", json=body).status_code == 200
    fresh_server.kill9()
    fresh_server.restart()
    assert person.http.get("/api/auth/me").status_code == 200
    assert person.http.post("/api/auth/link", json=body).status_code == 401
    person.close()


def test_a_key_works_over_a_crash(fresh_server: RunningServer) -> None:
    headers = {"Idempotency-Key": "over-a-crash"}
    ids = set()
    for _ in range(3):
        with fresh_server.http() as agent:
            reply = agent.post(SUBMIT, json={"message": "Once?"}, headers=headers)
            ids.add(reply.json()["id"])
        fresh_server.kill9()
        fresh_server.restart()
    assert len(ids) == 1


@dataclass
class Storm:
    """Eight threads that submit and decide until the server dies, and what it acknowledged."""

    server: RunningServer
    token: str
    submitted: dict[str, str] = field(default_factory=dict)
    decided: dict[str, str] = field(default_factory=dict)
    numbers: Any = field(default_factory=itertools.count)

    def rage(self, seconds: float, *, until: Callable[[], bool] = lambda: True) -> None:
        """For so long, and longer if it must, until that is so."""
        with ThreadPoolExecutor(8) as pool:
            work = [pool.submit(self._work, seed) for seed in range(8)]
            time.sleep(seconds)
            limit = time.monotonic() + 50
            while not until() and time.monotonic() < limit:
                time.sleep(0.01)
            self.server.kill9()
            for each in work:
                each.result()

    def has_done(self, submitted: int, decided: int) -> bool:
        """Whether at least so much was acknowledged."""
        return len(self.submitted) >= submitted and len(self.decided) >= decided

    def _work(self, seed: int) -> None:
        chance = random.Random(seed)
        with contextlib.suppress(httpx2.TransportError), self.server.http(self.token) as http:
            while True:
                number = next(self.numbers)
                message = f"Number {number}?"
                reply = http.post(SUBMIT, json={"message": message})
                if reply.status_code != 201:  # it stops
                    return
                request_id = reply.json()["id"]
                self.submitted[request_id] = message
                if chance.random() < 0.7:
                    kind = chance.choice(["approve", "reject"])
                    reply = http.post(f"{SUBMIT}/{request_id}/decision", json={"type": kind})
                    if reply.status_code == 200:
                        self.decided[request_id] = reply.json()["decision"]["decided_at"]


def test_a_storm_of_submits_and_decisions_loses_nothing_in_three_crashes(
    fresh_server: RunningServer,
) -> None:
    storm = Storm(fresh_server, fresh_server.sign_in())
    for crash in (1, 2, 3):
        storm.rage(0.7, until=partial(storm.has_done, 34 * crash, 17 * crash))
        assert_sound(fresh_server)
        fresh_server.restart()
        kept = _all_requests(fresh_server)
        assert {i: kept[i]["message"] for i in storm.submitted} == storm.submitted
        assert {i: kept[i]["decision"]["decided_at"] for i in storm.decided} == storm.decided
    assert storm.has_done(101, 51)
    fresh_server.kill9()
    _assert_one_decision_each(fresh_server)


def _all_requests(server: RunningServer) -> dict[str, Any]:
    found: dict[str, Any] = {}
    after: dict[str, Any] = {}
    with server.http() as agent:
        while after is not None:
            page = agent.get(SUBMIT, params={"limit": 200, **after}).json()
            found |= {each["id"]: each for each in page["items"]}
            after = None if page["next"] is None else {"after": page["next"]}
    return found


def _assert_one_decision_each(server: RunningServer) -> None:
    """One event of submission for each request, and one of decision for each decided one."""
    count = (
        "SELECT count(*), count(DISTINCT json_extract(record, '$.request_id')) FROM events"
        " WHERE json_extract(record, '$.type') = ?"
    )
    connection = sqlite3.connect(server.database)
    with contextlib.closing(connection):
        for kind, where in (("submitted", "1"), ("decided", "status <> 'pending'")):
            events, requests = connection.execute(count, (f"request.{kind}",)).fetchone()
            kept = connection.execute(f"SELECT count(*) FROM requests WHERE {where}").fetchone()
            assert events == requests == kept[0]


@pytest.mark.parametrize("_", range(3))
def test_of_twenty_decisions_at_once_one_stands(
    server: RunningServer, person: Person, _: int
) -> None:
    request_id = ask(server)
    start = threading.Barrier(20)

    def decide(number: int) -> httpx2.Response:
        with server.http(person.token) as http:
            http.get("/health")
            start.wait()
            body = {"type": "approve" if number % 2 else "reject", "reason": str(number)}
            return http.post(f"{SUBMIT}/{request_id}/decision", json=body)

    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(decide, range(20)))
    assert sorted(reply.status_code for reply in replies) == [200] + [409] * 19
    (first,) = (reply.json() for reply in replies if reply.status_code == 200)
    for reply in replies:
        if reply.status_code == 409:
            assert reply.json()["code"] == "already_decided"
            assert reply.json()["request"]["decision"] == first["decision"]
    assert person.http.get(f"{SUBMIT}/{request_id}").json() == first


def test_a_decision_and_a_cancellation_at_once_make_one_end(
    server: RunningServer, person: Person
) -> None:
    for _ in range(20):
        request_id = ask(server)
        start = threading.Barrier(2)

        def close(verb: str, body: dict[str, str]) -> int:
            with server.http(person.token) as http:
                http.get("/health")
                start.wait()  # noqa: B023  each round waits for its own threads
                return http.post(f"{SUBMIT}/{request_id}/{verb}", json=body).status_code  # noqa: B023

        with ThreadPoolExecutor(2) as pool:
            ends = [
                pool.submit(close, *each)
                for each in (("decision", {"type": "approve"}), ("cancel", {}))
            ]
            assert sorted(end.result() for end in ends) == [200, 409]


def test_the_file_of_a_server_that_was_stopped_is_sound(fresh_server: RunningServer) -> None:
    storm = Storm(fresh_server, fresh_server.sign_in())
    stopping = threading.Timer(0.3, fresh_server.stop)
    stopping.start()
    storm.rage(1)
    stopping.join()
    assert_sound(fresh_server)
    fresh_server.restart()
    kept = _all_requests(fresh_server)
    assert set(storm.submitted) <= set(kept)
