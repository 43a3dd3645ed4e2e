import contextlib
import io
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from rich.console import Console

from sayso.cli import views
from sayso.cli.listing import print_list, stream_line
from sayso.client import Event
from sayso.domain.actions import Action
from sayso.domain.decisions import Channel, Decision, DecisionType, Reviewer
from sayso.domain.requests import Kind, Request, Status

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVIL = "\x1b[2J[red]now[/red]\u202e"
REQUEST = Request(
    id="019a1b2c-7d3e-7000-8000-000000000001",
    kind=Kind.APPROVAL,
    message=f"Deploy? {EVIL}",
    session_id=f"s {EVIL}",
    client_id="bot\twith tab",
    action=Action(
        tool_name=f"deploy {EVIL}", tool_args={"evil": EVIL}, rationale=EVIL, side_effects=(EVIL,)
    ),
    metadata={EVIL: EVIL},
    created_at=NOON,
)


def decided(status: Status = Status.APPROVED, **fields: Any) -> Request:
    decision = Decision(
        **{
            "type": DecisionType.APPROVE,
            "approved": status is Status.APPROVED,
            "by": Reviewer(id="p1", name=EVIL),
            "channel": Channel.WEB,
            "strength": None,
            "decided_at": NOON,
            "took_seconds": 2.0,
        }
        | fields
    )
    return msgspec.structs.replace(REQUEST, status=status, decision=decision, closed_at=NOON)


def printed(renderable: object) -> str:
    """What a colour terminal gets, without the colours that are ours."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system=None, width=200, markup=False)
    console.print(renderable)
    return file.getvalue()


def listed(request: Request) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        print_list(views.COLUMNS, [views.row(request)])
    return out.getvalue()


@pytest.mark.parametrize("request_", [REQUEST, decided(reason=EVIL, content=EVIL)])
def test_agent_text_never_reaches_the_terminal_raw(request_: Request) -> None:
    event = Event(id=1, type=EVIL, at=NOON, request_id=EVIL, session_id=EVIL, request=request_)
    console = Console(width=200)
    for shown in (
        printed(views.table([request_], console)),
        printed(views.card(request_)),
        printed(views.event_line(event)),
        listed(request_),
        stream_line(views.event_row(event), views.EVENT_WIDTHS),
        views.answer(request_),
        *views.fact_lines(request_),
    ):
        assert "\x1b[2J" not in shown
        assert "\u202e" not in shown
        assert "[red]" in shown or EVIL[-1] not in shown


def test_a_row_has_nine_columns_whatever_is_in_them() -> None:
    assert len(views.row(REQUEST)) == len(views.COLUMNS) == 9


def test_events_stand_below_their_headings_without_the_next_being_known() -> None:
    event = Event(id=7, type="session.registered", at=NOON, session_id="s1")
    heading, line = (
        stream_line(cells, views.EVENT_WIDTHS)
        for cells in (views.EVENT_COLUMNS, views.event_row(event))
    )
    assert re.split("  +", line) == [
        "7", "2026-11-21T12:00:00.000Z", "session.registered", "-", "-", "s1", "-", "-"
    ]  # fmt: skip
    assert line.index("session.registered") == heading.index("EVENT")
    assert line.index("s1") == heading.index("SESSION")


def test_a_wide_cell_of_an_event_runs_into_no_other() -> None:
    event = Event(id=7, type="request.submitted", at=NOON, client_id="c" * 50, request=REQUEST)
    cells = re.split("  +", stream_line(views.event_row(event), views.EVENT_WIDTHS))
    assert (len(cells), cells[6]) == (8, "c" * 50)


def test_ids_are_shown_as_short_as_they_can_be_told_apart() -> None:
    other = msgspec.structs.replace(REQUEST, id="019a1b2c-7d3f-7000-8000-000000000001")
    twin = msgspec.structs.replace(REQUEST, id="019a1b2c-7d3e-7000-8000-000000000002")
    console = Console(width=200)
    assert "019a1b2c-7d3e " in printed(views.table([REQUEST, other], console))
    assert "019a1b2c-7d3e-7000-8000-000000000002" in printed(views.table([REQUEST, twin], console))


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (decided(), "approved"),
        (decided(reason="ship it"), "approved"),
        (decided(type=DecisionType.EDIT, args={"replicas": 3}), '{"replicas": 3}'),
        (decided(Status.ANSWERED, option="canary"), "canary"),
        (decided(Status.ANSWERED, content="two\nlines"), "two\nlines"),
        (decided(Status.ANSWERED, content={"day": "Monday"}), '{"day": "Monday"}'),
        (decided(Status.REJECTED, reason="too risky"), "rejected: too risky"),
        (decided(Status.REJECTED), "rejected"),
        (
            msgspec.structs.replace(REQUEST, status=Status.EXPIRED, closed_reason="nobody came"),
            "expired: nobody came",
        ),
        (REQUEST, "pending"),
    ],
)
def test_the_answer_in_one_text(request_: Request, answer: str) -> None:
    assert views.answer(request_) == answer
