r"""Code spaces: a latent is a tuple of codes, written as numbers that a decoder can read.

A latent of :math:`P` positions with :math:`K` codes each is one of :math:`K^P` points. A distribution over
them is a probability *mass*, not a density, and does not depend on the numbers that the codes are written in.
There are two ways to write them:

* :class:`Codebook`: each code is a vector in a table (van den Oord et al., 2017). With several levels, a position has
  one code per level, and the decoder sees the sum of their vectors (Lee et al., 2022).
* :class:`OneHotCodes`: code :math:`k` is the unit vector :math:`e_k`.

Where two codes have exactly the same vector, a latent is read as the first of them.

:class:`PointCodes` is the posterior of a deterministic encoder: all mass on one tuple of codes,
:math:`q(k \mid x) = 1` for :math:`k = k(x)` and 0 for all others (van den Oord et al., 2017, equation 1).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from vaekit.contracts import CodeSpace
from vaekit.distributions.base import DistributionOverCodes, SampleShape

__all__ = ["Codebook", "OneHotCodes", "PointCodes", "nearest"]


@dataclass(frozen=True)
class Codebook:
    """Codes written as vectors.

    Parameters
    ----------
    vectors
        ``(codebooks, codes, dimension)``: one codebook a level, or one for all.
    places
        The number of positions in each level; a latent is ``(levels * places * dimension,)``, level by level.
    levels
        The number of levels.

    Examples
    --------
    >>> book = Codebook(torch.tensor([[[0.0, 0.0], [1.0, 2.0]]]), places=2)
    >>> z = book.embed(torch.tensor([[1, 0]]))
    >>> z
    tensor([[1., 2., 0., 0.]])
    >>> book.find(z)
    (tensor([[1, 0]]), tensor([True]))
    """

    vectors: Tensor
    places: int
    levels: int = 1
    is_differentiable: ClassVar[bool] = False

    @property
    def positions(self) -> int:
        """The number of positions, over all levels."""
        return self.levels * self.places

    @property
    def codes(self) -> int:
        """The number of codes in each codebook."""
        return self.vectors.shape[1]

    @property
    def event_shape(self) -> torch.Size:
        """The shape of a latent, ``(levels * places * dimension,)``."""
        return torch.Size((self.positions * self.vectors.shape[2],))

    def embed(self, codes: Tensor) -> Tensor:
        """Look up the vectors of codes."""
        levels = codes.unflatten(-1, (self.levels, self.places)).unbind(-2)
        vectors = [self.vectors[min(i, len(self.vectors) - 1)][c] for i, c in enumerate(levels)]
        return torch.stack(vectors, -3).flatten(-3)

    @torch.no_grad()
    def find(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Find the nearest codes, and whether their vectors equal the latent exactly."""
        each = z.unflatten(-1, (self.levels, self.places, self.vectors.shape[2]))
        codes = []
        for i, level in enumerate(each.unbind(-3)):
            vectors = self.vectors[min(i, len(self.vectors) - 1)]
            codes.append(nearest(level, vectors, norm=torch.inf))
        found = torch.stack(codes, -2).flatten(-2)
        return found, (self.embed(found) == z).all(-1)

    @torch.no_grad()
    def one_hot(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Find the nearest codes as unit vectors, without a gradient."""
        codes, exact = self.find(z)
        return F.one_hot(codes, self.codes).to(z.dtype), exact

    def pool(self, frequencies: Tensor) -> Tensor:
        """Average frequencies over the places of a level, or over all places where the levels share a codebook."""
        return frequencies.reshape(len(self.vectors), -1, self.codes).mean(1)


@dataclass(frozen=True)
class OneHotCodes:
    """Codes written as unit vectors.

    Parameters
    ----------
    positions, codes
        A latent is ``(positions * codes,)``.

    Examples
    --------
    >>> space = OneHotCodes(2, 3)
    >>> z = space.embed(torch.tensor([2, 0]))
    >>> z
    tensor([0., 0., 1., 1., 0., 0.])
    >>> space.find(z)[0], space.find(z / 2)[1]
    (tensor([2, 0]), tensor(False))
    """

    positions: int
    codes: int
    dtype: torch.dtype = torch.float32
    is_differentiable: ClassVar[bool] = True

    @property
    def event_shape(self) -> torch.Size:
        """The shape of a latent, ``(positions * codes,)``."""
        return torch.Size((self.positions * self.codes,))

    def embed(self, codes: Tensor) -> Tensor:
        """Write codes as unit vectors."""
        return F.one_hot(codes, self.codes).to(self.dtype).flatten(-2)

    @torch.no_grad()
    def find(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Find the largest entry at each position, and whether the latent consists of exactly those unit vectors."""
        each = z.unflatten(-1, (self.positions, self.codes))
        codes = each.argmax(-1)
        exact = each == F.one_hot(codes, self.codes).to(z.dtype)
        return codes, exact.flatten(-2).all(-1)

    def one_hot(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latent itself by position, with its gradient, and whether it consists of unit vectors."""
        return z.unflatten(-1, (self.positions, self.codes)), self.find(z)[1]

    def pool(self, frequencies: Tensor) -> Tensor:
        """Return the frequencies unchanged: each position is a separate variable."""
        return frequencies


def nearest(z: Tensor, vectors: Tensor, *, norm: float = 2.0) -> Tensor:
    """Find the nearest of the vectors ``(codes, dimension)`` to ``z``, ``(..., dimension)``; the first of equals.

    The distance is computed from the difference, never from an expanded square. With the norm ``inf`` there
    are no squares that could underflow, so the distance is zero for a vector of the codebook and for nothing
    else.

    Examples
    --------
    >>> nearest(torch.tensor([[0.9], [-3.0]]), torch.tensor([[0.0], [1.0]]))
    tensor([1, 0])
    """
    flat = z.reshape(-1, z.shape[-1])
    distance = torch.cdist(flat, vectors, p=norm, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.argmin(-1).reshape(z.shape[:-1])


_ONE = torch.Size()


class PointCodes(DistributionOverCodes):
    r"""A point mass on codes.

    Parameters
    ----------
    codes
        ``(*batch, positions)`` of integers.
    z
        ``(*batch, *event)``: the same codes written as latents, with the gradient that draws have.
    codebook
        The code space.
    auxiliary_loss
        ``(*batch,)``: a loss that is added to the objective's, or None.

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
        """The variance: zero."""
        return torch.zeros_like(self.z)

    @property
    def probs(self) -> Tensor:
        """``(*batch, positions, codes)``: 1 at the codes."""
        return F.one_hot(self.codes, self.codebook.codes).to(self.z.dtype)

    def rsample(self, sample_shape: SampleShape = _ONE) -> Tensor:
        """Return the point, with its gradient."""
        return self.z.expand(torch.Size(sample_shape) + self.z.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return 0 at the point, and minus infinity elsewhere."""
        codes, exact = self.codebook.find(value)
        here = exact & (codes == self.codes).all(-1)
        return torch.zeros_like(here, dtype=value.dtype).masked_fill(~here, -torch.inf)

    def entropy(self) -> Tensor:
        """Return the entropy: zero."""
        return self.z.new_zeros(self.batch_shape)

    def detached(self) -> "PointCodes":
        """Return the same distribution without gradients."""
        return PointCodes(self.codes, self.z.detach(), self.codebook)
