"""What is handed out: tables on the terminal, docs/performance.md, JSON."""

from collections.abc import Mapping
from datetime import date
from importlib.metadata import version

from msgspec import Struct

from bench.figures import Line
from bench.page import PAGE
from bench.passes import Passes
from bench.profile import Profile
from bench.sections import Section, item, missed

_PARTS = ("uvicorn", "uvloop", "httptools", "msgspec", "starlette", "asyncpg")


class Report(Struct, kw_only=True):
    """One run."""

    day: date
    machine: dict[str, str]
    packages: dict[str, str]
    passes: int
    seconds: float
    lines: list[Line]
    sections: list[Section]
    measured: Mapping[str, Passes]
    failed: Mapping[str, str]
    """Scenarios that could not be measured, and why."""
    notes: list[str]
    profiles: list[Profile] = []


def packages() -> dict[str, str]:
    """Versions that figures depend on."""
    return {name: version(name) for name in ("sayso", *_PARTS)}


def text(report: Report) -> str:
    """What is printed."""
    facts = [f"{name}: {value}" for name, value in report.machine.items()]
    facts.append("packages: " + _packages(report))
    facts.append(f"{report.passes} passes of {report.seconds:g} s each, medians")
    parts = [f"{section.title}\n\n{_aligned(section)}" for section in report.sections]
    return "\n".join([*facts, "", *(f"{part}\n" for part in parts), *report.notes])


def markdown(report: Report) -> str:
    """The page docs/performance.md."""
    facts = report.machine | {"packages": _packages(report)}
    return PAGE.format(
        day=report.day.isoformat(),
        facts="\n".join(item(f"{name}: {value}") for name, value in facts.items()),
        passes=report.passes,
        seconds=f"{report.seconds:g}",
        sections="\n\n".join(_marked(section) for section in report.sections),
        missed=missed(report.lines),
        notes="\n".join(item(note) for note in report.notes),
    )


def _aligned(section: Section) -> str:
    rows = [section.head, *section.rows]
    widths = [max(len(row[place]) for row in rows) for place in range(len(section.head))]
    ends = _ends(section)
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place in ends else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _marked(section: Section) -> str:
    ends = _ends(section)
    rule = ["---" if place in ends else "---:" for place in range(len(section.head))]
    rows = [section.head, rule, *section.rows]
    table = "\n".join("| " + " | ".join(_indented(cell) for cell in row) + " |" for row in rows)
    return "\n\n".join(
        part for part in (f"## {section.title}", section.before, table, section.after) if part
    )


def _ends(section: Section) -> set[int]:
    """The columns of text."""
    return {0, *(place for place, name in enumerate(section.head) if name == "verdict")}


def _indented(cell: str) -> str:
    return cell.replace("  ", "&ensp;", 1) if cell.startswith("  ") else cell


def _packages(report: Report) -> str:
    return ", ".join(f"{name} {number}" for name, number in report.packages.items())
