"""What may be printed: agents write much of it, so nothing of theirs can steer the terminal."""

import codecs
import json
import os
import re
import shutil
import sys
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, cast

from cyclopts import Parameter
from rich.console import Console

from sayso import codec
from sayso.errors import SaysoError, UsageError
from sayso.types import Json, JsonObject
from sayso.visible import json_text as visible_json
from sayso.visible import spelled

AsJson = Annotated[bool, Parameter(name="--json", negative="")]
"""The `--json` option."""


_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


def program() -> str:
    """How this program was called, for commands to be copied: `sayso`, if that finds it."""
    called = Path(sys.argv[0])
    found = shutil.which("sayso")
    if called.name != "sayso" or (found is not None and Path(found).samefile(called)):
        return "sayso"
    return os.path.relpath(called) if called.is_relative_to(Path.cwd()) else str(called)


def visible(text: str, *, lines: bool = False) -> str:
    r"""`text` with everything spelled out that steers a terminal or deceives the eye, as `\x1b`.

    Args:
        text: from anywhere.
        lines: keep line breaks and tabs.
    """
    return spelled(text, lines=lines)


def json_text(value: Json, *, indent: int | None = None) -> str:
    """`value` as JSON in which all such characters are escaped; it reads back as the same."""
    return visible_json(codec.builtins(value), indent=indent)


def parse_json(text: str, option: str) -> Json:
    """What was given to `option`.

    Raises:
        UsageError: it is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{option} is not JSON: {error}.") from error


def parse_object(text: str, option: str) -> JsonObject:
    """The JSON object that was given to `option`.

    Raises:
        UsageError: it is none.
    """
    value = parse_json(text, option)
    if not isinstance(value, dict):
        raise UsageError(f"{option} is not a JSON object.", hint='Write it like {"name": 1}.')
    return cast("JsonObject", value)


def read_file(path: Path) -> str:
    """The text of a file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error}.") from error


def print_json(value: Json) -> None:
    """One JSON document: indented for a person, one line for a program."""
    text = json_text(value, indent=2 if sys.stdout.isatty() else None)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # JSON has a spelling in ASCII for each
        text = _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)
    print(text, flush=True)


def escape_what_cannot_be_shown() -> None:
    """Print characters that the terminal's encoding lacks by their codes, as stderr does."""
    screen: object = sys.stdout
    if isinstance(screen, TextIOWrapper) and codecs.lookup(sys.stdout.encoding).name != "utf-8":
        cast("TextIOWrapper[Any]", screen).reconfigure(errors="backslashreplace")


def tell(record: Json, line: str, *, as_json: bool) -> None:
    """What came of it: as JSON, or as a line."""
    if as_json:
        print_json(record)
    else:
        print(line)


def complain_of(error: SaysoError) -> None:
    """Say on stderr what went wrong, where, and the way out."""
    places = [each for each in error.errors if each.get("message", "") not in error.detail]
    complain(error.detail, *(f"{each.get('at')}: {each['message']}" for each in places), error.hint)


def complain(detail: str, *hints: str) -> None:
    """Say on stderr what went wrong, and the way out."""
    print(f"sayso: {visible(detail, lines=True)}", file=sys.stderr)
    for hint in filter(None, hints):
        print(visible(hint, lines=True), file=sys.stderr)


def warn(text: str) -> None:
    """Say on stderr what was done, and will not do as it is meant."""
    print(f"sayso: warning: {visible(text)}", file=sys.stderr)


def console() -> Console:
    """The terminal, for output that is not data; agent text goes in as `visible` text only."""
    return Console(highlight=False, markup=False, emoji=False)


def error_console() -> Console:
    """The same on stderr."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def relative(at: datetime, now: datetime) -> str:
    """`3 min ago`, `in 2 h`: good for a glance."""
    seconds = (at - now).total_seconds()
    amount = abs(seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if amount >= size:
            text = f"{int(amount // size)} {unit}"
            return f"in {text}" if seconds > 0 else f"{text} ago"
    return "now"
