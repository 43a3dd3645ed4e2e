"""Does oversight catch errors? Four ways of it, tried on the same actions, some made wrong.

python examples/run_experiment.py --n-trials 100 --injection-rate 0.2 --output-dir results
"""

import argparse
import asyncio

from sayso.lab import EmailDraftScenario, ExperimentRunner, create_standard_conditions
from sayso.telemetry import TelemetryLogger


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure simulated oversight.")
    parser.add_argument("--n-trials", type=int, default=20, help="of each condition")
    parser.add_argument("--injection-rate", type=float, default=0.2, help="0 to 1")
    parser.add_argument("--output-dir", default="experiment_output", help="for the tables")
    return parser.parse_args()


def percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.0%}"


async def main(asked: argparse.Namespace) -> None:
    logger = TelemetryLogger()  # in memory; give it a file, and every event stays
    scenario = EmailDraftScenario()
    runner = ExperimentRunner(logger, asked.output_dir)
    for condition in create_standard_conditions(
        scenario, n_trials=asked.n_trials, injection_rate=asked.injection_rate
    ):
        runner.add_condition(condition)
    await runner.run_all()

    summary = runner.get_summary()
    print(f"{summary['total_trials']} trials; simulated people, so no evidence about real ones")
    print(f"{'condition':<18}{'success':>9}{'asked':>9}{'errors':>9}{'caught':>9}")
    for condition_id, found in summary["conditions"].items():
        print(
            f"{condition_id:<18}{percent(found['success_rate']):>9}"
            f"{percent(found['approval_rate']):>9}{found['injected_errors']:>9}"
            f"{percent(found['error_catch_rate']):>9}"
        )
    print("written:", *map(str, runner.export_results("results.csv", "summary.json")))
    scenario.close()
    logger.close()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
