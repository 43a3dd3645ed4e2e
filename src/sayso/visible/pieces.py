"""A text as pieces: plain ones, and those that would deceive the eye, each named and explained.

The inbox does the same in `static/visible.js`; both are tested with the same texts. Ordinary texts
of any language are plain: Persian joiners, Hebrew marks, family emoji, Japanese wide letters.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from sayso.visible import tables
from sayso.visible.spelling import code, spell

MOST = 500
"""Marks in one text. Beyond them what deceives is spelled out, so that no page drowns in marks."""
BLANKS = 80
"""As many blanks in a row push what follows out of sight."""


class _Late:
    """A regular expression that is compiled when it is first used: together they take 10 ms."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __getattr__(self, name: str) -> Any:
        """A method of the compiled one, which is found at once the next time."""
        method = getattr(re.compile(self._text), name)
        setattr(self, name, method)
        return method


def _late(text: str) -> re.Pattern[str]:
    return cast("re.Pattern[str]", _Late(text))


_ESCAPE = (
    r"\x1b\[[0-?]{0,64}[ -/]{0,16}[@-~]|\x9b[0-?]{0,64}[ -/]{0,16}[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[\x20-\x7e]{0,512}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]{0,8}[0-~]"
)
_SUSPECT = _late(
    f"(?P<escape>{_ESCAPE})|(?P<bidi>[{tables.BIDI}])|(?P<selectors>[{tables.SELECTORS}]{{2,}})"
    f"|(?P<hidden>[{tables.HIDDEN}])|(?P<control>[{tables.CONTROL}])|(?P<space>[{tables.SPACE}])"
    f"|(?P<tags>[{tables.TAGS}]+)|(?P<stack>[{tables.STACKED}]{{5,}})"
    f"|(?P<blank>[ \\t\\n]{{{BLANKS},}})"
)
_LINE = re.compile(r"[\n\t]")
_PLAIN = re.compile(r"[\x20-\x7e\n\t]*")
_BLANK = re.compile(f"[ \\t\\n]{{{BLANKS},}}")
_CJK = _late(f"[{tables.CJK}]")
_RIGHT_TO_LEFT = _late(f"[{tables.RIGHT_TO_LEFT}]")
_JOINED = _late(f"[{tables.JOINED}]")
_UNSPACED = _late(f"[{tables.UNSPACED}]")
_MONGOLIAN = _late("[\u1800-\u18af]")

_FOREIGN = "".join(ranges for _, ranges in tables.SCRIPTS)
_SCRIPTS = [(name, _late(f"[{ranges}]")) for name, ranges in tables.SCRIPTS]
_STRONG = "".join(c for c in tables.ALIKE if c not in tables.WEAK)
_WORD = _late(rf"(?<!\\)[{tables.LATIN}{_FOREIGN}0-9_{tables.STACKED}]+")
_IS_FOREIGN = _late(f"[{_FOREIGN}]")
_IS_LATIN = _late(f"[{tables.LATIN}]")
_IS_MIXED = _late(
    f"[{tables.LATIN}][0-9_{tables.STACKED}]*[{_FOREIGN}]"
    f"|[{_FOREIGN}][0-9_{tables.STACKED}]*[{tables.LATIN}]"
)
_IS_WHOLE = _late(f"[{_STRONG}]+")
_REAL = _late(f"(?![{_STRONG}])[{_FOREIGN}]")
_LETTER = re.compile("[A-Za-z]")
_WIDE = _late(f"[{tables.WIDE}]")
_CODE_MARK = _late(
    "(?<=[A-Za-z0-9_)\\]])\u01c3|\u01c3(?==)|(?<![\u0370-\u03ff\u1f00-\u1fff])\u037e"
)
_TOKEN = _late(rf"[^\s<>\"'(){{}}\[\],;{tables.CJK}]+")
_IS_ADDRESS = _late("@|://|[^\\W\\d_][.\u2024\u3002\uff0e\uff61][^\\W\\d_]")
_LABEL = _late(r"[^\W_]+")
_ORDINARY = _late(f"[{tables.ORDINARY}]")
_PUNYCODE = re.compile(r"(?<![A-Za-z0-9-])[xX][nN]--[A-Za-z0-9-]{1,59}")
_TWINS: dict[str, dict[str, str]] = {}


class Piece(NamedTuple):
    """A stretch of text; with a `kind`, one that would deceive.

    Attributes:
        text: what to show: the text itself, or a name for what cannot be seen.
        kind: empty, or `bidi`, `hidden`, `control`, `escape`, `space`, `blank`, `tags`, `stack`,
            `line`, `alike`, `address`, `more`.
        why: how it deceives, to follow the text; or a sentence without its full stop.
        raw: what stands there.
    """

    text: str
    kind: str = ""
    why: str = ""
    raw: str = ""


