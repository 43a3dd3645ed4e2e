"""What runs come to: one run, and several together."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from msgspec import Struct

from sayso.domain.traces import RunMetadata, TraceEvent, TraceEventType, runs_of
from sayso.lab.inference import Rate, mean, percentile
from sayso.lab.oversight import ActionMetrics, actions_of
from sayso.types import JsonObject

log = logging.getLogger("sayso.lab")
LOSSES = ""
"""The run in which a logger tells that it lost events."""
_BY_POLICY = "policy:"


class RunMetrics(Struct, frozen=True):
    """One run. Times are in milliseconds; None is what the events do not tell."""

    run_id: str
    scenario_id: str = ""
    condition_id: str = ""
    policy_name: str = ""
    """Of the policy that asked last; else of one that decided; else what `run_end` tells in
    `validation_details`."""
    seed: int | None = None
    task_success: bool | None = None
    """None: the run has not ended, or nobody told how."""
    approval_requested: bool = False
    """People were asked, about one action or more."""
    approval_granted: bool = True
    """All that needed a word was granted: nothing was refused, and no question was left open."""
    human_latency_ms: float | None = None
    """How long people's decisions took, together."""
    time_to_complete_ms: float | None = None
    injected_error: bool = False
    """At least one action is known to be wrong."""
    error_caught: bool = False
    """All actions that are known to be wrong were caught, and there was one."""
    tool_failure: bool = False
    """At least one execution failed."""
    tokens_used: int | None = 0
    """In and out, of all calls of a model; None if one of them did not tell its tokens."""
    llm_calls: int = 0
    has_ground_truth: bool = False
    """It is known which actions are wrong: the run is a trial, which names its scenario and its
    condition, or an error was injected into it."""
    actions: tuple[ActionMetrics, ...] = ()
    is_open: bool = False
    """It began, and no end of it was told: it is still going on, or was interrupted."""


class ConditionMetrics(Struct, frozen=True, kw_only=True):
    """Several runs together. A rate, mean or percentile of nothing is None, never 0.

    Each `Rate` tells how many of how many, and its confidence interval; the properties
    `..._rate` are their values.
    """

    condition_id: str
    policy_name: str = ""
    """The first that a run tells."""
    n_runs: int = 0
    n_actions: int = 0
    success: Rate = Rate()
    """Of the runs that told how they ended."""
    approval: Rate = Rate()
    """Runs in which people were asked, of all runs."""
    error_catch: Rate = Rate()
    """Actions caught, of those that are known to be wrong. As the next two, without runs that
    began and have not ended."""
    false_reject: Rate = Rate()
    """Actions refused by people, of those that they decided on and that are known to be right."""
    false_approve: Rate = Rate()
    """Actions not caught, of those that people decided on and that are known to be wrong."""
    tool_failure: Rate = Rate()
    """Runs in which a tool failed, of all runs; undefined if none of them tells of a tool's end."""
    human_latency_mean_ms: float | None = None
    """Of people's decisions, each by itself."""
    human_latency_p95_ms: float | None = None
    time_to_complete_mean_ms: float | None = None
    """Of the runs that started and ended."""
    time_to_complete_p95_ms: float | None = None
    tokens_mean: float | None = None
    """For each run, of those whose tokens are known; None if no call of a model was told."""
    llm_calls_mean: float | None = None
    """For each run; None if no call of a model was told."""

    @property
    def success_rate(self) -> float | None:
        """Of the runs that told how they ended, those whose task succeeded."""
        return self.success.value

    @property
    def approval_rate(self) -> float | None:
        """Of all runs, those in which people were asked."""
        return self.approval.value

    @property
    def error_catch_rate(self) -> float | None:
        """Of the actions that are known to be wrong, those that were caught."""
        return self.error_catch.value

    @property
    def false_reject_rate(self) -> float | None:
        """Of the right actions that people decided on, those that they refused."""
        return self.false_reject.value

    @property
    def false_approve_rate(self) -> float | None:
        """Of the wrong actions that people decided on, those that were not caught."""
        return self.false_approve.value

    @property
    def tool_failure_rate(self) -> float | None:
        """Of all runs, those in which a tool failed."""
        return self.tool_failure.value

    @property
    def cost_proxy(self) -> float | None:
        """Tokens per run, and nothing else: `tokens_mean`. Calls are told by `llm_calls_mean`."""
        return self.tokens_mean


def measured(events_by_run: Mapping[str, Sequence[TraceEvent]]) -> list[RunMetrics]:
    """Each run, in the order given; what is only about lost events is no run, and is warned of."""
    _warn_of_losses(events_by_run.get(LOSSES, ()))
    return [
        _run(run_id, events)
        for run_id, events in events_by_run.items()
        if run_id != LOSSES or any(event.event_type is not TraceEventType.ERROR for event in events)
    ]


