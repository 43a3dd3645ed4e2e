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

from sayso.broker import retries
from sayso.broker.broker import Broker
from sayso.broker.outages import STORE_ERRORS, Outage
from sayso.broker.targets import Target, Targets, host_of, is_working
from sayso.broker.tries import STORE_SECONDS, Tries
from sayso.channels.base import Courier
from sayso.domain.jobs import RETRY_SECONDS, Job, JobKind
from sayso.signals.base import JOBS

LEASE = timedelta(seconds=60)
"""Longer than any try with its margin; so long a job waits if its worker dies."""
MAX_CLAIMED = 1_024
"""Jobs that this worker has taken and not settled yet."""
CLAIM_SIZE = 256
POLL_SECONDS = 0.5
"""Between two looks, when no signal says that there is something."""
CROWDED_SECONDS = 0.005
YIELD_SECONDS = 0.01
STOP_SECONDS = 2.0
KEEP_DONE = timedelta(days=7)
FORGET_EVERY, FORGET_SIZE = timedelta(seconds=60), 500
MAX_TARGETS = 2 * MAX_CLAIMED
"""Hosts that are remembered: more than can have something under way."""

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
        self._store = broker.store
        self._signal = broker.signal
        self._clock = broker.clock
        self._tries = Tries(broker, courier, secret=secret, schedule=schedule, chance=chance)
        self._waiting = Outage(log, "deliveries")
        self._unsettled = Outage(log, "outcomes of deliveries")
        self._loop: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._claimed = 0
        self._targets = Targets(MAX_TARGETS, chance)
        self._crowded: set[Target] = set()
        self._outcomes: list[Job] = []
        self._settling: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._forget_at = broker.clock.now()
        self._stopping = False

    async def run(self) -> None:
        """Carry out what is due until `stop`; a failing store is waited for."""
        self._loop = asyncio.current_task()
        with self._signal.subscribe(JOBS) as waiter:
            while not self._stopping:
                pause = STORE_SECONDS
                try:
                    pause = 0.0 if await self.round() else self._pause()
                    self._waiting.over()
                except STORE_ERRORS as error:
                    self._waiting.failed(error)
                except Exception:
                    log.exception("a round of deliveries failed")
                if pause and not self._stopping and not await waiter.wait(pause):
                    await asyncio.sleep(YIELD_SECONDS)  # a signal that is released waits no more

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
        target = None if job.kind is JobKind.REMIND else self._targets.get(host_of(job.url))
        is_short = self._claimed > MAX_CLAIMED // 2
        later = None if target is None else target.comes_later(now, room_is_short=is_short)
        if self._stopping:
            later = now
        if later is not None:
            if target is not None and target.is_crowded(now):
                self._crowded.add(target)
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
            outcome = await self._tries.attempt(job)
            if target is not None:
                if outcome.receipt is None:
                    target.left()
                else:
                    works = is_working(outcome.receipt)
                    target.ended(self._clock.now(), outcome.seconds, works=works)
            self._keep(outcome.job)
            job = None if target is None else self._following(target)

    def _following(self, target: Target) -> Job | None:
        """The next of those held; none if the target, or this worker, is to be left alone."""
        if not target.held:
            return None
        now = self._clock.now()
        if self._stopping or target.comes_later(now) is not None:
            while target.held:
                later = now if self._stopping else target.comes_later(now) or now
                self._keep(retries.put_back(target.held.popleft(), later))
            return None
        target.began()
        return target.held.popleft()

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
                self._unsettled.over()
            except STORE_ERRORS as error:
                self._unsettled.failed(error)
                self._outcomes = jobs + self._outcomes
                await asyncio.sleep(STORE_SECONDS)
            except Exception:
                log.exception("%d outcomes cannot be kept; their leases end", len(jobs))

    def _pause(self) -> float:
        """Seconds until the next look: sooner while a target has more waiting than room."""
        now = self._clock.now()
        self._crowded = {target for target in self._crowded if target.is_crowded(now)}
        if not self._crowded:
            return POLL_SECONDS
        spacing = min(target.spacing for target in self._crowded)
        return min(POLL_SECONDS, max(CROWDED_SECONDS, spacing.total_seconds()))
