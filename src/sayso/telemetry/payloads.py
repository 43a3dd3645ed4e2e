"""What stands in an event's payload, by type; the names are the keys."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from sayso.domain.actions import RiskClass
from sayso.domain.traces import TraceEventType
from sayso.types import Json, JsonObject

_LONGEST = 2**20
"""Bytes of an event; of a longer one, values that are long are left out."""
_LONG = 2**14
_DEEPEST = 64


class RunStart(Struct, frozen=True, kw_only=True, gc=False):
    """`run_start`."""

    scenario_id: str
    condition_id: str
    agent_version: str
    model: str
    seed: int | None
    started_at: datetime


class RunEnd(Struct, frozen=True, kw_only=True):
    """`run_end`."""

    task_success: bool
    validation_details: JsonObject


class LlmCall(Struct, frozen=True, kw_only=True, gc=False):
    """`llm_call`."""

    prompt_hash: str | None
    template_id: str | None
    tokens_in: int | None
    tokens_out: int | None
    latency_ms: float | None
    model: str | None


class ActionProposed(Struct, frozen=True, kw_only=True):
    """`action_proposed`."""

    action_id: str
    tool_name: str
    tool_args: JsonObject
    redacted: tuple[str, ...] = ()
    """JSON pointers into `tool_args`."""
    args_hash: str | msgspec.UnsetType = msgspec.UNSET
    """`Action.args_hash()`: written where it cannot be found from `tool_args`."""
    digest: str
    risk_class: RiskClass | None
    side_effects: tuple[str, ...]
    rationale: str
    context_refs: tuple[str, ...]
    injected_error: bool


class InjectedError(Struct, frozen=True, kw_only=True, gc=False):
    """`injected_error`: known to be wrong, and proposed to see whether anybody notices."""

    action_id: str
    tool_name: str


class ApprovalRequested(Struct, frozen=True, kw_only=True, gc=False):
    """`approval_requested`."""

    action_id: str
    request_id: str
    thread_id: str
    channel: str
    policy_name: str
    policy_reason: str
    requested_at: datetime


class ApprovalDecided(Struct, frozen=True, kw_only=True):
    """`approval_decided`."""

    action_id: str
    approved: bool
    type: str
    reason: str
    tags: tuple[str, ...]
    decided_by: str
    reviewer_id: str
    strength: str | None
    standing_grant: str | None
    latency_ms: float
    """As the decision tells it."""
    waited_ms: float | None
    """Between the two events in this process; None if the question was not asked here."""
    channel: str
    tool_args: JsonObject | None
    """The arguments as a person changed them."""
    redacted: tuple[str, ...] = ()
    digest: str | None
    decided_at: datetime


class ToolExecutionStart(Struct, frozen=True, kw_only=True):
    """`tool_execution_start`: what runs."""

    action_id: str
    tool_name: str
    tool_args: JsonObject
    redacted: tuple[str, ...] = ()
    digest: str
    started_at: datetime


class ToolExecutionEnd(Struct, frozen=True, kw_only=True, gc=False):
    """`tool_execution_end`."""

    action_id: str
    success: bool
    error: str | None
    error_class: str | None
    retry_count: int
    execution_time_ms: float | None
    finished_at: datetime


class ErrorHappened(Struct, frozen=True, kw_only=True):
    """`error`."""

    error_type: str
    error_message: str
    context: JsonObject


class Line(Struct, frozen=True, gc=False):
    """An event as it is written."""

    timestamp: datetime
    run_id: str
    event_type: TraceEventType
    payload: Struct


def text_of(value: Any) -> str:
    """Any object as text, whatever its own `__str__` does."""
    try:
        text = str(value)
    except Exception as error:  # noqa: BLE001  somebody else's object
        return f"<{type(value).__name__}: no text: {type(error).__name__}>"
    return text.encode(errors="backslashreplace").decode()


_encode = msgspec.json.Encoder(enc_hook=text_of).encode


def line_of(line: Line) -> bytes:
    """It as JSON; what is not JSON becomes text, and what is much too long is left out."""
    try:
        encoded = _encode(line)
    except Exception:  # noqa: BLE001  the caller's objects may do anything
        encoded = _encode(plain(msgspec.structs.asdict(line)))
    return encoded if len(encoded) <= _LONGEST else _shortened(encoded)


def plain(value: Any, depth: int = 0) -> Json:
    """Whatever it holds as JSON: broken text, strange keys, objects that hold themselves."""
    if isinstance(value, Struct):
        value = msgspec.structs.asdict(value)
    if value is None or isinstance(value, bool | int | float | msgspec.UnsetType):
        return None if value is msgspec.UNSET else value
    if isinstance(value, dict | list | tuple | set | frozenset) and depth >= _DEEPEST:
        return "[nested too deep]"
    if isinstance(value, dict):
        pairs: list[tuple[Any, Any]] = list(value.items())  # pyright: ignore[reportUnknownArgumentType]  # anything
        return {text_of(key): plain(inner, depth + 1) for key, inner in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        items: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]  # the same
        return [plain(item, depth + 1) for item in items]
    if isinstance(value, datetime):
        return value.isoformat()
    return text_of(value)


def _shortened(encoded: bytes) -> bytes:
    event: dict[str, Any] = msgspec.json.decode(encoded)
    event["run_id"] = event["run_id"][:_LONG]
    for name, value in event["payload"].items():
        size = len(_encode(value))
        if size > _LONG:
            event["payload"][name] = (
                {"left_out": f"{size} bytes"}
                if isinstance(value, dict)
                else f"[left out: {size} bytes]"
            )
    return _encode(event)
