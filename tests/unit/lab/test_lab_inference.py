"""Intervals, exact tests and percentiles, against published numbers."""

from math import comb

import pytest

from sayso.lab.inference import Rate, mean, percentile, sign_test, wilson


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [  # R. G. Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_s_interval_is_as_published(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)
    mirrored = wilson(of - hits, of)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_an_interval_is_wider_for_more_confidence_and_stays_between_0_and_1() -> None:
    narrow, wide = Rate(hits=9, of=10).interval(0.5), Rate(hits=9, of=10).interval(0.99)
    assert narrow is not None
    assert wide is not None
    assert 0 < wide[0] < narrow[0] < 0.9 < narrow[1] < wide[1] < 1
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 10)[0] == 0.0


def test_a_rate_of_nothing_is_not_defined_and_has_no_interval() -> None:
    """hitloop 51: it was 0.0."""
    assert Rate().value is None
    assert Rate().interval() is None
    assert Rate(hits=0, of=4).value == 0.0


@pytest.mark.parametrize(("hits", "of"), [(1, 0), (5, 4), (-1, 4)])
def test_what_is_no_rate_is_refused(hits: int, of: int) -> None:
    with pytest.raises(ValueError, match="no rate"):
        wilson(hits, of)


@pytest.mark.parametrize("confidence", [0, 1, 95, float("nan")])
def test_a_confidence_that_is_none_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        wilson(1, 2, confidence)


def test_the_exact_test_of_pairs_is_as_published() -> None:
    # Cavo et al. 2012, in M. W. Fagerland, S. Lydersen, P. Laake, BMC Medical Research
    # Methodology 13 (2013), 91; six digits in their R package contingencytables.
    assert sign_test(6, 16) == pytest.approx(0.052479, abs=5e-7)
    # Bentur et al. 2009, in the same: 2 * (1 + 8) / 2**8.
    assert sign_test(1, 7) == 18 / 256
    assert sign_test(7, 1) == sign_test(1, 7)
    # By hand: 5 heads of 5.
    assert sign_test(0, 5) == 2 / 32
    # As it is defined.
    assert sign_test(40, 61) == 2 * sum(comb(101, count) for count in range(41)) / 2**101


def test_pairs_that_differ_as_often_either_way_say_nothing() -> None:
    assert sign_test(0, 0) == 1.0
    assert sign_test(3, 3) == 1.0
    assert sign_test(3000, 3000) == 1.0
    assert sign_test(0, 5000) == pytest.approx(0.0)


def test_a_percentile_lies_between_two_values() -> None:
    """hitloop 51: p95 was the largest of up to 20 values."""
    assert percentile(range(1, 21), 0.95) == pytest.approx(19.05)  # NumPy: 19.05
    assert percentile([4, 1, 3, 2], 0.5) == 2.5
    assert percentile([7.0], 0.95) == 7.0
    assert (percentile([1, 2, 3], 0), percentile([1, 2, 3], 1)) == (1, 3)
    assert percentile([], 0.95) is None
    assert mean([]) is None
