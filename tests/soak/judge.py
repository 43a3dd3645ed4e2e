"""What clients were told, against what is there: what is lost, doubled, stuck or wrong."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from soak.kept import Kept
from soak.ledger import Decided, Json, Ledger, Paused, Waited

STUCK_SECONDS = 20.0
"""How much later than it should a wait may end: more than the longest pause of a server."""

_DECIDED = {"approved", "rejected", "answered"}
_CLOSINGS = {
    "request.decided": _DECIDED,
    "request.expired": {"expired"},
    "request.cancelled": {"cancelled"},
}


class Finding(Struct, frozen=True):
    """Something that was promised, and is not so."""

    kind: Literal["lost", "doubled", "stuck", "wrong"]
    what: str


Check = Callable[[Ledger, Kept], Iterator[Finding]]


def judge(ledger: Ledger, kept: Kept) -> list[Finding]:
    """Everything that is not as promised."""
    return [finding for check in CHECKS for finding in check(ledger, kept)]


def submits_are_kept(ledger: Ledger, kept: Kept) -> Iterator[Finding]:
    """Each acknowledged submit is there, once, with its content; and nothing that nobody asked."""
    for note in ledger.submitted:
        request = kept.requests.get(note.request_id)
        if request is None:
            yield Finding("lost", f"request {note.request_id}: {note.sent['message']}")
        elif not _has_content(request, note.sent):
            yield Finding("lost", f"content of {note.request_id}: {note.sent} is {request}")
    asked = Counter(request["message"] for request in kept.requests.values())
    for message, times in asked.items():
        if times > 1:
            yield Finding("doubled", f"{times} requests for one submit: {message}")
        if message not in ledger.begun:
            yield Finding("wrong", f"nobody asked: {message}")


def decisions_are_kept(ledger: Ledger, kept: Kept) -> Iterator[Finding]:
    """Each acknowledged decision is the one that is there, and one person alone was told yes."""
    won: Counter[str] = Counter()
    for note in ledger.decided:
        won[note.request_id] += 1
        request = kept.requests.get(note.request_id, {})
        if request.get("decision") != note.decision or note.decision["reason"] != note.mark:
            stands = request.get("decision")
            yield Finding("lost", f"decision {note.mark!r} of {note.request_id}: {stands}")
    for request_id, times in won.items():
        if times > 1:
            yield Finding("doubled", f"{times} were told that they decided {request_id}")
    uncertain = {note.request_id for note in ledger.too_late if not note.first_try}
    told = {note.request_id for note in ledger.too_late} - uncertain - won.keys()
    for request_id in told:  # so each was told at once that somebody else was first: who?
        if kept.requests.get(request_id, {}).get("status") in _DECIDED:
            yield Finding("wrong", f"{request_id} is decided, and all were told they were late")


def cancellations_are_kept(ledger: Ledger, kept: Kept) -> Iterator[Finding]:
    """Each acknowledged cancellation is the end of its request."""
    for note in ledger.cancelled:
        request = kept.requests.get(note.request_id, {})
        if (request.get("status"), request.get("closed_reason")) != ("cancelled", note.mark):
            status = request.get("status")
            yield Finding("lost", f"cancellation {note.mark!r} of {note.request_id}: {status}")


def extensions_are_kept(ledger: Ledger, kept: Kept) -> Iterator[Finding]:
    """Each acknowledged extension is in the log."""
    extended = {
        (event["request_id"], event["data"]["deadline_at"])
        for event in kept.events
        if event["type"] == "request.extended"
    }
    for note in ledger.extended:
        if (note.request_id, note.deadline_at) not in extended:
            yield Finding("lost", f"{note.request_id} was extended to {note.deadline_at}")


def requests_end_once(ledger: Ledger, kept: Kept) -> Iterator[Finding]:
    """One event for each change, one submission, and one end at the most, which is the status."""
    told: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for event in kept.events:
        if event.get("request_id"):
            told[event["request_id"]][event["type"]] += 1
    for request_id in told.keys() - kept.requests.keys():
        yield Finding("lost", f"{request_id} has events, and is not there")
    for request_id, request in kept.requests.items():
        types = told[request_id]
        ends = [kind for kind in types.elements() if kind in _CLOSINGS]
        expected = [kind for kind, ends in _CLOSINGS.items() if request["status"] in ends]
        if len(ends) > 1 or types["request.submitted"] > 1:
            yield Finding("doubled", f"{request_id} has {dict(types)}")
        elif ends != expected or types["request.submitted"] != 1:
            yield Finding("wrong", f"{request_id} is {request['status']} and has {dict(types)}")
        elif request["version"] != types.total():
            yield Finding("wrong", f"{request_id} is version {request['version']}: {dict(types)}")
        if types["request.reminded"] != request["reminders"]:
            yield Finding("doubled", f"{request_id} was reminded {request['reminders']} times")
        decision, deadline = request["decision"], request["deadline_at"]
        if decision and deadline and _at(decision["decided_at"]) >= _at(deadline):
            yield Finding("wrong", f"{request_id} was decided after it had expired")


def events_are_numbered(ledger: Ledger, kept: Kept) -> Iterator[Finding]:
    """The log counts 1, 2, 3 and so on."""
    numbers = [event["id"] for event in kept.events]
    for number, times in Counter(numbers).items():
        if times > 1:
            yield Finding("doubled", f"event {number} is there {times} times")
    for number in sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers)):
        yield Finding("lost", f"event {number}: there is a gap in the log")


def streams_are_whole(ledger: Ledger, kept: Kept) -> Iterator[Finding]:
    """Each stream saw each event that it follows once, in order, over all its connections."""
    for name, seen in ledger.seen.items():
        only = name.partition(" of ")[2]
        expected = [
            (event["id"], event["type"], event.get("request_id"))
            for event in kept.events
            if not only or event["type"] == only
        ]
        got = [(note.id, note.type, note.request_id) for note in seen]
        if got == expected:
            continue
        for place, times in Counter(got).items():
            if times > 1:
                yield Finding("doubled", f"{name} saw {place} {times} times")
        for missing in sorted(set(expected) - set(got)):
            yield Finding("lost", f"{name} did not see {missing}")
        for strange in sorted(set(got) - set(expected)):
            yield Finding("wrong", f"{name} saw {strange}, which is not there")
        if sorted(got) != got:
            yield Finding("wrong", f"{name} saw events out of order")


def waits_end(ledger: Ledger, kept: Kept) -> Iterator[Finding]:
    """Each wait ended in its time, soon after the end of its request, and told of that end."""
    decided_at = {note.request_id: note.told_at for note in ledger.decided}
    for wait in ledger.waited:
        request = kept.requests.get(wait.request_id, {})
        over = _over(wait, decided_at.get(wait.request_id), ledger.paused)
        if wait.ended_at > over + STUCK_SECONDS:
            late = wait.ended_at - over
            yield Finding("stuck", f"a wait on {wait.request_id} ended {late:.1f} s late")
        if wait.status not in ("", "pending"):
            told = (wait.status, wait.decision)
            if told != (request.get("status"), request.get("decision")):
                yield Finding("wrong", f"a wait on {wait.request_id} was told {told}: {request}")
    for note in ledger.unfinished:
        yield Finding("stuck", note.what)


def deliveries_arrive(ledger: Ledger, kept: Kept) -> Iterator[Finding]:
    """Each end was told where it was asked for, under one id, and told as it is."""
    ids: defaultdict[str, set[str]] = defaultdict(set)
    taken = {note.request_id for note in ledger.delivered if note.answer == "taken"}
    for note in ledger.delivered:
        ids[note.request_id].add(note.webhook_id)
        request = kept.requests.get(note.request_id, {})
        if note.request != request or request["status"] not in _CLOSINGS.get(note.type, ()):
            yield Finding("wrong", f"told by {note.webhook_id}: {note.request}, it is {request}")
        elif request["callback_url"] is None:
            yield Finding("wrong", f"told of {note.request_id}, which nobody asked for")
    to_come = {job.get("request_id") for job in kept.jobs if job["state"] in ("waiting", "running")}
    for request_id, request in kept.requests.items():
        is_closed = request["status"] != "pending"
        is_told = request_id in taken or request_id in to_come  # `Unfinished` tells of those
        if request["callback_url"] and is_closed and not is_told:
            yield Finding("lost", f"nobody was told of the end of {request_id}")
    for request_id, several in ids.items():
        if len(several) > 1:
            yield Finding("doubled", f"the end of {request_id} was told under {sorted(several)}")


def nothing_is_left(ledger: Ledger, kept: Kept) -> Iterator[Finding]:
    """No lease has run out with nobody taking the job over, and no deadline was passed by."""
    late = kept.read_at - timedelta(seconds=STUCK_SECONDS)
    for job in kept.jobs:
        if job["state"] == "dead":
            yield Finding("lost", f"job {job['id']} was given up: {job['error']}")
        if job["state"] == "running" and job["due_at"] < late:
            yield Finding("stuck", f"job {job['id']} is running since its lease ran out")
    for request in kept.requests.values():
        deadline = request["deadline_at"]
        if request["status"] == "pending" and deadline and _at(deadline) < late:
            yield Finding("stuck", f"{request['id']} should have expired at {deadline}")


def nothing_is_strange(ledger: Ledger, kept: Kept) -> Iterator[Finding]:
    """The database is whole, the API tells what is in it, and all answers were as they may be."""
    for damage in kept.damage:
        yield Finding("wrong", f"the database says: {damage}")
    for request_id, request in kept.requests.items():
        if kept.told.get(request_id) != request:
            told = kept.told.get(request_id)
            yield Finding("wrong", f"the API tells of {request_id}: {told}, and it is {request}")
    for note in ledger.unexpected:
        yield Finding("wrong", note.what)


CHECKS: tuple[Check, ...] = (
    submits_are_kept,
    decisions_are_kept,
    cancellations_are_kept,
    extensions_are_kept,
    requests_end_once,
    events_are_numbered,
    streams_are_whole,
    waits_end,
    deliveries_arrive,
    nothing_is_left,
    nothing_is_strange,
)


def releases(ledger: Ledger) -> list[float]:
    """Seconds from sending a decision to the end of each wait held for it, where all went well."""
    certain: dict[str, Decided] = {n.request_id: n for n in ledger.decided if n.first_try}
    return sorted(
        max(0.0, wait.ended_at - certain[wait.request_id].sent_at)
        for wait in ledger.waited
        if wait.status in _DECIDED
        and wait.request_id in certain
        and wait.began_at < certain[wait.request_id].sent_at
        and not _pauses_in(wait, ledger.paused)
    )


def _over(wait: Waited, decided_at: float | None, pauses: list[Paused]) -> float:
    """When a wait should end: in its time or with the decision, but not while its server slept."""
    slept = _pauses_in(wait, pauses)
    # What came while it slept is read when it wakes up, and its time begins then.
    began_at = max([wait.began_at, *(p.ended_at for p in slept if p.began_at < wait.began_at)])
    over = began_at + wait.seconds
    if decided_at is not None:
        over = min(over, max(began_at, decided_at))
    return max([over, *(pause.ended_at for pause in slept)])


def _pauses_in(wait: Waited, pauses: list[Paused]) -> list[Paused]:
    """When the server of a wait stood still in its time."""
    return [
        pause
        for pause in pauses
        if pause.server == wait.server
        and wait.began_at < pause.ended_at
        and pause.began_at < wait.ended_at
    ]


def _has_content(request: Json, sent: Json) -> bool:
    """Whether a request says what was sent."""
    for name, value in sent.items():
        if name == "timeout_seconds":
            kept = request["deadline_at"]
            if (value is None) != (kept is None):
                return False
        elif name == "options":
            if [option["label"] for option in request["options"]] != value:
                return False
        elif name == "action":
            if any(request["action"][part] != value[part] for part in value):
                return False
        elif request[name] != value:
            return False
    return True


def _at(moment: str) -> datetime:
    return datetime.fromisoformat(moment)
