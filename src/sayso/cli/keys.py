"""`sayso keys`: by which programs are known; create, list, revoke, rotate."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from sayso.cli import terminal
from sayso.cli.listing import moment, print_list
from sayso.cli.manage import managing, names_of, path_of
from sayso.cli.remote import Remote
from sayso.cli.terminal import AsJson
from sayso.cli.users import Data
from sayso.cli.views import tabbed
from sayso.client.keys import KeyScope

Days = Annotated[float | None, Parameter(show_default=False, validator=Number(gt=0, lte=36_500))]
_HERE = Remote()


def create_command(
    *,
    label: str = "",
    scope: KeyScope = "agent",
    client: str | None = None,
    session: str | None = None,
    days: Days = None,
    data: Data = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """Make a key; print its id and the key, which is not shown again.

    Args:
        label: For people, such as the name of the agent.
        scope: agent asks and waits, reader reads, admin manages; none of them decides.
        client: It is good for this client id only.
        session: It is good for sessions that match this pattern only, as deploy-*.
        days: For how many days it is good. Default: until it is revoked.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    body = {
        "label": label,
        "scope": scope,
        "client_id": client,
        "session_pattern": session,
        "expires_at": _after(days),
    }
    with managing(remote, data) as manager:
        made = manager.call("POST", path_of("keys"), body)
    _print_key(made, as_json=as_json)


def list_command(
    *,
    mine: Annotated[bool, Parameter(negative="")] = False,
    data: Data = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """List keys, oldest first: an admin's list has everybody's.

    Args:
        mine: Only one's own.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with managing(remote, data) as manager:
        may_see_all = "manage" in manager.call("GET", path_of("me"))["powers"]
        of_all = "true" if may_see_all and not mine else None
        found = manager.call("GET", path_of("keys", all=of_all))
        names = names_of(manager, found["items"]) if not as_json else {}
    if as_json:
        terminal.print_json(found)
    else:
        _print_keys(found["items"], names)


def revoke_command(
    key_id: str, /, *, data: Data = None, as_json: AsJson = False, remote: Remote = _HERE
) -> None:
    """Let a key open nothing any more.

    Args:
        key_id: Its id.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with managing(remote, data) as manager:
        revoked = manager.call("DELETE", path_of("keys", key_id))
        names = names_of(manager, [revoked]) if not as_json else {}
    if as_json:
        terminal.print_json(revoked)
    else:
        _print_keys([revoked], names)


def rotate_command(
    key_id: str,
    /,
    *,
    overlap_hours: Annotated[float, Parameter(validator=Number(gte=0, lte=720))] = 0,
    days: Days = None,
    data: Data = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """Make a key in another's place, for the same agent; print its id and the key.

    Args:
        key_id: The id of the one to be replaced.
        overlap_hours: For how long the old one is still good.
        days: For how many days the new one is good. Default: as long as the old one was.
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
        remote: Where the server is.
    """
    body = {"overlap_seconds": overlap_hours * 3_600, "expires_at": _after(days)}
    with managing(remote, data) as manager:
        made = manager.call("POST", path_of("keys", key_id, "rotate"), body)
    _print_key(made, as_json=as_json)


def _after(days: float | None) -> str | None:
    return None if days is None else (datetime.now(UTC) + timedelta(days=days)).isoformat()


def _print_key(key: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(key)
    else:
        print(tabbed(key["id"], key["key"]))


def _print_keys(keys: list[dict[str, Any]], names: dict[str, str]) -> None:
    print_list(
        _COLUMNS, [_row(key, names) for key in keys], "No keys yet: keys create --label NAME"
    )


_COLUMNS = ("ID", "BEGINS", "SCOPE", "STATE", "MADE", "EXPIRES", "LAST USED", "OWNER", "LABEL")


def _row(key: dict[str, Any], names: dict[str, str]) -> tuple[str | None, ...]:
    state = "active" if key["is_active"] else "revoked" if key["revoked_at"] else "expired"
    made, expires, used = (moment(key[at]) for at in ("created_at", "expires_at", "last_used_at"))
    owner = names.get(key["owner"], key["owner"])
    return key["id"], key["shown"], key["scope"], state, made, expires, used, owner, key["label"]
