"""Questions and answers as Agent Inbox writes them: a list with one `HumanInterrupt` in it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict, cast

from sayso.domain.actions import Action, RiskClass
from sayso.langgraph.state import plain
from sayso.policies.base import Verdict
from sayso.types import JsonObject


class HumanInterruptConfig(TypedDict):
    """Which answers are taken."""

    allow_ignore: bool
    allow_respond: bool
    allow_edit: bool
    allow_accept: bool


class ActionRequest(TypedDict):
    """A tool, and its arguments."""

    action: str
    args: JsonObject


class HumanInterrupt(TypedDict):
    """A question."""

    action_request: ActionRequest
    config: HumanInterruptConfig
    description: str | None
    sayso: NotRequired[JsonObject]
    """What the schema has no place for: the whole `action`, the `verdict` that asks, and the
    `traceparent` of the span that does, if there is one."""


class HumanResponse(TypedDict):
    """An answer: None to `accept` and `ignore`, a text to `response`, an action to `edit`."""

    type: Literal["accept", "ignore", "response", "edit"]
    args: str | ActionRequest | None
    sayso: NotRequired[JsonObject]
    """Who decided, and what else is known: `decided_by`, `latency_ms`, `reason`, `type`."""


HITLInterruptPayload: TypeAlias = list[HumanInterrupt]
HITLResumePayload: TypeAlias = list[HumanResponse] | HumanResponse | JsonObject | bool
InterruptCallback: TypeAlias = Callable[[HumanInterrupt, str], Awaitable[Any] | Any]
"""Told of a question and its thread's id, once."""
RiskClassResolver: TypeAlias = RiskClass | Callable[[JsonObject], RiskClass]
"""A risk, or what tells it from the arguments."""
AnomalyValidator: TypeAlias = Callable[[JsonObject], tuple[bool, str]]
"""Whether the arguments are as usual, and if not, what is odd about them."""

ALLOW_ALL = HumanInterruptConfig(
    allow_ignore=True, allow_respond=True, allow_edit=True, allow_accept=True
)
_FENCE = "~~~~"


def question(
    action: Action,
    verdict: Verdict,
    description: str | None = None,
    traceparent: str | None = None,
) -> HumanInterrupt:
    """What a person is shown of `action`, and for whoever brings it to them the span that asks."""
    traced: JsonObject = {} if traceparent is None else {"traceparent": traceparent}
    args = cast("JsonObject", plain(action.tool_args))
    return HumanInterrupt(
        action_request=ActionRequest(action=action.tool_name, args=args),
        config=ALLOW_ALL,
        description=_described(action, verdict) if description is None else description,
        sayso={"action": plain(action), "verdict": plain(verdict), **traced},
    )


def _described(action: Action, verdict: Verdict) -> str:
    """Markdown in which the agent's words stand in fences, so that they cannot pose as ours."""
    risk = "unknown" if action.risk_class is None else action.risk_class.value
    parts = ["## Approval required", f"**Risk:** {risk}"]
    for title, text in (
        ("Tool", action.tool_name),
        ("Why a person is asked", verdict.reason),
        ("Arguments", json.dumps(plain(action.tool_args), indent=2, ensure_ascii=True)),
        ("What else it changes, in the agent's words", "\n".join(action.side_effects)),
        ("Why, in the agent's words", action.rationale),
        ("Context", "\n".join(action.context_refs)),
    ):
        if text:
            inert = text.replace(_FENCE, "~ ~ ~ ~")
            parts.append(f"### {title}\n{_FENCE}text\n{inert}\n{_FENCE}")
    return "\n\n".join(parts)
