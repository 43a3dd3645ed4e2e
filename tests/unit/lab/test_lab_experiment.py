"""Experiments go through the real gate, can be repeated, and count what is wrong as wrong."""

import asyncio
import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from sayso import Action, RiskClass
from sayso.backends import ScriptedBackend
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.errors import ConfigurationError, UsageError
from sayso.gate import ApprovalBackend, ApprovalError
from sayso.lab import (
    EmailDraftScenario,
    ExperimentCondition,
    ExperimentRunner,
    InjectionConfig,
    InjectionResult,
    InjectionType,
    MetricsCalculator,
    RecordUpdateScenario,
    RunMetrics,
    Scenario,
    ScenarioConfig,
    SimulatedReviewer,
    TrialResult,
    ValidationResult,
    create_standard_conditions,
)
from sayso.lab.inference import Rate
from sayso.policies import (
    AllOf,
    AlwaysApprovePolicy,
    AuditPlusEscalatePolicy,
    HITLPolicy,
    Policy,
    RiskBasedPolicy,
)
from sayso.telemetry import TelemetryLogger

pytestmark = pytest.mark.anyio

ASKING = RiskBasedPolicy(require_approval_for_medium=True)
PERFECT = SimulatedReviewer(catch_rate=1, false_alarm_rate=0)
ALL_WRONG = InjectionConfig(injection_rate=1.0)


@pytest.fixture
def logger() -> Iterator[TelemetryLogger]:
    made = TelemetryLogger()
    yield made
    made.close()


def condition(condition_id: str = "c", **fields: Any) -> ExperimentCondition:
    usual: dict[str, Any] = {
        "policy": ASKING,
        "backend": PERFECT,
        "scenario": EmailDraftScenario(),
        "n_trials": 20,
    }
    return ExperimentCondition(condition_id=condition_id, **{**usual, **fields})


async def run(logger: TelemetryLogger, *conditions: ExperimentCondition) -> list[TrialResult]:
    runner = ExperimentRunner(logger)
    for each in conditions:
        runner.add_condition(each)
    return await runner.run_all()


def drawn(results: list[TrialResult]) -> list[tuple[Action, Action]]:
    return [(call.task, call.proposed) for result in results for call in result.calls]


def alike(results: list[TrialResult]) -> list[TrialResult]:
    return [msgspec.structs.replace(result, run_id="") for result in results]


class Judged(SimulatedReviewer):
    """Remembers what it was asked."""

    seen: list[ApprovalRequest]

    def fresh(self, seed: int | str) -> "Judged":
        self.__dict__.setdefault("seen", [])
        made = Judged(catch_rate=self.catch_rate, false_alarm_rate=0, seed=seed)
        made.seen = self.seen
        return made

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        self.seen.append(request)
        return await super().request_approval(request)


@pytest.mark.parametrize("scenario", [EmailDraftScenario(), RecordUpdateScenario()])
@pytest.mark.parametrize("kind", [None, *InjectionType])
async def test_without_oversight_no_injected_error_counts_as_a_success(
    logger: TelemetryLogger, scenario: Scenario, kind: InjectionType | None
) -> None:
    """hitloop 42: at injection_rate 1.0 always_approve had a success rate of 0.68."""
    wanted = InjectionConfig(injection_rate=1.0, injection_types=() if kind is None else (kind,))
    results = await run(
        logger,
        condition(policy=AlwaysApprovePolicy(), scenario=scenario, injection_config=wanted),
    )
    injected = [result for result in results if result.injected_error]
    assert not [result for result in injected if result.success or result.error_caught]
    assert all(result.success for result in results if not result.injected_error)
    assert len(injected) in (0, 20)
    assert injected or kind in (
        InjectionType.WRONG_AMOUNT,
        InjectionType.WRONG_RECIPIENT,
        InjectionType.WRONG_RECORD_ID,
    ), "What fits neither scenario is told as not injected."


class Lax(EmailDraftScenario):
    """Takes everything for right."""

    def validate_result(self, result: Any) -> ValidationResult:
        return ValidationResult(True)


async def test_what_ran_as_it_was_made_wrong_is_wrong_whatever_the_scenario_says(
    logger: TelemetryLogger,
) -> None:
    """hitloop 42."""
    policy = AlwaysApprovePolicy()
    results = await run(
        logger, condition(policy=policy, scenario=Lax(), injection_config=ALL_WRONG)
    )
    assert not any(result.success for result in results)


