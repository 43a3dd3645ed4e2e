"""`MetricsCalculator`: what a telemetry's runs come to; no experiment is needed for it."""

from collections.abc import Sequence
from pathlib import Path

from sayso.errors import NotFoundError, UsageError
from sayso.lab import report
from sayso.lab.comparison import Comparison, compared
from sayso.lab.measures import (
    LOSSES,
    ConditionMetrics,
    RunMetrics,
    measured,
    scenarios_of,
    together,
)
from sayso.telemetry import TelemetryLogger

__all__ = ["Comparison", "ConditionMetrics", "MetricsCalculator", "RunMetrics"]


class MetricsCalculator:
    """Measures what a telemetry has kept, whoever wrote it: an experiment, or a gate at work.

    What it reads is in memory then; it reads once, or twice for conditions by name, however many
    runs there are. Of traces that a gate wrote alone, without starts and ends of runs, conditions,
    successes and times to complete are not known; and where nothing tells which actions are
    wrong, neither are the rates of errors caught and of false decisions. If the trace tells that
    events were lost, so does the log `sayso.lab`: what is measured is what is left.

    Args:
        logger: what it reads; what was logged before is in it.
    """

    def __init__(self, logger: TelemetryLogger) -> None:
        self._logger = logger

    def compute_run_metrics(self, run_id: str) -> RunMetrics:
        """One run.

        Raises:
            NotFoundError: there is no such run.
            StoreError: the trace cannot be read.
        """
        return self.compute_runs([run_id])[0]

    def compute_runs(self, run_ids: Sequence[str] | None = None) -> list[RunMetrics]:
        """These runs, in this order; None is all, in the order of their first events.

        Raises:
            NotFoundError: one of them is not there.
            StoreError: the trace cannot be read.
        """
        if run_ids is None:
            return measured(self._logger.get_events_by_run())
        if isinstance(run_ids, str):
            raise TypeError("run_ids takes several ids, as a list, not one id")
        wanted = list(dict.fromkeys(run_ids))
        if not wanted:
            return []
        found = self._logger.get_events_by_run([*wanted, LOSSES])
        runs = {run.run_id: run for run in measured(found)}
        if missing := [run_id for run_id in wanted if run_id not in runs]:
            raise NotFoundError(
                f"The trace {str(self._logger.db_path)!r} has no run {missing[0]!r}"
                + (f", nor {len(missing) - 1} others of those named." if missing[1:] else "."),
                hint="get_all_runs() of the logger tells which there are.",
            )
        return [runs[run_id] for run_id in wanted]

    def compute_condition_metrics(
        self, condition_id: str | None = None, run_ids: Sequence[str] | None = None
    ) -> ConditionMetrics:
        """Several runs together.

        Args:
            condition_id: of this condition alone, where the empty string is the runs that name
                none; None is any.
            run_ids: of these runs alone; None is any, an empty list none.

        Returns:
            Under `condition_id`; without one, under that of all the runs, or `unknown` if they
            are of several or there is none.

        Raises:
            NotFoundError: one of `run_ids` is not there.
            UsageError: runs of the condition are of several scenarios, and `run_ids` does not tell
                which of them are meant.
            StoreError: the trace cannot be read.
        """
        if run_ids is None and condition_id is not None:
            runs = self._of_conditions(condition_id)
            scenarios = scenarios_of(runs)
            if condition_id and len(scenarios) > 1:
                raise UsageError(
                    f"The condition {condition_id!r} has runs of several scenarios:"
                    f" {', '.join(scenarios)}.",
                    hint="Give each scenario a condition of its own, or name the runs: run_ids=...",
                )
        else:
            runs = self.compute_runs(run_ids)
            if condition_id is not None:
                runs = [run for run in runs if run.condition_id == condition_id]
        if condition_id is None:
            ids = {run.condition_id for run in runs}
            condition_id = (ids.pop() if len(ids) == 1 else "") or "unknown"
        return together(condition_id, runs)

    def compare(self, condition_a: str, condition_b: str) -> Comparison:
        """Two conditions, on the trials that they have in common.

        Trials are a pair if they name the same scenario and seed, and the same actions were
        proposed in them. Of several trials of one seed in one condition the last one counts that
        has ended; runs without a seed do not.

        Raises:
            NotFoundError: a condition has no run.
            StoreError: the trace cannot be read.
        """
        runs = self._of_conditions(condition_a, condition_b)
        for condition_id in (condition_a, condition_b):
            if all(run.condition_id != condition_id for run in runs):
                raise NotFoundError(
                    f"The trace {str(self._logger.db_path)!r} has no run of the condition"
                    f" {condition_id!r}.",
                    hint="A run names its condition when it starts: log_run_start.",
                )
        return compared(condition_a, condition_b, runs)

    def export_results_csv(self, path: str | Path, run_ids: Sequence[str] | None = None) -> None:
        """Write a table, one line a run (see `report`).

        Raises:
            NotFoundError: one of `run_ids` is not there.
            ConfigurationError: the file cannot be written; it is as it was.
            StoreError: the trace cannot be read.
        """
        report.write_results(path, self.compute_runs(run_ids))

    def export_summary_json(self, path: str | Path, by_condition: bool = True) -> None:
        """Write what the runs come to, by condition or all `overall` (see `report`).

        A condition with runs of several scenarios is not one: each has a part of its own, under
        `CONDITION (SCENARIO)`.

        Raises:
            ConfigurationError: the file cannot be written; it is as it was.
            StoreError: the trace cannot be read.
        """
        runs = self.compute_runs()
        if by_condition:
            by_id: dict[str, list[RunMetrics]] = {}
            for run in runs:
                by_id.setdefault(run.condition_id, []).append(run)
            parts: dict[str, list[RunMetrics]] = {}
            for condition_id, some in by_id.items():
                is_one = not condition_id or len(scenarios_of(some)) == 1
                for run in some:
                    key = condition_id if is_one else f"{condition_id} ({run.scenario_id})"
                    parts.setdefault(key, []).append(run)
            summary = {
                each: report.summarised(together(each, parts[each])) for each in sorted(parts)
            }
        else:
            summary = {"overall": report.summarised(together("overall", runs))}
            del summary["overall"]["policy_name"]
        report.write_summary(path, summary)

    def _of_conditions(self, *condition_ids: str) -> list[RunMetrics]:
        """Their runs; those that name none have no start, perhaps, so all have to be looked at."""
        if "" in condition_ids:
            runs = self.compute_runs()
        else:
            known = self._logger.get_all_runs()
            runs = self.compute_runs(
                [run.run_id for run in known if run.condition_id in condition_ids]
            )
        return [run for run in runs if run.condition_id in condition_ids]
