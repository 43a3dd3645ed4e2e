"""What is handed out: the table on the terminal, docs/performance.md, JSON."""

from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version

from msgspec import Struct

from bench.figures import Figure, Line
from bench.scenarios import Passes

_HEAD = ("figure", "product", "reference", "ratio", "goal", "falls short", "verdict")
_PARTS = ("uvicorn", "uvloop", "httptools", "msgspec", "starlette")


class Report(Struct, kw_only=True):
    """One run."""

    day: date
    machine: dict[str, str]
    packages: dict[str, str]
    passes: int
    seconds: float
    lines: list[Line]
    measured: Mapping[str, Passes]
    notes: list[str]


def packages() -> dict[str, str]:
    """Versions that figures depend on."""
    return {name: version(name) for name in ("sayso", *_PARTS)}


def table(lines: Sequence[Line]) -> str:
    """Aligned columns."""
    rows = [_HEAD, *(_cells(line) for line in lines)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD))]
    widths[-1] = 0
    rows.insert(1, tuple("-" * (width or 11) for width in widths))
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place in (0, len(_HEAD) - 1) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def text(report: Report) -> str:
    """What is printed."""
    facts = [f"{name}: {value}" for name, value in report.machine.items()]
    facts.append("packages: " + _packages(report))
    facts.append(f"{report.passes} passes of {report.seconds:g} s each, medians")
    return "\n".join([*facts, "", table(report.lines), "", *report.notes])


def markdown(report: Report) -> str:
    """The page docs/performance.md."""
    head = ("figure", "product", "passes", "reference", "ratio", "goal", "falls short", "verdict")
    rows = [head, ("---", *["---:"] * 6, "---")]
    for line in report.lines:
        name, product, *others = _cells(line)
        spread = f"{_number(line.figure, line.lowest)} to {_number(line.figure, line.highest)}"
        indented = name.replace("  ", "&ensp;", 1) if name.startswith("  ") else name
        rows.append((indented, product, spread, *others))
    body = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    facts = "\n".join(f"- {name}: {value}" for name, value in report.machine.items())
    return _PAGE.format(
        day=report.day.isoformat(),
        facts=f"{facts}\n- packages: {_packages(report)}",
        passes=report.passes,
        seconds=f"{report.seconds:g}",
        table=body,
        missed=_missed(report.lines),
        notes="\n".join(f"- {note}" for note in report.notes),
    )


def _packages(report: Report) -> str:
    return ", ".join(f"{name} {number}" for name, number in report.packages.items())


def _cells(line: Line) -> tuple[str, ...]:
    figure = line.figure
    goal = "" if figure.goal is None else _bound(figure, figure.goal, met=True)
    short = "" if figure.short is None else _bound(figure, figure.short, met=False)
    if figure.share is not None:
        short += f" or {figure.share:g}x"
    return (
        figure.name,
        _with_unit(figure, line.product),
        "" if line.reference is None else _with_unit(figure, line.reference),
        "" if line.ratio is None else f"{line.ratio:.2f}",
        goal,
        short,
        line.verdict,
    )


def _bound(figure: Figure, bound: float, *, met: bool) -> str:
    sign = "≥" if figure.more_is_better is met else "≤"
    if not met:
        sign = "<" if figure.more_is_better else ">"
    unit = f" {figure.unit}" if figure.unit else ""
    return f"{sign} {bound:,g}{unit}"


def _number(figure: Figure, value: float) -> str:
    return f"{value:,.{figure.digits}f}"


def _with_unit(figure: Figure, value: float) -> str:
    return f"{_number(figure, value)} {figure.unit}".rstrip()


def _missed(lines: Sequence[Line]) -> str:
    missed = [line for line in lines if line.verdict in ("below goal", "falls short")]
    if not missed:
        return "Every goal was reached in this run."
    told = ["In this run these goals were not reached:", ""]
    for line in missed:
        _, product, reference, ratio, goal, _, verdict = _cells(line)
        beside = f"; the reference did {reference}, the ratio is {ratio}" if reference else ""
        told.append(f"- **{line.figure.name}**: {product}, goal {goal} ({verdict}){beside}.")
    return "\n".join(told)


_PAGE = """\
# Performance

<!-- Written by `python -m bench --markdown docs/performance.md`; do not edit. -->

Measured on {day}, by one command that anybody can repeat:

```bash
make bench                                  # all figures, under three minutes
make bench ARGS=--quick                     # one short pass of each, under 40 seconds
```

`ARGS="--only submits cycles"` makes some of them, and `ARGS="--markdown docs/performance.md"` this
page.

## Figures

{table}

Medians of {passes} passes of {seconds} s; "passes" tells the lowest and the highest. `0.6x` means:
less than 0.6 of the reference in the same run.

## What is not reached

{missed}

## How it is measured

The reference is the least that can do the job (`bench/reference.py`): raw ASGI on the same uvicorn,
one SQLite table, one row for each request, WAL with `synchronous=FULL`, one writer thread with
group commit. It checks nothing, signs nobody in, writes no events and no log. It tells what this
machine and these parts give at best, so that a figure means something on another machine too:
compare the ratios.

- Product and reference take turns, each pass on a fresh server with an empty database on a real
  disk, and each is first every other time. All traffic stays on 127.0.0.1.
- Everything runs in one server process on one core. The product runs as it comes: `sayso serve`.
- The product answers hot requests in its fast lane (`server/fast_lane.py`): from the parser
  straight to the endpoint, without the ASGI scope, cycle and messages that the reference makes.
- The load generator is a process of its own on another core (`bench/load.py`). It tells how much of
  its core it used; past 90 % the table says so. A single reply that is not a success ends the run.
- **Submits**: 128 connections, a body of about 1 KB with an action, a session and metadata. A reply
  comes after the row and its event are on the disk.
- **Full cycles**: submit, a wait that is held for 5 ms or more, a person's decision with a bearer
  token, the release. Three requests, two durable writes, 256 cycles in flight.
- **Held waits**: each has a connection of its own. Memory is the resident memory of the server
  process; "each" is what it grew by, divided by their number. Then 400 decisions a second come in,
  and the time is taken from sending one until the waiting side has the reply. Last, all waits are
  decided as fast as 32 connections can; that is 10,000 durable decisions and 10,000 releases.
- **Start-up**: from the start of the process until it prints its link. `import sayso` and
  `sayso --help` are whole processes; beside them stands an interpreter that does nothing.

## The machine

{facts}

## Notes of the run

{notes}
"""