async def test_a_perfect_reviewer_catches_all_and_a_nodding_one_nothing(
    logger: TelemetryLogger,
) -> None:
    half = InjectionConfig(injection_rate=0.5)
    nodding = SimulatedReviewer(catch_rate=0, false_alarm_rate=0)
    results = await run(
        logger,
        condition("perfect", injection_config=half),
        condition("nodding", injection_config=half, backend=nodding),
    )
    perfect, nods = results[:20], results[20:]
    assert all(result.success for result in perfect)
    assert [result.error_caught for result in perfect] == [r.injected_error for r in perfect]
    assert [result.success for result in nods] == [not r.injected_error for r in nods]
    assert 0 < sum(result.injected_error for result in perfect) < 20
    assert not any(call.ran for r in perfect for call in r.calls if call.injection_type)


async def test_nobody_can_tell_an_injected_action_by_anything_but_its_fault(
    logger: TelemetryLogger,
) -> None:
    """hitloop 43: the label stood in what the reviewer saw."""
    judged = Judged(catch_rate=0)
    half = InjectionConfig(injection_rate=0.5)
    results = await run(logger, condition(backend=judged, injection_config=half, n_trials=60))
    told = [
        (each.action.risk_class, each.action.side_effects, each.action.context_refs,
         each.action.rationale, sorted(each.action.tool_args), each.policy_reason)
        for each in judged.seen
    ]  # fmt: skip
    assert len(judged.seen) == 60
    assert all(each == told[0] for each in told)
    assert {result.injected_error for result in results} == {True, False}
    # What the task was stands beside it, so that a person can compare.
    assert all(
        request.summary_context.startswith(f"Task: e-mail {call.task.tool_args['recipient']}")
        for request, result in zip(judged.seen, results, strict=True)
        for call in result.calls
    )


async def test_a_simulated_person_catches_errors_and_gives_false_alarms_at_its_rates(
    logger: TelemetryLogger,
) -> None:
    """hitloop 45: the simulated human looked at no action, and rejected one of 200."""
    person = SimulatedReviewer(
        catch_rate=0.7, false_alarm_rate=0.1, latency_ms=2000, latency_sigma=0.3
    )
    half = InjectionConfig(injection_rate=0.5)
    results = await run(logger, condition(backend=person, injection_config=half, n_trials=600))
    wrong = [result for result in results if result.injected_error]
    right = [result for result in results if not result.injected_error]
    caught = sum(result.error_caught for result in wrong) / len(wrong)
    alarms = sum(not result.approval_granted for result in right) / len(right)
    assert caught == pytest.approx(0.7, abs=0.12)
    assert alarms == pytest.approx(0.1, abs=0.08)
    times = sorted(call.latency_ms for result in results for call in result.calls)
    assert times[300] == pytest.approx(2000, rel=0.1)
    assert times[0] < 1500 < 2700 < times[-1]


async def test_how_long_a_simulated_person_takes_is_told_and_not_waited(
    logger: TelemetryLogger,
) -> None:
    """hitloop 52: trials came one after the other, and slept."""
    slow = SimulatedReviewer(latency_ms=3_600_000, latency_sigma=0)
    async with asyncio.timeout(60):
        results = await run(logger, condition(backend=slow))
    assert {call.latency_ms for result in results for call in result.calls} == {3_600_000}
    decided = logger.get_events(event_type="approval_decided")
    assert {event.payload["latency_ms"] for event in decided} == {3_600_000}


@pytest.mark.parametrize("rate", ["catch_rate", "false_alarm_rate"])
def test_a_person_with_impossible_rates_or_times_is_refused(rate: str) -> None:
    for value in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=rate):
            SimulatedReviewer(**{rate: value})
    for time in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="latency_ms"):
            SimulatedReviewer(latency_ms=time)
    with pytest.raises(ValueError, match="latency_sigma"):
        SimulatedReviewer(latency_sigma=9)


async def test_a_simulated_person_who_knows_nothing_of_a_call_lets_nothing_run() -> None:
    asked = ApprovalRequest(run_id="r", action=Action(tool_name="x"))
    with pytest.raises(ApprovalError, match="does not know what is right"):
        await SimulatedReviewer().request_approval(asked)


async def test_a_streak_does_not_run_over_trials(logger: TelemetryLogger) -> None:
    """hitloop 46: a nominal rate of 0.3 became 0.985, since all trials were one streak."""
    audit = AuditPlusEscalatePolicy(audit_sample_rate=0.3, seed=1, consecutive_action_threshold=3)
    [*results] = await run(logger, condition(policy=audit, n_trials=300))
    asked = sum(result.approval_requested for result in results) / 300
    assert asked == pytest.approx(0.3, abs=0.1)


