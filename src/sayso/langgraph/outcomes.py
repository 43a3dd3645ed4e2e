"""What became of an approved action, as far as a thread's state tells."""

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.messages import AIMessage, ToolMessage

from sayso.client.running import failed, succeeded
from sayso.domain.actions import Action
from sayso.types import JsonObject


def outcome_of(values: Any, action: Action, proposed: Action | None = None) -> JsonObject:
    """What to report: the result in a `tool_result`, or in the tool's message; else `unknown`.

    Args:
        values: the state.
        action: as it was approved.
        proposed: as the agent wanted it, which is what its messages say.
    """
    if not isinstance(values, Mapping):
        return unknown()
    state = cast("Mapping[str, Any]", values)
    told = state.get("tool_result")
    if isinstance(told, Mapping):
        result = cast("Mapping[str, Any]", told)
        if result.get("action_id") == action.id and "success" in result:
            if result["success"]:
                return succeeded(result.get("result"))
            return {"status": "failed", "error": str(result.get("error"))}
    messages = state.get("messages")
    named = (action, proposed or action)
    found = _message(cast("list[Any]", messages), named) if isinstance(messages, list) else None
    if found is None:
        return unknown()
    if found.status == "error":
        return failed(RuntimeError(str(found.content)))
    return succeeded(found.content)


def unknown(error: str = "") -> JsonObject:
    """That the thread was resumed, and no more is known."""
    why = "The thread was resumed; its state does not tell what the tool did."
    return {"status": "unknown", "error": f"{why} {error}".strip()[:8_000]}


def _message(messages: list[Any], named: tuple[Action, Action]) -> ToolMessage | None:
    """The tool's message that answers the call, the last one if there are several."""
    ids = {each.id for each in named}
    known = [(each.tool_name, each.tool_args) for each in named]
    for message in messages:
        if isinstance(message, AIMessage):
            ids |= {
                call["id"] or ""
                for call in message.tool_calls
                if (call["name"], call["args"]) in known
            }
    answers = [m for m in messages if isinstance(m, ToolMessage) and m.tool_call_id in ids]
    return answers[-1] if answers else None
