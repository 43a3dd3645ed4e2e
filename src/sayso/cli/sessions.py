"""`sayso sessions`: who is signed in; list, end."""

from typing import Annotated

from cyclopts import Parameter

from sayso.cli import terminal
from sayso.cli.listing import moment, print_list
from sayso.cli.manage import managing, path_of
from sayso.cli.remote import Remote
from sayso.cli.terminal import AsJson
from sayso.cli.users import Data
from sayso.errors import UsageError

_HERE = Remote()


def list_command(
    *,
    mine: Annotated[bool, Parameter(negative="")] = False,
    data: Data = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """List the sessions of people who are signed in, newest first: an admin's list has everybody's.

    Args:
        mine: Only one's own.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with managing(remote, data) as manager:
        may_see_all = "manage" in manager.call("GET", path_of("me"))["powers"]
        of_all = "true" if may_see_all and not mine else None
        found = manager.call("GET", path_of("logins", all=of_all))
    if as_json:
        terminal.print_json(found)
        return
    columns = ("ID", "NAME", "METHOD", "BEGUN", "EXPIRES", "PROGRAM")
    rows = [
        (
            each["id"],
            each["name"] or each["user_id"],
            each["method"],
            moment(each["created_at"]),
            moment(each["expires_at"]),
            each["agent"],
        )
        for each in found["items"]
    ]
    print_list(columns, rows, "Nobody is signed in: login-link")


def end_command(
    session_id: str | None = None,
    /,
    *,
    user: str | None = None,
    data: Data = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """End a session, or all of a user.

    Args:
        session_id: Its id.
        user: Instead: all of the user with this user name, or id.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    if (session_id is None) == (user is None):
        raise UsageError("Give the id of a session, or --user.")
    with managing(remote, data) as manager:
        if session_id is not None:
            ended = manager.call("DELETE", path_of("logins", session_id))
        else:
            user_id = manager.call("GET", path_of("users", user or ""))["id"]
            ended = manager.call("DELETE", path_of("logins", user_id=user_id))
    if as_json:
        terminal.print_json(ended)
    else:
        print("ended" if session_id is not None else f"{ended['ended']} ended")
