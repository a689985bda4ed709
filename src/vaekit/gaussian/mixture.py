r"""Mixtures of Gaussians, and the Kullback-Leibler divergence between them, which has no closed form.

$$ f(x) = \sum_a \pi_a \, \mathcal N(x; m_a, S_a) $$
The components are one batch of Gaussians whose last batch dimension counts them.

With components `f_a` of weights `pi_a` and `g_b` of weights `omega_b`, and the overlaps `t_ab = int f_a g_b =
N(m_a; m_b, S_a + S_b)`, the divergence is approximated, bounded or estimated:

* product: `sum_a pi_a log( sum_a' pi_a' t_aa' / sum_b omega_b t_ab )`;
* variational: `sum_a pi_a log( sum_a' pi_a' e^{-KL(f_a || f_a')} / sum_b omega_b e^{-KL(f_a || g_b)} )`;
* matched: `sum_a pi_a ( KL(f_a || g_m(a)) + log(pi_a / omega_m(a)) )`, `m(a)` the nearest component of g;
* lower and upper: bounds of `E_f log f` and `E_f log g` of both kinds combined, with the entropies `H(f_a)`;
* Monte Carlo: the mean of `log f - log g` over draws of f.

References
----------
Hershey, Olsen (2007), Approximating the Kullback Leibler divergence between Gaussian mixture models;
Goldberger, Gordon, Greenspan (2003), An efficient image similarity measure based on approximations of
KL-divergence between two Gaussian mixtures; Durrieu, Thiran, Kelly (2012), Lower and upper bounds for
approximation of the Kullback-Leibler divergence between Gaussian mixture models.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from vaekit.gaussian import moments
from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.exceptions import GaussianError, GaussianTypeError
from vaekit.gaussian.kl import as_gaussian, kl_divergence
from vaekit.gaussian.parameters import (
    ArrayLike,
    as_tensors,
    check_nonnegative,
    check_one_kind,
    check_shape,
    finish,
    is_concrete,
)
from vaekit.gaussian.symmetric import Estimate, sample_count

__all__ = ["GaussianMixture", "mixture_kl", "with_dimension"]


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
        """The logarithms of the weights in float64, (..., n), whose sum is 1 up to rounding."""
        w = self.weights_tensor.double()
        return w.log() - w.sum(-1, keepdim=True).log()

    @property
    def mean(self) -> Any:
        """The mean `sum_a pi_a m_a`, (..., k)."""
        w = self.log_weights.exp().unsqueeze(-1)
        value = (w * self.components.promoted().mean).sum(-2)
        return self._out(value)

    @property
    def covariance(self) -> Any:
        """The covariance `sum_a pi_a (S_a + (m_a - m)(m_a - m)^T)`, (..., k, k)."""
        g, w = self.components.promoted(), self.log_weights.exp().unsqueeze(-1)
        centred = g.mean - (w * g.mean).sum(-2, keepdim=True)
        within = (w.unsqueeze(-1) * g.covariance).sum(-3)
        return self._out(within + (w * centred).mT @ centred)

    def log_prob(self, x: ArrayLike) -> Any:
        """Return the log-density at `x` (..., k), in nats, broadcast over the batch."""
        tensors, numpy_in = as_tensors({"x": x}, like=(self.dtype, self.device))
        check_shape(
            tensors["x"].shape[-1:] == self.event_shape,
            f"x has shape {tuple(tensors['x'].shape)}; expected (..., {self.dimension})",
        )
        value = self.log_density(tensors["x"].double())
        return finish(value.to(self.dtype), self.from_numpy and numpy_in)

    def log_density(self, x: Tensor) -> Tensor:
        """Return `log f(x)` in float64, with gradients."""
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


Method = Literal["variational", "product", "matched", "lower", "upper", "monte-carlo"]
METHODS = ("variational", "product", "matched", "lower", "upper", "monte-carlo")


def mixture_kl(
    p: GaussianMixture | Any,
    q: GaussianMixture | Any,
    *,
    method: Method = "variational",
    samples: int = 10_000,
    generator: torch.Generator | None = None,
) -> Any:
    """Return `KL(p || q)` between Gaussian mixtures in nats, (...), approximated, bounded, or estimated.

    Parameters
    ----------
    p, q : GaussianMixture
        Batches broadcast; the numbers of components may differ. A `Gaussian` counts as a mixture of one.
    method : str
        "variational" and "matched" are approximations, exact between mixtures of one; "product" is one too,
        but not exact there; "lower" and "upper" are bounds; "monte-carlo" is unbiased.
    samples : int
        Draws from p, for "monte-carlo" only.
    generator : torch.Generator, optional
        For "monte-carlo" only; the global one if not given.

    Returns
    -------
    tensor or array (...), or Estimate for "monte-carlo"
        An approximation may be negative; "lower" is at least 0, as the divergence is. 0 for p = q by
        "variational", "product" and "monte-carlo"; "lower" and "upper" then enclose 0.

    Raises
    ------
    GaussianError
        For an unknown method or mixtures that do not fit.

    Examples
    --------
    >>> p = GaussianMixture([0.5, 0.5], Gaussian([[-2.0], [2.0]], scale=1.0))
    >>> q = GaussianMixture([1.0], Gaussian([[0.0]], scale=2.0))
    >>> round(float(mixture_kl(p, q)), 4), round(float(mixture_kl(p, q, method="lower")), 4)
    (0.1253, 0.0119)
    >>> estimate = mixture_kl(p, q, method="monte-carlo", generator=torch.Generator().manual_seed(0))
    >>> round(float(estimate.value), 2), round(float(estimate.standard_error), 3)
    (0.18, 0.005)
    """
    p, q = _mixture(p, "p"), _mixture(q, "q")
    check_one_kind({"p": p.weights_tensor, "q": q.weights_tensor})
    check_shape(
        p.dimension == q.dimension,
        f"p is over vectors of size {p.dimension} but q over size {q.dimension}; expected the same size",
    )
    if method not in METHODS:
        raise GaussianError(f"method is {method!r}; expected one of {', '.join(METHODS)}")
    to_numpy = p.from_numpy and q.from_numpy
    if method == "monte-carlo":
        shape = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
        count = torch.Size((sample_count(samples), *shape[: len(shape) - len(p.batch_shape)]))
        x = p.draw(count, generator)
        draws = p.log_density(x) - q.log_density(x)
        return Estimate.of([draws.expand(samples, *shape)], [1.0], dtype=p.dtype, to_numpy=to_numpy)
    return finish(_closed(p, q, method).to(p.dtype), to_numpy)


def _mixture(value: Any, name: str) -> GaussianMixture:
    if isinstance(value, GaussianMixture):
        return value
    if isinstance(value, Gaussian):
        one = torch.ones(1, dtype=value.dtype, device=value.device)
        return GaussianMixture(finish(one, value.from_numpy), with_dimension(value, -1))
    raise GaussianTypeError(
        f"{name} is {type(value).__name__}; expected a vaekit.gaussian.GaussianMixture or a Gaussian"
    )


def with_dimension(g: Gaussian, position: int) -> Gaussian:
    """Return the same Gaussians with a batch dimension of size 1 more, -1 after the last or -2 before it."""
    place = len(g.batch_shape) + 1 + position
    tensors = {name: g.expanded(name, tensor).unsqueeze(place) for name, tensor in g.parameters.items()}
    return Gaussian.from_tensors(
        tensors, from_numpy=g.from_numpy, resolution=g.resolution, validated=g.validated
    )


def _closed(p: GaussianMixture, q: GaussianMixture, method: str) -> Tensor:
    weights, to_p, to_q = p.log_weights.exp(), p.log_weights, q.log_weights
    f, g = p.components.promoted(), q.components.promoted()
    if method == "matched":
        cost = _divergences(f, g) - to_q.unsqueeze(-2)
        return _mean(weights, cost.amin(-1) + to_p)
    if method == "product":
        return _mean(weights, _mix(_log_overlaps(f, f), to_p) - _mix(_log_overlaps(f, g), to_q))
    if method == "variational":
        return _mean(weights, _mix(-_divergences(f, f), to_p) - _mix(-_divergences(f, g), to_q))
    entropy = _mean(weights, f.entropy())
    if method == "lower":
        value = _mean(weights, _mix(-_divergences(f, f), to_p) - _mix(_log_overlaps(f, g), to_q)) - entropy
        return value.clamp_min(0)
    return _mean(weights, _mix(_log_overlaps(f, f), to_p) - _mix(-_divergences(f, g), to_q)) + entropy


def _mean(weights: Tensor, values: Tensor) -> Tensor:
    """Return `sum_a pi_a v_a`, where a component of weight 0 counts nothing."""
    return torch.where(weights > 0, weights * values, torch.zeros_like(values)).sum(-1)


def _mix(logs: Tensor, log_weights: Tensor) -> Tensor:
    """Return `log sum_b omega_b e^{logs_ab}`."""
    return torch.logsumexp(logs + log_weights.unsqueeze(-2), -1)


def _divergences(f: Gaussian, g: Gaussian) -> Tensor:
    """Return `KL(f_a || g_b)`, (..., n, m)."""
    return kl_divergence(with_dimension(f, -1), with_dimension(g, -2))


def _log_overlaps(f: Gaussian, g: Gaussian) -> Tensor:
    """Return `log int f_a g_b`, (..., n, m)."""
    left, right = with_dimension(f, -1), with_dimension(g, -2)
    difference = left.mean - right.mean
    if all(x.structure in ("diagonal", "isotropic") for x in (f, g)):
        total = moments.variance(left) + moments.variance(right)
        terms = difference.square() / total + total.log() + math.log(2 * math.pi)
        return -0.5 * terms.sum(-1)
    summed = Gaussian.from_tensors({"mean": difference, "covariance": left.covariance + right.covariance})
    return summed.log_prob(torch.zeros(f.dimension, dtype=f.dtype, device=f.device))