async def test_within_a_trial_of_several_actions_a_streak_counts_and_so_does_each_decision(
    logger: TelemetryLogger,
) -> None:
    """hitloop 50: of several actions only the last decision counted."""
    config = ScenarioConfig(
        scenario_id="five", name="Five", risk_class=RiskClass.LOW, actions_per_trial=5
    )
    audit = AuditPlusEscalatePolicy(audit_sample_rate=0, consecutive_action_threshold=4)
    said = ScriptedBackend([False, True], default_approve=True)
    scenario = EmailDraftScenario(config)
    [first, second] = await run(
        logger, condition(policy=audit, backend=said, scenario=scenario, n_trials=2)
    )
    asked = [[call.approval_requested for call in trial.calls] for trial in (first, second)]
    assert asked == [[False, False, False, True, True]] * 2
    assert [call.approval_granted for call in first.calls] == [True, True, True, False, True]
    assert (first.approval_granted, first.success) == (False, False)
    assert (second.approval_granted, second.success) == (True, True)


class Refunds(Scenario):
    """Refunds what was paid."""

    name = "refunds"

    def __init__(self) -> None:
        super().__init__(ScenarioConfig("refunds", "Refunds"))

    def get_tools(self) -> dict[str, Any]:
        return {"refund": lambda **args: args}

    def generate_action(self, correct: bool = True) -> Action:
        self.paid = {"amount": self.random.randrange(100)}
        return Action(tool_name="refund", tool_args=self.paid, risk_class=RiskClass.HIGH)

    def validate_result(self, result: Any) -> ValidationResult:
        return ValidationResult(result == self.paid)

    def other_value(self, name: str, value: Any, random: Random) -> Any:
        return value + 1


class Counting(HITLPolicy):
    """Keeps what it has seen in itself, as users' policies do."""

    def __init__(self) -> None:
        self.seen = 0

    @property
    def name(self) -> str:
        return "counting"

    def should_request_approval(self, action: Action, state: dict[str, Any]) -> tuple[bool, str]:
        self.seen += 1
        return self.seen > 1, "seen before"


async def test_no_trial_sees_what_another_one_did_to_a_policy_of_ones_own(
    logger: TelemetryLogger,
) -> None:
    """hitloop 46."""
    policy = Counting()
    results = await run(logger, condition(policy=policy))
    assert not any(result.approval_requested for result in results)
    assert policy.seen == 0


async def test_a_script_goes_on_from_trial_to_trial_and_begins_again_with_each_condition(
    logger: TelemetryLogger,
) -> None:
    script = ScriptedBackend([True, False], default_approve=False)
    results = await run(
        logger,
        condition("a", backend=script, n_trials=3),
        condition("b", backend=script, n_trials=3),
    )
    assert [result.approval_granted for result in results] == [True, False, False] * 2


async def test_the_same_settings_give_the_same_actions_and_results(logger: TelemetryLogger) -> None:
    """hitloop 47: of the same base seed, 6 of 120 actions were equal."""
    scenario = EmailDraftScenario()
    first = await run(logger, *create_standard_conditions(scenario, n_trials=30))
    again = await run(logger, *create_standard_conditions(EmailDraftScenario(), n_trials=30))
    other = await run(logger, *create_standard_conditions(scenario, n_trials=30, base_seed=1_000))
    assert alike(first) == alike(again)
    assert drawn(first) != drawn(other)
    assert len({result.run_id for result in first + again}) == 240, "Runs are told apart."


async def test_conditions_with_one_base_seed_see_the_same_tasks_and_errors(
    logger: TelemetryLogger,
) -> None:
    """hitloop 47: 4 of 30 trials were pairs."""
    results = await run(logger, *create_standard_conditions(EmailDraftScenario(), n_trials=30))
    by_condition = [drawn(results[start : start + 30]) for start in range(0, 120, 30)]
    assert all(each == by_condition[0] for each in by_condition)
    human, audit = results[60:90], results[90:]
    both = [
        (one.calls[0], other.calls[0])
        for one, other in zip(human, audit, strict=True)
        if one.approval_requested and other.approval_requested
    ]
    assert both, "And the same person says the same to the same."
    assert all(one.approval_granted == other.approval_granted for one, other in both)


