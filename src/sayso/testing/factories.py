"""Records with sensible defaults."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from sayso.domain import lifecycle
from sayso.domain.accounts import Plane, Principal, Strength
from sayso.domain.lifecycle import Change
from sayso.domain.requests import Draft, Request

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AGENT = Principal(plane=Plane.AGENT, id="agent-1", name="an agent")
PERSON = Principal(plane=Plane.PERSON, id="ada", name="Ada", strength=Strength.LOGIN)

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


def make_request(message: str = "May I?", **fields: Any) -> Request:
    """A pending request, submitted at `NOW`."""
    return make_change(make_draft(message, **fields)).request
