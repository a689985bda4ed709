r"""A linear-Gaussian model, whose exact answers are known, as a test of posteriors and objectives.

.. math:: x = W z + m + s \epsilon, \qquad z \sim \mathcal N(0, I), \; \epsilon \sim \mathcal N(0, I)

so that :math:`\log p(x) = \log \mathcal N(x; m, W W^\top + s^2 I)`, and the true posterior is :math:`\mathcal
N(M^{-1} W^\top (x - m), s^2 M^{-1})` with :math:`M = W^\top W + s^2 I` (Tipping and Bishop, 1999, "Probabilistic
Principal Component Analysis", equations 2 to 8).
"""

from dataclasses import dataclass
from math import sqrt
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from vaekit.conformance.finding import LawResult
from vaekit.contracts import Posterior
from vaekit.errors import UsageError
from vaekit.evaluation.importance_sampling import log_likelihood
from vaekit.likelihoods import GaussianLikelihood
from vaekit.networks import TransformedInput
from vaekit.posteriors import DiagonalPosterior
from vaekit.priors import StandardPrior
from vaekit.sentence import parse
from vaekit.training import begin_objective
from vaekit.vae import VAE

__all__ = ["ExactPosterior", "LinearGaussian", "Unlisted", "check_exact"]


class Unlisted(MultivariateNormal):
    """A Gaussian of a type that no closed form of a divergence is registered for: they are estimated from draws."""


class ExactPosterior(nn.Module, Posterior):
    """N(M^-1 W^T (x - m), s^2 M^-1) with M = W^T W + s^2 I, from features that are x itself.

    The reconstruction at one draw minus a *closed* KL equals the evidence only on average; log p(x, z) - log q(z)
    equals it at every draw.
    """

    def __init__(self, truth: "LinearGaussian") -> None:
        super().__init__()
        self.truth = truth
        self.latent_shape = (truth.latent,)
        self.feature_shape = (truth.columns,)

    def forward(self, x: Tensor) -> Distribution:
        """Return the posterior of data."""
        truth = self.truth
        mean = (x - truth.mean) @ truth.posterior_map.T
        return Unlisted(mean, covariance_matrix=truth.posterior_covariance)


_FEW, _MANY = 125, 12_000


