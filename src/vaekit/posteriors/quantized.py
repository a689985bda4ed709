r"""Quantised posteriors: the encoder's output, and in its place the nearest vectors of a codebook.

.. math:: q(k \mid x) = [k = \arg\min_j \lVert z_e(x) - e_j \rVert_2], \qquad z_q = e_k

Van den Oord, Vinyals and Kavukcuoglu (2017), "Neural Discrete Representation Learning", equations 1 and 2. Latents of
``latent`` numbers are cut into positions of ``dimension`` numbers; one codebook serves all of them. The gradient with
respect to :math:`z_q` is handed to :math:`z_e` ("straight-through"), and beside the objective one minimises, per
example (equation 3, :math:`\operatorname{sg}` stops the gradient),

.. math:: \underbrace{\lVert \operatorname{sg}[z_e] - e \rVert^2}_{\text{only for codebook=gradient}}
          + \beta \lVert z_e - \operatorname{sg}[e] \rVert^2

**What the bound is.** The latent of the model is the tuple of codes :math:`k`, with a probability mass
:math:`p(k)`, and :math:`q` puts all its mass on one tuple: :math:`\log q(k \mid x) = 0` and

.. math:: \log p(x) = \log \sum_k p(k)\, p(x \mid z_k) \ge \log p(x \mid z_q) + \log p(k(x)),

a valid lower bound, with :math:`\mathrm{KL} = P \log K` for the uniform prior. More importance samples do not
tighten it: they are all the same.

The residual form quantises what the levels before have left over, :math:`r_1 = z_e`,
:math:`r_{l+1} = r_l - e^{(l)}`, and the decoder sees :math:`\sum_l e^{(l)}` (Lee et al., 2022, "Autoregressive Image
Generation using Residual Quantization", equations 2 to 4); its commitment is the sum over levels of
:math:`\lVert z_e - \operatorname{sg} \sum_{j \le l} e^{(j)} \rVert^2` (equation 7).
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import Posterior, PosteriorTraits
from vaekit.distributions import Codebook, PointCodes
from vaekit.errors import UsageError
from vaekit.posteriors.quantizer import Learning, Quantizer, check_quantizer

__all__ = ["QuantizedPosterior", "ResidualQuantizedPosterior", "SumOfLevels"]


class SumOfLevels(nn.Module):
    """Adds the levels of a residual latent: what its decoder sees.

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
    """What both have in common; a plain quantised posterior is a residual one of one level. Abstract."""

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
        """How codes are written as latents: what a prior over codes needs."""
        return Codebook(torch.stack([q.vectors for q in self._quantizers]), self.places, self.levels)

    @property
    def shared(self) -> dict[str, int]:
        """What a prior must know to be built."""
        return {"positions": self.levels * self.places, "codes": len(self._quantizers[0].vectors)}

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., latent)`` into a point mass; while it trains, the codebook learns from them."""
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
        """Commitment and, where the codebook learns by gradients, the codebook's own loss, of each example."""
        total = z.new_zeros(z.shape[:-2])
        so_far = torch.zeros_like(z)
        for vector in vectors:
            if self._quantizers[0].learning == "gradient":
                total = total + (z.detach() - so_far - vector).square().sum((-2, -1))
            so_far = so_far + vector.detach()
            total = total + self.commitment * (z - so_far).square().sum((-2, -1))
        return total

    def _learn(self, flat: Tensor) -> None:
        """Let each codebook learn from what it quantises; one that all levels share, from all of it at once."""
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
        return list(self.quantizers)  # type: ignore[arg-type]

    def _quantizer(self, level: int) -> Quantizer:
        return self._quantizers[min(level, len(self._quantizers) - 1)]


class QuantizedPosterior(_Quantizing):
    """``quantized``: the nearest codes of a learned codebook (VQ-VAE).

    Parameters
    ----------
    latent
        Numbers an example, as the decoder sees them: ``latent / dimension`` positions.
    codes
        Vectors in the codebook.
    dimension
        Numbers a position, a divisor of ``latent``.
    codebook
        How it learns: ``ema``, a running mean of what is quantised to it, or ``gradient``.
    commitment
        Weight of the loss that holds the encoder's output near its codes.
    decay
        Of the running mean.
    revive
        A code that is not used for this many batches is moved to an output of the encoder; ``none``: never.

    Raises
    ------
    UsageError
        For options that make no sense.

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
    """``residual-quantized``: codes, codes of what they leave over, and so on (RQ-VAE).

    A latent has ``levels * latent`` numbers, the vectors of the first level first; the decoder sees their sum. Made
    without a sentence, the decoder is to begin with :attr:`decoder_input`.

    Parameters
    ----------
    latent
        Numbers an example, as the decoder sees them: ``latent / dimension`` positions of each level.
    levels
        How many times what is left is quantised.
    codes, dimension, codebook, commitment, decay, revive
        As for :class:`QuantizedPosterior`.
    share
        Whether all levels use the same codebook.

    Raises
    ------
    UsageError
        For options that make no sense.

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
        """What comes out of :attr:`decoder_input`."""
        return self.feature_shape

    @property
    def decoder_input(self) -> nn.Module:
        """What a decoder is to begin with: it takes latents to ``latent`` numbers."""
        return SumOfLevels(self.levels)
