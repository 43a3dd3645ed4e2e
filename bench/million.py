"""A million pending: the same work on a small and on a large store, in one process of its own."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable

import msgspec

from bench.errors import BenchError
from bench.figures import Figure, at_most, ratio_at_least, shown
from bench.passes import Passes, Plan, Result, Tell
from bench.pending import Job
from bench.servers import ROOT, environment
from bench.turns import Store

FEW = 10_000
_FILLS_A_SECOND = 2_000
"""At least; below that the scenario is given up."""


def growing(store: Store) -> Callable[[str, Plan, Tell], Passes]:
    """Fill to 10,000, measure, fill to the most, measure."""

    def measure(name: str, plan: Plan, tell: Tell) -> Passes:
        tell(f"{name}: filling to {FEW:,}, then to {plan.most_pending:,}")
        sizes = [FEW, plan.most_pending]
        with contextlib.ExitStack() as stack:
            if store == "postgres":
                database = stack.enter_context(plan.services.postgres())
            else:
                folder = tempfile.TemporaryDirectory(dir=plan.folder, prefix="sayso-bench-")
                database = f"{stack.enter_context(folder)}/sayso.db"
            job = Job(store=store, database=database, sizes=sizes)
            process = subprocess.run(
                [sys.executable, "-m", "bench.pending"],
                input=msgspec.json.encode(job),
                capture_output=True,
                cwd=ROOT,
                env=environment(),
                timeout=120 + plan.most_pending / _FILLS_A_SECOND,
                check=False,
            )
        if process.returncode != 0:
            raise BenchError(f"{name}: {process.stderr.decode()[-2000:]}")
        measured = msgspec.json.decode(process.stdout, type=dict[int, dict[str, float]])
        done = Passes()
        for side, size in (("product", plan.most_pending), ("reference", FEW)):
            done.add(side, Result(values=measured[size]))
        return done

    return measure


def figures(scenario: str, store: str) -> tuple[Figure, ...]:
    """What is told of it; `reference` is the small store."""
    return (
        ratio_at_least(scenario, "submit_rate", f"{store}: durable submits/s", 1 / 3, 1 / 5),
        shown(scenario, "submit_p50_ms", "submit, p50", "ms"),
        shown(scenario, "submit_p99_ms", "submit, p99", "ms"),
        ratio_at_least(scenario, "decide_rate", f"{store}: durable decisions/s", 1 / 3, 1 / 5),
        shown(scenario, "decide_p50_ms", "decision, p50", "ms"),
        shown(scenario, "decide_p99_ms", "decision, p99", "ms"),
        at_most(scenario, "read_p99_ms", f"{store}: read by id, p99", "ms", 1, 5),
        at_most(scenario, "page_first_p99_ms", f"{store}: first page, p99", "ms", 1, 5),
        at_most(scenario, "page_deep_p99_ms", f"{store}: a deep page, p99", "ms", 1, 5),
        at_most(scenario, "sweep_none_p99_ms", f"{store}: sweep, nothing due, p99", "ms", 1, 5),
        shown(scenario, "sweep_500_p50_ms", "sweep that closes 500, p50", "ms"),
        shown(scenario, "read_p50_ms", "read by id, p50", "ms", 3),
        shown(scenario, "page_first_p50_ms", "first page, p50", "ms", 3),
        shown(scenario, "page_deep_p50_ms", "a deep page, p50", "ms", 3),
        shown(scenario, "sweep_none_p50_ms", "sweep, nothing due, p50", "ms", 3),
        shown(scenario, "rss_mb", "memory of the process", "MB"),
        shown(scenario, "file_mb", "size of the database", "MB"),
    )


FIGURES = (*figures("million-sqlite", "SQLite"), *figures("million-postgres", "PostgreSQL"))
