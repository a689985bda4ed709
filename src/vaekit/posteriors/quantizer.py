r"""A codebook that learns, from gradients or as a running mean of the vectors that are quantised to it.

With :math:`n_k` the share of a batch's vectors that are nearest to code :math:`k` and :math:`s_k` their sum
over the number of all vectors,

.. math:: N_k \leftarrow \gamma N_k + (1 - \gamma) n_k, \qquad m_k \leftarrow \gamma m_k + (1 - \gamma) s_k, \qquad
          e_k = m_k / N_k

(van den Oord, Vinyals and Kavukcuoglu, 2017, "Neural Discrete Representation Learning", appendix A.1, who
count vectors; with shares, a batch twice as large moves the codebook no further).

A code that has been nearest to no vector for many batches is dead: it would never move again. It is moved to
a vector of the current batch, chosen at random (Dhariwal et al., 2020, "Jukebox", section 3.1). All codes are
dead at the start, so that the first training batch gives the codebook its first vectors.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaekit.distributions.codebook import nearest
from vaekit.errors import UsageError
from vaekit.runtime.rows import whole_batch

__all__ = ["Learning", "Quantizer", "check_quantizer"]

Learning = Literal["ema", "gradient"]

_NEVER_USED = 2**40  # batches: dead whatever the patience


class Quantizer(nn.Module):
    """One codebook.

    Parameters
    ----------
    codes
        The number of vectors.
    dimension
        The length of each vector.
    learning
        ``ema`` or ``gradient``.
    decay
        :math:`\\gamma`, where it learns by a running mean.
    revive
        The number of batches without use after which a code is dead. None: a code is dead only before its
        first use.

    Examples
    --------
    >>> quantizer = Quantizer(2, 1, learning="ema", decay=0.99, revive=100)
    >>> quantizer.update(torch.tensor([[1.0], [5.0]]))
    >>> quantizer.vectors.sort(dim=0).values.T
    tensor([[1., 5.]])
    """

    vectors: Tensor
    usage: Tensor
    sums: Tensor
    idle: Tensor

    def __init__(
        self, codes: int, dimension: int, *, learning: Learning, decay: float, revive: int | None
    ) -> None:
        super().__init__()
        self.learning, self.decay = learning, decay
        self.patience = _NEVER_USED if revive is None else revive
        vectors = torch.randn(codes, dimension)
        if learning == "gradient":
            self.vectors = nn.Parameter(vectors)
        else:
            self.register_buffer("vectors", vectors)
            self.register_buffer("usage", torch.zeros(codes))
            self.register_buffer("sums", torch.zeros(codes, dimension))
        self.register_buffer("idle", torch.full((codes,), _NEVER_USED))

    def forward(self, z: Tensor) -> Tensor:
        """Find the nearest codes, integers ``(...)``, of vectors ``(..., dimension)``."""
        with torch.no_grad():
            return nearest(z, self.vectors)

    @torch.no_grad()
    def update(self, z: Tensor) -> None:
        """Learn from vectors ``(n, dimension)`` of one batch: revive the dead, count, and move the means.

        Where several processes share a batch, each learns from the whole batch.
        """
        z = whole_batch(z)
        self._revive(z)
        member = F.one_hot(self(z), len(self.vectors)).to(z.dtype)  # (n, codes)
        share = member.mean(0)
        self.idle.copy_(torch.where(share > 0, 0, self.idle + 1))
        if self.learning == "gradient":
            return
        self.usage.lerp_(share, 1.0 - self.decay)
        self.sums.lerp_(member.T @ z / len(z), 1.0 - self.decay)
        # An unused code fades in both sums alike and stays in place, until there is nothing left to divide by.
        fresh = self.usage > torch.finfo(z.dtype).tiny ** 0.5
        mean = self.sums / torch.where(fresh, self.usage, 1.0)[:, None]
        self.vectors.copy_(torch.where(fresh[:, None], mean, self.vectors))

    def _revive(self, z: Tensor) -> None:
        """Move dead codes to vectors of the batch, each to another; with too few vectors, some codes stay dead."""
        dead = self.idle >= self.patience
        place = dead.cumsum(0) - 1
        revived = (dead & (place < len(z)))[:, None]
        chosen = torch.randperm(len(z), device=z.device)[place.clamp(0, len(z) - 1)]
        self.vectors.copy_(torch.where(revived, z[chosen], self.vectors))
        if self.learning == "ema":
            self.usage.masked_fill_(revived[:, 0], 0.0)
            self.sums.masked_fill_(revived, 0.0)


def check_quantizer(
    kind: str,
    *,
    latent: int,
    codes: int,
    dimension: int,
    learning: str,
    commitment: float,
    decay: float,
    revive: int | None,
) -> None:
    """Refuse options of a quantised posterior that are out of range.

    Raises
    ------
    UsageError
        With the option, and what to give instead.

    Examples
    --------
    >>> check_quantizer("quantized", latent=10, codes=8, dimension=3, learning="ema", commitment=0.25,
    ...                 decay=0.99, revive=100)
    Traceback (most recent call last):
    vaekit.errors.UsageError: quantized: latent=10 is no multiple of dimension=3; a latent is cut into vectors of...
    """
    if latent < 1:
        raise UsageError(f"latent={latent}: a latent space needs at least 1 dimension")
    if codes < 2:
        raise UsageError(f"{kind}: codes={codes}; give at least 2, or there is nothing to choose from")
    if dimension < 1:
        raise UsageError(f"{kind}: dimension={dimension}; give a whole number of at least 1")
    if latent % dimension:
        fitting = [d for d in range(1, latent + 1) if latent % d == 0]
        raise UsageError(
            f"{kind}: latent={latent} is no multiple of dimension={dimension}; a latent is cut into vectors of that "
            f"many numbers: give a dimension of {', '.join(map(str, fitting))}, or another latent"
        )
    if learning not in ("ema", "gradient"):
        raise UsageError(f"{kind}: codebook={learning!r}; there are ema and gradient")
    if not 0 <= commitment < float("inf"):
        raise UsageError(f"{kind}: commitment={commitment:g}; give a number of at least 0, such as 0.25")
    if not 0 <= decay < 1:
        raise UsageError(f"{kind}: decay={decay:g}; give a number from 0 to below 1, such as 0.99")
    if revive is not None and revive < 1:
        raise UsageError(f"{kind}: revive={revive}; give at least 1 batch, or none to leave dead codes dead")