async def test_results_can_be_told_from_the_settings_alone(
    logger: TelemetryLogger, tmp_path: Path
) -> None:
    """hitloop 54: the published results had seeds and rates that its code cannot give."""
    runner = ExperimentRunner(logger, tmp_path / "out")
    for each in create_standard_conditions(EmailDraftScenario(), n_trials=20):
        runner.add_condition(each)
    results = await runner.run_all()
    rows, summary = runner.export_results("results.csv", "deep/summary.json")
    assert (rows, summary) == (tmp_path / "out/results.csv", tmp_path / "out/deep/summary.json")
    assert rows is not None
    assert summary is not None
    with rows.open() as table:
        told = list(csv.DictReader(table))
    assert [row["run_id"] for row in told] == [result.run_id for result in results]
    for row, result in zip(told, results, strict=True):
        assert int(row["seed"]) == result.seed == 42 + result.trial_number
        assert row["policy_name"], "hitloop 49: it was empty for always_approve."
        for name in (
            "success", "injected_error", "error_caught", "approval_requested", "approval_granted"
        ):  # fmt: skip
            told_as = "task_success" if name == "success" else name
            assert row[told_as] == str(int(getattr(result, name))), (name, row)
    short = runner.get_summary()["conditions"]
    for condition_id, metrics in json.loads(summary.read_text()).items():
        for name in ("success_rate", "error_catch_rate", "approval_rate"):
            assert metrics[name] == pytest.approx(short[condition_id][name], abs=1e-4)
    assert list(short) == [
        "always_approve", "risk_based_auto", "risk_based_human", "audit_escalate"
    ]  # fmt: skip


async def test_each_trial_is_told_through_the_gate_from_its_start_to_its_end(
    logger: TelemetryLogger,
) -> None:
    """hitloop 48: ends of tools were never logged; hitloop 49: nor was the baseline's policy."""
    always = condition("always", policy=AlwaysApprovePolicy(), n_trials=1)
    asked = condition("asked", injection_config=ALL_WRONG, n_trials=1)
    results = await run(logger, always, asked)
    told = [[event.event_type.value for event in logger.get_events(r.run_id)] for r in results]
    assert told == [
        ["run_start", "action_proposed", "tool_execution_start", "tool_execution_end", "run_end"],
        ["run_start", "action_proposed", "injected_error", "approval_requested",
         "approval_decided", "run_end"],
    ]  # fmt: skip
    kept = logger.get_run_metadata(results[0].run_id)
    assert kept is not None
    assert (kept.condition_id, kept.scenario_id, kept.seed) == ("always", "email_draft", 42)
    assert kept.validation_details["policy_name"] == "always_approve"


class Failing(EmailDraftScenario):
    """Its tool raises, and it asks a model."""

    def generate_action(self, correct: bool = True) -> Action:
        self.log_llm_call(tokens_in=10, tokens_out=5)
        return super().generate_action(correct)

    def get_tools(self) -> dict[str, Any]:
        def send_email(**_: Any) -> None:
            raise ConnectionError("no network")

        return {"send_email": send_email}


async def test_a_tool_that_raises_is_counted_and_calls_of_a_model_are_kept(
    logger: TelemetryLogger,
) -> None:
    """hitloop 48: of ten tools that raised, tool_failure_rate was 0; so was cost_proxy always."""
    runner = ExperimentRunner(logger)
    runner.add_condition(condition(policy=AlwaysApprovePolicy(), scenario=Failing(), n_trials=10))
    results = await runner.run_all()
    assert {result.execution_error for result in results} == {"ConnectionError: no network"}
    assert not any(result.success for result in results)
    ends = logger.get_events(event_type="tool_execution_end")
    assert [event.payload["success"] for event in ends] == [False] * 10
    assert runner.get_summary()["conditions"]["c"]["execution_errors"] == 10
    calls = logger.get_events(event_type="llm_call")
    assert {event.run_id for event in calls} == {result.run_id for result in results}


class Told(Failing):
    """Its tool returns an object."""

    def get_tools(self) -> dict[str, Any]:
        return {"send_email": lambda **_: ValidationResult(False, "no")}


class Quoting(EmailDraftScenario):
    """Its tool's error tells all that it was called with."""

    def get_tools(self) -> dict[str, Any]:
        def send_email(**arguments: Any) -> None:
            raise ValueError(f"cannot send {arguments}")

        return {"send_email": send_email}


