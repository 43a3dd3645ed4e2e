"""A real server process: started, killed, restarted, stopped."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import httpx2
from support import warm
from support.raw import exchange, head
from support.servers import port_to_come_back_to as port_to_come_back_to  # taken from here by tests

from sayso.links import load_secret, make_link_token
from sayso.settings import SETTINGS

COMMAND = (sys.executable, "-m", "sayso.cli", "serve")
_PYTHON = 2
"""How many of its words start Python."""
START_SECONDS = 120
SAYS_SECONDS = 60
_LINK = re.compile(r"http://localhost:(?P<port>\d+)/login\?token=\S+")
_WORKS = re.compile(r"worker: ready")
_FOREIGN_NAMES = {
    "TELEGRAM_BOT_TOKEN",
    "DB_ADAPTER",
    "DB_URI",
    "STORAGE_ADAPTER",
    "POSTGRES_DSN",
    "SQLITE_DSN",
    "JWT_SECRET_KEY",
    "API_KEY_PREFIX",
}
_OUR_NAMES = {name for setting in SETTINGS.values() for name in setting.environment}


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment, without anything that would set a server up in another way."""
    names = _FOREIGN_NAMES | _OUR_NAMES
    kept = {k: v for k, v in os.environ.items() if k not in names and not k.startswith("SAYSO_")}
    return kept | {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "80"} | extra


class RunningServer:
    """`sayso serve` in a process of its own.

    Args:
        folder: where its data and its log go.
        port: 0 takes a free one.
        environment: settings for this server only.
        arguments: further words of the command line.
        secret: the file of its secret key, if it is not in its data folder.
        before: words in front of its command, such as `prlimit` and what it sets. With them it is
            started as people start it; else forked from one that has loaded, see `support.warm`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        secret: Path | None = None,
        before: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self.secret = secret or self.data / "secret.key"
        self.port = port
        self.link = ""
        self.process: subprocess.Popen[bytes] | warm.Process | None = None
        self._log = folder / "server.log"
        self._environment = clean_environment(**(environment or {}))
        self._arguments = arguments
        self._before = before

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def database(self) -> Path:
        return self.data / "sayso.db"

    @property
    def log(self) -> str:
        """All that it printed, on both streams, over all its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def until_it_says(self, words: str) -> re.Match[str]:
        """Wait until its log has this pattern: it may say so after it has answered."""
        until = time.monotonic() + SAYS_SECONDS
        while (found := re.search(words, self.log)) is None:
            assert time.monotonic() < until, f"It did not say {words!r}:\n{self.log}"
            time.sleep(0.02)
        return found

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> Self:
        """Start it, on the port and data that it had before, and wait for its link."""
        found = self._launch([*COMMAND, "--port", str(self.port)], _LINK)
        self.link, self.port = found.group(), int(found["port"])
        return self

    def _launch(self, command: Sequence[str], said: re.Pattern[str]) -> re.Match[str]:
        """Run it, and wait until it has said so."""
        seen = len(self.log)
        words = [*command, "--data", str(self.data), *self._arguments]
        with self._log.open("ab") as log:
            if self._before:
                self.process = subprocess.Popen(
                    [*self._before, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    process_group=0,  # Ctrl-C is for us: we stop it in our own order
                )
            else:
                self.process = warm.Process(
                    words[_PYTHON:], environment=self._environment, output=log.fileno()
                )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            found = said.search(self.log, seen)
            if found is not None:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        self.kill9()
        raise AssertionError(f"The server did not start:\n{self.log[seen:]}")

    def new_link(self) -> str:
        """Another one-time link, as `sayso login-link` prints it."""
        token = make_link_token(load_secret(self.secret, create=False), datetime.now(UTC))
        return f"{self.url}/login?token={token}"

    def sign_in(self) -> str:
        """A person's bearer token."""
        body = json.dumps({"token": self.new_link().partition("token=")[2]}).encode()
        size = f"Content-Length: {len(body)}"
        sent = head("POST", "/api/auth/link", self.port, size) + body
        status, reply = exchange(self.address, sent)
        assert status == 200, reply
        return json.loads(reply)["token"]

    def http(self, token: str | None = None, **settings: object) -> httpx2.Client:
        """A client of this server; with a token, a person's."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        verify = False  # nothing here is TLS, and reading all certificates takes long
        return httpx2.Client(
            base_url=self.url, headers=headers, timeout=90, verify=verify, **settings
        )

    def is_healthy(self) -> bool:
        status, reply = exchange(self.address, head("GET", "/health", self.port))
        return status == 200 and json.loads(reply)["status"] == "healthy"

    def kill9(self) -> None:
        """Kill it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """Ask it to stop."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def stop(self, limit: float = 60) -> float:
        """Stop it by SIGTERM; returns the seconds that it took."""
        assert self.process is not None
        began = time.monotonic()
        if self.process.poll() is None:
            self.terminate()
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"The server did not stop in {limit} seconds.") from None
        return time.monotonic() - began

    def restart(self) -> Self:
        """Start it again with the same port and data, killing it first if it still runs."""
        assert self.process is not None
        if self.process.poll() is None:
            self.kill9()
        return self.start()

    def open_files(self) -> int:
        """How many files and connections it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    async def until_gone(self, files: int) -> None:
        """Wait until no more than these are open: it has noticed that clients have vanished."""
        until = time.monotonic() + 60
        while self.open_files() > files:
            assert time.monotonic() < until, "It keeps connections whose clients are gone."
            await asyncio.sleep(0.01)

    def memory(self) -> int:
        """The bytes of memory that it holds."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def work(self) -> float:
        """The seconds that it has worked; what it waits, or others do, is not counted."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class RunningWorker(RunningServer):
    """`sayso worker` in a process of its own; it has no door, so it is at no address."""

    def start(self) -> Self:
        """Start it, and wait until it works."""
        self._launch([sys.executable, "-m", "sayso.cli", "worker"], _WORKS)
        return self
