"""What the gate costs around a call that is allowed, beside hitloop's, in one run."""

from bench.figures import Figure, at_most, shown
from bench.programs import beside

SCENARIO = "gate"
FIGURES: tuple[Figure, ...] = (
    at_most(SCENARIO, "logged_p50_us", "an allowed call, telemetry to a SQLite file", "us", 50, 50),
    shown(SCENARIO, "logged_p99_us", "p99", "us"),
    shown(SCENARIO, "logged_mean_us", "mean, with what the writing costs the caller", "us"),
    shown(SCENARIO, "bare_p50_us", "the same without telemetry", "us"),
    at_most(SCENARIO, "policy_us", "RiskBasedPolicy, one evaluation", "us", 2, 2),
    at_most(SCENARIO, "rules_us", "100 rules with CEL conditions, all evaluated", "us", 100, 100),
)

measure = beside({"product": "sayso_gate", "reference": "hitloop_gate"})
