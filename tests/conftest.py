"""What all tests share: servers, people, tools, and loud skips."""

import os
import shutil
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from support.person import Person
from support.server import RunningServer, port_to_come_back_to
from support.servers import LocalServer, NatsServer, PostgresServer, RedisServer

ROOT = Path(__file__).parents[1]
Backend = TypeVar("Backend", bound=LocalServer)
IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


settings.register_profile(
    "busy", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy")
"""An example may take as long as the machine takes: that tells nothing of the product."""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningServer]:
    """One server for all tests of a module; leave it running."""
    running = RunningServer(tmp_path_factory.mktemp("server")).start()
    yield running
    running.stop()


@pytest.fixture
def fresh_server(tmp_path: Path) -> Generator[RunningServer]:
    """A server of one's own, to kill, restart and stop."""
    running = RunningServer(tmp_path, port=port_to_come_back_to()).start()
    yield running
    running.kill9()


@pytest.fixture
def person(server: RunningServer) -> Generator[Person]:
    """Somebody who decides, signed in at `server`."""
    somebody = Person(server)
    yield somebody
    somebody.close()


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with the packages of .tools/node."""
    found = ROOT / ".venv/bin/node"
    path = str(found) if found.exists() else shutil.which("node")
    if path is None or not (ROOT / ".tools/node/node_modules/axios").exists():
        pytest.skip("Node.js or its package axios is missing: run tools/install_test_tools.py")
    return path


@pytest.fixture(scope="session")
def curl() -> str:
    path = shutil.which("curl")
    if path is None or shutil.which("bash") is None:
        pytest.skip("curl or bash is missing: run tools/install_test_tools.py")
    return path


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[PostgresServer]:
    """PostgreSQL, for all tests of this process; one that kills it starts it again."""
    yield from _running(PostgresServer, tmp_path_factory)


@pytest.fixture
def postgres_dsn(postgres_server: PostgresServer) -> Generator[str]:
    """The address of a fresh, empty database."""
    dsn = postgres_server.start().create_database()
    yield dsn
    postgres_server.start().drop_database(dsn)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    """Redis, for all tests of this process; one that kills it starts it again."""
    yield from _running(RedisServer, tmp_path_factory)


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of an empty Redis."""
    redis_server.start().flush()
    return redis_server.url


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[NatsServer]:
    """NATS, for all tests of this process; one that kills it starts it again."""
    yield from _running(NatsServer, tmp_path_factory)


@pytest.fixture
def nats_url(nats_server: NatsServer) -> str:
    """The address of NATS."""
    return nats_server.start().url


def _running(kind: type[Backend], folders: pytest.TempPathFactory) -> Generator[Backend]:
    missing = kind.missing()
    if missing is not None:
        pytest.skip(f"{missing} is missing: run tools/install_test_tools.py")
    server = kind(folders.mktemp(kind.name)).start()
    yield server
    server.stop()


MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 4 * 2**30


def pytest_configure() -> None:
    """Keep the folders of tests in memory, where a flush takes no time; let programs hear Ctrl-C.

    A process that is killed loses nothing by that: only a machine without power would. Tests of
    crashes are on the disk all the same (`durable`): there, one is caught in the midst of a flush.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell began us in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_DEBUG_TEMPROOT" in os.environ or not MEMORY.is_dir():
        return
    about = os.statvfs(MEMORY)
    can_run_programs = not about.f_flag & os.ST_NOEXEC
    if can_run_programs and about.f_bavail * about.f_frsize > ENOUGH_BYTES:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Path]:
    """A folder of the test's own; on the disk, if it is `durable`."""
    if request.node.get_closest_marker("durable") is None:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="sayso-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Where everything must be installed, a test that does not run is a failure."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"CI=true, so nothing may be skipped: {report.longrepr}"


LONGEST = (
    "test_soak", "test_openapi_fuzz", "test_accessibility", "test_rolling_restart", "test_deploy",
    "test_edits_and_long_texts", "test_inbox", "test_replicas", "test_reviews",
    "test_settings_pages", "test_docs_blocks", "test_passkeys",
)  # fmt: skip
"""Modules that take longest: begun first, so that no worker is left alone with one at the end."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Much of what is tested waits for other processes: half as many again as there are cores."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.getreports("skipped")
    if not skipped:
        return
    terminalreporter.section(f"{len(skipped)} SKIPPED: these were NOT tested", yellow=True)
    for report in skipped:
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.line(f"{report.nodeid}: {why}")
