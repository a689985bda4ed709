r"""Mixtures of Gaussians.

$$ f(x) = \sum_a \pi_a \, \mathcal N(x; m_a, S_a) $$
The components are one batch of Gaussians whose last batch dimension counts them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.conversion import as_gaussian
from vaekit.gaussian.errors import GaussianError
from vaekit.gaussian.parameters import ArrayLike, as_tensors, finish
from vaekit.gaussian.validation import check_nonnegative, check_shape, is_concrete

__all__ = ["GaussianMixture"]

#: How far from 1 the sum of the weights may be, by dtype; it is then divided out.
SUM_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-5}


class GaussianMixture:
    """A batch of mixtures of n Gaussians over vectors of size k.

    Parameters
    ----------
    weights : array (..., n)
        At least 0 and of sum 1.
    components : Gaussian with batch shape (..., n), or what `Gaussian` is made from
        A torch distribution, or a tuple (means, covariances).

    Raises
    ------
    GaussianError
        For weights that are negative, not finite or not of sum 1, or not as many as components.

    Examples
    --------
    >>> from vaekit.gaussian import Gaussian
    >>> f = GaussianMixture([0.25, 0.75], Gaussian([[-1.0], [1.0]], scale=[1.0, 2.0]))
    >>> f
    GaussianMixture(components=2, dimension=1, batch_shape=(), dtype=float64)
    >>> f.mean, f.covariance
    (array([0.5]), array([[4.]]))
    >>> f.log_prob([0.0]).round(6)
    np.float64(-1.64757)
    """

    def __init__(self, weights: ArrayLike, components: Any) -> None:
        self.components = as_gaussian(components, "components")
        g = self.components
        tensors, numpy_in = as_tensors({"weights": weights}, like=(g.dtype, g.device))
        w = tensors["weights"]
        check_shape(
            len(g.batch_shape) >= 1,
            "components are one Gaussian; expected a batch of them, whose last batch dimension counts them; "
            "try means of shape (n, k)",
        )
        check_shape(
            w.dim() >= 1 and w.shape[-1] == g.batch_shape[-1],
            f"weights have shape {tuple(w.shape)} but the components batch shape {tuple(g.batch_shape)}; "
            f"expected (..., {g.batch_shape[-1]}), one weight for each component",
        )
        if w.dtype != g.dtype:
            raise GaussianError(f"weights are {w.dtype} but the components {g.dtype}; expected one dtype")
        if is_concrete(w):
            check_nonnegative(w, "weights", 1)
            total = w.double().sum(-1)
            if bool(((total - 1).abs() > SUM_TOLERANCE.get(w.dtype, 1e-2)).any()):
                worst = float(total.flatten()[(total - 1).abs().argmax()])
                raise GaussianError(f"weights sum to {worst:.8g}; expected 1; try weights / weights.sum(-1)")
        self.weights_tensor = w
        self.from_numpy = g.from_numpy and numpy_in
        self.batch_shape = torch.broadcast_shapes(w.shape[:-1], g.batch_shape[:-1])
        self.count, self.dimension = g.batch_shape[-1], g.dimension
        self.event_shape, self.dtype, self.device = g.event_shape, g.dtype, g.device

    def __repr__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        return (
            f"GaussianMixture(components={self.count}, dimension={self.dimension}, "
            f"batch_shape={tuple(self.batch_shape)}, dtype={dtype})"
        )

    @property
    def weights(self) -> Any:
        """The weights, (..., n), as given."""
        return finish(self.weights_tensor, self.from_numpy)

    @property
    def log_weights(self) -> Tensor:
        """Logarithms of the weights in float64, (..., n), of sum 1 exactly up to rounding."""
        w = self.weights_tensor.double()
        return w.log() - w.sum(-1, keepdim=True).log()

    @property
    def mean(self) -> Any:
        """`sum_a pi_a m_a`, (..., k)."""
        w = self.log_weights.exp().unsqueeze(-1)
        value = (w * self.components.promoted().mean).sum(-2)
        return self._out(value)

    @property
    def covariance(self) -> Any:
        """`sum_a pi_a (S_a + (m_a - m)(m_a - m)^T)`, (..., k, k)."""
        g, w = self.components.promoted(), self.log_weights.exp().unsqueeze(-1)
        centred = g.mean - (w * g.mean).sum(-2, keepdim=True)
        within = (w.unsqueeze(-1) * g.covariance).sum(-3)
        return self._out(within + (w * centred).mT @ centred)

    def log_prob(self, x: ArrayLike) -> Any:
        """Log-density at `x` (..., k), in nats, broadcast over the batch."""
        tensors, numpy_in = as_tensors({"x": x}, like=(self.dtype, self.device))
        check_shape(
            tensors["x"].shape[-1:] == self.event_shape,
            f"x has shape {tuple(tensors['x'].shape)}; expected (..., {self.dimension})",
        )
        value = self.log_density(tensors["x"].double())
        return finish(value.to(self.dtype), self.from_numpy and numpy_in)

    def log_density(self, x: Tensor) -> Tensor:
        """`log f(x)` in float64, with gradients."""
        each = self.components.promoted().log_prob(x.unsqueeze(-2))
        return torch.logsumexp(self.log_weights + each, -1)

    def sample(self, sample_shape: Sequence[int] = (), *, generator: torch.Generator | None = None) -> Any:
        """Samples (*sample_shape, ..., k) without gradients: a component by its weight, then a draw of it."""
        with torch.no_grad():
            return finish(self.draw(torch.Size(sample_shape), generator).to(self.dtype), self.from_numpy)

    def draw(self, sample_shape: torch.Size, generator: torch.Generator | None) -> Tensor:
        """Samples in float64, with gradients with respect to the components drawn."""
        shape = sample_shape + self.batch_shape
        w = self.log_weights.exp().expand(*self.batch_shape, self.count).reshape(-1, self.count)
        total = sample_shape.numel()
        chosen = torch.multinomial(w, max(total, 1), replacement=True, generator=generator)[:, :total]
        chosen = chosen.mT.reshape(shape)
        noise = torch.randn(
            (*shape, self.dimension), generator=generator, dtype=torch.float64, device=self.device
        )
        g = self.components.promoted()
        k, lead = self.dimension, (*self.batch_shape, self.count)
        means = g.mean.expand(*lead, k).expand(*shape, self.count, k)
        picked = chosen[..., None, None]
        mean = means.gather(-2, picked.expand(*shape, 1, k)).squeeze(-2)
        if g.structure in ("diagonal", "isotropic"):
            scales = g.standard_deviation.expand(*lead, k).expand(*shape, self.count, k)
            return mean + scales.gather(-2, picked.expand(*shape, 1, k)).squeeze(-2) * noise
        # One product per component keeps this from making a factor for every draw.
        moved = torch.zeros_like(noise)
        factors = g.scale_tril.expand(*lead, k, k)
        for i in range(self.count):
            own = (factors[..., i, :, :] @ noise.unsqueeze(-1)).squeeze(-1)
            moved = torch.where((chosen == i).unsqueeze(-1), own, moved)
        return mean + moved

    def _out(self, value: Tensor) -> Any:
        return finish(value.to(self.dtype), self.from_numpy)
