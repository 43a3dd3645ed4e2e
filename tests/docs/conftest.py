"""A server, somebody who decides, and a terminal, as a reader of the documentation has them."""

import os
import shutil
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from blocks import Terminal
from reader import Reviewer
from support import warm
from support.server import RunningServer, clean_environment

BIN = Path(sys.executable).parent


@pytest.fixture
def page_server(tmp_path: Path) -> Generator[RunningServer]:
    """A new server for each page, so that no page counts on another."""
    (tmp_path / "server").mkdir()
    told = {"SAYSO_CALLBACK_NETWORKS": "127.0.0.0/8"}  # a reader receives on this machine
    running = RunningServer(tmp_path / "server", environment=told).start()
    yield running
    running.stop()


@pytest.fixture
def reviewer(page_server: RunningServer) -> Generator[Reviewer]:
    somebody = Reviewer(page_server)
    yield somebody
    somebody.close()


@pytest.fixture
def terminal(
    page_server: RunningServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Terminal:
    """A terminal in an empty folder, where `sayso` and `python` are ours.

    Those who read the first page run `sayso` as it is installed; for the hundreds of commands of
    the others it is forked from one that has loaded.
    """
    missing = [name for name in ("bash", "curl", "jq") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} missing: run tools/install_test_tools.py")
    folder = tmp_path / "reader"
    folder.mkdir()
    commands = tmp_path / "bin"
    commands.mkdir()
    if "README.md" not in request.node.name:
        warm.put_command(commands)
    environment = clean_environment(
        SAYSO_URL=page_server.url,
        SAYSO_DATA=str(page_server.data),
        SAYSO_PORT=str(page_server.port),
        PATH=f"{commands}:{BIN}:{os.environ['PATH']}",
    )
    ours = {k: v for k, v in environment.items() if not k.startswith("PYTEST_")}
    return Terminal(folder, ours)
