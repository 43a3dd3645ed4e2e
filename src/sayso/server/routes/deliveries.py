"""What was sent, what waits, what was given up; and sending it again."""

from datetime import datetime

from msgspec import Struct

from sayso.domain.events import EventType
from sayso.domain.jobs import Job, JobKind, JobState
from sayso.server.http import Call, Reply, bad_parameter, json_reply
from sayso.stores.base import JobQuery

MAX_PAGE = 200
MAX_CURSOR = 1_024


class Delivery(Struct, frozen=True, kw_only=True):
    """One message to one target, over all its tries."""

    id: str
    """The header `webhook-id` of each try."""
    kind: JobKind
    state: JobState
    request_id: str | None
    webhook_id: str | None
    url: str
    type: EventType | None
    """What it tells of."""
    tries: int
    """Since it was made or replayed."""
    status: int | None
    """The target's last HTTP status."""
    error: str
    """What was wrong with the last try."""
    due_at: datetime
    """While it waits: when the next try is."""
    created_at: datetime
    finished_at: datetime | None


class DeliveryPage(Struct, frozen=True, kw_only=True):
    """Deliveries, newest first; pass `next` as `after` to go on, until it is null."""

    items: tuple[Delivery, ...]
    next: str | None


async def find(call: Call) -> Reply:
    """Find deliveries, newest first."""
    return await page(call, webhook_id=call.one("webhook_id"))


async def replay(call: Call) -> Reply:
    """Send it again from the beginning, at once, under the same id."""
    job = await call.server.broker.deliveries.replay(call.params["id"], by=call.principal)
    return json_reply(200, shown(job))


async def page(call: Call, *, webhook_id: str | None) -> Reply:
    """The page that the query asks for."""
    found = await call.server.broker.deliveries.find(
        query_of(call, webhook_id=webhook_id), by=call.principal
    )
    return json_reply(200, DeliveryPage(items=tuple(map(shown, found.items)), next=found.next))


def query_of(call: Call, *, webhook_id: str | None) -> JobQuery:
    """The filters of a listing.

    Raises:
        InvalidRequestError: one of them cannot be used.
    """
    state, after = call.one("state"), call.one("after")
    if state is not None and state not in list(JobState):
        raise bad_parameter("state", f"{state[:40]!r} is not one of {', '.join(JobState)}.")
    if after is not None and len(after) > MAX_CURSOR:
        raise bad_parameter("after", "It is not the `next` of a page.")
    return JobQuery(
        tenant=call.principal.tenant,
        state=None if state is None else JobState(state),
        request_id=call.one("request_id"),
        webhook_id=webhook_id,
        limit=call.count("limit", 50, low=1, high=MAX_PAGE),
        after=after,
    )


def shown(job: Job) -> Delivery:
    """A delivery as it is told."""
    return Delivery(
        id=job.id,
        kind=job.kind,
        state=job.state,
        request_id=job.request_id,
        webhook_id=job.webhook_id,
        url=job.url,
        type=None if job.event is None else job.event.type,
        tries=job.failures + (job.state is JobState.DONE),
        status=job.status,
        error=job.error,
        due_at=job.due_at,
        created_at=job.created_at,
        finished_at=job.finished_at,
    )
