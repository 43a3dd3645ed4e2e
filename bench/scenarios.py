"""What can be measured, by name."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from bench import gate, lab, million
from bench.deliveries import SETTING, delivered
from bench.errors import BenchError
from bench.passes import Passes, Plan, Tell
from bench.peers.contenders import contest
from bench.turns import in_turn, loaded, start_up
from sayso.settings import SETTINGS

Measure = Callable[[str, Plan, Tell], Passes]


class Scenario(Struct, frozen=True, kw_only=True):
    """One of them."""

    measure: Measure
    by_default: bool = True
    """Whether it is measured when nothing is asked for by name."""
    needs: str = ""
    """The setting that the product must have for it."""

    @property
    def is_there(self) -> bool:
        """Whether this version of the product can be measured so."""
        return not self.needs or self.needs in SETTINGS


def _scenario(measure: Measure, needs: str = "") -> Scenario:
    return Scenario(measure=measure, needs=needs)


def _asked_for(measure: Measure, needs: str = "") -> Scenario:
    return Scenario(measure=measure, by_default=False, needs=needs)


_POSTGRES = "database_url"

SCENARIOS: Mapping[str, Scenario] = {
    "submits": _scenario(in_turn(loaded("submits", 128))),
    "cycles": _scenario(in_turn(loaded("cycles", 256))),
    "held-1000": _scenario(in_turn(loaded("held", 1000))),
    "held-10000": _scenario(in_turn(loaded("held", None))),
    "submits-postgres": _scenario(in_turn(loaded("submits", 128, "postgres")), _POSTGRES),
    "cycles-postgres": _scenario(in_turn(loaded("cycles", 256, "postgres")), _POSTGRES),
    "deliveries-sqlite": _scenario(delivered("sqlite"), SETTING),
    "deliveries-postgres": _scenario(delivered("postgres"), SETTING),
    "start-up": _scenario(in_turn(start_up)),
    "peers-pause": _asked_for(contest("pause")),
    "peers-wait": _asked_for(contest("wait")),
    gate.SCENARIO: _asked_for(gate.measure),
    lab.SCENARIO: _asked_for(lab.measure),
    "million-sqlite": _asked_for(million.growing("sqlite")),
    "million-postgres": _asked_for(million.growing("postgres")),
}


def measure(name: str, plan: Plan, tell: Tell) -> Passes:
    """All passes of one scenario.

    Raises:
        BenchError: it could not be measured; the others can be.
    """
    scenario = SCENARIOS[name]
    if not scenario.is_there:
        raise BenchError(f"This version of the product has no setting {scenario.needs!r}.")
    return scenario.measure(name, plan, tell)
