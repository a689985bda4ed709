"""The deterministic posterior: draws without a density, and models that are honest about it."""

import pytest
import torch

from narrowing import known
from oracles.linear_gaussian import LinearGaussian
from vaekit.errors import UsageError
from vaekit.evaluation import evaluate, log_likelihood
from vaekit.objectives import Elbo, MaximumMeanDiscrepancy
from vaekit.posteriors import PointPosterior
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae
from vaekit.vae import VAE

WITHOUT_DENSITY = {"network": "mlp:hidden=4", "posterior": "point", "objective": "mmd"}


def test_draws_are_the_code_and_carry_its_gradient():
    features = torch.randn(5, 3, requires_grad=True)
    q = PointPosterior(3)(features)
    z = q.rsample((4,))
    assert z.shape == (4, 5, 3)
    assert torch.equal(z[2], features)
    z.sum().backward()
    assert torch.equal(known(features.grad), torch.full((5, 3), 4.0))
    assert (q.batch_shape, q.event_shape) == ((5,), (3,))


def test_there_is_no_density():
    with pytest.raises(UsageError, match="no density"):
        PointPosterior(3)(torch.zeros(1, 3)).log_prob(torch.zeros(3))


@pytest.mark.parametrize(
    "kind", [kind for kind, part in PARTS["objective"].items() if part.traits.needs_density]
)
def test_an_objective_that_needs_a_density_is_refused(kind):
    sentence = Sentence.parse(**WITHOUT_DENSITY | {"objective": kind})
    with pytest.raises(UsageError, match=f"objective {kind} needs the density.*use one of: .*mmd"):
        build_vae(sentence, (3,), latent=2)


def test_a_prior_made_of_posteriors_is_refused():
    with pytest.raises(UsageError, match=r"prior vamp needs the density.*use one of: standard"):
        build_vae(Sentence.parse(**WITHOUT_DENSITY, prior="vamp"), (3,), latent=2)


@pytest.mark.parametrize("alpha", ["0", "0.5", "linear:0..1/10"])
def test_a_share_of_a_kl_that_does_not_exist_is_refused(alpha):
    objective = f"mmd:alpha={alpha},weight=10"
    with pytest.raises(UsageError, match="leave alpha out"):
        build_vae(Sentence.parse(**WITHOUT_DENSITY | {"objective": objective}), (3,), latent=2)


def test_the_sentence_is_the_wasserstein_autoencoder():
    model = build_vae(Sentence.parse(**WITHOUT_DENSITY, likelihood="gaussian"), (3,), latent=2)
    x = torch.randn(64, 3)
    with seeded(0):
        result = MaximumMeanDiscrepancy(weight=10.0)(model, x)
    code = model.encode(x).mean
    torch.testing.assert_close(result.reconstruction, model.decode(code).log_prob(x))
    with seeded(0):  # the same draws from the prior, the code in place of the posterior
        half = MaximumMeanDiscrepancy(weight=5.0)(model, x)
    assert result.kl.isinf().all()
    penalty = (result.reconstruction - result.surrogate) / 10.0
    torch.testing.assert_close((half.reconstruction - half.surrogate) / 5.0, penalty, rtol=1e-3, atol=1e-4)
    assert torch.equal(result.bound, result.surrogate)


def test_what_is_selected_on_does_not_follow_the_schedule():
    model = build_vae(Sentence.parse(**WITHOUT_DENSITY), (3,), latent=2)
    x, bounds = torch.rand(64, 3).round(), []
    objective = Sentence.parse(objective="mmd:alpha=1,weight=linear:0..10/5").objective.build()
    for epoch in (0.0, 2.0, 5.0):
        objective.at(epoch)
        with seeded(0):
            bounds.append(objective(model, x).bound)
    assert torch.equal(bounds[0], bounds[1])
    assert torch.equal(bounds[0], bounds[2])


def deterministic(truth):
    """The linear-Gaussian model with its posterior's mean as the code."""
    exact = truth.vae(exact=False)
    parts = dict(exact.parts)
    k = exact.latent_shape[0]
    encoder = torch.nn.Sequential(parts["encoder"], First(k))
    return VAE(encoder, PointPosterior(k), parts["prior"], parts["decoder"], parts["likelihood"])


class First(torch.nn.Module):
    """The first k features."""

    def __init__(self, k):
        super().__init__()
        self.k = k

    def forward(self, features):
        return features[..., : self.k]


@pytest.mark.parametrize("common_noise", [False, True])
def test_the_evidence_of_a_model_without_density_meets_the_exact_answer(common_noise):
    truth = LinearGaussian.random(5, 2)
    x, model = truth.draw(200), deterministic(truth)
    exact = truth.log_evidence(x)
    with seeded(0):
        estimated = log_likelihood(model, x, samples=500, common_noise=common_noise)
    error = (estimated.values - exact).abs()
    assert error.mean() < 0.03
    assert error.max() < 0.4
    assert estimated.effective_sample_size.mean() > 200
    assert (estimated.elbo <= exact + 0.3).all()
    assert estimated.elbo.mean() < exact.mean()


def test_evaluation_says_where_its_samples_come_from():
    truth = LinearGaussian.random(5, 2)
    x = truth.draw(50)
    result = evaluate(deterministic(truth), x, samples=50, seed=0, split="test")
    assert result.fitted_proposal
    assert result.elbo.mean == pytest.approx(result.reconstruction - result.kl)
    assert 0 < result.kl < 100
    assert not evaluate(truth.vae(exact=False), x, samples=50, seed=0, split="test").fitted_proposal


def test_the_bound_of_what_has_none_is_refused():
    with pytest.raises(UsageError, match="no density"):
        Elbo()(build_vae(Sentence.parse(**WITHOUT_DENSITY), (3,), latent=2), torch.rand(2, 3))
