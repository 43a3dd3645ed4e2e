"""What was sent, and what could not be: found, and sent again."""

import msgspec

from sayso.broker.webhooks import Webhooks
from sayso.clock import Clock
from sayso.domain.accounts import Principal
from sayso.domain.jobs import Job, JobKind, JobState, replayed
from sayso.errors import ConflictError, NotFoundError
from sayso.signals.base import JOBS, Signal
from sayso.stores.base import JobPage, JobQuery, JobStore


class Deliveries:
    """Finds and replays deliveries.

    An agent sees those to requests' own addresses, as it sees the requests, and those to
    subscriptions that it registered itself; a person sees all of the tenant's.
    """

    def __init__(self, store: JobStore, signal: Signal, clock: Clock, webhooks: Webhooks) -> None:
        self._store = store
        self._signal = signal
        self._clock = clock
        self._webhooks = webhooks

    async def find(self, query: JobQuery, *, by: Principal) -> JobPage:
        """One page, newest first; it may hold fewer than `limit` and still have a `next`."""
        page = await self._store.find_jobs(msgspec.structs.replace(query, reminders=False))
        visible = {webhook.id for webhook in await self._webhooks.find(by=by)}
        items = tuple(job for job in page.items if _may_see(job, visible, by))
        return JobPage(items=items, next=page.next)

    async def replay(self, job_id: str, *, by: Principal) -> Job:
        """Try it again from the beginning, at once; also one that was taken.

        Raises:
            NotFoundError: there is no such delivery, or not for `by`.
            ConflictError: it is being tried in this moment.
        """
        job = await self._store.get_job(by.tenant, job_id)
        visible = {webhook.id for webhook in await self._webhooks.find(by=by)}
        if job is None or not _may_see(job, visible, by):
            raise NotFoundError(
                f"There is no delivery {job_id[:600]!r}.",
                hint="List them: sayso deliveries, or GET /api/v1/deliveries.",
            )
        if job.state is JobState.RUNNING:
            raise ConflictError("The delivery is being tried in this moment.", hint="Look again.")
        again = replayed(job, self._clock.now())
        await self._store.settle([again])  # no more if it was claimed meanwhile: then it is tried
        self._signal.publish(JOBS)
        return again


def _may_see(job: Job, webhook_ids: set[str], by: Principal) -> bool:
    if job.kind is JobKind.REMIND:
        return False  # that is no delivery
    return by.is_person or job.webhook_id is None or job.webhook_id in webhook_ids
