"""What a run has shown so far, for policies that look back: counts and the last tool, no more.

It is kept in the run's state under `history`, as plain JSON of a bounded size:

    {"calls": 3, "approvals": 1, "rejections": 1, "denials": 0, "failures": 0,
     "tool": "send_email", "streak": 2}

`approvals` and `rejections` are people's (or a remembered decision's), `denials` the policy's own.
"""

from typing import Any, Final, cast

from sayso.domain.actions import Action
from sayso.domain.decisions import Channel, Decision
from sayso.domain.plain import LONGEST_NAME, plain_name
from sayso.errors import UsageError
from sayso.types import JsonObject

HISTORY: Final = "history"
COUNTS: Final = ("calls", "approvals", "rejections", "denials", "failures", "streak")
_NOTHING: Final[JsonObject] = {**dict.fromkeys(COUNTS, 0), "tool": ""}


def history_of(state: JsonObject) -> JsonObject:
    """The run's history; zeros if there is none yet.

    Raises:
        UsageError: somebody put something else there.
    """
    kept: Any = state.get(HISTORY)
    if kept is None:
        return _NOTHING
    if not isinstance(kept, dict) or len(cast("JsonObject", kept)) != len(_NOTHING):
        raise UsageError(
            f"The state's {HISTORY!r} is not one that Sayso keeps.",
            hint="Leave that name to the policies; keep what is yours under another.",
        )
    return cast("JsonObject", kept)


def streak_with(history: JsonObject, action: Action) -> int:
    """How many calls of this tool come one after the other, this one among them."""
    return history["streak"] + 1 if history["tool"] == _tool(action) else 1


def after_decision(state: JsonObject, action: Action, decision: Decision) -> JsonObject:
    """The state once somebody, or the policy, has decided on `action`."""
    kept = history_of(state)
    count = "approvals"
    if not decision.approved:
        count = "denials" if decision.channel is Channel.POLICY else "rejections"
    counts = decision.channel is not Channel.POLICY or not decision.approved
    return {
        **state,
        HISTORY: {
            **kept,
            "calls": kept["calls"] + 1,
            "tool": _tool(action),
            "streak": streak_with(kept, action),
            **({count: kept[count] + 1} if counts else {}),
        },
    }


def after_run(state: JsonObject, action: Action, result: JsonObject) -> JsonObject:
    """The state once `action` has run; whatever does not tell of success has failed."""
    del action
    if result.get("success") is True:
        return state
    kept = history_of(state)
    return {**state, HISTORY: {**kept, "failures": kept["failures"] + 1}}


def _tool(action: Action) -> str:
    return plain_name(action.tool_name)[:LONGEST_NAME]
