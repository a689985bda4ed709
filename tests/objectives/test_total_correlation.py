"""The three parts of the KL: exact where the aggregate posterior can be enumerated."""

from itertools import combinations

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from narrowing import untyped
from vaekit import VAE
from vaekit.errors import UsageError
from vaekit.evaluation import Estimate
from vaekit.likelihoods import GaussianLikelihood
from vaekit.objectives import Elbo, TotalCorrelation
from vaekit.posteriors import DiagonalPosterior
from vaekit.priors import StandardPrior
from vaekit.runtime.randomness import seeded


@pytest.fixture
def model():
    """A linear encoder with well separated, unequal posteriors over two dimensions."""
    with seeded(0):
        model = VAE(
            nn.Linear(3, 4),
            DiagonalPosterior(2),
            StandardPrior((2,)),
            nn.Linear(2, 3),
            GaussianLikelihood((3,)),
        ).double()
        with torch.no_grad():
            untyped(model.parts["encoder"].weight).mul_(3)
    return model


def rows(n, seed=1):
    with seeded(seed):
        return torch.randn(n, 3, dtype=torch.float64)


def run(objective, model, x, seed=2):
    with seeded(seed), torch.no_grad():
        return objective(model, x)


def part(name, model, x, estimator="mss", n=None, seed=2):
    """Of one of the three terms alone, per example."""
    weights = {"alpha": 0.0, "beta": 0.0, "gamma": 0.0, name: 1.0}
    result = run(TotalCorrelation(**weights, estimator=untyped(estimator), rows=n or len(x)), model, x, seed)
    return result.reconstruction - result.surrogate


@torch.no_grad()
def exact(model, x, z):
    """log q(z), log prod_j q(z_j) by enumerating the mixture over x."""
    q = model.encode(x)
    uniform = Categorical(logits=torch.zeros(len(x), dtype=torch.float64))
    joint = MixtureSameFamily(uniform, Independent(Normal(q.mean, q.stddev), 1)).log_prob(z)
    marginals = sum(
        MixtureSameFamily(uniform, Normal(q.mean[:, j], q.stddev[:, j])).log_prob(z[:, j]) for j in range(2)
    )
    return joint, marginals


def draw(model, x, seed=2):
    with seeded(seed), torch.no_grad():
        return model.encode(x).rsample()


@pytest.mark.parametrize("estimator", ["mss", "mws"])
def test_weights_of_one_give_the_elbo(model, estimator):
    x = rows(600)
    objective = TotalCorrelation(alpha=1, beta=1, gamma=1, estimator=estimator, rows=10_000)
    result = run(objective, model, x)
    z = draw(model, x)
    with torch.no_grad():
        one_draw = result.reconstruction - model.encode(x).log_prob(z) + model.prior().log_prob(z)
    torch.testing.assert_close(result.surrogate, one_draw, rtol=0, atol=1e-10)
    difference = Estimate.of(result.surrogate - run(Elbo(), model, x, seed=3).bound)
    assert abs(difference.mean) < 4 * difference.standard_error
    torch.testing.assert_close(result.bound, run(Elbo(), model, x).bound, rtol=0, atol=0)


def test_the_parts_are_exact_when_the_batch_is_the_data_set(model):
    x = rows(6)
    z = draw(model, x)
    joint, marginals = exact(model, x, z)
    with torch.no_grad():
        conditional = model.encode(x).log_prob(z)
        prior = model.prior().log_prob(z)
    for name, expected in (
        ("alpha", conditional - joint),
        ("beta", joint - marginals),
        ("gamma", marginals - prior),
    ):
        torch.testing.assert_close(part(name, model, x), expected, rtol=0, atol=1e-10)
    assert part("beta", model, x).abs().max() > 0.1


