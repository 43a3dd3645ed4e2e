"""The worker on a memory store, with a courier that goes nowhere and a clock that is moved."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec
import pytest

from sayso.broker import Broker
from sayso.broker.dispatch import CLAIM_SIZE, LEASE, MAX_CLAIMED, Dispatcher
from sayso.broker.targets import FIRST_PAUSE, MAX_FAILURES, MAX_RUNNING
from sayso.channels.base import Parcel, Receipt
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.events import EventType
from sayso.domain.jobs import Job, JobKind, JobState
from sayso.domain.lifecycle import Change
from sayso.domain.requests import Request
from sayso.domain.webhooks import Webhook, WebhookDraft
from sayso.errors import BusyError, ConflictError, SaysoError, StoreError
from sayso.signals.memory import MemorySignal
from sayso.stores.base import EventQuery, JobQuery
from sayso.stores.memory import MemoryStore
from sayso.testing import AGENT, PERSON, FakeClock, FakeCourier, make_draft

pytestmark = pytest.mark.anyio

URL = "https://agent.example/told"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
REFUSED = Receipt(status=500, error="The target answered with the status 500.")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def broker(clock: FakeClock) -> Broker:
    return Broker(MemoryStore(), MemorySignal(), clock)


@pytest.fixture
def courier() -> FakeCourier:
    return FakeCourier()


@pytest.fixture
def dispatcher(broker: Broker, courier: FakeCourier) -> Dispatcher:
    return Dispatcher(broker, courier, secret=SECRET, chance=lambda: 0.5)


class Patient(Dispatcher):
    """Leaves what is cancelled as it stops the time to be kept, however busy the machine is."""

    async def idle(self, seconds: float | None = None) -> None:
        await super().idle(None if seconds is None else 60)


async def ask(broker: Broker, **fields: object) -> Request:
    return (await broker.submit(make_draft(**fields), by=AGENT)).request


async def approve(broker: Broker, request: Request) -> Request:
    answer = Answer(type=DecisionType.APPROVE)
    return await broker.decide(request.id, answer, by=PERSON, channel=Channel.WEB)


async def subscribe(broker: Broker, url: str = URL, **fields: object) -> Webhook:
    return await broker.webhooks.register(WebhookDraft(url=url, **fields), by=AGENT)


async def jobs_of(broker: Broker, **query: object) -> Sequence[Job]:
    return (await broker.store.find_jobs(JobQuery(limit=1000, **query))).items


async def work(dispatcher: Dispatcher) -> None:
    """All that is due now."""
    while await dispatcher.round():
        await dispatcher.idle()
    await dispatcher.idle()


async def until(is_so: Callable[[], object]) -> None:
    """Let the other tasks run until it is so."""
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(0)


def body_of(parcel: Parcel) -> dict[str, object]:
    return msgspec.json.decode(parcel.body)


async def test_a_callback_is_told_how_the_request_ended(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier
) -> None:
    request = await ask(broker, callback_url=URL)
    await work(dispatcher)
    assert courier.parcels == []
    decided = await approve(broker, request)
    await work(dispatcher)
    (parcel,) = courier.parcels
    assert (parcel.url, parcel.secrets, parcel.at) == (URL, (SECRET,), broker.clock.now())
    body = body_of(parcel)
    assert (body["type"], body["timestamp"]) == ("request.decided", "2026-01-01T00:00:00Z")
    data = body["data"]
    assert msgspec.convert(data["request"], Request) == decided
    assert (data["request_id"], data["actor"]) == (request.id, PERSON.actor)
    assert "id" not in data
    (job,) = await jobs_of(broker)
    assert (job.id, job.state, job.status) == (parcel.id, JobState.DONE, 200)
    assert job.finished_at == broker.clock.now()


@pytest.mark.parametrize("end", ["request.expired", "request.cancelled"])
async def test_a_callback_is_told_of_an_end_without_a_decision(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier, clock: FakeClock, end: str
) -> None:
    request = await ask(broker, callback_url=URL, timeout_seconds=10)
    if end == "request.cancelled":
        await broker.cancel(request.id, by=AGENT)
    else:
        clock.advance(10)
        assert await broker.expire_due() == 1
    await work(dispatcher)
    assert [body_of(parcel)["type"] for parcel in courier.parcels] == [end]


async def test_a_subscription_is_told_of_what_it_wants_and_signs_with_its_own_secret(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier
) -> None:
    every = await subscribe(broker, "https://every.example/")
    await subscribe(broker, "https://ends.example/", types=[EventType.REQUEST_DECIDED])
    await subscribe(broker, "https://others.example/", session_id="another")
    request = await ask(broker, session_id="mine")
    await broker.extend(request.id, None, by=AGENT)
    await approve(broker, request)
    await broker.sessions.register("mine", "client", telegram_id=None, by=AGENT)
    await work(dispatcher)
    told = [(parcel.url[8:-9], body_of(parcel)["type"]) for parcel in courier.parcels]
    assert sorted(told) == [
        ("ends", "request.decided"),
        ("every", "request.decided"),
        ("every", "request.extended"),
        ("every", "request.submitted"),
        ("every", "session.registered"),
    ]
    assert len({parcel.id for parcel in courier.parcels}) == 5
    assert {parcel.secrets for parcel in courier.parcels if "every" in parcel.url} == {
        (every.secret,)
    }


async def test_nobody_to_tell_makes_no_job(broker: Broker) -> None:
    await approve(broker, await ask(broker))
    assert await jobs_of(broker) == ()


async def test_while_a_secret_is_rotated_both_sign(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier, clock: FakeClock
) -> None:
    old = await subscribe(broker)
    new = await broker.webhooks.rotate(old.id, by=AGENT)
    for hours in (1, 24):
        await ask(broker)
        await work(dispatcher)
        clock.advance(3_600 * hours)
    await ask(broker)
    await work(dispatcher)
    assert [parcel.secrets for parcel in courier.parcels] == [
        (new.secret, old.secret),
        (new.secret, old.secret),
        (new.secret,),
    ]


async def test_a_delivery_that_fails_is_tried_again_under_the_same_id_until_it_is_dead(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier, clock: FakeClock
) -> None:
    courier.answer = lambda _: Receipt(status=404, error="The target answered with the status 404.")
    await approve(broker, await ask(broker, callback_url=URL))
    waited: list[float] = []
    while True:
        await work(dispatcher)
        (job,) = await jobs_of(broker)
        if not job.is_open:
            break
        assert (job.state, job.failures) == (JobState.WAITING, len(courier.parcels))
        waited.append((job.due_at - clock.now()).total_seconds())
        clock.advance(waited[-1] - 0.001)
        assert not await dispatcher.round()
        clock.advance(0.001)
    assert waited == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert (job.state, job.failures, job.status) == (JobState.DEAD, 10, 404)
    assert job.error == "The target answered with the status 404."
    assert {parcel.id for parcel in courier.parcels} == {job.id}
    assert len({parcel.at for parcel in courier.parcels}) == 10


async def test_a_delivery_tells_of_the_request_as_it_is_by_then(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier
) -> None:
    await subscribe(broker, types=[EventType.REQUEST_SUBMITTED])
    await approve(broker, await ask(broker))
    await work(dispatcher)
    (parcel,) = courier.parcels
    body = body_of(parcel)
    assert (body["type"], body["data"]["request"]["status"]) == ("request.submitted", "approved")


async def test_a_target_that_is_gone_ends_its_subscription(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier
) -> None:
    webhook = await subscribe(broker)
    courier.answer = lambda _: Receipt(status=410, error="The target wants no more.", gone=True)
    await ask(broker)
    await work(dispatcher)
    disabled = await broker.webhooks.get(webhook.id, by=AGENT)
    assert (disabled.active, disabled.disabled_reason) == (False, "The target wants no more.")
    await ask(broker)
    (job,) = await jobs_of(broker)
    assert (job.state, job.status) == (JobState.DEAD, 410)


async def test_a_subscription_that_is_removed_while_it_is_told_stays_removed(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier
) -> None:
    webhook = await subscribe(broker)
    courier.answer = lambda _: Receipt(status=410, error="No more.", gone=True)
    courier.hold()
    await ask(broker)
    await dispatcher.round()
    await until(lambda: courier.held)
    await broker.webhooks.delete(webhook.id, by=AGENT)
    courier.release()
    await dispatcher.idle()
    assert await broker.webhooks.find(by=PERSON) == ()


async def test_what_waits_for_a_subscription_that_is_removed_is_given_up(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier
) -> None:
    webhook = await subscribe(broker)
    await ask(broker)
    await broker.webhooks.delete(webhook.id, by=AGENT)
    await work(dispatcher)
    (job,) = await jobs_of(broker)
    assert (job.state, job.error) == (JobState.DEAD, "The subscription was removed.")
    assert courier.parcels == []


async def test_a_hopeless_target_is_given_up_at_once(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier
) -> None:
    courier.answer = lambda _: Receipt(error="It is not public.", hopeless=True)
    await approve(broker, await ask(broker, callback_url=URL))
    await work(dispatcher)
    (job,) = await jobs_of(broker)
    assert (job.state, job.failures, job.error) == (JobState.DEAD, 1, "It is not public.")


async def test_a_reminder_is_given_as_often_as_it_was_asked_for(
    broker: Broker, dispatcher: Dispatcher, clock: FakeClock
) -> None:
    request = await ask(broker, remind_every_seconds=60, timeout_seconds=200)
    for reminders in (1, 2, 3):
        clock.advance(60)
        await work(dispatcher)
        assert (await broker.get(request.id, by=AGENT)).reminders == reminders
    clock.advance(19)  # a fourth would come after the deadline
    await work(dispatcher)
    reminded = EventQuery(types=frozenset({EventType.REQUEST_REMINDED}))
    events, _ = await broker.store.events(reminded)
    assert [event.data["reminders"] for event in events] == [1, 2, 3]
    assert {job.state for job in await jobs_of(broker)} == {JobState.DONE}


async def test_an_extension_goes_on_with_the_reminders(
    broker: Broker, dispatcher: Dispatcher, clock: FakeClock
) -> None:
    request = await ask(broker, remind_every_seconds=60, timeout_seconds=90)
    clock.advance(60)
    await work(dispatcher)
    await broker.extend(request.id, 600, by=AGENT)
    clock.advance(60)
    await work(dispatcher)
    assert (await broker.get(request.id, by=AGENT)).reminders == 2


async def test_a_worker_that_died_after_a_reminder_does_not_give_it_twice(
    broker: Broker, dispatcher: Dispatcher, clock: FakeClock
) -> None:
    request = await ask(broker, remind_every_seconds=60)
    clock.advance(60)
    now = clock.now()
    (job,) = await broker.store.claim(now, now + LEASE, 1)
    assert job.kind is JobKind.REMIND
    await broker.remind(request.id, after=0, tenant=request.tenant)  # and then it died
    clock.advance(LEASE.total_seconds())
    await work(dispatcher)
    first = await broker.store.get_job(request.tenant, job.id)
    assert first is not None
    assert first.state is JobState.DONE
    events, _ = await broker.store.events(EventQuery(request_id=request.id))
    numbers = [e.data["reminders"] for e in events if e.type is EventType.REQUEST_REMINDED]
    assert numbers == sorted(set(numbers))


async def test_a_closed_request_is_not_reminded_of(
    broker: Broker, dispatcher: Dispatcher, clock: FakeClock
) -> None:
    request = await ask(broker, remind_every_seconds=60)
    await approve(broker, request)
    clock.advance(60)
    await work(dispatcher)
    assert (await broker.get(request.id, by=AGENT)).reminders == 0
    assert [job.state for job in await jobs_of(broker)] == [JobState.DONE]


async def test_a_slow_target_does_not_hold_up_a_fast_one(broker: Broker, clock: FakeClock) -> None:
    class SlowAtOne(FakeCourier):
        async def deliver(self, parcel: Parcel) -> Receipt:
            if "slow" in parcel.url:
                return await super().deliver(parcel)
            self.fast.append(parcel)
            return Receipt(ok=True, status=200)

    courier = SlowAtOne()
    courier.fast: list[Parcel] = []
    courier.hold()
    dispatcher = Dispatcher(broker, courier, secret=SECRET)
    for number in range(MAX_CLAIMED + 10):
        await approve(broker, await ask(broker, callback_url=f"https://slow.example/{number}"))
    await approve(broker, await ask(broker, callback_url="https://fast.example/"))
    while await dispatcher.round():
        pass
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(courier.fast) == 1
    assert courier.held == MAX_RUNNING
    put_back = [job for job in await jobs_of(broker) if job.state is JobState.WAITING]
    assert len(put_back) > MAX_CLAIMED - CLAIM_SIZE  # few are held, and so others have room
    assert {job.failures for job in put_back} == {0}
    courier.release()
    await dispatcher.idle()
    while {job.state for job in await jobs_of(broker)} != {JobState.DONE}:
        clock.advance(5)  # the longer the tries were held, the later the others come
        await work(dispatcher)


async def test_many_slow_targets_do_not_hold_up_a_fast_one(
    broker: Broker, courier: FakeCourier
) -> None:
    courier.hold()
    dispatcher = Dispatcher(broker, courier, secret=SECRET)
    for number in range(26 * 36):
        url = f"https://slow{number % 26}.example/"
        await approve(broker, await ask(broker, callback_url=url))
    await approve(broker, await ask(broker, callback_url="https://fast.example/"))
    async with asyncio.timeout(60):
        while await dispatcher.round():
            pass
    for _ in range(10):
        await asyncio.sleep(0)
    (fast,) = [job for job in await jobs_of(broker) if "fast" in job.url]
    assert fast.state is JobState.RUNNING
    courier.release()
    await dispatcher.idle()


async def test_a_host_that_fails_is_left_alone_for_a_while(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier, clock: FakeClock
) -> None:
    courier.answer = lambda _: REFUSED
    for _ in range(5):
        await approve(broker, await ask(broker, callback_url=URL))
    await work(dispatcher)
    assert len(courier.parcels) == 5
    await approve(broker, await ask(broker, callback_url=f"{URL}/another"))
    await approve(broker, await ask(broker, callback_url="https://another.example/"))
    clock.advance(6)  # the retries are due
    await work(dispatcher)
    assert [parcel.url for parcel in courier.parcels[5:]] == ["https://another.example/"]
    assert {job.failures for job in await jobs_of(broker) if job.url == URL} == {1}
    clock.advance(FIRST_PAUSE.total_seconds() * 1.25)
    courier.answer = lambda _: Receipt(ok=True, status=204)
    for _ in range(10):
        await work(dispatcher)
        clock.advance(20)
    assert {job.state for job in await jobs_of(broker)} == {JobState.DONE}


async def test_a_try_that_could_outlast_its_lease_is_not_begun(
    broker: Broker, courier: FakeCourier, clock: FakeClock
) -> None:
    class SlowStore(MemoryStore):
        async def get(self, tenant: str, request_id: str) -> Request | None:
            if self.is_slow:
                clock.advance(45)
            return await super().get(tenant, request_id)

    store = SlowStore()
    store.is_slow = False
    broker = Broker(store, MemorySignal(), clock)
    dispatcher = Dispatcher(broker, courier, secret=SECRET)
    await approve(broker, await ask(broker, callback_url=URL))
    store.is_slow = True
    await work(dispatcher)
    assert courier.parcels == []
    store.is_slow = False
    await work(dispatcher)
    assert len(courier.parcels) == 1


async def test_stopping_finishes_what_is_under_way_and_puts_the_rest_back(
    broker: Broker, courier: FakeCourier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sayso.broker.dispatch.STOP_SECONDS", 0.05)
    dispatcher = Patient(broker, courier, secret=SECRET)
    running = asyncio.ensure_future(dispatcher.run())
    courier.hold()
    await approve(broker, await ask(broker, callback_url=URL))
    await until(lambda: courier.held)
    await dispatcher.stop()
    assert running.done()
    (job,) = await jobs_of(broker)
    assert (job.state, job.failures) == (JobState.WAITING, 0)
    assert job.due_at == broker.clock.now()
    courier.release()
    await work(Dispatcher(broker, courier, secret=SECRET))
    assert [parcel.id for parcel in courier.parcels] == [job.id, job.id]


async def test_what_is_held_for_a_busy_target_is_begun_as_soon_as_there_is_room(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier
) -> None:
    for number in range(MAX_RUNNING + 20):
        await approve(broker, await ask(broker, callback_url=f"{URL}/{number}"))
    courier.hold()
    await dispatcher.round()
    await until(lambda: courier.held == MAX_RUNNING)
    courier.release()
    await dispatcher.idle()
    assert len(courier.parcels) == MAX_RUNNING + 20
    assert {job.state for job in await jobs_of(broker)} == {JobState.DONE}


async def test_a_worker_whose_signal_is_released_lets_others_run_until_it_is_stopped(
    broker: Broker, dispatcher: Dispatcher
) -> None:
    """Neither that signal nor a store in memory ever waits."""
    running = asyncio.ensure_future(dispatcher.run())
    await asyncio.sleep(0)
    broker.signal.release_all()
    await asyncio.sleep(0.05)
    await dispatcher.stop()
    assert running.done()


async def test_stopping_puts_back_what_is_held(
    broker: Broker, courier: FakeCourier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sayso.broker.dispatch.STOP_SECONDS", 0.05)
    dispatcher = Patient(broker, courier, secret=SECRET)
    running = asyncio.ensure_future(dispatcher.run())
    courier.hold()
    for number in range(MAX_RUNNING + 20):
        await approve(broker, await ask(broker, callback_url=f"{URL}/{number}"))
    await until(lambda: courier.held == MAX_RUNNING)
    await dispatcher.stop()
    assert running.done()
    left = await jobs_of(broker)
    assert {(job.state, job.failures) for job in left} == {(JobState.WAITING, 0)}


async def test_what_is_held_for_a_host_that_fails_is_put_back(
    broker: Broker, clock: FakeClock
) -> None:
    courier = FakeCourier(lambda _: REFUSED)
    dispatcher = Dispatcher(broker, courier, secret=SECRET, chance=lambda: 0.5)
    for number in range(MAX_RUNNING + 20):
        await approve(broker, await ask(broker, callback_url=f"{URL}/{number}"))
    await work(dispatcher)
    tried = MAX_RUNNING + MAX_FAILURES - 1  # each failure but the last one makes room for another
    assert len(courier.parcels) == tried
    jobs = await jobs_of(broker)
    assert sum(job.failures for job in jobs) == tried
    assert {job.state for job in jobs} == {JobState.WAITING}


async def test_a_signal_wakes_the_worker_at_once(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sayso.broker.dispatch.POLL_SECONDS", 60)
    running = asyncio.ensure_future(dispatcher.run())
    await asyncio.sleep(0.01)
    await approve(broker, await ask(broker, callback_url=URL))
    await until(lambda: courier.parcels)
    broker.signal.release_all()
    await dispatcher.stop()
    await running


@pytest.mark.parametrize("error", [StoreError("no"), BusyError("Too many operations.")])
async def test_a_store_that_fails_for_a_while_loses_nothing(
    clock: FakeClock, courier: FakeCourier, monkeypatch: pytest.MonkeyPatch, error: SaysoError
) -> None:
    for module in ("dispatch", "tries"):
        monkeypatch.setattr(f"sayso.broker.{module}.STORE_SECONDS", 0.001)

    class FailingStore(MemoryStore):
        claims = settles = 0

        async def claim(self, *args: object) -> Sequence[Job]:
            self.claims += 1
            if self.claims % 3:
                raise error
            return await super().claim(*args)

        async def settle(self, jobs: Sequence[Job]) -> None:
            self.settles += 1
            if self.settles % 3:
                raise error
            await super().settle(jobs)

    broker = Broker(FailingStore(), MemorySignal(), clock)
    dispatcher = Dispatcher(broker, courier, secret=SECRET)
    running = asyncio.ensure_future(dispatcher.run())
    request = await ask(broker, callback_url=URL)
    await approve(broker, request)
    await until(lambda: broker.store.settles >= 3)
    (job,) = await jobs_of(broker)
    assert job.state is JobState.DONE
    assert len(courier.parcels) == 1
    broker.signal.release_all()
    await dispatcher.stop()
    await running


@pytest.mark.parametrize("error", [BusyError("Full."), ConflictError(), StoreError("Away.")])
async def test_a_reminder_that_meets_a_full_store_comes_later_and_the_others_follow(
    clock: FakeClock, courier: FakeCourier, error: SaysoError
) -> None:
    class FullStore(MemoryStore):
        is_full = False

        async def commit(self, change: Change) -> None:
            if self.is_full:
                raise error
            await super().commit(change)

    store = FullStore()
    broker = Broker(store, MemorySignal(), clock)
    dispatcher = Dispatcher(broker, courier, secret=SECRET, chance=lambda: 0.5)
    request = await ask(broker, remind_every_seconds=60)
    clock.advance(60)
    store.is_full = True
    await work(dispatcher)
    (job,) = await jobs_of(broker)
    assert (job.state, job.failures) == (JobState.WAITING, 0)
    store.is_full = False
    for reminders in (1, 2):
        clock.advance(60)
        await work(dispatcher)
        assert (await broker.get(request.id, by=AGENT)).reminders == reminders


async def test_a_full_store_is_not_the_targets_failure(
    clock: FakeClock, courier: FakeCourier
) -> None:
    class FullStore(MemoryStore):
        is_full = False

        async def get(self, tenant: str, request_id: str) -> Request | None:
            if self.is_full:
                raise BusyError("Too many operations are waiting.")
            return await super().get(tenant, request_id)

    store = FullStore()
    broker = Broker(store, MemorySignal(), clock)
    dispatcher = Dispatcher(broker, courier, secret=SECRET, chance=lambda: 0.5)
    await approve(broker, await ask(broker, callback_url=URL))
    store.is_full = True
    await work(dispatcher)
    (job,) = await jobs_of(broker)
    assert (job.state, job.failures, courier.parcels) == (JobState.WAITING, 0, [])
    store.is_full = False
    clock.advance(1)
    await work(dispatcher)
    assert [job.state for job in await jobs_of(broker)] == [JobState.DONE]


async def test_old_jobs_that_are_done_are_forgotten(
    broker: Broker, dispatcher: Dispatcher, clock: FakeClock
) -> None:
    await approve(broker, await ask(broker, callback_url=URL))
    await work(dispatcher)
    clock.advance(7 * 86_400 - 1)
    await work(dispatcher)
    assert len(await jobs_of(broker)) == 1
    clock.advance(61)
    await work(dispatcher)
    assert await jobs_of(broker) == ()


async def test_a_subscription_made_elsewhere_is_not_taken_for_removed(
    broker: Broker, courier: FakeCourier, clock: FakeClock
) -> None:
    elsewhere = Broker(broker.store, MemorySignal(), clock)
    assert await elsewhere.webhooks.of("default") == []
    await subscribe(broker)
    await ask(broker)
    await work(Dispatcher(elsewhere, courier, secret=SECRET))
    assert len(courier.parcels) == 1


async def test_pauses_follow_the_wish_of_the_target_within_bounds(
    broker: Broker, dispatcher: Dispatcher, courier: FakeCourier, clock: FakeClock
) -> None:
    for wish, waits in ((1.0, 5.0), (120.0, 120.0), (1e9, 86_400.0)):
        courier.answer = lambda _, wish=wish: Receipt(status=429, error="Later.", retry_after=wish)
        request = await ask(broker, callback_url=URL)
        await approve(broker, request)
        await work(dispatcher)
        (job,) = await jobs_of(broker, request_id=request.id)
        assert job.due_at - clock.now() == timedelta(seconds=waits)
