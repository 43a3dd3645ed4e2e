"""The command: `python -m bench`."""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from bench import figures, gate, lab, ledger, machine, million, report, sections
from bench.errors import BenchError
from bench.passes import MOST_HELD, MOST_PENDING, Passes, Plan
from bench.peers import environment
from bench.profile import KINDS, profile
from bench.scenarios import SCENARIOS, measure
from bench.services import Services
from bench.turns import DISTURBED, most_held

T = TypeVar("T")

_BUSY = 0.9
_SPARE_SECONDS = 30
"""For passes of a whole run that are made again; a quick one has no time for it."""
_QUICK_PENDING = 100_000


def main() -> int:
    """Measure, then print the tables."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    asked = _arguments()
    limit = machine.raise_file_limit()
    folder = machine.data_folder()
    if asked.ledger is not None:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            print(ledger.measure(Path(place), asked.ledger))
        return 0
    seconds = asked.seconds or (1 if asked.quick else 2)
    began = time.monotonic()
    with Services(folder) as services:
        plan = Plan(
            folder=folder,
            services=services,
            passes=1 if asked.quick else 3,
            seconds=seconds,
            most_held=most_held(seconds, limit),
            most_pending=_QUICK_PENDING if asked.quick else MOST_PENDING,
            spare_seconds=0 if asked.quick else _SPARE_SECONDS,
        )
        facts = machine.facts(folder)
        measured, failed = _each(asked.only, lambda name: measure(name, plan, _progress))
        profiles, unseen = _each(asked.profile, lambda name: profile(name, plan, _progress))
    failed |= {f"profile of {name}": why for name, why in unseen.items()}
    for name, passes in measured.items():
        for side, why in passes.failed.items():
            print(f"{name} FAILED: {why}", file=sys.stderr, flush=True)
            failed[f"{name}, {side}"] = why
    told = _report(plan, facts, measured, failed)
    told.profiles = list(profiles.values())
    told.sections += [sections.limits(each) for each in told.profiles]
    told.notes += _notes(measured, plan, limit, time.monotonic() - began)
    print(report.text(told))
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(told)) + b"\n")
    if asked.markdown:
        asked.markdown.write_text(report.markdown(told), encoding="utf-8")
    return 1 if failed else 0


def _each(names: Sequence[str], one: Callable[[str], T]) -> tuple[dict[str, T], dict[str, str]]:
    """One after the other; those that failed are told at once, and the others go on."""
    done: dict[str, T] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            done[name] = one(name)
        except (BenchError, subprocess.SubprocessError, OSError) as error:
            failed[name] = str(error)
            _progress("")
            print(f"{name} FAILED: {error}", file=sys.stderr, flush=True)
    _progress("")
    return done, failed


def _report(
    plan: Plan, facts: dict[str, str], measured: dict[str, Passes], failed: dict[str, str]
) -> report.Report:
    """The tables of what was measured."""
    lines = figures.lines(figures.with_held(plan.most_held), measured)
    grown = figures.lines(million.FIGURES, measured)
    gated = figures.lines(gate.FIGURES, measured)
    tried = figures.lines(lab.FIGURES, measured)
    told: list[sections.Section] = []
    if lines:
        told.append(sections.figures("Figures", lines, ("product", "reference")))
    if gated:
        told.append(sections.gate(gated))
    if tried:
        told.append(sections.lab(tried))
    told += _beside_others(measured)
    if grown:
        told.append(sections.growth(grown, million.FEW, plan.most_pending))
    if gated or tried or any(name.startswith("peers-") for name in measured):
        facts["peers"] = environment.versions()
    return report.Report(
        day=datetime.now(UTC).date(),
        machine=facts,
        packages=report.packages(),
        passes=plan.passes,
        seconds=plan.seconds,
        lines=lines + grown + gated + tried,
        sections=told,
        measured=measured,
        failed=failed,
        notes=[f"NOT MEASURED: {name}. {why.splitlines()[0]}" for name, why in failed.items()],
    )


def _beside_others(measured: dict[str, Passes]) -> list[sections.Section]:
    shapes = [
        shape
        for shape in sections.SHAPES
        if (passes := measured.get(f"peers-{shape}")) is not None and passes.values
    ]
    told = [sections.peers(shape, measured[f"peers-{shape}"]) for shape in shapes]
    if told:
        sides = [side for shape in shapes for side in measured[f"peers-{shape}"].values]
        told[-1].after = "\n".join(part for part in (told[-1].after, sections.about(sides)) if part)
    return told


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Sayso beside a bare reference, in one run."
    )
    there = [name for name, scenario in SCENARIOS.items() if scenario.is_there]
    default = [name for name in there if SCENARIOS[name].by_default]
    others = [name for name in SCENARIOS if name not in default]
    names = f"{', '.join(default)}; not by default: {', '.join(others)}"
    parser.add_argument("--quick", action="store_true", help="one short pass of each")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="NAME", help=names)
    chosen.add_argument(
        "--ledger",
        type=int,
        nargs="?",
        const=100_000,
        metavar="EVENTS",
        help="what sealing and verifying so many events costs; 100000",
    )
    chosen.add_argument("--all", action="store_true", help="everything, and profiles")
    parser.add_argument(
        "--profile",
        nargs="+",
        choices=KINDS,
        default=[],
        metavar="NAME",
        help=f"tell where the server's time goes: {', '.join(KINDS)}",
    )
    parser.add_argument("--seconds", type=_seconds, help="length of a timed pass; 2, quick: 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write docs/performance.md")
    asked = parser.parse_args()
    if asked.all:
        asked.only, asked.profile = there, [name for name in KINDS if name in there]
    elif not asked.only and not asked.profile:
        asked.only = default
    asked.only = asked.only or []
    return asked


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.2 <= value <= 20:
        raise argparse.ArgumentTypeError("from 0.2 to 20")
    return value


def _progress(line: str) -> None:
    """One line that is written over, for a person; nothing when the output is kept."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def _notes(measured: dict[str, Passes], plan: Plan, limit: int, seconds: float) -> list[str]:
    repeated = sum(passes.repeated for passes in measured.values())
    notes = [f"The run took {seconds:.0f} s; disturbed passes made again: {repeated}."]
    busy = {name: passes.load_cpu for name, passes in measured.items() if passes.load_cpu}
    if busy:
        used = ", ".join(f"{name} {share:.0%}" for name, share in busy.items())
        notes.append(f"The load generator used of its core at the most: {used}.")
    notes += [
        f"WARNING: in {name!r} the load generator was the bottleneck."
        for name, share in busy.items()
        if share > _BUSY
    ]
    notes += [
        f"WARNING: in a pass of {name!r} other processes took {passes.others_cpu:.0%} of the"
        " server's core; run it again on a quiet machine."
        for name, passes in measured.items()
        if passes.others_cpu > DISTURBED
    ]
    for name, passes in measured.items():
        shares = [passes.median(side, "server_cpu") for side in ("product", "reference")]
        told = [f"{share:.0%}" for share in shares if share is not None]
        if told and name.startswith(("submits", "cycles")):
            notes.append(f"Server's share of its core, {name}: {' and '.join(told)} (reference).")
    if plan.most_held < MOST_HELD:
        notes.append(
            f"The limit of {limit:,} open files allows {plan.most_held:,} waits, not {MOST_HELD:,}."
        )
    return notes


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