async def test_a_trace_keeps_nothing_redacted_that_an_error_quotes() -> None:
    names = ("recipient", "subject", "body")
    logger = TelemetryLogger(redact=[f"*:{name}" for name in names])
    (result,) = await run(
        logger, condition(policy=AlwaysApprovePolicy(), scenario=Quoting(), n_trials=1)
    )
    kept = msgspec.json.encode([event.payload for event in logger.get_events()]).decode()
    logger.close()
    assert result.execution_error is not None
    assert "cannot send" in kept
    for name in names:
        line = max(result.calls[0].proposed.tool_args[name].splitlines(), key=len)
        assert line not in kept
        assert line in result.execution_error  # whoever runs the experiment sees it


async def test_a_tool_that_tells_of_its_failure_has_failed_and_so_has_an_unknown_one(
    logger: TelemetryLogger,
) -> None:
    [failed] = await run(
        logger, condition(policy=AlwaysApprovePolicy(), scenario=Told(), n_trials=1)
    )
    assert failed.execution_error == "The tool failed."
    for kind, told in (
        (InjectionType.INVALID_TOOL, "NotFoundError: Unknown tool: "),
        (InjectionType.MALFORMED_ARGS, ""),
    ):
        wrong = InjectionConfig(injection_rate=1, injection_types=(kind,))
        results = await run(
            logger,
            condition(
                policy=AlwaysApprovePolicy(),
                scenario=RecordUpdateScenario(),
                injection_config=wrong,
            ),
        )
        failures = [result.execution_error for result in results]
        assert all(failure is not None and failure.startswith(told) for failure in failures)


class Broken(EmailDraftScenario):
    """Fails in what is not its tool."""

    def generate_action(self, correct: bool = True) -> Action:
        task = super().generate_action(correct)
        if task.tool_args["recipient"].startswith("a"):
            raise RuntimeError("no task")
        return task


class Silent(ApprovalBackend):
    """Cannot be reached."""

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        raise ApprovalError("nobody is there")


async def test_a_trial_that_raises_is_told_as_such_and_the_others_go_on(
    logger: TelemetryLogger,
) -> None:
    results = await run(logger, condition("broken", scenario=Broken(), n_trials=40))
    failures = {result.execution_error for result in results}
    assert failures == {None, "RuntimeError: no task"}
    assert [r.success for r in results] == [r.execution_error is None for r in results]
    assert len(logger.get_events(event_type="run_end")) == 40
    [failed] = await run(
        logger, condition("silent", backend=Silent(), injection_config=ALL_WRONG, n_trials=1)
    )
    assert failed.execution_error == "ApprovalError: nobody is there"
    assert (failed.success, failed.error_caught, failed.approval_granted) == (False, False, False)


class Clumsy(EmailDraftScenario):
    """Its tool spoils what it is given, and all is right to it that is like the task."""

    closed = 0

    def generate_action(self, correct: bool = True) -> Action:
        self.drawn = Action(
            tool_name="send", tool_args={"to": ["ann@example.com"]}, risk_class=RiskClass.LOW
        )
        return self.drawn

    def get_tools(self) -> dict[str, Any]:
        def send(to: list[str]) -> list[str]:
            sent = list(to)
            to.clear()
            return sent

        return {"send": send}

    def validate_result(self, result: Any) -> ValidationResult:
        return ValidationResult(result == self.drawn.tool_args["to"])

    def get_task_description(self) -> str:
        return "Task"

    def close(self) -> None:
        Clumsy.closed += 1
        raise OSError("closed")


async def test_a_tool_that_changes_its_arguments_changes_neither_task_nor_verdict(
    logger: TelemetryLogger,
) -> None:
    for config, success in ((ALL_WRONG, False), (None, True)):
        [result] = await run(
            logger, condition(scenario=Clumsy(), injection_config=config, n_trials=1,
                              policy=AlwaysApprovePolicy()),
        )  # fmt: skip
        assert result.calls[0].success is success
        assert result.calls[0].task.tool_args == {"to": ["ann@example.com"]}
        assert result.execution_error == "OSError: closed", "And how it closes is told, too."
    assert Clumsy.closed == 2


class Editing(ApprovalBackend):
    """Puts right what is wrong."""

    def fresh(self, seed: int | str) -> "Editing":
        return Editing()

    def learn(self, task: Action) -> None:
        self.right = task.tool_args

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        return Decision(approved=True, args=self.right)


