"""Arguments that are not shown, by rule: in exports, in logs, and after some days at all. Pure."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from msgspec import Struct

from sayso.domain.actions import Action
from sayso.domain.plain import plain, readings
from sayso.domain.requests import Request
from sayso.errors import ConfigurationError
from sayso.types import JsonObject

REDACTED = "[redacted]"
"""What stands where a value was taken out."""
EVERY = "*"


class Redaction(Struct, frozen=True):
    """Which argument of which tools."""

    tools: str
    """A glob of tool names, in any case."""
    path: tuple[str, ...]
    """The names that lead to it; `*` is each member of an object or list. Empty: all arguments."""

    def is_for(self, action: Action) -> bool:
        """Whether this tool's arguments are meant."""
        return self.names(action.tool_name)

    def names(self, tool_name: str) -> bool:
        """Whether this tool is meant."""
        glob = plain(self.tools)
        return any(fnmatchcase(tool, glob) for tool in readings(tool_name))


def parse(text: str) -> Redaction:
    """A rule as settings write it: `payments.*:card.number`, or a JSON pointer: `*:/card/number`.

    Raises:
        ConfigurationError: it names no tool or no argument.
    """
    tools, colon, path = text.partition(":")
    if not colon or not tools or not path:
        raise ConfigurationError(
            f"The redaction {text!r} cannot be read.",
            hint="Write TOOL:ARGUMENT, as payments.*:card.number or *:password.",
        )
    if path == EVERY:
        return Redaction(tools, ())
    if path.startswith("/"):
        parts = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
    else:
        parts = path.split(".")
    return Redaction(tools, tuple(parts))


def redacted(request: Request, rules: Sequence[Redaction]) -> tuple[Request, tuple[str, ...]]:
    """The request with `[redacted]` for what the rules name, and where that stands.

    The digests stay what they were: they still tell which arguments were approved. A request that
    no rule is for comes back as it is.

    Args:
        request: it and what people made of its arguments.
        rules: all that match count.

    Returns:
        The request, and JSON pointers into it, sorted.
    """
    action = request.action
    paths = [] if action is None else [rule.path for rule in rules if rule.is_for(action)]
    if action is None or not paths:
        return request, ()
    found: list[str] = []
    args = _without(action.tool_args, paths, "/action/tool_args", found)
    proposed, decision = request.proposed_args, request.decision
    if proposed is not None:
        proposed = _without(proposed, paths, "/proposed_args", found)
    if decision is not None and decision.args is not None:
        kept = _without(decision.args, paths, "/decision/args", found)
        decision = msgspec.structs.replace(decision, args=kept)
    if not found:
        return request, ()
    shown = msgspec.structs.replace(
        request,
        action=msgspec.structs.replace(action, tool_args=args),
        proposed_args=proposed,
        decision=decision,
    )
    return shown, tuple(sorted(found))


def redacted_args(
    args: JsonObject, paths: Sequence[tuple[str, ...]]
) -> tuple[JsonObject, tuple[str, ...]]:
    """Arguments with `[redacted]` at these paths, and sorted JSON pointers to where that stands."""
    found: list[str] = []
    shown = _without(args, paths, "", found)
    return shown, tuple(sorted(found))


def _without(
    args: JsonObject, paths: Sequence[tuple[str, ...]], place: str, found: list[str]
) -> JsonObject:
    for path in paths:
        args = _cut(args, path or (EVERY,), place, found)
    return args


def _cut(value: Any, path: tuple[str, ...], place: str, found: list[str]) -> Any:
    """A copy of `value` without what is at `path`; where that was goes to `found`."""
    if not path:
        if value != REDACTED and place not in found:
            found.append(place)
        return REDACTED
    name, rest = path[0], path[1:]
    if isinstance(value, dict):
        members: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]  # JSON
        return {
            key: _cut(inner, rest, f"{place}/{_escaped(key)}", found)
            if name in (EVERY, key)
            else inner
            for key, inner in members.items()
        }
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]  # the same
        return [
            _cut(inner, rest, f"{place}/{index}", found) if name in (EVERY, str(index)) else inner
            for index, inner in enumerate(items)
        ]
    return value


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
