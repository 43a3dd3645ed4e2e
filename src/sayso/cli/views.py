"""How a request is shown: a row, a card, a line; for people in colour, for programs in columns."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sayso.cli.terminal import json_text, relative, visible
from sayso.client import Event
from sayso.domain.accounts import Strength
from sayso.domain.decisions import Vote
from sayso.domain.requests import Request, Status
from sayso.domain.rules import Rule
from sayso.types import Json

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


def row(request: Request) -> str:
    """Tab-separated: id, status, kind, priority, created, deadline, session, client, message."""
    return tabbed(
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


def event_row(event: Event) -> str:
    """Tab-separated: number, time, type, request, session, client, status, message."""
    request = event.request
    return tabbed(
        str(event.id),
        timestamp(event.at),
        event.type,
        event.request_id,
        event.session_id,
        event.client_id,
        request and request.status,
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
    """Everything that a person needs to know to decide it, or about how it was decided."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts(request, indent=2):
        style = _style(request, name)
        grid.add_row(name, Text(visible(value, lines=True), style=style))
    return grid


def facts(request: Request, *, indent: int | None = None) -> list[tuple[str, str]]:
    """The request as names and values, in reading order; what is empty is left out.

    Args:
        request: which.
        indent: how far JSON is indented. Default: it stands on one line.
    """
    action, decision = request.action, request.decision
    options = [f"{each.value}: {each.label}" for each in request.options]
    found: list[tuple[str, Json]] = [
        ("id", request.id),
        ("status", request.status),
        ("kind", request.kind),
        ("message", request.message),
        ("priority", request.priority),
        ("session", request.session_id),
        ("client", request.client_id),
        ("asked by", _requester(request)),
        ("tool", action and action.tool_name),
        ("arguments", action and action.tool_args),
        ("risk", action and action.risk_class),
        ("rationale", action and action.rationale),
        ("side effects", action and "\n".join(action.side_effects)),
        ("proposed arguments", request.proposed_args if decision is None else None),
        ("digest", effective_digest(request)),
        ("options", "\n".join(options)),
        ("form", request.schema),
        ("metadata", request.metadata),
        ("facts", request.facts),
        ("asks again", request.reopens),
        ("changed since", request.changes),
        ("rule", request.rule and rule_text(request.rule)),
        ("votes", "\n".join(map(_vote, request.votes))),
        ("asked", timestamp(request.created_at)),
        ("deadline", timestamp(request.deadline_at)),
        ("decision", decision and decision.type),
        ("by", decision and f"{decision.by.name} ({decision.channel})"),
        ("after", decision and f"{decision.took_seconds:.1f} s"),
        ("option", decision and decision.option),
        ("content", decision and decision.content),
        ("edited arguments", decision and decision.args),
        ("reason", request.reason),
        ("closed", timestamp(request.closed_at)),
        ("grant", _grant(request)),
        ("outcome", _outcome(request)),
    ]
    return [
        (name, value if isinstance(value, str) else json_text(value, indent=indent))
        for name, value in found
        if value not in (None, "", {}, ())
    ]


def fact_lines(request: Request) -> list[str]:
    """`name: value`, one line each."""
    return [f"{name}: {visible(value)}" for name, value in facts(request)]


def effective_digest(request: Request) -> str | None:
    """Of what was approved, or would be approved now; None without an action."""
    if request.action is None:
        return None
    if request.decision is not None and request.decision.digest is not None:
        return request.decision.digest
    if request.proposed_args is not None:
        return request.action.with_args(request.proposed_args).digest
    return request.action.digest


def rule_text(rule: Rule) -> str:
    """What a decision needs, in one line."""
    people = [*rule.people, *(f"group {name}" for name in rule.groups)]
    parts = [
        f"{rule.approvals} approval{'s' if rule.approvals > 1 else ''}",
        f"of {', '.join(people)}" if people else "",
        "four eyes" if rule.four_eyes else "",
        "" if rule.veto else "no veto",
        "" if rule.min_strength is Strength.LINK else f"by {rule.min_strength} at least",
        "" if rule.grant_seconds is None else f"to be claimed within {rule.grant_seconds:g} s",
        f"from {', '.join(rule.names)}" if rule.names else "",
    ]
    return "; ".join(filter(None, parts))


def answer(request: Request) -> str:
    """What was decided, in one text: for scripts as for people.

    An approval is `approved`, or the edited arguments as JSON; an option is its value; words are
    themselves; a form is JSON; anything else is the status and why, as `rejected: too risky`.
    """
    decision = request.decision
    if decision is not None and request.answer is not None:
        answer = request.answer
        return visible(answer, lines=True) if isinstance(answer, str) else json_text(answer)
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


def timestamp(at: datetime | None) -> str:
    """ISO 8601 in UTC, to the millisecond; nothing for no time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" if at else ""


def _requester(request: Request) -> str:
    by = request.requested_by
    owner = f", for {by.owner}" if by.owner else ""
    return f"{by.name} ({by.actor}{owner})"


def _vote(vote: Vote) -> str:
    reason = f": {vote.reason}" if vote.reason else ""
    return f"{vote.type} by {vote.by.name} ({vote.channel}, {vote.strength}){reason}"


def _grant(request: Request) -> str:
    grant = request.grant
    if grant is None:
        return ""
    if grant.claimed_at is not None:
        return f"claimed at {timestamp(grant.claimed_at)} by {grant.claimed_by}"
    return f"can be claimed until {timestamp(grant.expires_at)}"


def _outcome(request: Request) -> str:
    outcome = request.outcome
    if outcome is None:
        return ""
    told = outcome.error or ("" if outcome.result is None else json_text(outcome.result))
    return f"{outcome.status}: {told}" if told else str(outcome.status)


def _style(request: Request, name: str) -> str:
    if name == "status":
        return _COLOURS[request.status]
    if name == "risk" and request.action is not None:
        return _RISK_COLOURS.get(request.action.risk_class or "", "")
    return "bold" if name == "message" else ""
