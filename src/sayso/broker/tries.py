"""One try of a job, a delivery or a reminder, and what becomes of the job by it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from msgspec import UNSET, Struct

from sayso import codec
from sayso.broker import retries
from sayso.broker.broker import Broker
from sayso.broker.outages import Outage
from sayso.channels.base import Courier, Parcel, Receipt
from sayso.domain.events import Event
from sayso.domain.jobs import Job, JobKind, reminders_before
from sayso.domain.requests import Request
from sayso.domain.webhooks import Webhook
from sayso.errors import (
    BackendError,
    BusyError,
    ConflictError,
    InvalidTransitionError,
    NotFoundError,
)

MARGIN = timedelta(seconds=10)
"""What may pass between claiming and settling, besides the try."""
STORE_SECONDS = 1.0
"""Before a failing store is asked again."""

log = logging.getLogger("sayso.deliveries")


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of a try."""

    job: Job
    """As it is to be kept."""
    receipt: Receipt | None = None
    """What the courier told, if it was sent at all."""
    seconds: float = 0.0
    """How long the courier took."""


class Tries:
    """Tries claimed jobs.

    Args:
        broker: on an open store.
        courier: carries deliveries.
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
        schedule: Sequence[float],
        chance: Callable[[], float],
    ) -> None:
        self._broker = broker
        self._clock = broker.clock
        self._courier = courier
        self._secret = secret
        self._schedule = schedule
        self._chance = chance
        self._waiting = Outage(log, "tries of deliveries")

    async def attempt(self, job: Job) -> Outcome:
        """Try it once, and tell, whatever happens; when it is cancelled, it is put back."""
        try:
            if job.kind is JobKind.REMIND:
                outcome = await self._remind(job)
            else:
                outcome = await self._deliver(job)
            self._waiting.over()
            return outcome
        except asyncio.CancelledError:  # we stop
            return Outcome(job=retries.put_back(job, self._clock.now()))
        except (BackendError, BusyError, ConflictError) as error:  # not the target's failure
            self._waiting.failed(error)
            later = self._clock.now() + timedelta(seconds=STORE_SECONDS)
            return Outcome(job=retries.put_back(job, later))
        except Exception:
            log.exception("%s failed", job.id)
            mistake = Receipt(error="Sayso made a mistake; it is in its log.")
            return Outcome(job=self._settled(job, mistake))

    async def _remind(self, job: Job) -> Outcome:
        """Give the reminder, unless it was given or the request is closed."""
        if job.request_id is not None:
            try:
                await self._broker.remind(
                    job.request_id, after=reminders_before(job), tenant=job.tenant
                )
            except (InvalidTransitionError, NotFoundError) as error:
                log.debug("no reminder of %s: %s", job.request_id, error)
        return Outcome(job=self._settled(job, Receipt(ok=True)))

    async def _deliver(self, job: Job) -> Outcome:
        now, webhook = self._clock.now(), None
        if job.webhook_id is not None:
            webhook = await self._broker.webhooks.one(job.tenant, job.webhook_id)
            if webhook is None:
                return Outcome(job=retries.given_up(job, "The subscription was removed.", now))
            if not webhook.active:
                reason = f"The subscription is disabled: {webhook.disabled_reason}"
                return Outcome(job=retries.given_up(job, reason, now))
        if job.event is None:
            return Outcome(job=retries.given_up(job, "There is nothing to tell.", now))
        request = await self._about(job.event)
        body = _body(job.event, request)
        now = self._clock.now()
        if now + timedelta(seconds=self._courier.timeout) + MARGIN > job.due_at:
            return Outcome(job=retries.put_back(job, now))  # it could outlast its lease
        secrets = (self._secret,) if webhook is None else webhook.secrets(now)
        parcel = Parcel(
            id=job.id,
            url=job.url,
            secrets=secrets,
            body=body,
            at=now,
            traceparent=UNSET if request is None else request.traceparent,
        )
        return await self._send(job, parcel, webhook)

    async def _send(self, job: Job, parcel: Parcel, webhook: Webhook | None) -> Outcome:
        began = asyncio.get_running_loop().time()
        receipt = await self._courier.deliver(parcel)
        seconds = asyncio.get_running_loop().time() - began
        if receipt.gone and webhook is not None:
            await self._broker.webhooks.disable(webhook, receipt.error)
        return Outcome(job=self._settled(job, receipt), receipt=receipt, seconds=seconds)

    async def _about(self, event: Event) -> Request | None:
        if event.request_id is None:
            return None
        return await self._broker.store.get(event.tenant, event.request_id)

    def _settled(self, job: Job, receipt: Receipt) -> Job:
        now = self._clock.now()
        return retries.settled(job, receipt, now, schedule=self._schedule, chance=self._chance)


def _body(event: Event, request: Request | None) -> bytes:
    """What happened, and the request as it stands now, which may be later."""
    data = {k: getattr(event, k) for k in event.__struct_fields__ if k != "id"}
    body = {"type": event.type, "timestamp": event.at, "data": data | {"request": request}}
    return codec.encode(body)
