"""Starts and ends what is measured: the product and the reference, each on a fresh folder."""

import contextlib
import http.client
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from bench import machine
from bench.errors import BenchError
from sayso.settings import SETTINGS

Side: TypeAlias = Literal["product", "reference"]
SIDES: tuple[Side, Side] = ("product", "reference")
ROOT = Path(__file__).parents[1]

_PRODUCT_LINE = re.compile(rb"http://[^\s/]+:(?P<port>\d+)/login\?token=(?P<token>\S+)\s")
REFERENCE_LINE = re.compile(rb"http://127\.0\.0\.1:(?P<port>\d+)\s")
_START_SECONDS = 20
_STOP_SECONDS = 10


class Running(Struct, frozen=True):
    """A server that has begun to listen."""

    pid: int
    port: int
    bearer: str
    """A person's token; empty where none is needed."""
    key: str
    """An agent's key, likewise."""
    ready_seconds: float
    """From the start of the process until it said that it listens."""


@contextlib.contextmanager
def running(
    side: Side,
    folder: Path,
    dsn: str | None = None,
    settings: Mapping[str, str] | None = None,
    prepare: Callable[[Path], None] | None = None,
) -> Generator[Running]:
    """A fresh server, on its core, with its data in a folder that is deleted afterwards.

    Args:
        side: which of the two.
        folder: a disk, to make that folder on.
        dsn: the PostgreSQL database to use; None for SQLite.
        settings: of the product, by their names in the environment; else it runs as it comes.
        prepare: is called with the folder of its data before it starts.
    """
    cores = machine.cores()
    with tempfile.TemporaryDirectory(
        dir=folder, prefix="sayso-bench-", ignore_cleanup_errors=True
    ) as data:
        if side == "product":
            words, line = ["-m", "sayso.cli", "serve", "--port", "0", "--data", data], _PRODUCT_LINE
            if dsn is not None:
                words += ["--database-url", dsn]
        else:
            line = REFERENCE_LINE
            words = ["-m", "bench.reference", f"{data}/reference.db"]
            if dsn is not None:
                words = ["-m", "bench.reference_postgres", dsn]
        if prepare is not None:
            prepare(Path(data))
        log = Path(data) / "stderr.txt"
        with log.open("wb") as errors, machine.pinned(cores[0] if cores else None):
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env=environment() | dict(settings or {}),
            )
        try:
            found = await_line(process, line)
            if found is None:
                raise BenchError(f"The {side} did not start:\n{log.read_text()[-2000:]}")
            ready_seconds = time.perf_counter() - began
            port = int(found["port"])
            bearer = key = ""
            if side == "product":
                body = {"token": found["token"].decode()}
                bearer = _post(port, "/api/auth/link", body)["token"]
                key = _post(port, "/api/v1/keys", {"label": "bench"}, bearer)["key"]
            yield Running(process.pid, port, bearer, key, ready_seconds)
        finally:
            stop(process)


def environment() -> dict[str, str]:
    """The environment without settings of the product, which is measured as it comes."""
    ours = {name for setting in SETTINGS.values() for name in setting.environment}
    ours |= {"DB_ADAPTER", "STORAGE_ADAPTER", "DB_URI", "POSTGRES_DSN", "SQLITE_DSN"}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith("SAYSO_")
    }


def await_line(process: subprocess.Popen[bytes], line: re.Pattern[bytes]) -> re.Match[bytes] | None:
    """Wait until a process prints such a line; None if it does not in time, or ends."""
    assert process.stdout is not None
    printed = b""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        left = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([process.stdout], [], [], left)
        part = os.read(process.stdout.fileno(), 65_536) if ready else b""
        if not part:
            return None
        printed += part
        found = line.search(printed)
        if found is not None:
            return found


def _post(port: int, path: str, body: Any, bearer: str = "") -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Content-Type": "application/json"}
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    try:
        connection.request("POST", path, json.dumps(body), headers)
        reply = connection.getresponse()
        told = reply.read()
        if reply.status not in (200, 201):
            raise BenchError(f"{path} was answered with {reply.status} {told[:500]!r}")
        return json.loads(told)
    finally:
        connection.close()


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
