import msgspec
import pytest
from driven import APPROVED, BROKEN, NOON, PENDING, REFUSED, World, problem, replied

from sayso.client.protocol import LONGEST_WAIT, Protocol
from sayso.client.retrying import Retrying
from sayso.domain.actions import Action
from sayso.errors import (
    BusyError,
    ConfigurationError,
    InvalidRequestError,
    InvalidTransitionError,
    NotFoundError,
    ServerError,
)


def test_a_submit_sends_what_was_given_and_nothing_else() -> None:
    world = World()
    request = world.run(world.protocol.submit("Deploy?", priority="high"), replied(PENDING, 201))
    assert request == PENDING
    assert msgspec.json.decode(world.sends[0].content) == {"message": "Deploy?", "priority": "high"}


def test_no_deadline_is_said_and_the_default_is_not() -> None:
    world = World()
    world.run(world.protocol.submit("?", timeout_seconds=None), replied(PENDING, 201))
    assert msgspec.json.decode(world.sends[0].content)["timeout_seconds"] is None


def test_an_action_may_be_a_record() -> None:
    world = World()
    action = Action(tool_name="deploy", tool_args={"replicas": 3})
    world.run(world.protocol.submit("?", action=action), replied(PENDING, 201))
    sent = msgspec.json.decode(world.sends[0].content)["action"]
    assert (sent["tool_name"], sent["tool_args"]) == ("deploy", {"replicas": 3})
    assert sent["digest"] == action.digest


def test_a_submit_is_tried_again_under_the_same_key() -> None:
    world = World()
    operation = world.protocol.submit("Deploy?")
    world.run(operation, REFUSED, BROKEN, problem(503, "store"), replied(PENDING, 201))
    keys = {dict(send.headers)["Idempotency-Key"] for send in world.sends}
    assert len(world.sends) == 4
    assert len(keys) == 1
    assert len({send.content for send in world.sends}) == 1


def test_two_submits_have_different_keys_unless_the_caller_names_one() -> None:
    world = World()
    for key in (None, None, "mine"):
        world.run(world.protocol.submit("?", idempotency_key=key), replied(PENDING, 201))
    first, second, third = (dict(send.headers)["Idempotency-Key"] for send in world.sends)
    assert first != second
    assert third == "mine"


def test_a_submit_gives_up_in_time_and_says_how_to_start_a_server() -> None:
    world = World(retry_seconds=10.0)
    with pytest.raises(ServerError) as caught:
        world.run(world.protocol.submit("?"), REFUSED, ...)
    assert world.now - 1000 <= 10
    assert sum(world.slept) > 4
    assert "http://sayso.test" in caught.value.detail
    assert "sayso serve" in caught.value.hint
    assert caught.value.__cause__ is REFUSED.error


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    world = World()
    busy = replied({"code": "busy", "detail": "Too much."}, 429, retry_after="3")
    world.run(world.protocol.submit("?"), busy, replied(PENDING, 201))
    assert world.slept == [3.0]


def test_a_server_that_stays_busy_is_reported_as_busy() -> None:
    world = World(retry_seconds=1)
    with pytest.raises(BusyError):
        world.run(world.protocol.submit("?"), replied({"code": "busy"}, 429, retry_after="30"), ...)


def test_a_refusal_is_never_tried_again() -> None:
    world = World()
    with pytest.raises(InvalidRequestError) as caught:
        world.run(
            world.protocol.submit(""),
            problem(422, "invalid_request", errors=[{"at": "$.message", "message": "too short"}]),
        )
    assert caught.value.errors == ({"at": "$.message", "message": "too short"},)


def test_an_unknown_field_is_the_callers_mistake() -> None:
    world = World()
    with pytest.raises(TypeError, match="prioritty"):
        world.run(world.protocol.submit("?", prioritty="high"))


def test_what_is_not_json_is_refused_before_it_is_sent() -> None:
    world = World()
    with pytest.raises(InvalidRequestError):
        world.run(world.protocol.submit("?", metadata={"lock": object()}))
    assert world.sends == []


def test_a_wait_goes_on_until_it_is_decided() -> None:
    world = World()
    decided = world.run(world.protocol.wait("r1"), world.silent, world.silent, replied(APPROVED))
    assert decided.approved
    assert [dict(send.params)["wait"] for send in world.sends] == [f"{LONGEST_WAIT:.3f}"] * 3
    assert world.slept == []


def test_a_wait_outlives_everything_that_passes_by_itself() -> None:
    world = World()
    troubles = [REFUSED] * 50 + [BROKEN, problem(502, "server"), problem(503, "store")]
    troubles += [problem(504, "server"), problem(429, "busy")]
    assert world.run(world.protocol.wait("r1"), *troubles, replied(APPROVED)) == APPROVED
    assert max(world.slept) <= 5.0


