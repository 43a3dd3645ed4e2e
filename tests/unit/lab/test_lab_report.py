"""The files that measuring leaves: what stands in them, and how they are put there."""

import csv
import json
import os
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from support.trials import Act, tell

from sayso.errors import ConfigurationError, NotFoundError
from sayso.lab.measures import RunMetrics
from sayso.lab.metrics import MetricsCalculator
from sayso.lab.report import write_results, write_summary
from sayso.telemetry import TelemetryLogger

COLUMNS = (
    "run_id,scenario_id,condition_id,policy_name,seed,task_success,approval_requested,"
    "approval_granted,human_latency_ms,time_to_complete_ms,injected_error,error_caught,"
    "tool_failure,tokens_used,llm_calls"
)
KEYS = [
    "policy_name", "n_runs", "success_rate", "approval_rate", "human_latency_mean_ms",
    "human_latency_p95_ms", "time_to_complete_mean_ms", "time_to_complete_p95_ms",
    "error_catch_rate", "false_reject_rate", "tool_failure_rate", "cost_proxy",
]  # fmt: skip


@pytest.fixture
def logger() -> Generator[TelemetryLogger]:
    logger = TelemetryLogger()
    yield logger
    logger.close()


@pytest.fixture
def metrics(logger: TelemetryLogger) -> MetricsCalculator:
    return MetricsCalculator(logger)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_has_the_seed_s_columns_and_a_line_for_each_run(
    logger: TelemetryLogger, metrics: MetricsCalculator, tmp_path: Path
) -> None:
    tell(logger, "1", [Act(wrong=True, said="reject", took_ms=1250.126)], seed=-4, tokens=[(3, 4)])
    tell(logger, "2", success=None, tokens=[(None, None)])
    metrics.export_results_csv(tmp_path / "results.csv")
    text = (tmp_path / "results.csv").read_bytes().decode()
    assert text.splitlines()[0] == COLUMNS
    one, two = _rows(tmp_path / "results.csv")
    assert float(one.pop("time_to_complete_ms")) >= 0
    assert list(one.values()) == [
        "1", "email", "c", "risk_based", "-4", "1", "1", "0", "1250.13", "1", "1", "0", "7", "1",
    ]  # fmt: skip
    assert list(two.values()) == [
        "2", "email", "c", "", "", "", "0", "1", "", "", "0", "0", "0", "", "1",
    ]  # fmt: skip


def test_no_runs_are_an_empty_table(
    logger: TelemetryLogger, metrics: MetricsCalculator, tmp_path: Path
) -> None:
    """hitloop 51: run_ids=[] meant all."""
    tell(logger, "1")
    tell(logger, "2")
    path = tmp_path / "results.csv"
    metrics.export_results_csv(path, run_ids=[])
    assert path.read_text().splitlines() == [COLUMNS]
    metrics.export_results_csv(str(path), run_ids=["2"])
    assert [row["run_id"] for row in _rows(path)] == ["2"]
    with pytest.raises(NotFoundError):
        metrics.export_results_csv(path, run_ids=["3"])
    assert [row["run_id"] for row in _rows(path)] == ["2"]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"])  # noqa: RUF001
def test_an_id_is_no_formula_to_a_spreadsheet(
    sign: str, logger: TelemetryLogger, metrics: MetricsCalculator, tmp_path: Path
) -> None:
    evil = f'{sign}HYPERLINK("http://evil","x"),1\n2'
    tell(logger, evil, condition=evil, scenario=evil, policy=evil, acts=[Act(said="approve")])
    metrics.export_results_csv(tmp_path / "results.csv")
    [row] = _rows(tmp_path / "results.csv")
    for column in ("run_id", "scenario_id", "condition_id", "policy_name"):
        assert row[column] == "'" + evil


