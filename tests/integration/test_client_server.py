import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from served import Served
from support.servers import port_to_come_back_to

from sayso.client import AsyncClient, Client
from sayso.domain.requests import Request
from sayso.errors import (
    ConflictError,
    InvalidAnswerError,
    InvalidRequestError,
    InvalidTransitionError,
    NotFoundError,
    SignInRequiredError,
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("client") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def person(served: Served) -> Iterator[Client]:
    with served.person() as client:
        yield client


@pytest.fixture
def agent(served: Served) -> Iterator[Client]:
    with served.client() as client:
        yield client


def meanwhile(act: Callable[[], Any], after: float = 0.2) -> threading.Thread:
    """Do it in another thread, a moment later."""

    def later() -> None:
        time.sleep(after)
        act()

    thread = threading.Thread(target=later)
    thread.start()
    return thread


def test_an_agent_asks_and_a_person_approves(agent: Client, person: Client) -> None:
    request = agent.submit("Deploy?", action={"tool_name": "deploy", "tool_args": {"replicas": 2}})
    assert not request.is_terminal
    thread = meanwhile(lambda: person.decide(request.id, "approve", reason="go"))
    decided = agent.wait(request.id)
    thread.join()
    assert decided.approved
    assert decided.arguments == {"replicas": 2}
    assert decided.reason == "go"
    assert agent.get(request.id) == decided


def test_edited_arguments_are_the_ones_to_run(agent: Client, person: Client) -> None:
    request = agent.submit("Pay?", action={"tool_name": "pay", "tool_args": {"amount": 900}})
    person.decide(request.id, "edit", args={"amount": 90})
    assert agent.wait(request.id).arguments == {"amount": 90}


def test_a_choice_a_text_and_a_form_are_answered(agent: Client, person: Client) -> None:
    choice = agent.submit("How?", options=["Canary", "Hold"])
    person.decide(choice.id, "respond", option=choice.options[0].value)
    assert agent.wait(choice.id).answer == choice.options[0].value

    text = agent.submit("Note?", kind="input")
    person.decide(text.id, "respond", content="Faster payments.")
    assert agent.wait(text.id).answer == "Faster payments."

    schema = {"type": "object", "properties": {"hours": {"type": "integer"}}, "required": ["hours"]}
    form = agent.submit("When?", kind="input", schema=schema)
    with pytest.raises(InvalidAnswerError):
        person.decide(form.id, "respond", content={"hours": "two"})
    person.decide(form.id, "respond", content={"hours": 2})
    assert agent.wait(form.id).answer == {"hours": 2}


def test_the_first_decision_stands(agent: Client, person: Client) -> None:
    request = agent.submit("?")
    person.decide(request.id, "approve")
    with pytest.raises(InvalidTransitionError) as caught:
        person.decide(request.id, "reject")
    assert caught.value.request is not None
    assert caught.value.request["status"] == "approved"


def test_an_agent_never_decides(agent: Client) -> None:
    request = agent.submit("?")
    with pytest.raises(SignInRequiredError):
        agent.decide(request.id, "approve")
    assert agent.get(request.id) == request


def test_a_link_signs_in_once(served: Served, person: Client, agent: Client) -> None:
    with pytest.raises(SignInRequiredError):
        agent.sign_in(served.link_token)


def test_a_wait_that_times_out_returns_the_pending_request(agent: Client) -> None:
    request = agent.submit("?")
    began = time.monotonic()
    assert agent.wait(request.id, timeout=0.3) == request
    assert 0.25 < time.monotonic() - began < 25  # without a time it would wait for ever
    assert agent.ask("?", timeout=0.1).status == "pending"


def test_a_deadline_ends_the_wait(agent: Client) -> None:
    request = agent.ask("?", timeout_seconds=0.3)
    assert request.status == "expired"
    assert not request.approved


def test_a_withdrawn_question_ends_the_wait(agent: Client) -> None:
    request = agent.submit("?", timeout_seconds=None)
    assert request.deadline_at is None
    thread = meanwhile(lambda: agent.cancel(request.id, "changed my mind"))
    assert agent.wait(request.id).reason == "changed my mind"
    thread.join()


def test_the_same_key_is_the_same_request(agent: Client) -> None:
    first = agent.submit("?", idempotency_key="k1")
    assert agent.submit("?", idempotency_key="k1").id == first.id
    with pytest.raises(ConflictError):
        agent.submit("another question", idempotency_key="k1")


def test_what_the_server_cannot_take_is_told_with_the_place(agent: Client) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        agent.submit("?", action={"tool_name": 5})
    assert caught.value.errors[0]["at"] == "$.action.tool_name"


def test_no_such_request(agent: Client) -> None:
    with pytest.raises(NotFoundError):
        agent.wait("0190a000-0000-7000-8000-000000000000")


def test_find_pages_through_everything(agent: Client) -> None:
    asked = [agent.submit(f"number {n}", session_id=None, client_id="finder") for n in range(7)]
    found = list(agent.find(client_id="finder"))
    assert [request.id for request in found] == [request.id for request in reversed(asked)]
    assert len(list(agent.find(client_id="finder", limit=3))) == 3
    page = agent.page(client_id="finder", limit=2, status=["pending", "approved"])
    assert len(page.items) == 2
    assert page.next is not None
    assert [each.message for each in agent.find(client_id="finder", q="number 3")] == ["number 3"]


def test_events_tell_of_the_request_as_it_changes(agent: Client, person: Client) -> None:
    request = agent.submit("?")
    events = agent.events(after=0, request_id=request.id)
    assert next(events).type == "request.submitted"
    person.decide(request.id, "reject", reason="no")
    event = next(events)
    events.close()
    assert (event.type, event.request_id) == ("request.decided", request.id)
    assert event.request is not None
    assert event.request.reason == "no"


def test_the_server_says_that_it_is_well(agent: Client) -> None:
    assert agent.health().status == "healthy"


@pytest.mark.anyio
async def test_the_asyncio_client_asks_many_at_once(served: Served, person: Client) -> None:
    async with AsyncClient(served.url, timeout=60, retry_seconds=60) as client:
        requests = await asyncio.gather(*(client.submit(f"crowd {n}") for n in range(150)))
        waits = [asyncio.ensure_future(client.wait(request.id)) for request in requests]
        await asyncio.sleep(0.2)
        with ThreadPoolExecutor(8) as pool:
            deciding = pool.map(lambda r: person.decide(r.id, "approve"), requests)
            decided = await asyncio.gather(*waits)
            list(deciding)
    assert [request.id for request in decided] == [request.id for request in requests]
    assert all(request.approved for request in decided)


def served_again(folder: Path) -> Served:
    """One to be killed and started again, where it was."""
    return Served(folder / "data", port=port_to_come_back_to())


def test_a_wait_survives_that_the_server_is_killed_and_started_again(tmp_path: Path) -> None:
    with served_again(tmp_path) as served, served.client() as agent:
        request = agent.submit("Deploy?", timeout_seconds=None)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(agent.wait, request.id)
            time.sleep(0.3)
            served.kill()
            time.sleep(0.5)
            assert not waiting.done()
            served.start()
            with served.person() as person:
                person.decide(request.id, "approve")
            decided: Request = waiting.result(timeout=60)
    assert decided.approved
    assert decided.id == request.id


def test_a_submit_outlasts_a_restart_and_asks_once(tmp_path: Path) -> None:
    with served_again(tmp_path) as served, served.client() as agent:
        served.kill()
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(agent.submit, "Deploy?")
            time.sleep(0.5)
            served.start()
            request = asking.result(timeout=60)
        assert [each.id for each in agent.find()] == [request.id]


def test_events_go_on_after_a_restart_and_none_is_lost(tmp_path: Path) -> None:
    with served_again(tmp_path) as served, served.client() as agent:
        events = agent.events(after=0)
        first = agent.submit("one")
        assert next(events).request_id == first.id
        served.kill()
        served.start()
        second = agent.submit("two")
        assert next(events).request_id == second.id
        events.close()