def test_a_wait_ends_in_time_with_the_pending_request() -> None:
    world = World()
    pending = world.run(world.protocol.wait("r1", timeout=90), world.silent, BROKEN, world.silent)
    assert pending == PENDING
    assert world.now == pytest.approx(1090)


def test_a_wait_without_time_looks_once() -> None:
    world = World()
    assert world.run(world.protocol.wait("r1", timeout=0), replied(PENDING)) == PENDING


def test_a_wait_that_never_reached_a_server_says_so() -> None:
    world = World()
    with pytest.raises(ServerError):
        world.run(world.protocol.wait("r1", timeout=3), REFUSED, ...)
    assert world.now == pytest.approx(1003)


def test_a_server_that_answers_waits_at_once_is_not_hammered() -> None:
    world = World()
    world.run(world.protocol.wait("r1", timeout=30), replied(PENDING), ...)
    assert len(world.sends) <= 12


def test_a_wait_for_nothing_fails_at_once() -> None:
    world = World()
    with pytest.raises(NotFoundError):
        world.run(world.protocol.wait("r1"), problem(404, "not_found"))


def test_asking_is_submitting_and_waiting() -> None:
    world = World()
    decided = world.run(
        world.protocol.ask("Deploy?"), replied(PENDING, 201), BROKEN, replied(APPROVED)
    )
    assert decided == APPROVED
    assert world.sends[1].path.endswith(PENDING.id)


def test_asking_returns_the_pending_request_though_the_server_has_gone() -> None:
    world = World()
    pending = world.run(
        world.protocol.ask("Deploy?", timeout=5), replied(PENDING, 201), REFUSED, ...
    )
    assert pending == PENDING
    assert world.now == pytest.approx(1005)


def test_a_decision_is_sent_once_though_the_connection_breaks() -> None:
    world = World()
    with pytest.raises(ServerError, match="closed the connection"):
        world.run(world.protocol.decide("r1", "approve"), BROKEN)


def test_a_second_decision_carries_the_request_as_it_stands() -> None:
    world = World()
    with pytest.raises(InvalidTransitionError) as caught:
        world.run(
            world.protocol.decide("r1", "reject", reason="no"),
            problem(409, "already_decided", request={"id": "r1"}),
        )
    assert caught.value.request == {"id": "r1"}
    assert msgspec.json.decode(world.sends[0].content) == {"type": "reject", "reason": "no"}


def test_signing_in_changes_the_credential_of_what_follows() -> None:
    world = World()
    person = world.run(
        world.protocol.sign_in("one-time"),
        replied({"token": "bearer", "expires_at": NOON, "user": {"id": "p1", "name": "Ann"}}),
    )
    assert person.name == "Ann"
    assert world.protocol.headers(world.sends[0])["Authorization"] == "Bearer bearer"


def test_a_page_asks_for_several_statuses() -> None:
    world = World()
    page = world.run(
        world.protocol.page(status=["pending", "expired"], limit=2, after="c1"),
        replied({"items": [PENDING, APPROVED], "next": "c2", "later": "ignored"}),
    )
    assert page.items == (PENDING, APPROVED)
    assert page.next == "c2"
    assert world.sends[0].params == (
        ("status", "pending"),
        ("status", "expired"),
        ("limit", "2"),
        ("after", "c1"),
    )


def test_fields_of_a_later_server_are_ignored() -> None:
    world = World()
    body = msgspec.to_builtins(PENDING) | {"mood": "sunny"}
    assert world.run(world.protocol.get("r1"), replied(body)) == PENDING


def test_an_answer_of_somebody_else_is_a_server_error() -> None:
    world = World()
    with pytest.raises(ServerError, match="cannot be read"):
        world.run(world.protocol.get("r1"), replied(["hello"]))


def test_an_id_cannot_lead_to_another_path() -> None:
    world = World()
    world.run(world.protocol.get("../../health?x=1"), replied(PENDING))
    assert world.sends[0].path == "/api/v1/requests/..%2F..%2Fhealth%3Fx%3D1"


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://x", "javascript:alert(1)"])
def test_an_address_must_be_http(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Protocol(url)


def test_a_token_that_no_header_can_carry_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        Protocol("http://x", token="a\nb")


def test_the_environment_names_server_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAYSO_URL", "https://sayso.example/base/")
    monkeypatch.setenv("SAYSO_API_KEY", "key")
    protocol = Protocol()
    assert (protocol.base_url, protocol.token) == ("https://sayso.example/base", "key")


def test_pauses_double_are_bounded_and_jittered() -> None:
    longest = Retrying(chance=lambda: 1.0)
    shortest = Retrying(chance=lambda: 0.0)
    assert [longest.backoff(n) for n in range(4)] == [0.1, 0.2, 0.4, 0.8]
    assert longest.backoff(1000) == 5.0
    assert shortest.backoff(3) == 0.4
