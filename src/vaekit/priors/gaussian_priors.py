r"""Gaussian priors: the standard one, and a learned one that starts as the standard one.

.. math:: \text{standard}: p(z) = \mathcal N(z; 0, I), \qquad \text{gaussian}: p(z) = \mathcal N(z; m, L L^\top)

With a condition, :math:`p(z \mid c) = \mathcal N(z; m + A c, L L^\top)`: one mean for each class, or a slope
for each covariate (Sohn, Lee and Yan, 2015, "Learning Structured Output Representation using Deep Conditional
Generative Models", section 3, with a linear map).
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import Prior, PriorTraits
from vaekit.distributions.normals import FullNormal, independent_normal
from vaekit.errors import DataError
from vaekit.networks.bounded import soft_bound
from vaekit.networks.network_inputs import require_condition

__all__ = ["GaussianPrior", "StandardPrior"]


class StandardPrior(nn.Module, Prior):
    """``standard``: independent Gaussians of mean 0 and standard deviation 1.

    Parameters
    ----------
    latent_shape
        The shape of :math:`z`.

    Examples
    --------
    >>> import torch
    >>> StandardPrior((2,))().log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, latent_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(latent_shape), persistent=False)
        self.register_buffer("scale", torch.ones(latent_shape), persistent=False)

    def forward(self) -> Distribution:
        """Return the prior over ``latent_shape``."""
        return independent_normal(self.mean, self.scale, self.mean.dim())


class GaussianPrior(nn.Module, Prior):
    """``gaussian``: one Gaussian with a learned mean and a learned full covariance.

    Parameters
    ----------
    latent_shape
        The shape of :math:`z`, ``(k,)``.
    condition
        The number of numbers in a condition; 0: the prior has none.

    Examples
    --------
    >>> GaussianPrior((2,))().log_prob(torch.zeros(2))
    tensor(-1.8379, grad_fn=<SubBackward0>)
    """

    traits = PriorTraits(fits_draws=True)

    def __init__(self, latent_shape: tuple[int, ...], condition: int = 0) -> None:
        super().__init__()
        (k,) = latent_shape
        self.mean = nn.Parameter(torch.zeros(k))
        self.log_diagonal = nn.Parameter(torch.zeros(k))
        self.below = nn.Parameter(torch.zeros(k, k))
        if condition:
            self.of_condition = nn.Parameter(torch.zeros(condition, k))
            self.traits = replace(self.traits, needs=frozenset({"condition"}))

    def forward(self, *, condition: Tensor | None = None) -> Distribution:
        """Return the prior over ``(k,)``, of batch shape ``(batch,)`` if there is a condition ``(batch, d)``."""
        mean = self.mean
        if self.traits.needs:
            mean = mean + require_condition(condition) @ self.of_condition
        return FullNormal(mean, scale_tril=self._scale_tril(), validate_args=False)

    @torch.no_grad()
    def fit_draws(self, z: Tensor, seed: int = 0, *, condition: Tensor | None = None) -> None:
        r"""Maximise :math:`\sum_i \log p(z_i)` in closed form; the seed is not used.

        The result is the mean and the covariance of the draws ``(n, k)``; with conditions ``(n, d)``, the
        least-squares line and the covariance of its residuals.

        Raises
        ------
        DataError
            If the covariance of the draws is singular.
        """
        z = z.double()
        centred, slope = z - z.mean(0), None
        if self.traits.needs:
            c = require_condition(condition).double()
            c_centred = c - c.mean(0)
            # One-hot conditions have a constant sum: this takes the shortest of the solutions.
            slope = torch.linalg.pinv(c_centred.T @ c_centred, hermitian=True) @ (c_centred.T @ centred)
            centred = centred - c_centred @ slope
        factor, failed = torch.linalg.cholesky_ex(centred.T @ centred / len(z))
        log_diagonal = factor.diagonal().log()
        if bool(failed) or not bool((log_diagonal.abs() < 12).all()):
            raise DataError(
                f"gaussian: the covariance of {len(z)} draws of {z.shape[1]} dimensions is singular: they lie in "
                "a plane; fit a model with fewer latent dimensions, or use more rows"
            )
        mean = z.mean(0)
        if slope is not None:
            mean = mean - require_condition(condition).double().mean(0) @ slope
            self.of_condition.copy_(slope)
        self.mean.copy_(mean)
        self.log_diagonal.copy_(log_diagonal * (1 - (log_diagonal / 12).square()).rsqrt())
        self.below.copy_(factor.tril(-1))

    def _scale_tril(self) -> Tensor:
        return torch.diag(soft_bound(self.log_diagonal).exp()) + self.below.tril(-1)
