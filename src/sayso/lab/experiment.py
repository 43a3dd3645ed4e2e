"""Experiments: conditions, the trials of each through a real gate, and what came of them.

Everything that is drawn in a trial comes from its seed, `base_seed + trial_number`: the tasks,
which of them are made wrong and how, what a simulated reviewer says, what a policy with a seed
samples. So an experiment can be repeated, and conditions with the same scenario, injection and base
seed are compared on the very same actions.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4, uuid5

from sayso.errors import ConfigurationError, UsageError
from sayso.lab import report
from sayso.lab.checks import check_whole
from sayso.lab.conditions import ExperimentCondition, create_standard_conditions
from sayso.lab.measures import RunMetrics, together
from sayso.lab.metrics import MetricsCalculator
from sayso.lab.trials import CallResult, Trial, TrialResult
from sayso.telemetry import TelemetryLogger
from sayso.types import JsonObject

__all__ = [
    "CallResult",
    "ExperimentCondition",
    "ExperimentRunner",
    "Progress",
    "TrialResult",
    "create_standard_conditions",
]

Progress = Callable[[int, int, str], None]
"""Told of each trial that is over: how many are, how many there are, and which one it was."""


class ExperimentRunner:
    """Runs conditions, each trial through a `Gate` of its own, and keeps what came of them.

    Args:
        logger: hears of everything, as in production, and is what metrics are made from.
        output_dir: where results are exported to; made when something is.
        max_concurrent: how many trials wait for people at once. No trial waits for simulated ones.

    Raises:
        ValueError: `max_concurrent` is no whole number, or less than one.
    """

    def __init__(
        self,
        logger: TelemetryLogger,
        output_dir: str | Path = "./experiment_output",
        *,
        max_concurrent: int = 16,
    ) -> None:
        check_whole(max_concurrent, "max_concurrent", least=1)
        self.logger = logger
        self.output_dir = Path(output_dir)
        self.max_concurrent = max_concurrent
        self.conditions: list[ExperimentCondition] = []
        self.results: list[TrialResult] = []
        """Of the last `run_all`, by condition and trial."""

    def add_condition(self, condition: ExperimentCondition) -> None:
        """Have one more run.

        Raises:
            ConfigurationError: there is one with this id.
        """
        if any(each.condition_id == condition.condition_id for each in self.conditions):
            raise ConfigurationError(
                f"There are two conditions with the id {condition.condition_id!r}.",
                hint="Give each an id of its own: results are told apart by it.",
            )
        self.conditions.append(condition)

    async def run_all(self, progress_callback: Progress | None = None) -> list[TrialResult]:
        """Run all conditions, one after the other; their results replace those of the last time.

        Args:
            progress_callback: called after each trial.

        However it ends, `results` are the trials that are over.

        Raises:
            UsageError: there is no condition; or something in a trial ended the runner's own
                task, so that not all of them were run.
            ConfigurationError: a policy or a scenario cannot be copied for a trial.
        """
        if not self.conditions:
            raise UsageError("There is nothing to run.", hint="Add conditions: add_condition(...).")
        total = sum(condition.n_trials for condition in self.conditions)
        done: list[TrialResult] = []

        def tell(result: TrialResult, condition: ExperimentCondition) -> None:
            done.append(result)
            if progress_callback is not None:
                trial = f"trial {result.trial_number + 1}/{condition.n_trials}"
                progress_callback(len(done), total, f"{condition.condition_id}: {trial}")

        conditions = list(self.conditions)
        order = {each.condition_id: place for place, each in enumerate(conditions)}
        try:
            for condition in conditions:
                await self._run(condition, tell)
        finally:
            done.sort(key=lambda result: (order[result.condition_id], result.trial_number))
            self.results = done
        if len(done) < total:
            raise UsageError(
                f"Only {len(done)} of {total} trials are over: the runner's tasks were cancelled"
                " from within.",
                hint="Have no tool, backend or progress_callback cancel the task it runs in.",
            )
        return done

    async def run_trial(self, condition: ExperimentCondition, trial_number: int) -> TrialResult:
        """Run one trial; `results` stay as they are. What fails in it is told by its result.

        Raises:
            ConfigurationError: the policy or the scenario cannot be copied for it.
        """
        return await Trial(condition, trial_number, self.logger, str(uuid4())).run()

    def export_results(
        self, csv_path: str | Path | None = None, json_path: str | Path | None = None
    ) -> tuple[Path | None, Path | None]:
        """Write the results of the last `run_all`: a row for each run, metrics by condition.

        Args:
            csv_path: of the rows, relative to `output_dir`; None: not written.
            json_path: of the metrics, the same.

        Returns:
            Both paths as they were written.

        Raises:
            UsageError: nothing was run, or both paths are the same file's.
        """
        if not self.results:
            raise UsageError("There are no results.", hint="Run the conditions: await run_all().")
        runs = MetricsCalculator(self.logger).compute_runs([each.run_id for each in self.results])
        rows, summary = self._place(csv_path), self._place(json_path)
        if rows is not None and summary is not None and rows.resolve() == summary.resolve():
            raise UsageError(
                f"The rows and the metrics would both be written to {str(rows)!r}.",
                hint="Give each a file of its own.",
            )
        if rows is not None:
            report.write_results(rows, runs)
        if summary is not None:
            by_condition: dict[str, list[RunMetrics]] = {}
            for run in runs:
                by_condition.setdefault(run.condition_id, []).append(run)
            report.write_summary(
                summary,
                {key: report.summarised(together(key, some)) for key, some in by_condition.items()},
            )
        return rows, summary

    def get_summary(self) -> JsonObject:
        """The last `run_all` in short; rates of nothing are None.

        `{"status": "no results"}`, or `total_trials` and `conditions`: by id `n_trials`,
        `success_rate`, `injected_errors`, `errors_caught`, `error_catch_rate`, `approval_rate`,
        `execution_errors`. Errors are counted by action, the rest by trial, as in metrics.
        """
        if not self.results:
            return {"status": "no results"}
        trials: dict[str, list[TrialResult]] = {}
        for result in self.results:
            trials.setdefault(result.condition_id, []).append(result)
        conditions = {key: _summary(some) for key, some in trials.items()}
        return {"total_trials": len(self.results), "conditions": conditions}

    async def _run(
        self,
        condition: ExperimentCondition,
        tell: Callable[[TrialResult, ExperimentCondition], None],
    ) -> None:
        """All trials of one condition, so many at once as there may be."""
        this_time = uuid4()
        numbers = iter(range(condition.n_trials))
        at_once = 1 if condition.begin() else min(self.max_concurrent, condition.n_trials)

        async def work() -> None:
            for number in numbers:
                run_id = str(uuid5(this_time, str(number)))
                tell(await Trial(condition, number, self.logger, run_id).run(), condition)
                await asyncio.sleep(0)  # simulated people never make anybody wait

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(work())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def _place(self, path: str | Path | None) -> Path | None:
        if path is None:
            return None
        place = self.output_dir / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


def _summary(results: list[TrialResult]) -> JsonObject:
    """One condition in short."""
    count = len(results)
    calls = [call for result in results for call in result.calls]
    injected = sum(call.injection_type is not None for call in calls)
    caught = sum(call.error_caught for call in calls)
    return {
        "n_trials": count,
        "success_rate": sum(result.success for result in results) / count,
        "injected_errors": injected,
        "errors_caught": caught,
        "error_catch_rate": caught / injected if injected else None,
        "approval_rate": sum(result.approval_requested for result in results) / count,
        "execution_errors": sum(result.execution_error is not None for result in results),
    }
