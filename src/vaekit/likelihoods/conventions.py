r"""The conventions of all likelihoods: what they measure, in which units, and how features hold several parameters.

**Measure.** A density (nats per unit of the data) and a probability (nats) must never be compared. The traits
of every likelihood say which one it gives in ``measure``, and the coordinates it takes its data in in
``scaling``:

=========== ======================================================= =============== ==========================
``measure`` :math:`\exp \log p(x \mid z)` is                        ``scaling``     likelihoods
=========== ======================================================= =============== ==========================
density     a density over real numbers                             standardize     gaussian, laplace, ...
density     a density over [0, 1]                                   unit            continuous-bernoulli
unit        a probability of zeros and ones (or a pseudo-likelihood unit            bernoulli
            of grey levels)
counts      a probability of whole numbers 0, 1, 2, ...             none            poisson, ...
levels      a probability of whole numbers 0, ..., levels - 1       levels          categorical, ...
mixed       a density of some columns, a probability of the others  mixed           mixed
none        nothing: a score for training, without a likelihood     any             pseudo-likelihoods
=========== ======================================================= =============== ==========================

Under ``levels`` whole numbers stay, and multiples of 1 / (levels - 1) in [0, 1], as 8-bit images divided by 255 are,
become whole numbers.

**Units.** If the model sees :math:`y = (x - a) / s`, a density :math:`p_Y` of what it sees is the density

.. math:: \log p_X(x) = \log p_Y(y) + \log \left| \frac{\partial y}{\partial x} \right|
          = \log p_Y(y) - \sum_i \log s_i

of the data. Draws and moments stay in the model's coordinates :math:`y`; only the measure changes.

**Features.** Several parameters per dimension of :math:`x` are stacked along the first dimension of the
features. For an event ``(columns,)`` and ``k`` parameters the features are ``(k * columns,)``; for an image
``(channels, height, width)`` they are ``(k * channels, height, width)``, the shape of a convolution's output.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions.base import WrappedDistribution

__all__ = ["InDataUnits", "require_no_jacobian", "stacked_shape", "unstack"]


def require_no_jacobian(kind: str, log_jacobian: float) -> None:
    """Refuse a log-Jacobian where a likelihood gives probabilities.

    Raises
    ------
    ValueError
        If ``log_jacobian`` is not 0.

    Examples
    --------
    >>> require_no_jacobian("poisson", 1.5)
    Traceback (most recent call last):
    ValueError: poisson: log_jacobian=1.5, but a probability has no units; give 0
    """
    if log_jacobian:
        raise ValueError(f"{kind}: log_jacobian={log_jacobian:g}, but a probability has no units; give 0")


def stacked_shape(event_shape: Sequence[int], parameters: int) -> tuple[int, ...]:
    """Return the shape of features with ``parameters`` numbers per dimension of the event.

    Examples
    --------
    >>> stacked_shape((3, 8, 8), 2)
    (6, 8, 8)
    """
    return (parameters * event_shape[0], *event_shape[1:])


def unstack(features: Tensor, event_shape: Sequence[int]) -> Tensor:
    """Bring ``(..., k * event[0], *event[1:])`` to ``(k, ..., *event)``.

    Examples
    --------
    >>> import torch
    >>> mean, log_scale = unstack(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), (2,))
    >>> mean, log_scale
    (tensor([[1., 2.]]), tensor([[3., 4.]]))
    """
    dimension = features.dim() - len(event_shape)
    return features.unflatten(dimension, (-1, event_shape[0])).movedim(dimension, 0)


class InDataUnits(WrappedDistribution):
    r"""A distribution over scaled data whose ``log_prob`` is per unit of the unscaled data.

    Parameters
    ----------
    base
        The distribution over the scaled data :math:`y`.
    log_jacobian
        :math:`-\sum_i \log s_i`, in nats: the sum over all dimensions of an event.

    Examples
    --------
    Data in grams that the model sees in kilograms: per gram, the density is a thousandth.

    >>> import torch
    >>> from torch.distributions import Independent, Normal
    >>> base = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    >>> base.log_prob(torch.zeros(1)), InDataUnits(base, -6.9078).log_prob(torch.zeros(1))
    (tensor(-0.9189), tensor(-7.8267))
    """

    def __init__(self, base: Distribution, log_jacobian: float) -> None:
        self.log_jacobian = log_jacobian
        super().__init__(base)

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-density at scaled data ``value``, in nats per unit of the unscaled data."""
        return self.base.log_prob(value) + self.log_jacobian
