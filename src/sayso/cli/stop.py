"""`sayso stop`: the kill switch."""

from sayso.cli import terminal
from sayso.cli.listing import print_list
from sayso.cli.remote import Desk, Remote
from sayso.cli.terminal import AsJson
from sayso.cli.views import tabbed, timestamp
from sayso.client.rules import StopKind
from sayso.domain.stops import Stop

_HERE = Remote()
_DESK = Desk()


def everything_command(*, reason: str = "", as_json: AsJson = False, desk: Desk = _DESK) -> None:
    """Stop everything: nothing is approved or run until the stop is lifted.

    Args:
        reason: Why, for whoever wonders.
        as_json: Print JSON.
        desk: Where the server is, and who you are.
    """
    _stop("everything", "", reason, as_json=as_json, desk=desk)


def agent_command(
    agent_id: str, /, *, reason: str = "", as_json: AsJson = False, desk: Desk = _DESK
) -> None:
    """Stop an agent, whatever client and session it names.

    Args:
        agent_id: Its id or name; without keys, all agents are the agent local.
        reason: Why, for whoever wonders.
        as_json: Print JSON.
        desk: Where the server is, and who you are.
    """
    _stop("agent", agent_id, reason, as_json=as_json, desk=desk)


def client_command(
    client_id: str, /, *, reason: str = "", as_json: AsJson = False, desk: Desk = _DESK
) -> None:
    """Stop a client.

    Args:
        client_id: Its id, as in the requests.
        reason: Why, for whoever wonders.
        as_json: Print JSON.
        desk: Where the server is, and who you are.
    """
    _stop("client", client_id, reason, as_json=as_json, desk=desk)


def session_command(
    session_id: str, /, *, reason: str = "", as_json: AsJson = False, desk: Desk = _DESK
) -> None:
    """Stop a session.

    Args:
        session_id: Its id, as in the requests.
        reason: Why, for whoever wonders.
        as_json: Print JSON.
        desk: Where the server is, and who you are.
    """
    _stop("session", session_id, reason, as_json=as_json, desk=desk)


def list_command(*, as_json: AsJson = False, remote: Remote = _HERE) -> None:
    """List what is stopped.

    Args:
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        found = server.stops()
    if as_json:
        terminal.print_json({"items": found})
    else:
        columns = ("STOPPED", "NAME", "SINCE", "BY", "REASON")
        print_list(columns, [_row(stop) for stop in found], "Nothing is stopped.")


def lift_command(name: str, /, *, as_json: AsJson = False, desk: Desk = _DESK) -> None:
    """Lift a stop; for an admin.

    Args:
        name: As it is listed: everything, or as in session:ID.
        as_json: Print JSON.
        desk: Where the server is, and who you are.
    """
    with desk.manager() as server:
        lifted = server.lift_stop(name)
    terminal.tell(lifted, tabbed(lifted.name, "lifted"), as_json=as_json)


def _stop(kind: StopKind, value: str, reason: str, *, as_json: bool, desk: Desk) -> None:
    with desk.manager() as server:
        stop = server.set_stop(kind, value, reason=reason)
    for text in stop.warnings:
        terminal.warn(text)
    terminal.tell(stop, tabbed(stop.name, "stopped"), as_json=as_json)


def _row(stop: Stop) -> tuple[str, ...]:
    by = stop.set_by_name or stop.set_by
    return stop.name, stop.label, timestamp(stop.set_at), by, stop.reason
