"""Names and texts as they are compared: no case, no two ways to write one character."""

import unicodedata
from functools import lru_cache
from typing import Final

LONGEST_NAME: Final = 256
"""Of names that are kept for the next time: agents choose them."""
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0") | {
    chr(code) for code in (*range(0xFE00, 0xFE10), *range(0x180B, 0x1810))
}
"""What is shown as nothing and is not of the category Cf."""


def plain(text: str) -> str:
    """`text` without case (casefold), in one form (NFKC), without invisible characters."""
    if text.isascii():
        return text.casefold().strip()
    seen = "".join(c for c in text if unicodedata.category(c) != "Cf" and c not in _UNSEEN)
    folded = unicodedata.normalize("NFKC", seen).casefold()
    return unicodedata.normalize("NFKC", folded).strip()


def plain_name(name: str) -> str:
    """The same for names, which come again and again; long ones are not kept."""
    return _kept(name) if len(name) <= LONGEST_NAME else plain(name)


@lru_cache(maxsize=4096)
def _kept(name: str) -> str:
    return plain(name)
