import os
import subprocess
import sys

import pytest
from support import warm

from sayso.cli import COMMANDS
from sayso.version import __version__


def sayso(*words: str, code: str = "") -> subprocess.CompletedProcess[str]:
    command = ["-c", code] if code else ["-m", "sayso.cli"]
    return subprocess.run(
        [sys.executable, *command, *words], capture_output=True, text=True, timeout=120, check=False
    )


def test_help_names_every_command_and_costs_next_to_nothing() -> None:
    """The processor's time, which hardly depends on what else the machine does."""
    times = []
    for _ in range(5):
        before = os.times()
        shown = sayso("--help")
        after = os.times()
        times.append(sum(after[2:4]) - sum(before[2:4]))  # of processes that have ended
    assert shown.returncode == 0
    assert all(command in shown.stdout for command in COMMANDS)
    assert min(times) < 0.3


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, sayso.cli\ntry: sayso.cli.main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'cyclopts', 'rich', 'httpx2', 'msgspec'} & sys.modules.keys()))"
    )
    assert sayso(code=code).stdout.endswith("[]\n")


@pytest.mark.parametrize("words", [(), ("-h",), ("help",)])
def test_asking_for_nothing_shows_the_help(words: tuple[str, ...]) -> None:
    assert sayso(*words).stdout == sayso("--help").stdout


def test_the_version() -> None:
    assert sayso("--version").stdout == f"{__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_describes_itself(command: str) -> None:
    shown = warm.run(command, "--help", environment=os.environ)
    assert shown.returncode == 0
    assert COMMANDS[command].split(",")[0].rstrip(".") in shown.stdout.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("serv",), 'Did you mean "serve"'),
        (("requests", "lst"), 'Did you mean "list"'),
        (("ask",), "MESSAGE"),
        (("ask", "?", "--risk", "huge"), "huge"),
        (("ask", "?", "--args", "{}"), "--tool NAME"),
        (("ask", "?", "--tool", "t", "--args", "{"), "--args is not JSON"),
        (("ask", "?", "--tool", "t", "--args", "[]"), "not a JSON object"),
        (("ask", "?", "--schema", "/does/not/exist"), "cannot be read"),
        (("requests", "show", "abc"), "too short"),
        (("login-link", "--data", "/does/not/exist"), "no Sayso server data"),
        (("serve", "--port", "99999"), "99999"),
    ],
)
def test_a_mistake_is_told_in_words_with_status_2(words: tuple[str, ...], said: str) -> None:
    failed = warm.run(*words, environment=os.environ)
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert failed.stderr.startswith("sayso: ")
    assert said in failed.stderr
    assert "Traceback" not in failed.stderr


def test_without_a_server_it_says_how_to_start_one() -> None:
    failed = sayso("requests", "list", "--url", "http://127.0.0.1:9")
    assert failed.returncode == 2
    assert "sayso serve" in failed.stderr


@pytest.mark.parametrize("package", ["cyclopts", "rich"])
def test_without_the_extra_it_names_the_extra(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; import sayso.cli; sayso.cli.main()"
    failed = sayso("ask", "?", code=code)
    assert failed.returncode == 2
    assert "pip install 'sayso[cli]'" in failed.stderr


def test_without_the_server_extra_serving_names_it() -> None:
    code = "import sys; sys.modules['starlette'] = None; import sayso.cli; sayso.cli.main()"
    failed = sayso("serve", "--memory", code=code)
    assert failed.returncode == 2
    assert "pip install 'sayso[server]'" in failed.stderr
