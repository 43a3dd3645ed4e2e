"""`sayso grants`: decisions that are remembered; list, give, preview, revoke."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from msgspec import UNSET

from sayso.cards import bounds_text
from sayso.cli import terminal
from sayso.cli.listing import print_list
from sayso.cli.remote import Desk, Remote
from sayso.cli.terminal import AsJson, json_text, parse_object, read_file
from sayso.cli.views import tabbed, timestamp
from sayso.client import Limits
from sayso.domain.patterns import Pattern
from sayso.domain.standing import StandingGrant
from sayso.errors import UsageError
from sayso.types import Json, JsonObject

_HERE = Remote()
_DESK = Desk()
_Many = Annotated[list[str] | None, Parameter(negative="")]


@Parameter(name="*")
@dataclass(frozen=True)
class Given:
    """How far a standing grant goes."""

    equals: _Many = None
    """NAME=VALUE: this argument is exactly this; JSON, or else a text."""
    glob: _Many = None
    """NAME=GLOB: this argument is a text that matches."""
    min: _Many = None
    """NAME=NUMBER: this argument is not below."""
    max: _Many = None
    """NAME=NUMBER: this argument is not above."""
    any: _Many = None
    """NAME: this argument may be whatever it is, or missing."""
    uses: Annotated[int | None, Parameter(validator=Number(gte=1))] = None
    """How often. Default: as often as comes until it expires."""
    seconds: Annotated[float | None, Parameter(validator=Number(gt=0))] = None
    """How long. Default: a day."""
    budget: str | None = None
    """NAME=LIMIT: how much of this argument may be used up, over all uses."""
    session: str | None = None
    """In this session only."""
    client: str | None = None
    """For this client only."""
    asked_by: str | None = None
    """For this agent only, as agent:ID."""
    note: str | None = None
    """What it is for."""
    args: Annotated[Path | None, Parameter(name="--args")] = None
    """A file with a JSON object: each argument, and what it may be."""

    def limits(self) -> Limits:
        """As the client takes them.

        Raises:
            UsageError: something is not of the form that is named.
        """
        args: dict[str, JsonObject] = {}
        if self.args is not None:
            args |= parse_object(read_file(self.args), str(self.args))
        for name, value in _pairs(self.equals, "--equals"):
            args.setdefault(name, {})["equals"] = _json_or_text(value)
        for name, value in _pairs(self.glob, "--glob"):
            args.setdefault(name, {})["glob"] = value
        for name, value in _pairs(self.min, "--min"):
            args.setdefault(name, {})["min"] = _number(value, "--min")
        for name, value in _pairs(self.max, "--max"):
            args.setdefault(name, {})["max"] = _number(value, "--max")
        for name in self.any or ():
            args.setdefault(name, {})["any"] = True
        found: Limits = {
            "args": args,
            "uses": self.uses,
            "seconds": self.seconds,
            "session_id": self.session,
            "client_id": self.client,
            "asked_by": self.asked_by,
            "note": self.note,
        }
        for name, value in _pairs([self.budget] if self.budget else None, "--budget"):
            found["budget"] = {"argument": name, "limit": _number(value, "--budget")}
        return found


_NO_LIMITS = Given()


def list_command(*, as_json: AsJson = False, remote: Remote = _HERE) -> None:
    """List standing grants, newest first; those that were over within a month, too.

    Args:
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        found = server.standing_grants()
    if as_json:
        terminal.print_json({"items": found})
    else:
        _print_grants(found)


def give_command(
    tool: str,
    /,
    *,
    given: Given = _NO_LIMITS,
    as_json: AsJson = False,
    desk: Desk = _DESK,
) -> None:
    """Have what is alike approved from now on without asking; for a reviewer.

    Only arguments that are named are let through, each only as it is said. Try it with preview
    first: that tells what people said to the same.

    Args:
        tool: The tool, by its full name.
        given: How far it goes.
        as_json: Print JSON.
        desk: Where the server is, and who you are.
    """
    limits = given.limits()
    with desk.reviewer() as server:
        grant = server.give_standing_grant(tool, **limits)
    if as_json:
        terminal.print_json(grant)
    else:
        _print_grants([grant])


def preview_command(
    tool: str,
    /,
    *,
    given: Given = _NO_LIMITS,
    as_json: AsJson = False,
    desk: Desk = _DESK,
) -> None:
    """Tell what one would have let through in the last 30 days; for a reviewer.

    Args:
        tool: The tool, by its full name.
        given: How far it goes; uses and budget do not count here.
        as_json: Print JSON.
        desk: Where the server is, and who you are.
    """
    limits = given.limits()
    with desk.reviewer() as server:
        found = server.preview_standing_grant(tool, **limits)
    if as_json:
        terminal.print_json(found)
        return
    seen = f"{found.looked_at} requests of {found.days} days"
    print(f"{seen}{'' if found.is_all else ', not all'}: {found.matched} would have matched.")
    print(f"People approved {found.approved} of these, and rejected {found.rejected}.")
    for example in found.examples:
        print(f"{example}{' was rejected' if found.rejected else ''}")


def revoke_command(grant_id: str, /, *, as_json: AsJson = False, desk: Desk = _DESK) -> None:
    """End one now; what it let through stays let through.

    Args:
        grant_id: Its id.
        as_json: Print JSON.
        desk: Where the server is, and who you are.
    """
    with desk.reviewer() as server:
        grant = server.revoke_standing_grant(grant_id)
    terminal.tell(grant, tabbed(grant.id, "revoked"), as_json=as_json)


def _print_grants(grants: Sequence[StandingGrant]) -> None:
    empty = (
        "No standing grants, so people are asked each time: grants give TOOL --equals NAME=VALUE"
    )
    print_list(_COLUMNS, [_row(grant) for grant in grants], empty)


_COLUMNS = ("ID", "STATE", "TOOL", "ARGUMENTS", "USES LEFT", "WITHIN", "UNTIL", "GIVEN BY", "NOTE")


def _row(grant: StandingGrant) -> tuple[str | None, ...]:
    state = "open" if grant.is_open(datetime.now(UTC)) else "over"
    return (
        grant.id,
        "revoked" if grant.revoked_at else state,
        grant.tool_name,
        ", ".join(_pattern(name, each) for name, each in grant.args.items()),
        "any" if grant.uses_left is None else str(grant.uses_left),
        bounds_text(grant.limits),
        timestamp(grant.expires_at),
        grant.given_by.name,
        grant.note,
    )


def _pattern(name: str, pattern: Pattern) -> str:
    if pattern.any:
        return f"{name} any"
    bounds = [
        "" if pattern.equals is UNSET else f"{name}={json_text(pattern.equals)}",
        "" if pattern.glob is None else f"{name}~{pattern.glob}",
        "" if pattern.min is None else f"{name}>={json_text(pattern.min)}",
        "" if pattern.max is None else f"{name}<={json_text(pattern.max)}",
    ]
    return ", ".join(filter(None, bounds))


def _pairs(texts: list[str] | None, option: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for text in texts or ():
        name, is_pair, value = text.partition("=")
        if not name or not is_pair:
            raise UsageError(
                f"{option} {text!r} is not of the form NAME=VALUE.",
                hint="NAME is that of an argument.",
            )
        found.append((name, value))
    return found


def _json_or_text(text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"{option} takes a number, and {text!r} is none.") from error
