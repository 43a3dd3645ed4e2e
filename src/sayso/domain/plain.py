"""Names and texts as they are compared: no case, no two ways to write one character."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from fnmatch import translate
from functools import lru_cache
from typing import Final

from sayso.visible import pieces, seen, taken_for

LONGEST_NAME: Final = 256
"""Of names that are kept for the next time: agents choose them."""
WILD: Final = re.compile(r"[*?\[]")
_BETWEEN = re.compile(r"[\W_]+")


def plain(text: str) -> str:
    """`text` without case (casefold), in one form (NFKC), without invisible characters."""
    if not text.isascii():
        folded = unicodedata.normalize("NFKC", seen(text)).casefold()
        return unicodedata.normalize("NFKC", folded).strip()
    return (text if text.isprintable() else seen(text)).casefold().strip()


def plain_name(name: str) -> str:
    """The same for names, which come again and again; long ones are not kept."""
    return _kept(name) if len(name) <= LONGEST_NAME else plain(name)


def readings(name: str) -> tuple[str, ...]:
    """How a name is compared: plain, and as what it looks like in ASCII if that is another."""
    return _read(name, plain_name(name))


def spellings(text: str) -> tuple[str, ...]:
    """The same for a text in which something is looked for; nothing is kept of it."""
    return _read(text, plain(text))


def _read(text: str, known: str) -> tuple[str, ...]:
    if text.isascii():
        return (known,)
    looks = plain(taken_for(unicodedata.normalize("NFKC", seen(text))))
    return (known,) if looks == known else (known, looks)


def may_be_taken_for(name: str, other: str) -> bool:
    """Whether somebody may take one name for the other: in any spelling, whatever its blanks."""
    return not _without_blanks(name).isdisjoint(_without_blanks(other))


@lru_cache(maxsize=4096)
def _without_blanks(name: str) -> frozenset[str]:
    return frozenset("".join(each.split()) for each in readings(name))


def deceives(name: str) -> bool:
    """Whether a name passes for another one: letters of two scripts in one word, and the like."""
    if name.isascii():
        return False
    words = _BETWEEN.sub(" ", unicodedata.normalize("NFKC", seen(name)))
    return any(piece.kind == "alike" for piece in pieces(words))


def is_what_it_looks(name: str) -> bool:
    """Whether nobody takes a name for another: all to be seen, in one form, and no look-alikes."""
    if name.isascii():
        return name.isprintable()
    is_one_form = unicodedata.normalize("NFKC", seen(name)) == name
    return is_one_form and not deceives(name) and not taken_for(name).isascii()


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Whether a name matches one of the globs in any spelling, or looks as if it did."""
    written = frozenset(map(plain, globs))
    if not written:
        return lambda name: False
    match = re.compile("|".join(map(translate, sorted(written)))).match
    return lambda name: any(each in written or match(each) for each in readings(name))


@lru_cache(maxsize=4096)
def _kept(name: str) -> str:
    return plain(name)
