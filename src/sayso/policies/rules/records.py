"""What a policy's text says, read: rules, what holds by default, and tests."""

from typing import Any, Final

from msgspec import Struct

from sayso.domain.actions import RiskClass
from sayso.policies.base import Effect, Verdict
from sayso.types import JsonObject

RISKS: Final = ("low", "medium", "high", "unknown")
SILENCES: Final = ("expire", "reject", "approve", "escalate", "park")


class Match(Struct, frozen=True, kw_only=True):
    """Which calls a rule is for: what is empty is for all; what is there has to fit at once."""

    tools: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    risks: frozenset[str] = frozenset()
    """Of `RISKS`; what tells no risk is for `high`, too."""


class PolicyRule(Struct, frozen=True, kw_only=True):
    """One rule of a policy."""

    name: str
    line: int
    match: Match = Match()
    when: str = ""
    """A condition in CEL; empty: always."""
    effect: Effect
    sample: float = 0.0
    """With `allow`: which part of the calls is asked about all the same."""
    verdicts: dict[str, Verdict]
    """What it says, by risk."""
    doubts: dict[str, Verdict]
    """What holds if its condition cannot be evaluated, or it was drawn: asking, by risk."""


class Case(Struct, frozen=True, kw_only=True):
    """A test that stands in the policy itself."""

    name: str
    line: int
    tool: str
    args: JsonObject = {}
    risk: RiskClass | None = None
    agent: str = ""
    session: str = ""
    tenant: str = "default"
    run: str = ""
    state: JsonObject = {}
    expect: dict[str, Any]
    """`verdict`, and what else is expected: see `cases.EXPECTED`."""


class Defaults(Struct, frozen=True, kw_only=True):
    """What holds where no rule matches, by risk."""

    verdicts: dict[str, Verdict]
    doubts: dict[str, Verdict]


def risk_of(risk: RiskClass | None) -> str:
    """One of `RISKS`."""
    return "unknown" if risk is None else risk.value
