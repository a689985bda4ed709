r"""One of several categories that have no order: the levels of ``categorical``, without a mean of their numbers."""

from torch import Tensor
from torch.distributions import Distribution, Independent

from vaekit.likelihoods.categorical import CategoricalLikelihood, Levels
from vaekit.likelihoods.stacking import unstack

__all__ = ["NominalLikelihood"]


class NominalLikelihood(CategoricalLikelihood):
    """Categories 0 to ``levels - 1``, for a column of a table; the mean is the most probable.

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
