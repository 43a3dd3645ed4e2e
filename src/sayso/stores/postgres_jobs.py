"""Jobs and subscriptions in PostgreSQL: what `PostgresStore` keeps of what is to be done."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from sayso import codec
from sayso.domain.jobs import Job, JobState
from sayso.domain.webhooks import Webhook
from sayso.stores.base import JobPage, JobQuery
from sayso.stores.batches import Asked, Batches
from sayso.stores.postgres_database import Connection, Database

WEBHOOKS_LOCK = 7_310_869
"""With a tenant, what is locked while its subscriptions are counted."""

INSERT_JOBS = (
    "INSERT INTO jobs (id, tenant, state, due_at, attempt, webhook_id, record)"
    " SELECT id, tenant, 'waiting', due_at, 0, webhook_id, record FROM"
    " unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::bytea[])"
    " AS job (id, tenant, due_at, webhook_id, record) ON CONFLICT DO NOTHING"
)
CLAIM = (
    "UPDATE jobs SET state = 'running', due_at = $2, attempt = attempt + 1 WHERE id IN ("
    "SELECT id FROM jobs WHERE state IN ('waiting', 'running') AND due_at <= $1"
    " ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING record, state, due_at, attempt"
)
_SETTLE = (
    "UPDATE jobs SET state = told.state, due_at = told.due_at, finished_at = told.finished_at,"
    " record = told.record FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[],"
    " $5::timestamptz[], $6::bytea[])"
    " AS told (id, attempt, state, due_at, finished_at, record)"
    " WHERE jobs.id = told.id AND jobs.attempt = told.attempt"
)
_GET_JOB = "SELECT record, state, due_at, attempt FROM jobs WHERE id = $1 AND tenant = $2"
_FORGET = (
    "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state = 'done' AND finished_at < $1"
    " LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1"
)
_LOCK_WEBHOOKS = f"SELECT pg_advisory_xact_lock({WEBHOOKS_LOCK}, hashtext($1))"
_ADD_WEBHOOK = (
    "INSERT INTO webhooks (tenant, id, record) SELECT $1, $2, $3"
    " WHERE (SELECT count(*) FROM webhooks WHERE tenant = $1) < $4 ON CONFLICT DO NOTHING"
)
_CHANGE_WEBHOOK = (
    "UPDATE webhooks SET record = $4 WHERE tenant = $1 AND id = $2 AND record = $3 RETURNING 1"
)
_GET_WEBHOOK = "SELECT record FROM webhooks WHERE tenant = $1 AND id = $2"
_GET_WEBHOOKS = "SELECT record FROM webhooks WHERE tenant = $1 ORDER BY id"
_DELETE_WEBHOOK = "DELETE FROM webhooks WHERE tenant = $1 AND id = $2 RETURNING 1"
_CHUNK = 256
_SCAN_LIMIT = 5_000


class PostgresJobs:
    """`JobStore` and `WebhookStore` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._settles = Batches(self._settle_all)

    async def claim(self, now: datetime, until: datetime, limit: int) -> Sequence[Job]:
        """Take due jobs for this caller alone; rows that others lock are passed over."""
        rows = await self._rows(CLAIM, now, until, limit)
        rows.sort(key=lambda row: codec.decode_job(row[0]).due_at)
        return [_job(*row) for row in rows]

    async def settle(self, jobs: Sequence[Job]) -> None:
        """Keep what became of claimed jobs."""
        await self._settles.ask(jobs)

    async def get_job(self, tenant: str, job_id: str) -> Job | None:
        """The job, or None."""
        if "\0" in job_id:  # which no text of this database holds
            return None
        rows = await self._rows(_GET_JOB, job_id, tenant)
        return _job(*rows[0]) if rows else None

    async def find_jobs(self, query: JobQuery) -> JobPage:
        """Jobs, newest first by id, by the index that fits."""
        statement, parameters = jobs_plan(query)
        found: list[Job] = []
        after = query.after or "~"  # sorts behind every id
        for _ in range(_SCAN_LIMIT // _CHUNK):
            rows = await self._rows(statement, *parameters, after, _CHUNK)
            for row in rows:
                job = _job(*row)
                if query.matches(job):
                    found.append(job)
                    if len(found) > query.limit:
                        return JobPage(items=tuple(found[:-1]), next=found[-2].id)
                after = job.id
            if len(rows) < _CHUNK:
                return JobPage(items=tuple(found), next=None)
        return JobPage(items=tuple(found), next=after)

    async def forget_jobs(self, before: datetime, limit: int) -> int:
        """Delete jobs that were done before then."""
        return len(await self._rows(_FORGET, before, limit))

    async def add_webhook(self, webhook: Webhook, limit: int) -> bool:
        """Keep a new subscription, unless there are `limit` already."""
        key, record = (webhook.tenant, webhook.id), codec.encode(webhook)

        async def add(connection: Connection) -> bool:
            async with connection.transaction():
                await connection.execute(_LOCK_WEBHOOKS, webhook.tenant)
                await connection.execute(_ADD_WEBHOOK, *key, record, limit)
                return await connection.fetchval(_GET_WEBHOOK, *key) is not None

        return await self._database.run(add)

    async def change_webhook(self, old: Webhook, new: Webhook) -> bool:
        """Keep `new` in place of `old`, if that is what is kept."""
        key, record = (old.tenant, old.id), codec.encode(new)
        retried: list[None] = []

        async def change(connection: Connection) -> bool:
            kept = await connection.fetchval(_GET_WEBHOOK, *key)
            if retried and kept == record:  # the connection was lost after it was kept
                return True
            if kept is None or codec.decode_webhook(kept) != old:
                return False
            # Compared as it is written there: an older version may have written it otherwise.
            return await connection.fetchval(_CHANGE_WEBHOOK, *key, kept, record) is not None

        return await self._database.run(change, again=lambda: retried.append(None))

    async def get_webhooks(self, tenant: str) -> Sequence[Webhook]:
        """All subscriptions of a tenant, oldest first."""
        return [codec.decode_webhook(row[0]) for row in await self._rows(_GET_WEBHOOKS, tenant)]

    async def delete_webhook(self, tenant: str, webhook_id: str) -> bool:
        """Forget it."""
        return bool(await self._rows(_DELETE_WEBHOOK, tenant, webhook_id))

    async def _settle_all(self, batch: Sequence[Asked]) -> None:
        jobs = [job for asked in batch for job in asked.what]
        columns: tuple[list[Any], ...] = (
            [job.id for job in jobs],
            [job.attempt for job in jobs],
            [job.state.value for job in jobs],
            [job.due_at for job in jobs],
            [job.finished_at for job in jobs],
            [codec.encode(job) for job in jobs],
        )
        await self._rows(_SETTLE, *columns)
        for asked in batch:
            asked.answer(None)

    async def _rows(self, statement: str, *parameters: Any) -> list[Any]:
        """Rows of a statement that may be run twice."""

        async def fetch(connection: Connection) -> list[Any]:
            return await connection.fetch(statement, *parameters)

        return await self._database.run(fetch)


def job_columns(jobs: Sequence[Job]) -> tuple[list[Any], ...]:
    """New jobs as `INSERT_JOBS` takes them: one list for each column."""
    return (
        [job.id for job in jobs],
        [job.tenant for job in jobs],
        [job.due_at for job in jobs],
        [job.webhook_id for job in jobs],
        [codec.encode(job) for job in jobs],
    )


def jobs_plan(query: JobQuery) -> tuple[str, tuple[str, ...]]:
    """The statement that reads candidates, and its first parameters."""
    where, parameters = "tenant = $1", (query.tenant,)
    if query.request_id is not None:  # ids begin with what they are about
        where += " AND id BETWEEN $2 AND $3"
        parameters += (f"{query.request_id}_", f"{query.request_id}_~")
    elif query.webhook_id is not None:
        where += " AND webhook_id = $2"
        parameters += (query.webhook_id,)
    elif query.state is JobState.DEAD:
        where += " AND state = 'dead'"
    after, limit = len(parameters) + 1, len(parameters) + 2
    statement = (
        f"SELECT record, state, due_at, attempt FROM jobs WHERE {where}"  # noqa: S608
        f" AND id < ${after} ORDER BY id DESC LIMIT ${limit}"
    )
    return statement, parameters


def _job(record: bytes, state: str, due_at: datetime, attempt: int) -> Job:
    """A job as it stands: what changes with a claim is in columns of its own."""
    return msgspec.structs.replace(
        codec.decode_job(record), state=JobState(state), due_at=due_at, attempt=attempt
    )
