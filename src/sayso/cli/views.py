"""How a request is shown: a row, a card, a line; for people in colour, for programs in columns."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sayso import cards
from sayso.cards import effective_digest as effective_digest  # other commands take them from here
from sayso.cards import rule_text as rule_text
from sayso.cards import timestamp as timestamp
from sayso.cli.terminal import json_text, relative, visible
from sayso.client import Event
from sayso.domain.events import EventType
from sayso.domain.requests import Request, Status
from sayso.visible import fenced, unsteered

SHORT_ID = 13  # of a UUIDv7: the millisecond and the version
_COLOURS = {
    Status.PENDING: "yellow",
    Status.APPROVED: "green",
    Status.ANSWERED: "green",
    Status.REJECTED: "red",
    Status.EXPIRED: "dim",
    Status.CANCELLED: "dim",
}
_RISK_COLOURS = {"high": "bold red", "medium": "yellow", "low": "green"}


COLUMNS = (
    "ID", "STATUS", "KIND", "PRIORITY", "ASKED", "DEADLINE", "SESSION", "CLIENT", "MESSAGE",
)  # fmt: skip
"""Above what `row` tells."""


def row(request: Request) -> tuple[str | None, ...]:
    """A request in a list of them."""
    return (
        request.id,
        request.status,
        request.kind,
        request.priority,
        timestamp(request.created_at),
        timestamp(request.deadline_at),
        request.session_id,
        request.client_id,
        request.message,
    )


EVENT_COLUMNS = (
    "NUMBER", "TIME", "EVENT", "REQUEST", "STATUS", "SESSION", "CLIENT", "MESSAGE",
)  # fmt: skip
"""Above what `event_row` tells."""
EVENT_WIDTHS = (8, 24, max(map(len, EventType)), 36, max(map(len, Status)), 16, 16, 0)
"""A time, the longest names, an id; sessions and clients may be named at greater length."""


def event_row(event: Event) -> tuple[str | None, ...]:
    """An event in a stream of them."""
    request = event.request
    return (
        str(event.id),
        timestamp(event.at),
        event.type,
        event.request_id,
        request and request.status,
        event.session_id,
        event.client_id,
        request and request.message,
    )


def table(requests: Sequence[Request], console: Console) -> Table:
    """One row for each request; ids as short as they can be told apart."""
    now = datetime.now(UTC)
    short = {request.id[:SHORT_ID] for request in requests}
    length = SHORT_ID if len(short) == len(requests) else None
    grid = Table(box=None, pad_edge=False, header_style="dim")
    grid.add_column("ID", no_wrap=True)
    grid.add_column("STATUS", no_wrap=True)
    grid.add_column("ASKED", no_wrap=True)
    grid.add_column("DEADLINE", no_wrap=True)
    grid.add_column("MESSAGE", no_wrap=console.width < 60, overflow="ellipsis")
    for request in requests:
        deadline = request.deadline_at if not request.is_terminal else None
        grid.add_row(
            Text(visible(request.id[:length]), style="cyan"),
            Text(request.status, style=_COLOURS[request.status]),
            relative(request.created_at, now),
            relative(deadline, now) if deadline else "",
            Text(visible(request.message)),
        )
    return grid


def card(request: Request) -> Table:
    """Everything that a person needs to know to decide it, or about how it was decided.

    What the agent says stands below a label of ours, each of its lines behind a fence.
    """
    shown = cards.card(request)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for row in shown.head:
        grid.add_row(row.name, Text(_written(row, indent=2), style=_style(request, row.name)))
    grid.add_row("", Text(f"{cards.WORDS}:", style="dim italic"))
    for row in shown.words:
        style = _style(request, row.name)
        grid.add_row(row.name, Text(fenced(_written(row, indent=2)), style=style))
    for row in shown.result:
        written = _written(row, indent=2)
        grid.add_row(row.name, Text(fenced(written) if "\n" in written else written))
    return grid


def fact_lines(request: Request) -> list[str]:
    """`name: value`, one line each, since line breaks are spelled out."""
    shown = cards.card(request)
    return [
        f"{row.name}: {visible(row.value) if isinstance(row.value, str) else json_text(row.value)}"
        for row in (*shown.head, *shown.words, *shown.result)
    ]


def _written(row: cards.Row, *, indent: int | None = None) -> str:
    """Safe to print: a text with its line breaks, or JSON."""
    if isinstance(row.value, str):
        return visible(row.value, lines=True)
    return json_text(row.value, indent=indent)


def answer(request: Request) -> str:
    """What was decided, in one text: for scripts as for people.

    An approval is `approved`, or the edited arguments as JSON; an option is its value; words are
    themselves; a form is JSON; anything else is the status and why, as `rejected: too risky`.
    """
    decision = request.decision
    if decision is not None and request.answer is not None:
        answer = request.answer
        return unsteered(answer, keep="\n\t") if isinstance(answer, str) else json_text(answer)
    if decision is not None and request.approved and decision.args is not None:
        return json_text(decision.args)
    reason = "" if request.approved else visible(request.reason)
    return f"{request.status}: {reason}" if reason else str(request.status)


def event_line(event: Event) -> Text:
    """One event for a person: the time, what happened, to which request."""
    line = Text().append(event.at.astimezone().strftime("%H:%M:%S "), "dim")
    colour = _COLOURS[event.request.status] if event.request else ""
    line.append(f"{visible(event.type):<20} ", style=colour)
    line.append(f"{visible((event.request_id or event.session_id or '')[:SHORT_ID])} ", "cyan")
    if event.request is not None:
        line.append(visible(event.request.message))
        if event.request.is_terminal and event.type != "request.submitted":
            line.append(f" -> {answer(event.request)}", style=colour)
    return line


def tabbed(*fields: str | None) -> str:
    """Fields that hold no tab and no line break, between tabs."""
    return "\t".join(visible(field or "") for field in fields)


def _style(request: Request, name: str) -> str:
    if name == "status":
        return _COLOURS[request.status]
    if name == "risk" and request.action is not None:
        return _RISK_COLOURS.get(request.action.risk_class or "", "")
    return "bold" if name == "message" else ""
