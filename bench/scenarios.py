"""What is measured: each scenario makes one pass on one side and returns its values by name."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct, field

from bench import machine
from bench.load import PACE, Job, Result
from bench.servers import ROOT, SIDES, BenchError, Side, environment, running

MOST_HELD = 10_000
DISTURBED = 0.1
"""A pass is disturbed when other processes took more than this share of the server's core."""
_SPARE_FILES = 600
"""Descriptors for everything but the waits: deciders, database, the interpreter's own."""


class Plan(Struct, kw_only=True):
    """How long and how often."""

    folder: Path
    passes: int
    seconds: float
    """Of one timed pass."""
    most_held: int = MOST_HELD
    spare_seconds: float = 0
    """So long, in all, disturbed passes may be made again."""


class Passes(Struct, kw_only=True):
    """The values of all passes of one scenario, by side and name."""

    values: dict[Side, dict[str, list[float]]] = field(
        default_factory=lambda: {side: {} for side in SIDES}
    )
    load_cpu: float = 0.0
    """The largest share of its core that the generator used in a pass."""
    others_cpu: float = 0.0
    """The largest share of the server's core that other processes took in a pass."""
    repeated: int = 0
    """Passes that were made again for that reason."""

    def add(self, side: Side, result: Result) -> None:
        """Take in one pass."""
        values = dict(result.values)
        if result.server_cpu is not None:
            values["server_cpu"] = result.server_cpu
        for name, value in values.items():
            self.values[side].setdefault(name, []).append(value)
        self.load_cpu = max(self.load_cpu, result.load_cpu)
        self.others_cpu = max(self.others_cpu, result.others_cpu or 0)

    def median(self, side: Side, name: str) -> float | None:
        """The median of the passes."""
        values = self.values[side].get(name)
        return statistics.median(values) if values else None


Scenario = Callable[[Side, Plan], Result]


def submits(side: Side, plan: Plan) -> Result:
    """Durable submits: 128 connections, a body of 1 KB with an action, one after the other."""
    return _loaded(side, plan, "submits", plan.seconds, 128)


def cycles(side: Side, plan: Plan) -> Result:
    """Full cycles with 256 in flight: submit, held wait, a person's decision, release."""
    return _loaded(side, plan, "cycles", plan.seconds, 256)


def held_1000(side: Side, plan: Plan) -> Result:
    """1,000 waits held: memory, the time from decision to release, all released at once."""
    return _loaded(side, plan, "held", plan.seconds, 1000)


def held_10000(side: Side, plan: Plan) -> Result:
    """The same with 10,000, or as many as the limit of open files allows."""
    return _loaded(side, plan, "held", plan.seconds, plan.most_held)


def start_up(side: Side, plan: Plan) -> Result:
    """Start of the server until it listens; `import sayso`; `sayso --help`.

    The last two are whole processes; beside them stands an interpreter that does nothing.
    """
    with running(side, plan.folder) as server:
        values = {"ready_s": server.ready_seconds}
    if side == "product":
        values["import_ms"] = _process_ms("-c", "import sayso")
        values["help_ms"] = _process_ms("-m", "sayso.cli", "--help")
    else:
        values["import_ms"] = values["help_ms"] = _process_ms("-c", "pass")
    return Result(values=values, load_cpu=0, server_cpu=None, others_cpu=None)


SCENARIOS: dict[str, Scenario] = {
    "submits": submits,
    "cycles": cycles,
    "held-1000": held_1000,
    "held-10000": held_10000,
    "start-up": start_up,
}


def measure(name: str, plan: Plan, tell: Callable[[str], None]) -> Passes:
    """All passes of one scenario, product and reference in turn, each first every other time."""
    done = Passes()
    for number in range(plan.passes):
        for side in SIDES if number % 2 == 0 else SIDES[::-1]:
            tell(f"{name}: pass {number + 1} of {plan.passes}, {side}")
            result = _checked(name, side, plan)
            if (result.others_cpu or 0) > DISTURBED and plan.spare_seconds > 0:
                tell(f"{name}: pass {number + 1} of {plan.passes}, {side}, again")
                began = time.monotonic()
                second = _checked(name, side, plan)
                plan.spare_seconds -= time.monotonic() - began
                done.repeated += 1
                result = min(result, second, key=lambda tried: tried.others_cpu or 0)
            done.add(side, result)
    return done


def _checked(name: str, side: Side, plan: Plan) -> Result:
    result = SCENARIOS[name](side, plan)
    if result.errors:
        raise BenchError(f"{name}, {side}: {result.errors} errors; {result.first_error}")
    if not all(result.values.values()):
        raise BenchError(f"{name}, {side}: nothing was answered.")
    return result


def most_held(plan: Plan, open_files: int) -> int:
    """How many waits can be held, with so many descriptors for each process."""
    return min(MOST_HELD, open_files - _SPARE_FILES - int(PACE * plan.seconds))


def _loaded(side: Side, plan: Plan, kind: str, seconds: float, count: int) -> Result:
    cores = machine.cores()
    with running(side, plan.folder) as server:
        job = Job(
            kind=kind,  # type: ignore[arg-type]
            port=server.port,
            pid=server.pid,
            core=cores[0] if cores else None,
            bearer=server.bearer,
            seconds=seconds,
            count=count,
        )
        with machine.pinned(cores[1] if cores else None):
            process = subprocess.run(
                [sys.executable, "-m", "bench.load"],
                input=msgspec.json.encode(job),
                capture_output=True,
                cwd=ROOT,
                timeout=seconds + 90,
                check=False,
            )
    if process.returncode != 0:
        raise BenchError(f"The load generator failed:\n{process.stderr.decode()[-2000:]}")
    return msgspec.json.decode(process.stdout, type=Result)


def _process_ms(*words: str) -> float:
    """Median time of a whole Python process."""
    cores = machine.cores()
    took: list[float] = []
    with machine.pinned(cores[0] if cores else None):
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, *words],
                stdout=subprocess.DEVNULL,
                env=environment(),
                check=True,
            )
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)
