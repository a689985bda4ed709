"""The detector as scikit-learn sees it, its determinism, mixed columns, holes, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from narrowing import untyped
from vaekit import OutlierDetector
from vaekit.errors import DataError, UsageError

SMALL = {"members": 4, "false_alarm_rate": 0.05, "steps": 60}


@parametrize_with_checks([OutlierDetector(2, false_alarm_rate=0.2, steps=20, random_state=0)])
def test_scikit_learn_accepts_the_detector(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def planted():
    """A table of numbers and categories that hang together, with holes, and 10 rows at the end where they do not."""
    generator = np.random.default_rng(0)
    kind = generator.integers(3, size=310)
    size = 10.0 * kind + generator.normal(size=310)
    weight = size**2 / 10 + generator.normal(size=310)
    kind[300:] = (kind[300:] + 1 + generator.integers(2, size=10)) % 3
    frame = pd.DataFrame({"kind": np.array(["a", "b", "c"])[kind], "size": size, "weight": weight})
    frame.loc[::7, "size"] = np.nan
    frame.loc[3::11, "kind"] = None
    frame.loc[300:, "weight"] += 10 * generator.normal(size=10)
    return frame


@pytest.fixture(scope="module")
def fitted(planted):
    return OutlierDetector(members=8, false_alarm_rate=0.03, steps=200).fit(planted)


def test_rows_whose_columns_do_not_fit_together_are_found(planted, fitted):
    odd = np.arange(len(planted)) >= 300
    assert roc_auc_score(odd, -fitted.score_samples(planted)) > 0.9
    assert (fitted.predict(planted[odd]) == -1).mean() >= 0.5
    assert (fitted.predict(planted[~odd]) == -1).mean() <= 0.03


def test_the_same_seed_gives_the_same_bytes_and_whatever_the_company(planted, fitted):
    again = OutlierDetector(members=8, false_alarm_rate=0.03, steps=200).fit(planted)
    assert again.score_samples(planted).tobytes() == fitted.score_samples(planted).tobytes()
    new = planted.assign(weight=planted["weight"] + 0.25)
    scores = fitted.score_samples(new)
    assert fitted.score_samples(new[100:130]).tobytes() == scores[100:130].tobytes()


def test_the_parts_of_scikit_learns_interface_agree(planted, fitted):
    new = planted.assign(weight=planted["weight"] + 3)
    for rows in (planted, new):
        scores, p = fitted.score_samples(rows), fitted.p_values(rows)
        np.testing.assert_array_equal(fitted.decision_function(rows), scores - fitted.offset_)
        np.testing.assert_array_equal(fitted.predict(rows) == -1, p <= fitted.false_alarm_rate)
    labels = OutlierDetector(members=4, steps=60, contamination=0.1).fit_predict(planted)
    assert (labels == -1).sum() == 31


def test_the_content_of_a_hole_cannot_matter_and_a_row_of_holes_is_not_odd(planted, fitted):
    table = untyped(load_iris()).data
    with_holes = np.where(np.random.default_rng(0).random(table.shape) < 0.1, np.nan, table)
    detector = OutlierDetector(**SMALL).fit(with_holes)
    assert np.isfinite(detector.score_samples(with_holes)).all()
    assert detector.predict(np.full((1, 4), np.nan)).tolist() == [1]
    assert fitted.predict(planted[:1].assign(kind=None, size=np.nan, weight=np.nan)).tolist() == [1]


def test_the_order_of_columns_and_their_units_do_not_matter(planted, fitted):
    new = planted.assign(weight=planted["weight"] + 0.25)
    assert (
        fitted.score_samples(new[["weight", "kind", "size"]]).tobytes() == fitted.score_samples(new).tobytes()
    )
    x = untyped(load_iris()).data
    unit = np.array([2.0**10, 1.0, 2.0**-7, -1.0])
    offset = np.array([0.0, 2.0, 0.0, 0.0])
    scores = OutlierDetector(**SMALL).fit(x).score_samples(x)
    np.testing.assert_allclose(
        OutlierDetector(**SMALL).fit(x * np.abs(unit) + offset).score_samples(x * np.abs(unit) + offset),
        scores,
        atol=0.05,
    )


def test_a_category_that_the_fit_has_not_seen_is_odd_and_far_values_are_finite(planted, fitted):
    usual, unseen = planted[4:5], planted[4:5].assign(kind="d")
    assert fitted.score_samples(unseen)[0] < fitted.score_samples(usual)[0] - 3
    far = planted[4:5].assign(weight=1e300)
    assert np.isfinite(fitted.score_samples(far)).all()
    assert fitted.predict(far).tolist() == [-1]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"false_alarm_rate": 0.0}, "between 0 and 1"),
        ({"false_alarm_rate": 1.0}, "between 0 and 1"),
        ({"false_alarm_rate": 0.001}, "needs at least 999 rows, and there are 150"),
        ({"members": 3}, "an even number"),
        ({"members": 0}, "an even number"),
        ({"trim": 1.0}, "share of rows to drop"),
        ({"contamination": 0.7}, "a share above 0 and up to 0.5"),
    ],
)
def test_parameters_that_cannot_be_are_refused(parameters, message):
    with pytest.raises(UsageError, match=message):
        OutlierDetector(**{**SMALL, **parameters}).fit(untyped(load_iris()).data)


def test_tables_that_do_not_fit_are_refused(planted, fitted):
    with pytest.raises(DataError, match=r"no column 'weight'.*did you mean 'weigth'"):
        fitted.predict(planted.rename(columns={"weight": "weigth"}))
    with pytest.raises(DataError, match="1 column that the data of the fit did not have"):
        fitted.predict(planted.assign(more=1))
    with pytest.raises(DataError, match="no column that varies"):
        OutlierDetector(false_alarm_rate=0.2).fit(np.ones((10, 2)))
    with pytest.raises(DataError, match="'weight' holds text"):
        fitted.predict(planted.assign(weight="heavy"))
    with pytest.raises(DataError, match="infinite"):
        fitted.predict(planted.assign(weight=np.inf))


@pytest.mark.parametrize("steps", [1, 10])
def test_any_number_of_steps_will_do(steps):
    x = np.random.default_rng(0).normal(size=(60, 3))
    detector = OutlierDetector(members=4, steps=steps, false_alarm_rate=0.1).fit(x)
    assert np.isfinite(detector.score_samples(x)).all()