@dataclass
class LinearGaussian:
    r"""The model :math:`x = W z + m + s \epsilon`.

    Parameters
    ----------
    weight
        :math:`W`, ``(columns, latent)`` float64.
    mean
        :math:`m`, ``(columns,)``.
    scale
        :math:`s`.

    Examples
    --------
    >>> truth = LinearGaussian.random(columns=3, latent=2)
    >>> truth.log_evidence(truth.draw(5)).shape
    torch.Size([5])
    """

    weight: Tensor
    mean: Tensor
    scale: float

    @classmethod
    def random(cls, columns: int, latent: int, scale: float = 0.5, seed: int = 0) -> "LinearGaussian":
        """Return a model with standard normal weights and mean."""
        generator = torch.Generator().manual_seed(seed)
        return cls(
            torch.randn(columns, latent, generator=generator, dtype=torch.float64),
            torch.randn(columns, generator=generator, dtype=torch.float64),
            scale,
        )

    @property
    def columns(self) -> int:
        """The number of columns of x."""
        return self.weight.shape[0]

    @property
    def latent(self) -> int:
        """The number of latent dimensions."""
        return self.weight.shape[1]

    def draw(self, n: int, seed: int = 1) -> Tensor:
        """Draw ``(n, columns)`` data."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(n, self.latent, generator=generator, dtype=torch.float64)
        noise = torch.randn(n, self.columns, generator=generator, dtype=torch.float64)
        return z @ self.weight.T + self.mean + self.scale * noise

    def log_evidence(self, x: Tensor) -> Tensor:
        r"""Evaluate the exact :math:`\log p(x)`, ``(n,)`` in nats."""
        covariance = self.weight @ self.weight.T + self.scale**2 * torch.eye(self.columns, dtype=x.dtype)
        return MultivariateNormal(self.mean, covariance_matrix=covariance).log_prob(x)

    @property
    def posterior_covariance(self) -> Tensor:
        """The covariance of z given x, ``(latent, latent)``."""
        identity = torch.eye(self.latent, dtype=self.weight.dtype)
        return torch.linalg.inv(self.weight.T @ self.weight / self.scale**2 + identity)

    @property
    def posterior_map(self) -> Tensor:
        """The matrix that maps x - m to the posterior mean of z."""
        return self.posterior_covariance @ self.weight.T / self.scale**2

    def vae(self, *, exact: bool) -> VAE:
        """Compose the true decoder with the exact posterior, or with an inexact diagonal one."""
        if exact:
            return self._compose(nn.Identity(), ExactPosterior(self))
        encoder = nn.Linear(self.columns, 2 * self.latent, dtype=torch.float64)
        with torch.no_grad():
            encoder.weight[: self.latent] = 0.9 * self.posterior_map
            encoder.weight[self.latent :] = 0
            encoder.bias[: self.latent] = -0.9 * self.posterior_map @ self.mean
            encoder.bias[self.latent :] = 0.2 + self.posterior_covariance.diagonal().log()
        return self._compose(encoder, DiagonalPosterior(self.latent))

    def vae_with(self, posterior: nn.Module) -> VAE:
        """Compose the true decoder with any posterior on R^k, behind a linear encoder of small random weights."""
        (features,) = cast(Posterior, posterior).feature_shape
        encoder = nn.Linear(self.columns, features)
        with torch.no_grad():
            encoder.weight.mul_(0.1)
            encoder.bias.mul_(0.1)
        return self._compose(encoder, posterior)

    def _compose(self, encoder: nn.Module, posterior: nn.Module) -> VAE:
        decoder = nn.Linear(self.latent, self.columns, dtype=torch.float64)
        with torch.no_grad():
            decoder.weight.copy_(self.weight)
            decoder.bias.copy_(self.mean)
        likelihood = GaussianLikelihood((self.columns,), scale="fixed", value=self.scale)
        prior = StandardPrior(cast(Posterior, posterior).latent_shape)
        seen: nn.Module = decoder
        first = cast(Posterior, posterior).decoder_input
        if first is not None:  # dimensions that the decoder does not see integrate out
            seen = TransformedInput(first, decoder)
        return VAE(encoder, posterior, prior, seen, likelihood).double()


def check_exact(posterior: str, objective: str, *, rows: int = 500) -> list[LawResult]:
    r"""Check a posterior and an objective against the exact :math:`\log p(x)` of a linear-Gaussian model.

    Parameters
    ----------
    posterior, objective
        Specs, as in a sentence.
    rows
        The number of examples to average over.

    Returns
    -------
    list of LawResult
        Whether the bound is at most the evidence, and whether importance sampling reaches it.

    Examples
    --------
    >>> from vaekit.runtime.randomness import seeded
    >>> with seeded(0):
    ...     print(*check_exact("full", "iwae:samples=5"), sep=chr(10))
    holds        full, iwae:samples=5: the bound is at most the exact log p(x): it is ...
    holds        full: importance sampling reaches the exact log p(x): ...
    """
    first = f"{posterior}, {objective}: the bound is at most the exact log p(x)"
    second = f"{posterior}: importance sampling reaches the exact log p(x)"
    truth = LinearGaussian.random(columns=3, latent=2, scale=3.0)
    x = truth.draw(rows)
    part = parse("posterior", posterior).build(latent=2)
    maximised = parse("objective", objective).build()
    try:
        if part.traits.space != "euclidean" or len(part.feature_shape) != 1:
            raise UsageError("its latents do not live in R^k with a standard Gaussian prior")
        model = truth.vae_with(part)
        maximised.check(model)
        if not model.has_density:
            refusal = "the posterior has no density, and the model no bound"
            return [
                LawResult(first, "not checked", refusal),
                _reaches(model, x, truth.log_evidence(x), second),
            ]
    except UsageError as refusal:
        return [LawResult(first, "not checked", str(refusal))]
    begin_objective(maximised, model, rows=rows)
    exact = truth.log_evidence(x)
    findings = []
    gap = exact - maximised(model, x).bound.detach()
    error = float(gap.std()) / sqrt(rows)
    seen = f"it is {float(gap.mean()):.3f} ± {error:.3f} nats below"
    findings.append(LawResult(first, "holds" if float(gap.mean()) > -4 * error else "broken", seen))
    return [*findings, _reaches(model, x, exact, second)]


def _reaches(model: VAE, x: Tensor, exact: Tensor, name: str) -> LawResult:
    """Check that importance sampling reaches the exact evidence.

    On few rows with many samples each: where weights have heavy tails, few samples underestimate their spread.
    """
    x, exact = x[:_FEW], exact[:_FEW]
    estimate = log_likelihood(model, x, samples=_MANY)
    bias = estimate.values - exact
    # The variance of a mean weight, relative to its square, is 1 / ESS - 1 / K; half of it is the logarithm's bias.
    variance = 1 / estimate.effective_sample_size - 1 / _MANY
    limit = 4 * float(variance.sum().sqrt()) / len(x) + float(variance.mean()) + 1e-6
    seen = f"{float(bias.mean()):+.4f} nats off, {limit:.4f} allowed"
    return LawResult(name, "holds" if abs(float(bias.mean())) < limit else "broken", seen)
