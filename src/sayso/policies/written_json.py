"""JSON that is written as a text, read at least as leniently as whoever receives it may read it."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from sayso.visible import seen

MOST_CHARACTERS: Final = 1_000_000
"""Of a text that begins like JSON; a longer one is not read, and is in doubt."""
MOST_NAMES: Final = 10_000
OPENING: Final = frozenset('{["') | frozenset(map(chr, range(0x21))) | {"\x7f"}
"""How a text may begin that is JSON of an object, a list or a text; so may whatever is no ASCII."""
_BEGINNING: Final = re.compile(
    r"""[\[{][\[{\s]*(?:["']|[\]}]\s*[\[{,\]}]|\Z)                # {"a"  ['a'  [[],
    |[\[{\s]*\{\s*(?:\$|[^\W\d])[\w$.-]*+\s*+[:=]                 # {a:
    |[\[\s]*\[\s*(?:[-+.\w]+)\s*(?:,|\]\s*[\[{,\]])               # [1,  [true]{
    |"\s*[\[{\s]*\\                                               # "{\"a\"  "\u007b""",
    re.VERBOSE,
)
_PAIR_OR_ESCAPE: Final = re.compile(r"""["']\s*[:=]|\\[ux]""")
_BARE_NAME: Final = re.compile(r"(?<![\w$.-])((?:\$|[^\W\d])[\w$.-]*+)\s*+[:=]")


class UnreadableJsonError(Exception):
    """A text looks like JSON, cannot be read, and may hold what is looked for."""


def read(text: str, is_looked_for: Callable[[str], bool]) -> Any:
    """The object or list that a text is JSON of; None for other texts.

    NaN and numbers, texts and control characters that strict readers refuse are taken. A name that
    is there twice has a list of its values. A text in JSON stands alone in a list.

    Args:
        text: anything.
        is_looked_for: whether a name matters, of texts that are hardly JSON.

    Raises:
        UnreadableJsonError: it begins like JSON, is too long, too deep or not well-formed, and
            has names in quotation marks, escapes, or a name that matters.
    """
    start = next((at for at, char in enumerate(text) if seen(char).strip()), len(text))
    text = text[start:]
    if not text or text[0] not in '{["':
        return None
    if len(text) > MOST_CHARACTERS:
        if _BEGINNING.match(text):
            raise UnreadableJsonError
        return None
    try:
        value = json.loads(text, object_pairs_hook=_object, strict=False)
    except json.JSONDecodeError:
        if _is_doubtful(seen(text), is_looked_for):
            raise UnreadableJsonError from None
        return None
    except (ValueError, RecursionError):  # a number of 5,000 digits; a thousand brackets
        raise UnreadableJsonError from None
    return [value] if isinstance(value, str) else value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    every: dict[str, list[Any]] = {}
    for name, value in pairs:
        every.setdefault(name, []).append(value)
    return every


def _is_doubtful(text: str, is_looked_for: Callable[[str], bool]) -> bool:
    if not _BEGINNING.match(text):
        return False
    if _PAIR_OR_ESCAPE.search(text):
        return True
    for count, found in enumerate(_BARE_NAME.finditer(text)):
        if count >= MOST_NAMES or is_looked_for(found[1]):
            return True
    return False
