"""The flow prior: starts near the standard one, learns a shape no Gaussian has, and is drawn as it is scored."""

import pytest
import torch

from narrowing import untyped
from vaekit.errors import UsageError
from vaekit.priors import FlowPrior
from vaekit.runtime.randomness import seeded


def bent(n):
    z = torch.randn(n, 2)
    return torch.stack([z[:, 0], z[:, 0].square() - 1 + 0.3 * z[:, 1]], 1)


@pytest.mark.parametrize("kind", ["maf", "spline"])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_it_starts_near_the_standard_gaussian_and_trains_every_parameter(kind, k):
    with seeded(0):
        prior = FlowPrior((k,), kind=kind)
        z = torch.randn(500, k)
    p = prior()
    assert (p.batch_shape, p.event_shape, p.mean.shape) == ((), (k,), (k,))
    standard = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    assert (p.log_prob(z) - standard).mean().abs() < 0.2 * k
    p.log_prob(z).mean().backward()
    assert all(
        parameter.grad is not None and parameter.grad.isfinite().all() for parameter in prior.parameters()
    )


@pytest.mark.parametrize("kind", ["maf", "spline"])
def test_fitted_to_draws_it_has_their_density_and_gives_draws_like_them(kind):
    with seeded(0):
        prior, train, test = FlowPrior((2,), kind=kind, layers=3), bent(2000), bent(5000)
        optimizer = torch.optim.Adam(prior.parameters(), lr=1e-2)
        for _ in range(250):
            optimizer.zero_grad()
            (-prior().log_prob(train).mean()).backward()
            optimizer.step()
        with torch.no_grad():
            draws = prior().sample(torch.Size((5000,)))
    entropy = 2.8378771 + torch.log(torch.tensor(0.3))
    with torch.no_grad():
        cross_entropy = -prior().log_prob(test).mean()
    assert -0.03 < cross_entropy - entropy < 0.12, "a Gaussian is 1.3 nats away"
    torch.testing.assert_close(draws.mean(0), test.mean(0), rtol=0, atol=0.15)
    residual = (draws[:, 1] - draws[:, 0].square() + 1).std()
    assert 0.25 < residual < 0.5


def test_a_kind_that_is_not_there():
    with pytest.raises(UsageError, match="kind='iaf'; there are maf and spline"):
        FlowPrior((2,), kind=untyped("iaf"))
