"""The Redis store: everything in the memory of one Redis or Valkey server, and in its file.

All that changes something is one call of one script (`lua/store.lua`), which Redis runs by itself:
the version of a request is compared, and it is kept with its events, jobs and indexes, or nothing
is. Any number of Sayso processes may share a server.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from sayso import codec
from sayso.clock import SharedClock
from sayso.domain.events import Event
from sayso.domain.jobs import Job
from sayso.domain.lifecycle import Change
from sayso.domain.records import Record
from sayso.domain.requests import Request, Status
from sayso.domain.sessions import Session
from sayso.errors import ConflictError, StoreError
from sayso.stores.base import (
    PAGE_BYTES,
    SCAN_LIMIT,
    EventQuery,
    Login,
    Page,
    Query,
    Replay,
    newest_first,
)
from sayso.stores.batches import Asked, Batches
from sayso.stores.redis_database import Call, Database
from sayso.stores.redis_jobs import RedisJobs, Stored, job_entry, microseconds, quoted
from sayso.stores.redis_ledger import RedisLedger
from sayso.stores.redis_records import RedisRecords, record_entries

_WRITES = 256
"""Calls that change something, in one command at the most: meanwhile Redis does nothing else."""
_READS = 64
"""Calls that read, the same: a page may be megabytes."""
_LINK_IS_KEPT = timedelta(days=1)
_CHUNK = 256
_PENDING = frozenset({Status.PENDING})


class RedisStore(RedisJobs, RedisRecords, RedisLedger):
    """Requests, events, sessions, sign-ins, jobs and records in one Redis.

    What is promised depends on how Redis is set up: only with `appendonly yes` and `appendfsync
    always` does what was answered survive a crash. `open` logs what is not promised otherwise.

    Args:
        url: `redis://USER:PASSWORD@HOST:PORT/0`, or `rediss://` for TLS.
        prefix: what all keys begin with; another one for each installation that shares a database.
        clock: is set by Redis' clock, so that all processes have one time.
    """

    def __init__(
        self, url: str, *, prefix: str = "sayso", clock: SharedClock | None = None
    ) -> None:
        self._database = Database(url, prefix=prefix, clock=clock)
        self._writes = Batches(self._carry_out, size=_WRITES)
        self._reads = Batches(self._carry_out, size=_READS)

    async def open(self) -> None:
        """Connect, look whether the server is fit, refuse data of a newer layout."""
        await self._database.open()

    async def close(self) -> None:
        """Finish what was begun, then hang up."""
        await asyncio.gather(self._writes.close(), self._reads.close())
        await self._database.close()

    async def commit(self, change: Change) -> None:
        """Keep the request and all that goes with it, or nothing."""
        request = change.request
        entry: dict[str, Any] = {
            "id": request.id,
            "tenant": quoted(request.tenant),
            "version": str(request.version),
            "expected": str(change.expected_version),
            "pending": request.status is Status.PENDING,
        }
        if request.deadline_at is not None:
            entry["deadline"] = microseconds(request.deadline_at)
        if request.session_id is not None:
            entry["session"] = quoted(request.session_id)
        if change.key is not None:
            entry |= {"key": change.key, "fingerprint": change.fingerprint}
        kept, caused = codec.encode_request(request), (change.events, change.jobs)
        if not await self._keep({"request": entry}, (kept,), *caused, change.records):
            raise ConflictError

    async def get(self, tenant: str, request_id: str) -> Request | None:
        """The request as last committed."""
        stored = await self._ask("get", {"kind": "request", "id": request_id})
        request = None if stored is None else _request(stored)
        return request if request is not None and request.tenant == tenant else None

    async def replay(self, tenant: str, key: str) -> Replay | None:
        """The request that was submitted with this idempotency key."""
        found = await self._ask("replay", {"tenant": quoted(tenant), "key": key})
        if found is None:
            return None
        fingerprint = found[0].partition(b" ")[2].decode()
        return Replay(request=_request(found[1]), fingerprint=fingerprint)

    async def find(self, query: Query) -> Page:
        """Requests, newest first, by the index that fits; the rest is filtered as it is read."""
        index, exact = _plan(query)
        chunk = query.limit + 1 if exact else _CHUNK
        found: list[Request] = []
        after, looked_at = query.after, 0
        while True:
            stored = await self._stored("request", index, chunk, after=after)
            for each in stored.records:
                request = _request(each)
                if query.matches(request):
                    found.append(request)
                    if len(found) > query.limit:
                        return Page(items=tuple(found[:-1]), next=found[-2].id)
            if not stored.more:
                return Page(items=tuple(found), next=None)
            looked_at += len(stored.records)
            was_long = len(stored.records) < chunk
            if looked_at >= SCAN_LIMIT or (found and was_long):
                return Page(items=tuple(found), next=stored.last)
            after = stored.last

    async def due(self, now: datetime, limit: int) -> Sequence[Request]:
        """Pending requests whose deadline has come."""
        stored = await self._stored("request", "deadlines", limit, upto=microseconds(now))
        return [_request(each) for each in stored.records]

    async def events(self, query: EventQuery) -> tuple[Sequence[Event], int]:
        """Events after `query.after`, in order."""
        if query.limit == 0:
            return (), int(await self._ask("last_event", {}) or 0)
        told = {"from": str(query.after + 1), "limit": query.limit}
        rows: list[tuple[bytes, tuple[bytes, bytes]]] = await self._ask("events", told)
        events = [
            msgspec.structs.replace(codec.decode_event(record), id=int(place.partition(b"-")[0]))
            for place, (_, record) in rows
        ]
        reached = events[-1].id if events else query.after
        return [event for event in events if query.matches(event)], reached

    async def put_session(self, session: Session, event: Event, jobs: Sequence[Job] = ()) -> None:
        """Keep the session, its event and what that causes."""
        entry = {"id": session.id, "tenant": quoted(session.tenant)}
        await self._keep({"session": entry}, (codec.encode(session),), (event,), jobs)

    async def get_session(self, tenant: str, session_id: str) -> Session | None:
        """The session, or None."""
        told = {"of": f"sessions:{quoted(tenant)}", "id": session_id}
        record = await self._ask("get_of", told)
        return None if record is None else codec.decode_session(record)

    async def use_link(self, name: str, expires_at: datetime) -> bool:
        """Remember that a one-time link was used."""
        before, ends = microseconds(expires_at - _LINK_IS_KEPT), microseconds(expires_at)
        told = {"name": name, "ends": ends, "before": before}
        return await self._run("use_link", told) == 1

    async def put_login(self, login: Login) -> None:
        """Keep a signed-in session, and forget those that ended before it began."""
        began, ends = microseconds(login.created_at), microseconds(login.expires_at)
        told = {"hash": login.token_hash, "began": began, "ends": ends}
        told["person"] = _person(login.tenant, login.person_id)
        await self._run("put_login", told, codec.encode(login))

    async def get_login(self, token_hash: str) -> Login | None:
        """The session of this token, or None."""
        record = await self._ask("get_of", {"of": "logins", "id": token_hash})
        return None if record is None else msgspec.json.decode(record, type=Login)

    async def end_login(self, token_hash: str) -> None:
        """Forget it."""
        await self._run("end_login", {"hash": token_hash})

    async def get_logins(self, tenant: str, person_id: str) -> Sequence[Login]:
        """All sessions of a person, newest first."""
        records = await self._ask("get_logins", {"person": _person(tenant, person_id)})
        return newest_first(msgspec.json.decode(record, type=Login) for record in records)

    async def end_logins(self, tenant: str, person_id: str) -> None:
        """Forget all sessions of a person."""
        await self._run("end_logins", {"person": _person(tenant, person_id)})

    async def agree(self, name: str, value: str) -> str:
        """The first value that was given for this name."""
        return (await self._run("agree", {"name": name, "value": value})).decode()

    async def _keep(
        self,
        entry: dict[str, Any],
        kept: Sequence[bytes],
        events: Sequence[Event],
        jobs: Sequence[Job],
        records: Sequence[Record] = (),
    ) -> bool:
        told = entry | {"events": len(events), "jobs": [job_entry(job) for job in jobs]}
        if records:
            told["records"] = record_entries(records)
        caused = [codec.encode(each) for each in (*events, *jobs)]
        bodies = [record.body for record in records]
        return await self._run("keep", told, *kept, *caused, *bodies) == 1

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
        told: dict[str, Any] = {"kind": kind, "index": index, "limit": limit}
        if upto is not None:
            told |= {"upto": upto, "bytes": limit * PAGE_BYTES}
        else:
            told |= {"min": first, "max": last if after is None else f"({after}"}
            told["bytes"] = PAGE_BYTES
        more, place, *records = await self._ask("read", told)
        return Stored(more=more == 1, last=place.decode(), records=records)

    async def _run(self, operation: str, told: dict[str, Any], *records: bytes) -> Any:
        return await self._writes.ask(Call(operation, codec.encode(told), records))

    async def _ask(self, operation: str, told: dict[str, Any]) -> Any:
        return await self._reads.ask(Call(operation, codec.encode(told)))

    async def _carry_out(self, batch: Sequence[Asked]) -> None:
        results = await self._database.run([asked.what for asked in batch])
        for asked, result in zip(batch, results, strict=True):
            if isinstance(result, StoreError):
                asked.fail(result)
            else:
                asked.answer(result)


def _plan(query: Query) -> tuple[str, bool]:
    """The index of candidates, and whether all of them match."""
    tenant = quoted(query.tenant)
    exact = (
        not (query.text or query.is_parked) and query.client_id is None and query.seen_by is None
    )
    if query.session_id is not None:
        return f"session:{tenant}:{quoted(query.session_id)}", exact and not query.status
    if query.status == _PENDING:
        return f"pending:{tenant}", exact
    if query.status and Status.PENDING not in query.status:
        return f"closed:{tenant}", exact and query.status == frozenset(Status) - _PENDING
    return f"requests:{tenant}", exact and not query.status


def _person(tenant: str, person_id: str) -> str:
    return f"{quoted(tenant)}:{quoted(person_id)}"


def _request(stored: bytes) -> Request:
    return codec.decode_request(stored.partition(b" ")[2])
