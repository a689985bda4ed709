r"""The Kullback-Leibler divergence between mixtures of Gaussians, which has no closed form.

With components `f_a` of weights `pi_a` and `g_b` of weights `omega_b`, and the overlaps
`t_ab = int f_a g_b = N(m_a; m_b, S_a + S_b)`:

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
from typing import Any, Literal

import torch
from torch import Tensor

from vaekit.gaussian import moments
from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.errors import GaussianError, GaussianTypeError
from vaekit.gaussian.estimate import Estimate, sample_count
from vaekit.gaussian.kl import kl_divergence
from vaekit.gaussian.mixture import GaussianMixture
from vaekit.gaussian.parameters import finish
from vaekit.gaussian.validation import check_one_kind, check_shape

__all__ = ["mixture_kl"]

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
    """`KL(p || q)` between Gaussian mixtures in nats, (...), approximated, bounded, or estimated.

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
    """The same Gaussians with a batch dimension of size 1 more, -1 after the last or -2 before it."""
    place = len(g.batch_shape) + 1 + position
    tensors = {name: g._expanded(name, tensor).unsqueeze(place) for name, tensor in g.parameters.items()}
    return Gaussian._from_tensors(
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
    """`sum_a pi_a v_a`, where a component of weight 0 counts nothing."""
    return torch.where(weights > 0, weights * values, torch.zeros_like(values)).sum(-1)


def _mix(logs: Tensor, log_weights: Tensor) -> Tensor:
    """`log sum_b omega_b e^{logs_ab}`."""
    return torch.logsumexp(logs + log_weights.unsqueeze(-2), -1)


def _divergences(f: Gaussian, g: Gaussian) -> Tensor:
    """`KL(f_a || g_b)`, (..., n, m)."""
    return kl_divergence(with_dimension(f, -1), with_dimension(g, -2))


def _log_overlaps(f: Gaussian, g: Gaussian) -> Tensor:
    """`log int f_a g_b`, (..., n, m)."""
    left, right = with_dimension(f, -1), with_dimension(g, -2)
    difference = left.mean - right.mean
    if all(x.structure in ("diagonal", "isotropic") for x in (f, g)):
        total = moments.variance(left) + moments.variance(right)
        terms = difference.square() / total + total.log() + math.log(2 * math.pi)
        return -0.5 * terms.sum(-1)
    summed = Gaussian._from_tensors({"mean": difference, "covariance": left.covariance + right.covariance})
    return summed.log_prob(torch.zeros(f.dimension, dtype=f.dtype, device=f.device))
