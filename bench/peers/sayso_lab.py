"""The product's experiments: the standard conditions, 200 trials each, until the time is over."""

import asyncio
import json
import sys
import time

from sayso.lab import EmailDraftScenario, ExperimentRunner, create_standard_conditions
from sayso.telemetry import TelemetryLogger

_TRIALS = 200
_RATE = 0.2


async def main(seconds: float, address: str) -> dict[str, float]:
    """Trials a second, with all events in the file."""
    logger = TelemetryLogger(address)
    scenario = EmailDraftScenario()
    done = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        runner = ExperimentRunner(logger)
        for condition in create_standard_conditions(scenario, _TRIALS, _RATE, base_seed=42 + done):
            runner.add_condition(condition)
        results = await runner.run_all()
        if any(result.execution_error for result in results):
            raise RuntimeError("A trial failed.")
        done += len(results)
    logger.flush()
    rate = done / (time.perf_counter() - began)
    if len(logger.get_all_runs()) != done:
        raise RuntimeError("Runs are missing in the file.")
    logger.close()
    scenario.close()
    return {"trials": rate, "awake": rate}


if __name__ == "__main__":
    job = json.load(sys.stdin)
    print(json.dumps(asyncio.run(main(job["seconds"], job["address"]))))