def test_the_summary_has_the_seed_s_keys_in_order_and_counts_beside_each_rate(
    logger: TelemetryLogger, metrics: MetricsCalculator, tmp_path: Path
) -> None:
    """hitloop 51: the order of the keys was another one each time."""
    for condition in ("z", "a", "m"):
        for number in range(3):
            tell(logger, f"{condition}{number}", [Act(said="approve", took_ms=100 / 3)],
                 condition=condition, success=number > 0, tokens=[(1, number)])  # fmt: skip
    metrics.export_summary_json(tmp_path / "summary.json")
    summary: dict[str, Any] = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary) == ["a", "m", "z"]
    a = summary["a"]
    assert list(a)[: len(KEYS)] == KEYS
    assert (a["policy_name"], a["n_runs"], a["n_actions"]) == ("risk_based", 3, 3)
    assert (a["success_rate"], a["approval_rate"]) == (0.6667, 1.0)
    assert (a["human_latency_mean_ms"], a["human_latency_p95_ms"]) == (33.33, 33.33)
    assert (a["error_catch_rate"], a["false_reject_rate"]) == (None, 0.0)
    assert (a["cost_proxy"], a["tokens_mean"], a["llm_calls_mean"]) == (2.0, 2.0, 1.0)
    assert a["counts"]["success_rate"] == [2, 3]
    assert a["counts"]["error_catch_rate"] == [0, 0]
    assert a["intervals_95"]["success_rate"] == [0.2077, 0.9385]
    assert a["intervals_95"]["error_catch_rate"] is None
    assert set(a["counts"]) == set(a["intervals_95"]) == {key for key in a if key.endswith("_rate")}


def test_the_summary_of_all_runs_names_no_policy(
    logger: TelemetryLogger, metrics: MetricsCalculator, tmp_path: Path
) -> None:
    tell(logger, "1", condition="a")
    tell(logger, "2", condition="")
    metrics.export_summary_json(tmp_path / "all.json", by_condition=False)
    summary = json.loads((tmp_path / "all.json").read_text())
    assert list(summary) == ["overall"]
    assert list(summary["overall"])[: len(KEYS) - 1] == KEYS[1:]
    assert summary["overall"]["n_runs"] == 2
    metrics.export_summary_json(tmp_path / "each.json")
    assert list(json.loads((tmp_path / "each.json").read_text())) == ["", "a"]


def test_a_file_is_there_as_a_whole_or_as_it_was(
    logger: TelemetryLogger,
    metrics: MetricsCalculator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tell(logger, "1")
    path = tmp_path / "summary.json"
    path.write_text("old")
    link = tmp_path / "link.json"
    link.symlink_to(path)

    def cut(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", cut)
        with pytest.raises(ConfigurationError, match="No space left"):
            metrics.export_summary_json(path)
    assert path.read_text() == "old"
    metrics.export_summary_json(link)
    assert link.is_symlink()
    assert json.loads(path.read_text())["c"]["n_runs"] == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link.json", "summary.json"]


def test_a_path_that_cannot_be_written_is_told_with_the_way_out(
    metrics: MetricsCalculator, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path in ("none/results.csv", "file/results.csv", "", "a\0b", "loop/x"):
        with pytest.raises(ConfigurationError, match="cannot be written") as caught:
            metrics.export_results_csv(tmp_path / path)
        assert "folder" in caught.value.hint
    with pytest.raises(ConfigurationError, match="cannot be written"):
        metrics.export_results_csv("/dev/null")
    assert Path("/dev/null").is_char_device()


def test_an_id_with_half_a_character_is_refused_and_the_file_stays_as_it_was(
    tmp_path: Path,
) -> None:
    path = tmp_path / "results"
    path.write_text("old")
    with pytest.raises(ConfigurationError, match=r"'run \\ud800' is no text") as caught:
        write_results(path, [RunMetrics(run_id="run \ud800")])
    assert "whole characters" in caught.value.hint
    with pytest.raises(ConfigurationError, match="is no text"):
        write_summary(path, {"\ud800": {}})
    assert path.read_text() == "old"
