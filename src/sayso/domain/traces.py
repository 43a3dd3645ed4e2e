"""What a program tells of a run: actions proposed, people asked, tools executed.

The ledger is proof and belongs to the server; a trace is for measuring and belongs to the program.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from sayso.types import Json, JsonObject

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class TraceEventType(StrEnum):
    """What happened."""

    RUN_START = "run_start"
    RUN_END = "run_end"
    LLM_CALL = "llm_call"
    ACTION_PROPOSED = "action_proposed"
    APPROVAL_REQUESTED = "approval_requested"
    APPROVAL_DECIDED = "approval_decided"
    TOOL_EXECUTION_START = "tool_execution_start"
    TOOL_EXECUTION_END = "tool_execution_end"
    ERROR = "error"
    INJECTED_ERROR = "injected_error"


class TraceEvent(Struct, frozen=True, kw_only=True):
    """One thing that happened in a run."""

    timestamp: datetime | None = None
    """Aware UTC; one that is made by hand may leave it out."""
    run_id: str
    event_type: TraceEventType
    payload: JsonObject = {}

    def model_dump_json_safe(self) -> JsonObject:
        """It as plain JSON values, whatever its payload holds."""
        dumped: JsonObject = msgspec.to_builtins(self, str_keys=True, enc_hook=str)
        return dumped


class ToolResult(Struct, frozen=True, kw_only=True):
    """What became of a tool call."""

    action_id: str
    success: bool
    result: Json = None
    error: str | None = None
    error_class: str | None = None
    retry_count: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None

    def execution_time_ms(self) -> float | None:
        """How long it ran, in milliseconds; None while that is not known."""
        return _between(self.started_at, self.finished_at)


class RunMetadata(Struct, frozen=True, kw_only=True):
    """A run, and how it went."""

    run_id: str
    scenario_id: str = ""
    condition_id: str = ""
    agent_version: str = ""
    model: str = ""
    seed: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    task_success: bool | None = None
    validation_details: dict[str, Any] = {}

    def duration_ms(self) -> float | None:
        """How long it took, in milliseconds; None while that is not known."""
        return _between(self.started_at, self.finished_at)


def runs_of(events: Iterable[TraceEvent]) -> list[RunMetadata]:
    """The runs that these events tell of, as their first starts and last ends tell.

    Other events are passed over, and so is a run that neither started nor ended.
    """
    started: dict[str, JsonObject] = {}
    ended: dict[str, TraceEvent] = {}
    for event in events:
        if event.event_type is TraceEventType.RUN_START:
            started.setdefault(event.run_id, event.payload)
        elif event.event_type is TraceEventType.RUN_END:
            ended[event.run_id] = event
    return [_run(run_id, started.get(run_id), ended.get(run_id)) for run_id in {**started, **ended}]


def _run(run_id: str, start: JsonObject | None, end: TraceEvent | None) -> RunMetadata:
    told: dict[str, Any] = dict(start or {})
    if start is not None:
        told["started_at"] = datetime.fromisoformat(start["started_at"])
    if end is not None:
        told |= {**end.payload, "finished_at": end.timestamp}
    return RunMetadata(run_id=run_id, **told)


def traceparent_of(text: object) -> str | msgspec.UnsetType:
    """A W3C `traceparent` of version 00 as it was sent; UNSET for none, and for what is none.

    It is a hint, for whoever looks at traces: what cannot be read is left out, as W3C has it.
    """
    if not isinstance(text, str) or _TRACEPARENT.fullmatch(text) is None:
        return msgspec.UNSET
    return text


def _between(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None:
        return None
    return (end - start).total_seconds() * 1000
