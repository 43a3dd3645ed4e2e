"""A real server in a process of its own, to be talked to, killed and started again."""

import os
import re
import subprocess
from pathlib import Path
from typing import Self

from support import warm

from sayso.client import Client

_LINK = re.compile(r"^(http://localhost:(\d+))/login\?token=(\S+)$")
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith("SAYSO_")
} | {"PYTHONUNBUFFERED": "1", "COLUMNS": "120"}


class Served:
    """`sayso serve` (or `demo`), with its data in `data`.

    Args:
        port: 0 takes a free one; to start it again, `port_to_come_back_to`.
    """

    def __init__(self, data: Path, command: str = "serve", *, port: int = 0) -> None:
        self.data = data
        self.port = port
        self._command = command
        self.start()

    def start(self) -> None:
        """Start it, again on the same port, and return when it listens."""
        words = [self._command, "--port", str(self.port), "--data", str(self.data)]
        end, output = os.pipe()
        self.process = warm.Process(["sayso.cli", *words], environment=ENVIRONMENT, output=output)
        os.close(output)
        self.said = os.fdopen(end)
        self.banner: list[str] = []
        for line in self.said:
            self.banner.append(line.rstrip("\n"))
            if found := _LINK.match(self.banner[-1]):
                self.url, port, self.link_token = found.groups()
                self.port = int(port)
                return
        raise AssertionError(f"no sign-in link in {self.banner}")

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self._reap()

    def stop(self, signal: int) -> int:
        """Send the signal; the exit status."""
        self.process.send_signal(signal)
        return self._reap()

    def client(self) -> Client:
        """As an agent."""
        return Client(self.url, timeout=60, retry_seconds=60)

    def person(self) -> Client:
        """As the person who opened the link; good once for each start."""
        client = self.client()
        client.sign_in(self.link_token)
        return client

    def sayso(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The command line, talking to this server."""
        return warm.run(*words, environment=self.environment(**environment))

    def environment(self, **more: str) -> dict[str, str]:
        """Which names this server to the command line."""
        return {**ENVIRONMENT, "SAYSO_URL": self.url, "SAYSO_DATA": str(self.data), **more}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()

    def _reap(self) -> int:
        status = self.process.wait(60)
        self.said.close()
        return status
