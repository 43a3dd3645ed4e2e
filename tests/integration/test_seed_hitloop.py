"""What hitloop's read-me shows works once the import root is `sayso.compat.hitloop`.

What a program there leaves to its reader, such as a Slack client, is given by the test.
"""

import asyncio
import csv
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from sayso.compat.hitloop import (
    Action,
    AlwaysApprovePolicy,
    ApprovalRequest,
    AuditPlusEscalatePolicy,
    Decision,
    RiskBasedPolicy,
    RiskClass,
    TelemetryLogger,
)
from sayso.compat.hitloop.backends import (
    AutoApproveBackend,
    CircuitBreakerConfig,
    CircuitState,
    CLIBackend,
    PersistentWebhookBackend,
    RetryConfig,
    ScriptedBackend,
    WebhookBackend,
)
from sayso.compat.hitloop.core.interfaces import HITLPolicy
from sayso.compat.hitloop.persistence import PostgresApprovalStore, RedisApprovalStore

ROOT = Path(__file__).parents[2]
LAYOUT = {
    "": "Action ApprovalRequest Decision RiskClass TraceEvent EventType ApprovalBackend HITLPolicy"
    " TelemetryLogger CLIBackend AlwaysApprovePolicy RiskBasedPolicy AuditPlusEscalatePolicy"
    " hitl_gate_node execute_tool_node",
    "core": "Action ApprovalRequest Decision RiskClass TraceEvent EventType ApprovalBackend"
    " HITLPolicy TelemetryLogger",
    "core.models": "Action ApprovalRequest Decision RiskClass TraceEvent EventType ToolResult"
    " RunMetadata",
    "core.interfaces": "ApprovalBackend HITLPolicy ApprovalError ApprovalTimeoutError"
    " ApprovalCancelledError",
    "core.logger": "TelemetryLogger",
    "policies": "AlwaysApprovePolicy RiskBasedPolicy AuditPlusEscalatePolicy",
    "policies.always_approve": "AlwaysApprovePolicy",
    "policies.risk_based": "RiskBasedPolicy",
    "policies.audit_plus_escalate": "AuditPlusEscalatePolicy",
    "backends": "AutoApproveBackend AutoRejectBackend CLIBackend ScriptedBackend WebhookBackend"
    " SimpleHTTPWebhookBackend PersistentWebhookBackend RetryConfig CircuitBreakerConfig"
    " CircuitState",
    "backends.cli_backend": "CLIBackend",
    "backends.webhook_backend": "WebhookBackend SimpleHTTPWebhookBackend PendingApproval",
    "backends.persistent_webhook": "PersistentWebhookBackend RetryConfig CircuitBreakerConfig"
    " CircuitState",
    "persistence": "ApprovalStore PendingApprovalRecord InMemoryApprovalStore PostgresApprovalStore"
    " RedisApprovalStore",
    "persistence.base": "ApprovalStore PendingApprovalRecord",
    "persistence.memory": "InMemoryApprovalStore",
    "persistence.postgres": "PostgresApprovalStore",
    "persistence.redis": "RedisApprovalStore",
    "langgraph": "hitl_gate_node execute_tool_node HumanInterrupt HumanInterruptConfig"
    " HumanResponse ActionRequest InterruptCallback RiskClassResolver AnomalyValidator"
    " HITLInterruptPayload HITLResumePayload create_interrupt_gate_node"
    " create_interrupt_tool_node should_execute hitl_action",
    "langgraph.nodes": "HITLState create_hitl_workflow_nodes should_execute_condition"
    " hitl_gate_node execute_tool_node",
    "langgraph.interrupt_nodes": "create_interrupt_gate_node hitl_action should_execute",
    "eval": "ExperimentRunner ExperimentCondition ErrorInjector InjectionConfig InjectionType"
    " MetricsCalculator",
    "eval.runner": "ExperimentRunner ExperimentCondition TrialResult create_standard_conditions",
    "eval.injectors": "ErrorInjector InjectionConfig InjectionType InjectionResult",
    "eval.metrics": "MetricsCalculator RunMetrics ConditionMetrics",
    "scenarios": "Scenario ScenarioConfig ValidationResult EmailDraftScenario RecordUpdateScenario",
    "scenarios.base": "Scenario ScenarioConfig ValidationResult",
    "scenarios.email_draft": "EmailDraftScenario",
    "scenarios.record_update": "RecordUpdateScenario",
}


