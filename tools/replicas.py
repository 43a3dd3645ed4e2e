"""Sayso on this machine as in production: PostgreSQL, two replicas, a worker, nginx in front.

Prints where they are and a sign-in link; Ctrl-C ends them, in the order in which nothing is lost.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from sayso.links import load_secret, make_link_token
from tools.servers import LocalServer, PostgresServer, port_to_come_back_to, tied

NGINX_CONF = Path(__file__).parents[1] / "deploy" / "nginx.conf"
_SAYSO = (sys.executable, "-m", "sayso.cli")


class Replica(LocalServer):
    """`sayso serve`, which leaves deliveries to the worker."""

    name = "A replica"

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def command(self) -> Sequence[str]:
        return [*tied(), *_SAYSO, "serve", "--no-worker", "--port", str(self.port)]

    def is_ready(self) -> bool:
        return b" 200 " in self._exchange(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")


class Worker(LocalServer):
    """`sayso worker`; it listens nowhere."""

    name = "The worker"

    def command(self) -> Sequence[str]:
        self._said_before = self.log.count(": ready.")
        return [*tied(), *_SAYSO, "worker"]

    def is_ready(self) -> bool:
        return self.log.count(": ready.") > self._said_before


class Nginx(LocalServer):
    """nginx with a configuration of ours, which is to listen on `port`."""

    name = "nginx"
    stop_signal = signal.SIGQUIT  # ends when what it holds has ended

    def __init__(self, folder: Path, configuration: str, *, port: int) -> None:
        super().__init__(folder)
        self.port = port
        self._file = folder / "nginx.conf"
        self._file.write_text(configuration)

    @classmethod
    def program(cls) -> Path:
        return Path(shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx")

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def command(self) -> Sequence[str]:
        words = ["-p", str(self.folder), "-c", str(self._file), "-e", "stderr"]
        ours = "user root;" if os.geteuid() == 0 else ""  # so that it may read our files
        return [*tied(), str(self.program()), *words, "-g", f"daemon off; pid nginx.pid; {ours}"]

    def is_ready(self) -> bool:
        return self._exchange(b"GET /health HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.")


def nginx_conf(text: str, folder: Path, *, listen: str, replicas: Sequence[int]) -> str:
    """A configuration of ours, with ports and files of this machine's.

    Args:
        text: the configuration as it is shipped.
        folder: where certificate, passwords and logs are.
        listen: the address to listen on.
        replicas: the ports of the replicas.
    """
    servers = "".join(f"        server 127.0.0.1:{port} max_fails=0;\n" for port in replicas)
    text = re.sub(r"(        server 127\.0\.0\.1:\d+.*\n)+", servers, text)
    text = re.sub(r"listen \d+ ", f"listen {listen} ", text)
    text = re.sub(r"worker_connections \d+", "worker_connections 4096", text)
    text = re.sub(r"worker_rlimit_nofile .*\n", "", text)
    temporary = "client_body proxy fastcgi uwsgi scgi"
    paths = "".join(f"    {name}_temp_path {folder};\n" for name in temporary.split())
    text = text.replace("http {\n", f"http {{\n{paths}", 1)
    return re.sub(r"/etc/nginx|/var/log/nginx", str(folder), text)


def open_to_this_machine(configuration: str) -> str:
    """The same, without HTTPS and passwords: for the loopback address only."""
    text = re.sub(r"^ *(ssl_|auth_basic).*\n", "", configuration, flags=re.MULTILINE)
    return re.sub(r"(listen \S+) ssl;", r"\1;", text)


_OURS = {
    f"SAYSO_{name}"
    for name in (
        "DATA",
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "HOST",
        "MEMORY",
        "PORT",
        "PUBLIC_URL",
        "SECRET_FILE",
        "SIGNAL_URL",
        "SIGNAL_URL_FILE",
        "WORKER",
    )
}
"""What is set here; other settings are those of whoever calls."""


class Cluster:
    """PostgreSQL, two replicas, a worker, and nginx in front of the replicas.

    Args:
        folder: where data, logs and the secret go.
        database_url: a PostgreSQL that runs already. Default: one is started.
        proxy: put nginx in front, if it is installed.
        port: the port of nginx, or of the first replica; 0 takes a free one.
        environment: further settings.
    """

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str = "",
        proxy: bool = True,
        port: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.secret = folder / "secret.key"
        self.postgres = None if database_url else PostgresServer(_new(folder / "postgres"))
        self._database_url = database_url
        self._ending = contextlib.ExitStack()
        kept = {k: v for k, v in os.environ.items() if k not in _OURS}
        self._settings = kept | {"SAYSO_SECRET_FILE": str(self.secret), **(environment or {})}
        self.replicas = [Replica(_new(folder / f"replica-{n}")) for n in (1, 2)]
        self.worker = Worker(_new(folder / "worker"))
        for replica in self.replicas:
            replica.port = port_to_come_back_to()
        self.proxy: Nginx | None = None
        port = port or port_to_come_back_to()
        if proxy and Nginx.missing() is None:
            place, ports = _new(folder / "nginx"), [each.port for each in self.replicas]
            shipped = NGINX_CONF.read_text()
            conf = nginx_conf(shipped, place, listen=f"127.0.0.1:{port}", replicas=ports)
            self.proxy = Nginx(place, open_to_this_machine(conf), port=port)
        else:
            self.replicas[0].port = port

    @property
    def url(self) -> str:
        """Where clients and people come in."""
        return (self.proxy or self.replicas[0]).url

    @property
    def servers(self) -> list[LocalServer]:
        """All but the database; they end in the opposite order, since what replicas still answer
        has to go through the proxy.
        """
        servers = [*self.replicas, self.worker]
        return servers if self.proxy is None else [self.proxy, *servers]

    def new_link(self) -> str:
        """A one-time sign-in link, as `sayso login-link` prints it."""
        token = make_link_token(load_secret(self.secret, create=False), datetime.now(UTC))
        return f"{self.url}/login?token={token}"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as ending:
            if self.postgres is not None:
                ending.callback(self.postgres.stop)
                self._database_url = self.postgres.start().create_database()
            environment = self._settings | {"SAYSO_DATABASE_URL": self._database_url}
            if self.proxy is not None:
                environment["SAYSO_PUBLIC_URL"] = self.url
            for server in self.servers:
                server.environment = environment
                ending.callback(server.stop)
                server.start()
            self._ending = ending.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()


def _new(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> int:
    """Start everything, print where it is, end it at Ctrl-C; the exit status."""
    parser = argparse.ArgumentParser(prog="make replicas", description=__doc__)
    parser.add_argument("--database-url", default="", help="a PostgreSQL that runs already")
    parser.add_argument("--port", type=int, default=8080, help="where to come in")
    parser.add_argument("--no-proxy", action="store_true", help="two ports, without nginx")
    chosen = parser.parse_args()
    missing = None if chosen.database_url else PostgresServer.missing()
    if missing is not None:
        print(f"{missing} is missing. Name one that runs: --database-url postgresql://...")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="sayso-replicas-") as folder:
        cluster = Cluster(
            Path(folder),
            database_url=chosen.database_url,
            proxy=not chosen.no_proxy,
            port=chosen.port,
        )
        try:
            with cluster:
                _tell(cluster, Path(folder))
                while True:  # as a supervisor does: what ends is started again, beside the others
                    time.sleep(1)
                    for server in cluster.servers:
                        if not server.is_running:
                            print(f"{server.name} has ended; starting it again.", flush=True)
                            server.start()
        except KeyboardInterrupt:
            print("Stopped.")
            return 0
        except AssertionError as error:  # what did not start tells why
            print(error)
            return 2


def _tell(cluster: Cluster, folder: Path) -> None:
    print(f"Sayso is at {cluster.url}")
    print("Sign in with this link, once, within the hour:")
    print(cluster.new_link())
    for number, replica in enumerate(cluster.replicas, start=1):
        print(f"Replica {number}: {replica.url}, process {replica.pid}")
    print(f"Worker: process {cluster.worker.pid}")
    if cluster.proxy is None:
        print("No proxy: nginx is not installed, or not wanted. Come in by either replica.")
    print(f"Logs: {folder}, until this ends")
    print("Stop: Ctrl-C", flush=True)


if __name__ == "__main__":
    sys.exit(main())
