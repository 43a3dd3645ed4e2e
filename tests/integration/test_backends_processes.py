"""Backends in processes of their own, killed and started again, on one database."""

import asyncio
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from support.server import clean_environment

from sayso.backends import (
    ApprovalStore,
    PersistentWebhookBackend,
    PostgresApprovalStore,
    RedisApprovalStore,
    SQLiteApprovalStore,
)
from sayso.domain.approvals import ApprovalRequest

WORKER = """
import asyncio, sys
from sayso.backends import *
from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest

async def send(request, callback_id, url):
    print(callback_id, flush=True)

async def main(job, kind, address):
    stores = [SQLiteApprovalStore, PostgresApprovalStore, RedisApprovalStore]
    make = dict(zip(["sqlite", "postgres", "redis"], stores))[kind]
    async with make(address) as store:
        backend = PersistentWebhookBackend(send, store, timeout_seconds=300)
        if job == "ask":
            action = Action(tool_name="pay", tool_args={"to": "bob"})
            request = ApprovalRequest(run_id="run-1", action=action)
            decisions = [await backend.request_approval(request, thread_id="user-123")]
        else:
            records = await store.list_pending(thread_id="user-123")
            records += await store.list_decided(thread_id="user-123")
            waits = [backend.register_pending(record) for record in records]
            print("waiting for", len(waits), flush=True)
            decisions = [await each for each in waits]
        for each in decisions:
            print(each.approved, each.reason, each.decided_by, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


class Worker:
    """A process with a backend."""

    def __init__(self, job: str, kind: str, address: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, job, kind, address],
            stdout=subprocess.PIPE, text=True, env=clean_environment(),
        )  # fmt: skip

    def says(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def kill9(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def workers() -> Generator[list[Worker]]:
    """They are ended with the test."""
    started: list[Worker] = []
    yield started
    for each in started:
        each.kill9()


SHARED = ["postgres", "redis"]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    match request.param:
        case "sqlite":
            return "sqlite", str(tmp_path / "approvals.db")
        case "postgres":
            return "postgres", request.getfixturevalue("postgres_dsn")
        case _:
            return "redis", request.getfixturevalue("redis_url")


async def nobody(_: ApprovalRequest, __: str, ___: str) -> None:
    raise AssertionError("This process asks nobody.")


def answer(place: tuple[str, str], callback_id: str, reason: str) -> bool:
    """A callback that comes in at this process."""

    async def come_in() -> bool:
        kind, address = place
        makes = {
            "sqlite": SQLiteApprovalStore,
            "postgres": PostgresApprovalStore,
            "redis": RedisApprovalStore,
        }
        store: ApprovalStore = makes[kind](address)
        backend = PersistentWebhookBackend(nobody, store)
        try:
            return await backend.handle_callback(callback_id, True, reason, "alice")
        finally:
            await backend.close()

    return asyncio.run(come_in())


@pytest.mark.parametrize("place", ["sqlite", *SHARED], indirect=True)
def test_a_decision_that_comes_while_the_agent_is_dead_is_there_when_it_is_back(
    place: tuple[str, str], workers: list[Worker]
) -> None:
    """hitloop 9: after a crash the callback was taken and the decision thrown away."""
    workers.append(Worker("ask", *place))
    callback_id = workers[0].says()
    workers[0].kill9()
    assert answer(place, callback_id, "while you were away")
    assert not answer(place, callback_id, "once more")
    workers.append(Worker("recover", *place))
    assert workers[1].says() == "waiting for 1"
    assert workers[1].says() == "True while you were away alice"


@pytest.mark.parametrize("place", SHARED, indirect=True)
def test_an_agent_that_was_killed_waits_on_and_any_process_takes_the_callback(
    place: tuple[str, str], workers: list[Worker]
) -> None:
    """hitloop 11: a callback reached the agent only in the process that had asked."""
    workers.append(Worker("ask", *place))
    callback_id = workers[0].says()
    workers[0].kill9()
    workers += [Worker("recover", *place), Worker("recover", *place)]
    assert [each.says() for each in workers[1:]] == ["waiting for 1"] * 2
    assert answer(place, callback_id, "go")
    assert [each.says() for each in workers[1:]] == ["True go alice"] * 2


JOB = """
import asyncio, sys
from sayso.backends import *
from sayso.domain.actions import Action, RiskClass
from sayso.errors import InvalidTransitionError
from sayso.gate import Gate
from sayso.policies import RiskBasedPolicy

async def main(address):
    async def send(request, callback_id, url):
        print("sent", flush=True)
        await backend.handle_callback(callback_id, True)
    async with SQLiteApprovalStore(address) as store:
        backend = PersistentWebhookBackend(send, store)
        action = Action(tool_name="pay", tool_args={"to": "bob"}, risk_class=RiskClass.HIGH)
        try:
            pay = lambda to: print("paid", to)
            await Gate(RiskBasedPolicy(), backend).run(action, pay, key="job:1")
        except InvalidTransitionError as error:
            print(error.reason_code)

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_job_that_was_approved_and_has_run_does_not_run_when_it_is_started_again(
    tmp_path: Path,
) -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", JOB, str(tmp_path / "p.db")],
            stdout=subprocess.PIPE, text=True, check=True, env=clean_environment(),
        ).stdout.split("\n")[:-1]
        for _ in range(2)
    ]  # fmt: skip
    assert said == [["sent", "paid bob"], ["already_claimed"]]


@pytest.mark.parametrize("place", SHARED, indirect=True)
def test_two_workers_on_one_database_each_get_their_own_answer(
    place: tuple[str, str], workers: list[Worker]
) -> None:
    workers += [Worker("ask", *place), Worker("ask", *place)]
    ids = [each.says() for each in workers]
    assert answer(place, ids[1], "second")
    assert workers[1].says() == "True second alice"
    assert answer(place, ids[0], "first")
    assert workers[0].says() == "True first alice"