def test_stratified_sampling_is_unbiased_over_all_batches_and_the_faulty_weights_are_not(model):
    data = rows(7)
    size = 3
    # The first row keeps its noise, and so its z, whatever the others in the batch are.
    z = draw(model, data[:size])[:1]
    joint, _ = exact(model, data, z)
    right, faulty = [], []
    for others in combinations(range(1, 7), size - 1):
        x = data[[0, *others]]
        with torch.no_grad():
            densities = model.encode(x).log_prob(z).exp()
            log_conditional = densities[0].log()
        right.append((log_conditional - part("alpha", model, x, n=7)[0]).exp())
        # As in published code: 1/N and the remainder go to the first two columns, whoever is drawn for.
        wrong = torch.tensor([1 / 2, 1 / 7, (7 - 2) / (7 * 2)], dtype=torch.float64)
        faulty.append((wrong * densities).sum())
    torch.testing.assert_close(torch.stack(right).mean(), joint[0].exp(), rtol=1e-12, atol=0)
    assert (torch.stack(faulty).mean() / joint[0].exp() - 1).abs() > 0.1


def test_weighted_sampling_divides_by_rows_times_batch(model):
    x = rows(4)
    z = draw(model, x)
    with torch.no_grad():
        densities = model.encode(x[None].expand(4, 4, 3).reshape(16, 3))
        pairwise = densities.log_prob(z.repeat_interleave(4, 0)).reshape(4, 4)
        expected = model.encode(x).log_prob(z) - (pairwise.exp().sum(1) / (4 * 100)).log()
    torch.testing.assert_close(part("alpha", model, x, "mws", n=100), expected)


def test_the_order_of_the_batch_plays_no_part(model):
    # The noise belongs to the place: equal noise for all makes the examples comparable.
    x = rows(5)
    posterior = model.parts["posterior"]
    forward = posterior.forward

    class Shared(Normal):
        def rsample(self, sample_shape=()):
            return self.loc + self.scale * 0.3

    posterior.forward = lambda f: Independent(Shared(forward(f).mean, forward(f).stddev), 1)
    order = torch.tensor([3, 0, 4, 2, 1])
    objective = TotalCorrelation(rows=50)
    torch.testing.assert_close(
        run(objective, model, x[order]).surrogate, run(objective, model, x).surrogate[order]
    )


def test_each_weight_weighs_its_part(model):
    x = rows(8)
    parts = {name: part(name, model, x) for name in ("alpha", "beta", "gamma")}
    result = run(TotalCorrelation(alpha=0.5, beta=6, gamma=2, rows=8), model, x)
    expected = result.reconstruction - 0.5 * parts["alpha"] - 6 * parts["beta"] - 2 * parts["gamma"]
    torch.testing.assert_close(result.surrogate, expected)


def test_a_data_set_of_one_row_has_no_total_correlation(model):
    x = rows(1)
    assert part("alpha", model, x).item() == pytest.approx(0, abs=1e-12)
    assert part("beta", model, x).item() == pytest.approx(0, abs=1e-12)


def test_the_number_of_rows_is_asked_for_told_or_given(model):
    x = rows(4)
    with pytest.raises(UsageError, match=r"call begin\(rows=\.\.\.\)"):
        run(TotalCorrelation(), model, x)
    told = TotalCorrelation()
    told.begin(rows=40)
    given = TotalCorrelation(rows=40)
    given.begin(rows=999)
    assert torch.equal(run(told, model, x).surrogate, run(given, model, x).surrogate)
    assert not torch.equal(run(told, model, x).surrogate, run(TotalCorrelation(rows=4), model, x).surrogate)


def test_a_posterior_whose_dimensions_depend_on_each_other_is_refused(model):
    model.parts["posterior"].forward = lambda f: MultivariateNormal(f[:, :2], torch.eye(2, dtype=f.dtype))
    with pytest.raises(UsageError, match=r"MultivariateNormal.*use posterior=diagonal"):
        run(TotalCorrelation(rows=4), model, rows(4))
