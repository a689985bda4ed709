"""The model whose every answer is known: x = W z + m + s e, z and e standard normal."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from vaekit import VAE
from vaekit.likelihoods import GaussianLikelihood
from vaekit.posteriors import DiagonalPosterior
from vaekit.priors import StandardPrior


class Unlisted(MultivariateNormal):
    """A Gaussian whose divergences nobody has a closed form for: they are estimated from the draw."""


class ExactPosterior(nn.Module):
    """N(M^-1 W^T (x - m), s^2 M^-1) with M = W^T W + s^2 I, from features that are x itself.

    One draw of reconstruction minus a *closed* KL is the evidence only on average; log p(x, z) - log q(z) is
    it at every draw.
    """

    needs: frozenset[str] = frozenset()

    def __init__(self, truth: "LinearGaussian") -> None:
        super().__init__()
        self.truth = truth
        self.latent_shape = (truth.latent,)
        self.feature_shape = (truth.columns,)

    def forward(self, x: Tensor) -> Distribution:
        truth = self.truth
        mean = (x - truth.mean) @ truth.posterior_map.T
        return Unlisted(mean, covariance_matrix=truth.posterior_covariance)


@dataclass
class LinearGaussian:
    weight: Tensor  # (columns, latent)
    mean: Tensor  # (columns,)
    scale: float

    @classmethod
    def random(cls, columns: int, latent: int, scale: float = 0.5, seed: int = 0) -> "LinearGaussian":
        generator = torch.Generator().manual_seed(seed)
        return cls(
            torch.randn(columns, latent, generator=generator, dtype=torch.float64),
            torch.randn(columns, generator=generator, dtype=torch.float64),
            scale,
        )

    @property
    def columns(self) -> int:
        return self.weight.shape[0]

    @property
    def latent(self) -> int:
        return self.weight.shape[1]

    def draw(self, n: int, seed: int = 1) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(n, self.latent, generator=generator, dtype=torch.float64)
        noise = torch.randn(n, self.columns, generator=generator, dtype=torch.float64)
        return z @ self.weight.T + self.mean + self.scale * noise

    def log_evidence(self, x: Tensor) -> Tensor:
        covariance = self.weight @ self.weight.T + self.scale**2 * torch.eye(self.columns, dtype=x.dtype)
        return MultivariateNormal(self.mean, covariance_matrix=covariance).log_prob(x)

    @property
    def posterior_covariance(self) -> Tensor:
        identity = torch.eye(self.latent, dtype=self.weight.dtype)
        return torch.linalg.inv(self.weight.T @ self.weight / self.scale**2 + identity)

    @property
    def posterior_map(self) -> Tensor:
        """The matrix that takes x - m to the mean of z."""
        return self.posterior_covariance @ self.weight.T / self.scale**2

    def vae(self, *, exact: bool) -> VAE:
        """The true decoder, with the exact posterior or with a diagonal one that is off."""
        decoder = nn.Linear(self.latent, self.columns, dtype=torch.float64)
        with torch.no_grad():
            decoder.weight.copy_(self.weight)
            decoder.bias.copy_(self.mean)
        likelihood = GaussianLikelihood((self.columns,), scale="fixed", value=self.scale)
        prior = StandardPrior((self.latent,))
        if exact:
            return VAE(nn.Identity(), ExactPosterior(self), prior, decoder, likelihood).double()
        encoder = nn.Linear(self.columns, 2 * self.latent, dtype=torch.float64)
        with torch.no_grad():
            encoder.weight[: self.latent] = 0.9 * self.posterior_map
            encoder.weight[self.latent :] = 0
            encoder.bias[: self.latent] = -0.9 * self.posterior_map @ self.mean
            encoder.bias[self.latent :] = 0.2 + self.posterior_covariance.diagonal().log()
        return VAE(encoder, DiagonalPosterior(self.latent), prior, decoder, likelihood).double()
