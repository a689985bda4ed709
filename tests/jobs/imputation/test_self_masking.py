"""Values that decide themselves whether they are missing: against quadrature, on data made so, and told from others."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm
from sklearn.datasets import load_breast_cancer

from narrowing import untyped
from vaekit import Imputer
from vaekit.errors import DataError, DataWarning, UsageError
from vaekit.jobs.imputation.self_masking import SelfMaskedGaussian


def breast_cancer_above_the_mean_missing() -> tuple[np.ndarray, np.ndarray]:
    """The mask of Ipsen et al. (2021): in half of the columns all values above the mean are missing."""
    x = untyped(load_breast_cancer()).data
    x = (x - x.mean(0)) / x.std(0)
    holes = np.zeros(x.shape, dtype=bool)
    holes[:, :15] = x[:, :15] > 0
    return x, holes


@pytest.mark.parametrize("slope", [2.5, -4.0, 0.0])
def test_draws_are_those_of_the_exact_conditional(slope):
    """Two correlated columns, the second missing: its density is normal times the curve, by quadrature."""
    covariance, middle = np.array([[1.0, 0.6], [0.6, 1.0]]), 0.4
    model = SelfMaskedGaussian(np.zeros(2), covariance, np.array([0.0, slope]), np.array([0.0, middle]))
    drawn = model.draw(np.tile([0.5, np.nan], (400, 1)), 50, 0)[..., 1]

    def moment(power: int) -> float:
        return quad(lambda x: x**power * norm.pdf(x, 0.3, 0.8) * expit(slope * (x - middle)), -8, 8)[0]

    mean = moment(1) / moment(0)
    variance = moment(2) / moment(0) - mean**2
    error = 3 * (variance / drawn.size) ** 0.5  # a chain's draws are worth fewer
    assert abs(drawn.mean() - mean) < 4 * error
    assert drawn.var() == pytest.approx(variance, rel=0.1)


def test_the_mask_of_not_miwae():
    """At most .75, where the published not-MIWAE has .72, a ridge .95 and the mean 1.82; the curves are steep."""
    x, holes = breast_cancer_above_the_mean_missing()
    imputer = Imputer(mnar="self").fit(np.where(holes, np.nan, x))
    filled = imputer.transform(np.where(holes, np.nan, x))
    assert (filled[~holes] == x[~holes]).all()
    assert np.sqrt(np.square(filled - x)[holes].mean()) < 0.75
    first, second = imputer.sample(np.where(holes, np.nan, x), draws=2)
    assert (first[holes] != second[holes]).all()


def test_a_warning_names_columns_that_mask_themselves_and_no_others():
    x, holes = breast_cancer_above_the_mean_missing()
    some = [0, 5, 8, 20, 25, 28]
    x, holes = x[:, some], holes[:, some]
    with pytest.warns(DataWarning, match="3 columns .*'x0', 'x1', 'x2'.*own size"):
        Imputer(steps=1, anchor="gaussian").fit(np.where(holes, np.nan, x))
    at_random = np.random.default_rng(0).random(x.shape) < 0.3
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        Imputer(steps=1, anchor="gaussian").fit(np.where(at_random, np.nan, x))


def test_values_missing_at_random_have_flat_curves():
    x, _ = breast_cancer_above_the_mean_missing()
    holes = np.random.default_rng(1).random(x.shape) < 0.3
    assert np.abs(SelfMaskedGaussian.fit(np.where(holes, np.nan, x), 0).slope).max() < 1


def test_what_it_cannot_take_is_refused():
    table = pd.DataFrame({"letter": ["a", "b", "a", None], "number": [1.0, 2.0, np.nan, 4.0]})
    with pytest.raises(DataError, match="columns of numbers; column 'letter'"):
        Imputer(mnar="self").fit(table)
    with pytest.raises(UsageError, match="mnar='both'"):
        Imputer(mnar=untyped("both")).fit(np.eye(3))
