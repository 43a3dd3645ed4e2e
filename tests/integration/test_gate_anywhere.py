"""The gate with a real server, and with the engine in its own process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.person import Person
from support.programs import Beside
from support.server import RunningServer

from sayso import AsyncClient, Client
from sayso.domain.actions import Action, RiskClass
from sayso.domain.requests import Request
from sayso.embedded import Embedded, embedded
from sayso.errors import InvalidAnswerError, InvalidTransitionError, NotApprovedError
from sayso.gate import Gate
from sayso.policies import Context, Effect, Policy, Verdict
from sayso.policies.base import NO_CONTEXT

PAY = Action(tool_name="pay", tool_args={"to": "Ann", "amount": 5}, risk_class=RiskClass.HIGH)


class HighIsAsked(Policy):
    @property
    def name(self) -> str:
        return "high_is_asked"

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        asked = action.risk_class is RiskClass.HIGH
        return Verdict(effect=Effect.ASK if asked else Effect.ALLOW, policy=self.name)


class Bank:
    def __init__(self) -> None:
        self.paid: list[tuple[str, int]] = []

    def pay(self, to: str, amount: int) -> dict[str, Any]:
        self.paid.append((to, amount))
        return {"receipt": len(self.paid)}


def with_sync_client(server: RunningServer, bank: Bank, **fields: Any) -> Any:
    with Client(server.url, timeout=60) as client:
        return Gate(HighIsAsked(), client).run_sync(PAY, bank.pay, **fields)


def with_async_client(server: RunningServer, bank: Bank, **fields: Any) -> Any:
    async def run() -> Any:
        async with AsyncClient(server.url, timeout=60) as client:
            return await Gate(HighIsAsked(), client).run(PAY, bank.pay, **fields)

    return asyncio.run(run())


def with_sync_client_in_a_loop(server: RunningServer, bank: Bank, **fields: Any) -> Any:
    async def run() -> Any:
        with Client(server.url, timeout=60) as client:
            return await Gate(HighIsAsked(), client).run(PAY, bank.pay, **fields)

    return asyncio.run(run())


@pytest.mark.parametrize("run", [with_sync_client, with_async_client, with_sync_client_in_a_loop])
def test_a_person_edits_what_runs_and_reads_what_became_of_it(
    server: RunningServer, person: Person, run: Callable[..., Any]
) -> None:
    bank, session = Bank(), run.__name__
    running = Beside(lambda: run(server, bank, session_id=session, message="Pay Ann?"))
    request = person.meet(session_id=session)
    assert request["message"] == "Pay Ann?"
    assert bank.paid == []
    person.decide(request["id"], "edit", args={"to": "Ann", "amount": 3})
    assert running.result() == {"receipt": 1}
    assert bank.paid == [("Ann", 3)]
    told = person.http.get(f"/api/v1/requests/{request['id']}").json()
    assert told["outcome"]["status"] == "succeeded"


def test_a_rejection_stands_when_the_program_comes_back(
    server: RunningServer, person: Person
) -> None:
    bank = Bank()

    def run() -> None:
        with pytest.raises(NotApprovedError, match="Too much"):
            with_sync_client(server, bank, session_id="back", key="thread 1:pay:ü")

    first = Beside(run)
    person.decide(person.meet(session_id="back")["id"], "reject", reason="Too much")
    first.result()
    run()  # with another client and another gate: nobody is asked again
    assert person.pending(session_id="back") == []
    assert bank.paid == []


def test_a_key_recalls_only_what_the_caller_asked(server: RunningServer, person: Person) -> None:
    with Client(server.url, timeout=60) as client:
        asked = client.submit("Recalled?", idempotency_key="mine")
        assert client.recall("mine") == asked
        assert client.recall("other") is None
    reply = person.http.get("/api/v1/requests", params={"idempotency_key": "mine"})
    assert reply.json()["items"] == []


PROGRAM = """
import asyncio, sys
from sayso.domain.actions import Action
from sayso.embedded import Embedded, embedded
from sayso.gate import Gate
from sayso.policies import AlwaysAsk

