"""Lists for people: a heading, columns that stand below one another, and what to do without any."""

import sys
from collections.abc import Sequence

from rich.cells import cell_len

from sayso.cli.terminal import program, visible

Cell = str | None
_NONE = "-"


def print_list(columns: Sequence[str], rows: Sequence[Sequence[Cell]], empty: str = "") -> None:
    """Print rows below their headings, on a terminal as in a pipe; programs read `--json`.

    Args:
        columns: the headings; separate words by one space.
        rows: as many cells each; one without anything is shown as `-`.
        empty: what to say, on stderr, if there are no rows: a sentence, and behind it, after a
            colon, the arguments of a command of ours to be tried next.
    """
    if not rows:
        if empty:
            says, _, command = empty.partition(": ")
            told = f"{says}: {program()} {command}" if command else says
            print(told, file=sys.stderr)
        return
    shown = [columns, *([visible(cell or "") or _NONE for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = (cell + " " * (w - cell_len(cell)) for cell, w in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def moment(text: str | None) -> str:
    """A time as servers write it, in UTC and to the second; empty for none."""
    if not text:
        return ""
    return text[:19] + "Z" if len(text) > 19 and text.endswith("Z") else text
