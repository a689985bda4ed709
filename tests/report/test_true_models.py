"""Tables of which a simple model is the truth: no verdict may say that the autoencoder is better."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from narrowing import untyped
from vaekit import VariationalAutoencoder
from vaekit.report.numbers import advantage

ROWS, HELD_OUT = 1000, 500


def _covariance(rng, columns):
    factor = rng.normal(size=(columns, columns))
    return factor @ factor.T + 0.1 * np.eye(columns)


def _frame(values, **text):
    return pd.DataFrame(values, columns=[f"x{j}" for j in range(values.shape[1])]).assign(**text)


def skewed(rng, n):
    """Independent log-normal columns."""
    spread, scale = np.array([0.5, 1.0, 1.5]), np.exp([0.0, 3.0, 6.0])
    x = scale * rng.lognormal(sigma=spread, size=(n, 3))
    return _frame(x), stats.lognorm.logpdf(x, spread, scale=scale).sum(1), "independent columns"


def full_gaussian_and_text(rng, n):
    """One full Gaussian, and a column of text that does not depend on it."""
    p = stats.multivariate_normal(np.zeros(4), _covariance(rng, 4))
    x = p.rvs(n, random_state=rng)
    return _frame(x, t=rng.choice(["a", "b", "c"], n)), p.logpdf(x) - np.log(3), "Gaussian copula"


def gaussian_per_class(rng, n):
    """A Gaussian for each category of a column."""
    parts = [stats.multivariate_normal(3 * rng.normal(size=4), _covariance(rng, 4)) for _ in range(3)]
    which = rng.integers(3, size=n)
    x = np.stack([part.rvs(n, random_state=rng) for part in parts])[which, np.arange(n)]
    truth = np.stack([part.logpdf(x) for part in parts])[which, np.arange(n)] - np.log(3)
    return _frame(x, t=np.array(["a", "b", "c"])[which]), truth, "a Gaussian for each category of t"


def latent_classes(rng, n):
    """Columns of text that are independent within classes which nobody sees."""
    shares = rng.dirichlet(0.3 * np.ones(3), size=(3, 6))
    which = rng.integers(3, size=n)
    codes = (rng.random((n, 6, 1)) > shares.cumsum(2)[which]).sum(2).clip(max=2)
    each = np.stack([shares[k][np.arange(6), codes].prod(1) for k in range(3)])
    return (
        pd.DataFrame(np.array(["a", "b", "c"])[codes], columns=list("stuvwx")),
        np.log(each.mean(0)),
        "latent",
    )


def log_normal_copula(rng, n):
    """A multivariate log-normal, beside text."""
    p = stats.multivariate_normal(np.zeros(4), untyped(0.7 + 0.3 * np.eye(4)))
    y = p.rvs(n, random_state=rng)
    text = np.where(rng.random(n) < 0.3, "a", "b")
    share = np.where(text == "a", np.log(0.3), np.log(0.7))
    return _frame(np.exp(y), t=text), p.logpdf(y) - y.sum(1) + share, "Gaussian copula"


@pytest.mark.parametrize(
    "table", [skewed, full_gaussian_and_text, gaussian_per_class, latent_classes, log_normal_copula]
)
def test_no_verdict_is_better_than_level(table):
    frame, truth, name = table(np.random.default_rng(0), ROWS + HELD_OUT)
    train, test = frame[:ROWS], frame[ROWS:]
    vae = VariationalAutoencoder(4, network="mlp:hidden=32", epochs=8, random_state=0).fit(train)
    result = vae.evaluate(test, samples=20, train=train)
    found = advantage(result)
    assert found is not None
    assert found.outcome in ("level", "below")
    best = max(b.log_likelihood.mean for b in result.baselines)
    named = next(b for b in result.baselines if name in b.name)
    assert truth[ROWS:].mean() - 0.1 < named.log_likelihood.mean <= best
    assert best < truth[ROWS:].mean() + 0.05
