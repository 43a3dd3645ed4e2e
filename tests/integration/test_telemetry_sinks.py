"""Traces in real files and databases: shared, locked, broken, full, and of others."""

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.servers import PostgresServer
from support.traces import ACTION, REQUEST, decided, ran

from sayso.domain.actions import Action
from sayso.domain.traces import RunMetadata, TraceEventType
from sayso.errors import ConfigurationError, StoreError
from sayso.telemetry import TelemetryLogger, writer

Make = Callable[..., TelemetryLogger]


@pytest.fixture
def make() -> Generator[Make]:
    made: list[TelemetryLogger] = []

    def make(address: str | Path, **options: Any) -> TelemetryLogger:
        made.append(TelemetryLogger(address, **options))
        return made[-1]

    yield make
    for logger in made:
        logger.close()


_WRITES = """
    import sys
    from sayso.telemetry import TelemetryLogger, sqlite
    sqlite._LOCK_SECONDS = 60
    name, address, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    logger = TelemetryLogger(address)
    for number in range(count):
        logger.log_llm_call(name, tokens_in=number, prompt_hash="x" * 500)
    logger.close()
    assert (logger.errors, logger.lost) == (0, 0), (logger.errors, logger.lost)
"""


@pytest.mark.parametrize("name", ["trace.db", "trace.jsonl"])
def test_several_processes_write_to_one_file_and_nothing_is_lost(
    tmp_path: Path, make: Make, name: str
) -> None:
    """hitloop 35: four writers stalled one another for seconds."""
    address = str(tmp_path / name)
    program = textwrap.dedent(_WRITES)
    started = [
        subprocess.Popen([sys.executable, "-c", program, f"p{number}", address, "2000"])
        for number in range(4)
    ]
    assert [process.wait(150) for process in started] == [0] * 4
    logger = make(address)
    for number in range(4):
        told = [event.payload["tokens_in"] for event in logger.get_events(f"p{number}")]
        assert told == list(range(2000))
    assert len(logger.get_events()) == 8000


def test_whoever_logs_does_not_wait_for_a_locked_file(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hitloop 35: each event was a commit, for which the event loop waited."""
    monkeypatch.setattr("sayso.telemetry.sqlite._LOCK_SECONDS", 60)
    logger = make(tmp_path / "t.db")
    logger.flush()
    other = sqlite3.connect(tmp_path / "t.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    for _ in range(1000):
        logger.log_action_proposed("r", ACTION)
    took = time.monotonic() - began
    held = threading.Timer(max(1.0, 2 * took), lambda: None)
    held.start()
    held.join()
    other.execute("COMMIT")
    other.close()
    assert len(logger.get_events()) == 1000
    assert (logger.errors, logger.lost) == (0, 0)


def test_a_sink_that_fails_for_a_while_gets_everything_in_the_end_once(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sayso.telemetry.sqlite._LOCK_SECONDS", 0.05)
    logger = make(tmp_path / "t.db")
    logger.log_llm_call("r", tokens_in=0)
    logger.flush()
    other = sqlite3.connect(tmp_path / "t.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for number in range(1, 100):
        logger.log_llm_call("r", tokens_in=number)
    with pytest.raises(StoreError, match="locked"):
        logger.flush()
    assert logger.errors > 0
    other.execute("COMMIT")
    other.close()
    told = [event.payload["tokens_in"] for event in _patiently(logger.get_events)]
    assert told == list(range(100))
    assert logger.lost == 0
    assert "not written now" in caplog.text
    assert "written again" in caplog.text


def test_more_than_may_wait_is_lost_but_counted_and_told_where(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "MOST_QUEUED", 10)
    logger = make(tmp_path / "t.db")
    other = sqlite3.connect(tmp_path / "t.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for number in range(100):
        logger.log_llm_call("r", tokens_in=number)
    assert 75 <= logger.lost <= 90
    lost = logger.lost
    other.execute("COMMIT")
    other.close()
    kept = [event.payload["tokens_in"] for event in logger.get_events("r")]
    assert kept == sorted(kept)
    assert len(kept) == 100 - lost
    (gap,) = logger.get_events(event_type=TraceEventType.ERROR)
    assert (gap.payload["error_type"], gap.payload["context"]) == ("EventsLost", {"lost": lost})
    logger.log_llm_call("r", tokens_in=100)
    assert logger.get_events("r")[-1].payload["tokens_in"] == 100
    assert "events are lost" in caplog.text


def test_a_forked_process_writes_for_itself_and_the_parent_s_events_are_not_doubled(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LINGER_SECONDS", 60)  # they are still queued when it forks
    logger = make(tmp_path / "t.db")
    for _ in range(100):
        logger.log_llm_call("parent")

    def work() -> None:
        for _ in range(100):
            logger.log_llm_call("child")

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    for _ in range(100):
        logger.log_llm_call("parent")
    assert len(logger.get_events("parent")) == 200
    assert len(logger.get_events("child")) == 100


@pytest.mark.parametrize("name", ["trace.db", "trace.jsonl"])
def test_a_kill_takes_no_more_than_the_last_moment(tmp_path: Path, make: Make, name: str) -> None:
    program = f"""
        import time
        from sayso.telemetry import TelemetryLogger
        logger = TelemetryLogger({str(tmp_path / name)!r})
        for number in range(500):
            logger.log_llm_call("r", tokens_in=number)
        time.sleep(600)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    try:
        until = time.monotonic() + 60
        while _written(tmp_path / name) < 500:
            assert time.monotonic() < until, "They were not written."
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    assert len(make(tmp_path / name).get_events()) == 500


def _written(trace: Path) -> int:
    """How many events are in a file, as another program sees it."""
    if not trace.exists():
        return 0
    if trace.suffix == ".jsonl":
        return trace.read_bytes().count(b"\n")
    with closing(sqlite3.connect(f"file:{trace}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute("SELECT count(*) FROM trace_events").fetchone()[0]
        except sqlite3.OperationalError:  # it is being made
            return 0


_HITLOOP = """
CREATE TABLE trace_events (id INTEGER PRIMARY KEY, timestamp DATETIME, run_id VARCHAR(64),
    event_type VARCHAR(64), payload JSON);
CREATE TABLE runs (id INTEGER PRIMARY KEY, run_id VARCHAR(64) UNIQUE);
"""


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (_HITLOOP, "hitloop's"),
        ("CREATE TABLE customers (id INTEGER)", "another program's"),
        ("PRAGMA application_id = 1398896980; PRAGMA user_version = 99", "newer Sayso"),
    ],
)
def test_a_database_that_is_no_trace_is_refused_and_left_as_it_is(
    tmp_path: Path, script: str, said: str
) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=said):
        TelemetryLogger(path)
    assert path.read_bytes() == before


