"""Records in Redis: the part of `RedisStore` that keeps users, keys and the like."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from sayso.domain.events import Event
from sayso.domain.jobs import Job
from sayso.domain.records import Record
from sayso.errors import ConflictError
from sayso.stores.base import RecordQuery, check_records
from sayso.stores.redis_jobs import quoted


class RedisRecords(ABC):
    """`RecordStore` on the connections of a Redis store."""

    @abstractmethod
    async def _ask(self, operation: str, told: dict[str, Any]) -> Any:
        """Call an operation of the script that changes nothing."""

    @abstractmethod
    async def _keep(
        self,
        entry: dict[str, Any],
        kept: Sequence[bytes],
        events: Sequence[Event],
        jobs: Sequence[Job],
        records: Sequence[Record] = (),
    ) -> bool:
        """Keep a request, a session or neither, with all that goes with it.

        Returns False if the request or a record was changed meanwhile; nothing was written then.

        Args:
            entry: what the script has to know of the request or session.
            kept: it, as JSON, if there is one.
            events: what is told.
            jobs: what is caused.
            records: what is kept or forgotten with it.
        """

    async def put_records(
        self, records: Sequence[Record], events: Sequence[Event] = (), jobs: Sequence[Job] = ()
    ) -> None:
        """Keep or forget all of them, or none."""
        if not await self._keep({}, (), events, jobs, records):
            raise ConflictError

    async def get_record(self, kind: str, record_id: str) -> Record | None:
        """The record, or None."""
        return await self._record({"kind": quoted(kind), "id": record_id})

    async def find_handle(self, kind: str, handle: str) -> Record | None:
        """The record that has this handle, or None."""
        return await self._record({"kind": quoted(kind), "handle": handle})

    async def find_records(self, query: RecordQuery) -> Sequence[Record]:
        """Records of a kind, by id."""
        told: dict[str, Any] = {"kind": quoted(query.kind), "index": _plan(query)}
        told |= {"min": f"({query.after}" if query.after else "-", "limit": query.limit}
        rows = await self._ask("find_records", told)
        return [_record(query.kind, row) for row in rows]

    async def _record(self, told: dict[str, Any]) -> Record | None:
        row = await self._ask("get_record", told)
        return None if row is None else _record(unquote(told["kind"]), row)


def record_entries(records: Sequence[Record]) -> list[dict[str, Any]]:
    """What the script has to know of records, beside their bodies.

    Raises:
        ConflictError: they cannot all be kept, whatever is there.
    """
    check_records(records)
    return [
        {
            "kind": quoted(record.kind),
            "id": record.id,
            "tenant": quoted(record.tenant),
            "owner": quoted(record.owner),
            "handle": record.handle,
            "version": str(record.version),
            "expected": str(record.version - 1),
            "kept": bool(record.body),
        }
        for record in records
    ]


def _plan(query: RecordQuery) -> str:
    """The index in which all that is asked for stands, and nothing else."""
    kind, tenant, owner = (quoted(name or "") for name in (query.kind, query.tenant, query.owner))
    match query.tenant, query.owner:
        case None, None:
            return f"records:{kind}"
        case _, None:
            return f"records_tenant:{kind}:{tenant}"
        case None, _:
            return f"records_owner:{kind}:{owner}"
        case _:
            return f"records_both:{kind}:{tenant}:{owner}"


def _record(kind: str, row: Sequence[Any]) -> Record:
    record_id, (version, tenant, owner, handle, body) = row
    return Record(
        kind=kind,
        id=record_id.decode(),
        tenant=unquote(tenant.decode()),
        owner=unquote(owner.decode()),
        handle=handle.decode(),
        version=int(version),
        body=body,
    )
