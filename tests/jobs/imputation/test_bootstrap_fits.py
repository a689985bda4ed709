"""Draws for multiple imputation: they vary as far as the fit does not know, and holes of a row hang together."""

import numpy as np
import pytest

from vaekit import Imputer

COVARIANCE = np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])


def rows_with_two_holes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussian rows, and the same with both of the first two columns missing in a third of them."""
    truth = np.random.default_rng(5).multivariate_normal(np.zeros(3), COVARIANCE, size=n)
    x = truth.copy()
    x[::3, :2] = np.nan
    return truth, x


@pytest.fixture(scope="module")
def fitted():
    _, x = rows_with_two_holes(195)
    return x, Imputer(steps=60, anchor="gaussian", random_state=0).fit(x)


def test_means_of_draws_vary_by_what_the_rows_that_are_there_cannot_tell():
    """A column of 160 rows of which 40 are there, which no other tells of: the mean of a draw has a known variance."""
    n, there, variances = 160, 40, []
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=(n, 2))
        x[there:, 1] = np.nan
        draws = Imputer(steps=10, anchor="gaussian", random_state=seed).fit(x).sample(x, draws=10)
        variances.append(np.var([draw[:, 1].mean() for draw in draws], ddof=1) / np.var(x[:there, 1]))
    of_noise, of_fit = (n - there) / n**2, (1 - there / n) ** 2 / there
    # of draws of one fit it would be of_noise, a quarter
    assert 0.55 < np.mean(variances) / (of_noise + of_fit) < 1.6


def test_holes_of_a_row_depend_on_each_other_as_its_cells_do(fitted):
    x, imputer = fitted
    both = np.isnan(x[:, 0])
    residuals = [(draw - imputer.transform(x))[both, :2] for draw in imputer.sample(x, draws=10)]
    given = COVARIANCE[:2, :2] - np.outer(COVARIANCE[:2, 2], COVARIANCE[2, :2])
    exact = given[0, 1] / np.sqrt(given[0, 0] * given[1, 1])
    # the means are of one fit and the draws of ten, and 195 rows tell a correlation no better
    assert np.mean([np.corrcoef(each.T)[0, 1] for each in residuals]) == pytest.approx(exact, abs=0.08)
    assert np.mean([each.var(0) for each in residuals], 0) == pytest.approx(given.diagonal(), rel=0.2)


def test_regressions_of_draws_have_the_slope_of_the_rows_that_are_there(fitted):
    x, imputer = fitted
    whole = x[~np.isnan(x).any(1)]
    expected = np.polyfit(whole[:, 0], whole[:, 1], 1)[0]
    slopes = [np.polyfit(draw[:, 0], draw[:, 1], 1)[0] for draw in imputer.sample(x, draws=10)]
    assert np.mean(slopes) == pytest.approx(expected, abs=0.05)


def test_draws_are_the_same_bytes_and_leave_means_and_intervals_as_they_are():
    _, x = rows_with_two_holes(60)
    fresh = Imputer(steps=10, anchor="gaussian", random_state=3).fit(x)
    mean, ends = fresh.transform(x), fresh.interval(x)
    first = fresh.sample(x, draws=12)
    assert fresh.transform(x).tobytes() == mean.tobytes()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(ends, fresh.interval(x), strict=True))
    again = Imputer(steps=10, anchor="gaussian", random_state=3).fit(x)
    assert again.sample(x, draws=1)[0].tobytes() == first[0].tobytes()
    assert [draw.tobytes() for draw in again.sample(x, draws=12)] == [draw.tobytes() for draw in first]
    assert len({draw.tobytes() for draw in first}) == 12


def test_rows_without_holes_come_back_and_an_imputer_of_whole_rows_draws():
    truth, x = rows_with_two_holes(60)
    imputer = Imputer(steps=10, anchor="gaussian", random_state=0).fit(truth)
    assert (imputer.sample(truth)[0] == truth).all()
    drawn = imputer.sample(x, draws=2)
    assert not np.isnan(drawn).any()
    assert all((draw[1::3] == x[1::3]).all() for draw in drawn)


def test_draws_go_beyond_the_range_only_where_nature_does_not_bound_it():
    truth, x = rows_with_two_holes(150)
    x[:, 0] = np.abs(truth[:, 0]) ** 0.2
    x[::3, 0] = np.nan
    drawn = np.concatenate(Imputer(steps=10, anchor="gaussian", random_state=0).fit(x).sample(x, draws=40))
    low, high = np.nanmin(x, 0), np.nanmax(x, 0)
    assert drawn[:, 0].min() == low[0]
    assert drawn[:, 0].max() == high[0]
    assert low[1] - (high[1] - low[1]) / 2 <= drawn[:, 1].min() < low[1]
    assert high[1] < drawn[:, 1].max() <= high[1] + (high[1] - low[1]) / 2
