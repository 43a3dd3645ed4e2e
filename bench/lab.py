"""What trials of an experiment cost, beside hitloop's, in one run."""

from bench.figures import Figure, at_least, shown
from bench.programs import beside

SCENARIO = "lab"
FIGURES: tuple[Figure, ...] = (
    at_least(SCENARIO, "trials", "trials/s, standard conditions, telemetry to SQLite", 2_000, 700),
    shown(SCENARIO, "awake", "the same, hitloop's without its sleeps", "", 0),
)

measure = beside({"product": "sayso_lab", "reference": "hitloop_lab"})
