"""The contract suites: what each backend promises, as tests.

Subclass one in a test module and give it a fixture that makes the backend:

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def store(self):
            store = MyStore()
            await store.open()
            yield store
            await store.close()
"""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any, Protocol

import msgspec

from sayso.domain import lifecycle
from sayso.domain.accounts import DEFAULT_TENANT, Plane, Principal
from sayso.domain.actions import RiskClass
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.events import Event, EventType
from sayso.domain.jobs import Job, JobKind, JobState
from sayso.domain.lifecycle import Cancel, Change, Decide, Expire, Extend
from sayso.domain.requests import ActionDraft, OnTimeout, Request, Status
from sayso.domain.rules import Rule
from sayso.domain.sessions import Session
from sayso.domain.webhooks import Webhook
from sayso.errors import ConflictError
from sayso.signals.base import Signal
from sayso.stores.base import EventQuery, JobQuery, Login, Query, Stores
from sayso.testing.factories import AGENT, NOW, PERSON, make_change, make_draft, make_job
from sayso.testing.record_contract import LoginContract, RecordContract

_APPROVE = Decide(answer=Answer(type=DecisionType.APPROVE), by=PERSON, channel=Channel.WEB)
_REJECT = Decide(answer=Answer(type=DecisionType.REJECT), by=PERSON, channel=Channel.WEB)
_PENDING = frozenset({Status.PENDING})
_PATIENCE = 60
"""Seconds in which whatever is to come has come, on however busy a machine."""
_ELSEWHERE = Principal(plane=Plane.AGENT, id="agent-2", name="another", tenant="elsewhere")


async def _submitted(store: Stores, **fields: Any) -> Request:
    change = make_change(make_draft(**fields))
    await store.commit(change)
    return change.request


async def _applied(store: Stores, request: Request, command: lifecycle.Command) -> Request:
    change = lifecycle.apply(request, command, NOW + timedelta(seconds=1))
    await store.commit(change)
    return change.request


async def _with_jobs(store: Stores, count: int) -> list[Job]:
    """A change that causes so many jobs, all due."""
    change = make_change()
    jobs = tuple(make_job(change.request, f"{number:03}") for number in range(count))
    await store.commit(msgspec.structs.replace(change, jobs=jobs))
    return list(jobs)


def _webhook(webhook_id: str) -> Webhook:
    return Webhook(
        id=webhook_id,
        url="https://one.example/",
        types=(EventType.REQUEST_DECIDED,),
        secret="whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",  # noqa: S106  a test's
        created_at=NOW,
        created_by=PERSON.actor,
    )


async def _all_jobs(store: Stores, query: JobQuery) -> list[str]:
    """The ids of all pages of a query."""
    found: list[str] = []
    while True:
        page = await store.find_jobs(query)
        found += [job.id for job in page.items]
        if page.next is None:
            return found
        query = msgspec.structs.replace(query, after=page.next)


async def _all(store: Stores, query: Query) -> list[Request]:
    """All pages of a query."""
    found: list[Request] = []
    while True:
        page = await store.find(query)
        found += page.items
        if page.next is None:
            return found
        query = msgspec.structs.replace(query, after=page.next)


