"""Jobs and subscriptions in SQLite: the part of `SqliteStore` that keeps what is to be done."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from sayso import codec
from sayso.domain.jobs import Job, JobState
from sayso.domain.webhooks import Webhook
from sayso.stores.base import JobPage, JobQuery

T = TypeVar("T")

INSERT_JOB = (
    "INSERT INTO jobs (id, tenant, state, due_at, attempt, webhook_id, record)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_CLAIM = (
    "UPDATE jobs SET state = 'running', due_at = ?, attempt = attempt + 1 WHERE id IN ("
    "SELECT id FROM jobs INDEXED BY jobs_due WHERE state IN ('waiting', 'running')"
    " AND due_at <= ? ORDER BY due_at LIMIT ?) RETURNING record, state, due_at, attempt"
)
RELEASE_JOBS = (
    "UPDATE jobs INDEXED BY jobs_running SET state = 'waiting', due_at = 0 WHERE state = 'running'"
)
"""What was running when the process ended is due at once: nobody else can have it."""
_SETTLE = (
    "UPDATE jobs SET state = ?, due_at = ?, finished_at = ?, record = ?"
    " WHERE id = ? AND attempt = ?"
)
_GET_JOB = "SELECT record, state, due_at, attempt FROM jobs WHERE id = ? AND tenant = ?"
_FORGET = (
    "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs INDEXED BY jobs_done"
    " WHERE state = 'done' AND finished_at < ? LIMIT ?)"
)
_ADD_WEBHOOK = "INSERT INTO webhooks (tenant, id, record) VALUES (?, ?, ?)"
_CHANGE_WEBHOOK = "UPDATE webhooks SET record = ? WHERE tenant = ? AND id = ?"
_GET_WEBHOOK = "SELECT record FROM webhooks WHERE tenant = ? AND id = ?"
_COUNT_WEBHOOKS = "SELECT count(*) FROM webhooks WHERE tenant = ?"
_GET_WEBHOOKS = "SELECT record FROM webhooks WHERE tenant = ? ORDER BY id"
_DELETE_WEBHOOK = "DELETE FROM webhooks WHERE tenant = ? AND id = ?"
_CHUNK = 256
_SCAN_LIMIT = 5_000


class SqliteJobs(ABC):
    """`JobStore` and `WebhookStore` on the two connections of a SQLite store."""

    @abstractmethod
    async def _run(self, statements: Callable[[sqlite3.Connection], T]) -> T:
        """Run writing statements in a transaction, in the writer thread."""

    @abstractmethod
    def _read(self, statement: str, *parameters: Any) -> list[Any]:
        """Rows, read on the reading connection."""

    async def claim(self, now: datetime, until: datetime, limit: int) -> Sequence[Job]:
        """Take due jobs for this caller alone."""
        row = (microseconds(until), microseconds(now), limit)
        rows = await self._run(lambda c: c.execute(_CLAIM, row).fetchall())
        rows.sort(key=lambda row: codec.decode_job(row[0]).due_at)
        return [_job(*row) for row in rows]

    async def settle(self, jobs: Sequence[Job]) -> None:
        """Keep what became of claimed jobs."""
        rows = [
            (
                job.state.value,
                microseconds(job.due_at),
                None if job.finished_at is None else microseconds(job.finished_at),
                codec.encode(job),
                job.id,
                job.attempt,
            )
            for job in jobs
        ]
        await self._run(lambda c: c.executemany(_SETTLE, rows).rowcount)

    async def get_job(self, tenant: str, job_id: str) -> Job | None:
        """The job, or None."""
        rows = self._read(_GET_JOB, job_id, tenant)
        return _job(*rows[0]) if rows else None

    async def find_jobs(self, query: JobQuery) -> JobPage:
        """Jobs, newest first by id, by the index that fits."""
        statement, parameters = jobs_plan(query)
        found: list[Job] = []
        after = query.after or "~"  # sorts behind every id
        for _ in range(_SCAN_LIMIT // _CHUNK):
            rows = self._read(statement, *parameters, after, _CHUNK)
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
        row = (microseconds(before), limit)
        return await self._run(lambda c: c.execute(_FORGET, row).rowcount)

    async def add_webhook(self, webhook: Webhook, limit: int) -> bool:
        """Keep a new subscription, unless there are `limit` already."""
        key, record = (webhook.tenant, webhook.id), codec.encode(webhook)

        def add(connection: sqlite3.Connection) -> bool:
            if connection.execute(_GET_WEBHOOK, key).fetchone() is None:
                count: int = connection.execute(_COUNT_WEBHOOKS, key[:1]).fetchone()[0]
                if count >= limit:
                    return False
                connection.execute(_ADD_WEBHOOK, (*key, record))
            return True

        return await self._run(add)

    async def change_webhook(self, old: Webhook, new: Webhook) -> bool:
        """Keep `new` in place of `old`, if that is what is kept."""
        key, record = (old.tenant, old.id), codec.encode(new)

        def change(connection: sqlite3.Connection) -> bool:
            row = connection.execute(_GET_WEBHOOK, key).fetchone()
            if row is None or codec.decode_webhook(row[0]) != old:
                return False
            return connection.execute(_CHANGE_WEBHOOK, (record, *key)).rowcount == 1

        return await self._run(change)

    async def get_webhooks(self, tenant: str) -> Sequence[Webhook]:
        """All subscriptions of a tenant, oldest first."""
        return [codec.decode_webhook(row[0]) for row in self._read(_GET_WEBHOOKS, tenant)]

    async def delete_webhook(self, tenant: str, webhook_id: str) -> bool:
        """Forget it."""
        row = (tenant, webhook_id)
        return await self._run(lambda c: c.execute(_DELETE_WEBHOOK, row).rowcount) == 1


def job_row(job: Job) -> tuple[Any, ...]:
    """A new job as `INSERT_JOB` takes it."""
    return (
        job.id,
        job.tenant,
        job.state.value,
        microseconds(job.due_at),
        job.attempt,
        job.webhook_id,
        codec.encode(job),
    )


def jobs_plan(query: JobQuery) -> tuple[str, tuple[str, ...]]:
    """The statement that reads candidates, and its first parameters."""
    where, parameters, index = "tenant = ?", (query.tenant,), "sqlite_autoindex_jobs_1"
    if query.request_id is not None:  # ids begin with what they are about
        where += " AND id BETWEEN ? AND ?"
        parameters += (f"{query.request_id}_", f"{query.request_id}_~")
    elif query.webhook_id is not None:
        where += " AND webhook_id = ?"
        parameters += (query.webhook_id,)
        index = "jobs_webhook"
    elif query.state is JobState.DEAD:
        where += " AND state = 'dead'"
        index = "jobs_dead"
    statement = (
        f"SELECT record, state, due_at, attempt FROM jobs INDEXED BY {index}"  # noqa: S608
        f" WHERE {where} AND id < ? ORDER BY id DESC LIMIT ?"
    )
    return statement, parameters


def _job(record: bytes, state: str, due_at: int, attempt: int) -> Job:
    """A job as it stands: what changes with a claim is in columns of its own."""
    return msgspec.structs.replace(
        codec.decode_job(record),
        state=JobState(state),
        due_at=datetime.fromtimestamp(due_at / 1_000_000, UTC),
        attempt=attempt,
    )


def microseconds(moment: datetime) -> int:
    """A time as it stands in the database."""
    return round(moment.timestamp() * 1_000_000)
