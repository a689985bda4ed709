r"""The uniform distribution on the unit sphere :math:`S^{k-1}`: :math:`p(z) = 1 / |S^{k-1}|`."""

import torch
from torch import Tensor
from torch.types import _size

from vaekit.distributions.plain import PlainDistribution
from vaekit.distributions.sphere_integrals import log_area
from vaekit.distributions.sphere_sampling import uniform_directions

__all__ = ["UniformSphere"]

_SCALAR = torch.Size()


class UniformSphere(PlainDistribution):
    """Uniform on the unit sphere, with respect to its area.

    Parameters
    ----------
    origin
        ``(k,)`` zeros: the centre of the sphere, whose dtype and device are those of draws.

    Examples
    --------
    >>> p = UniformSphere(torch.zeros(3))
    >>> p.log_prob(torch.tensor([[0.0, 0.0, 1.0]])), p.sample((5,)).shape  # -log(4 pi)
    (tensor([-2.5310]), torch.Size([5, 3]))
    """

    has_rsample = True

    def __init__(self, origin: Tensor) -> None:
        self.origin = origin
        super().__init__(torch.Size(), origin.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The centre, which is not on the sphere."""
        return self.origin

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, per unit of area of the sphere."""
        return value.new_full(value.shape[:-1], -self.entropy_in_nats)

    def rsample(self, sample_shape: _size = _SCALAR) -> Tensor:
        """Draw ``(*sample_shape, k)``."""
        return uniform_directions(self.origin, torch.Size(sample_shape), self.origin.shape[-1])

    def entropy(self) -> Tensor:
        """In nats, relative to the area of the sphere."""
        return self.origin.new_tensor(self.entropy_in_nats)

    @property
    def entropy_in_nats(self) -> float:
        """The logarithm of the sphere's area."""
        return log_area(self.origin.shape[-1])