@pytest.mark.parametrize("module", LAYOUT, ids=lambda name: name or "top")
def test_every_name_is_where_it_was(module: str) -> None:
    """hitloop 59: its read-me needs `InjectionType` of `hitloop.eval`, where it was not.

    `backends.humanlayer_backend`, which it lists, was never there, and is not here either.
    """
    home = importlib.import_module(f"sayso.compat.hitloop.{module}".rstrip("."))
    missing = [name for name in LAYOUT[module].split() if not hasattr(home, name)]
    assert missing == []
    assert set(LAYOUT[module].split()) <= set(home.__all__)
    with pytest.raises(AttributeError):
        _ = home.not_a_name


def test_the_classes_are_sayso_s_own() -> None:
    from sayso import Action as Native
    from sayso.gate import ApprovalBackend
    from sayso.policies import RiskBasedPolicy as NativePolicy

    assert (Action, RiskBasedPolicy) == (Native, NativePolicy)
    assert issubclass(CLIBackend, ApprovalBackend)


def test_to_import_it_takes_no_framework_and_no_database() -> None:
    """hitloop 61: `import hitloop` took 0.7 s, since LangGraph and SQLAlchemy came with it."""
    heavy = "langgraph langchain_core sqlalchemy pydantic jsonschema_rs rich asyncpg redis aiohttp"
    program = (
        "import sys, sayso.compat.hitloop, sayso.compat.hitloop.backends,"
        " sayso.compat.hitloop.persistence\n"
        "from sayso.compat.hitloop.backends import AutoApproveBackend, WebhookBackend\n"
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_types_are_told_to_checkers() -> None:
    """hitloop 60: there was no py.typed, so that nobody's checker saw the types."""
    import sayso

    assert Path(str(sayso.__file__)).with_name("py.typed").exists()


def test_it_tells_its_version_and_an_event_needs_no_time() -> None:
    import sayso
    from sayso.compat import hitloop

    assert hitloop.__version__ == sayso.__version__
    event = hitloop.TraceEvent(run_id="r", event_type=hitloop.EventType.ERROR)
    assert event.model_dump_json_safe() == {
        "timestamp": None, "run_id": "r", "event_type": "error", "payload": {},
    }  # fmt: skip


def test_an_action_and_a_decision_are_made_by_hand() -> None:
    action = Action(
        tool_name="send_email",
        tool_args={"recipient": "ann@example.com", "subject": "Hi"},
        risk_class=RiskClass.MEDIUM,
        side_effects=["email_sent"],  # type: ignore[arg-type]  # as programs write it
        rationale="She asked for it",
    )
    decision = Decision(
        action_id=action.id,
        approved=True,
        reason="It is her address",
        decided_by="human:operator",
        latency_ms=1500.0,
    )
    assert (decision.action_id, decision.approved) == (action.id, True)
    assert (decision.decided_by, decision.latency_ms) == ("human:operator", 1500.0)
    assert action.side_effects == ("email_sent",)


def asks(policy: HITLPolicy | Any, **fields: Any) -> bool:
    action = Action(**{"tool_name": "lookup", "risk_class": RiskClass.LOW, **fields})
    needed, reason = policy.should_request_approval(action, {})
    assert isinstance(reason, str)
    return needed


def test_the_three_policies_take_what_they_took() -> None:
    assert not asks(AlwaysApprovePolicy(), risk_class=RiskClass.HIGH)
    risky = RiskBasedPolicy(
        require_approval_for_high=True,
        require_approval_for_medium=False,
        high_risk_tools=["send_email", "delete_record"],
    )
    assert asks(risky, tool_name="send_email")
    assert asks(risky, risk_class=RiskClass.HIGH)
    assert not asks(risky, risk_class=RiskClass.MEDIUM)
    audit = AuditPlusEscalatePolicy(
        audit_sample_rate=0.0,
        escalate_on_high_risk=True,
        anomaly_signals=["unusual_recipient", "large_amount"],
    )
    assert asks(audit, risk_class=RiskClass.HIGH)
    assert asks(audit, context_refs=("large_amount",))
    assert not asks(audit)


class CriticalTools(HITLPolicy):
    """A policy of one's own, in the shape that the read-me gives."""

    critical_tools = frozenset({"drop_database"})

    @property
    def name(self) -> str:
        return "my_custom"

    def should_request_approval(self, action: Action, state: dict[str, Any]) -> tuple[bool, str]:
        del state
        if action.tool_name in self.critical_tools:
            return True, "Critical tool requires approval"
        return False, "Auto-approved"


def test_a_policy_of_ones_own_is_a_name_and_one_method() -> None:
    assert asks(CriticalTools(), tool_name="drop_database")
    assert not asks(CriticalTools())


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("tool", "backend", "approved"),
    [
        ("send_email", AutoApproveBackend(), True),
        ("transfer_money", ScriptedBackend([False]), False),
        ("delete_file", CLIBackend(input_func=lambda: "n", output_func=lambda _: None), False),
        ("lookup", ScriptedBackend([False]), True),
    ],
)
async def test_a_node_of_ones_own_asks_policy_and_backend(
    tool: str, backend: Any, approved: bool
) -> None:
    policy = RiskBasedPolicy(
        require_approval_for_high=True,
        high_risk_tools=["send_email", "delete_file", "transfer_money"],
    )

    async def node(state: dict[str, Any]) -> dict[str, Any]:
        action = state["pending_action"]
        needed, _ = policy.should_request_approval(action, state)
        if not needed:
            return {"approval_decision": Decision(action_id=action.id, approved=True)}
        request = ApprovalRequest(run_id="my-run", action=action)
        return {"approval_decision": await backend.request_approval(request)}

    action = Action(tool_name=tool, risk_class=RiskClass.LOW)
    state = await node({"pending_action": action})
    assert state["approval_decision"].approved is approved
    assert state["approval_decision"].action_id == action.id


