"""Rules that the record speaks for: narrow ones, behind which stand many approvals and no refusal.

A suggestion names one tool, every argument that it may have, and what each of them was in all the
calls that people approved. Of `n` approvals without a refusal the rate of calls that people would
have refused is at most 3/n, with 95 % certainty (the rule of three), if what comes is like what
came.
"""

import json
import math
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, cast

import msgspec
from msgspec import Struct

from sayso.domain.actions import RiskClass
from sayso.policies.backtest import Recorded, Said
from sayso.types import Json, JsonObject

LEAST_APPROVALS = 30
"""How many approvals have to stand behind a rule, if nobody says otherwise."""
MOST_SUGGESTIONS = 50
_MOST_VALUES = 8
"""Values of one argument that are listed; more of them need a range or a common part."""
_LONGEST_VALUE = 500
_MOST_BRANCHES = 20
_SHORTEST_PART = 4
"""Characters that texts have in common, at the least;"""
_LONGEST_MIDDLE = 64
"""and in which they differ, at the most."""
_MOST_TEXTS = 8
"""Regular expressions that a condition may have,"""
_MOST_TEXTS_TOGETHER = 200
"""and a policy: see `rules.expressions`, which takes an extra."""
_MOST_ARGUMENTS = 64
_MOST_LOOKS = 32
"""How often each value on record is looked at, to find out how to part what was approved."""
_WIDEST_GAP = 0.25
"""Of a range: without a number that was approved;"""
_WIDEST_OF_MANY = 8
"""or so many times the mean, if that is less."""
_MOST_AGENTS = 10
_LONGEST_CONDITION = 2_000
_LAST_SHORT = 0xFFFF
_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_SEPARATORS = frozenset("/.-_:@")
_COMMON = re.compile(r"[A-Za-z0-9/._:@-]*")
"""What texts may have in common: nothing that a shell, SQL or a URL's query knows."""
_MIDDLE = re.compile(r"[A-Za-z0-9_-]+")
"""In what they may differ: one word."""


class Bound(Struct, frozen=True, kw_only=True):
    """What one argument may be."""

    name: str
    values: tuple[Json, ...] = ()
    """One of these; or a number from `low` to `high`; or a text that begins and ends so,"""
    low: float | None = None
    high: float | None = None
    begins: str = ""
    ends: str = ""
    longest: int = 0
    """with one word of letters, digits, `_` and `-` between, of so many characters at most."""

    def holds(self, value: Json) -> bool:
        """Whether a value is within it."""
        if self.values:
            return _key(value) in {_key(each) for each in self.values}
        if self.low is not None and self.high is not None:
            return _is_number(value) and self.low <= _number(value) <= self.high
        if not isinstance(value, str) or len(value) <= len(self.begins) + len(self.ends):
            return False
        middle = value[len(self.begins) : len(value) - len(self.ends)]
        return (
            value.startswith(self.begins)
            and value.endswith(self.ends)
            and len(middle) <= self.longest
            and _MIDDLE.fullmatch(middle) is not None
        )


class Suggestion(Struct, frozen=True, kw_only=True):
    """A rule that would let through what people have always let through."""

    tool_name: str
    risk: RiskClass | None
    bounds: tuple[Bound, ...]
    agents: tuple[str, ...]
    """The actors that asked."""
    n: int
    """Approvals that stand behind it; there is no refusal, and no edit."""
    examples: tuple[str, ...]

    @property
    def error_bound(self) -> float:
        """The rate of refusals that there may be all the same, at most, with 95 % certainty."""
        return min(1.0, 3 / self.n)

    def covers(self, record: Recorded) -> bool:
        """Whether a call would be let through by it."""
        args = record.action.tool_args
        return (
            record.action.tool_name == self.tool_name
            and record.action.risk_class is self.risk
            and record.context.asked_by in self.agents
            and args.keys() == {bound.name for bound in self.bounds}
            and all(bound.holds(args[bound.name]) for bound in self.bounds)
        )


def suggest(
    records: Iterable[Recorded], *, least: int = LEAST_APPROVALS, any_risk: bool = False
) -> tuple[Suggestion, ...]:
    """Rules that the record speaks for, those with the most approvals first.

    Args:
        records: what was asked, and what people said.
        least: how many approvals have to stand behind each.
        any_risk: also for what is of high risk, or does not tell its risk.
    """
    said: defaultdict[tuple[Any, ...], list[Recorded]] = defaultdict(list)
    against: defaultdict[str, list[Recorded]] = defaultdict(list)
    for record in records:
        action = record.action
        if record.said in (Said.REJECTED, Said.EDITED):
            against[action.tool_name].append(record)
        is_low = action.risk_class in (RiskClass.LOW, RiskClass.MEDIUM)
        if record.said is Said.APPROVED and not record.is_reviewed and (is_low or any_risk):
            names = tuple(sorted(action.tool_args))
            said[action.tool_name, action.risk_class, names].append(record)
    found: list[Suggestion] = []
    for (tool, _, names), approved in said.items():
        if len(approved) >= least and len(names) <= _MOST_ARGUMENTS:
            found += _Parting(approved, against[tool], names, least).rules()
    found.sort(key=lambda each: (-each.n, each.tool_name))
    return tuple(found[:MOST_SUGGESTIONS])


