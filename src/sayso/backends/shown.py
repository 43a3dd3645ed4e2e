"""A question to a backend as lines for a terminal, in which nothing can deceive.

What the agent wrote is spelled out by `sayso.visible`, and folded here: each line of it begins
behind an indent or a fence of ours, so that none can pass for a line of the console's own.
"""

import difflib
import unicodedata
from collections.abc import Iterator

from sayso import codec
from sayso.cards import WORDS
from sayso.domain.approvals import ApprovalRequest
from sayso.types import JsonObject
from sayso.visible import json_text, spelled

Line = tuple[str, str]
"""A line and its style, as rich names styles."""

_NAMES = 11
_INDENT = " " * _NAMES
_FENCE = f"{_INDENT}\u2502 "
_RISKS = {"high": "bold red", "medium": "yellow", "low": "green"}
_DIFF = {"+": "green", "-": "red"}


def lines(request: ApprovalRequest, width: int) -> list[Line]:
    """All that a person needs to decide: what would run, why they are asked, what the agent says.

    Args:
        request: the question.
        width: columns of the terminal.
    """
    action = request.action
    risk = spelled(str(action.risk_class or "unknown"))  # made by hand it may be a plain text
    policy = f"{request.policy_name}: {request.policy_reason}".strip(": ")
    out: list[Line] = [("", ""), (f"-- Approval request {'-' * 40}"[: max(20, width)], "bold")]
    for name, text, style in (
        ("Tool", spelled(action.tool_name), "bold"),
        ("Arguments", shown_args(action.tool_args), ""),
        ("Asked for", spelled(policy), ""),
        ("Run", spelled(request.run_id), "dim"),
        ("Thread", spelled(request.thread_id), "dim"),
        ("Action", spelled(action.id), "dim"),
    ):
        out += [(line, style) for line in _named(name, text, width)] if text else []
    out.append((f"{WORDS}:", "italic"))
    for name, text, style in (
        ("Risk", risk, _RISKS.get(risk, "bold red")),
        ("Rationale", action.rationale, ""),
        ("Effects", "\n".join(action.side_effects), ""),
        ("Context", request.summary_context, ""),
        ("Refers to", "\n".join(action.context_refs), ""),
    ):
        shown = spelled(text, lines=True).expandtabs(4)
        out += [(line, style) for line in _named(name, shown, width, _FENCE)] if text else []
    return out


def shown_args(args: JsonObject) -> str:
    """Arguments as JSON in lines, in which all that deceives is escaped."""
    return json_text(codec.builtins(args), indent=2)


def difference(before: JsonObject, after: JsonObject, width: int) -> list[Line]:
    """What an edit changes, line by line; nothing if it changes nothing."""
    old, new = shown_args(before).split("\n"), shown_args(after).split("\n")
    told = list(difflib.unified_diff(old, new, lineterm="", n=2))[2:]
    return [
        (f"{_INDENT}{line[0]} {part}", _DIFF.get(line[0], ""))
        for line in (" ..." if each.startswith("@") else each for each in told)
        for part in folded(line[1:], width - _NAMES - 2)
    ]


def folded(text: str, width: int) -> Iterator[str]:
    """`text` in pieces that fit into `width` columns, so that the terminal wraps nothing itself."""
    width = max(16, width)
    piece, columns = "", 0
    for char in text:
        wide = 0 if unicodedata.combining(char) else 1
        wide += unicodedata.east_asian_width(char) in "WF"
        if columns + wide > width:
            yield piece
            piece, columns = "", 0
        piece, columns = piece + char, columns + wide
    yield piece


def _named(name: str, text: str, width: int, fence: str = _INDENT) -> Iterator[str]:
    start = f"{name:<{_NAMES}}{fence[_NAMES:]}"
    for line in text.split("\n"):
        for part in folded(line, width - len(fence)):
            yield f"{start}{part}"
            start = fence
