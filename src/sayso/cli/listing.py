"""Lists for people: a heading, columns that stand below one another, and what to do without any."""

import re
import sys
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from sayso.cli.terminal import program, visible

Cell = str | None
_NONE = "-"
_BLANK = r"\x20"
"""A cell that holds blanks and nothing else: seen, and not taken for none."""
_WIDEST = 40
"""Of a cell on a terminal, but for the last one, which widens no other row; an id has 36."""
_BLANKS = re.compile("  +")


def print_list(columns: Sequence[str], rows: Sequence[Sequence[Cell]], empty: str = "") -> None:
    """Print rows below their headings; programs read `--json`.

    Two blanks or more part columns, so there are none within cells. Long cells are cut on a
    terminal, and whole in a pipe.

    Args:
        columns: the headings; separate words by one space.
        rows: as many cells each; one without anything is shown as `-`, one of blanks as their code.
        empty: what to say, on stderr, if there are no rows: a sentence, and behind it, after a
            colon, the arguments of a command of ours to be tried next.
    """
    if not rows:
        if empty:
            says, _, command = empty.partition(": ")
            told = f"{says}: {program()} {command}" if command else says
            print(told, file=sys.stderr)
        return
    shown = [columns, *([_shown(cell) for cell in row] for row in rows)]
    if sys.stdout.isatty():
        shown = [[*map(_cut, row[:-1]), row[-1]] for row in shown]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        print(_line(row, widths))


def stream_line(cells: Sequence[Cell], widths: Sequence[int]) -> str:
    """A row of a list whose end is not known: a wide cell moves those behind it in its row.

    Args:
        cells: as in `print_list`; or the headings.
        widths: how wide each is, in columns of a terminal.
    """
    return _line([_shown(cell) for cell in cells], widths)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (w - cell_len(cell)) for cell, w in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _shown(cell: Cell) -> str:
    text = _BLANKS.sub(" ", visible(cell or "")) or _NONE
    return _BLANK if text == " " else text


def _cut(cell: str) -> str:
    return cell if cell_len(cell) <= _WIDEST else f"{set_cell_size(cell, _WIDEST - 1).rstrip()}…"


def moment(text: str | None) -> str:
    """A time as servers write it, in UTC and to the second; empty for none."""
    if not text:
        return ""
    return text[:19] + "Z" if len(text) > 19 and text.endswith("Z") else text
