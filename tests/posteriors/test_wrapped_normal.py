"""The wrapped normal posterior: what its features mean."""

import pytest
import torch

from narrowing import known
from vaekit.posteriors import WrappedNormalPosterior


def test_an_isotropic_posterior_is_one_whose_variances_are_all_the_same():
    centre, log_variance = torch.randn(4, 3), torch.randn(4, 1)
    one = WrappedNormalPosterior(3, curvature=0.7, isotropic=True)
    each = WrappedNormalPosterior(3, curvature=0.7)
    q = one(torch.cat([centre, log_variance], 1))
    p = each(torch.cat([centre, log_variance.expand(4, 3)], 1))
    z = p.sample((5,))
    torch.testing.assert_close(q.log_prob(z), p.log_prob(z))
    assert q.rsample((2,)).shape == (2, 4, 3)


@pytest.mark.parametrize("isotropic", [False, True])
def test_every_feature_moves_the_density(isotropic):
    posterior = WrappedNormalPosterior(2, isotropic=isotropic)
    features = torch.randn(1, *posterior.feature_shape, requires_grad=True)
    posterior(features).log_prob(torch.ones(2)).sum().backward()
    assert known(features.grad).abs().min() > 0
