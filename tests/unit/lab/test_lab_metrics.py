"""Runs and conditions as they are measured, against small cases counted by hand."""

import json
import logging
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from support.trials import Act, tell

from sayso.domain.actions import Action, RiskClass
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Channel, Decision
from sayso.domain.traces import RunMetadata, TraceEventType
from sayso.errors import NotApprovedError, NotFoundError, UsageError
from sayso.gate import ApprovalBackend, Gate
from sayso.lab.inference import Rate
from sayso.lab.metrics import MetricsCalculator
from sayso.policies import RiskBasedPolicy
from sayso.telemetry import TelemetryLogger
from sayso.telemetry.json_lines import JsonLinesSink
from sayso.telemetry.postgres import PostgresSink
from sayso.telemetry.sqlite import SqliteSink


@pytest.fixture
def logger() -> Generator[TelemetryLogger]:
    logger = TelemetryLogger()
    yield logger
    logger.close()


@pytest.fixture
def metrics(logger: TelemetryLogger) -> MetricsCalculator:
    return MetricsCalculator(logger)


def test_a_run_is_measured_by_all_its_actions(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    """hitloop 50: only the last decision counted: granted, after 300 ms."""
    acts = [
        Act(said="reject", took_ms=500, wrong=True),
        Act(),
        Act(said="approve", took_ms=300, works=False),
    ]
    tell(logger, "r", acts, seed=7, tokens=[(10, 5), (3, None)], lasts_ms=60_000)
    run = metrics.compute_run_metrics("r")
    assert (run.run_id, run.scenario_id, run.condition_id, run.seed) == ("r", "email", "c", 7)
    assert run.policy_name == "risk_based"
    assert run.task_success is True
    assert (run.approval_requested, run.approval_granted) == (True, False)
    assert run.human_latency_ms == 800
    assert run.time_to_complete_ms == pytest.approx(60_000, rel=0.5)
    assert (run.injected_error, run.error_caught, run.tool_failure) == (True, True, True)
    assert (run.tokens_used, run.llm_calls) == (18, 2)
    first, second, third = run.actions
    assert (first.asked, first.refused, first.executed, first.error_caught) == (
        True, True, False, True,
    )  # fmt: skip
    assert (second.asked, second.decided, second.granted, second.executed) == (
        False, False, None, True,
    )  # fmt: skip
    assert (third.granted, third.failed, third.latencies_ms) == (True, True, (300,))


def test_a_condition_is_counted_by_hand(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    tell(logger, "1", [Act(wrong=True, said="reject", took_ms=100), Act()], tokens=[(50, 50)])
    tell(logger, "2", [Act(wrong=True, said="approve", took_ms=200)], success=False)
    tell(logger, "3", [Act(wrong=True, works=False)], success=False)
    tell(logger, "4", [Act(said="reject", took_ms=300)], success=False, tokens=[(0, 20), (0, 0)])
    tell(logger, "5", [Act(said="approve", took_ms=400), Act(said="approve", took_ms=1000)])
    tell(logger, "6", [Act()], success=None)
    tell(logger, "7", [Act(wrong=True, said="reject")], condition="other")
    condition = metrics.compute_condition_metrics("c")
    assert (condition.condition_id, condition.policy_name) == ("c", "risk_based")
    assert (condition.n_runs, condition.n_actions) == (6, 8)
    assert condition.success == Rate(hits=2, of=5), "one has not ended"
    assert condition.approval == Rate(hits=4, of=6)
    assert condition.error_catch == Rate(hits=1, of=3)
    assert condition.false_reject == Rate(hits=1, of=3)
    assert condition.false_approve == Rate(hits=1, of=2)
    assert condition.tool_failure == Rate(hits=1, of=6)
    assert condition.success_rate == 0.4
    assert condition.approval_rate == pytest.approx(2 / 3)
    assert condition.error_catch_rate == pytest.approx(1 / 3)
    assert condition.false_reject_rate == pytest.approx(1 / 3)
    assert condition.false_approve_rate == 0.5
    assert condition.tool_failure_rate == pytest.approx(1 / 6)
    assert condition.human_latency_mean_ms == 400
    assert condition.human_latency_p95_ms == pytest.approx(400 + 0.8 * 600)
    assert condition.cost_proxy == condition.tokens_mean == 120 / 6
    assert condition.llm_calls_mean == 3 / 6


@pytest.mark.parametrize(
    ("act", "success", "caught"),
    [
        (Act(said="reject"), True, True),
        (Act(said="ignore"), True, True),
        (Act(said="respond"), True, True),
        (Act(said="denied"), True, True),
        (Act(said="open", runs=False), False, True),
        (Act(said="open", runs=False), None, False),
        (Act(said="edit"), True, True),
        (Act(said="edit"), False, False),
        (Act(said="edit", runs=False), False, False),
        (Act(said="approve"), True, False),
        (Act(said="approve", runs=False), False, False),
        (Act(said="reject", runs=True), False, False),
        (Act(), False, False),
        (Act(runs=False), False, False),
    ],
)
def test_an_error_is_caught_if_what_was_decided_kept_it_from_doing_harm(
    logger: TelemetryLogger, metrics: MetricsCalculator, act: Act, success: bool, caught: bool
) -> None:
    wrong = Act(wrong=True, said=act.said, runs=act.runs)
    tell(logger, "r", [wrong], success=success)
    run = metrics.compute_run_metrics("r")
    assert run.error_caught is caught
    condition = metrics.compute_condition_metrics()
    is_over = success is not None
    assert condition.error_catch == (Rate(hits=int(caught), of=1) if is_over else Rate())
    decided = act.said not in (None, "open", "denied")
    assert condition.false_approve == Rate(hits=int(decided and not caught), of=int(decided))
    assert condition.false_reject == Rate()


def test_an_error_is_not_caught_by_a_question_that_failed(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    """Else a reviewer who cannot be reached would look perfect."""
    tell(logger, "1", [Act(wrong=True, said="open", runs=False), Act(said="open", runs=False)])
    tell(logger, "2", [Act(wrong=True, said="open", runs=False)])
    for action_id in ("1/0", "1/1"):
        logger.log_error("1", ConnectionError(), {"action_id": action_id})
    logger.log_error("2", NotApprovedError("Nobody answered."), {"action_id": "2/0"})
    condition = metrics.compute_condition_metrics("c")
    assert condition.error_catch == Rate(hits=1, of=2), "silence is a no, a failure is not"
    assert condition.false_reject == condition.false_approve == Rate(), "nobody decided"


def test_of_several_actions_each_is_judged_by_what_the_run_s_end_tells_of_it(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    tell(logger, "1", [Act(wrong=True, said="edit"), Act(wrong=True, said="edit")], success=None)
    calls = [{"action_id": "1/0", "success": True}, {"action_id": "1/1", "success": False}, 7]
    logger.log_run_end("1", False, {"calls": calls})
    assert metrics.compute_condition_metrics("c").error_catch == Rate(hits=1, of=2)


def test_a_condition_of_two_scenarios_is_not_pooled(
    logger: TelemetryLogger, metrics: MetricsCalculator, tmp_path: Path
) -> None:
    tell(logger, "1")
    tell(logger, "2", scenario="records")
    with pytest.raises(UsageError, match="several scenarios: email, records"):
        metrics.compute_condition_metrics("c")
    assert metrics.compute_condition_metrics("c", run_ids=["1", "2"]).n_runs == 2, "as was asked"
    metrics.export_summary_json(tmp_path / "s.json")
    assert list(json.loads((tmp_path / "s.json").read_bytes())) == ["c (email)", "c (records)"]


def test_an_error_in_one_action_is_not_caught_by_refusing_another(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    """hitloop 50: a run with an error and a rejection, whatever was rejected, was one caught."""
    tell(logger, "r", [Act(wrong=True, said="approve"), Act(said="reject")], success=False)
    condition = metrics.compute_condition_metrics("c")
    assert metrics.compute_run_metrics("r").error_caught is False
    assert (condition.error_catch, condition.false_reject) == (Rate(of=1), Rate(hits=1, of=1))


def test_rates_of_nothing_are_not_defined(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    """hitloop 51: nothing was injected, and the catch rate was 0.0."""
    tell(logger, "r", [Act()], policy="always_approve")
    condition = metrics.compute_condition_metrics("c")
    assert (condition.success_rate, condition.approval_rate) == (1.0, 0.0)
    assert condition.tool_failure_rate == 0.0
    for undefined in (
        condition.error_catch_rate,
        condition.false_reject_rate,
        condition.false_approve_rate,
        condition.human_latency_mean_ms,
        condition.human_latency_p95_ms,
        condition.cost_proxy,
        condition.llm_calls_mean,
    ):
        assert undefined is None
    none = metrics.compute_condition_metrics("no such")
    assert (none.condition_id, none.n_runs, none.success_rate) == ("no such", 0, None)
    assert none.time_to_complete_mean_ms is none.time_to_complete_p95_ms is None


def test_which_runs_are_meant_is_taken_at_its_word(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    """hitloop 51: run_ids=[] meant all, and so did the condition without a name."""
    tell(logger, "1", condition="a")
    tell(logger, "2", condition="b", success=False)
    tell(logger, "3", condition="")
    assert metrics.compute_condition_metrics(run_ids=[]).n_runs == 0
    assert metrics.compute_condition_metrics().n_runs == 3
    assert metrics.compute_condition_metrics().condition_id == "unknown"
    assert metrics.compute_condition_metrics("").success == Rate(hits=1, of=1)
    assert metrics.compute_condition_metrics(run_ids=["1"]).condition_id == "a"
    both = metrics.compute_condition_metrics("b", run_ids=["1", "2", "2"])
    assert both.success == Rate(hits=0, of=1)
    assert [run.run_id for run in metrics.compute_runs(["3", "1"])] == ["3", "1"]
    with pytest.raises(NotFoundError, match="no run '4', nor 1 others"):
        metrics.compute_condition_metrics(run_ids=["1", "4", "5"])
    with pytest.raises(NotFoundError, match="no run ''"):
        metrics.compute_run_metrics("")
    with pytest.raises(TypeError, match="several"):
        metrics.compute_runs("1")


def test_tokens_that_were_not_told_are_not_guessed(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    """hitloop 51: tokens were added up, and calls in their place when there were none."""
    tell(logger, "1", tokens=[(None, None), (5, 5)])
    assert metrics.compute_run_metrics("1").tokens_used is None
    condition = metrics.compute_condition_metrics("c")
    assert (condition.cost_proxy, condition.llm_calls_mean) == (None, 2)
    tell(logger, "2", tokens=[(30, 10)])
    assert metrics.compute_condition_metrics("c").cost_proxy == 40


@pytest.mark.parametrize("channel", [Channel.STANDING, Channel.POLICY])
def test_what_was_decided_without_people_is_no_work_of_theirs(
    logger: TelemetryLogger, metrics: MetricsCalculator, channel: Channel
) -> None:
    tell(logger, "r", [Act(said="approve", channel=channel)])
    run = metrics.compute_run_metrics("r")
    assert (run.approval_requested, run.human_latency_ms, run.approval_granted) == (
        False, None, True,
    )  # fmt: skip
    assert run.actions[0].decided is False


def test_a_policy_is_named_also_when_it_asks_nobody(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    """hitloop 49: it was empty for `always_approve`."""
    tell(logger, "denied", [Act(said="denied")], policy="strict")
    tell(logger, "told", success=None)
    logger.log_run_end("told", True, {"policy_name": "always_approve"})
    denied = metrics.compute_run_metrics("denied")
    assert (denied.policy_name, denied.approval_granted) == ("strict", False)
    assert metrics.compute_run_metrics("told").policy_name == "always_approve"


def test_a_decision_is_known_by_how_long_the_program_waited_if_it_tells_no_time(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    """hitloop 26: who decides through a graph took no time at all."""
    tell(logger, "r", [Act(said="approve", took_ms=0)])
    waited = logger.get_events("r", TraceEventType.APPROVAL_DECIDED)[0].payload["waited_ms"]
    assert waited > 0
    assert metrics.compute_run_metrics("r").human_latency_ms == waited


def test_a_decision_that_names_no_action_is_about_the_one_that_was_asked(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    action = Action(id="a", tool_name="send")
    logger.log_action_proposed("r", action, injected_error=True)
    logger.log_approval_requested("r", ApprovalRequest(run_id="r", action=action))
    logger.log_approval_decided("r", Decision(approved=False, latency_ms=5))
    run = metrics.compute_run_metrics("r")
    assert [each.action_id for each in run.actions] == ["a"]
    assert (run.error_caught, run.human_latency_ms) == (True, 5)


def test_what_people_said_and_what_came_after_are_kept_apart(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    """An edit may be denied by the policy, or asked about again."""
    for run_id in ("denied", "asked again"):
        action = Action(id="a", tool_name="send")
        question = ApprovalRequest(run_id=run_id, action=action)
        logger.log_run_start(RunMetadata(run_id=run_id, scenario_id="s", condition_id="c"))
        logger.log_approval_requested(run_id, question)
        edited = Decision(approved=True, args={"n": 1}, action_id="a")
        logger.log_approval_decided(run_id, edited)
        if run_id == "denied":
            denial = Decision(approved=False, action_id="a", decided_by="policy:p")
            logger.log_approval_decided(run_id, denial, "policy")
        else:
            logger.log_approval_requested(run_id, question)
    denied, again = metrics.compute_runs()
    assert (denied.actions[0].granted, again.actions[0].granted) == (False, None)
    assert (denied.approval_granted, again.approval_granted) == (False, False)
    for run_id in ("denied", "asked again"):
        logger.log_run_end(run_id, False)
    assert metrics.compute_condition_metrics().false_reject == Rate(hits=0, of=2)


def test_a_run_that_ended_before_it_began_took_a_time_that_nobody_knows(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    tell(logger, "r", lasts_ms=-3_600_000)
    assert metrics.compute_run_metrics("r").time_to_complete_ms is None
    assert metrics.compute_condition_metrics("c").time_to_complete_mean_ms is None


class _Ann(ApprovalBackend):
    async def request_approval(self, request: ApprovalRequest) -> Decision:
        to = request.action.tool_args["to"]
        if to == "eve":
            return Decision(approved=False, decided_by="Ann")
        args = {"to": "bob@example.com"} if to == "bob" else None
        return Decision(approved=True, args=args, decided_by="Ann")


def test_what_a_gate_wrote_by_itself_is_measured_as_far_as_it_goes(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    gate = Gate(RiskBasedPolicy(), _Ann(), telemetry=logger)
    high, low = RiskClass.HIGH, RiskClass.LOW
    for run_id, to, risk in (
        ("1", "ann", high), ("1", "bob", high), ("1", "ann", low), ("2", "eve", high),
    ):  # fmt: skip
        action = Action(tool_name="send", tool_args={"to": to}, risk_class=risk)
        try:
            gate.run_sync(action, lambda **args: "sent", session_id=run_id)
        except NotApprovedError:
            assert to == "eve"
    one, two = metrics.compute_runs()
    assert [(each.asked, each.granted, each.edited, each.executed) for each in one.actions] == [
        (True, True, False, True), (True, True, True, True), (False, None, False, True),
    ]  # fmt: skip
    decided = logger.get_events(event_type=TraceEventType.APPROVAL_DECIDED)
    told = [event.payload for event in decided]  # a gate measures by its own clock
    took = [each["latency_ms"] or each["waited_ms"] for each in told]
    assert (one.human_latency_ms, two.human_latency_ms) == (took[0] + took[1], took[2])
    assert (one.approval_granted, two.approval_granted) == (True, False)
    assert (one.policy_name, one.task_success, one.time_to_complete_ms) == (
        "risk_based", None, None,
    )  # fmt: skip
    assert one.has_ground_truth is False
    condition = metrics.compute_condition_metrics("")
    assert (condition.n_runs, condition.approval_rate, condition.tool_failure_rate) == (2, 1, 0)
    assert condition.human_latency_mean_ms == pytest.approx(sum(took) / 3)
    assert condition.success_rate is condition.time_to_complete_mean_ms is None
    assert condition.false_reject_rate is None, "nobody knows whether Ann was right"
    assert condition.error_catch_rate is condition.false_approve_rate is None


@pytest.mark.parametrize(
    ("scenario", "condition", "injects", "known"),
    [
        ("email", "c", False, True),
        ("", "c", True, True),
        ("", "c", False, False),
        ("email", "", True, False),
        ("email", "", False, False),
    ],
)
def test_which_actions_are_right_is_known_in_trials_alone(
    logger: TelemetryLogger,
    metrics: MetricsCalculator,
    scenario: str,
    condition: str,
    injects: bool,
    known: bool,
) -> None:
    tell(logger, "1", [Act(said="reject")], scenario=scenario, condition=condition)
    if injects:
        tell(logger, "2", [Act(wrong=True)], scenario=scenario, condition=condition)
    measured = metrics.compute_condition_metrics(condition)
    assert measured.false_reject == (Rate(hits=1, of=1) if known else Rate())


@pytest.mark.parametrize("address", ["trace.db", "trace.jsonl", "postgresql"])
def test_a_thousand_runs_take_no_more_readings_than_two(
    address: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """hitloop 51: it was two for each run. The numbers are the same on every sink."""
    where = str(tmp_path / address)
    if address == "postgresql":
        where = request.getfixturevalue("postgres_dsn")
    readings: list[Any] = []
    for sink in (SqliteSink, JsonLinesSink, PostgresSink):

        def counted(self: Any, *, read: Any = sink.events, **fields: Any) -> Any:
            readings.append(fields)
            return read(self, **fields)

        monkeypatch.setattr(sink, "events", counted)
    logger = TelemetryLogger(where)
    metrics = MetricsCalculator(logger)
    taken: list[list[int]] = []
    for first, until in ((0, 10), (10, 1000)):
        for number in range(first, until):
            condition = "a" if number % 2 else "b"
            tell(logger, f"r{number}", [Act(said="approve")], condition=condition, seed=number // 2)
        taken.append([])
        for measure in (
            metrics.compute_runs,
            lambda: metrics.compute_condition_metrics("a"),
            lambda: metrics.compare("a", "b"),
            lambda: metrics.export_results_csv(tmp_path / "results.csv"),
            lambda: metrics.export_summary_json(tmp_path / "summary.json"),
        ):
            logger.flush()
            readings.clear()
            measure()
            taken[-1].append(len(readings))
    assert taken == [[1, 2, 2, 1, 1]] * 2
    condition = metrics.compute_condition_metrics("a")
    assert (condition.n_runs, condition.success) == (500, Rate(hits=500, of=500))
    assert metrics.compare("a", "b").n_pairs == 500
    logger.close()


def test_conditions_are_compared_on_the_trials_that_both_have(
    logger: TelemetryLogger, metrics: MetricsCalculator
) -> None:
    """hitloop 47: conditions were not paired."""
    for seed in range(9):
        wrong = seed < 4
        tell(logger, f"a{seed}", [Act(wrong=wrong, said="reject", took_ms=100 + seed)],
             condition="a", seed=seed, success=wrong)  # fmt: skip
        tell(logger, f"b{seed}", [Act(wrong=wrong)], condition="b", seed=seed, success=not wrong)
    tell(logger, "a-only", condition="a", seed=100)
    again = [Act(wrong=True, said="approve")]
    tell(logger, "again", again, condition="a", seed=0, success=False)
    tell(logger, "interrupted", [], condition="a", seed=0, success=None)
    tell(logger, "more", [Act(), Act()], condition="a", seed=8)
    tell(logger, "unseeded", condition="b")
    tell(logger, "elsewhere", condition="b", seed=100, scenario="records")
    compared = metrics.compare("a", "b")
    assert (compared.n_pairs, compared.n_only_a, compared.n_only_b) == (8, 1, 1)
    assert compared.n_other_actions == 1, "the last trial of seed 8 had one more"
    assert compared.n_left_out == 4
    success = compared.success
    assert (success.n_pairs, success.a_more, success.b_more, success.equal) == (8, 3, 4, 1)
    assert success.p_value == 1.0
    caught = compared.error_caught
    assert (caught.n_pairs, caught.a_more, caught.b_more) == (4, 3, 0), "the last that ended counts"
    assert caught.p_value == 2 / 8
    assert compared.approval_requested.p_value == 2 / 2**8
    assert compared.human_latency_ms.n_pairs == 0
    assert compared.human_latency_ms.p_value is None
    with pytest.raises(NotFoundError, match="condition 'none'"):
        metrics.compare("a", "none")


def test_events_that_were_lost_are_told_to_whoever_measures(
    logger: TelemetryLogger, metrics: MetricsCalculator, caplog: pytest.LogCaptureFixture
) -> None:
    tell(logger, "r")
    logger.log_error("", RuntimeError(), {"lost": 12})
    with caplog.at_level(logging.WARNING, "sayso.lab"):
        assert [run.run_id for run in metrics.compute_runs()] == ["r"]
        metrics.compute_run_metrics("r")
    assert [record.message.split()[0] for record in caplog.records] == ["12", "12"]


def test_a_run_without_a_name_is_a_run(logger: TelemetryLogger, metrics: MetricsCalculator) -> None:
    """hitloop 37: run_id="" meant all."""
    logger.log_run_start(RunMetadata(run_id="", condition_id="c"))
    logger.log_run_end("", True)
    tell(logger, "r", success=False)
    assert metrics.compute_run_metrics("").task_success is True
    assert metrics.compute_condition_metrics(run_ids=[""]).success == Rate(hits=1, of=1)
    assert len(metrics.compute_runs()) == 2
