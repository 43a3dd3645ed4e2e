"""What a condition can cost at most: counted when it is loaded, and again with what it looks at.

A step is about 30 nanoseconds. Time itself is not looked at: a policy says the same when asked
twice, on any machine.
"""

import re
from typing import Final

from msgspec import Struct

MOST_STEPS: Final = 2_000_000
"""Of all conditions of one evaluation together; the one that would take more counts as failed."""
MOST_STATES: Final = 10_000
"""Of one regular expression, which is compiled each time: about so many microseconds."""
_STEPS_OF_STATE: Final = 30
_STEPS_OF_CALL: Final = 64
_CHARACTERS: Final = 16
"""So many of a text cost one step,"""
_STEPS_OF_CHARACTER: Final = 4
"""and one of them so many where our own functions look at it."""
_TRIED_IN_STEP: Final = 2
_COUNTED: Final = re.compile(r"\{\s*(\d*)\s*(?:,\s*(\d*)\s*)?\}")
_FOLDED: Final = re.compile(r"\(\?[a-zA-Z]*i")
_NAMED: Final = re.compile(r"[pP](?:\{[^}]*\}|.)|[xuU]\{[^}]*\}|.", re.DOTALL)
_LARGE: Final = frozenset("wWpP")
_MEDIUM: Final = frozenset("dDsS")
_LARGE_STATES: Final = 300
_MEDIUM_STATES: Final = 60
_CLASS_STATES: Final = 10


class Work(Struct, kw_only=True):
    """How much is done each time that a part of a condition is evaluated."""

    reads: int = 0
    """How often the values that it looks at are gone through."""
    own: int = 0
    """Calls of our functions, which look at texts more slowly."""
    positions: int = 0
    """Of regular expressions: each may be tried at every character."""
    fixed: int = 0
    """Steps whatever the values are."""

    def steps(self, values: int, characters: int) -> int:
        """How many steps that is, for so many values with so many characters."""
        size = 1 + values + characters // _CHARACTERS
        own = _STEPS_OF_CALL + _STEPS_OF_CHARACTER * characters
        tried = self.positions * characters // _TRIED_IN_STEP
        return self.reads * size + self.own * own + tried + self.fixed

    def add(self, other: "Work", times: int = 1) -> None:
        """That much more."""
        self.reads += times * other.reads
        self.own += times * other.own
        self.positions += times * other.positions
        self.fixed += times * other.fixed

    def matches(self, pattern: str) -> None:
        """One more regular expression."""
        self.positions += size_of(pattern).positions
        self.fixed += _STEPS_OF_CALL + _STEPS_OF_STATE * size_of(pattern).states

    def shared(self) -> "Work":
        """What is to be done for all elements of a list together, whatever their number."""
        return Work(reads=self.reads, own=self.own, positions=self.positions)


class Cost(Struct, kw_only=True):
    """How much a condition, or several, can take."""

    once: Work
    """Done once, or once for all elements of a list together;"""
    each: Work
    """done for each element, whatever size that is;"""
    nested: Work
    """done for each element with all that there is."""

    def steps(self, values: int, characters: int) -> int:
        """How many steps that is at most, for so many values with so many characters."""
        elements = 1 + values
        return (
            self.once.steps(values, characters)
            + elements * self.each.steps(0, 0)
            + elements * self.nested.steps(values, characters)
        )

    def add(self, other: "Cost") -> None:
        """That much more."""
        self.once.add(other.once)
        self.each.add(other.each)
        self.nested.add(other.nested)


def no_cost() -> Cost:
    """Of nothing."""
    return Cost(once=Work(), each=Work(), nested=Work())


class Size(Struct, frozen=True):
    """How large a regular expression is: estimated, rather too high."""

    states: int = 0
    """When it is compiled."""
    positions: int = 0
    """Characters and classes, with their repetitions."""

    def plus(self, other: "Size", times: int = 1) -> "Size":
        """Both together."""
        return Size(self.states + times * other.states, self.positions + times * other.positions)


def size_of(pattern: str) -> Size:
    """How large a regular expression gets when it is compiled."""
    totals, last, at = [Size()], Size(), 0
    while at < len(pattern):
        character = pattern[at]
        counted = _COUNTED.match(pattern, at)
        if counted is not None and any(counted.groups()):
            times = max(int(number or 1) for number in counted.groups())
            totals[-1] = totals[-1].plus(last, max(times, 1) - 1)
            last, at = Size().plus(last, max(times, 1)), counted.end()
        elif character == "(":
            totals.append(Size(1))
            last, at = Size(), at + 1
        elif character == ")" and len(totals) > 1:
            last, at = totals.pop(), at + 1
            totals[-1] = totals[-1].plus(last)
        elif character in "*+?|":
            totals[-1] = totals[-1].plus(Size(1))
            at += 1
        else:
            at, states = _atom(pattern, at)
            last = Size(states, 1)
            totals[-1] = totals[-1].plus(last)
    whole = Size()
    for each in totals:
        whole = whole.plus(each)
    is_folded = _FOLDED.search(pattern) is not None
    return Size(whole.states * (2 if is_folded else 1), whole.positions)


def _atom(pattern: str, at: int) -> tuple[int, int]:
    """Where the character or class that begins here ends, and how many states it has."""
    if pattern[at] != "[":
        return _character(pattern, at)
    states, depth, start = _CLASS_STATES, 0, at
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            at, more = _character(pattern, at)
            states += more
            continue
        is_first = at == start + 1 or pattern[start + 1 : at] == "^"
        depth += character == "["
        depth -= character == "]" and not is_first
        states += 1
        at += 1
        if not depth:
            break
    return at, states


def _character(pattern: str, at: int) -> tuple[int, int]:
    if pattern[at] != "\\":
        return at + 1, _CLASS_STATES if pattern[at] == "." else 1
    found = _NAMED.match(pattern, at + 1)
    if found is None:
        return at + 1, 1
    kind = found[0][0]
    states = _LARGE_STATES if kind in _LARGE else _MEDIUM_STATES if kind in _MEDIUM else 1
    return found.end(), states
