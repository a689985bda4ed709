"""Imputer: against exact conditionals, with intervals that hold, and as scikit-learn expects of an imputer."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.impute import MissingIndicator
from sklearn.utils.estimator_checks import check_estimator

from narrowing import untyped
from vaekit import Imputer
from vaekit.data import from_object
from vaekit.errors import DataError, UsageError
from vaekit.jobs.imputation.bagged_trees import BaggedTrees
from vaekit.jobs.imputation.column_filler import simplex_least_squares
from vaekit.jobs.imputation.conditional_networks import student_t_log_density
from vaekit.jobs.imputation.gaussian_anchor import GaussianAnchors
from vaekit.jobs.imputation.rehidden_cells import conformal_factor, measured_coverage, weigh_like_holes
from vaekit.jobs.table_coding import TableCoding

COVARIANCE = np.array(
    [[1.0, 0.8, 0.3, 0.0], [0.8, 1.0, 0.5, 0.1], [0.3, 0.5, 1.0, -0.4], [0.0, 0.1, -0.4, 1.0]]
)


def gaussian_rows(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).multivariate_normal([0, 1, 2, 3], COVARIANCE, size=n)


def with_holes(x: np.ndarray, share: float, seed: int) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(x.shape) < share, np.nan, x)


def exact_conditional_mean(row: np.ndarray) -> np.ndarray:
    """The mean of the holes of a row given its observed cells, by the true Gaussian."""
    mean, seen = np.array([0.0, 1.0, 2.0, 3.0]), ~np.isnan(row)
    slopes = COVARIANCE[~seen][:, seen] @ np.linalg.inv(COVARIANCE[seen][:, seen])
    return mean[~seen] + slopes @ (row[seen] - mean[seen])


@pytest.fixture(scope="module")
def fitted():
    truth = gaussian_rows(500, 0)
    x = with_holes(truth, 0.25, 1)
    return truth, x, Imputer(steps=300, random_state=0).fit(x)


def test_gaussian_holes_get_their_exact_conditional_mean(fitted):
    truth, x, imputer = fitted
    holes = np.isnan(x)
    filled, exact = imputer.transform(x), x.copy()
    for i in range(len(x)):
        exact[i, holes[i]] = exact_conditional_mean(x[i])
    best = np.sqrt(np.square(exact - truth)[holes].mean())
    assert np.sqrt(np.square(filled - truth)[holes].mean()) < 1.03 * best
    # by far nearer to the exact mean than the truth is: what is left is the error of 500 rows
    assert np.sqrt(np.square(filled - exact)[holes].mean()) < 0.25 * best


def test_intervals_hold_what_was_in_the_holes(fitted):
    truth, x, imputer = fitted
    new = gaussian_rows(1500, 7)
    hidden = with_holes(new, 0.25, 8)
    for complete, table in ((truth, x), (new, hidden)):
        low, high = imputer.interval(table, level=0.9)
        holes = np.isnan(table)
        inside = ((low <= complete) & (complete <= high))[holes].mean()
        assert 0.86 < inside < 0.95
        assert (low[~holes] == table[~holes]).all()
        assert (high[~holes] == table[~holes]).all()


def test_observed_cells_stay_and_draws_differ_in_holes_alone(fitted):
    _, x, imputer = fitted
    holes = np.isnan(x)
    filled = imputer.transform(x)
    first, second = imputer.sample(x, draws=2)
    for table in (filled, first, second):
        assert not np.isnan(table).any()
        assert (table[~holes] == x[~holes]).all()
    assert (first[holes] != second[holes]).mean() > 0.99
    residual = (first - filled)[holes]
    assert abs(residual.mean()) < 4 * residual.std() / holes.sum() ** 0.5


def test_the_same_seed_gives_the_same_bytes_and_units_do_not_matter():
    x = with_holes(gaussian_rows(80, 3), 0.2, 4)
    once = Imputer(steps=30, random_state=3).fit(x).transform(x)
    assert once.tobytes() == Imputer(steps=30, random_state=3).fit(x).transform(x).tobytes()
    scale = np.array([1000.0, 1.0, 1.0, 1.0])
    scaled = Imputer(steps=30, random_state=3).fit(x * scale).transform(x * scale)
    np.testing.assert_allclose(scaled / scale, once, rtol=2e-3, atol=2e-3)


def test_a_code_for_missing_values_is_a_hole():
    x = with_holes(gaussian_rows(60, 3), 0.2, 4)
    coded = np.where(np.isnan(x), -999.0, x)
    expected = Imputer(steps=10).fit(x).transform(x)
    found = Imputer(steps=10, missing_values=-999).fit(coded).transform(coded)
    assert found.tobytes() == expected.tobytes()


def test_categories_numbers_dates_and_truth_values_come_back_as_they_were():
    generator, n = np.random.default_rng(0), 200
    sex = generator.choice(["f", "m"], n)
    frame = pd.DataFrame(
        {
            "sex": sex,
            "height": np.where(sex == "m", 180, 165) + generator.normal(0, 4, n).round(1),
            "children": pd.array(generator.poisson(1.5, n), dtype="Int64"),
            "born": pd.Timestamp("1980-01-01") + pd.to_timedelta(generator.integers(0, 9000, n), "D"),
            "member": generator.random(n) < 0.5,
            "unit": "cm",
        }
    )
    with_missing = frame.astype({"member": object, "unit": object})
    holes = pd.DataFrame(generator.random(frame.shape) < 0.15, columns=frame.columns)
    with_missing = with_missing.mask(holes)
    imputer = Imputer(steps=200).fit(with_missing)
    filled = imputer.transform(with_missing)
    assert (filled.dtypes == with_missing.dtypes).all()
    assert not filled.isna().to_numpy().any()
    pd.testing.assert_frame_equal(filled.mask(holes), with_missing)
    assert (filled["unit"] == "cm").all()
    assert set(filled["member"].map(type)) == {bool}
    assert (filled["sex"] == frame["sex"])[holes["sex"]].mean() > 0.8
    names = {check.name: check for check in imputer.checks_}
    assert names["sex"].error < 0.5 * names["sex"].of_mean
    assert np.isnan(names["sex"].coverage)
    assert names["height"].coverage > 0.7


def test_what_is_expected_stays_within_the_bounds_that_nature_sets():
    generator = np.random.default_rng(0)
    drive = generator.normal(0, 1, 300)
    truth = np.stack([drive, drive - drive.min(), np.rint(np.clip(3 * drive, -2, 2)), 3 * drive + 1], 1)
    holes = generator.random(truth.shape) < 0.2
    holes[:, 0] = False
    x = np.where(holes, np.nan, truth)
    imputer = Imputer(steps=60, anchor="gaussian").fit(x)
    far = np.array([[drive, np.nan, np.nan, np.nan] for drive in (-60.0, 60.0)])
    low, high = imputer.transform(far)
    assert low[1] == np.nanmin(x[:, 1])  # positive
    assert high[1] == np.nanmax(x[:, 1])
    assert (low[2], high[2]) == (-2.0, 2.0)  # few whole numbers
    assert low[3] < np.nanmin(x[:, 3])  # of both signs: it may go further
    assert high[3] > np.nanmax(x[:, 3])
    beyond = np.array([[0.0, -5.0, np.nan, 0.0]])
    assert imputer.transform(beyond)[0, 1] == -5.0  # what is observed stays


def test_empty_and_constant_columns():
    x = with_holes(gaussian_rows(40, 3), 0.2, 4)
    x[:, 1], x[:, 2] = np.nan, np.where(np.isnan(x[:, 2]), np.nan, 7.0)
    imputer = Imputer(steps=5).fit(x)
    filled = imputer.transform(x)
    assert filled.shape == (40, 3)
    assert (filled[:, 1] == 7.0).all()
    assert list(imputer.get_feature_names_out()) == ["x0", "x2", "x3"]
    kept = Imputer(steps=5, keep_empty_features=True).fit_transform(x)
    assert kept.shape == (40, 4)
    assert (kept[:, 1] == 0).all()
    with pytest.raises(DataError, match="nothing to learn"):
        Imputer(steps=5).fit(np.full((6, 1), 3.0))


def test_indicators_are_those_of_scikit_learn():
    x = with_holes(gaussian_rows(40, 3), 0.2, 4)
    x[:, 0] = 1.0
    found = Imputer(steps=5, add_indicator=True).fit_transform(x)
    np.testing.assert_array_equal(found[:, 4:], MissingIndicator().fit_transform(x))
    names = Imputer(steps=5, add_indicator=True).fit(x).get_feature_names_out()
    assert list(names[4:]) == ["missingindicator_x1", "missingindicator_x2", "missingindicator_x3"]


def test_what_cannot_be_is_refused():
    x = with_holes(gaussian_rows(40, 3), 0.2, 4)
    with pytest.raises(UsageError, match="anchor='forest'"):
        Imputer(anchor=untyped("forest")).fit(x)
    with pytest.raises(UsageError, match="steps=0"):
        Imputer(steps=0).fit(x)
    imputer = Imputer(steps=5).fit(x)
    with pytest.raises(UsageError, match="draws=0"):
        imputer.sample(x, draws=0)
    with pytest.raises(UsageError, match="level=90"):
        imputer.interval(x, level=90)
    with pytest.raises((DataError, ValueError), match="inf"):
        Imputer(steps=5).fit(np.where(np.isnan(x), np.inf, x))


def test_scikit_learns_checks_pass():
    check_estimator(Imputer(steps=2, anchor="gaussian"), on_skip=None)


def test_a_gaussian_knows_its_conditionals():
    x = with_holes(gaussian_rows(50, 0), 0.3, 1)
    table = from_object(x)
    coding = TableCoding.fit(table, straight=True)
    rows = coding.code(table, what="the table")
    anchors = GaussianAnchors.fit(rows, (), [np.arange(50)])
    mean, deviation = anchors.given(rows, rows.observed)
    mu, sigma = anchors.mean[0].numpy(), anchors.covariance[0].numpy()
    for i in range(50):
        seen = rows.observed[i].numpy() > 0
        slopes = sigma[~seen][:, seen] @ np.linalg.inv(sigma[seen][:, seen])
        expected = mu[~seen] + slopes @ (rows.numbers[i].numpy()[seen] - mu[seen])
        variance = np.diag(sigma[~seen][:, ~seen] - slopes @ sigma[seen][:, ~seen])
        np.testing.assert_allclose(mean[0, i].numpy()[~seen], expected, atol=1e-5)
        np.testing.assert_allclose(deviation[0, i].numpy()[~seen], variance**0.5, atol=1e-5)


def test_the_density_of_numbers_is_students():
    x = torch.linspace(-5, 5, 11).double()
    freedom, location, scale = (torch.tensor(value).double() for value in (5.0, 0.3, 1.7))
    expected = torch.distributions.StudentT(freedom, location, scale).log_prob(x)
    found = student_t_log_density(x, location, scale)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_cells_that_are_hidden_again_are_like_the_holes():
    """A column that depends on nothing: the variance of its cells is that of the column, within its error."""
    generator = np.random.default_rng(0)
    other, own = generator.normal(size=(3000, 2)), generator.normal(size=3000)
    observed = generator.random(3000) < 0.7
    weight = weigh_like_holes(other[observed], other[~observed])
    assert weight.mean() == pytest.approx(1)
    hidden, effective = own[observed], weight.sum() ** 2 / np.square(weight).sum()
    assert effective > 0.9 * len(hidden)
    assert abs(np.average(np.square(hidden), weights=weight) - 1) < 4 * (2 / effective) ** 0.5


def test_hidden_cells_follow_the_holes():
    """Holes where another column is high: cells of rows that are high in it count for more, by the exact odds."""
    place = np.random.default_rng(1).normal(size=(20_000, 1))
    holes = np.random.default_rng(2).random(20_000) < 1 / (1 + np.exp(-place[:, 0]))
    weight = weigh_like_holes(place[~holes], place[holes])
    exact = np.exp(place[~holes, 0])
    exact = np.minimum(exact, 10 * np.median(exact))
    np.testing.assert_allclose(weight, exact / exact.mean(), rtol=0.2)
    assert np.average(place[~holes, 0], weights=weight) == pytest.approx(place[holes].mean(), abs=0.05)


def test_weights_are_the_least_squares_of_the_simplex():
    """Against all weights of a fine grid: two ways that complement each other, and one twice as far off."""
    generator = np.random.default_rng(0)
    truth = generator.normal(size=400)
    first, second = (truth + generator.normal(size=400) * size for size in (0.5, 0.7))
    ways = np.stack([first, second, truth + 2 * (first - truth)])
    found = simplex_least_squares(ways @ ways.T, ways @ truth)
    steps = np.linspace(0, 1, 51)
    grid = np.array([(a, b, 1 - a - b) for a in steps for b in steps if a + b <= 1])
    assert found[2] == 0
    assert found.sum() == pytest.approx(1)
    assert np.square(found @ ways - truth).sum() <= np.square(grid @ ways - truth).sum(1).min()


def test_trees_judge_rows_that_they_have_not_seen():
    """Of noise they know nothing; a row that they had seen they would know by heart."""
    generator = np.random.default_rng(0)
    inputs, noise = generator.normal(size=(200, 3)), generator.normal(size=(200, 1))
    part = np.arange(200) % 4
    trees = BaggedTrees(inputs, noise, part, bags=4, seed=0)
    assert abs(np.corrcoef(trees.predict_left_out(inputs, part)[:, 0], noise[:, 0])[0, 1]) < 0.25
    assert np.corrcoef(trees.predict(inputs)[:, 0], noise[:, 0])[0, 1] > 0.9


def test_what_networks_miss_is_left_to_trees():
    """The sign of a product, which small networks do not find in 100 steps, and the nearest rows only roughly."""
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, size=(400, 3))
    x[:, 2] = np.sign(x[:, 0] * x[:, 1]) + 0.1 * x[:, 2]
    truth, holes = x[::4, 2].copy(), x.copy()
    holes[::4, 2] = np.nan
    errors = {
        anchor: np.sqrt(
            np.square(Imputer(steps=100, anchor=anchor).fit_transform(holes)[::4, 2] - truth).mean()
        )
        for anchor in ("auto", "gaussian")
    }
    assert errors["auto"] < 0.25 < errors["gaussian"]


def test_conformal_factors_hold_nine_of_ten():
    residual = np.random.default_rng(0).normal(size=2000)
    ends = np.full(2000, 1.0)
    factor = conformal_factor(residual, -ends, ends, ends)
    assert np.mean(np.abs(residual) <= factor) == pytest.approx(0.9, abs=1e-3)
    assert abs(measured_coverage(residual, -ends, ends, ends) - 0.9) < 4 * (0.09 / 2000) ** 0.5


def test_a_weighed_factor_is_that_of_repeated_cells():
    """Cells that count three times are cells that are there three times, but for the one new cell."""
    residual = np.random.default_rng(0).normal(size=900)
    weight = np.where(residual > 0.5, 3.0, 1.0)
    ends = np.full(900, 2.0)
    repeated = np.repeat(residual, weight.astype(int))
    ends_of_repeated = np.full(len(repeated), 2.0)
    expected = conformal_factor(repeated, -ends_of_repeated, ends_of_repeated, ends_of_repeated)
    assert conformal_factor(residual, -ends, ends, weight) == pytest.approx(expected, abs=0.01)
