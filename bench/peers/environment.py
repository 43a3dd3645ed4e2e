"""The peers' packages: a virtual environment of their own, made when it is first asked for.

They are no part of the product's, since they bring what the product does without.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from bench.errors import BenchError
from bench.servers import ROOT

_LOCK = Path(__file__).with_name("requirements.txt")
_FOLDER = ROOT / ".tools" / "peers"


def program(name: str) -> Path:
    """A program of that environment, which is made first if it is missing or out of date.

    Raises:
        BenchError: it cannot be made.
    """
    marker = _FOLDER / "installed"
    lock = _LOCK.read_text(encoding="utf-8")
    if not marker.exists() or marker.read_text(encoding="utf-8") != lock:
        _install()
        marker.write_text(lock, encoding="utf-8")
    return _FOLDER / "bin" / name


def versions() -> str:
    """What is compared, with its version."""
    locked = dict(re.findall(r"^([a-z-]+)==(\S+)", _LOCK.read_text(encoding="utf-8"), re.MULTILINE))
    names = ("hitloop", "langgraph", "langgraph-checkpoint-postgres", "langgraph-checkpoint-sqlite")
    return ", ".join(f"{name} {locked[name]}" for name in (*names, "dbos"))


def _install() -> None:
    where = _FOLDER.relative_to(ROOT)
    print(f"--> installing the peers' packages into {where} (once)", file=sys.stderr, flush=True)
    shutil.rmtree(_FOLDER, ignore_errors=True)
    uv = [sys.executable, "-m", "uv"]
    python = str(_FOLDER / "bin" / "python")
    for words in (
        ["venv", "--quiet", "--python", sys.executable, str(_FOLDER)],
        ["pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(_LOCK)],
    ):
        try:
            subprocess.run([*uv, *words], check=True, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            raise BenchError("The peers' packages cannot be installed: no end in 5 min.") from None
        except subprocess.CalledProcessError as error:
            raise BenchError(
                f"The peers' packages cannot be installed; uv says:\n{error.stderr.strip()[-2000:]}"
            ) from None
