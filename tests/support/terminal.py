"""A program at a pseudo-terminal of its own, and whoever types there."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from support.server import clean_environment

ROOT = Path(__file__).parents[2]
_TAKE_IT = "import os; os.close(os.open(os.ttyname(0), os.O_RDWR))"
"""What the leader of a session opens first is its terminal, from which Ctrl-C comes."""


class TypedAt:
    """Runs a Python program whose standard streams are a terminal of 80 columns.

    Args:
        program: its text.
        environment: more variables for it.
    """

    def __init__(self, program: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        told = clean_environment(COLUMNS="80", TERM="xterm-256color", **environment)
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"{_TAKE_IT}\n{program}"],
            stdin=theirs, stdout=theirs, stderr=theirs, env=told, cwd=ROOT, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.screen = ""
        self.all = ""
        """All that has come to the screen."""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, *texts: str, seconds: float = 60) -> str:
        """What has come to the screen since the last time, once `texts` are in it, in any order."""
        end = time.monotonic() + seconds
        while not all(text in self.screen for text in texts):
            left = end - time.monotonic()
            assert left > 0, f"{texts} did not come:\n{self.screen}"
            if not self._read(left):
                break
        assert all(text in self.screen for text in texts), f"No {texts}:\n{self.screen}"
        place = max(self.screen.index(text) + len(text) for text in texts)
        seen, self.screen = self.screen[:place], self.screen[place:]
        return seen

    def ended(self, seconds: float = 60) -> str:
        """The rest of the screen, once the program has ended."""
        while self._read(seconds):
            pass
        assert self._process.wait(seconds) == 0, self.screen
        return self.screen

    def hang_up(self, seconds: float = 60) -> None:
        """Take the terminal away, and await the end of the program."""
        os.close(self._ours)
        self._ours = -1
        self._process.wait(seconds)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        try:
            part = os.read(self._ours, 65_536)
        except OSError:  # how a pseudo-terminal ends
            return False
        shown = re.sub(r"\x1b\[[0-9;]*m", "", part.decode()).replace("\r\n", "\n")
        self.screen, self.all = self.screen + shown, self.all + shown
        return bool(part)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._ours >= 0:
            os.close(self._ours)
