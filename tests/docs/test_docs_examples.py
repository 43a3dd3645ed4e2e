"""Every example runs as it is, and is short enough to be read at once."""

import subprocess
import sys
from pathlib import Path

import pytest
from blocks import Terminal
from reader import Reviewer
from support.server import RunningServer

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".py", ".sh"))
MAX_LINES = 60
SERVERS = {"webhook_server.py"}
"""They do not end by themselves; tests of their own start and call them."""
ENDING = [path for path in EXAMPLES if path.name not in SERVERS]


@pytest.mark.parametrize("example", ENDING, ids=lambda path: path.name)
def test_an_example_runs(
    example: Path, page_server: RunningServer, reviewer: Reviewer, terminal: Terminal
) -> None:
    program = {".py": sys.executable, ".sh": "bash"}[example.suffix]
    for seconds in ("2", "30"):  # so long one of them watches what may come late
        done = subprocess.run(
            [program, str(example)],
            check=False,
            cwd=terminal.folder,
            env=terminal.environment | {"SECONDS_TO_WATCH": seconds},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        if done.stdout.strip():
            break
    assert done.stdout.strip(), "An example shows something."
    assert not done.stderr, done.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_says_what_it_shows(example: Path) -> None:
    lines = example.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MAX_LINES
    text = "\n".join(lines[:3])
    assert '"""' in text or "\n# " in text, "It begins with what it shows."
