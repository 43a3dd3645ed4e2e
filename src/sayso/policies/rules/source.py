"""A policy's text as a tree that knows where each piece stands; and what is wrong with it.

The YAML is composed, never constructed: no tag makes an object, aliases are refused, and size,
depth and the number of values are bounded, so that no text can take long to read.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

from msgspec import Struct

from sayso.errors import InvalidRequestError, MissingExtraError
from sayso.types import Json

try:
    import yaml as _untyped
except ModuleNotFoundError as error:
    raise MissingExtraError("pyyaml", "rules") from error

yaml: Any = _untyped

MOST_TEXT: Final = 256 * 1024
MOST_DEPTH: Final = 32
MOST_NODES: Final = 50_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge", "value")
)


class Problem(Struct, frozen=True, kw_only=True):
    """What is wrong, and where."""

    line: int
    """From 1,"""
    column: int
    """from 1."""
    message: str
    """A sentence, with the way out."""

    def at(self, source: str) -> str:
        """The place, as `policy.yaml:3:7`."""
        return f"{source}:{self.line}:{self.column}"


class Problems:
    """Collects what is wrong, so that all of it is told at once."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Problem] = []

    def add(self, line: int, column: int, message: str) -> None:
        """One more."""
        self.found.append(Problem(line=line, column=column, message=message))

    def check(self) -> None:
        """Go on only if nothing is wrong.

        Raises:
            InvalidRequestError: `invalid_policy`, with each place in `errors`.
        """
        if not self.found:
            return
        found = sorted(self.found, key=lambda problem: (problem.line, problem.column))
        more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
        raise InvalidRequestError(
            f"{found[0].at(self.source)}: {found[0].message}{more}",
            hint="See docs/policies.md for what a policy may say.",
            code="invalid_policy",
            errors=tuple({"at": p.at(self.source), "message": p.message} for p in found),
        )


class Node(Struct, kw_only=True):
    """One piece of the text: a mapping, a list, or a scalar."""

    line: int
    column: int
    start: int
    """Of its characters in the text,"""
    end: int
    """and behind them."""
    text: str | None = None
    """Of a scalar: as it is written, without quotes."""
    is_plain: bool = False
    """Of a scalar: whether it has no quotes."""
    style: str | None = None
    items: "list[Node] | None" = None
    fields: "dict[str, tuple[Node, Node]] | None" = None
    """Of a mapping: by the key's text, the key and the value."""

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if self.fields is not None:
            return "a mapping"
        return "a list" if self.items is not None else "a text"


def parse(text: str, problems: Problems) -> Node:
    """The tree of one YAML document.

    Raises:
        InvalidRequestError: it is none, or breaks a limit.
    """
    if len(text) > MOST_TEXT:
        problems.add(1, 1, f"The text has more than {MOST_TEXT} characters; split the policy.")
        problems.check()
    composed: Any = None
    try:
        if _is_bounded(text, problems):
            composed = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problems.add(line, column, f"This is not YAML: {error.problem or error.context}.")
    except yaml.YAMLError as error:
        line, column = _place_of(error, text)
        problems.add(line, column, f"This is not YAML: {str(error).splitlines()[0]}.")
    problems.check()
    if composed is None:
        problems.add(1, 1, "There is nothing in it. It needs at least: rules: []")
        problems.check()
    return _node(composed, problems)


def _place_of(error: Exception, text: str) -> tuple[int, int]:
    position: Any = getattr(error, "position", 0)
    before = text[: position if isinstance(position, int) else 0]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _is_bounded(text: str, problems: Problems) -> bool:
    """Whether its depth and its size are within the limits, and nothing is written by alias."""
    depth = 0
    events: Iterable[Any] = yaml.parse(text, Loader=_LOADER)
    for count, event in enumerate(events):
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, yaml.AliasEvent):
            problems.add(line, column, "Aliases are not taken; write it out, or use `defaults`.")
            return False
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        if depth > MOST_DEPTH:
            problems.add(line, column, f"It is nested deeper than {MOST_DEPTH} levels.")
            return False
        if count > 2 * MOST_NODES:
            problems.add(line, column, f"There are more than {MOST_NODES} values; split it.")
            return False
    return True


def _node(composed: Any, problems: Problems) -> Node:
    start = composed.start_mark
    node = Node(
        line=start.line + 1,
        column=start.column + 1,
        start=start.index,
        end=composed.end_mark.index,
    )
    if composed.tag not in _TAGS:
        problems.add(
            node.line, node.column, f"The tag {composed.tag!r} is not taken; leave it out."
        )
    if isinstance(composed, yaml.ScalarNode):
        scalar: Any = composed
        node.text = str(scalar.value)
        node.style = scalar.style or None
        node.is_plain = not scalar.style
    elif isinstance(composed, yaml.SequenceNode):
        items: Any = composed.value
        node.items = [_node(item, problems) for item in items]
    else:
        node.fields = {}
        pairs: Any = composed.value
        for key, value in pairs:
            named = _node(key, problems)
            if named.text is None:
                problems.add(named.line, named.column, "A key is a text.")
            elif named.text in node.fields:
                before = node.fields[named.text][0].line
                problems.add(
                    named.line,
                    named.column,
                    f"The key {named.text!r} is there twice, first in line {before}.",
                )
            else:
                node.fields[named.text] = (named, _node(value, problems))
    return node


def json_of(node: Node) -> Json:
    """What it is as JSON: plain scalars as YAML 1.2 has them (`no` is a text, `true` is not)."""
    if node.fields is not None:
        return {key: json_of(value) for key, (_, value) in node.fields.items()}
    if node.items is not None:
        return [json_of(item) for item in node.items]
    text = node.text or ""
    return scalar(text) if node.is_plain else text


def scalar(text: str) -> Json:
    """A plain scalar of YAML 1.2."""
    known = {"": None, "null": None, "~": None, "true": True, "false": False}
    if text in known:
        return known[text]
    for read in (int, float):
        try:
            if "_" not in text and text.lstrip("+-")[:1] in "0123456789.":
                return read(text)
        except ValueError:
            continue
    return text


def place_within(node: Node, source: str, offset: int) -> tuple[int, int]:
    """Line and column of a character of a scalar's text, however the scalar is written.

    Text and source are walked side by side; white space, which YAML folds, does not count. Where
    they cannot be brought together (escapes), it is where the scalar begins.
    """
    raw = source[node.start : node.end]
    text = node.text or ""
    at = 0
    if node.style in ("|", ">"):
        at = raw.find("\n") + 1
    elif node.style is not None:
        at = 1
    for index, character in enumerate(text):
        if index >= offset:
            break
        if character.isspace():
            continue
        while at < len(raw) and raw[at].isspace():
            at += 1
        if at >= len(raw) or raw[at] != character:
            return node.line, node.column
        at += 2 if node.style == "'" and character == "'" else 1
    if offset < len(text) and not text[offset].isspace():
        while at < len(raw) and raw[at].isspace():
            at += 1
    before = source[: node.start + at]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def close_to(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` if there is such a word among those known; else nothing."""
    close = get_close_matches(word, [str(each) for each in known], n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
