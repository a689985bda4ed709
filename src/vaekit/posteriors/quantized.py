r"""Quantised posteriors: the output of the encoder is replaced by the nearest vectors of a codebook.

.. math:: q(k \mid x) = [k = \arg\min_j \lVert z_e(x) - e_j \rVert_2], \qquad z_q = e_k

Van den Oord, Vinyals and Kavukcuoglu (2017), "Neural Discrete Representation Learning", equations 1 and 2.
Latents of ``latent`` numbers are cut into positions of ``dimension`` numbers, which share one codebook. The
gradient with respect to :math:`z_q` is passed to :math:`z_e` ("straight-through"), and each example adds to
the objective (equation 3, where :math:`\operatorname{sg}` stops the gradient)

.. math:: \underbrace{\lVert \operatorname{sg}[z_e] - e \rVert^2}_{\text{only for codebook=gradient}}
          + \beta \lVert z_e - \operatorname{sg}[e] \rVert^2

**The bound.** The latent of the model is the tuple of codes :math:`k`, with a probability mass :math:`p(k)`,
and :math:`q` puts all its mass on one tuple: :math:`\log q(k \mid x) = 0` and

.. math:: \log p(x) = \log \sum_k p(k)\, p(x \mid z_k) \ge \log p(x \mid z_q) + \log p(k(x)),

a valid lower bound, with :math:`\mathrm{KL} = P \log K` for the uniform prior. More importance samples do not
tighten it, because they are all the same.

**Residual.** Each level quantises what the levels before it leave over, :math:`r_1 = z_e`,
:math:`r_{l+1} = r_l - e^{(l)}`, and the decoder sees :math:`\sum_l e^{(l)}` (Lee et al., 2022,
"Autoregressive Image Generation using Residual Quantization", equations 2 to 4); its commitment loss is the
sum over levels of :math:`\lVert z_e - \operatorname{sg} \sum_{j \le l} e^{(j)} \rVert^2` (equation 7).
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import Posterior, PosteriorTraits
from vaekit.distributions import Codebook, PointCodes
from vaekit.errors import UsageError
from vaekit.posteriors.quantizer import Learning, Quantizer, check_quantizer

__all__ = ["QuantizedPosterior", "ResidualQuantizedPosterior", "SumOfLevels"]


class SumOfLevels(nn.Module):
    """The sum of the levels of a residual latent, which its decoder sees.

    Examples
    --------
    >>> SumOfLevels(2)(torch.tensor([[1.0, 2.0, 0.1, 0.2]]))
    tensor([[1.1000, 2.2000]])
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, z: Tensor) -> Tensor:
        """Map ``(..., levels * latent)`` to ``(..., latent)``."""
        return z.unflatten(-1, (self.levels, -1)).sum(-2)


class _Quantizing(nn.Module, Posterior):
    """A quantised posterior of any number of levels. Abstract."""

    traits = PosteriorTraits(space="codes", is_deterministic=True)

    def __init__(
        self, quantizers: list[Quantizer], latent: int, dimension: int, levels: int, commitment: float
    ) -> None:
        super().__init__()
        self.quantizers = nn.ModuleList(quantizers)
        self.levels, self.dimension, self.commitment = levels, dimension, commitment
        self.places = latent // dimension
        self.feature_shape = (latent,)
        self.latent_shape = (levels * latent,)

    @property
    def codebook(self) -> Codebook:
        """The code space: it says how codes are written as latents, for a prior over codes."""
        return Codebook(torch.stack([q.vectors for q in self._quantizers]), self.places, self.levels)

    @property
    def shared(self) -> dict[str, int]:
        """The numbers of positions and codes, for a prior over the same codes."""
        return {"positions": self.levels * self.places, "codes": len(self._quantizers[0].vectors)}

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., latent)`` into a point mass; in training, the codebook learns from them."""
        z = features.unflatten(-1, (self.places, self.dimension))
        if self.training and torch.is_grad_enabled():
            self._learn(z.detach().reshape(-1, self.dimension))
        codes, vectors = [], []
        left = z.detach()
        for level in range(self.levels):
            quantizer = self._quantizer(level)
            codes.append(quantizer(left))
            vectors.append(quantizer.vectors[codes[-1]])
            left = left - vectors[-1].detach()
        parts = [vector.detach() for vector in vectors]
        loss = self._loss(z, vectors)
        parts[0] = parts[0] + (z - z.detach())  # the value of the vector, and the gradient of the encoder
        return PointCodes(
            torch.stack(codes, -2).flatten(-2), torch.stack(parts, -3).flatten(-3), self.codebook, loss
        )

    def _loss(self, z: Tensor, vectors: list[Tensor]) -> Tensor:
        """Return the commitment loss of each example, and the codebook's own where it learns by gradients."""
        total = z.new_zeros(z.shape[:-2])
        so_far = torch.zeros_like(z)
        for vector in vectors:
            if self._quantizers[0].learning == "gradient":
                total = total + (z.detach() - so_far - vector).square().sum((-2, -1))
            so_far = so_far + vector.detach()
            total = total + self.commitment * (z - so_far).square().sum((-2, -1))
        return total

    def _learn(self, flat: Tensor) -> None:
        """Update each codebook from the vectors that it quantises; a shared one from those of all levels at once."""
        seen = []
        for level in range(self.levels):
            quantizer = self._quantizer(level)
            seen.append(flat)
            if len(self._quantizers) > 1 or self.levels == 1:
                quantizer.update(flat)
            flat = flat - quantizer.vectors.detach()[quantizer(flat)]
        if len(self._quantizers) < self.levels:
            self._quantizers[0].update(torch.cat(seen))

    @property
    def _quantizers(self) -> list[Quantizer]:
        return [cast(Quantizer, quantizer) for quantizer in self.quantizers]

    def _quantizer(self, level: int) -> Quantizer:
        return self._quantizers[min(level, len(self._quantizers) - 1)]


