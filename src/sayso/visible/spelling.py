"""Characters by their codes, for places that have room for nothing else."""

import re
import unicodedata

from sayso.visible import tables

_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Co"})
"""Control, format (bidi, zero-width, tags), surrogates, separators of lines, private use."""
_UNSEEN = re.compile(f"[{tables.HIDDEN}]")
_EMPTY = re.compile(f"[{tables.HIDDEN}{tables.TAGS}]")
_MOST_KEPT = 10_000
_DECEIVING = re.compile(
    f"[{tables.HIDDEN}{tables.SPACE}{tables.WIDE}{tables.STACKED}"
    + "".join(map(re.escape, (*tables.ALIKE, *tables.LATIN_ALIKE, *tables.MARKS)))
    + "]"
)


def code(char: str) -> str:
    """A character's number, as people look it up: `U+202E`."""
    return f"U+{ord(char):04X}"


def escape(char: str) -> str:
    r"""A character as programs write it: `\u202e`, `\x1b`, `\n`."""
    spelled = char.encode("unicode_escape", "backslashreplace").decode()
    return f"\\x{ord(char):02x}" if spelled == char else spelled


def steers(char: str) -> bool:
    """Whether a terminal may act on it, or nobody can see it; emoji's selectors may stay."""
    return unicodedata.category(char) in _STEERING or (
        char not in "\ufe0e\ufe0f" and _UNSEEN.match(char) is not None
    )


class _Spelling(dict[int, str]):
    """For `str.translate`: what steers by its code, the rest as it is; each looked up once."""

    def __init__(self, keep: str, *, all_that_deceives: bool) -> None:
        super().__init__({ord(c): c for c in keep})
        self._all = all_that_deceives

    def __missing__(self, number: int) -> str:
        char = chr(number)
        bad = steers(char) or (self._all and _DECEIVING.match(char) is not None)
        shown = escape(char) if bad else char
        if len(self) < _MOST_KEPT:
            self[number] = shown
        return shown


_TABLES = {
    (keep, everything): _Spelling(keep, all_that_deceives=everything)
    for keep in ("", "\n\t")
    for everything in (False, True)
}


class _Seen(dict[int, str]):
    """For `str.translate`: nothing for what cannot be seen, the rest as it is."""

    def __missing__(self, number: int) -> str:
        char = chr(number)
        shown = "" if steers(char) or _EMPTY.match(char) else char
        if len(self) < _MOST_KEPT:
            self[number] = shown
        return shown


class _Alike(dict[int, str]):
    """For `str.translate`: the ASCII that a character is taken for, the rest as it is."""

    def __missing__(self, number: int) -> str:
        char = chr(number)
        return (
            tables.ALIKE.get(char) or tables.LATIN_ALIKE.get(char) or tables.MARKS.get(char, char)
        )


_SEEN = _Seen({ord(c): c for c in "\n\t"})
_ALIKE = _Alike()


def seen(text: str) -> str:
    """`text` without the characters that nobody can see, to be compared; line breaks stay."""
    return text.translate(_SEEN)


def taken_for(text: str) -> str:
    """`text` with each look-alike of an ASCII character as that character, to be compared."""
    return text.translate(_ALIKE)


def spell(text: str, *, keep: str = "") -> str:
    """`text` with everything spelled out that might deceive, wherever it stands.

    Args:
        text: anything.
        keep: what stays; nothing, or line breaks and tabs.
    """
    return text.translate(_TABLES[keep, True])


def unsteered(text: str, *, keep: str = "") -> str:
    """`text` with that spelled out on which a terminal may act, or which nobody can see."""
    return text.translate(_TABLES[keep, False])
