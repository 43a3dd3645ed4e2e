"""`sayso policy`, what concerns the server: push, show, versions, activate, remove."""

import sys
from collections.abc import Sequence
from pathlib import Path

from sayso.cards import timestamp
from sayso.cli import terminal
from sayso.cli.listing import print_list
from sayso.cli.remote import Desk, Remote
from sayso.cli.terminal import AsJson, read_file, visible
from sayso.domain.policies import PolicyVersion
from sayso.errors import NotFoundError

_HERE = Remote()
_DESK = Desk()


def push_command(
    file: Path,
    /,
    *,
    note: str = "",
    replaces: int | None = None,
    as_json: AsJson = False,
    desk: Desk = _DESK,
) -> None:
    """Keep a new version of the server's policy; it holds for what is submitted from now on.

    It is checked first, and tells every place that is wrong. The versions before it are kept.

    Args:
        file: The policy; - reads the standard input.
        note: Why, in a sentence.
        replaces: The version it was made from (0: none). Refused if another is in force by now.
        as_json: Print JSON.
        desk: Where the server is, and who you are.
    """
    text = sys.stdin.read() if str(file) == "-" else read_file(file)
    with desk.reviewer() as server:
        kept = server.put_policy(text, note=note, replaces=replaces)
    _tell(kept, as_json=as_json)


def show_command(
    number: int | None = None, /, *, as_json: AsJson = False, remote: Remote = _HERE
) -> None:
    """Print the text of the policy in force, or of another version.

    Args:
        number: Which version. Default: the one in force.
        as_json: Print JSON, with who put it, and when.
        remote: Where the server is.
    """
    with remote.client() as server:
        found = server.policy(number)
    if found is None:
        raise NotFoundError("The server has no policy.", hint="Put one: sayso policy push FILE")
    if as_json:
        terminal.print_json(found)
        return
    if found.problem:
        terminal.complain("It cannot be used, so people are asked about everything.", found.problem)
    if not found.is_removed:
        print(visible(found.text, lines=True), end="" if found.text.endswith("\n") else "\n")


def versions_command(*, as_json: AsJson = False, remote: Remote = _HERE) -> None:
    """List all versions, newest first; the first one is in force.

    Args:
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        found = server.policy_versions()
    if as_json:
        terminal.print_json({"items": found})
    else:
        _print_versions(found)


def activate_command(
    number: int,
    /,
    *,
    note: str = "",
    replaces: int | None = None,
    as_json: AsJson = False,
    desk: Desk = _DESK,
) -> None:
    """Go back to an older version: its text becomes a new one.

    Args:
        number: Which version.
        note: Why, in a sentence.
        replaces: The version in force when you chose (0: none). Refused if another is by now.
        as_json: Print JSON.
        desk: Where the server is, and who you are.
    """
    with desk.reviewer() as server:
        kept = server.activate_policy(number, note=note, replaces=replaces)
    _tell(kept, as_json=as_json)


def remove_command(
    *, note: str = "", replaces: int | None = None, as_json: AsJson = False, desk: Desk = _DESK
) -> None:
    """Have no policy from now on; the versions are kept.

    Args:
        note: Why, in a sentence.
        replaces: The version in force. Refused if another is by now.
        as_json: Print JSON.
        desk: Where the server is, and who you are.
    """
    with desk.reviewer() as server:
        kept = server.remove_policy(note=note, replaces=replaces)
    _tell(kept, as_json=as_json)


def _tell(kept: PolicyVersion, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(kept)
    else:
        _print_versions([kept])


def _print_versions(versions: Sequence[PolicyVersion]) -> None:
    columns = ("VERSION", "PUT", "BY", "WHAT", "DIGEST", "NOTE")
    print_list(columns, [_row(each) for each in versions], "No policy yet: policy push FILE")


def _row(version: PolicyVersion) -> tuple[str | None, ...]:
    if version.is_removed:
        what = "removed"
    elif version.activates is not None:
        what = f"as {version.activates}"
    else:
        what = "put"
    who = version.by_name or version.by
    digest = version.digest.removeprefix("sha256:")[:12]
    return str(version.number), timestamp(version.at), who, what, digest, version.note
