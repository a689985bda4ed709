"""A likelihood per column: normalised, each column by its own law, and in the units of the data."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from narrowing import untyped
from vaekit.errors import DataError, UsageError
from vaekit.evaluation import fit_baselines
from vaekit.likelihoods import MixedLikelihood
from vaekit.runtime.randomness import seeded
from vaekit.sentence import parse

COLUMNS = (
    "gaussian",
    "categorical3",
    "bernoulli",
    "categorical4",
    "poisson",
    "gaussian",
    "student-t",
    "laplace",
)


@pytest.fixture
def mixed():
    likelihood = MixedLikelihood((len(COLUMNS),), columns=COLUMNS).double()
    with torch.no_grad():
        untyped(likelihood.groups[0].log_scale).copy_(torch.tensor([0.3, -0.5], dtype=torch.float64))
    return likelihood


def features(likelihood, n=1):
    with seeded(0):
        return torch.randn(n, *likelihood.feature_shape, dtype=torch.float64)


def test_log_prob_is_the_sum_of_scipys_column_by_column(mixed):
    f = features(mixed)
    x = torch.tensor([[0.4, 2.0, 1.0, 3.0, 5.0, -1.2, 0.7, 2.0]], dtype=torch.float64)
    g = f[0].numpy()  # kind by kind: 2 gaussian, 3 + 1 + 4 logits, log-rate, student-t, laplace
    scales = np.exp(12 * np.array([0.3, -0.5]) / np.sqrt(144 + np.array([0.3, -0.5]) ** 2))
    student = mixed.groups[5](f[:, 11:12]).base_dist
    expected = [
        stats.norm.logpdf(0.4, g[0], scales[0]),
        np.log(np.exp(g[2:5]) / np.exp(g[2:5]).sum())[2],
        stats.bernoulli.logpmf(1, 1 / (1 + np.exp(-g[5]))),
        np.log(np.exp(g[6:10]) / np.exp(g[6:10]).sum())[3],
        stats.poisson.logpmf(5, mixed.groups[4](f[:, 10:11]).mean.item()),
        stats.norm.logpdf(-1.2, g[1], scales[1]),
        stats.t.logpdf(0.7, student.df.item(), g[11], student.scale.item()),
        stats.laplace.logpdf(2.0, g[12]),
    ]
    torch.testing.assert_close(mixed(f).log_prob(x).item(), float(np.sum(expected)), rtol=1e-12, atol=1e-12)


def test_it_sums_and_integrates_to_one():
    likelihood = MixedLikelihood((3,), columns=("categorical3", "gaussian", "bernoulli")).double()
    p = likelihood(features(likelihood))
    grid = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    total = 0.0
    for k, b in itertools.product(range(3), range(2)):
        x = torch.stack([torch.full_like(grid, k), grid, torch.full_like(grid, b)], 1)
        total += torch.trapezoid(p.log_prob(x).exp(), grid).item()
    assert total == pytest.approx(1, abs=1e-9)


def test_samples_follow_it_and_means_show_the_most_probable_category(mixed):
    p = mixed(features(mixed))
    n = 20_000
    with seeded(1):
        x = p.sample(torch.Size((n,)))[:, 0]
    assert x.shape == (n, len(COLUMNS))
    for j in (0, 2, 4, 5, 7):
        error = 4 * p.variance[0, j].sqrt() / n**0.5
        assert (x[:, j].mean() - p.mean[0, j]).abs() < error, COLUMNS[j]
    for j, part in ((1, 1), (3, 3)):
        probabilities = p.parts[part].base_dist.probs[0, 0].detach().numpy()
        counts = np.bincount(x[:, j].long().numpy(), minlength=len(probabilities))
        assert stats.chisquare(counts, n * probabilities / probabilities.sum()).pvalue > 1e-4
        assert p.mean[0, j] == probabilities.argmax()
    assert p.log_prob(x[:50, None]).shape == (50, 1)


def test_the_encoder_sees_one_hot_and_every_column_once(mixed):
    x = torch.tensor([[0.4, 2.0, 1.0, 3.0, 5.0, -1.2, 0.7, 2.0]])
    seen = mixed.encoder_input(x)
    assert seen.shape == (1, *mixed.encoder_shape)
    torch.testing.assert_close(seen[0, :6], torch.tensor([0.4, -1.2, 0.0, 0.0, 1.0, 1.0]))
    torch.testing.assert_close(seen[0, 6:], torch.tensor([0.0, 0, 0, 1, np.log1p(5.0), 0.7, 2.0]).float())


def test_the_sentence_round_trips_and_says_each_kind():
    spec = parse("likelihood", "mixed:columns=gaussianxcategorical42xzero-inflated-negative-binomial")
    assert parse("likelihood", str(spec)) == spec
    assert spec.build(event_shape=(3,)).feature_shape == (1 + 42 + 2,)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("gaussian", "bernoulli"), "2 kinds of column for 3 columns"),
        (("gauss",), "unknown kind of column 'gauss'"),
        (("categorical1",), "levels=1"),
        (("categorical",), "unknown kind of column 'categorical'"),
    ],
)
def test_kinds_that_cannot_be(columns, message):
    with pytest.raises(UsageError, match=message):
        MixedLikelihood((3,), columns=columns)


def test_a_column_outside_its_support_is_named(mixed):
    x = np.zeros((4, len(COLUMNS)))
    mixed.support.check(x, "mixed")
    x[2, 3] = 4
    with pytest.raises(DataError, match=r"in column 3 .*which is categorical4, whole numbers from 0 to 3"):
        mixed.support.check(x, "mixed")


def test_the_baseline_is_exact_column_by_column():
    rng = np.random.default_rng(0)
    n = 4000
    x = np.stack(
        [rng.normal(size=n), rng.integers(3, size=n), rng.random(n) < 0.2, rng.negative_binomial(2, 0.3, n)],
        1,
    )
    kinds = ("gaussian", "categorical3", "bernoulli", "negative-binomial")
    (baseline,) = fit_baselines(
        x[:2000], x[2000:], latent=1, measure="mixed", columns=kinds, log_jacobian=1.5
    )
    truth = (
        stats.norm.logpdf(x[2000:, 0])
        + np.log(1 / 3)
        + stats.bernoulli.logpmf(x[2000:, 2], 0.2)
        + stats.nbinom.logpmf(x[2000:, 3], 2, 0.3)
        + 1.5
    )
    assert abs(baseline.log_likelihood.mean - truth.mean()) < 0.02
    assert baseline.log_likelihood.mean < truth.mean() + 0.01
