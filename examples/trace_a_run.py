"""Keep what a run does, by hand and without a gate, and ask the file by SQL."""

import sqlite3

from sayso.domain.actions import Action, RiskClass
from sayso.domain.traces import RunMetadata, ToolResult
from sayso.telemetry import TelemetryLogger

FILE = "trace.db"
logger = TelemetryLogger(FILE, redact=["*:card.number"])

for number, fails in enumerate([False, True, False]):
    run_id = f"invoice-{number}"
    logger.log_run_start(RunMetadata(run_id=run_id, scenario_id="invoices", model="small"))
    logger.log_llm_call(run_id, tokens_in=800, tokens_out=120, model="small")
    action = Action(
        id=f"{run_id}/pay",
        tool_name="payments.pay",
        tool_args={"amount": 100 + number, "card": {"number": "4111 1111 1111 1111"}},
        risk_class=RiskClass.MEDIUM,
    )
    logger.log_action_proposed(run_id, action)
    logger.log_tool_execution_start(run_id, action)
    error = "the bank is closed" if fails else None
    logger.log_tool_execution_end(
        run_id, ToolResult(action_id=action.id, success=not fails, error=error)
    )
    logger.log_run_end(run_id, success=not fails)

for run in logger.get_all_runs():
    print(f"{run.run_id}: {'done' if run.task_success else 'failed'} in {run.duration_ms():.1f} ms")

with sqlite3.connect(FILE) as connection:
    for run_id, tool, args, why in connection.execute("""
        SELECT proposed.run_id, proposed.payload ->> 'tool_name', proposed.payload -> 'tool_args',
            ended.payload ->> 'error'
        FROM trace_events AS proposed
        JOIN trace_events AS ended ON ended.run_id = proposed.run_id
            AND ended.event_type = 'tool_execution_end'
            AND ended.payload ->> 'action_id' = proposed.payload ->> 'action_id'
        WHERE proposed.event_type = 'action_proposed' AND NOT ended.payload ->> 'success'
    """):
        print(f"{run_id}: {tool} {args} failed: {why}")
connection.close()
logger.close()
