"""Every code block of the documentation does what the page says.

hitloop 31 and 59: programs of its read-me did not run as written: a graph without its first edge, a
policy with an attribute that nobody sets, a name that could not be imported from where it stood.
"""

import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from blocks import Block, Terminal, blocks_of, fits
from reader import Reviewer
from support.server import RunningServer

from sayso.client import Client
from sayso.policies.rules import load_file, run_cases

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NOBODY_DECIDES = "nobody decides"
USUAL_URL = "http://localhost:8080"
ENDLESS = "runs until it is stopped"
ONLY_READ = "only read"
"""For machines that a test has not got: with systemd, containers, a cluster."""
_MAKE = re.compile(r"^(?:\$ )?make(?P<words>[^#\n]*)(?:#[^\n]*)?\n", re.MULTILINE)
_NAMED = re.compile(r"# (?P<name>\w+\.py)\n")
_POLICY = re.compile(r"# (?P<name>\w+\.yaml)\n")
_MAX_TIME = re.compile(r"--max-time \d+")
"""How long a reader looks at a stream that does not end; on a busy machine it may be too short."""
_SAID = re.compile(r"# -> (?P<text>.+)$", re.MULTILINE)


class Visit:
    """One reader's way through one page."""

    def __init__(self, server: RunningServer, reviewer: Reviewer, terminal: Terminal) -> None:
        self._server = server
        self._reviewer = reviewer
        self._terminal = terminal
        self._names: dict[str, Any] = {"__name__": "__main__"}

    def try_out(self, block: Block) -> None:
        (
            self._reviewer.rests.set
            if block.order == NOBODY_DECIDES
            else self._reviewer.rests.clear
        )()
        code = self._at_our_server(block.code)
        if block.order == ONLY_READ:
            subprocess.run(["bash", "-n"], input=code, text=True, check=True)
            return
        match block.language:
            case "python":
                self._python(block, code)
            case "bash":
                self._bash(block, code)
            case "console":
                self._console(block.code)
            case "json":
                json.loads(code)
            case "yaml":
                self._policy(code)
            case "text":
                pass  # a diagram
            case other:
                raise AssertionError(f"No test knows how to run the language {other!r}.")

    def _at_our_server(self, code: str) -> str:
        return code.replace("localhost:8080", f"localhost:{self._server.port}")

    def close(self) -> None:
        for value in self._names.values():
            if isinstance(value, Client):
                value.close()

    def _python(self, block: Block, code: str) -> None:
        if named := _NAMED.match(code):
            (self._terminal.folder / named["name"]).write_text(code)  # a later block runs it
            return
        printed = io.StringIO()
        program = compile("\n" * (block.line - 1) + code, str(block.page), "exec")
        with contextlib.redirect_stdout(printed), contextlib.chdir(self._terminal.folder):
            exec(program, self._names)
        lines = iter(printed.getvalue().splitlines())
        for said in _SAID.finditer(code):
            text = said["text"].strip()
            assert any(fits(text, line) for line in lines), (
                f"{text!r} was not printed, but:\n{printed.getvalue()}"
            )

    def _policy(self, code: str) -> None:
        named = _POLICY.match(code)
        assert named, "A policy begins with its file's name."
        file = self._terminal.folder / named["name"]
        file.write_text(code)  # later blocks use it
        assert all(result.passed for result in run_cases(load_file(file)))

    def _bash(self, block: Block, code: str) -> None:
        check_make_targets(code)
        script = _MAKE.sub("", code)
        if block.order == ENDLESS:
            assert self._terminal.run_until_stopped(script.strip()), "It said nothing."
        elif script.strip():
            self._terminal.run(script)

    def _console(self, code: str) -> None:
        check_make_targets(code)
        for part in filter(None, re.split(r"^(?=\$ )", code, flags=re.MULTILINE)):
            command, _, expected = part.partition("\n")
            assert command.startswith("$ "), f"no command before {part!r}"
            if _MAKE.match(part):
                continue
            printed = self._printed_by(command[2:])
            if not fits(expected, printed) and _MAX_TIME.search(command):
                printed = self._printed_by(_MAX_TIME.sub("--max-time 30", command[2:]))
            assert fits(expected, printed), f"{command}\nexpected:\n{expected}\ngot:\n{printed}"

    def _printed_by(self, command: str) -> str:
        printed = self._terminal.help_of(command)
        if printed is None:
            printed = self._terminal.run(self._at_our_server(command))
        return printed.replace(self._server.url, USUAL_URL)


def check_make_targets(code: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for found in _MAKE.finditer(code):
        named = {word for word in found["words"].split() if "=" not in word and '"' not in word}
        assert named <= targets, f"The Makefile has no {named - targets}."


@pytest.mark.timeout(600)  # a page is many commands, each a process
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_runs(
    page: Path,
    page_server: RunningServer,
    reviewer: Reviewer,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SAYSO_URL", "SAYSO_DATA"):
        monkeypatch.setenv(name, terminal.environment[name])
    visit = Visit(page_server, reviewer, terminal)
    try:
        for block in blocks_of(page):
            try:
                visit.try_out(block)
            except BaseException as error:
                error.add_note(f"in the block at {block} ({block.language})")
                raise
    finally:
        visit.close()


def test_the_first_program_of_the_read_me_runs_as_pasted(
    page_server: RunningServer, reviewer: Reviewer, terminal: Terminal
) -> None:
    block = next(b for b in blocks_of(ROOT / "README.md") if b.language == "python")
    code = block.code.replace("localhost:8080", f"localhost:{page_server.port}")
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=terminal.folder,
        env=terminal.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [said.strip() for said in _SAID.findall(code)]


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("id ... ok", "id 17 ok\n", True),
        ("a", "a\nb", False),
        ("[x]*?", "[x]*?", True),
        ("[x]", "x", False),
    ],
)
def test_dots_stand_for_anything_and_nothing_else_does(
    expected: str, actual: str, same: bool
) -> None:
    assert fits(expected, actual) is same
