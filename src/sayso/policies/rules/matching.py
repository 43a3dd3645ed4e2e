"""Which rules are for which calls: globs, and which rule leaves another one nothing."""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase, translate
from typing import Final

from sayso.policies.base import Context, Effect
from sayso.policies.plain import plain, plain_name
from sayso.policies.rules.records import Match, PolicyRule

_WILD: Final = re.compile(r"[*?\[]")
MOST_COMPARED: Final = 1_000_000
"""Rules and globs that are compared to find rules that can never match: a few seconds."""
Names = Callable[[str], bool]


def names(globs: tuple[str, ...], *, exact: bool) -> Names | None:
    """Whether a name matches one of the globs; None: every name does.

    Args:
        globs: as they are written.
        exact: upper and lower case, and Unicode forms, apart. What lets a call through matches
            exactly; what stops one matches in any spelling.
    """
    if not globs:
        return None
    if exact:
        pattern = re.compile("|".join(map(translate, globs))).match
        return lambda name: pattern(name) is not None
    loose = re.compile("|".join(translate(plain(glob)) for glob in globs)).match
    return lambda name: loose(plain_name(name)) is not None


def for_risk(match: Match, risk: str) -> bool:
    """Whether a rule is for this risk; what tells none counts as high, unless it is named."""
    return not match.risks or risk in match.risks or (risk == "unknown" and "high" in match.risks)


def agents_of(context: Context, *, exact: bool) -> tuple[str, ...]:
    """By what the agent is known: for what lets through, only as far as it was authenticated."""
    if exact:
        return (context.asked_by or context.client_id or "",)
    return (context.asked_by, context.client_id or "")


class Covering:
    """Compares rules with those before them, up to a number of globs.

    Attributes:
        left: how many globs may still be compared.
    """

    def __init__(self) -> None:
        self.left = MOST_COMPARED
        self._conditions: dict[str, list[str]] = {}

    def first(self, earlier: Iterable[PolicyRule], later: PolicyRule) -> PolicyRule | None:
        """The first rule that surely takes everything that the later one is for."""
        for rule in earlier:
            if self.left <= 0:
                return None
            if self._covers_rule(rule, later):
                return rule
        return None

    def _covers_rule(self, earlier: PolicyRule, later: PolicyRule) -> bool:
        self.left -= 1
        if earlier.when and self._condition(earlier) != self._condition(later):
            return False
        one, other = earlier.match, later.match
        risks = other.risks or frozenset({"low", "medium", "high", "unknown"})
        return (
            all(for_risk(one, risk) for risk in risks)
            and self._covers(one.tools, other.tools)
            and self._covers(one.agents, other.agents)
            and self._covers(one.sessions, other.sessions)
            and self._covers(one.tenants, other.tenants)
        )

    def _condition(self, rule: PolicyRule) -> list[str]:
        if rule.name not in self._conditions:
            self._conditions[rule.name] = rule.when.split()
        return self._conditions[rule.name]

    def _covers(self, earlier: tuple[str, ...], later: tuple[str, ...]) -> bool:
        if not earlier or "*" in earlier:
            return True
        return bool(later) and all(
            any(self._covers_glob(glob, other) for glob in earlier) for other in later
        )

    def _covers_glob(self, glob: str, other: str) -> bool:
        self.left -= 1
        if glob == other:
            return True
        if not _WILD.search(glob):
            return False
        wild = _WILD.search(other)
        if wild is None:
            return fnmatchcase(other, glob)
        prefix = glob[:-1]
        begins = glob.endswith("*") and not _WILD.search(prefix)
        return begins and other[: wild.start()].startswith(prefix)


def only_in_other_spellings(earlier: PolicyRule, later: PolicyRule) -> bool:
    """Whether a rule that is covered still is for other spellings of the names."""
    return (
        earlier.effect is Effect.ALLOW
        and later.effect is not Effect.ALLOW
        and bool(earlier.match.tools)
        and "*" not in earlier.match.tools
    )
