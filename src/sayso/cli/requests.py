"""`sayso requests`: list, show, decide, cancel and watch; and `sayso extend`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from sayso import settings
from sayso.cli import terminal, views
from sayso.cli.listing import print_list, stream_line
from sayso.cli.remote import Remote, full_id
from sayso.cli.terminal import AsJson, parse_json, parse_object
from sayso.client.messages import DecisionType
from sayso.domain.patterns import Pattern, StandingDraft
from sayso.domain.requests import Request
from sayso.errors import UsageError

_HERE = Remote()
_REFUSALS = ("reject", "ignore")


def list_command(
    *,
    status: str | None = None,
    q: str | None = None,
    session: str | None = None,
    client: str | None = None,
    parked: Annotated[bool, Parameter(negative="")] = False,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 50,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """List requests, newest first.

    Piped, there are more columns, and whole ids.

    Args:
        status: Only these, by commas: pending, approved, rejected, answered, expired, cancelled.
        q: Only those with this text.
        session: Only those of this session.
        client: Only those of this client.
        parked: Only those that wait though their deadline is over.
        limit: At most so many.
        as_json: Print JSON.
        remote: Where the server is.
    """
    statuses = status.split(",") if status else None
    with remote.client() as server:
        found = list(
            server.find(
                status=statuses,
                q=q,
                session_id=session,
                client_id=client,
                parked=parked,
                limit=limit,
            )
        )
    if as_json:
        terminal.print_json({"items": found})
    elif found and sys.stdout.isatty():
        screen = terminal.console()
        screen.print(views.table(found, screen))
    else:
        if any((status, q, session, client)):
            empty = "No request is like that: requests list"
        elif parked:
            empty = "Nothing is parked: requests list"
        else:
            empty = "No requests yet: ask QUESTION"
        print_list(views.COLUMNS, [views.row(request) for request in found], empty)


def show_command(request_id: str, /, *, as_json: AsJson = False, remote: Remote = _HERE) -> None:
    """Show one request in full.

    Args:
        request_id: Its id, or the first characters, at least six.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        request = server.get(full_id(server, request_id))
    _show(request, as_json=as_json)


def decide_command(
    request_id: str,
    answer: DecisionType,
    /,
    *,
    reason: str = "",
    option: str | None = None,
    content: str | None = None,
    args: str | None = None,
    digest: str | None = None,
    remember: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    data: Annotated[Path | None, Parameter(show_default=False)] = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """Decide a request, as a person.

    Who you are is the token in $SAYSO_TOKEN; without one, you are signed in through the secret
    in the server's data folder.

    Args:
        request_id: Its id, or the first characters, at least six.
        answer: What to say.
        reason: Why, for the agent to read.
        option: respond: the value of the option.
        content: respond: a text; for a form, a JSON object.
        args: edit: all arguments as they shall run, a JSON object.
        digest: The digest that you saw in show: refused if anything else would be approved.
        remember: approve: the same of this agent is approved without asking for so many seconds.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.person(settings.load(data=data).secret_path) as server:
        found = full_id(server, request_id, status="pending")
        seen = server.get(found)
        is_form = content is not None and seen.schema is not None
        if answer not in _REFUSALS:  # to refuse is never made harder
            digest = digest or views.effective_digest(seen)
        request = server.decide(
            found,
            answer,
            reason=reason,
            option=option,
            content=parse_json(content, "--content") if content and is_form else content,
            args=parse_object(args, "--args") if args is not None else None,
            digest=digest,
            remember=None if remember is None else _alike(seen, answer, remember),
        )
    _report(request, as_json=as_json)


def _alike(request: Request, answer: DecisionType, seconds: float) -> StandingDraft:
    """Exactly this action, of this agent."""
    if answer != "approve" or request.action is None:
        raise UsageError(
            "Only the approval of an action is remembered.", hint="Decide without --remember."
        )
    return StandingDraft(
        tool_name=request.action.tool_name,
        args={name: Pattern(equals=value) for name, value in request.action.tool_args.items()},
        seconds=seconds,
        asked_by=request.requested_by.actor,
    )


def cancel_command(
    request_id: str, /, *, reason: str = "", as_json: AsJson = False, remote: Remote = _HERE
) -> None:
    """Withdraw a request.

    Args:
        request_id: Its id, or the first characters, at least six.
        reason: Why.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        request = server.cancel(full_id(server, request_id, status="pending"), reason)
    _report(request, as_json=as_json)


def extend(
    request_id: str,
    /,
    *,
    seconds: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    no_deadline: Annotated[bool, Parameter(negative="")] = False,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """Give people more time to answer a request.

    Args:
        request_id: Its id, or the first characters, at least six.
        seconds: So much from now on.
        no_deadline: Any time they need.
        as_json: Print JSON.
        remote: Where the server is.
    """
    if (seconds is None) is not no_deadline:
        raise UsageError("How long?", hint="Give --seconds N, or --no-deadline.")
    with remote.client() as server:
        request = server.extend(full_id(server, request_id, status="pending"), seconds)
    if as_json:
        terminal.print_json(request)
    else:
        print(f"{request.id}\t{views.timestamp(request.deadline_at) or 'no deadline'}")


def watch_command(
    *,
    session: str | None = None,
    client: str | None = None,
    after: int | None = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """Follow what happens, as it happens, until Ctrl-C.

    Piped, it prints a heading and a line for each event; with --json, one JSON object a line.

    Args:
        session: Only this session.
        client: Only this client.
        after: Begin after the event with this number. Default: begin now.
        as_json: Print JSON.
        remote: Where the server is.
    """
    screen = terminal.console() if sys.stdout.isatty() and not as_json else None
    with remote.client() as server:
        if screen is not None:
            screen.print(
                f"Watching {server.base_url}; Ctrl-C ends it.", style="dim", soft_wrap=True
            )
        elif not as_json:
            print(stream_line(views.EVENT_COLUMNS, views.EVENT_WIDTHS), flush=True)
        for event in server.events(after, session_id=session, client_id=client):
            if as_json:
                print(terminal.json_text(event), flush=True)
            elif screen is not None:
                screen.print(views.event_line(event))
            else:
                print(stream_line(views.event_row(event), views.EVENT_WIDTHS), flush=True)


def _show(request: Request, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(request)
    elif sys.stdout.isatty():
        terminal.console().print(views.card(request))
    else:
        _print_lines(views.fact_lines(request))


def _report(request: Request, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(request)
    else:
        print(f"{request.id}\t{views.answer(request)}")


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