class QuantizedPosterior(_Quantizing):
    """``quantized``: the nearest codes of a learned codebook (VQ-VAE).

    Parameters
    ----------
    latent
        Numbers per example that the decoder sees: ``latent / dimension`` positions.
    codes
        The number of vectors in the codebook.
    dimension
        Numbers per position, a divisor of ``latent``.
    codebook
        The way it learns: ``ema``, a running mean of the vectors nearest to each code, or ``gradient``.
    commitment
        The weight of the loss that keeps the encoder's output near its codes.
    decay
        The decay of the running mean.
    revive
        A code that is unused for this many batches is moved to an output of the encoder; ``none``: never.

    Raises
    ------
    UsageError
        For an option out of range.

    Examples
    --------
    >>> posterior = QuantizedPosterior(6, codes=8, dimension=2).eval()
    >>> q = posterior(torch.zeros(5, 6))
    >>> q.mean.shape, q.codes.shape
    (torch.Size([5, 6]), torch.Size([5, 3]))
    """

    def __init__(
        self,
        latent: int,
        *,
        codes: int = 512,
        dimension: int = 1,
        codebook: Learning = "ema",
        commitment: float = 0.25,
        decay: float = 0.99,
        revive: int | None = 100,
    ) -> None:
        check_quantizer(
            "quantized",
            latent=latent,
            codes=codes,
            dimension=dimension,
            learning=codebook,
            commitment=commitment,
            decay=decay,
            revive=revive,
        )
        quantizer = Quantizer(codes, dimension, learning=codebook, decay=decay, revive=revive)
        super().__init__([quantizer], latent, dimension, 1, commitment)


class ResidualQuantizedPosterior(_Quantizing):
    """``residual-quantized``: codes, then codes of the residuals, and so on (RQ-VAE).

    A latent has ``levels * latent`` numbers, the vectors of the first level first, and the decoder sees the
    sum of the levels. The decoder of a model that is built by hand begins with :attr:`decoder_input`.

    Parameters
    ----------
    latent
        Numbers per example that the decoder sees: ``latent / dimension`` positions at each level.
    levels
        The number of times that the residual is quantised.
    codes, dimension, codebook, commitment, decay, revive
        As for :class:`QuantizedPosterior`.
    share
        Whether all levels use the same codebook.

    Raises
    ------
    UsageError
        For an option out of range.

    Examples
    --------
    >>> posterior = ResidualQuantizedPosterior(6, levels=2, codes=8, dimension=2).eval()
    >>> q = posterior(torch.zeros(5, 6))
    >>> q.mean.shape, q.codes.shape, posterior.decoder_input(q.mean).shape
    (torch.Size([5, 12]), torch.Size([5, 6]), torch.Size([5, 6]))
    """

    def __init__(
        self,
        latent: int,
        *,
        levels: int = 2,
        codes: int = 256,
        dimension: int = 1,
        share: bool = False,
        codebook: Learning = "ema",
        commitment: float = 0.25,
        decay: float = 0.99,
        revive: int | None = 100,
    ) -> None:
        check_quantizer(
            "residual-quantized",
            latent=latent,
            codes=codes,
            dimension=dimension,
            learning=codebook,
            commitment=commitment,
            decay=decay,
            revive=revive,
        )
        if levels < 1:
            raise UsageError(f"residual-quantized: levels={levels}; give a whole number of at least 1")
        quantizers = [
            Quantizer(codes, dimension, learning=codebook, decay=decay, revive=revive)
            for _ in range(1 if share else levels)
        ]
        super().__init__(quantizers, latent, dimension, levels, commitment)

    @property
    def decoder_shape(self) -> tuple[int, ...]:
        """The shape of the sum of the levels."""
        return self.feature_shape

    @property
    def decoder_input(self) -> nn.Module:
        """The module that a decoder begins with: it adds the levels, to ``latent`` numbers."""
        return SumOfLevels(self.levels)
