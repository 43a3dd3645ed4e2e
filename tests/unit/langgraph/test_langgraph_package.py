"""What comes with the package, and what it says when something is missing."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import sayso.langgraph

EXAMPLE = Path(__file__).parents[3] / "examples" / "langgraph_agent.py"


def test_what_is_missing_is_named_with_its_extra() -> None:
    program = """
import sys
for module in ("langgraph", "jsonschema_rs"):
    sys.modules[module] = None
    try:
        import sayso.langgraph
    except ImportError as error:
        print(type(error).__name__, error)
    del sys.modules[module]
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=150, check=True
    )
    for line, name in zip(done.stdout.splitlines(), ("langgraph", "jsonschema-rs"), strict=True):
        assert line.startswith("MissingExtraError")
        assert name in line
        assert line.endswith("pip install 'sayso[langgraph]'")


def test_all_names_are_there() -> None:
    assert all(hasattr(sayso.langgraph, name) for name in sayso.langgraph.__all__)


@pytest.mark.parametrize(
    ("words", "said"),
    [([], "42.0; sent to bob: 42.0"), (["--query", "What is 3 + 4 * 2?"], "11.0")],
)
def test_the_example_runs_by_itself(
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), "--simulate", "--auto", *words])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert capsys.readouterr().out == f"{said}\n"


def test_the_example_asks_before_it_mails() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--simulate"],
        input="n\n\n",
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Approve this action?" in done.stdout
    assert done.stdout.strip().endswith("42.0; Action was rejected")
