r"""Likelihoods with a location :math:`\mu(z)` and a scale :math:`\sigma`: Gaussian, Laplace, and a base for others.

.. math::

    p(x \mid z) &= \prod_i \frac 1 {\sigma_i} f\!\left(\frac{x_i - \mu_i(z)}{\sigma_i}\right) \\
    \text{gaussian}: \log p(x \mid z) &= -\sum_i \left[\tfrac 12 \log 2 \pi + \log \sigma_i
          + \frac{(x_i - \mu_i)^2}{2 \sigma_i^2}\right] \\
    \text{laplace}: \log p(x \mid z) &= -\sum_i \left[\log 2 \sigma_i + \frac{|x_i - \mu_i|}{\sigma_i}\right]

Kingma and Welling (2013), appendix C.2; Kotz, Kozubowski and Podgorski (2001), "The Laplace Distribution and
Generalizations", equation 2.1.1: absolute instead of squared errors, for data with outliers.

With a learned :math:`\sigma` there is no loss weight to choose: the maximum of the bound sets the noise to
the size of the errors, which is what a weight on the KL otherwise stands for (Rybkin, Daniilidis and Levine,
2021, "Simple and Effective VAE Training with Calibrated Decoders", section 3). Log-scales are bounded
smoothly, between 6e-6 and 1.6e5 in units of the scaled data: with a scale that depends on :math:`z`
(``per-example``) the likelihood would otherwise have no maximum (Mattei and Frellsen, 2018, section 2.1).
"""

from abc import abstractmethod
from collections.abc import Sequence
from math import inf, log
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Laplace

from vaekit.contracts import Likelihood, LikelihoodTraits
from vaekit.distributions.normals import PlainNormal
from vaekit.errors import UsageError
from vaekit.likelihoods.conventions import InDataUnits, stacked_shape, unstack
from vaekit.likelihoods.support import Support
from vaekit.networks.bounded import inverse_soft_bound, soft_bound

__all__ = ["GaussianLikelihood", "LaplaceLikelihood", "LocationScaleLikelihood", "Scale"]

Scale = Literal["learned", "per-dimension", "per-example", "fixed"]


class LocationScaleLikelihood(nn.Module, Likelihood):
    """A likelihood with a location and a scale; subclasses define ``distribution``. Abstract.

    Parameters
    ----------
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Logarithm of the Jacobian of the data's scaling, in nats (see :class:`InDataUnits`).
    scale
        ``learned``: one scale for all dimensions; ``per-dimension``: one for each; ``per-example``: an output
        of the decoder, for each dimension of each example; ``fixed``: always ``value``.
    value
        The scale at the start, or for ``fixed`` throughout, in the coordinates of the model (scaled data).

    Raises
    ------
    UsageError
        If ``value`` is not from 1e-5 to 1e5.
    """

    traits = LikelihoodTraits(
        measure="density",
        scaling="standardize",
        column=True,
        column_options={"scale": "per-dimension"},
        takes_missing=True,
    )
    support = Support(
        "finite numbers", -inf, inf, "no likelihood accepts anything else: remove or impute such rows"
    )
    encoder_input = None
    kind: ClassVar[str]
    scale_in_words: ClassVar[str] = "scale"

    def __init__(
        self,
        event_shape: Sequence[int],
        log_jacobian: float = 0.0,
        *,
        scale: Scale = "learned",
        value: float = 1.0,
    ) -> None:
        super().__init__()
        if not 1e-5 <= value <= 1e5:
            raise UsageError(
                f"{self.kind}: value={value:g} is no {self.scale_in_words} to start from; give a number from "
                "1e-5 to 1e5, in units of the scaled data"
            )
        self.event_shape = tuple(event_shape)
        self.feature_shape = stacked_shape(self.event_shape, 2 if scale == "per-example" else 1)
        self.log_jacobian = log_jacobian
        self.scale, self.value = scale, value
        self.start = inverse_soft_bound(log(value))
        own = scale in ("learned", "per-dimension")
        shape = self.event_shape if scale == "per-dimension" else ()
        self.log_scale = nn.Parameter(torch.full(shape, self.start)) if own else None

    @abstractmethod
    def distribution(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return the distribution of independent numbers with these locations and scales, which broadcast."""

    def marginal_features(self, x: Tensor) -> Tensor:
        """Return the features of the means of data ``(n, *event)``, for every latent alike."""
        mean = x.mean(0)
        return torch.cat([mean, 0 * mean]) if self.scale == "per-example" else mean

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *feature_shape)``, the locations first, into a distribution over the event."""
        if self.scale == "per-example":
            location, raw = unstack(features, self.event_shape)
            scale = soft_bound(raw + self.start).exp()
        else:
            location = features
            scale = (
                features.new_tensor(self.value)
                if self.log_scale is None
                else soft_bound(self.log_scale).exp()
            )
        inner = self.distribution(location, scale.expand(self.event_shape) if scale.dim() == 0 else scale)
        independent = Independent(inner, len(self.event_shape), validate_args=False)
        return InDataUnits(independent, self.log_jacobian) if self.log_jacobian else independent


class GaussianLikelihood(LocationScaleLikelihood):
    """``gaussian``: real numbers with Gaussian noise.

    The features are the means, and with ``scale=per-example`` the raw log-scales below them. For the
    parameters see :class:`LocationScaleLikelihood`; ``value`` is a standard deviation.

    Examples
    --------
    >>> import torch
    >>> likelihood = GaussianLikelihood((2,), scale="fixed", value=1.0)
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 2))[0]
    tensor(-1.8379)
    """

    kind = "gaussian"
    scale_in_words = "standard deviation"

    def distribution(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return independent normal distributions."""
        return PlainNormal(location, scale, validate_args=False)


class LaplaceLikelihood(LocationScaleLikelihood):
    r"""``laplace``: real numbers with noise that has exponential tails.

    The features are the medians, and with ``scale=per-example`` the raw log-scales below them. For the
    parameters see :class:`LocationScaleLikelihood`; ``value`` is :math:`b`, the mean absolute deviation: the
    standard deviation is :math:`\sqrt 2\, b`.

    Examples
    --------
    >>> import torch
    >>> likelihood = LaplaceLikelihood((2,), scale="fixed", value=0.5)
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.ones(5, 2))[0]
    tensor(-4.)
    """

    kind = "laplace"
    scale_in_words = "mean absolute deviation"

    def distribution(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return independent Laplace distributions."""
        return _Laplace(location, scale, validate_args=False)


class _Laplace(Laplace):
    """A Laplace distribution whose deviation is computed in halves, so that it does not overflow."""

    def log_prob(self, value: Tensor) -> Tensor:
        half = 0.5 * value - 0.5 * self.loc
        return -half.abs() / (0.5 * self.scale) - (2 * self.scale).log()