async def test_an_error_that_a_person_puts_right_is_caught_and_a_success(
    logger: TelemetryLogger,
) -> None:
    results = await run(logger, condition(backend=Editing(), injection_config=ALL_WRONG))
    assert all(result.success and result.error_caught for result in results)
    assert all(result.approval_granted for result in results)


class Unsteady(Editing):
    """Is cancelled within, cannot be reached, or edits, in turn; told of tasks by a coroutine."""

    asked = 0

    def __init__(self) -> None:
        self.tasks: dict[str, Action] = {}

    fresh = None  # type: ignore[assignment]

    async def learn(self, task: Action) -> None:  # type: ignore[override]
        self.tasks[task.id] = task

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        Unsteady.asked += 1
        if Unsteady.asked % 3 == 0:
            raise asyncio.CancelledError
        if Unsteady.asked % 3 == 1:
            raise ConnectionError("down")
        return Decision(approved=True, args=self.tasks[request.action.id].tool_args)


class Unready(EmailDraftScenario):
    """Cannot always say what its task is; what it says, and its tools, it has to fetch."""

    async def get_tools(self) -> Any:  # type: ignore[override]
        return super().get_tools()

    async def get_task_description(self) -> str:  # type: ignore[override]
        if self.random.random() < 0.2:
            raise RuntimeError("not known")
        return super().get_task_description()

    async def close(self) -> None:  # type: ignore[override]
        super().close()


async def test_whatever_fails_in_trials_all_end_and_metrics_count_them_as_the_runner_does(
    logger: TelemetryLogger,
) -> None:
    """A `CancelledError` from a backend ended the runner's workers, 21 of 200 trials were told."""
    three = ScenarioConfig(
        scenario_id="e", name="E", risk_class=RiskClass.MEDIUM, actions_per_trial=3
    )
    runner = ExperimentRunner(logger)
    runner.add_condition(
        condition(
            backend=Unsteady(),
            scenario=Unready(three),
            injection_config=InjectionConfig(injection_rate=0.5),
            n_trials=60,
        )
    )
    results = await runner.run_all()
    assert [result.trial_number for result in results] == list(range(60))
    calls = [call for result in results for call in result.calls]
    failures = {call.execution_error for call in calls}
    assert failures == {None, "CancelledError: ", "ConnectionError: down"}
    assert "RuntimeError: not known" in {result.execution_error for result in results}
    wrong = [call for call in calls if call.injection_type]
    assert [call.error_caught for call in wrong] == [not call.execution_error for call in wrong]
    metrics = MetricsCalculator(logger)
    runs = metrics.compute_runs([result.run_id for result in results])
    for run_, result in zip(runs, results, strict=True):
        for name in ("injected_error", "error_caught", "approval_requested", "approval_granted"):
            assert getattr(run_, name) == getattr(result, name), name
        assert run_.task_success == result.success
        assert [each.error_caught for each in run_.actions] == [
            call.error_caught for call in result.calls
        ]
    counted, short = metrics.compute_condition_metrics("c"), runner.get_summary()["conditions"]["c"]
    assert counted.error_catch == Rate(hits=short["errors_caught"], of=short["injected_errors"])
    assert counted.error_catch_rate == short["error_catch_rate"]
    assert (counted.success_rate, counted.approval_rate) == (
        short["success_rate"], short["approval_rate"],
    )  # fmt: skip


async def test_what_was_done_is_kept_when_the_runner_is_interrupted(
    logger: TelemetryLogger, tmp_path: Path
) -> None:
    def raising(interruption: BaseException) -> Any:
        def progress(current: int, total: int, message: str) -> None:
            if current == 7:
                raise interruption

        return progress

    for interruption, told in (
        (RuntimeError("stop"), RuntimeError),
        (asyncio.CancelledError(), UsageError),
    ):
        runner = ExperimentRunner(logger, tmp_path, max_concurrent=1)
        runner.add_condition(condition(n_trials=20))
        with pytest.raises(told):
            await runner.run_all(raising(interruption))
        assert [result.trial_number for result in runner.results] == list(range(7))
        runner.export_results("r.csv")
    running: asyncio.Task[Any] = asyncio.create_task(runner.run_all(lambda *_: running.cancel()))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(runner.results) == 1


