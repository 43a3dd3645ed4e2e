"""How much a count says: intervals for rates, exact tests for pairs, percentiles."""

import math
from collections.abc import Sequence
from statistics import NormalDist

from msgspec import Struct


class Rate(Struct, frozen=True, gc=False):
    """So many `hits` `of` so many; undefined if it is of none."""

    hits: int = 0
    of: int = 0

    @property
    def value(self) -> float | None:
        """From 0 to 1; None if it is of none."""
        return self.hits / self.of if self.of else None

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Where the true rate lies, by Wilson's score interval; None if it is of none.

        It holds for trials that do not depend on each other. Several actions of one run often do;
        then it is narrower than it should be.

        Args:
            confidence: how often such intervals hold the true rate, more than 0 and less than 1.

        Raises:
            ValueError: `confidence` is not between 0 and 1.
        """
        return wilson(self.hits, self.of, confidence) if self.of else None


def wilson(hits: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval for a proportion, without correction for continuity.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    Journal of the American Statistical Association 22 (1927), 209-212. It is method 3 of the seven
    in R. G. Newcombe, Statistics in Medicine 17 (1998), 857-872.

    Raises:
        ValueError: there are no trials, more hits than trials, or no confidence between 0 and 1.
    """
    if not 0 <= hits <= of or of < 1:
        raise ValueError(f"{hits} of {of} is no rate")
    if not 0 < confidence < 1:
        raise ValueError("confidence must be between 0 and 1")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate, spread = hits / of, z * z / of
    centre = rate + spread / 2
    margin = z * math.sqrt(rate * (1 - rate) / of + spread / (4 * of))
    low = 0.0 if hits == 0 else (centre - margin) / (1 + spread)
    high = 1.0 if hits == of else (centre + margin) / (1 + spread)
    return low, high


def sign_test(one_way: int, other_way: int) -> float:
    """How likely it is, if neither way is likelier, that pairs differ at least so unevenly.

    Two-sided and exact: twice the smaller tail of the binomial distribution with p = 1/2, and no
    more than 1. Pairs that do not differ say nothing, and are not counted. For pairs of yes and no
    it is McNemar's test in its exact form.

    Source: Q. McNemar, Psychometrika 12 (1947), 153-157; the exact conditional test in
    M. W. Fagerland, S. Lydersen, P. Laake, BMC Medical Research Methodology 13 (2013), 91.
    """
    differing = one_way + other_way
    ways, tail = 1, 0  # math.comb(differing, count), each from the one before
    for count in range(min(one_way, other_way) + 1):
        tail += ways
        ways = ways * (differing - count) // (count + 1)
    return min(1.0, 2 * tail / 2**differing)


def mean(values: Sequence[float]) -> float | None:
    """None if there is none."""
    return math.fsum(values) / len(values) if values else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which this share of them lies, between two of them by a straight line.

    Type 7 of R. J. Hyndman and Y. Fan, The American Statistician 50 (1996), 361-365, as NumPy's
    default; None if there is none.

    Args:
        values: in any order.
        share: from 0 (the smallest) to 1 (the largest).
    """
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
