"""A store in memory: for tests, for libraries, and for a first look. It forgets at exit."""

import bisect
import heapq
from collections.abc import Sequence
from datetime import datetime

import msgspec

from sayso import codec
from sayso.domain.blocks import Block
from sayso.domain.events import Event
from sayso.domain.jobs import Job, JobState
from sayso.domain.lifecycle import Change
from sayso.domain.records import Record
from sayso.domain.requests import Request, Status
from sayso.domain.sessions import Session
from sayso.domain.webhooks import Webhook
from sayso.errors import ConflictError
from sayso.stores.base import (
    SCAN_LIMIT,
    BlockRow,
    EventQuery,
    JobPage,
    JobQuery,
    Login,
    LogRow,
    Page,
    Query,
    RecordQuery,
    Replay,
    RequestRow,
    check_records,
    newest_first,
)


class MemoryStore:
    """Dictionaries; every operation is atomic because nothing in it awaits."""

    def __init__(self) -> None:
        self._requests: dict[str, Request] = {}
        self._order: list[str] = []
        self._deadlines: list[tuple[datetime, str]] = []
        self._keys: dict[tuple[str, str], tuple[str, str]] = {}
        self._events: list[Event] = []
        self._retired = 0
        self._blocks: list[Block] = []
        self._sessions: dict[tuple[str, str], Session] = {}
        self._logins: dict[str, Login] = {}
        self._logins_of: dict[tuple[str, str], set[str]] = {}
        self._used_links: dict[str, datetime] = {}
        self._agreed: dict[str, str] = {}
        self._jobs: dict[str, Job] = {}
        self._due_jobs: list[tuple[datetime, str]] = []
        self._webhooks: dict[tuple[str, str], Webhook] = {}
        self._records: dict[tuple[str, str], Record] = {}
        self._handles: dict[tuple[str, str], str] = {}

    async def open(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        """Nothing to let go."""

    async def commit(self, change: Change) -> None:
        """Keep the request and all that goes with it."""
        request = change.request
        current = self._requests.get(request.id)
        if (current.version if current is not None else 0) != change.expected_version:
            raise ConflictError
        key = (request.tenant, change.key or "")
        if change.key is not None and key in self._keys:
            raise ConflictError
        self._keep_records(change.records)
        if change.key is not None:
            self._keys[key] = (request.id, change.fingerprint)
        self._requests[request.id] = request
        if current is None:
            bisect.insort(self._order, request.id)
        moved = current is None or current.deadline_at != request.deadline_at
        if moved and request.deadline_at is not None:
            heapq.heappush(self._deadlines, (request.deadline_at, request.id))
        for event in change.events:
            self._append(event)
        for job in change.jobs:
            self._add_job(job)

    async def get(self, tenant: str, request_id: str) -> Request | None:
        """The request as last committed."""
        request = self._requests.get(request_id)
        return request if request is not None and request.tenant == tenant else None

    async def replay(self, tenant: str, key: str) -> Replay | None:
        """The request that was submitted with this idempotency key."""
        found = self._keys.get((tenant, key))
        if found is None:
            return None
        return Replay(request=self._requests[found[0]], fingerprint=found[1])

    async def find(self, query: Query) -> Page:
        """Requests, newest first."""
        start = bisect.bisect_left(self._order, query.after) if query.after else len(self._order)
        found: list[Request] = []
        for looked_at, place in enumerate(range(start - 1, -1, -1), start=1):
            request = self._requests[self._order[place]]
            if query.matches(request):
                found.append(request)
                if len(found) > query.limit:
                    return Page(items=tuple(found[:-1]), next=found[-2].id)
            if looked_at >= SCAN_LIMIT:
                return Page(items=tuple(found), next=request.id if place else None)
        return Page(items=tuple(found), next=None)

    async def due(self, now: datetime, limit: int) -> Sequence[Request]:
        """Pending requests whose deadline has come."""
        due: list[tuple[datetime, str]] = []
        while self._deadlines and self._deadlines[0][0] <= now and len(due) < limit:
            entry = heapq.heappop(self._deadlines)
            request = self._requests[entry[1]]
            if request.status is Status.PENDING and request.deadline_at == entry[0]:
                due.append(entry)
        for entry in due:  # due until it is closed
            heapq.heappush(self._deadlines, entry)
        return [self._requests[request_id] for _, request_id in due]

    async def events(self, query: EventQuery) -> tuple[Sequence[Event], int]:
        """Events after `query.after`, in order."""
        if query.limit == 0:
            return (), self._retired + len(self._events)
        rows = self._after(query.after, query.limit)
        reached = rows[-1].id if rows else query.after
        return [event for event in rows if query.matches(event)], reached

    async def put_session(self, session: Session, event: Event, jobs: Sequence[Job] = ()) -> None:
        """Keep the session, its event and what that causes."""
        self._sessions[session.tenant, session.id] = session
        self._append(event)
        for job in jobs:
            self._add_job(job)

    async def get_session(self, tenant: str, session_id: str) -> Session | None:
        """The session, or None."""
        return self._sessions.get((tenant, session_id))

    async def use_link(self, name: str, expires_at: datetime) -> bool:
        """Remember that a one-time link was used."""
        if name in self._used_links:
            return False
        self._used_links[name] = expires_at
        return True

    async def put_login(self, login: Login) -> None:
        """Keep a signed-in session."""
        await self.end_login(login.token_hash)
        self._logins[login.token_hash] = login
        self._logins_of.setdefault((login.tenant, login.person_id), set()).add(login.token_hash)

    async def get_login(self, token_hash: str) -> Login | None:
        """The session of this token, or None."""
        return self._logins.get(token_hash)

    async def end_login(self, token_hash: str) -> None:
        """Forget it."""
        login = self._logins.pop(token_hash, None)
        if login is not None:
            theirs = self._logins_of[login.tenant, login.person_id]
            theirs.discard(token_hash)
            if not theirs:
                del self._logins_of[login.tenant, login.person_id]

    async def get_logins(self, tenant: str, person_id: str) -> Sequence[Login]:
        """All sessions of a person, newest first."""
        theirs = self._logins_of.get((tenant, person_id), ())
        return newest_first(self._logins[token_hash] for token_hash in theirs)

    async def end_logins(self, tenant: str, person_id: str) -> None:
        """Forget all sessions of a person."""
        for token_hash in self._logins_of.pop((tenant, person_id), ()):
            del self._logins[token_hash]

    async def claim(self, now: datetime, until: datetime, limit: int) -> Sequence[Job]:
        """Take due jobs for this caller alone."""
        claimed: list[Job] = []
        while self._due_jobs and self._due_jobs[0][0] <= now and len(claimed) < limit:
            due_at, job_id = heapq.heappop(self._due_jobs)
            job = self._jobs.get(job_id)
            if job is not None and job.is_open and job.due_at == due_at:
                claimed.append(job)
        running = [
            msgspec.structs.replace(
                job, state=JobState.RUNNING, due_at=until, attempt=job.attempt + 1
            )
            for job in claimed
        ]
        for job in running:
            self._keep_job(job)
        return running

    async def settle(self, jobs: Sequence[Job]) -> None:
        """Keep what became of claimed jobs."""
        for job in jobs:
            kept = self._jobs.get(job.id)
            if kept is not None and kept.attempt == job.attempt:
                self._keep_job(job)

    async def get_job(self, tenant: str, job_id: str) -> Job | None:
        """The job, or None."""
        job = self._jobs.get(job_id)
        return job if job is not None and job.tenant == tenant else None

    async def find_jobs(self, query: JobQuery) -> JobPage:
        """Jobs, newest first by id."""
        jobs = [self._jobs[job_id] for job_id in sorted(self._jobs, reverse=True)]
        found = [
            job
            for job in jobs
            if (query.after is None or job.id < query.after) and query.matches(job)
        ]
        more = len(found) > query.limit
        page = tuple(found[: query.limit])
        return JobPage(items=page, next=page[-1].id if more else None)

    async def forget_jobs(self, before: datetime, limit: int) -> int:
        """Delete jobs that were done before then."""
        old = [
            job.id
            for job in self._jobs.values()
            if job.state is JobState.DONE and job.finished_at and job.finished_at < before
        ][:limit]
        for job_id in old:
            del self._jobs[job_id]
        return len(old)

    async def add_webhook(self, webhook: Webhook, limit: int) -> bool:
        """Keep a new subscription, unless there are `limit` already."""
        key = (webhook.tenant, webhook.id)
        if key not in self._webhooks:
            if sum(tenant == webhook.tenant for tenant, _ in self._webhooks) >= limit:
                return False
            self._webhooks[key] = webhook
        return True

    async def change_webhook(self, old: Webhook, new: Webhook) -> bool:
        """Keep `new` in place of `old`, if that is what is kept."""
        key = (old.tenant, old.id)
        if self._webhooks.get(key) != old:
            return False
        self._webhooks[key] = new
        return True

    async def get_webhooks(self, tenant: str) -> Sequence[Webhook]:
        """All subscriptions of a tenant, oldest first."""
        return [w for (of, _), w in sorted(self._webhooks.items()) if of == tenant]

    async def delete_webhook(self, tenant: str, webhook_id: str) -> bool:
        """Forget it."""
        return self._webhooks.pop((tenant, webhook_id), None) is not None

    async def put_records(
        self, records: Sequence[Record], events: Sequence[Event] = (), jobs: Sequence[Job] = ()
    ) -> None:
        """Keep or forget all of them."""
        self._keep_records(records)
        for event in events:
            self._append(event)
        for job in jobs:
            self._add_job(job)

    async def get_record(self, kind: str, record_id: str) -> Record | None:
        """The record, or None."""
        return self._records.get((kind, record_id))

    async def find_handle(self, kind: str, handle: str) -> Record | None:
        """The record that has this handle, or None."""
        record_id = self._handles.get((kind, handle))
        return None if record_id is None else self._records[kind, record_id]

    async def find_records(self, query: RecordQuery) -> Sequence[Record]:
        """Records of a kind, by id."""
        found = [
            record
            for (kind, record_id), record in sorted(self._records.items())
            if kind == query.kind
            and record_id > query.after
            and (query.tenant is None or record.tenant == query.tenant)
            and (query.owner is None or record.owner == query.owner)
        ]
        return found[: query.limit]

    def _keep_records(self, records: Sequence[Record]) -> None:
        check_records(records)
        told = {(new.kind, new.id) for new in records}
        for new in records:
            old = self._records.get((new.kind, new.id))
            holder = self._handles.get((new.kind, new.handle))
            if (old.version if old is not None else 0) != new.version - 1:
                raise ConflictError
            if new.body and holder is not None and (new.kind, holder) not in told:
                raise ConflictError
        for key in told:
            old = self._records.pop(key, None)
            if old is not None:
                self._handles.pop((old.kind, old.handle), None)
        for new in records:
            if new.body:
                self._records[new.kind, new.id] = new
            if new.body and new.handle:
                self._handles[new.kind, new.handle] = new.id

    def _add_job(self, job: Job) -> None:
        if job.id not in self._jobs:
            self._keep_job(job)

    def _keep_job(self, job: Job) -> None:
        self._jobs[job.id] = job
        if job.is_open:
            heapq.heappush(self._due_jobs, (job.due_at, job.id))

    async def agree(self, name: str, value: str) -> str:
        """The first value given for `name`."""
        return self._agreed.setdefault(name, value)

    def _append(self, event: Event) -> None:
        number = self._retired + len(self._events) + 1
        self._events.append(msgspec.structs.replace(event, id=number))

    def _after(self, number: int, limit: int) -> list[Event]:
        start = max(0, number - self._retired)
        return self._events[start : start + limit]

    async def log(self, after: int, limit: int) -> Sequence[LogRow]:
        """Events behind number `after`, as the bytes that another store would keep."""
        return [
            LogRow(e.id, e.tenant, codec.encode(msgspec.structs.replace(e, id=0)))
            for e in self._after(after, limit)
        ]

    async def add_block(self, block: Block) -> bool:
        """Keep a block, unless there is one of its number."""
        if block.number != len(self._blocks) + 1:
            return False
        self._blocks.append(block)
        return True

    async def block_rows(self, after: int, limit: int) -> Sequence[BlockRow]:
        """Blocks behind number `after`, as the bytes that another store would keep."""
        blocks = self._blocks[after : after + limit]
        return [BlockRow(block.number, codec.encode(block)) for block in blocks]

    async def last_block(self) -> Block | None:
        """The newest block."""
        return self._blocks[-1] if self._blocks else None

    async def find_block(self, event: int) -> Block | None:
        """The block that an event is in."""
        return next((block for block in self._blocks if block.last >= event), None)

    async def request_rows(self, after: str, limit: int) -> Sequence[RequestRow]:
        """Requests behind the id `after`, as the bytes that another store would keep."""
        start = bisect.bisect_right(self._order, after)
        return [_row(self._requests[each]) for each in self._order[start : start + limit]]

    async def request_row(self, request_id: str) -> RequestRow | None:
        """One request, as its bytes."""
        request = self._requests.get(request_id)
        return None if request is None else _row(request)

    async def retire(self, upto: int, requests: Sequence[RequestRow]) -> int:
        """Delete events up to a number, and these requests."""
        gone = max(0, min(upto - self._retired, len(self._events) - 1))
        del self._events[:gone]
        self._retired += gone
        ids = {row.id for row in requests if await self.request_row(row.id) == row}
        self._requests = {k: v for k, v in self._requests.items() if k not in ids}
        self._order = [each for each in self._order if each not in ids]
        self._keys = {key: kept for key, kept in self._keys.items() if kept[0] not in ids}
        self._deadlines = [entry for entry in self._deadlines if entry[1] not in ids]
        heapq.heapify(self._deadlines)
        return len(ids)


def _row(request: Request) -> RequestRow:
    record = codec.encode_request(request)
    return RequestRow(request.id, request.tenant, request.status.value, request.version, record)
