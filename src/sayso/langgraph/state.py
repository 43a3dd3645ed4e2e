"""What stands in a graph's state and its checkpoints: plain JSON values, and nothing of ours."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, cast
from uuid import uuid4

import msgspec

from sayso.domain.actions import Action
from sayso.domain.decisions import Decision
from sayso.errors import InvalidRequestError
from sayso.policies.base import State
from sayso.types import Json, JsonObject

log = logging.getLogger("sayso.langgraph")

_OURS = frozenset({"proposed_action", "approval_decision", "tool_result", "policy_state"})
_OTHER_NAMES = {"name": "tool_name", "args": "tool_args"}
"""A tool call of LangChain's has these in place of ours."""


class HITLState(TypedDict, total=False):
    """The keys that the nodes read and write; a graph's own state may be any superset."""

    run_id: str
    """The run, in events and to policies. Default: the thread's id."""
    proposed_action: JsonObject
    """An action, or a tool call: `tool_name` and `tool_args`, or `name`, `args` and `id`."""
    approval_decision: JsonObject | None
    """What was decided: `approved`, `reason`, `decided_by`, `latency_ms`, `digest` and so on."""
    tool_result: JsonObject | None
    """`success`, `result`, `error`, `error_class`, `action_id`, `execution_time_ms`."""
    messages: list[Any]
    trace: list[JsonObject]
    policy_state: State
    """What the policy noted; without this key in the state it forgets between two nodes."""
    hitl_status: str
    """Of the interrupt gate: `no_action`, `auto_approved`, `auto_rejected`, `human_decided`."""


def plain(value: Any) -> Json:
    """`value` as JSON values; what has no such form is told as text."""
    try:
        return _listed(msgspec.to_builtins(value, str_keys=True, enc_hook=_encoded))
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _listed(value: Any) -> Json:
    """`value` with lists for tuples, as it comes back out of JSON."""
    if isinstance(value, dict):
        return {name: _listed(each) for name, each in cast("JsonObject", value).items()}
    if isinstance(value, list | tuple):
        return [_listed(each) for each in cast("list[Any]", value)]
    return value


def _encoded(value: Any) -> Json:
    dump: Callable[..., Any] | None = getattr(value, "model_dump", None)
    return str(value) if dump is None else dump(mode="json")


def action_of(proposed: Any) -> Action | None:
    """The action that a state proposes; None if there is none.

    Its digest is always computed anew: what stands in a state may have been changed there.

    Raises:
        InvalidRequestError: it is no action.
    """
    if proposed is None:
        return None
    if isinstance(proposed, Action):
        fields = cast("JsonObject", plain(proposed))
    elif isinstance(proposed, Mapping):
        given = cast("Mapping[str, Any]", proposed)
        named = {_OTHER_NAMES.get(name, name): value for name, value in given.items()}
        known = {name: named[name] for name in Action.__struct_fields__ if named.get(name)}
        fields = cast("JsonObject", plain(known))
    else:
        raise InvalidRequestError(
            f"The state proposes a {type(cast('object', proposed)).__name__}, which is no action.",
            hint="Put an Action there, or a dict with tool_name and tool_args.",
        )
    fields.pop("digest", None)
    try:
        return msgspec.convert(fields, Action)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(
            f"What the state proposes is no action: {error}.",
            hint="It needs tool_name, a text, and tool_args, an object.",
        ) from error


def with_action(state: Mapping[str, Any], proposed: Action) -> JsonObject:
    """What to write back so that the state proposes exactly this; nothing if it does already."""
    told = cast("JsonObject", plain(proposed))
    return {} if state.get("proposed_action") == told else {"proposed_action": told}


def decision_to_keep(decision: Decision, *, request_id: str = "") -> JsonObject:
    """A decision for the state, with an id of its own: it lets one run happen."""
    kept = cast("JsonObject", plain(decision))
    kept |= {"decided_by": decision.decided_by, "latency_ms": decision.latency_ms}
    return {**kept, "id": uuid4().hex, "request_id": request_id}


def decision_of(kept: Any) -> Decision | None:
    """The decision in a state, whoever wrote it; None if there is none, or it cannot be read."""
    if kept is None or isinstance(kept, Decision):
        return kept
    try:
        given = dict(cast("Mapping[str, Any]", kept))
        if "by" in given:
            return msgspec.convert(given, Decision)
        named = {n: given[n] for n in ("action_id", "reason", "decided_by", "digest") if n in given}
        return Decision(approved=given["approved"] is True, **named)
    except (msgspec.ValidationError, KeyError, TypeError, ValueError):
        return None


def policy_view(state: Mapping[str, Any], run_id: str) -> State:
    """What a policy is shown of a state: copies, so that nothing is changed in a checkpoint.

    `messages` alone are not copied, for there may be many.
    """
    view = {
        name: plain(value)
        for name, value in state.items()
        if name not in _OURS and name != "messages"
    }
    noted = plain(state.get("policy_state") or {})
    if "messages" in state:
        view["messages"] = state["messages"]
    return {**view, **noted, "run_id": run_id}


def noted_by(state: Mapping[str, Any], run_id: str, note: Callable[[State], State]) -> JsonObject:
    """What to write back after a policy has noted something; nothing if it noted nothing."""
    before = policy_view(state, run_id)
    try:
        after = note(policy_view(state, run_id))
    except Exception:  # what was decided or done stands, whatever a policy makes of it
        log.exception("a policy could not note what happened in the run %s", run_id)
        return {}
    changed = {
        name: plain(value)
        for name, value in after.items()
        if name != "messages" and (name not in before or before[name] != value)
    }
    if not changed:
        return {}
    return {"policy_state": {**plain(state.get("policy_state") or {}), **changed}}
