"""Subscriptions and deliveries of the engine, on a memory store."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from sayso.broker import Broker
from sayso.broker.webhooks import MAX_WEBHOOKS
from sayso.channels.base import Receipt
from sayso.domain.accounts import Plane, Principal, Role
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.jobs import JobState
from sayso.domain.requests import Request, Status
from sayso.domain.webhooks import Webhook, WebhookDraft
from sayso.errors import ConflictError, InvalidRequestError, NotFoundError, RefusedError
from sayso.signals.memory import MemorySignal
from sayso.stores.base import JobQuery
from sayso.stores.memory import MemoryStore
from sayso.testing import AGENT, PERSON, FakeClock, FakeCourier, make_draft

pytestmark = pytest.mark.anyio

OTHER = Principal(plane=Plane.AGENT, id="agent-2", name="another agent")
STRANGER = Principal(plane=Plane.PERSON, id="eve", name="Eve", role=Role.ADMIN, tenant="elsewhere")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def broker(clock: FakeClock) -> Broker:
    return Broker(MemoryStore(), MemorySignal(), clock)


async def ask(broker: Broker, **fields: object) -> Request:
    return (await broker.submit(make_draft(**fields), by=AGENT)).request


async def subscribe(broker: Broker, by: Principal = AGENT) -> Webhook:
    return await broker.webhooks.register(WebhookDraft(url="https://agent.example/"), by=by)


async def test_an_agent_sees_and_changes_its_own_and_a_person_all(broker: Broker) -> None:
    mine, theirs = await subscribe(broker), await subscribe(broker, by=OTHER)
    assert await broker.webhooks.find(by=AGENT) == (mine,)
    assert await broker.webhooks.find(by=PERSON) == (mine, theirs)
    assert await broker.webhooks.find(by=STRANGER) == ()
    for change in (broker.webhooks.get, broker.webhooks.delete, broker.webhooks.rotate):
        for by in (OTHER, STRANGER):
            with pytest.raises(NotFoundError):
                await change(mine.id, by=by)
    assert await broker.webhooks.delete(theirs.id, by=PERSON) == theirs
    assert await broker.webhooks.find(by=PERSON) == (mine,)


async def test_a_tenant_has_so_many_subscriptions_and_no_more(broker: Broker) -> None:
    for _ in range(MAX_WEBHOOKS):
        await subscribe(broker)
    with pytest.raises(RefusedError) as refused:
        await subscribe(broker)
    assert refused.value.reason_code == "too_many_webhooks"


@pytest.mark.parametrize("name", ["session_id", "client_id", "description"])
async def test_control_characters_are_refused_where_they_are(broker: Broker, name: str) -> None:
    draft = WebhookDraft(url="https://agent.example/", **{name: "a\0"})
    with pytest.raises(InvalidRequestError) as refused:
        await broker.webhooks.register(draft, by=AGENT)
    assert refused.value.errors[0]["at"] == f"$.{name}"
    assert await broker.webhooks.find(by=PERSON) == ()


async def test_so_many_are_never_exceeded_by_registering_at_once(broker: Broker) -> None:
    made = await asyncio.gather(
        *(subscribe(broker) for _ in range(MAX_WEBHOOKS + 20)), return_exceptions=True
    )
    assert sum(isinstance(each, RefusedError) for each in made) == 20
    assert len(await broker.webhooks.find(by=PERSON)) == MAX_WEBHOOKS


class SlowStore(MemoryStore):
    """Lets others in between reading and writing."""

    async def get_webhooks(self, tenant: str) -> list[Webhook]:
        found = list(await super().get_webhooks(tenant))
        await asyncio.sleep(0)
        return found


async def test_rotating_and_disabling_do_not_bring_back_what_is_removed(clock: FakeClock) -> None:
    broker = Broker(SlowStore(), MemorySignal(), clock)
    for change in ("rotate", "disable"):
        webhook = await subscribe(broker)
        changing = asyncio.ensure_future(
            broker.webhooks.rotate(webhook.id, by=AGENT)
            if change == "rotate"
            else broker.webhooks.disable(webhook, "No more.")
        )
        await asyncio.sleep(0)
        await broker.store.delete_webhook(webhook.tenant, webhook.id)
        await asyncio.gather(changing, return_exceptions=True)
        assert await broker.webhooks.find(by=PERSON) == ()


async def test_of_two_rotations_at_once_both_secrets_sign(clock: FakeClock) -> None:
    broker = Broker(SlowStore(), MemorySignal(), clock)
    webhook = await subscribe(broker)
    made = await asyncio.gather(
        *(broker.webhooks.rotate(webhook.id, by=AGENT) for _ in range(2)),
        broker.webhooks.disable(webhook, "No more."),
    )
    kept = await broker.webhooks.get(webhook.id, by=AGENT)
    assert {each.secret for each in made[:2]} == set(kept.secrets(clock.now()))
    assert not kept.active


async def test_a_change_that_never_comes_through_is_told(clock: FakeClock) -> None:
    class BusyStore(MemoryStore):
        async def change_webhook(self, old: Webhook, new: Webhook) -> bool:
            return False

    broker = Broker(BusyStore(), MemorySignal(), clock)
    webhook = await subscribe(broker)
    with pytest.raises(ConflictError):
        await broker.webhooks.rotate(webhook.id, by=AGENT)
    with pytest.raises(ConflictError):
        await broker.webhooks.disable(webhook, "No more.")


@pytest.mark.parametrize("url", ["http://localhost/", "http://10.0.0.1/", "http://a@b.example/"])
async def test_a_forbidden_url_is_refused_where_it_is_named(broker: Broker, url: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        await broker.webhooks.register(WebhookDraft(url=url), by=AGENT)
    assert refused.value.errors[0]["at"] == "$.url"
    with pytest.raises(InvalidRequestError) as refused:
        await ask(broker, callback_url=url)
    assert refused.value.errors[0]["at"] == "$.callback_url"


async def test_subscriptions_are_looked_up_once_a_second_and_at_once_after_a_change(
    clock: FakeClock,
) -> None:
    class CountingStore(MemoryStore):
        looked_up = 0

        async def get_webhooks(self, tenant: str) -> list[Webhook]:
            self.looked_up += 1
            return list(await super().get_webhooks(tenant))

    store = CountingStore()
    broker = Broker(store, MemorySignal(), clock)
    for _ in range(100):
        await ask(broker)
    assert store.looked_up == 1
    clock.advance(1)
    await ask(broker)
    assert store.looked_up == 2
    await subscribe(broker)
    request = await ask(broker)
    assert len((await store.find_jobs(JobQuery(request_id=request.id))).items) == 1


async def test_a_test_goes_out_at_once_and_is_not_kept(broker: Broker) -> None:
    webhook = await subscribe(broker)
    courier = FakeCourier(lambda _: Receipt(status=500, error="No."))
    receipt = await broker.webhooks.test(webhook.id, by=AGENT, courier=courier)
    assert (receipt.ok, receipt.status) == (False, 500)
    (parcel,) = courier.parcels
    assert (parcel.url, parcel.secrets) == (webhook.url, (webhook.secret,))
    assert b'"webhook.test"' in parcel.body
    assert (await broker.store.find_jobs(JobQuery())).items == ()


async def test_an_agent_finds_and_replays_what_it_may_see(broker: Broker, clock: FakeClock) -> None:
    await subscribe(broker)
    theirs = await subscribe(broker, by=OTHER)
    request = await ask(broker, callback_url="https://agent.example/", remind_every_seconds=5)
    await broker.cancel(request.id, by=AGENT)
    everything = await broker.deliveries.find(JobQuery(), by=PERSON)
    assert len(everything.items) == 5  # submitted and cancelled for two, and the callback
    mine = await broker.deliveries.find(JobQuery(), by=AGENT)
    assert {job.webhook_id for job in everything.items} - {
        job.webhook_id for job in mine.items
    } == {theirs.id}
    hidden = next(job for job in everything.items if job.webhook_id == theirs.id)
    reminder = f"{request.id}_r0"
    for job_id, by in ((hidden.id, AGENT), (hidden.id, STRANGER), (reminder, PERSON)):
        with pytest.raises(NotFoundError):
            await broker.deliveries.replay(job_id, by=by)


async def test_replaying_begins_anew_unless_it_is_being_tried(
    broker: Broker, clock: FakeClock
) -> None:
    request = await ask(broker, callback_url="https://agent.example/")
    await broker.cancel(request.id, by=AGENT)
    now = clock.now()
    (job,) = await broker.store.claim(now, now + timedelta(seconds=60), 1)
    with pytest.raises(ConflictError):
        await broker.deliveries.replay(job.id, by=AGENT)
    clock.advance(60)
    (job,) = await broker.store.claim(clock.now(), clock.now() + timedelta(seconds=60), 1)
    dead = msgspec.structs.replace(job, state=JobState.DEAD, failures=10, error="No.")
    await broker.store.settle([dead])
    again = await broker.deliveries.replay(job.id, by=AGENT)
    assert (again.state, again.failures, again.error) == (JobState.WAITING, 0, "")
    (claimed,) = await broker.store.claim(clock.now(), clock.now() + timedelta(seconds=60), 1)
    assert claimed.id == job.id


async def test_a_wait_goes_on_over_an_extension_and_a_reminder(broker: Broker) -> None:
    request = await ask(broker)
    waiting = asyncio.ensure_future(broker.wait(request.id, seconds=60, by=AGENT))
    await asyncio.sleep(0)
    await broker.extend(request.id, 600, by=AGENT)
    await broker.remind(request.id, after=0, tenant=request.tenant)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    answer = Answer(type=DecisionType.APPROVE)
    await broker.decide(request.id, answer, by=PERSON, channel=Channel.WEB)
    assert (await asyncio.wait_for(waiting, 30)).status is Status.APPROVED


async def test_a_wait_that_is_woken_again_and_again_ends_in_time(broker: Broker) -> None:
    request = await ask(broker)
    waiting = asyncio.ensure_future(broker.wait(request.id, seconds=0.05, by=AGENT))
    async with asyncio.timeout(30):
        while not waiting.done():
            broker.signal.publish(request.id)
            await asyncio.sleep(0)
    assert (await waiting).status is Status.PENDING


async def test_a_released_wait_returns_what_is_known(broker: Broker) -> None:
    request = await ask(broker)
    waiting = asyncio.ensure_future(broker.wait(request.id, seconds=60, by=AGENT))
    await asyncio.sleep(0)
    broker.signal.release_all()
    assert (await asyncio.wait_for(waiting, 30)).status is Status.PENDING
