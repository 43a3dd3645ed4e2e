"""What a gate tells, to log it by hand."""

from datetime import UTC, datetime, timedelta

from sayso.domain.actions import Action, RiskClass
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Channel, Decision, Reviewer
from sayso.domain.traces import ToolResult

ACTION = Action(
    id="call-1",
    tool_name="send_email",
    tool_args={"to": "bob@example.com", "amount": 12.5, "note": "größer"},
    risk_class=RiskClass.HIGH,
    side_effects=("email_sent",),
    rationale="Bob asked for it.",
    context_refs=("ticket-7",),
)
REQUEST = ApprovalRequest(
    run_id="r",
    action=ACTION,
    policy_name="risk_based",
    policy_reason="HIGH risk",
    request_id="request-1",
)


def decided(*, approved: bool = True, latency_ms: float = 0.0) -> Decision:
    """What Bob said at the console."""
    return Decision(
        approved=approved,
        action_id=ACTION.id,
        reason="fine" if approved else "no",
        by=Reviewer(id="bob-1", name="Bob"),
        channel=Channel.CONSOLE,
        latency_ms=latency_ms,
    )


def ran(*, success: bool = True, took: timedelta = timedelta(0)) -> ToolResult:
    """What became of it."""
    now = datetime.now(UTC)
    return ToolResult(
        action_id=ACTION.id,
        success=success,
        error=None if success else "no route to host",
        error_class=None if success else "OSError",
        started_at=now - took,
        finished_at=now,
    )
