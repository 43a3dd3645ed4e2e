"""Wrong values that look like the right ones: another person, another record, another amount."""

import math
import re
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from random import Random
from typing import Any, Final, TypeAlias, cast

Lookalike: TypeAlias = Callable[[Any, Random], Any]
"""Takes what is right; returns what is wrong and has its shape, or None."""


def other_recipient(value: Any, random: Random) -> Any:
    """Somebody else, written in the same way; of a list, one of them is.

    An address of the same place, a number or a street number of other digits, another channel,
    another name; `Name <address>` becomes another one of both.
    """
    if isinstance(value, str):
        return _other_text(value, random)
    texts = [each for each in _listed(value) if isinstance(each, str)]
    if not texts:
        return None
    chosen = random.choice(texts)
    other = _other_text(chosen, random, taken=texts)
    return other and [other if each == chosen else each for each in _listed(value)]


def other_id(value: Any, random: Random) -> Any:
    """A neighbouring number; or the same letters and digits but one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value + random.choice((1, 2, 3, 9, 10))
    if isinstance(value, str) and any(_ring_of(letter) for letter in value):
        return _other_letter(value, random)
    return None


def other_amount(value: Any, random: Random) -> Any:
    """A multiple or a fraction of a number or of a text with one, with as many decimals."""
    if isinstance(value, str):
        found = _MONEY.fullmatch(value)
        if found is None:
            return None
        before, number, after = found.groups()
        other = _other_number(Decimal(number), random)
        return f"{before}{other:f}{after}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if isinstance(value, int):
        return int(_other_number(Decimal(int(value)), random))
    return float(_other_number(Decimal(repr(float(value))), random))


def _other_number(number: Decimal, random: Random) -> Decimal:
    exponent = number.as_tuple().exponent
    step = Decimal(1).scaleb(min(0, exponent if isinstance(exponent, int) else 0))
    most = max(Decimal(_MOST), abs(number))
    scaled = [
        _EXACT.quantize(_EXACT.multiply(number or Decimal(1), factor), step) for factor in _FACTORS
    ]
    # What is nothing as a float, too, is no amount.
    others = [each for each in scaled if float(each) and abs(each) <= most]
    return random.choice([each for each in others if each != number] or [Decimal(1)])


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _other_text(text: str, random: Random, taken: Sequence[str] = ()) -> str | None:
    """Another one of its kind that is not `taken`; None if it has no letter and no digit."""
    known = {text.casefold(), *(each.casefold() for each in taken)}
    for _ in range(_TRIES):
        other = _like(text, random)
        if other.casefold() not in known:
            return other
    return None


def _like(text: str, random: Random) -> str:
    person = random.choice(_FIRST_NAMES), random.choice(_LAST_NAMES)
    if named := _NAMED.fullmatch(text):
        name, before, address, after = named.groups()
        other = _other_address(address, person, random)
        return f"{_other_words(name, person)}{before}{other}{after}"
    if text.startswith("#"):
        return "#" + _cased(random.choice(_CHANNELS), text[1:])
    return _other_address(text, person, random)


def _other_address(address: str, person: tuple[str, str], random: Random) -> str:
    """Its part before an @, if there is one, made another one: by its digits, else by its names."""
    local, at, place = address.partition("@")
    if not local:  # a handle: @name
        return at + _other_words(place, person)
    name, plus, tag = local.partition("+") if at else (local, "", "")
    if any(letter.isdigit() for letter in local):
        return f"{_other_letter(local, random)}{at}{place}"
    return f"{_other_words(name, person)}{plus}{tag}{at}{place}"


def _other_words(text: str, person: tuple[str, str]) -> str:
    """The first and the last word made this person's names, an initial an initial.

    Titles, such as `Dr.`, stay; so does the order of `Last, First`.
    """
    words = [each for each in _WORD.finditer(text) if each[0].casefold() not in _TITLES]
    if not words:
        return text
    first, last = person if "," not in text else person[::-1]
    ends = [(words[0], first)] if len(words) == 1 else [(words[0], first), (words[-1], last)]
    for word, name in reversed(ends):
        other = name[:1] if len(word[0]) == 1 else name
        text = text[: word.start()] + _cased(other, word[0]) + text[word.end() :]
    return text


def _cased(word: str, like: str) -> str:
    if like.isupper():
        return word.upper()
    return word.capitalize() if like[:1].isupper() else word


def _other_letter(known: str, random: Random) -> str:
    """One letter or digit changed for another of its kind: the last digit, if there is one."""
    places = [place for place, letter in enumerate(known) if _ring_of(letter)]
    if not places:
        return known
    place = max((each for each in places if known[each].isdigit()), default=places[-1])
    letter = random.choice([each for each in _ring_of(known[place]) if each != known[place]])
    return known[:place] + letter + known[place + 1 :]


def _ring_of(letter: str) -> str:
    return next((ring for ring in _RINGS if letter in ring), "")


_TRIES: Final = 100
_NAMED: Final = re.compile(r"(.*?)(\s*<)([^<>]+)(>\s*)")
_WORD: Final = re.compile(r"[^\W\d_]+")
_MONEY: Final = re.compile(
    r"((?:[A-Z]{3}|[$€£¥])? ?)(-?[0-9]{1,15}(?:\.[0-9]{1,9})?)( ?(?:[A-Z]{3}|[$€£¥])?)"
)
_FIRST_NAMES: Final = ("alice", "bob", "carol", "dave", "eve")
"""Those whom the e-mail scenario writes to anyway, so that a name tells nothing."""
_LAST_NAMES: Final = ("meyer", "ortiz", "stone", "novak", "rossi", "larsen", "khan", "dubois")
_TITLES: Final = frozenset({"dr", "prof", "mr", "mrs", "ms", "sir", "herr", "frau"})
_CHANNELS: Final = ("general", "random", "support", "sales", "engineering", "announcements")
_RINGS: Final = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_FACTORS: Final = tuple(Decimal(each) for each in ("2", "10", "100", "0.5", "0.1", "0.01"))
_EXACT: Final = Context(prec=1000)
_MOST: Final = 2**52
"""Beyond it, not every integer can be told from the next one."""