def test_what_cannot_be_opened_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text(
        "This is no database, and long enough to be seen as none." * 9
    )
    with pytest.raises(ConfigurationError, match="no SQLite database"):
        TelemetryLogger(tmp_path / "text.db")
    for name in ("nowhere/t.db", "nowhere/t.jsonl"):
        with pytest.raises(StoreError, match="No such file"):
            TelemetryLogger(tmp_path / name)
    with pytest.raises(ConfigurationError, match="mysql"):
        TelemetryLogger("mysql://localhost/traces")


def test_a_trace_is_for_its_owner_alone(tmp_path: Path, make: Make) -> None:
    for name in ("t.db", "t.jsonl"):
        make(tmp_path / name).flush()
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_a_torn_line_is_passed_over_and_ended_before_the_next(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "t.jsonl"
    first = make(path)
    first.log_llm_call("r", tokens_in=1)
    first.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    second = make(path)
    second.log_llm_call("r", tokens_in=2)
    assert [event.payload["tokens_in"] for event in second.get_events()] == [1, 2]


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("name", ["trace.db", "trace.jsonl"])
def test_on_a_full_disk_nothing_is_doubled_and_the_rest_follows_when_there_is_room(
    tmp_path: Path, make: Make, name: str
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small)], check=False
    )
    if mounted.returncode:
        pytest.skip("mount is not permitted here")
    try:
        logger = TelemetryLogger(small / name)
        (small / "ballast").write_bytes(b"x" * 400_000)
        for number in range(60):
            logger.log_llm_call("r", tokens_in=number, prompt_hash="x" * 5000)
        with pytest.raises(StoreError, match="cannot be written"):
            logger.flush()
        (small / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=8m", str(small)], check=True)
        told = [event.payload["tokens_in"] for event in _patiently(logger.get_events)]
        assert told == list(range(60))
        logger.close()
        assert logger.lost == 0
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def _run(logger: TelemetryLogger) -> None:
    logger.log_run_start(RunMetadata(run_id="r", seed=3, scenario_id="email"))
    logger.log_action_proposed("r", ACTION)
    logger.log_approval_requested("r", REQUEST, "console")
    logger.log_approval_decided("r", decided(latency_ms=40), "console")
    logger.log_tool_execution_start("r", ACTION)
    logger.log_tool_execution_end("r", ran())
    logger.log_run_end("r", success=True, validation_details={"checked": True})


def test_sql_finds_runs_and_what_was_decided_in_them(tmp_path: Path, make: Make) -> None:
    logger = make(tmp_path / "t.db")
    _run(logger)
    logger.flush()
    connection = sqlite3.connect(tmp_path / "t.db")
    (run,) = connection.execute(
        "SELECT run_id, scenario_id, seed, task_success, validation_details FROM runs"
    )
    assert run == ("r", "email", 3, 1, '{"checked":true}')
    (decision,) = connection.execute(
        "SELECT run_id, payload ->> 'decided_by', payload ->> 'latency_ms' FROM trace_events"
        " WHERE event_type = 'approval_decided'"
    )
    assert decision == ("r", "Bob", 40)
    connection.close()


def test_a_trace_in_postgresql_is_read_back_as_it_was_told(postgres_dsn: str, make: Make) -> None:
    """hitloop 41: there was none in PostgreSQL."""
    logger = make(postgres_dsn, redact=["*:to"])
    _run(logger)
    logger.log_error("r", ValueError("a\0b \\u0000 c"))
    logger.log_llm_call("")
    events = logger.get_events()
    assert [event.event_type.value for event in events] == [
        "run_start",
        "action_proposed",
        "approval_requested",
        "approval_decided",
        "tool_execution_start",
        "tool_execution_end",
        "run_end",
        "error",
        "llm_call",
    ]
    assert events[1].payload["tool_args"] == {**ACTION.tool_args, "to": "[redacted]"}
    assert events[7].payload["error_message"] == "a\ufffdb \\u0000 c"
    assert all(event.timestamp.tzinfo is not None for event in events)
    assert logger.get_events(limit=0) == []
    assert len(logger.get_events(run_id="")) == 1
    assert len(logger.get_events(event_type="error")) == 1
    other = make(postgres_dsn)
    assert other.get_run_metadata("r") == logger.get_run_metadata("r")
    assert other.get_all_runs()[0].validation_details == {"checked": True}
    assert (logger.errors, logger.lost) == (0, 0)


def test_a_database_that_restarts_gets_everything_once(
    postgres_server: PostgresServer, postgres_dsn: str, make: Make
) -> None:
    logger = make(postgres_dsn)
    for number in range(500):
        logger.log_llm_call("r", tokens_in=number)
    logger.flush()
    postgres_server.kill9()
    for number in range(500, 1000):
        logger.log_llm_call("r", tokens_in=number)
    with pytest.raises(StoreError, match="cannot be"):
        logger.flush()
    postgres_server.start()
    told = [event.payload["tokens_in"] for event in _patiently(logger.get_events)]
    assert told == list(range(1000))
    assert logger.lost == 0


def test_a_batch_that_is_sent_twice_is_kept_once(postgres_dsn: str) -> None:
    from sayso.telemetry.postgres import PostgresSink

    sink = PostgresSink(postgres_dsn)
    line = b'{"timestamp":"2026-01-01T00:00:00Z","run_id":"r","event_type":"error","payload":{}}'
    sink.write([line])
    sink._batch -= 1  # as if the connection was lost before the answer came
    sink.write([line])
    assert len(sink.events()) == 1
    sink.write([line])
    assert len(sink.events()) == 2
    sink.close()


def test_an_address_of_a_database_that_is_not_there_is_told_without_its_password() -> None:
    with pytest.raises(StoreError) as caught:
        TelemetryLogger("postgresql://me:s3cret@127.0.0.1:1/none")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigurationError) as refused:
        TelemetryLogger("postgresql://me:cret#1@127.0.0.1:1/none")
    assert "cret" not in str(refused.value)


def test_an_event_that_cannot_be_kept_is_lost_alone(
    tmp_path: Path, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    logger = make(tmp_path / "t.db")
    logger.log_llm_call("r", tokens_in=1)
    logger._writer.put(b"this is not JSON")
    logger.log_llm_call("r", tokens_in=2)
    assert [event.payload["tokens_in"] for event in logger.get_events()] == [1, 2]
    assert (logger.errors, logger.lost) == (1, 1)
    assert "this is not JSON" in caplog.text


def test_actions_of_agents_with_strange_names_are_kept(postgres_dsn: str, make: Make) -> None:
    names = ["a'b", 'a"b', "x" * 256, "naïve\u202e", "tab\tnewline\n"]
    logger = make(postgres_dsn)
    for name in names:
        logger.log_action_proposed("run\0id", Action(tool_name=name, tool_args={"\0": "\0"}))
    assert [event.payload["tool_name"] for event in logger.get_events()] == names


def _patiently(read: Callable[[], Any]) -> Any:
    """What it reads, once the sink is back."""
    until = time.monotonic() + 60
    while True:
        try:
            return read()
        except StoreError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
