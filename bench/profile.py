"""What limits a figure: where the server's time goes while it is under load.

A sampling profiler (py-spy) looks at the running server some hundred times a second, from outside,
and tells what each thread was doing that could run. A look is counted for the innermost frame that
belongs to a part below.
"""

import linecache
import re
import shutil
import subprocess
import threading
from collections import Counter
from pathlib import Path

from msgspec import Struct

from bench.errors import BenchError
from bench.load.job import WARM_UP
from bench.passes import Plan, Result, Tell
from bench.peers import environment
from bench.turns import Store, generate, server

KINDS: dict[str, tuple[str, int, Store]] = {
    "submits": ("submits", 128, "sqlite"),
    "cycles": ("cycles", 256, "sqlite"),
    "submits-postgres": ("submits", 128, "postgres"),
    "cycles-postgres": ("cycles", 256, "postgres"),
}
LOOKS_A_SECOND = 250
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>.+):(?P<line>\d+)\)$")
_WRITER = "sayso-writer"
_IDLE = re.compile(r"_worker \(.*concurrent/futures/thread\.py:\d+\)$")
_PARTS = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("event loop: sockets, timers (uvloop)", r"asyncio/runners\.py:Runner\.run"),
        (
            "HTTP: sending the reply",
            r":RequestResponseCycle\.send|fast_lane\.py:_|transport\.write",
        ),
        ("HTTP: parsing, and a task for each request", r"uvicorn/|fast_lane\.py"),
        ("digest of the action", r"rfc8785|domain/actions\.py|:digest_of"),
        ("SQLite: reading", r"stores/sqlite.*:\S*(_cursor|_read)\b"),
        ("store: records to JSON", r"stores/.*\bencode\("),
        ("store: handing over batches", r"stores/(group_commit|batches)"),
        ("store: the rest", r"stores/"),
        ("PostgreSQL: driver", r"asyncpg/"),
        ("body: JSON to records, and checks of its shape", r"codec\.py:|server/http\.py:Call\."),
        ("checks of what was asked or answered", r"broker/(answers|schemas)|jsonschema|drafts\.py"),
        ("ledger: hashes, and signing blocks", r"sayso/ledger/"),
        ("lifecycle: the change and its events", r"domain/"),
        ("waits and signals", r"signals/|:Broker\.wait|/waiter"),
        ("agents' sessions", r"broker/sessions"),
        ("broker: the rest", r"broker/"),
        ("reply: records to JSON", r"\bencode\(|server/http\.py:(json_)?reply|views\.py"),
        ("routing, hosts, who is calling", r"sayso/server/"),
    )
)


class Profile(Struct, kw_only=True):
    """How often the server was seen at each part."""

    name: str
    looks: int
    """How often it was looked at."""
    seen: dict[str, int]
    rate: float
    """What it did meanwhile; less than without the profiler."""


def profile(name: str, plan: Plan, tell: Tell) -> Profile:
    """Run the product under load, and look at it.

    Raises:
        BenchError: there is no profiler, or it may not look.
    """
    tell(f"profile of {name}")
    kind, count, store = KINDS[name]
    py_spy = shutil.which("py-spy") or str(environment.program("py-spy"))
    seconds = max(2, round(plan.seconds))
    results: list[Result] = []
    with server("product", plan, store) as running:
        load = threading.Thread(
            target=lambda: results.append(generate(kind, running, seconds + 3, count))
        )
        load.start()
        try:
            raw = _looks(py_spy, running.pid, seconds, plan.folder)
        finally:
            load.join()
    if not results or results[0].errors:
        raise BenchError(f"profile of {name}: the load failed; {results and results[0]}")
    seen: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, number = line.rpartition(" ")
        frames = stack.split(";")
        if not is_idle(frames):
            seen[part(frames)] += int(number)
    looks = seconds * LOOKS_A_SECOND
    return Profile(
        name=name, looks=looks, seen=dict(seen.most_common()), rate=results[0].values["rate"]
    )


def _looks(py_spy: str, pid: int, seconds: int, folder: Path) -> str:
    threading.Event().wait(WARM_UP + 1)
    file = folder / f"sayso-bench-profile-{pid}.txt"
    words = [py_spy, "record", "--pid", str(pid), "--format", "raw", "--output", str(file)]
    words += ["--duration", str(seconds), "--rate", str(LOOKS_A_SECOND), "--threads"]
    words += ["--full-filenames"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise BenchError(f"py-spy cannot look at the server:\n{done.stderr.strip()[-1000:]}")
        return file.read_text(encoding="utf-8")
    finally:
        file.unlink(missing_ok=True)


def is_idle(stack: list[str]) -> bool:
    """Whether it is a thread of an executor that waits for work: to py-spy it seems to run."""
    return _IDLE.match(stack[-1]) is not None


def part(stack: list[str]) -> str:
    """The part that the innermost known frame belongs to."""
    if _WRITER in stack[0]:
        return "SQLite: writing, in a thread of its own"
    for text in reversed(stack):
        frame = _FRAME.match(text)
        if frame is None:
            continue
        line = linecache.getline(frame["file"], int(frame["line"])).strip()
        where = f"{frame['file']}:{frame['function']} {line}"
        for name, pattern in _PARTS:
            if pattern.search(where):
                return name
    return "other"