async def main():
    async with embedded(sys.argv[1]) as approver:
        gate = Gate(AlwaysAsk(), approver)
        asking = asyncio.create_task(gate.run(
            Action(tool_name="pay", tool_args={"to": "Ann"}), print, key="thread:1"))
        while await approver.recall("thread:1") is None:
            await asyncio.sleep(0.01)
        print("asked", flush=True)
        await asking

asyncio.run(main())
"""


class Ask(HighIsAsked):
    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        return Verdict(effect=Effect.ASK, policy=self.name)


def test_what_was_asked_survives_a_killed_program(tmp_path: Path) -> None:
    database = tmp_path / "kept.db"
    program = PROGRAM.replace("from sayso.policies import AlwaysAsk", ALWAYS_ASK)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(database)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    asyncio.run(_goes_on(database))


async def _goes_on(database: Path) -> None:
    paid: list[str] = []
    action = Action(tool_name="pay", tool_args={"to": "Ann"})

    def pay(to: str) -> None:
        paid.append(to)

    async with embedded(database) as approver:
        request = await approver.recall("thread:1")
        assert request is not None
        await approver.decide(request.id, "approve", by="alice")
        gate = Gate(Ask(), approver)
        await gate.run(action, pay, key="thread:1")
        with pytest.raises(InvalidTransitionError):
            await Gate(Ask(), approver).run(action, pay, key="thread:1")
    assert paid == ["Ann"]


ALWAYS_ASK = """
from sayso.policies import Effect, Policy, Verdict

class AlwaysAsk(Policy):
    name = "ask"
    def evaluate(self, action, context=None):
        return Verdict(effect=Effect.ASK, policy="ask")
"""


async def _asked(approver: Embedded) -> Request:
    while (request := await approver.recall("k")) is None:  # noqa: ASYNC110  in another process
        await asyncio.sleep(0.01)
    return request


async def _decided_meanwhile(database: str) -> None:
    bank = Bank()
    async with embedded(database) as approver:
        asking = asyncio.create_task(Gate(Ask(), approver).run(PAY, bank.pay, key="k"))
        request = await _asked(approver)
        decided = await approver.decide(request.id, "approve", by="alice", reason="Fine")
        assert await asking == {"receipt": 1}
    assert decided.decision is not None
    assert (decided.decision.by.name, decided.decision.channel) == ("alice", "program")


async def test_the_engine_in_memory() -> None:
    await _decided_meanwhile(":memory:")


async def test_the_engine_on_postgresql(postgres_dsn: str) -> None:
    await _decided_meanwhile(postgres_dsn)


async def test_the_engine_on_redis(redis_url: str) -> None:
    await _decided_meanwhile(redis_url)


async def test_who_decided_may_be_a_number_and_what_is_no_answer_is_not_kept() -> None:
    bank = Bank()
    async with embedded() as approver:
        asking = asyncio.create_task(Gate(Ask(), approver).run(PAY, bank.pay, key="k"))
        request = await _asked(approver)
        for wrong in ({"by": None}, {"by": True}, {"by": "a", "reason": {"a": 1}}):
            with pytest.raises(InvalidAnswerError):
                await approver.decide(request.id, "approve", **wrong)
        decided = await approver.decide(request.id, "approve", by=4242)
        assert await asking == {"receipt": 1}
        assert decided.decision is not None
        assert decided.decision.decided_by == "4242"
        assert await approver.recall("k") is not None


async def test_two_programs_on_one_postgresql_wake_one_another(postgres_dsn: str) -> None:
    bank = Bank()
    async with embedded(postgres_dsn) as asks, embedded(postgres_dsn) as answers:
        asking = asyncio.create_task(Gate(Ask(), asks).run(PAY, bank.pay, key="k"))
        request = await _asked(answers)
        await answers.decide(request.id, "edit", by="bob", args={"to": "Ann", "amount": 1})
        assert await asking == {"receipt": 1}
    assert bank.paid == [("Ann", 1)]
