"""Jobs: what a change causes, kept in the same transaction and carried out afterwards.

A job is claimed for a while (its lease), tried, and settled: done, tried again later, or given up.
Whoever claims it raises `attempt`, and only the holder of the present attempt may settle it, so
a worker that comes back after its lease ran out changes nothing. So a job is carried out at least
once; its id, made from what caused it, stays the same over all tries.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec import Struct

from sayso.domain.accounts import DEFAULT_TENANT
from sayso.domain.events import Event, EventType
from sayso.domain.requests import Request
from sayso.domain.webhooks import Webhook

CLOSINGS = frozenset(
    {EventType.REQUEST_DECIDED, EventType.REQUEST_EXPIRED, EventType.REQUEST_CANCELLED}
)
"""The events of which a request's `callback_url` is told: each is its last."""


_MINUTE, _HOUR = 60.0, 3_600.0
RETRY_SECONDS = (
    5.0, 5 * _MINUTE, 30 * _MINUTE,
    2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR,
)  # fmt: skip
"""Seconds before each further try of a delivery, as Standard Webhooks recommend."""


class JobKind(StrEnum):
    """What is to be done."""

    CALLBACK = "callback"
    """Tell a request's `callback_url` how it ended."""
    WEBHOOK = "webhook"
    """Tell a subscription of an event."""
    REMIND = "remind"
    """Remind people of a request that still waits."""


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    """Given up; it can be replayed."""


OPEN_STATES = frozenset({JobState.WAITING, JobState.RUNNING})


class Job(Struct, frozen=True, kw_only=True):
    """One thing to do, once it is due."""

    id: str
    kind: JobKind
    state: JobState = JobState.WAITING
    request_id: str | None = None
    webhook_id: str | None = None
    url: str = ""
    event: Event | None = None
    """What to tell of."""
    due_at: datetime
    """When to try; while it runs, when its lease ends."""
    attempt: int = 0
    """Rises with each claim."""
    failures: int = 0
    """Tries that failed since it was made or replayed."""
    status: int | None = None
    """The HTTP status of the last answer."""
    error: str = ""
    """What was wrong with the last try."""
    created_at: datetime
    finished_at: datetime | None = None
    tenant: str = DEFAULT_TENANT

    @property
    def is_open(self) -> bool:
        """Whether it is still to be done."""
        return self.state in OPEN_STATES


def deliveries_of(
    event: Event, subject: str, webhooks: Iterable[Webhook], request: Request | None = None
) -> tuple[Job, ...]:
    """Whom to tell of an event: the subscriptions that want it, and the request's own address.

    Args:
        event: what happened.
        subject: what happened, as a name that occurs once: the jobs' ids begin with it.
        webhooks: the subscriptions of the event's tenant.
        request: what the event is about.
    """
    jobs = [
        _delivery(event, JobKind.WEBHOOK, f"{subject}_{w.id}", w.url, webhook_id=w.id)
        for w in webhooks
        if w.wants(event)
    ]
    if request is not None and request.callback_url is not None and event.type in CLOSINGS:
        jobs.append(_delivery(event, JobKind.CALLBACK, subject, request.callback_url))
    return tuple(jobs)


def reminder_of(request: Request, now: datetime) -> Job | None:
    """The next reminder of a request that wants to be reminded of and still waits."""
    if request.remind_every_seconds is None or request.is_terminal:
        return None
    due_at = now + timedelta(seconds=request.remind_every_seconds)
    if request.deadline_at is not None and due_at >= request.deadline_at:
        return None
    return Job(
        id=f"{request.id}_r{request.reminders}",
        kind=JobKind.REMIND,
        request_id=request.id,
        due_at=due_at,
        created_at=now,
        tenant=request.tenant,
    )


def reminders_before(job: Job) -> int:
    """How many reminders were given before the one that this job gives."""
    return int(job.id.rpartition("_r")[2])


def subject_of(request: Request) -> str:
    """A change of a request, as a name that occurs once."""
    return f"{request.id}_{request.version}"


def replayed(job: Job, now: datetime) -> Job:
    """The job, to be tried again from the beginning."""
    return msgspec.structs.replace(
        job, state=JobState.WAITING, due_at=now, failures=0, error="", finished_at=None
    )


def _delivery(
    event: Event, kind: JobKind, job_id: str, url: str, webhook_id: str | None = None
) -> Job:
    return Job(
        id=job_id,
        kind=kind,
        request_id=event.request_id,
        webhook_id=webhook_id,
        url=url,
        event=event,
        due_at=event.at,
        created_at=event.at,
        tenant=event.tenant,
    )
