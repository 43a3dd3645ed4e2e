"""Agents' text for a place: HTML, a terminal or plain text, JSON."""

import html as html_
import json
import re

from sayso.visible.pieces import Piece, is_plain, pieces
from sayso.visible.spelling import escape, unsteered

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_SPELLED = {"blank", "more", "address"}
"""Kinds that are shown as text: what stands there is many characters, or plain ones."""


def html(text: str, *, one_line: bool = False) -> str:
    """As HTML, escaped; each deception is a `mark` that tells of it. Good within any element."""
    return "".join(_html(piece) for piece in pieces(text, one_line=one_line))


def spelled(text: str, *, lines: bool = False) -> str:
    r"""As plain text, for terminals, logs and mails: what deceives is spelled out, as `\u202e`.

    Args:
        text: anything.
        lines: line breaks and tabs stay.
    """
    keep = "\n\t" if lines else ""
    if is_plain(text):
        return text if lines else unsteered(text)
    return "".join(_spelled(piece, keep) for piece in pieces(text))


def json_string(text: str) -> str:
    """As a JSON string that reads back as the same, with what deceives escaped."""
    if is_plain(text):
        return json.dumps(text)
    inner = "".join(map(_json, pieces(text)))
    if unsteered(inner) != inner:
        inner = "".join(c if unsteered(c) == c else json.dumps(c)[1:-1] for c in inner)
    return f'"{inner}"'.replace("\x7f", "\\u007f")


def json_text(value: object, *, indent: int | None = None) -> str:
    """Plain data as JSON with what deceives escaped in its strings; it reads back as the same."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if is_plain(text):
        return text
    return _STRING.sub(lambda found: json_string(json.loads(found[0])), text)


def fenced(text: str, *, fence: str = "\u2502 ") -> str:
    """A block of words, each line behind a fence: nothing in it can pass for a line of ours."""
    lines = spelled(text, lines=True).split("\n")
    return "\n".join(f"{fence}{line}" for line in lines)


def _html(piece: Piece) -> str:
    shown = html_.escape(piece.text)
    if not piece.kind:
        return shown
    return f'<mark class="vis vis-{piece.kind}" title="{html_.escape(piece.why)}">{shown}</mark>'


def _spelled(piece: Piece, keep: str) -> str:
    if not piece.kind or piece.kind == "more":
        return unsteered(piece.text, keep=keep)
    if piece.kind == "blank":
        return f"[{piece.text}]"
    if piece.kind in _NOT_SPELLED:
        return piece.text
    alike = piece.kind == "alike"
    return "".join(c if " " <= c <= "~" and not alike else escape(c) for c in piece.raw)


def _json(piece: Piece) -> str:
    if piece.kind == "alike" and piece.raw.isascii():
        return f"\\u{ord(piece.raw):04x}"
    return json.dumps(piece.raw, ensure_ascii=bool(piece.kind))[1:-1]
