"""Models whose illness is known, each made of a healthy one: a linear-Gaussian model, which is right about its data."""

import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from oracles.linear_gaussian import LinearGaussian
from vaekit.conformance import ThreeCallables

TRUTH = LinearGaussian.random(columns=5, latent=2, scale=0.7, seed=3)
COLLINEAR = LinearGaussian(
    torch.tensor([[1.0, 0.98], [1.0, 1.02], [-1.0, -1.01], [0.5, 0.49]]).double(),
    torch.zeros(4).double(),
    0.1,
)


def standard(d):
    return Independent(Normal(torch.zeros(d).double(), torch.ones(d).double()), 1)


def composed(encode=None, prior=None, decode=None, truth=TRUTH):
    """The truth, with one of its three distributions replaced."""

    def exact(x):
        mean = (x - truth.mean) @ truth.posterior_map.T
        return MultivariateNormal(mean, truth.posterior_covariance.expand(len(x), -1, -1))

    def true_decoder(z):
        return Independent(Normal(z @ truth.weight.T + truth.mean, truth.scale), 1)

    return ThreeCallables(encode or exact, prior or standard(truth.latent), decode or true_decoder)


def diagonal(truth=TRUTH, *, shift=0.0, size=1.0):
    """Encode to the best diagonal Gaussian, moved by some of its deviations, and of another size."""
    deviation = torch.linalg.inv(truth.posterior_covariance).diagonal().rsqrt()

    def encode(x):
        mean = (x - truth.mean) @ truth.posterior_map.T
        return Independent(Normal(mean + shift * deviation, size * deviation.expand_as(mean)), 1)

    return encode


def collapsed():
    """The encoder gives the prior, and the decoder the right marginal of each column."""
    spread = (TRUTH.weight.square().sum(1) + TRUTH.scale**2).sqrt()
    return composed(
        lambda x: standard(2).expand((len(x),)),
        decode=lambda z: Independent(Normal(TRUTH.mean.expand(len(z), -1), spread.expand(len(z), -1)), 1),
    )


def noisy(factor):
    """The decoder's noise is so many times too large; its posterior fits it."""
    other = LinearGaussian(TRUTH.weight, TRUTH.mean, TRUTH.scale * factor)
    return other.vae(exact=True)


def with_clusters(n, seed):
    """Rows whose codes are in two places, for a model whose codes are Gaussian all the same."""
    generator = torch.Generator().manual_seed(seed)
    side = torch.randint(2, (n, 1), generator=generator) * 2.0 - 1
    z = torch.cat([1.9 * side, torch.zeros(n, 1)], 1).double()
    z += 0.3 * torch.randn(n, 2, generator=generator, dtype=torch.float64)
    noise = torch.randn(n, TRUTH.columns, generator=generator, dtype=torch.float64)
    return z @ TRUTH.weight.T + TRUTH.mean + TRUTH.scale * noise
