"""What is measured within one process: the product's program, and a peer's, in turns."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping

from bench import machine
from bench.errors import BenchError
from bench.passes import Passes, Plan, Result, Tell
from bench.peers import environment
from bench.servers import ROOT


def beside(programs: Mapping[str, str]) -> Callable[[str, Plan, Tell], Passes]:
    """All passes of both, each first every other time.

    Args:
        programs: modules of `bench.peers` by side, `product` and `reference`. Each reads
            `{"seconds": ..., "address": ...}` and prints its values as JSON.
    """

    def measure(name: str, plan: Plan, tell: Tell) -> Passes:
        environment.program("python")
        done = Passes()
        for number in range(plan.passes):
            for side in list(programs)[:: 1 if number % 2 == 0 else -1]:
                tell(f"{name}: pass {number + 1} of {plan.passes}, {side}")
                done.add(side, _one_pass(side, programs[side], plan))
        return done

    return measure


def _one_pass(side: str, program: str, plan: Plan) -> Result:
    cores = machine.cores()
    python = sys.executable if side == "product" else environment.program("python")
    with (
        tempfile.TemporaryDirectory(dir=plan.folder, prefix="sayso-bench-") as folder,
        machine.pinned(cores[0] if cores else None),
    ):
        try:
            process = subprocess.run(
                [str(python), "-m", f"bench.peers.{program}"],
                input=json.dumps({"seconds": plan.seconds, "address": f"{folder}/trace.db"}),
                capture_output=True,
                text=True,
                cwd=ROOT,
                timeout=10 * plan.seconds + 60,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"{program} came to no end.") from None
    if process.returncode != 0:
        raise BenchError(f"{program} failed:\n{process.stderr[-2000:]}")
    return Result(values=json.loads(process.stdout))