class _Parting:
    """Finds one rule for all of these approvals; if there is none, several for parts of them."""

    def __init__(
        self,
        approved: Sequence[Recorded],
        against: Sequence[Recorded],
        names: Sequence[str],
        least: int,
    ) -> None:
        self._approved = approved
        self._against = against
        self._names = names
        self._least = least
        self._left = _MOST_LOOKS * (len(approved) + len(against)) * (1 + len(names))

    def rules(self) -> list[Suggestion]:
        """The rules, parted no more often than is needed; none where it would take too long."""
        for depth in range(3):
            found = self._narrowed(self._approved, depth)
            if found:
                return found
        return []

    def _narrowed(self, approved: Sequence[Recorded], depth: int) -> list[Suggestion]:
        self._left -= (len(approved) + len(self._against)) * (1 + len(self._names))
        if len(approved) < self._least or self._left < 0:
            return []
        one = _one(approved, self._names)
        if one is not None and not any(_contradicts(one, record) for record in self._against):
            return [one]
        best: list[Suggestion] = []
        for name in self._names if depth else ():
            self._left -= 3 * len(approved) + len(self._against)
            for parts in (
                _by_value(approved, name),
                _below(approved, self._against, name),
                _at_gaps(approved, name),
            ):
                rules = [rule for part in parts for rule in self._narrowed(part, depth - 1)]
                if sum(rule.n for rule in rules) > sum(rule.n for rule in best):
                    best = rules
            if self._left < 0:
                break
        return best


def _contradicts(rule: Suggestion, record: Recorded) -> bool:
    """Whether a refusal speaks against a rule: whoever had asked, and whatever its risk was."""
    args = record.action.tool_args
    return all(bound.name in args and bound.holds(args[bound.name]) for bound in rule.bounds)


def _one(approved: Sequence[Recorded], names: Sequence[str]) -> Suggestion | None:
    bounds: list[Bound] = []
    for name in names:
        bound = _bound(name, [record.action.tool_args[name] for record in approved])
        if bound is None:
            return None
        bounds.append(bound)
    agents = sorted({record.context.asked_by for record in approved})
    if len(agents) > _MOST_AGENTS:
        return None
    first = approved[0].action
    return Suggestion(
        tool_name=first.tool_name,
        risk=first.risk_class,
        bounds=tuple(bounds),
        agents=tuple(agents),
        n=len(approved),
        examples=tuple(record.id for record in approved[:5]),
    )


def _bound(name: str, values: Sequence[Json]) -> Bound | None:
    """What all values have in common; None if that is too little to be a rule."""
    distinct = {_key(value): value for value in values}
    is_short = all(len(key) <= _LONGEST_VALUE for key in distinct)
    if is_short and len(distinct) <= _MOST_VALUES and len(values) >= 3 * len(distinct):
        return Bound(name=name, values=tuple(distinct[key] for key in sorted(distinct)))
    if all(map(_is_number, values)):
        numbers = [_number(value) for value in values]
        if _gaps(numbers):
            return None
        return Bound(name=name, low=min(numbers), high=max(numbers))
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len(values) or any(".." in text for text in texts):
        return None
    begins, ends = _common(texts)
    if len(begins) + len(ends) < _SHORTEST_PART or not begins:
        return None
    longest = max(map(len, texts)) - len(begins) - len(ends)
    bound = Bound(name=name, begins=begins, ends=ends, longest=longest)
    is_narrow = _COMMON.fullmatch(begins + ends) is not None and longest <= _LONGEST_MIDDLE
    return bound if is_narrow and all(map(bound.holds, texts)) else None


def _gaps(numbers: Sequence[float]) -> list[float]:
    """Where a range of these is not dense: the numbers behind which nothing was for too long.

    One large number among many small ones is not to let through all between them.
    """
    distinct = sorted(set(numbers))
    widest = min(_WIDEST_GAP, _WIDEST_OF_MANY / len(distinct)) * (distinct[-1] - distinct[0])
    if not math.isfinite(widest):
        return distinct[:-1]
    return [low for low, high in pairwise(distinct) if high - low > widest]


def _common(texts: Sequence[str]) -> tuple[str, str]:
    """How all of them begin and end, up to where a word ends."""
    first, last = min(texts), max(texts)
    begins = _shared(first, last)
    while begins and begins[-1] not in _SEPARATORS:
        begins = begins[:-1]
    rests = [text[len(begins) :][::-1] for text in texts]
    ends = _shared(min(rests), max(rests))
    while ends and ends[-1] not in _SEPARATORS:
        ends = ends[:-1]
    return begins, ends[::-1]


def _shared(one: str, other: str) -> str:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return one[:length]


def _by_value(approved: Sequence[Recorded], name: str) -> list[list[Recorded]]:
    """One part for each value of an argument, if there are few."""
    parts: defaultdict[str, list[Recorded]] = defaultdict(list)
    for record in approved:
        parts[_key(record.action.tool_args[name])].append(record)
    return list(parts.values()) if 1 < len(parts) <= _MOST_BRANCHES else []