class Hooked(RiskBasedPolicy):
    """Tells which of its hooks were called."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(require_approval_for_medium=True)
        self.told = told

    def __deepcopy__(self, memo: Any) -> "Hooked":
        return Hooked(self.told)

    def post_decision_update(self, state: Any, action: Action, decision: Decision) -> Any:
        self.told.append("decision")
        return super().post_decision_update(state, action, decision)

    def post_execution_update(self, state: Any, action: Action, result: Any) -> Any:
        self.told.append("execution")
        return super().post_execution_update(state, action, result)


async def test_the_policy_s_hooks_are_called(logger: TelemetryLogger) -> None:
    """hitloop 52."""
    told: list[str] = []
    await run(logger, condition(policy=Hooked(told), n_trials=2))
    assert told == ["decision", "execution"] * 2


class Full(RiskBasedPolicy):
    """Cannot note what was decided."""

    def post_decision_update(self, state: Any, action: Action, decision: Decision) -> Any:
        raise OSError("no space left")


async def test_what_a_person_said_counts_also_if_the_policy_could_not_note_it(
    logger: TelemetryLogger,
) -> None:
    policy = Full(require_approval_for_medium=True)
    half = InjectionConfig(injection_rate=0.5)
    results = await run(logger, condition(policy=policy, injection_config=half))
    assert {result.execution_error for result in results} == {"OSError: no space left"}
    assert not any(result.success for result in results)
    assert all(result.error_caught == result.injected_error for result in results)
    runs = MetricsCalculator(logger).compute_runs([result.run_id for result in results])
    assert [(run_.error_caught, run_.approval_granted, run_.task_success) for run_ in runs] == [
        (result.error_caught, result.approval_granted, result.success) for result in results
    ]
    assert {result.approval_granted for result in results} == {True, False}


async def test_run_twice_its_results_are_those_of_the_last_time(
    logger: TelemetryLogger, tmp_path: Path
) -> None:
    """hitloop 52: the second time all results were there twice."""
    runner = ExperimentRunner(logger, tmp_path)
    runner.add_condition(condition(n_trials=5))
    first = await runner.run_all()
    second = await runner.run_all()
    assert runner.results == second
    assert alike(first) == alike(second)
    assert runner.get_summary()["total_trials"] == 5
    with pytest.raises(UsageError, match="both be written"):
        runner.export_results("s.json", "./s.json")
    rows, summary = runner.export_results("r.csv", "s.json")
    assert rows is not None
    assert summary is not None
    assert len(rows.read_text().splitlines()) == 6
    assert json.loads(summary.read_text())["c"]["n_runs"] == 5


class Waiting(ApprovalBackend):
    """Answers once so many wait at a time."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.waiting, self.most = wanted, 0, 0
        self.enough = asyncio.Event()

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        if self.waiting >= self.wanted:
            self.enough.set()
        await self.enough.wait()
        self.waiting -= 1
        return Decision(approved=True)


async def test_trials_wait_for_real_people_side_by_side_and_no_more_than_allowed(
    logger: TelemetryLogger,
) -> None:
    """hitloop 52: trials were serial."""
    backend = Waiting(4)
    runner = ExperimentRunner(logger, max_concurrent=4)
    runner.add_condition(condition(backend=backend, n_trials=12))
    told: list[tuple[int, int, str]] = []
    async with asyncio.timeout(60):
        await runner.run_all(lambda *progress: told.append(progress))
    assert backend.most == 4
    assert [(current, total) for current, total, _ in told] == [(n, 12) for n in range(1, 13)]
    assert {message for _, _, message in told} == {f"c: trial {n}/12" for n in range(1, 13)}


class Locked(Policy):
    """Cannot be copied."""

    def __init__(self) -> None:
        self.held = iter(()).__iter__, asyncio.Lock(), open
        self.file = (line for line in ())

    @property
    def name(self) -> str:
        return "locked"

    def evaluate(self, action: Action, context: Any = None) -> Any:
        raise NotImplementedError


class LateScenario(EmailDraftScenario):
    async def reset(self) -> None:  # type: ignore[override]
        raise NotImplementedError


class LateBackend(ScriptedBackend):
    async def reset(self) -> None:  # type: ignore[override]
        raise NotImplementedError


class Coin(HITLPolicy):
    """Asks by a generator of its own."""

    name = "coin"

    def __init__(self, seed: int | str = 0) -> None:
        self.random = Random(seed)

    def should_request_approval(self, action: Action, state: dict[str, Any]) -> tuple[bool, str]:
        return self.random.random() < 0.5, "tossed"


class FairCoin(Coin):
    def fresh(self, seed: int | str) -> "FairCoin":
        return FairCoin(seed)


