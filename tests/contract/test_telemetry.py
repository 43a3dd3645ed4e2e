"""What a logger keeps, whatever it is given, and who may read it; on every sink."""

import json
import logging
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from inspect import getmembers, isfunction, signature
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.traces import ACTION, REQUEST, decided, ran

from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Channel, Decision, DecisionType, Reviewer
from sayso.domain.traces import RunMetadata, ToolResult, TraceEvent, TraceEventType
from sayso.errors import ConfigurationError, StoreError
from sayso.gate.ports import Telemetry
from sayso.telemetry import Several, TelemetryLogger
from sayso.telemetry.otel import OpenTelemetry


@pytest.fixture(params=[":memory:", "trace.db", "trace.jsonl", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "postgresql":
            dsn: str = request.getfixturevalue("postgres_dsn")
            return dsn
        case ":memory:":
            return ":memory:"
        case name:
            return str(tmp_path / name)


@pytest.fixture
def logger(address: str) -> Any:
    logger = TelemetryLogger(address)
    yield logger
    logger.close()
    assert (logger.errors, logger.lost) == (0, 0)


@pytest.mark.parametrize("kind", [TelemetryLogger, Several, OpenTelemetry])
def test_a_telemetry_takes_what_a_gate_tells(kind: type) -> None:
    for name, method in getmembers(Telemetry, isfunction):
        if name.startswith("log_"):
            assert list(signature(getattr(kind, name)).parameters) == list(
                signature(method).parameters
            )


def test_a_whole_run_is_read_back_in_order_with_what_was_told(logger: TelemetryLogger) -> None:
    before = datetime.now(UTC)
    logger.log_run_start(RunMetadata(run_id="r", scenario_id="email", condition_id="c", seed=7))
    logger.log_llm_call("r", prompt_hash="p", tokens_in=3, tokens_out=4, model="m")
    logger.log_action_proposed("r", ACTION, injected_error=True)
    logger.log_approval_requested("r", REQUEST, channel="console")
    logger.log_approval_decided("r", decided(), channel="console")
    logger.log_tool_execution_start("r", ACTION)
    logger.log_tool_execution_end("r", ran(took=timedelta(milliseconds=250)))
    logger.log_error("r", KeyError("k"), {"where": "here"})
    logger.log_run_end("r", success=True, validation_details={"checked": 1})
    events = logger.get_events()
    kinds = TraceEventType
    assert [event.event_type for event in events] == [
        kinds.RUN_START,
        kinds.LLM_CALL,
        kinds.ACTION_PROPOSED,
        kinds.INJECTED_ERROR,
        kinds.APPROVAL_REQUESTED,
        kinds.APPROVAL_DECIDED,
        kinds.TOOL_EXECUTION_START,
        kinds.TOOL_EXECUTION_END,
        kinds.ERROR,
        kinds.RUN_END,
    ]
    told = {event.event_type: event.payload for event in events}
    keys = {
        kinds.RUN_START: {"scenario_id", "condition_id", "agent_version", "model", "seed"},
        kinds.RUN_END: {"task_success", "validation_details"},
        kinds.LLM_CALL: {
            "prompt_hash",
            "template_id",
            "tokens_in",
            "tokens_out",
            "latency_ms",
            "model",
        },
        kinds.ACTION_PROPOSED: {
            "action_id",
            "tool_name",
            "args_hash",
            "risk_class",
            "side_effects",
            "injected_error",
        },
        kinds.INJECTED_ERROR: {"action_id", "tool_name"},
        kinds.APPROVAL_REQUESTED: {
            "action_id",
            "channel",
            "policy_name",
            "policy_reason",
            "requested_at",
        },
        kinds.APPROVAL_DECIDED: {
            "action_id",
            "approved",
            "reason",
            "tags",
            "decided_by",
            "latency_ms",
            "channel",
            "decided_at",
        },
        kinds.TOOL_EXECUTION_START: {"action_id", "tool_name", "started_at"},
        kinds.TOOL_EXECUTION_END: {
            "action_id",
            "success",
            "error",
            "error_class",
            "retry_count",
            "execution_time_ms",
            "finished_at",
        },
        kinds.ERROR: {"error_type", "error_message", "context"},
    }
    for kind, wanted in keys.items():
        assert wanted <= set(told[kind]), kind
    assert told[kinds.ACTION_PROPOSED]["args_hash"] == ACTION.args_hash()
    assert told[kinds.APPROVAL_REQUESTED]["policy_reason"] == "HIGH risk"
    assert told[kinds.TOOL_EXECUTION_END]["execution_time_ms"] == 250
    assert told[kinds.ERROR] == {
        "error_type": "KeyError",
        "error_message": "'k'",
        "context": {"where": "here"},
    }
    run = logger.get_run_metadata("r")
    assert run is not None
    assert run.seed == 7
    assert run.task_success is True
    assert run.validation_details == {"checked": 1}
    assert run.started_at is not None
    assert run.finished_at is not None
    assert before <= run.started_at <= run.finished_at <= datetime.now(UTC)
    assert logger.get_all_runs() == [run]


def test_arguments_and_rationale_are_kept_so_that_a_run_can_be_looked_into(
    logger: TelemetryLogger,
) -> None:
    """hitloop 38: of the arguments only 64 bits of a hash were kept."""
    logger.log_action_proposed("r", ACTION)
    logger.log_tool_execution_start("r", ACTION)
    proposed, started = (event.payload for event in logger.get_events())
    assert proposed["tool_args"] == started["tool_args"] == ACTION.tool_args
    assert proposed["rationale"] == ACTION.rationale
    assert proposed["digest"] == started["digest"] == ACTION.digest


def test_who_decided_and_how_long_it_took_are_told(logger: TelemetryLogger) -> None:
    """hitloop 26: a latency of 0 and a constant stood for every reviewer."""
    logger.log_approval_requested("r", REQUEST)
    time.sleep(0.01)
    decision = Decision(
        approved=True,
        action_id=ACTION.id,
        args={"to": "carol"},
        by=Reviewer(id="u-7", name="Bob"),
        latency_ms=1234,
        channel=Channel.CONSOLE,
    )
    logger.log_approval_decided("r", decision, channel="console")
    told = logger.get_events(event_type=TraceEventType.APPROVAL_DECIDED)[0].payload
    assert (told["decided_by"], told["reviewer_id"]) == ("Bob", "u-7")
    assert told["latency_ms"] == 1234
    assert told["waited_ms"] >= 10
    assert (told["type"], told["tool_args"]) == (DecisionType.EDIT, {"to": "carol"})


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_nothing_that_is_logged_raises_whatever_it_holds(logger: TelemetryLogger) -> None:
    """hitloop 36, 40: what is not JSON raised into the caller."""
    ring: list[Any] = []
    ring.append(ring)
    deep: Any = "end"
    for _ in range(5_000):
        deep = [deep]
    details = {
        "object": Unprintable(),
        "day": date(2026, 1, 2),
        "set": {1},
        "bytes": b"x",
        "nul": "a\0b",
        "half": "\ud800",
        3: "three",
        ("t", 1): "tuple",
        "large": 2**80,
        "nan": float("nan"),
        "ring": ring,
        "deep": deep,
    }
    for value in (*({key: value} for key, value in details.items()), details):
        logger.log_run_end("r", success=False, validation_details=value)  # type: ignore[arg-type]
        logger.log_error("r", RuntimeError(Unprintable()), value)  # type: ignore[arg-type]
    events = logger.get_events(run_id="r")
    assert len(events) == 2 * (len(details) + 1)
    for event in events:
        msgspec.json.encode(event.model_dump_json_safe())
    told = [event.payload["validation_details"] for event in events[::2]]
    assert told[0] == {"object": "<Unprintable: no text: RuntimeError>"}
    assert told[1] == {"day": "2026-01-02"}
    assert told[4] in ({"nul": "a\0b"}, {"nul": "a\ufffdb"})  # PostgreSQL has no such character
    assert told[5] == {"half": "\\ud800"}
    assert told[6] == {"3": "three"}
    assert set(told[-1]) == {str(key) for key in details}


def test_an_event_of_the_original_s_kind_is_dumped_as_plain_json() -> None:
    """hitloop 40."""
    event = TraceEvent(
        timestamp=datetime.now(UTC),
        run_id="r",
        event_type=TraceEventType.ERROR,
        payload={"day": date(2026, 1, 2), "object": {1, 2}},
    )
    assert msgspec.json.encode(event.model_dump_json_safe())


def test_what_is_not_a_record_at_all_is_counted_and_told(
    logger: TelemetryLogger, caplog: pytest.LogCaptureFixture
) -> None:
    other = TelemetryLogger()
    other.log_action_proposed("r", None)  # type: ignore[arg-type]
    assert (other.errors, other.lost) == (1, 1)
    assert "event is lost" in caplog.text
    other.close()


def test_times_come_back_as_they_were_told_in_utc(logger: TelemetryLogger) -> None:
    """hitloop 37: they came back without a time zone."""
    started = datetime(2026, 3, 29, 1, 59, 59, 123456, tzinfo=UTC)
    logger.log_run_start(RunMetadata(run_id="r", started_at=started))
    event = logger.get_events()[0]
    run = logger.get_run_metadata("r")
    assert run is not None
    assert run.started_at == started
    assert event.timestamp.tzinfo is not None
    assert event.timestamp.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - event.timestamp) < timedelta(minutes=1)


def test_events_come_in_the_order_they_were_logged_in_even_if_the_clock_is_set_back(
    logger: TelemetryLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hitloop 37: they were ordered by their times alone."""
    times = iter(datetime(2026, 1, 1, tzinfo=UTC) - timedelta(hours=n) for n in range(5))
    monkeypatch.setattr("sayso.telemetry.logger._new", lambda _: next(times))
    for number in range(5):
        logger.log_llm_call("r", tokens_in=number)
    assert [event.payload["tokens_in"] for event in logger.get_events()] == list(range(5))


def test_no_events_and_no_name_are_not_all_of_them(logger: TelemetryLogger) -> None:
    """hitloop 37: limit=0 and run_id="" meant all."""
    for run_id in ("", "a", "a", "ab"):
        logger.log_llm_call(run_id)
    assert logger.get_events(limit=0) == []
    assert [event.run_id for event in logger.get_events(run_id="")] == [""]
    assert [event.run_id for event in logger.get_events("a")] == ["a", "a"]
    assert [event.run_id for event in logger.get_events(limit=3)] == ["", "a", "a"]
    assert logger.get_events("nobody") == []
    assert logger.get_events(event_type="run_start") == []
    assert len(logger.get_events(event_type="llm_call")) == 4
    with pytest.raises(ValueError, match="limit"):
        logger.get_events(limit=-1)


def test_the_events_of_many_runs_come_in_one_reading_by_run(logger: TelemetryLogger) -> None:
    """hitloop 51: measuring took two readings for each run, and no runs were all of them."""
    for run_id in ("b", "", "a", "b", "a'\"\\b"):
        logger.log_llm_call(run_id)
    assert list(logger.get_events_by_run()) == ["b", "", "a", "a'\"\\b"]
    runs = logger.get_events_by_run(["", "b", "a'\"\\b", "b", "nobody"])
    assert [(run, len(events)) for run, events in runs.items()] == [
        ("b", 2),
        ("", 1),
        ("a'\"\\b", 1),
    ]
    assert {event.run_id for event in runs["b"]} == {"b"}
    assert list(logger.get_events_by_run(["a"])) == ["a"]
    assert logger.get_events_by_run([]) == {}
    with pytest.raises(TypeError, match="several"):
        logger.get_events_by_run("ab")


def test_a_second_start_and_an_unknown_end_are_kept_and_warned_of(
    logger: TelemetryLogger, caplog: pytest.LogCaptureFixture
) -> None:
    """hitloop 39: the first raised an IntegrityError, the second was silent."""
    logger.log_run_start(RunMetadata(run_id="twice", model="one"))
    logger.log_run_start(RunMetadata(run_id="twice", model="two"))
    logger.log_run_end("nobody", success=True)
    assert len(logger.get_events()) == 3
    twice, nobody = logger.get_run_metadata("twice"), logger.get_run_metadata("nobody")
    assert twice is not None
    assert twice.model == "one"
    assert nobody is not None
    assert nobody.task_success is True
    assert nobody.started_at is None
    assert nobody.finished_at is not None
    assert logger.get_run_metadata("other") is None
    assert [record.getMessage() for record in caplog.records] == [
        "run 'twice' was started again: both are kept, the first one counts",
        "run 'nobody' was ended, but never started: its end is kept",
    ]


def test_any_thread_may_log_and_read(logger: TelemetryLogger) -> None:
    """hitloop 27: in memory, other threads found no table."""

    def work(number: int) -> int:
        for _ in range(50):
            logger.log_llm_call(f"run-{number}")
        return len(logger.get_events(f"run-{number}"))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [50] * 8


def test_arguments_are_what_they_were_when_they_were_logged(logger: TelemetryLogger) -> None:
    args = {"to": ["bob"]}
    action = Action(tool_name="send", tool_args=args)
    logger.log_action_proposed("r", action)
    args["to"].append("eve")
    assert logger.get_events()[0].payload["tool_args"] == {"to": ["bob"]}


def test_what_a_rule_names_is_nowhere_in_the_trace(address: str, tmp_path: Path) -> None:
    """hitloop 41: nothing was redacted."""
    action = Action(
        tool_name="payments.send",
        tool_args={"card": {"number": "4111-1111"}, "amount": 5, "password": "hunter2"},
    )
    rules = ["payments.*:card.number", "*:password"]
    with_rules = TelemetryLogger(address, redact=rules)
    with_rules.log_action_proposed("r", action)
    with_rules.log_tool_execution_start("r", action)
    edit = {**action.tool_args, "amount": 4}
    unasked = Decision(approved=True, action_id=action.id, args=edit)
    with_rules.log_approval_decided("r", unasked)
    events = with_rules.get_events()
    with_rules.close()
    for event in events:
        assert event.payload["tool_args"]["card"] == {"number": "[redacted]"}
        assert event.payload["redacted"] == ["/card/number", "/password"]
    assert events[0].payload["args_hash"] == action.args_hash()
    for file in tmp_path.iterdir():
        assert b"4111" not in file.read_bytes()
        assert b"hunter2" not in file.read_bytes()
    assert action.tool_args["password"] == "hunter2"


def test_texts_that_quote_what_is_redacted_lose_it(address: str, tmp_path: Path) -> None:
    secret, number = 'hun"ter\nétwo', 4111_1111_1111
    action = Action(
        tool_name="login",
        tool_args={"password": [secret, "no"], "card": number, "user": "alice@example.com"},
        rationale=f"alice@example.com said no: {secret!r}, {json.dumps(secret)}",
        side_effects=(f"uses {number}",),
    )
    logger = TelemetryLogger(address, redact=["*:password", "*:card"])
    said = f"It has {secret}."
    logger.log_action_proposed("r", action)
    logger.log_approval_requested(
        "r", ApprovalRequest(run_id="r", action=action, policy_reason=said)
    )
    edit = {**action.tool_args, "password": "another one"}
    reason = f"another one, for {number}"
    logger.log_approval_decided(
        "r", Decision(approved=True, action_id=action.id, args=edit, reason=reason, tags=[said])
    )
    logger.log_tool_execution_end("r", ToolResult(action_id=action.id, success=False, error=said))
    logger.log_error("r", ValueError(said), {"action_id": action.id, "more": [said]})
    proposed, requested, decided, ended, failed = (e.payload for e in logger.get_events())
    logger.close()
    assert proposed["rationale"] == "alice@example.com said no: '[redacted]', \"[redacted]\""
    assert proposed["side_effects"] == ["uses [redacted]"]
    assert requested["policy_reason"] == "It has [redacted]."
    assert (decided["reason"], decided["tags"]) == (
        "[redacted], for [redacted]", ["It has [redacted]."],
    )  # fmt: skip
    assert ended["error"] == failed["error_message"] == "It has [redacted]."
    assert failed["context"]["more"] == ["It has [redacted]."]
    for file in tmp_path.iterdir():
        assert not any(
            each in file.read_bytes()
            for each in ("\u00e9two".encode(), b"u00e9two", b"4111", b"another one")
        )


def test_the_end_of_a_run_and_an_error_of_no_call_lose_what_any_of_its_calls_lost() -> None:
    logger = TelemetryLogger(redact=["*:to", "*:card"])
    for number in range(2):
        args = {"to": {f"person{number}@example.com": ["mornings"]}, "card": 4111_0000 + number}
        logger.log_action_proposed("r", Action(tool_name="t", tool_args=args))
    logger.log_action_proposed("other", Action(tool_name="t", tool_args={"to": "telling"}))
    said = "person0@example.com, person1@example.com"
    details = {"calls": ({"error": said}, 4111_0001, ValueError(said)), "when": "telling mornings"}
    logger.log_run_end("r", False, details)
    logger.log_error("r", ValueError(said))
    *_, ended, failed = (event.payload for event in logger.get_events())
    logger.close()
    lost = "[redacted], [redacted]"
    assert ended["validation_details"] == {
        "calls": [{"error": lost}, "[redacted]", lost],
        "when": "telling [redacted]",
    }
    assert failed["error_message"] == lost


def test_a_redaction_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="TOOL:ARGUMENT"):
        TelemetryLogger(redact=["password"])


def test_what_is_much_too_long_is_left_out_and_that_is_told(logger: TelemetryLogger) -> None:
    action = Action(tool_name="upload", tool_args={"data": "x" * 2**21, "to": "bob"})
    logger.log_action_proposed("r", action)
    told = logger.get_events()[0].payload
    assert told["tool_name"] == "upload"
    assert told["digest"] == action.digest
    assert told["tool_args"] == {"left_out": f"{2**21 + 22} bytes"}


def test_after_the_end_reading_is_refused_and_logging_is_counted(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    logger = TelemetryLogger(address)
    logger.close()
    logger.close()
    logger.log_llm_call("r")
    assert logger.lost == 1
    assert "telemetry is closed" in caplog.text
    with pytest.raises(StoreError, match="closed"):
        logger.get_events()


def test_a_logger_that_nobody_has_any_more_ends_its_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    logger = TelemetryLogger(tmp_path / "t.db")
    logger.log_llm_call("r")
    (thread,) = set(threading.enumerate()) - before
    del logger
    thread.join(60)
    assert not thread.is_alive()
    again = TelemetryLogger(tmp_path / "t.db")
    assert len(again.get_events()) == 1
    again.close()


def test_each_event_is_kept_or_counted_as_lost_also_when_it_is_closed_meanwhile(
    tmp_path: Path,
) -> None:
    logger = TelemetryLogger(tmp_path / "t.db")

    def work(number: int) -> None:
        for count in range(2000):
            logger.log_llm_call(f"run-{number}", tokens_in=count)
            if (number, count) == (0, 1000):
                logger.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    again = TelemetryLogger(tmp_path / "t.db")
    kept = len(again.get_events())
    again.close()
    assert 1000 <= kept < 8000
    assert kept + logger.lost == 8000


@pytest.mark.parametrize("end", ["pass", "raise SystemExit(3)", "1 / 0"])
def test_what_was_logged_is_kept_however_the_program_ends(tmp_path: Path, end: str) -> None:
    program = f"""
        from sayso.telemetry import TelemetryLogger
        logger = TelemetryLogger({str(tmp_path / "t.db")!r})
        for number in range(3000):
            logger.log_llm_call("r", tokens_in=number)
        {end}
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], check=False, capture_output=True
    )
    logger = TelemetryLogger(tmp_path / "t.db")
    found = [event.payload["tokens_in"] for event in logger.get_events()]
    logger.close()
    assert found == list(range(3000))


def test_hardly_anything_is_needed_to_import_it() -> None:
    heavy = "{'asyncpg', 'opentelemetry', 'sqlalchemy', 'pydantic'}"
    program = f"import sys, sayso.telemetry; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


class Broken:
    def __getattr__(self, name: str) -> Any:
        raise OSError("away")


def test_of_several_one_that_fails_does_not_keep_it_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, last = TelemetryLogger(), TelemetryLogger()
    several = Several(first, Broken(), last)
    with caplog.at_level(logging.ERROR):
        several.log_action_proposed("r", ACTION)
        several.log_approval_requested("r", REQUEST, "console")
        several.log_approval_decided("r", decided(), "console")
        several.log_tool_execution_start("r", ACTION)
        several.log_tool_execution_end("r", ran())
        several.log_error("r", ValueError("x"))
    assert [e.event_type for e in first.get_events()] == [e.event_type for e in last.get_events()]
    assert len(last.get_events()) == 6
    assert several.errors == 6
    assert len(caplog.records) == 1
    first.close()
    last.close()
