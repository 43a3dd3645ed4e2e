"""Two conditions, compared on the trials that they have in common."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from sayso.lab.inference import sign_test
from sayso.lab.measures import RunMetrics

Trial: TypeAlias = tuple[str, int]
"""Scenario and seed."""


class Paired(Struct, frozen=True, kw_only=True, gc=False):
    """One measure of two conditions, over the pairs in which both have it."""

    n_pairs: int
    a_more: int
    """Pairs in which it is yes in A alone, or more in A."""
    b_more: int

    @property
    def equal(self) -> int:
        """Pairs that do not differ."""
        return self.n_pairs - self.a_more - self.b_more

    @property
    def p_value(self) -> float | None:
        """Two-sided and exact: McNemar's test for yes and no, else the sign test (`sign_test`).

        None if there are no pairs; 1 if none of them differs.
        """
        return sign_test(self.a_more, self.b_more) if self.n_pairs else None


class Comparison(Struct, frozen=True, kw_only=True):
    """Condition A beside condition B: pairs are trials of the same scenario, seed and actions.

    Each measure is a question by itself: whoever tests several, and tells the smallest p, has to
    correct for that.
    """

    condition_a: str
    condition_b: str
    n_pairs: int
    n_only_a: int
    """Trials of A that B does not have."""
    n_only_b: int
    n_other_actions: int
    """Trials that both have, but with other actions, so that they are no pair: as when one was
    given more injected errors, or ended before its last task."""
    n_left_out: int
    """Runs without a seed, and repeated ones: of a trial, the last run counts that has ended."""
    success: Paired
    """Of the pairs in which both told how they ended."""
    error_caught: Paired
    """Of the pairs in which both had an error injected."""
    approval_requested: Paired
    human_latency_ms: Paired
    """Of the pairs in which people decided in both."""
    time_to_complete_ms: Paired


def compared(condition_a: str, condition_b: str, runs: Sequence[RunMetrics]) -> Comparison:
    """What these runs say of the two."""
    in_a, in_b = _trials(condition_a, runs), _trials(condition_b, runs)
    both = [(in_a[trial], in_b[trial]) for trial in in_a if trial in in_b]
    pairs = [(a, b) for a, b in both if _proposed(a) == _proposed(b)]
    n_counted = len({run.run_id for run in (*in_a.values(), *in_b.values())})
    return Comparison(
        condition_a=condition_a,
        condition_b=condition_b,
        n_pairs=len(pairs),
        n_only_a=len(in_a) - len(both),
        n_only_b=len(in_b) - len(both),
        n_other_actions=len(both) - len(pairs),
        n_left_out=len(runs) - n_counted,
        success=_paired(pairs, lambda run: run.task_success),
        error_caught=_paired(pairs, lambda run: run.error_caught if run.injected_error else None),
        approval_requested=_paired(pairs, lambda run: run.approval_requested),
        human_latency_ms=_paired(pairs, lambda run: run.human_latency_ms),
        time_to_complete_ms=_paired(pairs, lambda run: run.time_to_complete_ms),
    )


def _trials(condition_id: str, runs: Sequence[RunMetrics]) -> dict[Trial, RunMetrics]:
    trials: dict[Trial, RunMetrics] = {}
    for run in runs:
        if run.condition_id == condition_id and run.seed is not None:
            trial = run.scenario_id, run.seed
            if trial not in trials or not run.is_open or trials[trial].is_open:
                trials[trial] = run
    return trials


def _proposed(run: RunMetrics) -> list[str]:
    return [action.digest for action in run.actions]


def _paired(
    pairs: Sequence[tuple[RunMetrics, RunMetrics]], measure: Callable[[RunMetrics], float | None]
) -> Paired:
    told = [(measure(a), measure(b)) for a, b in pairs]
    both = [(a, b) for a, b in told if a is not None and b is not None]
    return Paired(
        n_pairs=len(both),
        a_more=sum(a > b for a, b in both),
        b_more=sum(b > a for a, b in both),
    )
