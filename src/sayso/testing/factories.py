"""Records with sensible defaults."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from sayso.domain import lifecycle
from sayso.domain.accounts import Plane, Principal, Role, Strength
from sayso.domain.jobs import Job, JobKind
from sayso.domain.lifecycle import Change
from sayso.domain.records import Record
from sayso.domain.requests import Draft, Request

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AGENT = Principal(plane=Plane.AGENT, id="agent-1", name="an agent")
PERSON = Principal(
    plane=Plane.PERSON, id="ada", name="Ada", strength=Strength.LOGIN, role=Role.REVIEWER
)

_numbers = itertools.count(1)


def make_draft(message: str = "May I?", **fields: Any) -> Draft:
    """A question as submitted: an approval, unless `fields` say otherwise."""
    return Draft(message=message, **fields)


def make_change(
    draft: Draft | None = None,
    *,
    now: datetime = NOW,
    by: Principal = AGENT,
    key: str | None = None,
    fingerprint: str = "",
) -> Change:
    """A submit that no store has seen yet; ids rise from call to call."""
    return lifecycle.submit(
        draft or make_draft(),
        request_id=f"00000000-0000-7000-8000-{next(_numbers):012x}",
        now=now,
        default_timeout=timedelta(seconds=300),
        by=by,
        key=key,
        fingerprint=fingerprint,
    )


def make_job(
    request: Request, name: str, *, due_at: datetime = NOW, webhook_id: str | None = None
) -> Job:
    """A delivery that a change of `request` caused, waiting."""
    return Job(
        id=f"{request.id}_1_{name}",
        kind=JobKind.CALLBACK if webhook_id is None else JobKind.WEBHOOK,
        request_id=request.id,
        webhook_id=webhook_id,
        url="https://agent.example/told",
        due_at=due_at,
        created_at=NOW,
        tenant=request.tenant,
    )


def make_record(record_id: str = "a", **fields: Any) -> Record:
    """A new record of the kind `user`, unless `fields` say otherwise."""
    told: dict[str, Any] = {"kind": "user", "body": b"{}", **fields}
    return Record(id=record_id, **told)


def make_request(message: str = "May I?", **fields: Any) -> Request:
    """A pending request, submitted at `NOW`."""
    return make_change(make_draft(message, **fields)).request
