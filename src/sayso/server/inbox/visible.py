"""Characters that deceive the eye, made visible; the same rules as `static/visible.js`."""

# ruff: noqa: RUF001  # look-alike characters are the subject of this module

import re
import unicodedata
from typing import NamedTuple

# fmt: off
_NAMES = {
    "\u061c": "ALM", "\u200e": "LRM", "\u200f": "RLM", "\u202a": "LRE", "\u202b": "RLE",
    "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO", "\u2066": "LRI", "\u2067": "RLI",
    "\u2068": "FSI", "\u2069": "PDI", "\u200b": "ZWSP", "\u200c": "ZWNJ", "\u200d": "ZWJ",
    "\u2060": "WJ", "\ufeff": "BOM", "\u00ad": "SHY", "\u2028": "LS", "\u2029": "PS",
    "\u0000": "NUL", "\u0008": "BS", "\r": "CR", "\u001b": "ESC", "\u007f": "DEL",
}
# fmt: on
_WHY = {
    "bidi": "turns the reading direction, so text can look different from what it is",
    "hidden": "cannot be seen, but it is there",
    "control": "is a control character, which programs may act on",
    "space": "looks like a space, but is another character",
    "tags": "carries hidden text, which people do not see and models read",
}
_SUSPECT = re.compile(
    "(?P<bidi>[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])"
    "|(?P<hidden>[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200d\u2060-\u206f\u2800\u3164\ufeff"
    "\uffa0\ufff9-\ufffb\ufe00-\ufe0f\U000e0100-\U000e01ef])"
    "|(?P<control>[\0-\x08\x0b-\x1f\x7f-\x9f\ue000-\uf8ff\U000f0000-\U0010ffff])"
    "|(?P<space>[\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000])"
    "|(?P<tags>[\U000e0000-\U000e007f]+)"
)
# fmt: off
_PAIRS = (
    "аa еe оo рp сc уy хx іi ѕs јj һh ԁd ӏl ԛq ԝw кk АA ВB ЕE КK МM "
    "НH ОO РP СC ТT УY ХX ІI ЅS ЈJ Ԛq Ԝw "
    "αa οo νv ρp ιi υu κk χx ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX"
)
# fmt: on
_ALIKE = {pair[0]: pair[1] for pair in _PAIRS.split()}
_WORD = re.compile(r"\w+")
_FOREIGN = re.compile("[\u0370-\u03ff\u1f00-\u1fff\u0400-\u052f]")
_CJK = re.compile("[\u3040-\u9fff]")
_WIDE = re.compile("[\uff10-\uff5a\U0001d400-\U0001d7ff]")
_MOST = 500
_TOO_MANY = (
    "not shown here, since the text has too many characters that deceive: see the raw request"
)
_PLAIN = re.compile(r"[\x20-\x7e\n\t]*")


class Piece(NamedTuple):
    """A stretch of text; with a `kind`, one that would deceive, and `why`."""

    text: str
    kind: str = ""
    why: str = ""


def pieces(text: str) -> list[Piece]:
    """Split a text so that each deceiving character stands alone, named and explained."""
    if _PLAIN.fullmatch(text):
        return [Piece(text)]
    marks = sorted([*_suspects(text), *_alikes(text)])
    if len(marks) > _MOST:
        start = marks[_MOST][0]
        rest = Piece(f"{len(text) - start} more characters", "hidden", _TOO_MANY)
        marks[_MOST:] = [(start, len(text) - start, rest)]
    out: list[Piece] = []
    start = 0
    for at, size, piece in marks:
        if at > start:
            out.append(Piece(text[start:at]))
        out.append(piece)
        start = at + size
    if start < len(text):
        out.append(Piece(text[start:]))
    return out


def _suspects(text: str) -> list[tuple[int, int, Piece]]:
    found: list[tuple[int, int, Piece]] = []
    for match in _SUSPECT.finditer(text):
        if len(found) > _MOST:
            break
        char, kind = match[0], match.lastgroup or ""
        if _harmless(text, match.start(), match.end(), char):
            continue
        if kind == "tags":
            said = "".join(chr(ord(c) - 0xE0000) for c in char if 0x20 <= ord(c) - 0xE0000 <= 0x7E)
            piece = Piece(f"hidden text: {said or '(empty)'}", kind, _WHY[kind])
        else:
            piece = Piece(_NAMES.get(char, _code(char)), kind, f"{_code(char)} {_WHY[kind]}")
        found.append((match.start(), len(char), piece))
    return found


def _harmless(text: str, start: int, end: int, char: str) -> bool:
    """Tell whether it does its ordinary work: line ends, emoji, Arabic and Indic joiners."""
    before, after = text[start - 1 : start], text[end : end + 1]
    match char:
        case "\r":
            return after == "\n"
        case "\u200c" | "\u200d" if before and unicodedata.name(before, "").startswith(
            ("ARABIC", "DEVANAGARI", "BENGALI", "SINHALA")
        ):
            return True
        case "\u200d":
            return _emoji(before) and _emoji(after)
        case "\ufe0e" | "\ufe0f":
            return _emoji(before) or (before != "" and before in "#*0123456789©®")
        case "\u3000":
            return bool(_CJK.search(text))
        case _:
            return char[0] >= "\U000e0000" and before == "\U0001f3f4"


def _emoji(char: str) -> bool:
    return char == "\ufe0f" or (bool(char) and unicodedata.category(char) in {"So", "Sk"})


def _alikes(text: str) -> list[tuple[int, int, Piece]]:
    found: list[tuple[int, int, Piece]] = []
    foreign_text = any(_FOREIGN.match(c) and c not in _ALIKE for c in text)
    cjk = bool(_CJK.search(text))
    has_ascii = re.search("[A-Za-z]", text) is not None
    for match in _WORD.finditer(text):
        word = match[0]
        if len(found) > _MOST:
            break
        if word.isascii():
            continue
        latin = any(unicodedata.name(c, "").startswith("LATIN") for c in word)
        whole = (
            not latin
            and not foreign_text
            and len(word) > 1
            and all(c in _ALIKE for c in word)
            and has_ascii
        )
        for at, char in enumerate(word, match.start()):
            if char in _ALIKE and (latin or whole):
                script = unicodedata.name(char).split()[0].capitalize()
                why = f"{_code(char)} looks like the Latin letter {_ALIKE[char]}, but is {script}"
                found.append((at, 1, Piece(char, "alike", why)))
            elif not cjk and _WIDE.match(char):
                plain = unicodedata.normalize("NFKC", char)
                found.append(
                    (
                        at,
                        1,
                        Piece(
                            char,
                            "alike",
                            f"{_code(char)} looks like {plain}, but is another character",
                        ),
                    )
                )
    return found


def _code(char: str) -> str:
    return f"U+{ord(char):04X}"
