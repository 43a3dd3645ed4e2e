"""hitloop's experiments: its standard conditions, as they come and without their sleeps."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from hitloop import TelemetryLogger
from hitloop.eval import ExperimentRunner
from hitloop.eval.runner import create_standard_conditions
from hitloop.scenarios import EmailDraftScenario

_RATE = 0.2


async def trials(seconds: float, address: str, count: int, *, sleeps: bool) -> float:
    """Trials a second, `count` of each condition at a time, until the time is over."""
    logger = TelemetryLogger(address)
    folder = Path(address).parent
    scenario: Any = EmailDraftScenario(output_dir=folder / "mail")
    done = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        runner = ExperimentRunner(logger, folder / "out")
        for condition in create_standard_conditions(scenario, count, _RATE, base_seed=42 + done):
            backend: Any = condition.backend
            if not sleeps:
                backend.delay_ms = 0
            runner.add_condition(condition)
        await runner.run_all()
        done += len(runner.results)
    return done / (time.perf_counter() - began)


async def main(seconds: float, address: str) -> dict[str, float]:
    """Both."""
    return {
        "trials": await trials(seconds, address, 1, sleeps=True),
        "awake": await trials(seconds, address, 20, sleeps=False),
    }


if __name__ == "__main__":
    job = json.load(sys.stdin)
    print(json.dumps(asyncio.run(main(job["seconds"], job["address"]))))
