"""Carries out jobs: deliveries and reminders, at least once each.

One loop claims what is due, in sets, and each job is tried in a task of its own. Jobs are leased:
if this process dies, they are due again when the lease ends, so that a crash means at most a
second try (with the same id), never a loss.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sayso import codec
from sayso.broker import retries
from sayso.broker.broker import Broker
from sayso.broker.targets import Target, host_of
from sayso.channels.base import Courier, Parcel, Receipt
from sayso.domain.jobs import RETRY_SECONDS, Job, JobKind, reminders_before
from sayso.domain.webhooks import Webhook
from sayso.errors import BackendError, RefusedError
from sayso.signals.base import JOBS

LEASE = timedelta(seconds=60)
"""Longer than any try with its margin; so long a job waits if its worker dies."""
MARGIN = timedelta(seconds=10)
"""What may pass between claiming and settling, besides the try."""
MAX_CLAIMED = 1_024
"""Jobs that this worker has taken and not settled yet."""
CLAIM_SIZE = 256
POLL_SECONDS = 0.5
"""Between two looks, when no signal says that there is something."""
CROWDED_SECONDS = 0.02
STOP_SECONDS = 2.0
STORE_SECONDS = 1.0
"""Before a failing store is asked again."""
KEEP_DONE = timedelta(days=7)
FORGET_EVERY, FORGET_SIZE = timedelta(seconds=60), 500
MAX_TARGETS = 1_000

log = logging.getLogger("sayso.deliveries")


class Dispatcher:
    """The worker: `run` until `stop`.

    Args:
        broker: on an open store.
        courier: carries deliveries; it is left open.
        secret: signs what requests' own addresses are told.
        schedule: seconds before each further try.
        chance: a random number in [0, 1).
    """

    def __init__(
        self,
        broker: Broker,
        courier: Courier,
        *,
        secret: str,
        schedule: Sequence[float] = RETRY_SECONDS,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._broker = broker
        self._store = broker.store
        self._clock = broker.clock
        self._courier = courier
        self._secret = secret
        self._schedule = schedule
        self._chance = chance
        self._loop: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._claimed = 0
        self._targets: dict[str, Target] = {}
        self._outcomes: list[Job] = []
        self._settling: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._forget_at = broker.clock.now()
        self._stopping = False

    async def run(self) -> None:
        """Carry out what is due until `stop`; a failing store is waited for."""
        self._loop = asyncio.current_task()
        with self._broker.signal.subscribe(JOBS) as waiter:
            while not self._stopping:
                pause = STORE_SECONDS
                try:
                    pause = 0.0 if await self.round() else self._pause()
                except BackendError as error:
                    log.error("deliveries wait for the store: %s", error)
                except Exception:
                    log.exception("a round of deliveries failed")
                if pause and not self._stopping:
                    await waiter.wait(pause)

    async def round(self) -> bool:
        """Claim what is due, and begin it; whether there may be more."""
        while self._claimed > MAX_CLAIMED - CLAIM_SIZE:
            self._room.clear()
            await self._room.wait()
        now = self._clock.now()
        claimed = await self._store.claim(now, now + LEASE, CLAIM_SIZE)
        self._claimed += len(claimed)
        for job in claimed:
            self._begin(job, now)
        if now >= self._forget_at:
            forgotten = await self._store.forget_jobs(now - KEEP_DONE, FORGET_SIZE)
            if forgotten < FORGET_SIZE:
                self._forget_at = now + FORGET_EVERY
        return len(claimed) == CLAIM_SIZE

    async def stop(self) -> None:
        """Finish what is under way, for two seconds at most, and put the rest back."""
        self._stopping = True
        ending = {*self._tasks, *((self._loop,) if self._loop is not None else ())}
        if ending:
            _, late = await asyncio.wait(ending, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
        await self.idle(STOP_SECONDS)

    async def idle(self, seconds: float | None = None) -> None:
        """Return when nothing is under way and all of it is kept, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*self._tasks, return_exceptions=True)
                if self._settling is not None:
                    await asyncio.shield(self._settling)
        except TimeoutError:
            log.error("%d outcomes could not be kept; their leases end", len(self._outcomes))

    def _begin(self, job: Job, now: datetime) -> None:
        """Start a claimed job, hold it for its target, or put it back if that takes long."""
        target = None if job.kind is JobKind.REMIND else self._target(job.url, now)
        later = None if target is None else target.comes_later(now)
        if self._stopping:
            later = now
        if later is not None:
            self._keep(retries.put_back(job, later))
            return
        if target is not None:
            if target.is_full:
                target.held.append(job)
                return
            target.began()
        task = asyncio.ensure_future(self._work(job, target))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, job: Job | None, target: Target | None) -> None:
        """A job, and then what is held for the same target, one after the other."""
        while job is not None:
            self._keep(await self._outcome(job, target))
            job = None if target is None else self._following(target)

    def _following(self, target: Target) -> Job | None:
        """The next of those held; none if the target, or this worker, is to be left alone."""
        now = self._clock.now()
        if not target.held:
            return None
        if self._stopping or target.comes_later(now) is not None:
            while target.held:
                later = now if self._stopping else target.comes_later(now) or now
                self._keep(retries.put_back(target.held.popleft(), later))
            return None
        target.began()
        return target.held.popleft()

    async def _outcome(self, job: Job, target: Target | None) -> Job:
        """What comes of one try, whatever happens in it."""
        delivering = _Delivering(target)
        try:
            if target is None:
                return await self._remind(job)
            return await self._deliver(job, delivering)
        except asyncio.CancelledError:  # we stop
            return retries.put_back(job, self._clock.now())
        except BackendError as error:
            log.error("the delivery %s waits for the store: %s", job.id, error)
            return retries.put_back(job, self._now_and(STORE_SECONDS))
        except Exception:
            log.exception("the delivery %s failed", job.id)
            return self._settled(job, Receipt(error="Sayso made a mistake; it is in its log."))
        finally:
            delivering.leave()

    async def _remind(self, job: Job) -> Job:
        """Give the reminder, unless it was given or the request is closed."""
        if job.request_id is not None:
            try:
                await self._broker.remind(
                    job.request_id, after=reminders_before(job), tenant=job.tenant
                )
            except RefusedError as error:
                log.debug("no reminder of %s: %s", job.request_id, error)
        return self._settled(job, Receipt(ok=True))

    async def _deliver(self, job: Job, delivering: "_Delivering") -> Job:
        now = self._clock.now()
        webhook = await self._webhook(job, now)
        reason = _unwanted(job, webhook)
        if reason:
            return retries.given_up(job, reason, now)
        body = await self._body(job)
        now = self._clock.now()
        if now + timedelta(seconds=self._courier.timeout) + MARGIN > job.due_at:
            return retries.put_back(job, now)  # it could outlast its lease
        secrets = (self._secret,) if webhook is None else webhook.secrets(now)
        began = asyncio.get_running_loop().time()
        receipt = await self._courier.deliver(
            Parcel(id=job.id, url=job.url, secrets=secrets, body=body, at=now)
        )
        seconds = asyncio.get_running_loop().time() - began
        delivering.end(self._clock.now(), seconds, works=_works(receipt))
        if receipt.gone and webhook is not None:
            await self._broker.webhooks.disable(webhook, receipt.error)
        return self._settled(job, receipt)

    async def _webhook(self, job: Job, now: datetime) -> Webhook | None:
        if job.webhook_id is None:
            return None
        return await self._broker.webhooks.one(job.tenant, job.webhook_id, now)

    async def _body(self, job: Job) -> bytes:
        """What happened, and the request as it stands now, which may be later."""
        event = job.event
        if event is None:
            raise AssertionError("a delivery without an event")
        request = None
        if event.request_id is not None:
            request = await self._store.get(event.tenant, event.request_id)
        data = {k: getattr(event, k) for k in event.__struct_fields__ if k != "id"}
        body = {"type": event.type, "timestamp": event.at, "data": data | {"request": request}}
        return codec.encode(body)

    def _settled(self, job: Job, receipt: Receipt) -> Job:
        now = self._clock.now()
        return retries.settled(job, receipt, now, schedule=self._schedule, chance=self._chance)

    def _keep(self, job: Job) -> None:
        """Keep an outcome; those that come together are kept together."""
        if not job.is_open and job.error:
            log.warning("gave up %s to %s: %s", job.id, host_of(job.url), job.error)
        self._claimed -= 1
        self._room.set()
        self._outcomes.append(job)
        if self._settling is None or self._settling.done():
            self._settling = asyncio.ensure_future(self._settle())

    async def _settle(self) -> None:
        while self._outcomes:
            jobs, self._outcomes = self._outcomes, []
            try:
                await self._store.settle(jobs)
            except BackendError as error:
                log.error("outcomes of deliveries wait for the store: %s", error)
                self._outcomes = jobs + self._outcomes
                await asyncio.sleep(STORE_SECONDS)

    def _target(self, url: str, now: datetime) -> Target:
        host = host_of(url)
        target = self._targets.get(host)
        if target is None:
            if len(self._targets) >= MAX_TARGETS:
                self._targets = {h: t for h, t in self._targets.items() if not t.is_idle(now)}
            target = self._targets[host] = Target(self._chance)
        return target

    def _pause(self) -> float:
        """Seconds until the next look: sooner while a target has more waiting than room."""
        now = self._clock.now()
        crowded = [t.spacing for t in self._targets.values() if t.is_crowded(now)]
        if not crowded:
            return POLL_SECONDS
        return min(POLL_SECONDS, max(CROWDED_SECONDS, min(crowded).total_seconds()))

    def _now_and(self, seconds: float) -> datetime:
        return self._clock.now() + timedelta(seconds=seconds)


class _Delivering:
    """A try at a target, which is ended once."""

    def __init__(self, target: Target | None) -> None:
        self._target = target

    def end(self, now: datetime, seconds: float, *, works: bool) -> None:
        if self._target is not None:
            self._target.ended(now, seconds, works=works)
            self._target = None

    def leave(self) -> None:
        if self._target is not None:
            self._target.left()
            self._target = None


def _unwanted(job: Job, webhook: Webhook | None) -> str:
    """Why a delivery is given up without a try."""
    if job.event is None:
        return "There is nothing to tell."
    if job.webhook_id is None:
        return ""
    if webhook is None:
        return "The subscription was removed."
    return "" if webhook.active else f"The subscription is disabled: {webhook.disabled_reason}"


def _works(receipt: Receipt) -> bool:
    """Whether the host itself works: a 404 is about one address of it, not about the host."""
    return receipt.status is not None and receipt.status < 500 and receipt.status != 429
