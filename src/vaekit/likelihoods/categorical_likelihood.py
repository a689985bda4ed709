r"""A categorical distribution over the levels 0 to L - 1 of every dimension.

.. math:: \log p(x \mid z) = \sum_i \Bigl[ l_{i x_i} - \log \sum_{k=0}^{L-1} e^{l_{i k}} \Bigr]

It fits any histogram, with L outputs per dimension. Van den Oord, Kalchbrenner and Kavukcuoglu (2016), "Pixel
Recurrent Neural Networks", section 3.4 (without the recurrence).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent

from vaekit.contracts import Likelihood, LikelihoodTraits
from vaekit.distributions.base import SampleShape
from vaekit.likelihoods.conventions import require_no_jacobian, stacked_shape, unstack
from vaekit.likelihoods.support import levels_support
from vaekit.networks.network_inputs import CenteredLevels

__all__ = ["CategoricalLikelihood", "Levels", "NominalLikelihood"]

_SCALAR = torch.Size()


class CategoricalLikelihood(nn.Module, Likelihood):
    r"""``categorical``: whole numbers from 0 to ``levels - 1``, such as 8-bit images.

    :math:`\log p(x)` is the logarithm of a probability, so that bits per dimension compare with the
    literature. The mean, which reconstructions show, is the mean of the levels as numbers.

    Parameters
    ----------
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Must be 0: a probability has no units.
    levels
        The number of levels, at least 2.

    Raises
    ------
    UsageError
        If there are fewer than 2 levels, or more than 65,536.

    Examples
    --------
    >>> likelihood = CategoricalLikelihood((2,), levels=4)
    >>> likelihood(torch.zeros(5, 8)).log_prob(torch.tensor([0.0, 3.0])).exp()[0]
    tensor(0.0625)
    """

    traits = LikelihoodTraits(measure="levels", scaling="levels", takes_missing=True)

    def __init__(self, event_shape: Sequence[int], log_jacobian: float = 0.0, *, levels: int = 256) -> None:
        super().__init__()
        require_no_jacobian("categorical", log_jacobian)
        self.support = levels_support("categorical", levels)
        self.levels, self.count = levels, levels
        self.event_shape = tuple(event_shape)
        self.feature_shape = stacked_shape(self.event_shape, levels)
        self.encoder_input = CenteredLevels(levels)

    def marginal_features(self, x: Tensor) -> Tensor:
        """Return the features of the frequencies of levels in data ``(n, *event)``, for every latent alike."""
        counts = torch.stack([(x == level).sum(0) for level in range(self.count)])
        return ((counts + 0.5) / (len(x) + 0.5 * self.count)).log().to(x.dtype).flatten(0, 1)

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *feature_shape)``, the logits level by level, into a distribution over the event."""
        logits = unstack(features, self.event_shape).movedim(0, -1)
        return Independent(Levels(logits), len(self.event_shape), validate_args=False)


class Levels(Categorical):
    """A categorical distribution whose values are floating-point numbers with a mean."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits.log_softmax(-1), validate_args=False)  # exact for logits of any size
        self.values = torch.arange(logits.shape[-1], dtype=logits.dtype, device=logits.device)

    @property
    def mean(self) -> Tensor:
        return self.probs @ self.values

    @property
    def variance(self) -> Tensor:
        deviation = self.values - self.mean.unsqueeze(-1)
        return (self.probs * deviation.square()).sum(-1)

    def sample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        return super().sample(torch.Size(sample_shape)).to(self.values.dtype)


class NominalLikelihood(CategoricalLikelihood):
    """Categories 0 to ``levels - 1`` without an order, for a column of a table; the mean is the most probable one.

    For the parameters see :class:`CategoricalLikelihood`.

    Examples
    --------
    >>> import torch
    >>> NominalLikelihood((1,), levels=3)(torch.tensor([0.0, 0.5, 0.4])).mean
    tensor([1.])
    """

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., levels * columns)``, the logits level by level, into a distribution."""
        logits = unstack(features, self.event_shape).movedim(0, -1)
        return Independent(_Categories(logits), len(self.event_shape), validate_args=False)


class _Categories(Levels):
    @property
    def mean(self) -> Tensor:
        return self.logits.argmax(-1).to(self.values.dtype)

    @property
    def variance(self) -> Tensor:
        largest = self.probs.amax(-1)
        return largest * (1 - largest)
