"""The command: `python -m bench`."""

import argparse
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench import figures, machine, report
from bench.scenarios import DISTURBED, MOST_HELD, SCENARIOS, Passes, Plan, measure, most_held
from bench.servers import BenchError

_BUSY = 0.9
_SPARE_SECONDS = 30
"""For passes of a whole run that are made again; a quick one has no time for it."""


def main() -> int:
    """Measure, then print the table."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    asked = _arguments()
    folder = machine.data_folder()
    plan = Plan(
        folder=folder,
        passes=1 if asked.quick else 3,
        seconds=asked.seconds or (1 if asked.quick else 2),
        spare_seconds=0 if asked.quick else _SPARE_SECONDS,
    )
    limit = machine.raise_file_limit()
    plan.most_held = most_held(plan, limit)
    began = time.monotonic()
    facts = machine.facts(folder)
    try:
        measured = {
            name: measure(name, plan, _progress) for name in SCENARIOS if name in asked.only
        }
    except BenchError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        _progress("")
    told = report.Report(
        day=datetime.now(UTC).date(),
        machine=facts,
        packages=report.packages(),
        passes=plan.passes,
        seconds=plan.seconds,
        lines=figures.lines(measured, plan.most_held),
        measured=measured,
        notes=_notes(measured, plan, limit, time.monotonic() - began),
    )
    print(report.text(told))
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(told)) + b"\n")
    if asked.markdown:
        asked.markdown.write_text(report.markdown(told), encoding="utf-8")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Sayso beside a bare reference, in one run."
    )
    names = ", ".join(SCENARIOS)
    parser.add_argument("--quick", action="store_true", help="one short pass of each")
    parser.add_argument(
        "--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), metavar="NAME", help=names
    )
    parser.add_argument("--seconds", type=_seconds, help="length of a timed pass; 2, quick: 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write docs/performance.md")
    return parser.parse_args()


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
    loads = [name for name in ("submits", "cycles") if name in measured]
    for name in loads:
        shares = [measured[name].median(side, "server_cpu") for side in ("product", "reference")]
        told = [f"{share:.0%}" for share in shares if share is not None]
        if told:
            notes.append(f"Server's share of its core, {name}: {' and '.join(told)} (reference).")
    if plan.most_held < MOST_HELD:
        notes.append(
            f"The limit of {limit:,} open files allows {plan.most_held:,} waits, not {MOST_HELD:,}."
        )
    return notes


if __name__ == "__main__":
    sys.exit(main())
