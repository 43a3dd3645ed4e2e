"""Jobs and subscriptions in Redis: the part of `RedisStore` that keeps what is to be done."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from sayso import codec
from sayso.domain.jobs import Job, JobState
from sayso.domain.webhooks import Webhook
from sayso.stores.base import JobPage, JobQuery

_CHUNK = 256
_SCAN_LIMIT = 5_000
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Stored(Struct, frozen=True, kw_only=True):
    """Some of the records that stand in an index."""

    records: list[bytes]
    last: str
    """The id of the last one that was looked at."""
    more: bool
    """Whether there may be more behind it."""


class RedisJobs(ABC):
    """`JobStore` and `WebhookStore` on the connections of a Redis store."""

    @abstractmethod
    async def _run(self, operation: str, told: dict[str, Any], *records: bytes) -> Any:
        """Call an operation of the script that changes something."""

    @abstractmethod
    async def _ask(self, operation: str, told: dict[str, Any]) -> Any:
        """Call an operation of the script that changes nothing."""

    @abstractmethod
    async def _stored(
        self,
        kind: str,
        index: str,
        limit: int,
        *,
        after: str | None = None,
        first: str = "-",
        last: str = "+",
        upto: str | None = None,
    ) -> Stored:
        """Read records of an index: newest id first, or by time, up to `upto`.

        Args:
            kind: `request` or `job`.
            index: its name, without the prefix.
            limit: so many, or fewer if they are large.
            after: the id to go on behind.
            first: the lowest id, as ZRANGEBYLEX has it.
            last: the highest id, unless `after` is given.
            upto: read by time instead, as ZRANGEBYSCORE has it; then none is too large.
        """

    async def claim(self, now: datetime, until: datetime, limit: int) -> Sequence[Job]:
        """Take due jobs for this caller alone."""
        told = {"now": microseconds(now), "until": microseconds(until), "limit": limit}
        return [_job(stored) for stored in await self._run("claim", told)]

    async def settle(self, jobs: Sequence[Job]) -> None:
        """Keep what became of claimed jobs."""
        entries = [job_entry(job) for job in jobs]
        await self._run("settle", {"jobs": entries}, *(codec.encode(job) for job in jobs))

    async def get_job(self, tenant: str, job_id: str) -> Job | None:
        """The job, or None."""
        stored = await self._ask("get", {"kind": "job", "id": job_id})
        job = None if stored is None else _job(stored)
        return job if job is not None and job.tenant == tenant else None

    async def find_jobs(self, query: JobQuery) -> JobPage:
        """Jobs, newest first by id, by the index that fits."""
        index, first, last = _jobs_plan(query)
        found: list[Job] = []
        after = query.after
        for _ in range(_SCAN_LIMIT // _CHUNK):
            stored = await self._stored("job", index, _CHUNK, after=after, first=first, last=last)
            for each in stored.records:
                job = _job(each)
                if query.matches(job):
                    found.append(job)
                    if len(found) > query.limit:
                        return JobPage(items=tuple(found[:-1]), next=found[-2].id)
            if not stored.more:
                return JobPage(items=tuple(found), next=None)
            after = stored.last
        return JobPage(items=tuple(found), next=after)

    async def forget_jobs(self, before: datetime, limit: int) -> int:
        """Delete jobs that were done before then."""
        old = await self._stored("job", "jobs_done", limit, upto=f"({microseconds(before)}")
        entries = [job_entry(_job(stored)) for stored in old.records]
        return await self._run("forget", {"jobs": entries}) if entries else 0

    async def add_webhook(self, webhook: Webhook, limit: int) -> bool:
        """Keep a new subscription, unless there are `limit` already."""
        told = {"of": f"webhooks:{quoted(webhook.tenant)}", "id": webhook.id, "limit": limit}
        return await self._run("add_to", told, codec.encode(webhook)) == 1

    async def change_webhook(self, old: Webhook, new: Webhook) -> bool:
        """Keep `new` in place of `old`, if that is what is kept."""
        told = {"of": f"webhooks:{quoted(old.tenant)}", "id": old.id}
        kept = await self._ask("get_of", told)
        if kept is None or codec.decode_webhook(kept) != old:
            return False
        # Compared as it is written there: an older version may have written it otherwise.
        return await self._run("change_in", told, kept, codec.encode(new)) == 1

    async def get_webhooks(self, tenant: str) -> Sequence[Webhook]:
        """All subscriptions of a tenant, oldest first."""
        records = await self._ask("get_all_of", {"of": f"webhooks:{quoted(tenant)}"})
        return sorted(map(codec.decode_webhook, records), key=lambda webhook: webhook.id)

    async def delete_webhook(self, tenant: str, webhook_id: str) -> bool:
        """Forget it."""
        told = {"of": f"webhooks:{quoted(tenant)}", "id": webhook_id}
        return await self._run("delete_from", told) == 1


def job_entry(job: Job) -> dict[str, Any]:
    """What the script has to know of a job, beside its record."""
    entry = {
        "id": job.id,
        "tenant": quoted(job.tenant),
        "state": job.state.value,
        "attempt": str(job.attempt),
        "due": microseconds(job.due_at),
    }
    if job.webhook_id is not None:
        entry["webhook"] = quoted(job.webhook_id)
    if job.finished_at is not None:
        entry["finished"] = microseconds(job.finished_at)
    return entry


def quoted(name: str) -> str:
    """A name as part of a key: without colons, so that no two keys can be the same."""
    return quote(name, safe="")


def microseconds(moment: datetime) -> str:
    """A time as it stands in Redis."""
    return str((moment - _BEGINNING) // timedelta(microseconds=1))


def _jobs_plan(query: JobQuery) -> tuple[str, str, str]:
    """The index of candidates, and its lowest and highest id."""
    tenant = quoted(query.tenant)
    if query.request_id is not None:  # ids begin with what they are about
        return f"jobs:{tenant}", f"[{query.request_id}_", f"[{query.request_id}_~"
    if query.webhook_id is not None:
        return f"webhook:{tenant}:{quoted(query.webhook_id)}", "-", "+"
    if query.state is JobState.DEAD:
        return f"dead:{tenant}", "-", "+"
    return f"jobs:{tenant}", "-", "+"


def _job(stored: bytes) -> Job:
    """A job as it stands: what changes with a claim is kept beside its record."""
    state, attempt, due, record = stored.split(b" ", 3)
    return msgspec.structs.replace(
        codec.decode_job(record),
        state=JobState(state.decode()),
        attempt=int(attempt),
        due_at=_BEGINNING + timedelta(microseconds=int(due)),
    )
