"""Product and reference in turn: each pass on a fresh server with an empty database."""

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from typing import Literal

import msgspec

from bench import machine
from bench.errors import BenchError
from bench.load.held import PACE
from bench.load.job import Job
from bench.passes import MOST_HELD, Passes, Plan, Result, Tell
from bench.servers import ROOT, SIDES, Running, Side, environment, running

DISTURBED = 0.1
"""A pass is disturbed when other processes took more than this share of the server's core."""
_SPARE_FILES = 600
"""Descriptors for everything but the waits: deciders, database, the interpreter's own."""

Store = Literal["sqlite", "postgres"]
OnePass = Callable[[Side, Plan], Result]


def loaded(kind: str, count: int | None, store: Store = "sqlite") -> OnePass:
    """A pass of the load generator: of this kind, with so many connections, cycles or waits."""

    def one_pass(side: Side, plan: Plan) -> Result:
        with server(side, plan, store) as running_server:
            result = generate(kind, running_server, plan.seconds, count or plan.most_held)
        if store == "postgres":
            result.others_cpu = None  # the database is one of those others, and shares both cores
        return result

    return one_pass


def start_up(side: Side, plan: Plan) -> Result:
    """Start of the server until it listens; `import sayso`; `sayso --help`.

    The last two are whole processes; beside them stands an interpreter that does nothing.
    """
    with running(side, plan.folder) as started:
        values = {"ready_s": started.ready_seconds}
    if side == "product":
        values["import_ms"] = _process_ms("-c", "import sayso")
        values["help_ms"] = _process_ms("-m", "sayso.cli", "--help")
    else:
        values["import_ms"] = values["help_ms"] = _process_ms("-c", "pass")
    return Result(values=values)


def in_turn(one_pass: OnePass) -> Callable[[str, Plan, Tell], Passes]:
    """All passes of a scenario, each side first every other time; disturbed ones again."""

    def measure(name: str, plan: Plan, tell: Tell) -> Passes:
        done = Passes()
        for number in range(plan.passes):
            for side in SIDES if number % 2 == 0 else SIDES[::-1]:
                tell(f"{name}: pass {number + 1} of {plan.passes}, {side}")
                result = _checked(name, side, one_pass(side, plan))
                if (result.others_cpu or 0) > DISTURBED and plan.spare_seconds > 0:
                    tell(f"{name}: pass {number + 1} of {plan.passes}, {side}, again")
                    began = time.monotonic()
                    second = _checked(name, side, one_pass(side, plan))
                    plan.spare_seconds -= time.monotonic() - began
                    done.repeated += 1
                    result = min(result, second, key=lambda tried: tried.others_cpu or 0)
                done.add(side, result)
        return done

    return measure


def most_held(seconds: float, open_files: int) -> int:
    """How many waits can be held, with so many descriptors for each process."""
    return min(MOST_HELD, open_files - _SPARE_FILES - int(PACE * seconds))


@contextlib.contextmanager
def server(side: Side, plan: Plan, store: Store) -> Generator[Running]:
    """A fresh server on an empty database of that kind."""
    with contextlib.ExitStack() as stack:
        dsn = stack.enter_context(plan.services.postgres()) if store == "postgres" else None
        yield stack.enter_context(running(side, plan.folder, dsn))


def generate(
    kind: str, running_server: Running, seconds: float, count: int, sink: int = 0
) -> Result:
    """Have the load generator do one job, on its own core."""
    cores = machine.cores()
    job = Job(
        kind=kind,  # type: ignore[arg-type]
        port=running_server.port,
        pid=running_server.pid,
        core=cores[0] if cores else None,
        bearer=running_server.bearer,
        key=running_server.key,
        seconds=seconds,
        count=count,
        sink=sink,
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


def _checked(name: str, side: Side, result: Result) -> Result:
    if result.errors:
        raise BenchError(f"{name}, {side}: {result.errors} errors; {result.first_error}")
    if not all(result.values.values()):
        raise BenchError(f"{name}, {side}: nothing was answered.")
    return result


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
