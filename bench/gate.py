"""What the gate costs around a call that is allowed, beside hitloop's, in one run."""

import json
import subprocess
import sys
import tempfile

from bench import machine
from bench.errors import BenchError
from bench.figures import Figure, at_most, shown
from bench.passes import Passes, Plan, Result, Tell
from bench.peers import environment
from bench.servers import ROOT

SCENARIO = "gate"
FIGURES: tuple[Figure, ...] = (
    at_most(SCENARIO, "logged_p50_us", "an allowed call, telemetry to a SQLite file", "us", 50, 50),
    shown(SCENARIO, "logged_p99_us", "p99", "us"),
    shown(SCENARIO, "logged_mean_us", "mean, with what the writing costs the caller", "us"),
    shown(SCENARIO, "bare_p50_us", "the same without telemetry", "us"),
    at_most(SCENARIO, "policy_us", "RiskBasedPolicy, one evaluation", "us", 2, 2),
    at_most(SCENARIO, "rules_us", "100 rules with CEL conditions, all evaluated", "us", 100, 100),
)
_PROGRAMS = {"product": "sayso_gate", "reference": "hitloop_gate"}


def measure(name: str, plan: Plan, tell: Tell) -> Passes:
    """All passes of both, each first every other time."""
    environment.program("python")
    done = Passes()
    for number in range(plan.passes):
        for side in list(_PROGRAMS)[:: 1 if number % 2 == 0 else -1]:
            tell(f"{name}: pass {number + 1} of {plan.passes}, {side}")
            done.add(side, _one_pass(side, plan))
    return done


def _one_pass(side: str, plan: Plan) -> Result:
    cores = machine.cores()
    python = sys.executable if side == "product" else environment.program("python")
    with (
        tempfile.TemporaryDirectory(dir=plan.folder, prefix="sayso-bench-") as folder,
        machine.pinned(cores[0] if cores else None),
    ):
        try:
            process = subprocess.run(
                [str(python), "-m", f"bench.peers.{_PROGRAMS[side]}"],
                input=json.dumps({"seconds": plan.seconds, "address": f"{folder}/trace.db"}),
                capture_output=True,
                text=True,
                cwd=ROOT,
                timeout=10 * plan.seconds + 60,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"The gate of the {side} came to no end.") from None
    if process.returncode != 0:
        raise BenchError(f"The gate of the {side} failed:\n{process.stderr[-2000:]}")
    return Result(values=json.loads(process.stdout))
