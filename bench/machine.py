"""The machine: cores, file descriptors, the disk, and what a process uses of them."""

import contextlib
import os
import platform
import resource
import sqlite3
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

_CAN_PIN = hasattr(os, "sched_setaffinity")
_TICK = os.sysconf("SC_CLK_TCK")
_IN_MEMORY = {"tmpfs", "ramfs"}


def cores() -> tuple[int, int] | None:
    """One core for the server and another for the load; None where that cannot be arranged."""
    if not _CAN_PIN:
        return None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else None


@contextlib.contextmanager
def pinned(core: int | None) -> Generator[None]:
    """Processes started in this block stay on `core`."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one, for this process and its children."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def rss_kb(pid: int) -> float:
    """Resident memory of a process."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return float(line.split()[1])
    except OSError:
        pass
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True)
    return float(told.stdout)


def cpu_seconds(pid: int) -> float | None:
    """Processor time that a process has used; None where /proc does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / _TICK


def core_seconds(core: int | None) -> float | None:
    """Time that a core was not idle since the machine started, whoever used it."""
    if core is None:
        return None
    try:
        for line in Path("/proc/stat").read_text().splitlines():
            if line.startswith(f"cpu{core} "):
                user, nice, system, _, _, irq, softirq, steal = map(int, line.split()[1:9])
                return (user + nice + system + irq + softirq + steal) / _TICK
    except OSError:
        pass
    return None


def filesystem(path: Path) -> str:
    """The type of the file system that `path` is on, if the system tells."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    holding = [(len(at), kind) for at, kind in mounts if path.resolve().is_relative_to(at)]
    return max(holding, default=(0, "unknown"))[1]


def data_folder() -> Path:
    """Where to put databases: the temporary folder, unless that is no disk."""
    temporary = Path(tempfile.gettempdir())
    return Path.cwd() if filesystem(temporary) in _IN_MEMORY else temporary


def fsync_ms(folder: Path, times: int = 1000) -> tuple[float, float]:
    """The median and 99th percentile of appending 4 KB to a file until it is on the disk."""
    took: list[float] = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(b"\0" * 4096)
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    took.sort()
    return took[times // 2] * 1000, took[times * 99 // 100] * 1000


def facts(folder: Path) -> dict[str, str]:
    """What somebody else needs to know to compare figures."""
    chosen = cores()
    p50, p99 = fsync_ms(folder)
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_version()}{_build()}, SQLite {sqlite3.sqlite_version}",
        "disk": f"{filesystem(folder)}; append 4 KB and fsync: p50 {p50:.2f} ms, p99 {p99:.2f} ms",
        "pinning": "not possible here: server and load share the cores"
        if chosen is None
        else f"server on core {chosen[0]}, load generator on core {chosen[1]}",
    }


def _build() -> str:
    """Distributors' builds are profile-guided; one made by hand often is not, and is slower."""
    guided = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return "" if guided else " (built without --enable-optimizations)"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