def pieces(text: str, *, one_line: bool = False) -> list[Piece]:
    """Split a text so that whatever deceives stands alone. Nothing is left out.

    Args:
        text: anything; a megabyte takes a fraction of a second.
        one_line: it stands where one line is meant, so that a line break is a deception too.
    """
    if is_plain(text) and not (one_line and _LINE.search(text)):
        return [Piece(text, raw=text)]
    found: dict[int, tuple[int, Piece]] = {}
    for start, piece in _marks(text, one_line=one_line):
        found.setdefault(start, (start + len(piece.raw), piece))
    out: list[Piece] = []
    at = 0
    for count, start in enumerate(sorted(found)):
        end, piece = found[start]
        if start < at:
            continue
        if start > at:
            out.append(Piece(text[at:start], raw=text[at:start]))
        if count >= MOST:
            rest = text[start:]
            why = f"{len(rest)} characters {tables.WHY['more']}"
            return [*out, Piece(spell(rest, keep="\n\t"), "more", why, rest)]
        out.append(piece)
        at = end
    if at < len(text):
        out.append(Piece(text[at:], raw=text[at:]))
    return out


def is_plain(text: str) -> bool:
    """Whether a text is ASCII without any trick: nearly all are, and this is fast."""
    return (
        _PLAIN.fullmatch(text) is not None
        and _PUNYCODE.search(text) is None
        and _BLANK.search(text) is None
    )


def _marks(text: str, *, one_line: bool) -> Iterator[tuple[int, Piece]]:
    """All that deceives, by place; those of one kind are enough when they are more than `MOST`."""
    yield from _few(_suspects(text))
    if one_line:
        yield from _few(
            (
                m.start(),
                Piece("\u21b5" if m[0] == "\n" else "TAB", "line", _why(m[0], "line"), m[0]),
            )
            for m in _LINE.finditer(text)
        )
    if not text.isascii():
        yield from _few(_mixed(text))
        yield from _few(_whole(text))
        yield from _few(_dressed(text))
        yield from _few(_addresses(text))
    yield from _few(_punycode(text))


def _few(marks: Iterator[tuple[int, Piece]]) -> Iterator[tuple[int, Piece]]:
    for _, mark in zip(range(MOST + 1), marks, strict=False):
        yield mark


def _suspects(text: str) -> Iterator[tuple[int, Piece]]:
    for match in _SUSPECT.finditer(text):
        raw, kind = match[0], match.lastgroup or ""
        if not _is_harmless(text, match.start(), match.end(), raw, kind):
            yield match.start(), _suspect(raw, kind)


def _suspect(raw: str, kind: str) -> Piece:
    match kind:
        case "tags" | "selectors":
            said = _said(raw) if kind == "tags" else _selected(raw)
            return Piece(f"hidden text: {said or '(empty)'}", "tags", tables.WHY["tags"], raw)
        case "stack":
            shown = f"{len(raw)} marks"
            return Piece(shown, kind, f"{shown} {tables.WHY[kind]}", raw)
        case "blank":
            lines = raw.count("\n")
            shown = f"{len(raw)} blanks" + (f", {lines} of them line breaks" if lines else "")
            return Piece(shown, kind, f"{shown}: {tables.WHY[kind]}", raw)
        case "escape":
            return Piece(
                "".join(tables.NAMES.get(c, code(c)) if not c.isprintable() else c for c in raw),
                kind,
                f"{code(raw[0])} {tables.WHY[kind]}",
                raw,
            )
        case _:
            return Piece(tables.NAMES.get(raw, code(raw)), kind, _why(raw, kind), raw)


def _said(raw: str) -> str:
    return "".join(chr(ord(c) - 0xE0000) for c in raw if 0x20 <= ord(c) - 0xE0000 <= 0x7E)


def _selected(raw: str) -> str:
    """What is hidden in variation selectors, each of which stands for a byte."""
    hidden = bytes(ord(c) - (0xFE00 if c < "\U000e0000" else 0xE00F0) for c in raw)
    return "".join(chr(byte) if 0x20 <= byte <= 0x7E else "?" for byte in hidden)


def _is_harmless(text: str, start: int, end: int, raw: str, kind: str) -> bool:
    """Tell whether it does its ordinary work: line ends, emoji, joiners, flags."""
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    match raw:
        case "\r":
            return after == "\n"
        case "\u200c" | "\u200d" if _JOINED.match(before):
            return True
        case "\u200d":
            return _is_emoji(before) and _is_emoji(after)
        case "\u200b":
            return bool(_UNSPACED.match(before) and _UNSPACED.match(after))
        case "\u200f" | "\u061c":  # beside a letter of their own direction they change nothing
            return bool(_RIGHT_TO_LEFT.match(before) or _RIGHT_TO_LEFT.match(after))
        case "\ufe0e" | "\ufe0f":
            return _is_emoji(before) or (before != "" and before in "#*0123456789©®")
        case "\u3000":
            return bool(_CJK.search(text))
        case "\u2800":
            return "\u2801" <= before <= "\u28ff" or "\u2801" <= after <= "\u28ff"
        case _ if kind == "tags":
            return before == "\U0001f3f4" and raw[-1] == "\U000e007f" and _said(raw) in tables.FLAGS
        case _ if kind == "hidden" and (raw >= "\U000e0100" or "\ufe00" <= raw <= "\ufe02"):
            return bool(_CJK.match(before))
        case _:
            return "\u180b" <= raw <= "\u180f" and bool(_MONGOLIAN.match(before))


