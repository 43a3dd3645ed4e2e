"""Runs of an experiment, told to a telemetry by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct

from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Channel, Decision, DecisionType
from sayso.domain.traces import RunMetadata, ToolResult
from sayso.telemetry import TelemetryLogger


class Act(Struct, frozen=True, kw_only=True):
    """An action: is it wrong, what is said about it (None: nobody is asked), does it run?"""

    wrong: bool = False
    said: DecisionType | str | None = None
    """`open`: asked, and nobody answers. `denied`: by the policy."""
    runs: bool | None = None
    """None: if nothing speaks against it."""
    works: bool = True
    took_ms: float = 1000.0
    channel: Channel = Channel.CONSOLE


def tell(
    logger: TelemetryLogger,
    run_id: str,
    acts: Sequence[Act] = (),
    *,
    condition: str = "c",
    scenario: str = "email",
    seed: int | None = None,
    success: bool | None = True,
    policy: str = "risk_based",
    tokens: Sequence[tuple[int | None, int | None]] = (),
    lasts_ms: float | None = None,
) -> None:
    """Tell all of it; with `success` None the run does not end."""
    began = None if lasts_ms is None else datetime.now(UTC) - timedelta(milliseconds=lasts_ms)
    logger.log_run_start(
        RunMetadata(
            run_id=run_id,
            scenario_id=scenario,
            condition_id=condition,
            seed=seed,
            started_at=began,
        )
    )
    for tokens_in, tokens_out in tokens:
        logger.log_llm_call(run_id, tokens_in=tokens_in, tokens_out=tokens_out)
    for number, act in enumerate(acts):
        action = Action(id=f"{run_id}/{number}", tool_name="send", tool_args={"n": number})
        logger.log_action_proposed(run_id, action, injected_error=act.wrong)
        tell_decision(logger, run_id, action, act, policy)
        runs = act.said in (None, "approve", "edit") if act.runs is None else act.runs
        if runs:
            logger.log_tool_execution_start(run_id, action)
            logger.log_tool_execution_end(
                run_id, ToolResult(action_id=action.id, success=act.works)
            )
    if success is not None:
        logger.log_run_end(run_id, success)


def tell_decision(
    logger: TelemetryLogger, run_id: str, action: Action, act: Act, policy: str
) -> None:
    """What is said about one action."""
    if act.said == "denied":
        logger.log_approval_decided(
            run_id,
            Decision(approved=False, action_id=action.id, decided_by=f"policy:{policy}"),
            "policy",
        )
    if act.said in (None, "denied"):
        return
    logger.log_approval_requested(
        run_id, ApprovalRequest(run_id=run_id, action=action, policy_name=policy)
    )
    if act.said == "open":
        return
    decision = Decision(
        type=DecisionType(act.said),
        approved=act.said in ("approve", "edit"),
        action_id=action.id,
        latency_ms=act.took_ms,
    )
    decision = msgspec.structs.replace(decision, channel=act.channel)
    logger.log_approval_decided(run_id, decision, act.channel.value)
