"""The command of the benchmarks."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_it_begins_and_names_what_it_measures() -> None:
    """It imports all that it measures, so that nothing is renamed away from under it."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=150,
    )  # fmt: skip
    for name in ("submits", "cycles", "gate", "lab", "deliveries-postgres", "million-sqlite"):
        assert name in done.stdout
