"""Agents' text, shown so that it cannot deceive: one renderer for pages, terminals and messages.

tables      which characters deceive, and why
pieces      a text as pieces: plain, or marked with what deceives there
writers     pieces for a place: HTML, a terminal or plain text, JSON; and words within a fence
cards       a request as what was computed, and what the agent says
"""

from sayso.visible.pieces import Piece, is_plain, pieces
from sayso.visible.spelling import seen, taken_for, unsteered
from sayso.visible.writers import fenced, html, json_string, json_text, spelled

__all__ = [
    "Piece",
    "fenced",
    "html",
    "is_plain",
    "json_string",
    "json_text",
    "pieces",
    "seen",
    "spelled",
    "taken_for",
    "unsteered",
]