class Slack:
    """Stands where a program has its Slack client."""

    def __init__(self) -> None:
        self.posted: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def post(self, **message: Any) -> None:
        self.posted.put_nowait(message)

    async def send(self, request: Any, callback_id: str, callback_url: str) -> None:
        await self.post(
            channel="#approvals",
            text=f"Approve {request.action.tool_name}?",
            callback_id=callback_id,
            url=callback_url,
        )


@pytest.fixture
def slack() -> Slack:
    return Slack()


def request_for(tool: str = "send_email") -> ApprovalRequest:
    return ApprovalRequest(run_id="my-run", action=Action(tool_name=tool, tool_args={"to": "ann"}))


@pytest.mark.anyio
async def test_a_webhook_backend_works_with_a_fastapi_handler(slack: Slack) -> None:
    backend = WebhookBackend(
        send_request=slack.send,
        timeout_seconds=300,
        callback_base_url="https://your-app.com/hitloop/callback",
    )
    app = FastAPI()

    @app.post("/hitloop/callback/{callback_id}")
    async def handle_callback(callback_id: str, data: dict[str, Any]) -> None:
        await backend.handle_callback(
            callback_id=callback_id,
            approved=data["approved"],
            decided_by=f"slack:{data['user']}",
        )

    task = asyncio.ensure_future(backend.request_approval(request_for()))
    posted = await slack.posted.get()
    assert posted["text"] == "Approve send_email?"
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport) as client:
        reply = await client.post(posted["url"], json={"approved": True, "user": "ann"})
    assert reply.status_code == 200
    decision = await task
    assert (decision.approved, decision.decided_by) == (True, "slack:ann")


@pytest.mark.anyio
@pytest.mark.parametrize("database", ["postgres", "redis"])
async def test_a_persistent_backend_keeps_requests_and_recovers_them(
    database: str, request: pytest.FixtureRequest, slack: Slack
) -> None:
    if database == "postgres":
        dsn = request.getfixturevalue("postgres_dsn")
        store: Any = await PostgresApprovalStore.from_conn_string(dsn)
    else:
        store = await RedisApprovalStore.from_url(request.getfixturevalue("redis_url"))
    await store.setup()
    backend = PersistentWebhookBackend(
        send_request=slack.send,
        store=store,
        timeout_seconds=300,
        retry_config=RetryConfig(max_retries=3, initial_delay=1.0, exponential_base=2.0),
        circuit_breaker_config=CircuitBreakerConfig(failure_threshold=5, recovery_timeout=30.0),
    )
    assert backend.get_circuit_state() is CircuitState.CLOSED
    task = asyncio.ensure_future(backend.request_approval(request_for(), thread_id="user-123"))
    posted = await slack.posted.get()
    task.cancel()

    pending = await store.list_pending(thread_id="user-123")
    futures = [backend.register_pending(record) for record in pending]
    assert len(futures) == 1
    assert await backend.handle_callback(posted["callback_id"], approved=True, decided_by="ann")
    assert (await futures[0]).decided_by == "ann"
    await store.close()


