"""Arguments as they may be kept: without what the rules name."""

from collections.abc import Sequence

from sayso.domain.redaction import parse, redacted_args
from sayso.types import JsonObject

_MOST_TOOLS = 1_000


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