def _below(
    approved: Sequence[Recorded], against: Sequence[Recorded], name: str
) -> list[list[Recorded]]:
    """Those with a number smaller than each that was refused, or larger."""
    refused = [record.action.tool_args.get(name) for record in against]
    numbers = [_number(value) for value in refused if _is_number(value)]
    if not numbers or not all(_is_number(r.action.tool_args[name]) for r in approved):
        return []

    def part(keeps: Callable[[float], bool]) -> list[Recorded]:
        return [r for r in approved if keeps(_number(r.action.tool_args[name]))]

    parts = [part(lambda value: value < min(numbers)), part(lambda value: value > max(numbers))]
    return [each for each in parts if 0 < len(each) < len(approved)]


def _at_gaps(approved: Sequence[Recorded], name: str) -> list[list[Recorded]]:
    """Those whose numbers lie close to each other."""
    values = [record.action.tool_args[name] for record in approved]
    if not all(map(_is_number, values)):
        return []
    gaps = _gaps([_number(value) for value in values])
    if not gaps or len(gaps) > _MOST_BRANCHES:
        return []
    parts: list[list[Recorded]] = [[] for _ in (*gaps, None)]
    for record in approved:
        parts[bisect_left(gaps, _number(record.action.tool_args[name]))].append(record)
    return parts


def _key(value: Json) -> str:
    """Equal for equal values of one kind only: true is not 1."""
    return json.dumps(value, sort_keys=True)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: Any) -> float:
    return value


def as_yaml(found: Sequence[Suggestion]) -> str:
    """The suggestions as a policy: these are allowed, and people are asked about everything else.

    Whatever cannot be written down exactly is left out.
    """
    lines = ["version: 1", "defaults:", "  verdict: ask"]
    rules: list[str] = []
    texts = 0
    for number, each in enumerate(found, start=1):
        condition = condition_of(each)
        more = sum(bool(bound.begins) for bound in each.bounds)
        is_short = len(condition) <= _LONGEST_CONDITION and more <= _MOST_TEXTS
        if is_short and texts + more <= _MOST_TEXTS_TOGETHER and _writable(each):
            texts += more
            rules += _rule(f"suggested-{number}", each, condition)
    return "\n".join([*lines, "rules:" if rules else "rules: []", *rules]) + "\n"


def condition_of(suggestion: Suggestion) -> str:
    """The condition in CEL: these arguments and no others, each within its bound.

    An argument that is not there, or is of another kind, makes it fail, and so people are asked.
    """
    parts = [f"size(args) == {len(suggestion.bounds)}"]
    for bound in suggestion.bounds:
        value = f"args[{_text(bound.name)}]"
        if bound.values:
            parts.append(f"{value} in [{', '.join(map(_literal, bound.values))}]")
        elif bound.low is not None and bound.high is not None:
            parts.append(f"{value} >= {_literal(bound.low)}")
            parts.append(f"{value} <= {_literal(bound.high)}")
        else:
            begins, ends = (part.replace(".", "[.]") for part in (bound.begins, bound.ends))
            middle = f"[A-Za-z0-9_-]{{1,{bound.longest}}}"
            parts.append(f'{value}.matches("^{begins}{middle}{ends}$")')
    return " && ".join(parts)


def _rule(name: str, each: Suggestion, condition: str) -> list[str]:
    risk = "unknown" if each.risk is None else each.risk.value
    agents = ", ".join(_text(_exactly(agent)) for agent in each.agents)
    error = f"{100 * each.error_bound:.1f}"
    return [
        f"  - name: {name}",
        f"    # {each.n} approvals, no refusal, no edit: at most {error} % of what comes might be",
        "    # refused, with 95 % certainty",
        "    match:",
        f"      tools: [{_text(_exactly(each.tool_name))}]",
        f"      agents: [{agents}]",
        f"      risk: [{risk}]",
        "    when: >-",
        *(f"      {part}" for part in condition.split("\n")),
        "    verdict: allow",
        f"    reason: People approved it {each.n} times, and never refused it.",
    ]


def _writable(suggestion: Suggestion) -> bool:
    """Whether all of it can be written down: YAML has no way for half a character."""
    try:
        msgspec.json.encode(suggestion)
    except (UnicodeEncodeError, msgspec.MsgspecError):
        return False
    return True


def _exactly(name: str) -> str:
    """A glob that matches this name alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _literal(value: Json) -> str:
    """A value in CEL."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, cast('list[Json]', value)))}]"
    if isinstance(value, dict):
        fields = cast("JsonObject", value).items()
        return f"{{{', '.join(f'{_text(name)}: {_literal(inner)}' for name, inner in fields)}}}"
    return json.dumps(value)


def _text(text: str) -> str:
    """A text in quotes, good for CEL and for YAML alike; what cannot be printed is spelled out."""
    return "".join(('"', *(_ESCAPED.get(c) or _spelled(c) for c in text), '"'))


def _spelled(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= _LAST_SHORT else f"\\U{code:08x}"