def together(condition_id: str, runs: Sequence[RunMetrics]) -> ConditionMetrics:
    """Several runs, under this name."""
    actions = [action for run in runs for action in run.actions]
    known = _with_ground_truth(runs)
    judged = [action for run in known if not run.is_open for action in run.actions]
    wrong = [action for action in judged if action.injected_error]
    ended = [run.task_success for run in runs if run.task_success is not None]
    decided_right = [each for each in judged if each.decided and not each.injected_error]
    decided_wrong = [each for each in wrong if each.decided]
    has_executions = any(action.failed is not None for action in actions)
    took = [run.time_to_complete_ms for run in runs if run.time_to_complete_ms is not None]
    waited = [latency for action in actions for latency in action.latencies_ms]
    has_calls = any(run.llm_calls for run in runs)
    tokens = [run.tokens_used for run in runs if run.tokens_used is not None]
    return ConditionMetrics(
        condition_id=condition_id,
        policy_name=next((run.policy_name for run in runs if run.policy_name), ""),
        n_runs=len(runs),
        n_actions=len(actions),
        success=_rate(ended),
        approval=_rate(run.approval_requested for run in runs),
        error_catch=_rate(action.error_caught for action in wrong),
        false_reject=_rate(action.false_reject for action in decided_right),
        false_approve=_rate(action.false_approve for action in decided_wrong),
        tool_failure=_rate(run.tool_failure for run in runs) if has_executions else Rate(),
        human_latency_mean_ms=mean(waited),
        human_latency_p95_ms=percentile(waited, 0.95),
        time_to_complete_mean_ms=mean(took),
        time_to_complete_p95_ms=percentile(took, 0.95),
        tokens_mean=mean(tokens) if has_calls else None,
        llm_calls_mean=mean([run.llm_calls for run in runs]) if has_calls else None,
    )


def scenarios_of(runs: Sequence[RunMetrics]) -> list[str]:
    """The scenarios that these runs name, each once and in the order of their names."""
    return sorted({run.scenario_id for run in runs})


def _rate(outcomes: Iterable[bool]) -> Rate:
    told = list(outcomes)
    return Rate(hits=sum(told), of=len(told))


def _with_ground_truth(runs: Sequence[RunMetrics]) -> list[RunMetrics]:
    """Where errors were injected into some runs of a condition, the others had none."""
    tested = {run.condition_id for run in runs if run.injected_error and run.condition_id}
    return [run for run in runs if run.has_ground_truth or run.condition_id in tested]


def _run(run_id: str, events: Sequence[TraceEvent]) -> RunMetrics:
    run = next(iter(runs_of(events)), None) or RunMetadata(run_id=run_id)
    actions = actions_of(
        events,
        is_over=run.finished_at is not None,
        succeeded=run.task_success is True,
        told=_told(run.validation_details.get("calls")),
    )
    wrong = [action for action in actions if action.injected_error]
    latencies = [latency for action in actions for latency in action.latencies_ms]
    calls = [event.payload for event in events if event.event_type is TraceEventType.LLM_CALL]
    took = run.duration_ms()
    return RunMetrics(
        run_id=run_id,
        scenario_id=run.scenario_id,
        condition_id=run.condition_id,
        policy_name=_policy_name(run, events),
        seed=run.seed,
        task_success=run.task_success,
        approval_requested=any(action.asked for action in actions),
        approval_granted=all(
            action.granted is True or (action.granted is None and not action.asked)
            for action in actions
        ),
        human_latency_ms=math.fsum(latencies) if latencies else None,
        time_to_complete_ms=took if took is not None and took >= 0 else None,
        injected_error=bool(wrong),
        error_caught=bool(wrong) and all(action.error_caught for action in wrong),
        tool_failure=any(action.failed for action in actions),
        tokens_used=_tokens(calls),
        llm_calls=len(calls),
        has_ground_truth=bool(wrong) or bool(run.scenario_id and run.condition_id),
        actions=actions,
        is_open=run.started_at is not None and run.finished_at is None,
    )


def _told(calls: Any) -> dict[str, bool]:
    """By action, what an experiment's `run_end` tells of it; older ones tell its `success` alone.

    Whatever else a program put there is passed over.
    """
    told: dict[str, bool] = {}
    for call in cast("list[Any]", calls) if isinstance(calls, list) else ():
        if isinstance(call, dict):
            fields = cast("JsonObject", call)
            action_id, caught = fields.get("action_id"), fields.get("error_caught")
            caught = fields.get("success") if caught is None else caught
            if isinstance(action_id, str) and isinstance(caught, bool):
                told[action_id] = caught
    return told


def _tokens(calls: Sequence[JsonObject]) -> int | None:
    total = 0
    for call in calls:
        told = [call.get("tokens_in"), call.get("tokens_out")]
        if told == [None, None]:
            return None
        total += sum(count for count in told if count is not None)
    return total


def _policy_name(run: RunMetadata, events: Sequence[TraceEvent]) -> str:
    asked, decided = "", ""
    for event in events:
        if event.event_type is TraceEventType.APPROVAL_REQUESTED:
            asked = event.payload.get("policy_name") or asked
        elif event.event_type is TraceEventType.APPROVAL_DECIDED:
            by = str(event.payload.get("decided_by"))
            decided = by.removeprefix(_BY_POLICY) if by.startswith(_BY_POLICY) else decided
    return asked or decided or str(run.validation_details.get("policy_name") or "")


def _warn_of_losses(events: Sequence[TraceEvent]) -> None:
    lost = 0
    for event in events:
        if event.event_type is TraceEventType.ERROR:
            context: JsonObject = event.payload.get("context") or {}
            lost += context.get("lost", 0)
    if lost:
        log.warning("%d events of the trace were lost: what is measured is what is left", lost)
