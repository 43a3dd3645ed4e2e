"""The judge of the soak notices: what is whole passes, and each single wrong is told."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from soak.judge import STUCK_SECONDS, judge
from soak.kept import Kept
from soak.ledger import (
    Cancelled,
    Decided,
    Delivered,
    Extended,
    Json,
    Ledger,
    Paused,
    Seen,
    Submitted,
    TooLate,
    Unexpected,
    Unfinished,
    Waited,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
YES: Json = {"reason": "yes", "decided_at": NOW.isoformat()}


def request(request_id: str, status: str, **more: object) -> Json:
    return {
        "id": request_id,
        "status": status,
        "message": f"{request_id}?",
        "version": 2,
        "reminders": 0,
        "deadline_at": (NOW + timedelta(seconds=60)).isoformat(),
        "decision": None,
        "closed_reason": "",
        "callback_url": None,
        **more,
    }


def event(number: int, kind: str, request_id: str) -> Json:
    return {"id": number, "type": f"request.{kind}", "request_id": request_id}


Story = tuple[Ledger, Kept]


@pytest.fixture
def story() -> Story:
    """Three requests: one decided under a wait, one cancelled, one expired; all is as promised."""
    kept = Kept(
        requests={
            "a": request("a", "approved", decision=YES, callback_url="http://a/"),
            "b": request("b", "cancelled", closed_reason="no more"),
            "c": request("c", "expired"),
        },
        events=[
            *(event(number, "submitted", name) for number, name in enumerate("abc", start=1)),
            event(4, "decided", "a"),
            event(5, "cancelled", "b"),
            event(6, "expired", "c"),
        ],
        jobs=[{"id": "a_2", "state": "done", "due_at": NOW}],
        read_at=NOW + timedelta(hours=1),
    )
    kept.told = dict(kept.requests)
    ledger = Ledger()
    ledger.begun = {"a?", "b?", "c?", "never acknowledged?"}
    for name in "abc":
        sent = {"message": f"{name}?", "timeout_seconds": 60}
        ledger.note(Submitted(name, sent))
    ledger.note(Decided("a", "yes", YES, 10.0, 10.1, True))
    ledger.note(TooLate("a", "also", "already_decided", True))
    ledger.note(Cancelled("b", "no more"))
    for answer in ("failed", "taken", "taken"):
        ledger.note(Delivered("a", "a_2", "request.decided", kept.requests["a"], answer))
    ledger.note(Waited("a", "server", 60, 1.0, 10.2, "approved", YES))
    ledger.note(Waited("a", "server", 60, 0.0, 1.0, "", None))
    ledger.note(Waited("c", "server", 5, 1.0, 6.0, "pending", None))
    for name, only in (("stream", ""), ("stream of request.decided", "request.decided")):
        for each in kept.events:
            if not only or each["type"] == only:
                ledger.note(Seen(name, each["id"], each["type"], each["request_id"]))
    return ledger, kept


def test_what_is_whole_passes(story: Story) -> None:
    assert judge(*story) == []


def test_a_wait_at_a_server_that_stood_still_may_be_late(story: Story) -> None:
    ledger, kept = story
    ledger.note(Waited("c", "slow", 5, 1.0, 90.0, "pending", None))
    ledger.note(Waited("c", "slow", 60, 4.0, 140.0, "pending", None))  # read when it woke up
    assert {finding.kind for finding in judge(ledger, kept)} == {"stuck"}
    ledger.note(Paused("fast", 3.0, 80.0))
    assert len(judge(ledger, kept)) == 2
    ledger.note(Paused("slow", 3.0, 80.0))
    assert judge(ledger, kept) == []


def lose_a_request(ledger: Ledger, kept: Kept) -> None:
    del kept.requests["c"]


def change_a_question(ledger: Ledger, kept: Kept) -> None:
    kept.requests["c"]["deadline_at"] = None


def submit_twice(ledger: Ledger, kept: Kept) -> None:
    kept.requests["d"] = request("d", "expired", message="c?")
    kept.events += [event(7, "submitted", "d"), event(8, "expired", "d")]


def invent_a_request(ledger: Ledger, kept: Kept) -> None:
    kept.requests["c"]["message"] = ledger.submitted[2].sent["message"] = "Who asked?"


def lose_a_decision(ledger: Ledger, kept: Kept) -> None:
    kept.requests["a"] |= {"status": "pending", "decision": None}


def replace_a_decision(ledger: Ledger, kept: Kept) -> None:
    kept.requests["a"]["decision"] = {**YES, "reason": "also"}


def tell_two_that_they_decided(ledger: Ledger, kept: Kept) -> None:
    ledger.note(msgspec.structs.replace(ledger.decided[0], told_at=10.3))


def tell_nobody_that_they_decided(ledger: Ledger, kept: Kept) -> None:
    ledger.decided.clear()


def decide_after_the_deadline(ledger: Ledger, kept: Kept) -> None:
    kept.requests["a"]["deadline_at"] = NOW.isoformat()


def double_a_decision(ledger: Ledger, kept: Kept) -> None:
    kept.events.append(event(7, "decided", "a"))


def decide_and_expire(ledger: Ledger, kept: Kept) -> None:
    kept.events.append(event(7, "expired", "a"))


def lose_an_event(ledger: Ledger, kept: Kept) -> None:
    del kept.events[3]


def number_an_event_twice(ledger: Ledger, kept: Kept) -> None:
    kept.events[5]["id"] = 5


def change_without_an_event(ledger: Ledger, kept: Kept) -> None:
    kept.requests["a"]["version"] = 3


def remind_twice(ledger: Ledger, kept: Kept) -> None:
    kept.requests["a"] |= {"reminders": 2, "version": 3}
    kept.events.append(event(7, "reminded", "a"))


def lose_a_cancellation(ledger: Ledger, kept: Kept) -> None:
    kept.requests["b"]["closed_reason"] = ""


def lose_an_extension(ledger: Ledger, kept: Kept) -> None:
    ledger.note(Extended("c", NOW.isoformat()))


def miss_an_event(ledger: Ledger, kept: Kept) -> None:
    del ledger.seen["stream"][2]


def miss_a_decision_in_a_stream(ledger: Ledger, kept: Kept) -> None:
    ledger.seen["stream of request.decided"].clear()


def see_an_event_twice(ledger: Ledger, kept: Kept) -> None:
    ledger.note(ledger.seen["stream"][2])


def see_events_out_of_order(ledger: Ledger, kept: Kept) -> None:
    ledger.seen["stream"].reverse()


def see_what_is_not_there(ledger: Ledger, kept: Kept) -> None:
    ledger.note(Seen("stream", 7, "request.decided", "a"))


def be_stuck_in_a_wait(ledger: Ledger, kept: Kept) -> None:
    ledger.note(Waited("c", "server", 5, 1.0, 7.0 + STUCK_SECONDS, "pending", None))


def sleep_over_a_decision(ledger: Ledger, kept: Kept) -> None:
    ledger.note(Waited("a", "server", 60, 1.0, 11.0 + STUCK_SECONDS, "approved", YES))


def tell_a_wait_something_else(ledger: Ledger, kept: Kept) -> None:
    ledger.note(Waited("a", "server", 60, 1.0, 10.2, "rejected", YES))


def never_end(ledger: Ledger, kept: Kept) -> None:
    ledger.note(Unfinished("a story"))


def tell_nobody_of_an_end(ledger: Ledger, kept: Kept) -> None:
    ledger.delivered = ledger.delivered[:1]


def tell_of_an_end_under_two_ids(ledger: Ledger, kept: Kept) -> None:
    ledger.note(msgspec.structs.replace(ledger.delivered[0], webhook_id="a_3"))


def tell_of_another_end(ledger: Ledger, kept: Kept) -> None:
    told = {**kept.requests["a"], "status": "rejected"}
    ledger.note(msgspec.structs.replace(ledger.delivered[0], request=told))


def tell_too_early(ledger: Ledger, kept: Kept) -> None:
    ledger.note(msgspec.structs.replace(ledger.delivered[0], type="request.submitted"))


def tell_who_did_not_ask(ledger: Ledger, kept: Kept) -> None:
    request = kept.requests["b"]
    ledger.note(Delivered("b", "b_2", "request.cancelled", request, "taken"))


def give_a_job_up(ledger: Ledger, kept: Kept) -> None:
    kept.jobs[0] |= {"state": "dead", "error": "HTTP 500"}


def leave_a_lease(ledger: Ledger, kept: Kept) -> None:
    kept.jobs[0]["state"] = "running"


def pass_a_deadline_by(ledger: Ledger, kept: Kept) -> None:
    kept.requests["c"] |= {"status": "pending", "version": 1}
    del kept.events[5]


def damage_the_file(ledger: Ledger, kept: Kept) -> None:
    kept.damage.append("row 3 missing from index requests_due")


def tell_something_else(ledger: Ledger, kept: Kept) -> None:
    kept.told["a"] = {**kept.requests["a"], "status": "pending"}


def answer_what_cannot_be(ledger: Ledger, kept: Kept) -> None:
    ledger.note(Unexpected("decision was told 500"))


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        (lose_a_request, "lost"),
        (change_a_question, "lost"),
        (submit_twice, "doubled"),
        (invent_a_request, "wrong"),
        (lose_a_decision, "lost"),
        (replace_a_decision, "lost"),
        (tell_two_that_they_decided, "doubled"),
        (tell_nobody_that_they_decided, "wrong"),
        (decide_after_the_deadline, "wrong"),
        (double_a_decision, "doubled"),
        (decide_and_expire, "doubled"),
        (lose_an_event, "lost"),
        (number_an_event_twice, "doubled"),
        (change_without_an_event, "wrong"),
        (remind_twice, "doubled"),
        (lose_a_cancellation, "lost"),
        (lose_an_extension, "lost"),
        (miss_an_event, "lost"),
        (miss_a_decision_in_a_stream, "lost"),
        (see_an_event_twice, "doubled"),
        (see_events_out_of_order, "wrong"),
        (see_what_is_not_there, "wrong"),
        (be_stuck_in_a_wait, "stuck"),
        (sleep_over_a_decision, "stuck"),
        (tell_a_wait_something_else, "wrong"),
        (never_end, "stuck"),
        (tell_nobody_of_an_end, "lost"),
        (tell_of_an_end_under_two_ids, "doubled"),
        (tell_of_another_end, "wrong"),
        (tell_too_early, "wrong"),
        (tell_who_did_not_ask, "wrong"),
        (give_a_job_up, "lost"),
        (leave_a_lease, "stuck"),
        (pass_a_deadline_by, "stuck"),
        (damage_the_file, "wrong"),
        (tell_something_else, "wrong"),
        (answer_what_cannot_be, "wrong"),
    ],
)
def test_a_wrong_is_noticed(story: Story, harm: Callable[..., None], kind: str) -> None:
    harm(*story)
    assert kind in {finding.kind for finding in judge(*story)}
