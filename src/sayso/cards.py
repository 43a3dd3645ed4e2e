"""A request as a person is shown it: what holds apart from what the agent says.

Whatever carries a request to people lays out the same card, so that nothing that an agent writes
can pass for something that the server found out. Texts are raw; `sayso.visible` writes them.
"""

from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from sayso.domain.requests import Request
from sayso.types import Json

WORDS = "In the agent's own words, not verified"
"""What stands above the words of an agent, wherever they are shown."""


class Row(Struct, frozen=True, kw_only=True):
    """A name of ours, and what stands there: a text, or JSON."""

    name: str
    value: Json


class Card(Struct, frozen=True, kw_only=True):
    """A request, in reading order; what is empty is left out."""

    head: tuple[Row, ...]
    """Which request it is, and what would run: computed, or exactly as it would run."""
    words: tuple[Row, ...]
    """What the agent says about it, to be fenced and labelled with `WORDS`."""
    result: tuple[Row, ...]
    """What people said, and how it ended."""


def card(request: Request) -> Card:
    """All that a person needs to know to decide it, or about how it was decided."""
    action, decision = request.action, request.decision
    return Card(
        head=_rows(
            ("id", request.id),
            ("status", request.status.value),
            ("kind", request.kind.value),
            ("priority", request.priority.value),
            ("session", request.session_id),
            ("client", request.client_id),
            ("asked", timestamp(request.created_at)),
            ("deadline", timestamp(request.deadline_at)),
            ("tool", action and action.tool_name),
            ("arguments", action and action.tool_args),
            ("digest", action and action.digest),
        ),
        words=_rows(
            ("message", request.message),
            ("risk", action and action.risk_class),
            ("rationale", action and action.rationale),
            ("side effects", action and "\n".join(action.side_effects)),
            ("options", "\n".join(f"{each.value}: {each.label}" for each in request.options)),
            ("form", request.schema),
            ("metadata", request.metadata),
        ),
        result=_rows(
            ("decision", decision and decision.type.value),
            ("by", decision and f"{decision.by.name} ({decision.channel})"),
            ("after", decision and f"{decision.took_seconds:.1f} s"),
            ("option", decision and decision.option),
            ("content", decision and decision.content),
            ("edited arguments", decision and decision.args),
            ("reason", request.reason),
            ("closed", timestamp(request.closed_at)),
        ),
    )


def timestamp(at: datetime | None) -> str:
    """ISO 8601 in UTC, to the millisecond; nothing for no time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" if at else ""


def _rows(*found: tuple[str, Json]) -> tuple[Row, ...]:
    return tuple(
        Row(name=name, value=msgspec.to_builtins(value))
        for name, value in found
        if value not in (None, "", {}, ())
    )
