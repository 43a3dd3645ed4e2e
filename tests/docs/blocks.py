"""The code blocks of a Markdown page, and how each language is run."""

import fnmatch
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support import warm

_BLOCK = re.compile(
    r"(?:^<!-- test: (?P<order>[^\n]*?) -->\n+)?^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_HELP = re.compile(r"sayso (?P<words>[a-z -]*--help)")
_STATE = "bash-state"


@dataclass(frozen=True)
class Block:
    """One fenced block; `order` is what a comment above it says to the test."""

    page: Path
    line: int
    language: str
    code: str
    order: str = ""

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, found.start("language")) + 2,
            language=found["language"].strip(),
            code=found["code"],
            order=found["order"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]


def fits(expected: str, actual: str) -> bool:
    """Whether the lines are the same, where `...` stands for anything: on a line, or for lines."""
    pattern = "\n".join(line.rstrip() for line in expected.strip("\n").splitlines())
    lines = "\n".join(line.rstrip() for line in actual.strip("\n").splitlines())
    escaped = re.sub(r"([\[*?])", r"[\1]", pattern)
    return fnmatch.fnmatchcase(lines, escaped.replace("...", "*"))


@dataclass(frozen=True)
class Terminal:
    """A reader's terminal: what one block exports, the next one has."""

    folder: Path
    environment: dict[str, str]

    def run(self, script: str) -> str:
        """Run it to its end; what it printed, on both streams."""
        done = subprocess.run(
            self._words(script),
            check=False,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"exit status {done.returncode}:\n{script}\n{done.stdout}"
        return done.stdout

    def help_of(self, command: str) -> str | None:
        """What `command` prints, if it is `sayso ... --help` and nothing else."""
        asked = _HELP.fullmatch(command.strip())
        if asked is None:
            return None
        told = warm.run(*asked["words"].split(), environment=self.environment, folder=self.folder)
        assert (told.returncode, told.stderr) == (0, ""), f"{command}\n{told.stderr}"
        return told.stdout

    def run_until_stopped(self, command: str) -> str:
        """Run one command that does not end by itself, and stop it once it has said something."""
        with subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            printed = process.stdout.readline()
            try:
                process.wait(0.3)
                raise AssertionError(f"it ended by itself: {command}\n{process.stdout.read()}")
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
            process.wait(60)
        return printed

    def _words(self, script: str) -> Sequence[str]:
        state = self.folder / _STATE
        before = f"set -a\n[ ! -f {state} ] || . {state}\n"
        return [
            "bash",
            "-euo",
            "pipefail",
            "-c",
            f"{before}trap 'export -p > {state}' EXIT\n{script}\n",
        ]