def _is_emoji(char: str) -> bool:
    return char == "\ufe0f" or (bool(char) and unicodedata.category(char) in {"So", "Sk"})


def _mixed(text: str) -> Iterator[tuple[int, Piece]]:
    """Letters of two scripts in one word."""
    if _IS_MIXED.search(text) is None:
        return
    for match in _WORD.finditer(text):
        word = match[0]
        if word.isascii() or _IS_MIXED.search(word) is None:
            continue
        foreign = _IS_FOREIGN.findall(word)
        latin = len(_IS_LATIN.findall(word))
        if len(foreign) < max(2, latin) or all(c in tables.ALIKE for c in foreign):
            yield from _foreign(word, match.start())
        else:
            yield from _intruders(word, match.start(), _script(foreign[0]))


def _whole(text: str) -> Iterator[tuple[int, Piece]]:
    """Words in which each letter looks like a Latin one, in a text that is Latin otherwise."""
    latin = _LETTER.search(text) is not None and _REAL.search(text) is None
    for match in _WORD.finditer(text):
        word = match[0]
        if word.isascii() or len(word) < 2 or not _IS_WHOLE.fullmatch(word):
            continue
        if latin or len({_script(c) for c in word}) > 1:
            yield from _foreign(word, match.start())


def _foreign(word: str, start: int) -> Iterator[tuple[int, Piece]]:
    for at, char in enumerate(word, start):
        if char in tables.ALIKE:
            twin = tables.ALIKE[char]
            kind = "digit" if twin.isdigit() else "Latin letter"
            why = f"{code(char)} looks like the {kind} {twin}, but is {_script(char)}"
            yield at, Piece(char, "alike", why, char)


def _intruders(word: str, start: int, script: str) -> Iterator[tuple[int, Piece]]:
    """Latin letters that pass for those of the script in which the word is written."""
    if script not in _TWINS:
        _TWINS[script] = {
            twin: char for char, twin in reversed(tables.ALIKE.items()) if _script(char) == script
        }
    for at, char in enumerate(word, start):
        twin = _TWINS[script].get(char)
        if twin is not None and char.isalpha():
            why = f"{code(char)} looks like the {script} letter {twin}, but is Latin"
            yield at, Piece(char, "alike", why, char)


def _script(char: str) -> str:
    return next((name for name, letters in _SCRIPTS if letters.match(char)), "another script")


def _dressed(text: str) -> Iterator[tuple[int, Piece]]:
    """Wide, bold and circled letters where they are no custom, and punctuation of programs."""
    if _CJK.search(text) is None:
        for match in _WIDE.finditer(text):
            yield match.start(), _like(match[0], unicodedata.normalize("NFKC", match[0]))
    for match in _CODE_MARK.finditer(text):
        yield match.start(), _like(match[0], tables.MARKS[match[0]])


def _addresses(text: str) -> Iterator[tuple[int, Piece]]:
    """What programs read otherwise than people in addresses, host names and file names."""
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token.isascii() or not _IS_ADDRESS.search(token) or not _LETTER.search(token):
            continue
        for label in _LABEL.finditer(token):
            if _IS_WHOLE.fullmatch(label[0]):
                yield from _foreign(label[0], match.start() + label.start())
        for at, char in enumerate(token):
            if not char.isascii() and (plain := _read_as(char, token, at)):
                yield match.start() + at, _like(char, plain)


def _read_as(char: str, token: str, at: int) -> str:
    """The ASCII that programs, or people, take a character of an address for; empty for none."""
    if char in tables.LATIN_ALIKE:
        return tables.LATIN_ALIKE[char]
    if char in tables.MARKS:
        around = token[max(0, at - 1) : at], token[at + 1 : at + 2]
        return tables.MARKS[char] if all(c and c.isascii() for c in around) else ""
    plain = unicodedata.normalize("NFKC", char)
    return plain if plain.isascii() and not _ORDINARY.match(char) else ""


def _like(char: str, plain: str) -> Piece:
    return Piece(char, "alike", f"{code(char)} looks like {plain}, but is another character", char)


def _punycode(text: str) -> Iterator[tuple[int, Piece]]:
    for match in _PUNYCODE.finditer(text):
        try:
            meant = match[0][4:].encode().decode("punycode")
        except (UnicodeError, ValueError, OverflowError):
            meant = ""
        if not meant or not all(c.isprintable() for c in meant):
            why = "is the code of a name in other letters, and cannot be read"
        else:
            plain = "".join(tables.ALIKE.get(c) or tables.LATIN_ALIKE.get(c) or c for c in meant)
            looks = f", which looks like {plain}" if plain != meant and plain.isascii() else ""
            why = f"is the code of {meant}{looks}"
        yield match.start(), Piece(match[0], "address", f"{match[0]} {why}", match[0])


def _why(char: str, kind: str) -> str:
    return f"{code(char)} {tables.WHY[kind]}"