class OwnDice(Refunds):
    """Draws from a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.dice = self.random


async def test_what_would_draw_the_same_in_each_trial_is_warned_of(logger: TelemetryLogger) -> None:
    for fields, told in (
        ({"policy": Coin()}, "policy.random"),
        ({"policy": AllOf(AlwaysApprovePolicy(), Coin())}, "policy.policies.random"),
        ({"scenario": OwnDice()}, "scenario.dice"),
    ):
        with pytest.warns(UserWarning, match=told) as warned:
            condition(**fields)
        assert [(each.filename, len(warned)) for each in warned] == [(__file__, 1)]
    results = await run(logger, condition(policy=FairCoin(), scenario=Refunds(), n_trials=40))
    assert 5 < sum(result.approval_requested for result in results) < 35


async def test_a_scenario_says_what_is_wrong_in_its_world(logger: TelemetryLogger) -> None:
    refunds = condition(scenario=Refunds(), injection_config=ALL_WRONG)
    amounts = [
        [each.tool_args["amount"] for each in both] for both in drawn(await run(logger, refunds))
    ]
    assert all(wrong == right + 1 for right, wrong in amounts)


def test_what_hitloop_takes_by_position_is_taken_so() -> None:
    config = InjectionConfig(0.5, [InjectionType.WRONG_AMOUNT], 7)
    assert (config.injection_rate, config.seed) == (0.5, 7)
    scenario = EmailDraftScenario(
        ScenarioConfig("id", "Name", "", "send", {}, RiskClass.LOW, ["x"], 7, {"k": 1})
    )
    assert (scenario.config.seed, scenario.config.extra) == (7, {"k": 1})
    made = ExperimentCondition("c", ASKING, PERFECT, scenario, config, 3, 9)
    assert (made.injection_config, made.n_trials, made.base_seed) == (config, 3, 9)
    result = TrialResult("r", "c", 0, 9, True, True, True, True, False, "failed")
    assert (result.error_caught, result.execution_error) == (True, "failed")
    run_ = RunMetrics("r", "s", "c", "p", 9, True, True, False, 1.0, 2.0, True, True, False, 5, 6)
    assert (run_.tool_failure, run_.tokens_used, run_.llm_calls) == (False, 5, 6)
    injected = InjectionResult(True, Action(tool_name="x"), None, InjectionType.INVALID_TOOL, {})
    assert injected.injection_type is InjectionType.INVALID_TOOL


async def test_what_cannot_be_an_experiment_is_refused_with_the_way_out(
    logger: TelemetryLogger,
) -> None:
    for fields, told in (
        ({"n_trials": 0}, "n_trials"),
        ({"n_trials": 2.5}, "n_trials"),
        ({"n_trials": True}, "n_trials"),
        ({"base_seed": 1.5}, "base_seed"),
        ({"base_seed": None}, "base_seed"),
        ({"condition_id": ""}, "condition_id"),
        ({"condition_id": " "}, "condition_id"),
        ({"condition_id": 5}, "condition_id"),
        ({"condition_id": "\ud800"}, "surrogates"),
    ):
        with pytest.raises(ValueError, match=told):
            condition(**fields)
    for wrong in (2.5, True, 0):
        with pytest.raises(ValueError, match="actions_per_trial"):
            ScenarioConfig("a", "a", actions_per_trial=wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="max_concurrent"):
            ExperimentRunner(logger, max_concurrent=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="The injection_config of the condition 'c'"):
        condition(injection_config=0.2)
    for name, late in (("scenario", LateScenario()), ("backend", LateBackend())):
        with pytest.raises(ConfigurationError, match=f"The {name} .* has a reset that is a corout"):
            condition(**{name: late})
    for name in ("policy", "backend", "scenario"):
        with pytest.raises(ConfigurationError, match=f"The {name} of the condition 'c'"):
            condition(**{name: "it"})
    with pytest.raises(ValueError, match="injection_rate"):
        create_standard_conditions(EmailDraftScenario(), injection_rate=math.nan)
    runner = ExperimentRunner(logger)
    with pytest.raises(UsageError, match="nothing to run"):
        await runner.run_all()
    with pytest.raises(UsageError, match="no results"):
        runner.export_results("x.csv")
    assert runner.get_summary() == {"status": "no results"}
    runner.add_condition(condition())
    with pytest.raises(ConfigurationError, match="two conditions with the id 'c'"):
        runner.add_condition(condition())
    with pytest.raises(ConfigurationError, match=r"Define fresh\(seed\)"):
        await run(logger, condition(policy=Locked()))
