"""`sayso users`: who has an account; list, add, role, disable, password."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from sayso.cli import terminal
from sayso.cli.listing import moment, print_list
from sayso.cli.manage import managing, path_of, read_password
from sayso.cli.remote import Remote
from sayso.cli.terminal import AsJson
from sayso.domain.accounts import Role
from sayso.errors import UsageError

Data = Annotated[Path | None, Parameter(show_default=False)]
_HERE = Remote()


def list_command(
    *,
    tenant: str | None = None,
    data: Data = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """List users, oldest first.

    Args:
        tenant: Of another tenant, for whoever runs the server.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with managing(remote, data) as manager:
        found = manager.call("GET", path_of("users", tenant=tenant))
    if as_json:
        terminal.print_json(found)
    else:
        _print_users(found["items"])


def add_command(
    username: str,
    /,
    *,
    role: Role | None = None,
    admin: Annotated[bool, Parameter(negative="")] = False,
    name: str = "",
    no_password: Annotated[bool, Parameter(negative="")] = False,
    tenant: str | None = None,
    data: Data = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """Add a user; the password is asked for, or read from the standard input.

    Args:
        username: What they sign in with.
        role: member, viewer, reviewer or admin. Default: member.
        admin: The same as --role admin.
        name: What others are shown. Default: the user name.
        no_password: They sign in at the OpenID provider.
        tenant: In another tenant, for whoever runs the server.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    if admin and role not in (None, Role.ADMIN):
        raise UsageError("--admin and another --role contradict each other.")
    body: dict[str, Any] = {
        "username": username,
        "name": name,
        "role": Role.ADMIN if admin else role or Role.MEMBER,
    }
    if tenant is not None:
        body["tenant"] = tenant
    if not no_password:
        body["password"] = read_password(twice=True)
    with managing(remote, data, create=True) as manager:
        _print(manager.call("POST", path_of("users"), body), as_json=as_json)


def role_command(
    username: str,
    role: Role,
    /,
    *,
    data: Data = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """Give a user another role.

    Args:
        username: Their user name, or id.
        role: member, viewer, reviewer or admin.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with managing(remote, data) as manager:
        changed = manager.call("PATCH", path_of("users", username), {"role": role})
    _print(changed, as_json=as_json)


def disable_command(
    username: str,
    /,
    *,
    undo: Annotated[bool, Parameter(negative="")] = False,
    data: Data = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """Let a user in no more: their sessions end, their keys open nothing.

    Args:
        username: Their user name, or id.
        undo: Let them in again.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with managing(remote, data) as manager:
        changed = manager.call("PATCH", path_of("users", username), {"disabled": not undo})
    _print(changed, as_json=as_json)


def password_command(
    username: str, /, *, data: Data = None, as_json: AsJson = False, remote: Remote = _HERE
) -> None:
    """Set a user's password, which is asked for, or read from the standard input.

    Args:
        username: Their user name, or id.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    password = read_password("New password: ", twice=True)
    with managing(remote, data) as manager:
        path = path_of("users", username, "password")
        changed = manager.call("POST", path, {"password": password})
    _print(changed, as_json=as_json)


def _print(user: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(user)
    else:
        _print_users([user])


def _print_users(users: list[dict[str, Any]]) -> None:
    print_list(_COLUMNS, [_row(user) for user in users], "No users yet: users add NAME --admin")


_COLUMNS = ("ID", "USER", "ROLE", "STATE", "ADDED", "LAST SIGNED IN", "NAME")


def _row(user: dict[str, Any]) -> tuple[str | None, ...]:
    state = "disabled" if user["disabled"] else "active"
    times = moment(user["created_at"]), moment(user["last_sign_in_at"])
    return (user["id"], user["username"], user["role"], state, *times, user["name"])
