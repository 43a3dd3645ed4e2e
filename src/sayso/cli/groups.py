"""`sayso groups`: reviewers who are asked together; list, add, remove."""

from typing import Any

from sayso.cli import terminal
from sayso.cli.listing import print_list
from sayso.cli.manage import managing, path_of
from sayso.cli.remote import Remote
from sayso.cli.terminal import AsJson
from sayso.cli.users import Data
from sayso.cli.views import tabbed

_HERE = Remote()


def list_command(*, data: Data = None, as_json: AsJson = False, remote: Remote = _HERE) -> None:
    """List groups by name, and who is in them.

    Args:
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with managing(remote, data) as manager:
        found = manager.call("GET", path_of("groups"))
        users = manager.call("GET", path_of("users"))["items"]
    if as_json:
        terminal.print_json(found)
        return
    names = {user["id"]: user["username"] for user in users}
    rows = [
        (group["name"], names.get(member, ""), member)
        for group in found["items"]
        for member in group["members"]
    ]
    print_list(("GROUP", "USER", "ID"), rows, "No groups yet: groups add GROUP USERNAME")


def add_command(
    group: str,
    username: str,
    /,
    *,
    data: Data = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """Put a user into a group, which is made if need be.

    Args:
        group: Its name.
        username: Their user name, or id.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with managing(remote, data) as manager:
        changed = manager.call("PUT", path_of("groups", group, "members", username))
    _print(changed, as_json=as_json)


def remove_command(
    group: str,
    username: str,
    /,
    *,
    data: Data = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """Take a user out of a group; with the last one it is gone.

    Args:
        group: Its name.
        username: Their user name, or id.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with managing(remote, data) as manager:
        changed = manager.call("DELETE", path_of("groups", group, "members", username))
    _print(changed, as_json=as_json)


def _print(group: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(group)
    else:
        print(tabbed(group["name"], f"{len(group['members'])} members"))
