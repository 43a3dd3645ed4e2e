"""`run`: ask, wait, claim, run, report, with both clients."""

import asyncio
import contextlib
import threading
from collections.abc import Generator
from typing import Any

import pytest
from support.person import Person
from support.programs import Beside
from support.server import RunningServer

from sayso import AsyncClient, Client
from sayso.errors import InvalidTransitionError, NotApprovedError, RefusedError

PAY: dict[str, Any] = {"tool_name": "pay", "tool_args": {"to": "Ann", "amount": 5}}


@pytest.fixture
def client(server: RunningServer) -> Generator[Client]:
    with Client(server.url) as client:
        yield client


class Bank:
    """Counts what runs."""

    def __init__(self) -> None:
        self.paid: list[tuple[str, int]] = []
        self.balance = 100

    def pay(self, to: str, amount: int) -> dict[str, Any]:
        self.paid.append((to, amount))
        return {"receipt": len(self.paid)}

    def facts(self) -> dict[str, Any]:
        return {"balance": self.balance}


def test_what_was_approved_runs_once_and_is_reported(client: Client, person: Person) -> None:
    bank = Bank()
    run = Beside(lambda: client.run("Pay Ann?", bank.pay, action=PAY, session_id="one"))
    request = person.meet(session_id="one")
    assert bank.paid == []
    person.decide(request["id"], "approve")
    assert run.result() == {"receipt": 1}
    assert bank.paid == [("Ann", 5)]
    told = client.get(request["id"])
    assert told.outcome is not None
    assert (told.outcome.status, told.outcome.result) == ("succeeded", {"receipt": 1})


def test_what_the_person_changed_is_what_runs(client: Client, person: Person) -> None:
    bank = Bank()
    run = Beside(lambda: client.run("Pay Ann?", bank.pay, action=PAY, session_id="two"))
    request = person.meet(session_id="two")
    person.decide(request["id"], "edit", args={"to": "Ann", "amount": 3})
    run.result()
    assert bank.paid == [("Ann", 3)]


@pytest.mark.parametrize("answer", ["reject", "ignore", "respond"])
def test_without_a_yes_nothing_runs(client: Client, person: Person, answer: str) -> None:
    bank = Bank()

    def run() -> str:
        with pytest.raises(NotApprovedError) as refused:
            client.run("Pay Ann?", bank.pay, action=PAY, session_id=answer)
        assert refused.value.request is not None
        return refused.value.request["status"]

    running = Beside(run)
    request = person.meet(session_id=answer)
    more = {"content": "Ask me tomorrow"} if answer == "respond" else {"reason": "No"}
    person.decide(request["id"], answer, **more)
    assert running.result() == ("answered" if answer == "respond" else "rejected")
    assert bank.paid == []


def test_nobody_in_time_is_no(client: Client) -> None:
    bank = Bank()
    with pytest.raises(NotApprovedError) as refused:
        client.run("Pay Ann?", bank.pay, action=PAY, timeout=0.05)
    assert refused.value.request is not None
    assert refused.value.request["status"] == "pending"
    assert bank.paid == []


def test_what_raises_is_reported_as_failed(client: Client, person: Person) -> None:
    def pay(to: str, amount: int) -> None:
        raise ValueError("no such account")

    def run() -> None:
        with pytest.raises(ValueError, match="no such account"):
            client.run("Pay Ann?", pay, action=PAY, session_id="fails")

    running = Beside(run)
    request = person.meet(session_id="fails")
    person.decide(request["id"], "approve")
    running.result()
    told = client.get(request["id"])
    assert told.outcome is not None
    assert (told.outcome.status, told.outcome.error) == ("failed", "ValueError: no such account")


def test_what_changed_meanwhile_is_asked_again_before_it_runs(
    client: Client, person: Person
) -> None:
    bank = Bank()
    run = Beside(
        lambda: client.run("Pay?", bank.pay, action=PAY, facts=bank.facts, session_id="drift")
    )
    first = person.meet(session_id="drift")
    assert first["facts"] == {"balance": 100}
    bank.balance = 3
    person.decide(first["id"], "approve")
    second = person.meet(session_id="drift")
    assert (second["reopens"], second["changes"]) == (first["id"], {"balance": [100, 3]})
    assert bank.paid == []
    person.decide(second["id"], "approve")
    run.result()
    assert bank.paid == [("Ann", 5)]


def test_a_result_that_is_no_json_is_named_and_a_large_one_is_measured(
    client: Client, person: Person
) -> None:
    for session_id, result, told in (
        ("object", threading.Lock(), "(lock)"),
        ("large", "x" * 70_000, "(70002 bytes)"),
    ):
        run = Beside(
            lambda result=result, session_id=session_id: client.run(
                "Pay?", lambda to, amount: result, action=PAY, session_id=session_id
            )
        )
        request = person.meet(session_id=session_id)
        person.decide(request["id"], "approve")
        assert run.result() is result
        outcome = client.get(request["id"]).outcome
        assert outcome is not None
        assert outcome.result == told


def test_whoever_took_the_grant_first_runs_it_alone(client: Client, person: Person) -> None:
    bank = Bank()

    def run() -> str:
        with pytest.raises(RefusedError) as refused:
            client.run("Pay?", bank.pay, action=PAY, session_id="taken", facts=steal)
        return refused.value.reason_code

    taken: list[str] = []

    def steal() -> dict[str, Any]:
        if taken:
            request = client.get(taken[0])
            assert request.action is not None
            with contextlib.suppress(InvalidTransitionError):
                client.claim(request.id, request.action.digest, facts={})
        return {}

    running = Beside(run)
    request = person.meet(session_id="taken")
    taken.append(request["id"])
    person.decide(request["id"], "approve")
    assert running.result() == "already_claimed"
    assert bank.paid == []


@pytest.mark.anyio
async def test_the_asynchronous_client_does_the_same(server: RunningServer, person: Person) -> None:
    bank = Bank()

    async def pay(to: str, amount: int) -> dict[str, Any]:
        await asyncio.sleep(0)
        return bank.pay(to, amount)

    async def facts() -> dict[str, Any]:
        return bank.facts()

    async with AsyncClient(server.url) as client:
        run = asyncio.create_task(
            client.run("Pay?", pay, action=PAY, facts=facts, session_id="async")
        )
        request = await asyncio.to_thread(person.meet, session_id="async")
        await asyncio.to_thread(person.decide, request["id"], "approve")
        assert await run == {"receipt": 1}
        outcome = (await client.get(request["id"])).outcome
        assert outcome is not None
        assert outcome.status == "succeeded"
        with pytest.raises(InvalidTransitionError) as refused:
            await client.report(request["id"], "failed")
        assert refused.value.reason_code == "already_reported"
        with pytest.raises(InvalidTransitionError) as refused:
            await client.reopen(request["id"])
        assert refused.value.reason_code == "not_reopenable"