def test_a_logger_is_made_of_a_file_name(tmp_path: Path) -> None:
    logger = TelemetryLogger(str(tmp_path / "experiment.db"))
    logger.log_action_proposed("run-1", request_for().action)
    [event] = logger.get_events("run-1")
    assert event.event_type == "action_proposed"
    logger.close()


@pytest.mark.anyio
async def test_an_experiment_is_set_up_run_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    from sayso.compat.hitloop.eval import ExperimentRunner
    from sayso.compat.hitloop.eval.runner import create_standard_conditions
    from sayso.compat.hitloop.scenarios import EmailDraftScenario

    logger = TelemetryLogger("experiment.db")
    scenario = EmailDraftScenario()
    conditions = create_standard_conditions(
        scenario=scenario,
        n_trials=20,
        injection_rate=0.2,
    )
    runner = ExperimentRunner(logger)
    for c in conditions:
        runner.add_condition(c)
    await runner.run_all()
    runner.export_results("results.csv", "summary.json")

    with (tmp_path / "experiment_output/results.csv").open() as table:
        rows = list(csv.DictReader(table))
    shown = "run_id scenario_id condition_id policy_name task_success approval_requested"
    assert {*shown.split(), "injected_error", "error_caught"} <= set(rows[0])
    assert len(rows) == 80
    assert {row["scenario_id"] for row in rows} == {"email_draft"}
    assert {row["injected_error"] for row in rows} == {"0", "1"}
    summary = json.loads((tmp_path / "experiment_output/summary.json").read_bytes())
    assert list(summary) == [c.condition_id for c in conditions]
    for metrics in summary.values():
        assert metrics["n_runs"] == 20
        keys = "success_rate approval_rate error_catch_rate false_reject_rate human_latency_mean_ms"
        assert set(keys.split()) <= set(metrics)
    people = summary["risk_based_human"]
    assert people["human_latency_mean_ms"] > 500
    assert people["error_catch_rate"] > summary["risk_based_auto"]["error_catch_rate"] == 0
    # Besides its results, only what was asked for is left behind (hitloop 52).
    left = {name.partition("-")[0] for name in os.listdir(tmp_path)}  # noqa: PTH208  not async
    assert left == {"experiment.db", "experiment_output"}
    logger.close()
    scenario.close()


def test_an_injector_makes_some_actions_wrong_and_says_which() -> None:
    from sayso.compat.hitloop.eval import ErrorInjector, InjectionConfig, InjectionType

    injector = ErrorInjector(
        InjectionConfig(
            injection_rate=0.2,
            injection_types=[
                InjectionType.WRONG_RECIPIENT,
                InjectionType.WRONG_RECORD_ID,
            ],
        )
    )
    action = Action(tool_name="send_email", tool_args={"recipient": "ann@example.com"})
    results = [injector.maybe_inject(action) for _ in range(300)]
    wrong = [result for result in results if result.injected]
    assert 20 <= len(wrong) <= 100
    assert {result.injection_type for result in wrong} == {InjectionType.WRONG_RECIPIENT}
    assert all(result.modified_action != action == result.original_action for result in wrong)


def test_the_example_of_an_experiment_writes_both_tables(tmp_path: Path) -> None:
    words = ["--n-trials", "5", "--injection-rate", "0.5", "--output-dir", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "examples/run_experiment.py", *words],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=150,
    )  # fmt: skip
    assert "audit_escalate" in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results.csv", "summary.json"}
    assert not done.stderr


@pytest.mark.parametrize(
    ("words", "typed", "shown"),
    [
        (["--auto"], "", "send_email: sent 'Your renewal' to alice@example.com"),
        ([], "y\n\n", "send_email: sent 'Your renewal' to alice@example.com"),
        ([], "n\nnot today\n", "send_email: not run."),
        ([], "", "send_email: not run."),
    ],
)
def test_the_basic_workflow_asks_at_the_terminal_or_with_auto_nobody(
    words: list[str], typed: str, shown: str
) -> None:
    done = subprocess.run(
        [sys.executable, "examples/basic_workflow.py", *words],
        cwd=ROOT, input=typed, capture_output=True, text=True, check=True, timeout=150,
    )  # fmt: skip
    assert "search: three pages about renewals" in done.stdout
    assert shown in done.stdout
    assert ("[e]dit:" in done.stdout) is not bool(words)
    trace = done.stdout.partition("What the trace has:")[2].split()
    assert trace[0] == "run_start"
    assert trace[-1] == "run_end"
    assert "approval_decided" in trace
    assert not done.stderr
