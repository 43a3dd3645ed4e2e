"""Amounts of money as agents write them, read so that none is taken for a smaller one.

What could be two numbers ("5.000") is the larger; what cannot be read ("five thousand", "nan") is
nothing, and whoever asks has to treat that as too much.
"""

import math
import re
import unicodedata
from typing import Any

from sayso.domain.plain import plain
from sayso.visible import seen

_WORDS = frozenset(
    {"amount", "amt", "value", "values", "price", "prices", "cost", "costs", "total", "sum"}
    | {"subtotal", "fee", "fees", "charge", "payment", "payout"}
)
_LAST = frozenset(
    {"money", "cash", "funds", "deposit", "withdrawal", "refund", "rebate", "tip", "gratuity"}
    | {"budget", "spend", "spending", "expense", "salary", "wage", "bonus", "commission", "tax"}
    | {"rent", "loan", "debit", "balance", "bid", "bet", "stake", "donation", "reward", "bounty"}
    | {"dollar", "euro", "cent", "yen", "yuan", "rupee", "btc", "eth", "usdt", "usdc"}
)
"""Words that count, also in the plural, at the end of a name: `max_budget`, not `refund_reason`."""
_PARTS = ("amount", "price", "total")
"""Words that also count within another, as in `amountusd`."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_CODES = (
    "usd eur gbp jpy chf cad aud nzd cny rmb inr sek nok dkk pln czk huf brl mxn zar krw sgd hkd"
    " try ils aed sar thb idr"
)
_MONEY = frozenset(_CODES.split()) - {"try", "cad"}
"""Those that end names as `_LAST` does; the two are words of other things more often."""
_CODE = rf"(?:us\$|a\$|c\$|{'|'.join(_CODES.split())})"
_SHAPE = re.compile(
    rf"(?P<sign>[-+]?)\s*{_CODE}?\s*[-+]?\s*(?P<number>[0-9][0-9\s,.'_]*)(?P<power>e[-+]?[0-9]{{1,4}})?"
    rf"\s*{_CODE}?"
)
_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_POINT_LAST = re.compile(r"[1-9][0-9]{0,2}(?:[,\s'_][0-9]{3})+(?:\.[0-9]+)?")
_COMMA_LAST = re.compile(r"[1-9][0-9]{0,2}(?:[.\s'_][0-9]{3})+(?:,[0-9]{1,2})?")
_GROUPING = re.compile(r"[\s,.'_]")
_LONGEST = 64
_CURRENCY = re.compile(r"[a-z]{3}")


def is_amount_name(name: str) -> bool:
    """Whether an argument of this name holds an amount: `Amount`, `fee_usd`, `maxBudget`."""
    folded = plain(name)
    if any(part in folded for part in _PARTS):
        return True
    words = [plain(word) for word in _WORD.findall(unicodedata.normalize("NFKC", seen(name)))]
    if not _WORDS.isdisjoint((folded, *words)):
        return True
    return any(_is_last(word) for word in (folded, *words[-1:]))


def _is_last(word: str) -> bool:
    return word in _MONEY or word in _LAST or word.removesuffix("s") in _LAST


def is_currency(name: str, value: Any) -> bool:
    """Whether it says which money an amount is in, and no amount."""
    if not isinstance(value, str) or plain(name).replace("_", "") not in (
        "currency",
        "currencycode",
        "ccy",
    ):
        return False
    text = plain(value)
    return _CURRENCY.fullmatch(text) is not None or (
        len(text) == 1 and unicodedata.category(text) == "Sc"
    )


def magnitude(value: Any) -> float | None:
    """How much it is, without its sign, in whatever money; None if that cannot be read.

    Args:
        value: a number, or a text with one: "5,000", "$9999", "5.000,00", "1e6", "(5000)".
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            size = abs(float(value))
        except OverflowError:
            return math.inf
        return None if math.isnan(size) else size
    return _read(value) if isinstance(value, str) and len(value) <= _LONGEST else None


def _read(text: str) -> float | None:
    told = "".join(" " if unicodedata.category(c) == "Sc" else c for c in plain(text))
    told = told.replace("\u2212", "-").replace("\u2019", "'").strip()
    if told.startswith("(") and told.endswith(")"):
        told = told[1:-1].strip()
    found = _SHAPE.fullmatch(told)
    if found is None:
        return None
    number = found["number"].strip()
    readings = [number] if _DECIMAL.fullmatch(number) else []
    if _POINT_LAST.fullmatch(number):
        readings.append(re.sub(r"[,\s'_]", "", number))
    if _COMMA_LAST.fullmatch(number):
        readings.append(re.sub(r"[.\s'_]", "", number).replace(",", "."))
    power = found["power"] or ""
    return max(float(each + power) for each in readings or [_GROUPING.sub("", number)])
