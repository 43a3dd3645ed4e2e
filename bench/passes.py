"""How a scenario is measured: in passes, each of which gives values by name, for each side."""

import statistics
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct, field

from bench.services import Services

MOST_HELD = 10_000
MOST_PENDING = 1_000_000

Tell = Callable[[str], None]
"""Takes a line about what is going on."""


class Plan(Struct, kw_only=True):
    """How long, how often and how much."""

    folder: Path
    services: Services
    passes: int
    seconds: float
    """Of one timed pass."""
    most_held: int = MOST_HELD
    most_pending: int = MOST_PENDING
    spare_seconds: float = 0
    """So long, in all, disturbed passes may be made again."""


class Result(Struct, kw_only=True):
    """One pass of one side; `errors` must be 0 for it to mean anything."""

    values: dict[str, float]
    load_cpu: float = 0.0
    """The share of its core that the load generator used while it measured."""
    server_cpu: float | None = None
    others_cpu: float | None = None
    """The share of the server's core that other processes took."""
    errors: int = 0
    first_error: str = ""


class Passes(Struct, kw_only=True):
    """The values of all passes of one scenario, by side and name."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    load_cpu: float = 0.0
    """The largest share of its core that the generator used in a pass."""
    others_cpu: float = 0.0
    """The largest share of the server's core that other processes took in a pass."""
    repeated: int = 0
    """Passes that were made again for that reason."""
    failed: dict[str, str] = field(default_factory=dict)
    """Sides that could not be measured, and why; the others could."""

    def add(self, side: str, result: Result) -> None:
        """Take in one pass."""
        values = dict(result.values)
        if result.server_cpu is not None:
            values["server_cpu"] = result.server_cpu
        for name, value in values.items():
            self.values.setdefault(side, {}).setdefault(name, []).append(value)
        self.load_cpu = max(self.load_cpu, result.load_cpu)
        self.others_cpu = max(self.others_cpu, result.others_cpu or 0)

    def median(self, side: str, name: str) -> float | None:
        """The median of the passes."""
        values = self.values.get(side, {}).get(name)
        return statistics.median(values) if values else None
