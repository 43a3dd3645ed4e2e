"""A question to a backend: code of one's own that asks somebody and comes back with a decision."""

import msgspec
from msgspec import Struct

from sayso.domain.actions import Action
from sayso.visible import spelled

_LINE = "=" * 60


class ApprovalRequest(Struct, frozen=True, kw_only=True):
    """What a backend is asked: may this action run?

    The agent's words stand in it as they are; show them through `sayso.visible`, or by
    `format_for_display`.
    """

    run_id: str
    """The agent's run, or session."""
    action: Action
    summary_context: str = ""
    """What the conversation was about."""
    policy_name: str = ""
    policy_reason: str = ""
    """Why somebody is asked."""
    request_id: str = ""
    """The request that it is about, as it is kept."""
    thread_id: str = ""
    """The conversation or workflow that waits for the answer."""
    traceparent: str = ""
    """The span that asks, as W3C writes it; empty if there is none."""

    def format_for_display(self) -> str:
        """It as plain text, several lines, with the agent's control characters made visible."""
        action = self.action
        risk = "UNKNOWN" if action.risk_class is None else action.risk_class.value.upper()
        args = msgspec.json.format(msgspec.json.encode(action.tool_args), indent=2).decode()
        parts = [
            _LINE,
            "APPROVAL REQUEST",
            _LINE,
            f"Run ID: {spelled(self.run_id)}",
            f"Action ID: {spelled(action.id)}",
            f"Tool: {spelled(action.tool_name)}",
            f"Risk: {risk}",
            "Arguments:",
            *(spelled(line) for line in args.splitlines()),
        ]
        if action.side_effects:
            parts += ["Side Effects:", *(f"  - {spelled(each)}" for each in action.side_effects)]
        if action.rationale:
            parts += [f"Rationale: {spelled(action.rationale)}"]
        if self.summary_context:
            parts += [f"Context: {spelled(self.summary_context)}"]
        if self.policy_reason:
            parts += [f"Policy ({spelled(self.policy_name)}): {spelled(self.policy_reason)}"]
        return "\n".join([*parts, _LINE])
