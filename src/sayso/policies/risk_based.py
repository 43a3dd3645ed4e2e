"""Asks by risk: dangerous tools, risk classes, sensitive arguments, large amounts."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from sayso.domain.actions import Action, RiskClass
from sayso.domain.plain import (
    LONGEST_NAME,
    deceives,
    matcher,
    plain,
    readings,
    spellings,
)
from sayso.domain.rules import Rule
from sayso.policies import written_json
from sayso.policies.amounts import is_amount_name, is_currency, magnitude
from sayso.policies.base import NO_CONTEXT, Context, Effect, Policy, Verdict
from sayso.types import JsonObject
from sayso.visible import spelled

MOST_VALUES: Final = 10_000
"""An action with more values than that among its arguments is not looked through: ask."""
_MOST_NAMES = 4_096
_FLAT: frozenset[object] = frozenset({int, float, bool, type(None)})
_NUMBERS: frozenset[object] = frozenset({int, float})
_Checks: TypeAlias = tuple[bool, tuple[tuple[str, str, str], ...]]
"""Whether it is an amount; and patterns: of which argument, as written, as compared."""
_NO_CHECKS: _Checks = (False, ())
_NAME: Final = "risk_based"
_ALLOW = Verdict(
    effect=Effect.ALLOW,
    reason="Action does not meet approval criteria",
    policy=_NAME,
    is_default=True,
)


class RiskBasedPolicy(Policy):
    """Has a person asked about what is risky, and lets the rest through.

    Names of tools and arguments, and the patterns, are compared without case, in one Unicode form,
    and also as what they look like; arguments are looked through at any depth, also within JSON
    that is written as a text.
    A tool whose name mixes scripts, so that it passes for another one, is asked about.

    Args:
        require_approval_for_high: ask about actions of high risk.
        require_approval_for_medium: ask about actions of medium risk.
        high_risk_tools: tools to ask about whatever their risk; one name or glob (`delete_*`),
            or several.
        sensitive_arg_patterns: by the name of an argument, or a glob, texts that it must not
            contain.
        max_amount_without_approval: ask above this amount, in whatever money, of either sign; and
            where the amount cannot be read.
        amount_args: the names, or globs, of arguments that hold amounts. Default: whatever is
            named like one, such as `amount`, `total_price` or `feeUsd`.
        unknown_risk: how an action counts that does not tell its risk.
        review: what the decision needs, for instance two people; default: as usual.

    Raises:
        ValueError: the largest amount is negative, or no number.
    """

    def __init__(
        self,
        *,
        require_approval_for_high: bool = True,
        require_approval_for_medium: bool = False,
        high_risk_tools: Iterable[str] | None = None,
        sensitive_arg_patterns: Mapping[str, Iterable[str]] | None = None,
        max_amount_without_approval: float | None = None,
        amount_args: Iterable[str] | None = None,
        unknown_risk: RiskClass = RiskClass.HIGH,
        review: Rule | None = None,
    ) -> None:
        limit = max_amount_without_approval
        if limit is not None and not limit >= 0:
            raise ValueError("max_amount_without_approval must be a number, and not negative")
        self.require_approval_for_high = require_approval_for_high
        self.require_approval_for_medium = require_approval_for_medium
        self.high_risk_tools = frozenset(_names(high_risk_tools))
        self.sensitive_arg_patterns = {
            name: _names(patterns) for name, patterns in (sensitive_arg_patterns or {}).items()
        }
        self.max_amount_without_approval = limit
        self.unknown_risk = unknown_risk
        self.review = review
        self._tools = matcher(self.high_risk_tools)
        self._known_tools: dict[str, str] = {}
        self._patterns = [
            (matcher([name]), tuple((name, pattern, plain(pattern)) for pattern in patterns))
            for name, patterns in self.sensitive_arg_patterns.items()
        ]
        self._known: dict[str, _Checks] = {}
        self._amounts = _is_amount if amount_args is None else matcher(_names(amount_args))

    @property
    def name(self) -> str:
        """`risk_based`."""
        return _NAME

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        """Ask for the first reason there is."""
        del context
        tool = action.tool_name
        of_tool = self._known_tools.get(tool)
        if of_tool is None:
            of_tool = self._told_of(tool)
        if of_tool:
            return self._ask(of_tool)
        risk = action.risk_class or self.unknown_risk
        told = "" if action.risk_class else " (it tells none, which counts as such)"
        if risk is RiskClass.HIGH and self.require_approval_for_high:
            return self._ask(f"Action has HIGH risk classification{told}")
        if risk is RiskClass.MEDIUM and self.require_approval_for_medium:
            return self._ask(f"Action has MEDIUM risk classification{told}")
        if self._patterns or self.max_amount_without_approval is not None:
            found = self._search(action.tool_args)
            if found:
                return self._ask(min(found)[1])
        return _ALLOW

    def _ask(self, reason: str) -> Verdict:
        return Verdict(effect=Effect.ASK, reason=reason, policy=_NAME, review=self.review)

    def _told_of(self, tool: str) -> str:
        """Why to ask about a tool whatever its risk, or nothing; kept, for tools come again."""
        why = ""
        if self._tools(tool):
            why = f"Tool '{_shown(tool)}' is in high-risk tool list"
        elif deceives(tool):
            why = f"Tool '{_shown(tool)}' has a name that looks like another one"
        if len(tool) <= LONGEST_NAME:
            if len(self._known_tools) >= _MOST_NAMES:
                self._known_tools.clear()
            self._known_tools[tool] = why
        return why

    def _search(self, args: JsonObject) -> list[tuple[int, str]]:
        """What speaks against it, each with its place in the order of checks.

        Values are taken from a list, not by recursion, so that depth costs nothing.
        """
        limit = self.max_amount_without_approval
        if limit is None:
            limit = math.inf  # nothing is an amount then
        found: list[tuple[int, str]] = []
        left: list[tuple[str, Any, _Checks]] = [("", args, _NO_CHECKS)]
        seen = 0
        while left:
            name, value, checks = left.pop()
            seen += len(value)
            if seen > MOST_VALUES:
                return [(0, f"Arguments hold more than {MOST_VALUES} values, too many to check")]
            in_object = isinstance(value, dict)
            items: Any = value.items() if in_object else ((name, each) for each in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            for key, inner in items:
                both = checks
                if in_object:
                    if checks[1]:
                        found += _sensitive(key, checks[1])
                    both = self._known.get(key) or self._checks_of(key)
                    if checks is not _NO_CHECKS:
                        both = _both(checks, both)
                kind: object = inner.__class__
                if kind is str:
                    first = inner[:1]
                    is_flat = first not in written_json.OPENING and first <= "~"
                else:
                    is_flat = kind in _FLAT
                if is_flat:
                    if both is _NO_CHECKS:
                        continue
                    if both[0] and not (kind in _NUMBERS and -limit <= inner <= limit):
                        found += _over(key, inner, limit)
                    if both[1]:
                        found += _sensitive(inner, both[1])
                    continue
                try:
                    nested = self._nested(inner)
                except written_json.UnreadableJsonError:
                    reason = f"Argument '{_shown(key)}' looks like JSON, and cannot be read"
                    found.append((0, reason))
                    nested = None
                if nested is not None:
                    left.append((key, nested, both))
                    if both[0] and not nested:
                        found.append(
                            (3, f"Amount in argument '{_shown(key)}' cannot be read: it is empty")
                        )
                elif both[0]:
                    found += _over(key, inner, limit)
                if both[1] and (nested is None or isinstance(inner, str)):
                    found += _sensitive(inner, both[1])
        return found

    def _checks_of(self, name: str) -> "_Checks":
        """What is looked for in an argument of this name; names come again and again."""
        known = self._known.get(name)
        if known is None:
            if len(name) > LONGEST_NAME:
                return self._looked_up(name)
            if len(self._known) >= _MOST_NAMES:
                self._known.clear()
            known = self._known[name] = self._looked_up(name)
        return known

    def _looked_up(self, name: str) -> "_Checks":
        is_amount = self.max_amount_without_approval is not None and self._amounts(name)
        patterns = tuple(each for match, some in self._patterns if match(name) for each in some)
        return (is_amount, patterns) if is_amount or patterns else _NO_CHECKS

    def _is_checked(self, name: str) -> bool:
        return self._checks_of(name) is not _NO_CHECKS

    def _nested(self, value: Any) -> Any:
        """The object or list that it is, or that it is the JSON of; None if neither."""
        kind: object = value.__class__
        if kind is str:
            return written_json.read(value, self._is_checked)
        return value if kind is dict or kind is list or kind is tuple else None


def _both(outer: "_Checks", inner: "_Checks") -> "_Checks":
    more = tuple(each for each in inner[1] if each not in outer[1])
    return (outer[0] or inner[0], outer[1] + more)


def _sensitive(value: Any, patterns: tuple[tuple[str, str, str], ...]) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    written = value if isinstance(value, str) else str(value)
    is_usual = written.isascii() and written.isprintable()
    for text in (written.casefold(),) if is_usual else spellings(written):
        for name, pattern, wanted in patterns:
            if wanted in text:
                found.append((1, f"Argument '{name}' contains sensitive pattern '{pattern}'"))
    return found


def _over(name: str, value: Any, limit: float) -> list[tuple[int, str]]:
    size = magnitude(value)
    if size is None:
        if is_currency(name, value):
            return []
        return [(3, f"Amount in argument '{_shown(name)}' cannot be read as a number")]
    return [(2, f"Amount ${size:.2f} exceeds threshold ${limit:.2f}")] if size > limit else []


def _is_amount(name: str) -> bool:
    return any(map(is_amount_name, (name, *readings(name)[1:])))


def _shown(name: str) -> str:
    """An agent's name within a sentence: short, and nothing in it that cannot be seen."""
    return spelled(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}...")


def _names(given: Iterable[str] | None) -> tuple[str, ...]:
    """What was given as one text or several, never as its letters."""
    return () if given is None else (given,) if isinstance(given, str) else tuple(given)
