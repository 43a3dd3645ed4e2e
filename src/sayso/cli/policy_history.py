"""`sayso policy diff` and `suggest`: what a policy would have done with what is on record."""

import contextlib
import re
import sys
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.progress import Progress, SpinnerColumn, TextColumn

from sayso.cli import terminal
from sayso.cli.listing import print_list
from sayso.cli.remote import Remote
from sayso.cli.terminal import AsJson, read_file, visible
from sayso.client import Client
from sayso.errors import NotFoundError, UsageError
from sayso.policies.backtest import Backtest, Count, Recorded, Tally, compare, recorded
from sayso.policies.base import Policy
from sayso.policies.rules import load
from sayso.policies.suggest import LEAST_APPROVALS, as_yaml, suggest

_HERE = Remote()
_UNITS: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_ACTIVE: Final = "active"
_NONE: Final = "none"
MISSES: Final = 1
"""The exit status with --fail-on-misses, if there are any."""


def diff_command(
    file: Path,
    /,
    *,
    since: str = "30d",
    against: str = _ACTIVE,
    fail_on_misses: Annotated[bool, Parameter(negative="")] = False,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> int:
    """Tell what a new policy would have changed, on what the server has on record.

    Prompts that would have come and gone, what would have been denied, and what would have run
    although people had refused it (misses) or changed it first.

    Args:
        file: The new policy.
        since: How far back to look: 30d, 12h, 2w, or a day as in 2026-11-01.
        against: What to compare with: active (the server's own), none, or a file.
        fail_on_misses: Exit with 1 if anything would have run that people had refused or changed.
        as_json: Print JSON.
        remote: Where the server is.
    """
    new = load(read_file(file), source=str(file))
    with remote.client() as server:
        old = _old(server, against)
        found = compare(_history(server, moment(since)), old, new)
    if as_json:
        terminal.print_json(found)
    else:
        _print(found)
    return MISSES if fail_on_misses and not found.is_safe else 0


def suggest_command(
    *,
    since: str = "30d",
    least: Annotated[int, Parameter(validator=Number(gte=1))] = LEAST_APPROVALS,
    any_risk: Annotated[bool, Parameter(negative="")] = False,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """Print narrow rules behind which stand many approvals, and no refusal or edit, as a policy.

    Each tells how many approvals those are, and how often people might have refused all the
    same, at most: 3 in that many, with 95 % certainty. Look at it before you push it.

    Args:
        since: How far back to look: 30d, 12h, 2w, or a day as in 2026-11-01.
        least: How many approvals have to stand behind a rule.
        any_risk: Suggest rules for what is of high risk, or does not tell its risk, too.
        as_json: Print JSON: the suggestions, and the policy's text.
        remote: Where the server is.
    """
    with remote.client() as server:
        records = list(_history(server, moment(since)))
    found = suggest(records, least=least, any_risk=any_risk)
    text = as_yaml(found)
    if as_json:
        items = [{"suggestion": each, "error_bound": each.error_bound} for each in found]
        terminal.print_json({"looked_at": len(records), "items": items, "text": text})
        return
    if not found:
        terminal.complain(
            f"No rule has {least} approvals and no refusal behind it"
            f" ({len(records)} requests looked at).",
            "Look further back with --since, or ask for less with --least.",
        )
        return
    print(visible(text, lines=True), end="")


def moment(text: str, now: datetime | None = None) -> datetime:
    """When `text` is: so long ago, or a day or time, which is UTC without a zone.

    Raises:
        UsageError: it is neither.
    """
    found = re.fullmatch(r"(\d{1,6})(s|min|h|d|w)", text.strip())
    with contextlib.suppress(OverflowError, ValueError):
        if found:
            seconds = int(found[1]) * _UNITS[found[2]]
            return (now or datetime.now(UTC)) - timedelta(seconds=seconds)
        parsed = datetime.fromisoformat(text.strip())
        return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
    raise UsageError(
        f"{text[:40]!r} is no time to look back to.", hint="Write it like 30d, 12h or 2026-11-01."
    )


def _old(server: Client, against: str) -> Policy | None:
    """What to compare with."""
    if against == _NONE:
        return None
    if against != _ACTIVE:
        return load(read_file(Path(against)), source=against)
    active = server.policy()
    return None if active is None else load(active.text, source=f"version {active.number}")


def _history(server: Client, since: datetime) -> Iterator[Recorded]:
    """What is on record since then, newest first."""
    with _counter() as count:
        for looked_at, request in enumerate(server.find(), start=1):
            if request.created_at < since:
                return
            count(looked_at)
            found = recorded(request)
            if found is not None:
                yield found


@contextlib.contextmanager
def _counter() -> Generator[Callable[[int], None]]:
    """How many have been looked at, on the terminal; nothing into a pipe."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.completed} requests looked at"))
    with Progress(*columns, console=terminal.error_console(), transient=True) as progress:
        task = progress.add_task("requests", total=None)
        yield lambda done: progress.update(task, completed=done)


def _print(found: Backtest) -> None:
    total = found.total
    if not total.requests:
        raise NotFoundError(
            "Nothing is on record since then that policies say anything of.",
            hint="Look further back: --since 90d",
        )
    print(f"{total.requests} requests. People asked: {total.prompts_before} before,"
          f" {total.prompts_after} with the new policy.")  # fmt: skip
    for name, count, meaning in _counts(total):
        examples = f"  {', '.join(count.examples)}" if count.n else ""
        print(visible(f"{count.n:>7}  {name:<18}{meaning}{examples}"))
    for title, tallies in (("tool", found.by_tool), ("agent", found.by_agent)):
        print()
        columns = (title, "requests", *(name for name, _, _ in _counts(total)))
        ranked = sorted(tallies.items(), key=lambda each: (-each[1].requests, each[0]))
        print_list(
            [column.upper() for column in columns],
            [
                (name, str(tally.requests), *(str(count.n) for _, count, _ in _counts(tally)))
                for name, tally in ranked
            ],
        )


def _counts(tally: Tally) -> tuple[tuple[str, Count, str], ...]:
    return (
        ("prompts added", tally.added, "asked, and were not"),
        ("prompts removed", tally.removed, "not asked any more"),
        ("denied now", tally.denied, "refused at once, and were not"),
        ("denied, approved", tally.denied_approved, "of these, people had approved"),
        ("misses", tally.misses, "people said no, and it would have run"),
        ("unedited", tally.unedited, "people changed it, and it would have run as it was"),
    )
