"""The diagonal posterior: normalised, amortised, and never without a gradient."""

import torch
from scipy import integrate

from vaekit.posteriors import DiagonalPosterior
from vaekit.priors import StandardPrior


def test_features_are_means_then_log_variances():
    q = DiagonalPosterior(2)(torch.tensor([[1.0, -2.0, 0.2, -0.4]]))
    torch.testing.assert_close(q.mean, torch.tensor([[1.0, -2.0]]))
    torch.testing.assert_close(q.variance, torch.tensor([[0.2, -0.4]]).exp(), rtol=1e-4, atol=0)


def test_density_integrates_to_one():
    q = DiagonalPosterior(1)(torch.tensor([0.3, -1.0], dtype=torch.float64))

    def density(z: float) -> float:
        return q.log_prob(torch.tensor([z], dtype=torch.float64)).exp().item()

    total, _ = integrate.quad(density, -10, 10)
    assert abs(total - 1) < 1e-9


def test_extreme_features_keep_finite_densities_and_a_gradient():
    features = torch.tensor([[0.0, 1e4], [0.0, -1e4], [1e4, 0.0]], requires_grad=True)
    q = DiagonalPosterior(1)(features)
    z = q.rsample()
    density = q.log_prob(z.detach())
    assert density.isfinite().all()
    (slope,) = torch.autograd.grad(density.sum(), features)
    assert slope.isfinite().all()
    assert (slope[:2, 1] != 0).all(), "a log-variance that ran away can come back"


def test_reparameterised_draws_carry_gradients_to_mean_and_log_variance():
    features = torch.zeros(5, 4, requires_grad=True)
    DiagonalPosterior(2)(features).rsample().square().sum().backward()
    assert (features.grad != 0).all()


def test_standard_prior_follows_the_model_to_its_type():
    prior = StandardPrior((3,)).double()
    assert prior().mean.dtype == torch.float64
    assert prior().event_shape == (3,)
    assert not list(prior.parameters())
    assert not prior.state_dict()
