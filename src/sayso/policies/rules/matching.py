"""Which rules are for which calls: globs, and which rule leaves another one nothing."""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase, translate
from typing import Final

from sayso.domain.plain import WILD, is_what_it_looks, matcher
from sayso.policies.base import Context, Effect
from sayso.policies.rules.records import Match, PolicyRule

MOST_COMPARED: Final = 1_000_000
"""Rules and globs that are compared to find rules that can never match: a few seconds."""
Names = Callable[[str], bool]


def names(globs: tuple[str, ...], *, exact: bool) -> Names | None:
    """Whether a name matches one of the globs; None: every name does.

    Args:
        globs: as they are written.
        exact: upper and lower case, and Unicode forms, apart. What lets a call through matches
            exactly, and by `read_*` nothing that passes for another name; what stops one matches
            in any spelling, and what looks like it.
    """
    if not globs:
        return None
    if exact and "*" in globs:
        return lambda name: True
    if exact:
        pattern = re.compile("|".join(map(translate, globs))).match
        return lambda name: name in globs or (pattern(name) is not None and is_what_it_looks(name))
    return matcher(globs)


def for_risk(match: Match, risk: str) -> bool:
    """Whether a rule is for this risk; what tells none counts as high, unless it is named."""
    return not match.risks or risk in match.risks or (risk == "unknown" and "high" in match.risks)


def agents_of(context: Context, *, exact: bool) -> tuple[str, ...]:
    """By what the agent is known: for what lets through, only as far as it was authenticated."""
    if exact:
        return (context.asked_by or context.client_id or "",)
    return (context.asked_by, context.client_id or "")


def may_be_in(globs: tuple[str, ...], context: Context, *, exact: bool) -> bool:
    """Whether a session that matches counts: for what lets through, only one it cannot choose.

    Who asks a server is known by a key. If that is good for none but sessions that match, a rule
    may let them through; else anybody would be let through who writes the session's name.
    """
    if not exact or not context.asked_by:
        return True
    pattern = context.session_pattern
    return Covering().globs(globs, () if pattern is None else (pattern,))


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
        is_milder = earlier.effect is Effect.ALLOW and later.effect is not Effect.ALLOW
        if is_milder and one.sessions and "*" not in one.sessions:
            return False  # it takes only those whose key is bound to such sessions
        risks = other.risks or frozenset({"low", "medium", "high", "unknown"})
        return (
            all(for_risk(one, risk) for risk in risks)
            and self.globs(one.tools, other.tools)
            and self.globs(one.agents, other.agents)
            and self.globs(one.sessions, other.sessions)
            and self.globs(one.tenants, other.tenants)
        )

    def _condition(self, rule: PolicyRule) -> list[str]:
        if rule.name not in self._conditions:
            self._conditions[rule.name] = rule.when.split()
        return self._conditions[rule.name]

    def globs(self, earlier: tuple[str, ...], later: tuple[str, ...]) -> bool:
        """Whether some globs surely take everything that others do."""
        if not earlier or "*" in earlier:
            return True
        return bool(later) and all(
            any(self._covers_glob(glob, other) for glob in earlier) for other in later
        )

    def _covers_glob(self, glob: str, other: str) -> bool:
        self.left -= 1
        if glob == other:
            return True
        if not WILD.search(glob):
            return False
        wild = WILD.search(other)
        if wild is None:
            return fnmatchcase(other, glob) and is_what_it_looks(other)
        prefix = glob[:-1]
        begins = glob.endswith("*") and not WILD.search(prefix)
        return begins and other[: wild.start()].startswith(prefix)


def only_in_other_spellings(earlier: PolicyRule, later: PolicyRule) -> bool:
    """Whether a rule that is covered still is for other spellings of the names."""
    return (
        earlier.effect is Effect.ALLOW
        and later.effect is not Effect.ALLOW
        and bool(earlier.match.tools)
        and "*" not in earlier.match.tools
    )
