"""P-values by ranks, thresholds that agree with them, and Benjamini-Hochberg against SciPy."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control, kstest

from vaekit import OutlierDetector
from vaekit.errors import UsageError
from vaekit.jobs.detection.conformal import benjamini_hochberg, check_rate, p_values, threshold


def test_p_values_are_what_they_are_called_by_brute_force():
    generator = np.random.default_rng(0)
    calibration, tested = generator.integers(10, size=50) / 2.0, generator.integers(-2, 13, size=30) / 2.0
    expected = [(1 + sum(c >= s for c in calibration)) / 51 for s in tested]
    np.testing.assert_array_equal(p_values(calibration, tested), expected)


def test_p_values_of_exchangeable_scores_are_uniform():
    generator = np.random.default_rng(0)
    p = [p_values(generator.normal(size=99), generator.normal(size=1))[0] for _ in range(4000)]
    assert kstest(np.array(p) - generator.random(4000) / 100, "uniform").pvalue > 0.01


@pytest.mark.parametrize("rate", [0.01, 0.07, 0.1, 0.29, 0.5, 0.99])
@pytest.mark.parametrize("n", [99, 100, 299])
def test_the_threshold_flags_exactly_the_rows_whose_p_value_is_at_most_the_rate(rate, n):
    generator = np.random.default_rng(n)
    calibration = generator.integers(80, size=n).astype(float)
    tested = np.arange(-1.0, 82.0)
    # p is a fraction of whole numbers: compared as such
    flagged = np.rint(p_values(calibration, tested) * (n + 1)) <= rate * (n + 1) + 1e-9
    np.testing.assert_array_equal(tested > threshold(calibration, rate), flagged)


def test_rates_at_the_edge():
    check_rate(1 / 100, 99)
    with pytest.raises(UsageError, match="needs at least 99 rows, and there are 98"):
        check_rate(0.01, 98)
    for rate in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            check_rate(rate, 100)


def test_benjamini_hochberg_agrees_with_scipy():
    generator = np.random.default_rng(0)
    for _ in range(50):
        p = np.round(np.concatenate([generator.random(30), generator.random(10) ** 6]), 3)
        p[p == 0] = 1e-4
        for rate in (0.01, 0.1, 0.3):
            expected = false_discovery_control(p) <= rate * (1 + 1e-12)
            np.testing.assert_array_equal(benjamini_hochberg(p, rate), expected)
    assert not benjamini_hochberg([0.5, 0.9], 0.1).any()
    assert benjamini_hochberg([], 0.1).shape == (0,)


def test_the_rate_of_false_alarms_on_new_good_rows_holds():
    """The table differs from every model of the family; the count is within a binomial's error all the same."""
    generator = np.random.default_rng(3)

    def table(n):
        z = generator.normal(size=(n, 1))
        return np.hstack(
            [z**3, np.exp(z), generator.standard_t(2, size=(n, 2)), generator.integers(3, size=(n, 1))]
        )

    fit, new = table(600), table(3000)
    detector = OutlierDetector(members=8, steps=60).fit(fit)
    p = detector.p_values(new)
    for rate in (0.01, 0.05, 0.1):
        # the calibration's own chance counts too: n of the fit, m new rows
        error = np.sqrt(rate * (1 - rate) * (1 / 600 + 1 / 3000))
        assert abs((p <= rate).mean() - rate) < 2.6 * error