class StoreContract(RecordContract, LoginContract):
    """What every store promises. The fixture `store` gives an open, empty one."""

    async def test_what_was_committed_is_read_back_unchanged(self, store: Stores) -> None:
        request = await _submitted(
            store,
            message="Überweisen? \u202e\U0001f600",
            session_id="s",
            client_id="c",
            action=ActionDraft(
                tool_name="pay",
                tool_args={"amount": 12.5, "to": ["a", None, True]},
                risk_class=RiskClass.HIGH,
            ),
            options=["Yes", "No"],
            metadata={"deep": {"er": [1, 2.5, "x"]}},
        )
        assert await store.get(DEFAULT_TENANT, request.id) == request

    async def test_an_unknown_id_is_none(self, store: Stores) -> None:
        assert await store.get(DEFAULT_TENANT, "no-such-id") is None

    async def test_a_change_from_an_old_version_is_refused_whole(self, store: Stores) -> None:
        request = await _submitted(store)
        decided = await _applied(store, request, _APPROVE)
        events_before, _ = await store.events(EventQuery())
        late = lifecycle.apply(request, _REJECT, NOW + timedelta(seconds=2))
        try:
            await store.commit(late)
        except ConflictError:
            pass
        else:
            raise AssertionError("a second decision was kept")
        assert await store.get(DEFAULT_TENANT, request.id) == decided
        events_after, _ = await store.events(EventQuery())
        assert list(events_after) == list(events_before)

    async def test_of_many_concurrent_decisions_exactly_one_is_kept(self, store: Stores) -> None:
        request = await _submitted(store)
        changes = [
            lifecycle.apply(request, command, NOW + timedelta(seconds=1))
            for command in [_APPROVE, _REJECT, Cancel(by=AGENT)] * 10
        ]
        results = await asyncio.gather(
            *(store.commit(change) for change in changes), return_exceptions=True
        )
        assert results.count(None) == 1
        assert all(isinstance(r, ConflictError) for r in results if r is not None)
        kept = await store.get(DEFAULT_TENANT, request.id)
        assert kept == changes[results.index(None)].request
        told, _ = await store.events(EventQuery(request_id=request.id))
        assert len(told) == 2

    async def test_an_id_is_submitted_once(self, store: Stores) -> None:
        change = make_change()
        await store.commit(change)
        results = await asyncio.gather(store.commit(change), return_exceptions=True)
        assert isinstance(results[0], ConflictError)

    async def test_an_idempotency_key_is_kept_once_in_a_tenant(self, store: Stores) -> None:
        first = make_change(key="k", fingerprint="f")
        second = make_change(key="k", fingerprint="g")
        elsewhere = make_change(key="k", by=_ELSEWHERE)
        results = await asyncio.gather(
            *(store.commit(change) for change in (first, second, elsewhere)),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [type(None), ConflictError, type(None)]
        replay = await store.replay(DEFAULT_TENANT, "k")
        assert replay is not None
        assert (replay.request, replay.fingerprint) == (first.request, "f")
        assert await store.replay(DEFAULT_TENANT, "other") is None

    async def test_a_refused_change_does_not_spoil_its_neighbours(self, store: Stores) -> None:
        taken = make_change()
        await store.commit(taken)
        good: list[Change] = [make_change() for _ in range(50)]
        mixed = [c for pair in zip(good, [taken] * 50, strict=True) for c in pair]
        results = await asyncio.gather(*(store.commit(c) for c in mixed), return_exceptions=True)
        assert results[::2] == [None] * 50
        for change in good:
            assert await store.get(DEFAULT_TENANT, change.request.id) == change.request

    async def test_requests_are_found_newest_first_by_pages(self, store: Stores) -> None:
        submitted = [await _submitted(store) for _ in range(7)]
        expected = submitted[::-1]
        first = await store.find(Query(limit=3))
        assert list(first.items) == expected[:3]
        assert first.next == expected[2].id
        assert await _all(store, Query(limit=3)) == expected
        exactly = await store.find(Query(limit=7))
        assert exactly.next is None

    async def test_filters_go_together(self, store: Stores) -> None:
        a = await _submitted(store, session_id="s1", client_id="c1")
        b = await _submitted(store, session_id="s1", client_id="c2")
        c = await _submitted(store, session_id="s2", client_id="c1")
        d = await _submitted(store)
        a = await _applied(store, a, _APPROVE)
        c = await _applied(store, c, Cancel(by=AGENT))
        closed = frozenset(Status) - _PENDING
        for query, expected in (
            (Query(status=_PENDING), [d, b]),
            (Query(status=closed), [c, a]),
            (Query(status=frozenset({Status.APPROVED})), [a]),
            (Query(status=frozenset({Status.APPROVED, Status.PENDING})), [d, b, a]),
            (Query(session_id="s1"), [b, a]),
            (Query(session_id="s1", status=_PENDING), [b]),
            (Query(client_id="c1"), [c, a]),
            (Query(client_id="c1", session_id="s2"), [c]),
            (Query(client_id="nobody"), []),
        ):
            for limit in (1, 2, 50):
                found = await _all(store, msgspec.structs.replace(query, limit=limit))
                assert found == expected, (query, limit)

    async def test_a_text_is_found_in_any_case_wherever_a_person_would_look(
        self, store: Stores
    ) -> None:
        request = await _submitted(store, message="Überweisung an Straße 5", metadata={"k": "ACME"})
        await _submitted(store, message="something else")
        for text in ("überweisung", "STRASSE", "acme", request.id[-4:]):
            found = await _all(store, Query(text=text))
            assert found == [request], text
        assert await _all(store, Query(text="100%")) == []

    async def test_a_deadline_is_due_when_it_has_come_and_until_it_is_closed(
        self, store: Stores
    ) -> None:
        later = await _submitted(store, timeout_seconds=20)
        sooner = await _submitted(store, timeout_seconds=10)
        await _submitted(store, timeout_seconds=None)
        decided = await _submitted(store, timeout_seconds=5)
        await _applied(store, decided, _APPROVE)
        assert list(await store.due(NOW + timedelta(seconds=9.999), 10)) == []
        assert list(await store.due(NOW + timedelta(seconds=10), 10)) == [sooner]
        at = NOW + timedelta(seconds=30)
        assert list(await store.due(at, 10)) == [sooner, later]
        assert list(await store.due(at, 1)) == [sooner]
        await store.commit(lifecycle.apply(sooner, Expire(), at))
        assert list(await store.due(at, 10)) == [later]

    async def test_what_silence_escalates_is_due_once_more_and_what_it_parks_never_again(
        self, store: Stores
    ) -> None:
        parked = await _submitted(store, timeout_seconds=10, on_timeout=OnTimeout.PARK)
        change = make_change(make_draft(timeout_seconds=20))
        asked = msgspec.structs.replace(
            change.request, on_timeout=OnTimeout.ESCALATE, escalate_to=Rule(groups=("bosses",))
        )
        await store.commit(msgspec.structs.replace(change, request=asked))
        at = NOW + timedelta(seconds=25)
        assert list(await store.due(at, 10)) == [parked, asked]
        for request in (parked, asked):
            await store.commit(lifecycle.apply(request, Expire(), at))
        assert list(await store.due(at + timedelta(seconds=19), 10)) == []
        (escalated,) = await store.due(at + timedelta(seconds=20), 10)
        assert (escalated.id, escalated.escalated_at) == (asked.id, at)
        waiting = await _all(store, Query(status=_PENDING))
        assert {each.id: each.parked_at for each in waiting} == {asked.id: None, parked.id: at}
        found = await _all(store, Query(status=_PENDING, is_parked=True))
        assert [each.id for each in found] == [parked.id]

    async def test_tenants_do_not_see_one_another(self, store: Stores) -> None:
        change = make_change(by=_ELSEWHERE)
        await store.commit(change)
        ours = await _submitted(store)
        assert await store.get(DEFAULT_TENANT, change.request.id) is None
        assert await store.get("elsewhere", change.request.id) == change.request
        assert await _all(store, Query()) == [ours]
        assert await _all(store, Query(status=_PENDING, tenant="elsewhere")) == [change.request]
        events, _ = await store.events(EventQuery())
        assert {event.request_id for event in events} == {ours.id}
        of_all, _ = await store.events(EventQuery(tenant=None))
        assert [event.request_id for event in of_all] == [change.request.id, ours.id]

    async def test_events_are_read_in_order_without_gap_or_double(self, store: Stores) -> None:
        requests = [await _submitted(store) for _ in range(5)]
        await asyncio.gather(*(_applied(store, request, _APPROVE) for request in requests))
        events: list[Event] = []
        after = 0
        while True:
            some, reached = await store.events(EventQuery(after=after, limit=3))
            if reached == after:
                break
            events += some
            after = reached
        ids = [event.id for event in events]
        assert ids == sorted(set(ids))
        assert [e.type for e in events[:5]] == [EventType.REQUEST_SUBMITTED] * 5
        assert {e.request_id for e in events[5:]} == {request.id for request in requests}
        assert await store.events(EventQuery(limit=0)) == ((), after)

    async def test_filtered_events_move_the_cursor_past_the_others(self, store: Stores) -> None:
        wanted = await _submitted(store, session_id="s", client_id="c")
        await _applied(store, wanted, _APPROVE)
        for _ in range(4):
            await _submitted(store)
        for query in (
            EventQuery(request_id=wanted.id),
            EventQuery(session_id="s"),
            EventQuery(client_id="c"),
        ):
            events, reached = await store.events(query)
            assert [event.request_id for event in events] == [wanted.id] * 2
            assert reached == (await store.events(EventQuery(limit=0)))[1]
        decided, _ = await store.events(EventQuery(types=frozenset({EventType.REQUEST_DECIDED})))
        assert [event.request_id for event in decided] == [wanted.id]

    async def test_a_session_is_replaced_and_its_events_are_kept(self, store: Stores) -> None:
        session = Session(id="s", client_id="c", created_at=NOW)
        told = Event(type=EventType.SESSION_REGISTERED, at=NOW, session_id="s", actor="agent:local")
        await store.put_session(session, told)
        closed = msgspec.structs.replace(session, active=False)
        await store.put_session(closed, told)
        assert await store.get_session(DEFAULT_TENANT, "s") == closed
        assert await store.get_session("elsewhere", "s") is None
        events, _ = await store.events(EventQuery(session_id="s"))
        assert len(events) == 2

    async def test_an_extended_deadline_is_due_at_its_new_time(self, store: Stores) -> None:
        request = await _submitted(store, timeout_seconds=10)
        await _applied(store, request, Extend(by=AGENT, timeout=timedelta(seconds=60)))
        assert list(await store.due(NOW + timedelta(seconds=30), 10)) == []
        (due,) = await store.due(NOW + timedelta(seconds=61), 10)
        assert due.version == 2
        await _applied(store, due, Extend(by=AGENT, timeout=None))
        assert list(await store.due(NOW + timedelta(days=9), 10)) == []

    async def test_jobs_are_kept_with_their_change_or_not_at_all(self, store: Stores) -> None:
        change = make_change()
        first, second = make_job(change.request, "a"), make_job(change.request, "b")
        await store.commit(msgspec.structs.replace(change, jobs=(first, second)))
        again = msgspec.structs.replace(change, jobs=(make_job(change.request, "c"),))
        results = await asyncio.gather(store.commit(again), return_exceptions=True)
        assert isinstance(results[0], ConflictError)
        page = await store.find_jobs(JobQuery(request_id=change.request.id))
        assert page.items == (second, first)
        assert page.next is None
        assert await store.get_job(DEFAULT_TENANT, first.id) == first
        assert await store.get_job("elsewhere", first.id) is None

    async def test_a_job_whose_id_is_known_is_left_as_it_is(self, store: Stores) -> None:
        request = await _submitted(store)
        kept = make_job(request, "a")
        other = msgspec.structs.replace(kept, url="https://elsewhere.example/")
        for number, job in enumerate((kept, other), start=1):
            command = Extend(by=AGENT, timeout=timedelta(hours=number))
            change = lifecycle.apply(request, command, NOW)
            await store.commit(msgspec.structs.replace(change, jobs=(job,)))
            request = change.request
        assert await store.get_job(DEFAULT_TENANT, kept.id) == kept

    async def test_a_due_job_is_claimed_by_one_alone(self, store: Stores) -> None:
        await _with_jobs(store, 30)
        until = NOW + timedelta(seconds=30)
        claims = await asyncio.gather(*(store.claim(NOW, until, 4) for _ in range(20)))
        ids = [job.id for claim in claims for job in claim]
        assert len(ids) == len(set(ids)) == 30
        for job in (job for claim in claims for job in claim):
            assert (job.state, job.attempt, job.due_at) == (JobState.RUNNING, 1, until)
        assert list(await store.claim(NOW, until, 4)) == []

    async def test_a_job_is_not_claimed_before_it_is_due(self, store: Stores) -> None:
        request = await _submitted(store)
        jobs = [make_job(request, str(n), due_at=NOW + timedelta(seconds=n)) for n in (3, 1, 2)]
        change = lifecycle.apply(request, _APPROVE, NOW)
        await store.commit(msgspec.structs.replace(change, jobs=tuple(jobs)))
        until = NOW + timedelta(seconds=60)
        assert list(await store.claim(NOW + timedelta(seconds=0.999), until, 5)) == []
        claimed = await store.claim(NOW + timedelta(seconds=2), until, 5)
        assert [job.id for job in claimed] == [jobs[1].id, jobs[2].id]

    async def test_a_lease_that_ran_out_is_claimed_again_and_its_holder_changes_nothing(
        self, store: Stores
    ) -> None:
        await _with_jobs(store, 1)
        lease = timedelta(seconds=30)
        (first,) = await store.claim(NOW, NOW + lease, 1)
        assert list(await store.claim(NOW + lease / 2, NOW + lease, 1)) == []
        (second,) = await store.claim(NOW + lease, NOW + 2 * lease, 1)
        assert (second.id, second.attempt) == (first.id, 2)
        await store.settle([msgspec.structs.replace(first, state=JobState.DEAD)])
        assert await store.get_job(DEFAULT_TENANT, first.id) == second
        done = msgspec.structs.replace(second, state=JobState.DONE, finished_at=NOW)
        await store.settle([done])
        assert await store.get_job(DEFAULT_TENANT, first.id) == done
        assert list(await store.claim(NOW + 9 * lease, NOW + 10 * lease, 1)) == []

    async def test_a_job_that_failed_is_due_again_when_it_was_said(self, store: Stores) -> None:
        await _with_jobs(store, 1)
        (job,) = await store.claim(NOW, NOW + timedelta(seconds=30), 1)
        later = NOW + timedelta(seconds=5)
        again = msgspec.structs.replace(
            job, state=JobState.WAITING, due_at=later, failures=1, error="refused", status=500
        )
        await store.settle([again])
        assert await store.get_job(DEFAULT_TENANT, job.id) == again
        assert list(await store.claim(NOW + timedelta(seconds=4), later, 1)) == []
        (claimed,) = await store.claim(later, later + timedelta(seconds=30), 1)
        assert (claimed.attempt, claimed.failures, claimed.error) == (2, 1, "refused")

    async def test_jobs_are_found_by_state_and_subscription(self, store: Stores) -> None:
        request = await _submitted(store)
        mine = [make_job(request, str(n), webhook_id="w1") for n in range(3)]
        other = make_job(request, "x", webhook_id="w2")
        reminder = msgspec.structs.replace(
            make_job(request, "y", due_at=NOW + timedelta(days=1)), kind=JobKind.REMIND
        )
        change = lifecycle.apply(request, _APPROVE, NOW)
        await store.commit(msgspec.structs.replace(change, jobs=(*mine, other, reminder)))
        claimed = await store.claim(NOW, NOW + timedelta(seconds=30), 9)
        dead = [
            msgspec.structs.replace(job, state=JobState.DEAD, finished_at=NOW)
            for job in claimed
            if job.id in (mine[0].id, other.id)
        ]
        await store.settle(dead)
        for query, expected in (
            (JobQuery(webhook_id="w1"), mine[::-1]),
            (JobQuery(state=JobState.DEAD), [other, mine[0]]),
            (JobQuery(reminders=False), [other, *mine[::-1]]),
            (JobQuery(state=JobState.DEAD, webhook_id="w1"), [mine[0]]),
            (JobQuery(state=JobState.RUNNING), mine[:0:-1]),
            (JobQuery(request_id="00000000"), []),
            (JobQuery(tenant="elsewhere"), []),
        ):
            for limit in (1, 2, 50):
                found = await _all_jobs(store, msgspec.structs.replace(query, limit=limit))
                assert found == [job.id for job in expected], (query, limit)

    async def test_only_what_is_done_is_forgotten(self, store: Stores) -> None:
        jobs = await _with_jobs(store, 4)
        claimed = await store.claim(NOW, NOW + timedelta(seconds=30), 3)
        states = (JobState.DONE, JobState.DONE, JobState.DEAD)
        settled = [
            msgspec.structs.replace(job, state=state, finished_at=NOW + timedelta(seconds=number))
            for number, (job, state) in enumerate(zip(claimed, states, strict=True))
        ]
        await store.settle(settled)
        assert await store.forget_jobs(NOW, 10) == 0
        assert await store.forget_jobs(NOW + timedelta(seconds=9), 1) == 1
        assert await store.forget_jobs(NOW + timedelta(seconds=9), 10) == 1
        left = [await store.get_job(DEFAULT_TENANT, job.id) for job in jobs]
        assert {job.state for job in left if job is not None} == {JobState.DEAD, JobState.WAITING}

    async def test_subscriptions_are_kept_by_tenant(self, store: Stores) -> None:
        first = _webhook("w1")
        second = msgspec.structs.replace(first, id="w2", url="https://two.example/")
        elsewhere = msgspec.structs.replace(first, id="w3", tenant="elsewhere")
        for webhook in (second, first, elsewhere):
            assert await store.add_webhook(webhook, 2)
        assert list(await store.get_webhooks(DEFAULT_TENANT)) == [first, second]
        closed = msgspec.structs.replace(first, active=False, disabled_reason="410")
        assert await store.change_webhook(first, closed)
        assert await store.delete_webhook(DEFAULT_TENANT, "w2")
        assert not await store.delete_webhook(DEFAULT_TENANT, "w2")
        assert not await store.delete_webhook(DEFAULT_TENANT, "w3")
        assert list(await store.get_webhooks(DEFAULT_TENANT)) == [closed]

    async def test_subscriptions_are_never_more_than_there_may_be(self, store: Stores) -> None:
        webhooks = [
            msgspec.structs.replace(_webhook(f"w{number}"), tenant=tenant)
            for number in range(10)
            for tenant in (DEFAULT_TENANT, "elsewhere")
        ]
        added = await asyncio.gather(*(store.add_webhook(webhook, 3) for webhook in webhooks))
        assert sum(added) == 6
        kept = list(await store.get_webhooks(DEFAULT_TENANT))
        assert len(kept) == 3
        assert await store.add_webhook(
            msgspec.structs.replace(kept[0], url="https://x.example/"), 9
        )
        assert list(await store.get_webhooks(DEFAULT_TENANT)) == kept, "it is only added"

    async def test_a_subscription_is_changed_only_as_it_was_read(self, store: Stores) -> None:
        first = _webhook("w1")
        assert await store.add_webhook(first, 10)
        others = [msgspec.structs.replace(first, description=str(n)) for n in range(10)]
        changed = await asyncio.gather(*(store.change_webhook(first, new) for new in others))
        assert sum(changed) == 1
        (kept,) = await store.get_webhooks(DEFAULT_TENANT)
        assert kept == others[changed.index(True)]
        elsewhere = msgspec.structs.replace(kept, tenant="elsewhere")
        assert not await store.change_webhook(elsewhere, elsewhere)
        assert await store.delete_webhook(DEFAULT_TENANT, "w1")
        assert not await store.change_webhook(kept, first)
        assert list(await store.get_webhooks(DEFAULT_TENANT)) == []

    async def test_there_is_nothing_under_names_that_no_database_may_hold(
        self, store: Stores
    ) -> None:
        for name in ("\0", "a\0b"):
            assert await store.get(DEFAULT_TENANT, name) is None
            assert await store.replay(DEFAULT_TENANT, name) is None
            assert await store.get_session(DEFAULT_TENANT, name) is None
            assert await store.get_job(DEFAULT_TENANT, name) is None

    async def test_a_link_is_used_once(self, store: Stores) -> None:
        used = await asyncio.gather(*(store.use_link("name", NOW) for _ in range(10)))
        assert sorted(used) == [False] * 9 + [True]
        assert await store.use_link("another", NOW)

    async def test_a_login_is_kept_until_it_is_ended(self, store: Stores) -> None:
        login = Login(
            token_hash="h",  # noqa: S106  not a password
            person_id="ada",
            name="Ada",
            strength="link",
            created_at=NOW,
            expires_at=NOW + timedelta(hours=1),
        )
        await store.put_login(login)
        assert await store.get_login("h") == login
        await store.end_login("h")
        await store.end_login("h")
        assert await store.get_login("h") is None

    async def test_the_first_value_is_agreed_on(self, store: Stores) -> None:
        agreed = await asyncio.gather(*(store.agree("name", str(n)) for n in range(5)))
        assert len(set(agreed)) == 1
        assert await store.agree("name", "late") == agreed[0]
        assert await store.agree("another", "early") == "early"

    async def test_closing_finishes_what_was_begun(self, store: Stores) -> None:
        commits = [asyncio.ensure_future(store.commit(make_change())) for _ in range(100)]
        await asyncio.sleep(0)
        await store.close()
        assert await asyncio.gather(*commits) == [None] * 100
        await store.close()


class SignalContract:
    """What every signal promises. The fixture `signal` gives an open one."""

    async def test_a_publication_wakes_all_who_wait_for_the_key(self, signal: Signal) -> None:
        with signal.subscribe("k") as a, signal.subscribe("k") as b, signal.subscribe("x") as other:
            waits = [asyncio.ensure_future(w.wait(_PATIENCE)) for w in (a, b)]
            unrelated = asyncio.ensure_future(other.wait(0.05))
            await asyncio.sleep(0)
            signal.publish("k")
            assert await asyncio.gather(*waits, unrelated) == [True, True, False]

    async def test_a_publication_before_the_wait_is_not_missed(self, signal: Signal) -> None:
        with signal.subscribe("k") as waiter:
            signal.publish("k")
            await asyncio.sleep(0)
            assert await waiter.wait(_PATIENCE)
            assert not await waiter.wait(0.01)

    async def test_nobody_waiting_is_no_error(self, signal: Signal) -> None:
        signal.publish("nobody")

    async def test_time_runs_out(self, signal: Signal) -> None:
        with signal.subscribe("k") as waiter:
            assert not await waiter.wait(0.01)
            assert not await waiter.wait(0)

    async def test_a_cancelled_wait_leaves_nothing_behind(self, signal: Signal) -> None:
        async def wait() -> None:
            with signal.subscribe("k") as waiter:
                await waiter.wait(60)

        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        signal.publish("k")

    async def test_a_release_wakes_everybody_now_and_later(self, signal: Signal) -> None:
        with signal.subscribe("k") as waiter:
            waiting = asyncio.ensure_future(waiter.wait(3600))
            await asyncio.sleep(0)
            signal.release_all()
            assert not await asyncio.wait_for(waiting, _PATIENCE)
        with signal.subscribe("k") as later:
            assert not await asyncio.wait_for(later.wait(3600), _PATIENCE)

    async def test_closing_twice_is_harmless(self, signal: Signal) -> None:
        await signal.close()
        await signal.close()
        with signal.subscribe("k") as waiter:
            signal.publish("k")
            assert await waiter.wait(_PATIENCE)


class Bus(Protocol):
    """The server of a bus, for a test to kill and to start again."""

    def kill9(self) -> object:
        """Kill it."""
        ...

    def start(self) -> object:
        """Start it on the port that it had, and return when it serves."""
        ...


class BusContract(SignalContract):
    """What every signal between processes promises, besides.

    The fixtures `signal` and `another` give two open ones on one bus, and `bus` its server.
    """

    async def test_a_publication_wakes_waiters_of_another_process(
        self, signal: Signal, another: Signal
    ) -> None:
        with another.subscribe("k") as waiter, another.subscribe("x") as other:
            signal.publish("k")
            assert await waiter.wait(_PATIENCE)
            assert not await other.wait(0)

    async def test_of_many_publications_at_once_none_is_lost(
        self, signal: Signal, another: Signal
    ) -> None:
        keys = [f"request-{number}" for number in range(5_000)]
        with contextlib.ExitStack() as all_of_them:
            waiters = [all_of_them.enter_context(another.subscribe(key)) for key in keys]
            other = all_of_them.enter_context(another.subscribe("other"))
            for key in keys:
                signal.publish(key)
            woken = await asyncio.gather(*(waiter.wait(_PATIENCE) for waiter in waiters))
            assert woken == [True] * len(keys)
            assert not await other.wait(0)  # so it was not everybody who was woken

    async def test_publications_one_after_another_all_arrive(
        self, signal: Signal, another: Signal
    ) -> None:
        with another.subscribe("there") as there, signal.subscribe("back") as back:
            for _ in range(50):
                signal.publish("there")
                assert await there.wait(_PATIENCE)
                another.publish("back")
                assert await back.wait(_PATIENCE)

    async def test_its_own_publications_do_not_wake_twice(
        self, signal: Signal, another: Signal
    ) -> None:
        with signal.subscribe("k") as ours, another.subscribe("k") as theirs:
            signal.publish("k")
            assert await ours.wait(_PATIENCE)
            assert await theirs.wait(_PATIENCE)
            with signal.subscribe("later") as later:
                another.publish("later")  # whatever came back of our own, came before this
                assert await later.wait(_PATIENCE)
            assert not await ours.wait(0.05)

    async def test_a_key_that_no_message_can_carry_wakes_everybody(
        self, signal: Signal, another: Signal
    ) -> None:
        for key in ("a\nb", "Schl\u00fcssel", "k" * 20_000, "nul\0"):
            with another.subscribe(key) as waiter:
                signal.publish(key)
                assert await waiter.wait(_PATIENCE), key

    async def test_a_release_is_for_one_process_alone(
        self, signal: Signal, another: Signal
    ) -> None:
        signal.release_all()
        with another.subscribe("k") as waiter:
            assert not await waiter.wait(0.05)
            signal.publish("k")
            assert await waiter.wait(_PATIENCE)

    async def test_what_is_published_last_is_sent_before_closing(
        self, signal: Signal, another: Signal
    ) -> None:
        with another.subscribe("k") as waiter:
            signal.publish("k")
            await signal.close()
            assert await waiter.wait(_PATIENCE)

    async def test_after_the_bus_was_away_waiters_are_woken_and_it_goes_on(
        self, signal: Signal, another: Signal, bus: Bus
    ) -> None:
        with another.subscribe("k") as waiter, signal.subscribe("k") as ours:
            bus.kill9()
            signal.publish("k")
            assert await ours.wait(0)  # at once, whatever the bus does
            bus.start()
            woken = await asyncio.gather(waiter.wait(_PATIENCE), ours.wait(_PATIENCE))
            assert woken == [True, True]
        with another.subscribe("later") as waiter:
            signal.publish("later")
            assert await waiter.wait(_PATIENCE)

    async def test_closing_while_the_bus_is_away_takes_no_long(
        self, signal: Signal, another: Signal, bus: Bus
    ) -> None:
        signal.publish("k")
        bus.kill9()
        another.publish("k")
        async with asyncio.timeout(_PATIENCE):
            await signal.close()
            await another.close()
