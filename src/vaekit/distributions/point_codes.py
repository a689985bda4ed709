r"""All mass on one tuple of codes: the posterior of a deterministic encoder,
:math:`q(k \mid x) = 1` for :math:`k = k(x)` and 0 for all others (van den Oord et al., 2017, equation 1).
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.types import _size

from vaekit.contracts import CodeSpace
from vaekit.distributions.plain import DistributionOverCodes

__all__ = ["PointCodes"]

_ONE = torch.Size()


class PointCodes(DistributionOverCodes):
    r"""A point mass on codes.

    Parameters
    ----------
    codes
        ``(*batch, positions)`` of integers.
    z
        ``(*batch, *event)``: the latents they are written as, with the gradient that a draw is to have.
    codebook
        How codes are written.
    auxiliary_loss
        ``(*batch,)`` to be minimised beside the objective, or None.

    Examples
    --------
    >>> from vaekit.distributions import OneHotCodes
    >>> space = OneHotCodes(1, 3)
    >>> q = PointCodes(torch.tensor([[2]]), space.embed(torch.tensor([[2]])), space)
    >>> q.sample(), q.log_prob(q.sample()), q.log_prob(space.embed(torch.tensor([0])))
    (tensor([[0., 0., 1.]]), tensor([0.]), tensor([-inf]))
    """

    def __init__(
        self, codes: Tensor, z: Tensor, codebook: CodeSpace, auxiliary_loss: Tensor | None = None
    ) -> None:
        self.codes = codes
        self.z = z
        self.codebook = codebook
        self.auxiliary_loss = auxiliary_loss
        super().__init__(codes.shape[:-1], codebook.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The point."""
        return self.z

    @property
    def mode(self) -> Tensor:
        """The point."""
        return self.z

    @property
    def variance(self) -> Tensor:
        """Zero."""
        return torch.zeros_like(self.z)

    @property
    def probs(self) -> Tensor:
        """``(*batch, positions, codes)``: 1 at the codes."""
        return F.one_hot(self.codes, self.codebook.codes).to(self.z.dtype)

    def rsample(self, sample_shape: _size = _ONE) -> Tensor:
        """Give the point, with the gradient it was made with."""
        return self.z.expand(torch.Size(sample_shape) + self.z.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Give 0 at the point, and minus infinity elsewhere."""
        codes, exact = self.codebook.find(value)
        here = exact & (codes == self.codes).all(-1)
        return torch.zeros_like(here, dtype=value.dtype).masked_fill(~here, -torch.inf)

    def entropy(self) -> Tensor:
        """Zero."""
        return self.z.new_zeros(self.batch_shape)

    def detached(self) -> "PointCodes":
        """The same without gradients."""
        return PointCodes(self.codes, self.z.detach(), self.codebook)
