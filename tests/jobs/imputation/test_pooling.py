"""Rubin's rules, against the same rules written in another way, and by repeated sampling."""

import numpy as np
import pytest

from vaekit import pool
from vaekit.errors import UsageError


def degrees_of_freedom(m: int, between: float, total: float, whole: float) -> float:
    """Barnard and Rubin's degrees of freedom as one fraction."""
    share = (1 + 1 / m) * between / total
    of_rows = (1 - share) * (1 + whole) * whole
    return (m - 1) * of_rows / ((whole + 3) * (m - 1) + share**2 * of_rows)


def test_pooled_numbers_are_those_of_rubin_and_barnard():
    estimates, variances = np.array([2.1, 2.9, 1.7, 2.3, 2.6]), np.array([0.20, 0.25, 0.22, 0.18, 0.21])
    pooled = pool(estimates, variances, degrees_of_freedom=28)
    between = float(np.square(estimates - 2.32).sum()) / 4
    total = 0.212 + 1.2 * between
    assert pooled.estimate == pytest.approx(2.32, rel=1e-12)
    assert pooled.within == pytest.approx(0.212, rel=1e-12)
    assert pooled.between == pytest.approx(between, rel=1e-12)
    assert pooled.standard_error == pytest.approx(total**0.5, rel=1e-12)
    expected = degrees_of_freedom(5, between, total, 28)
    assert pooled.degrees_of_freedom == pytest.approx(expected, rel=1e-12)
    increase = 1.2 * between / 0.212
    assert pooled.missing_information == pytest.approx(
        (increase + 2 / (expected + 3)) / (increase + 1), rel=1e-12
    )


def test_a_large_table_has_rubins_degrees_of_freedom():
    pooled = pool([1.0, 2.0, 4.0], [1.0, 1.0, 1.0])
    share = 4 / 3 * (7 / 3) / (1 + 4 / 3 * (7 / 3))
    assert pooled.degrees_of_freedom == pytest.approx(2 / share**2, rel=1e-12)


def test_tables_that_agree_lose_nothing():
    pooled = pool([3.0, 3.0], [0.5, 0.5], degrees_of_freedom=10)
    assert float(pooled.standard_error) == 0.5**0.5
    assert float(pooled.missing_information) == 0.0
    assert pooled.degrees_of_freedom == pytest.approx(11 / 13 * 10, rel=1e-12)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """The mean of 40 normal numbers of which half are missing at random, filled in properly."""
    generator, covered = np.random.default_rng(0), 0
    for _ in range(2000):
        seen = generator.normal(5, 2, 20)
        estimates, variances = [], []
        for _ in range(10):
            variance = seen.var(ddof=1) * 19 / generator.chisquare(19)
            mean = generator.normal(seen.mean(), (variance / 20) ** 0.5)
            whole = np.concatenate([seen, generator.normal(mean, variance**0.5, 20)])
            estimates.append(whole.mean())
            variances.append(whole.var(ddof=1) / 40)
        low, high = pool(estimates, variances, degrees_of_freedom=39).interval(0.95)
        covered += low <= 5 <= high
    assert abs(covered / 2000 - 0.95) < 3 * (0.95 * 0.05 / 2000) ** 0.5


@pytest.mark.parametrize(
    ("estimates", "variances", "said"),
    [
        ([1.0], [1.0], "at least two tables"),
        ([1.0, 2.0], [1.0], "one of each"),
        ([1.0, 2.0], [1.0, -1.0], "negative"),
        ([1.0, np.nan], [1.0, 1.0], "not finite"),
    ],
)
def test_what_cannot_be_pooled_is_refused(estimates, variances, said):
    with pytest.raises(UsageError, match=said):
        pool(estimates, variances)


def test_a_level_outside_0_and_1_is_refused():
    with pytest.raises(UsageError, match="level=1"):
        pool([1.0, 2.0], [1.0, 1.0]).interval(1)
