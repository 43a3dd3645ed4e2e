"""Arguments as they may be kept: without what the rules name."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any, cast

from sayso.domain.redaction import REDACTED, parse, redacted_args
from sayso.telemetry.payloads import plain, text_of
from sayso.types import JsonObject

_MOST_TOOLS = 1_000
_MOST_CALLS = 10_000
SHORTEST = 6
"""Characters of a value that is looked for in texts: shorter ones stand in them by chance."""


class Redactor:
    """Takes values out of arguments by rule, as `payments.*:card.number` or `*:password`.

    Raises:
        ConfigurationError: a rule cannot be read.
    """

    def __init__(self, rules: Sequence[str]) -> None:
        self._rules = tuple(parse(text) for text in rules)
        self._paths: dict[str, tuple[tuple[str, ...], ...]] = {}

    def shown(self, tool_name: str | None, args: JsonObject) -> tuple[JsonObject, tuple[str, ...]]:
        """What is left of `args`, and JSON pointers to what was taken out.

        Args:
            tool_name: whose arguments they are; None if that is not known: all rules count then.
            args: are left as they are.
        """
        if not self._rules:
            return args, ()
        if tool_name is None:
            return redacted_args(args, tuple(rule.path for rule in self._rules))
        paths = self._paths.get(tool_name)
        if paths is None:
            if len(self._paths) >= _MOST_TOOLS:
                self._paths.clear()
            paths = tuple(rule.path for rule in self._rules if rule.names(tool_name))
            self._paths[tool_name] = paths
        return redacted_args(args, paths) if paths else (args, ())


class Quotes:
    """What was taken out of the arguments of calls, so that no text that quotes it keeps it."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], tuple[str, ...]] = {}

    def note(self, run_id: str, action_id: str, args: JsonObject, pointers: Sequence[str]) -> None:
        """Remember what stands in `args` at these places; of the oldest calls it is forgotten."""
        if not pointers:
            return
        key = (run_id, action_id)
        found = {*self._values.get(key, ()), *_spellings(args, pointers)}
        if len(self._values) >= _MOST_CALLS:
            with contextlib.suppress(RuntimeError, StopIteration):
                self._values.pop(next(iter(self._values)), None)
        self._values[key] = tuple(sorted(found, key=len, reverse=True))

    def cut(self, run_id: str, action_id: str, value: Any) -> Any:
        """What `value` says, as JSON, without what was taken out of that call.

        Args:
            run_id: the agent's run.
            action_id: the call; empty: all calls of the run.
            value: anything; as it is, if nothing was taken out.
        """
        if not self._values:
            return value
        values = self._values.get((run_id, action_id), ())
        if not action_id:
            kept = list(self._values.items())  # in one step: other threads add to it
            found = {each for (run, _), quoted in kept if run == run_id for each in quoted}
            values = tuple(sorted(found, key=len, reverse=True))
        return without(plain(value), values) if values else value


def without(value: Any, quoted: Sequence[str]) -> Any:
    """JSON with `[redacted]` for each of `quoted`, in texts and for numbers."""
    if isinstance(value, str):
        for each in quoted:
            value = value.replace(each, REDACTED)
        return value
    if isinstance(value, dict):
        pairs = cast("JsonObject", value).items()
        return {without(key, quoted): without(inner, quoted) for key, inner in pairs}
    if isinstance(value, list):
        return [without(each, quoted) for each in cast("list[Any]", value)]
    return REDACTED if text_of(value) in quoted else value


def _spellings(args: JsonObject, pointers: Sequence[str]) -> set[str]:
    """What stands at these places, as texts quote it: as it is, as JSON and as Python.

    Of an object that is its names, too.
    """
    found: set[str] = set()
    left = [_at(args, pointer) for pointer in pointers]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += [*cast("JsonObject", value), *cast("JsonObject", value).values()]
        elif isinstance(value, (list, tuple)):
            left += cast("list[Any]", value)
        elif isinstance(value, (str, int, float)) and len(text := text_of(value)) >= SHORTEST:
            found |= {text, repr(text)[1:-1], ascii(text)[1:-1], json.dumps(text)[1:-1]}
            found.add(json.dumps(text, ensure_ascii=False)[1:-1])
    return found


def _at(args: JsonObject, pointer: str) -> Any:
    found: Any = args
    for part in pointer.split("/")[1:]:
        name: Any = part.replace("~1", "/").replace("~0", "~")
        found = found[int(name) if type(found) is list else name]
    return found
