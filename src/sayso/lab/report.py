"""What was measured, as files: a table of the runs in CSV, a summary of the conditions in JSON.

A file is put in place in one piece, so that nobody reads half of it, and one that cannot be
written is left as it was. As a telemetry's files, only their owner may read them.
"""

import contextlib
import csv
import errno
import io
import os
import secrets
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sayso.errors import ConfigurationError
from sayso.lab.inference import Rate
from sayso.lab.measures import ConditionMetrics, RunMetrics

COLUMNS = (
    "run_id",
    "scenario_id",
    "condition_id",
    "policy_name",
    "seed",
    "task_success",
    "approval_requested",
    "approval_granted",
    "human_latency_ms",
    "time_to_complete_ms",
    "injected_error",
    "error_caught",
    "tool_failure",
    "tokens_used",
    "llm_calls",
)
"""Of the table, in this order."""

RATES = {
    "success_rate": "success",
    "approval_rate": "approval",
    "error_catch_rate": "error_catch",
    "false_reject_rate": "false_reject",
    "false_approve_rate": "false_approve",
    "tool_failure_rate": "tool_failure",
}
"""Their keys in the summary, and the fields of `ConditionMetrics` they come from."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001  wide ones count, too
"""How a text begins that a spreadsheet takes for a formula, as OWASP lists it (CSV injection)."""


def write_results(path: str | Path, runs: Sequence[RunMetrics]) -> None:
    """A line for each run, under `COLUMNS`: yes is 1, no is 0, what is not known is empty.

    Milliseconds have two decimals. A text that a spreadsheet would take for a formula gets an
    apostrophe in front, so that an id such as `=cmd()` is shown and not executed.

    Raises:
        ConfigurationError: it cannot be written there, or an id is no text that a file can hold.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(getattr(run, column)) for column in COLUMNS] for run in runs)
    with _readable(path):
        content = table.getvalue().encode()
    _put(Path(path), content)


def write_summary(path: str | Path, summary: Mapping[str, Any]) -> None:
    """The summary as JSON, with its keys in the order in which they are given.

    Raises:
        ConfigurationError: it cannot be written there, or an id is no text that a file can hold.
    """
    with _readable(path):
        content = msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"
    _put(Path(path), content)


def summarised(metrics: ConditionMetrics) -> dict[str, Any]:
    """One condition's part of the summary; null is what is not defined, or not known.

    Rates have four decimals, milliseconds two. After hitloop's keys come ours: `counts` tells of
    each rate how many it is of how many, `intervals_95` between what it lies, by Wilson's score.
    """
    rates = {key: _rate_of(metrics, field) for key, field in RATES.items()}
    values = {key: _rounded(rate.value, 4) for key, rate in rates.items()}
    return {
        "policy_name": metrics.policy_name,
        "n_runs": metrics.n_runs,
        "success_rate": values["success_rate"],
        "approval_rate": values["approval_rate"],
        "human_latency_mean_ms": _rounded(metrics.human_latency_mean_ms, 2),
        "human_latency_p95_ms": _rounded(metrics.human_latency_p95_ms, 2),
        "time_to_complete_mean_ms": _rounded(metrics.time_to_complete_mean_ms, 2),
        "time_to_complete_p95_ms": _rounded(metrics.time_to_complete_p95_ms, 2),
        "error_catch_rate": values["error_catch_rate"],
        "false_reject_rate": values["false_reject_rate"],
        "tool_failure_rate": values["tool_failure_rate"],
        "cost_proxy": _rounded(metrics.cost_proxy, 2),
        "false_approve_rate": values["false_approve_rate"],
        "tokens_mean": _rounded(metrics.tokens_mean, 2),
        "llm_calls_mean": _rounded(metrics.llm_calls_mean, 2),
        "n_actions": metrics.n_actions,
        "counts": {key: [rate.hits, rate.of] for key, rate in rates.items()},
        "intervals_95": {key: _interval(rate) for key, rate in rates.items()},
    }


def _rate_of(metrics: ConditionMetrics, field: str) -> Rate:
    rate: Rate = getattr(metrics, field)
    return rate


def _interval(rate: Rate) -> list[float] | None:
    between = rate.interval()
    return None if between is None else [round(end, 4) for end in between]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _cell(value: str | float | None) -> str | int | float:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    return round(value, 2)


@contextlib.contextmanager
def _readable(path: str | Path) -> Generator[None]:
    """Half a character, as in an id from broken input, has no bytes."""
    try:
        yield
    except UnicodeEncodeError as error:
        wrong = error.object[: error.end].splitlines()[-1].rpartition(",")[2][-60:]
        raise ConfigurationError(
            f"The file {str(path)!r} cannot be written: {wrong!r} is no text in UTF-8.",
            hint="Give runs and conditions ids of whole characters.",
        ) from error


def _put(path: Path, content: bytes) -> None:
    """Write it beside its place, and move it there; through a link, to where the link leads."""
    try:
        path = Path(os.path.realpath(path))
        if path.exists() and not path.is_file():
            what = errno.EISDIR if path.is_dir() else errno.EINVAL
            raise OSError(what, os.strerror(what))
        draft = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigurationError(
            f"The file {str(path)!r} cannot be written: {why}.",
            hint="Name a file in a folder that is there and that you may write to.",
        ) from error
