r"""Symmetric divergences: Jeffreys', and those of Jensen and Shannon, one in closed form and one by Monte Carlo.

$$ J(p, q) = \mathrm{KL}(p \| q) + \mathrm{KL}(q \| p)
   = \frac12 \sum_i \Big( \frac{e_i^2}{1 + e_i} + w_i^2 + \frac{w_i^2}{1 + e_i} \Big) $$
over the relative spectrum: the log-determinants cancel as formulas, before anything is rounded.

The geometric mean of two Gaussians, normalised, is a Gaussian `g` with the precision `(1 - a) S_p^{-1} + a
S_q^{-1}`, so
$$ \mathrm{JS}^G_a(p, q) = (1 - a)\, \mathrm{KL}(p \| g) + a\, \mathrm{KL}(q \| g) $$
is closed. Over the relative spectrum, with `u(x) = x - log(1 + x)` and `r = 1 + e`, it is
$$ \tfrac12 \sum_i \Big( (1-a)\, u(a e_i) + a\, u\big(-(1-a) e_i / r_i\big)
   + a (1-a) w_i^2\, \frac{a r_i + (1-a) / r_i}{1 + a e_i} \Big). $$
With the ordinary mixture `(1 - a) p + a q` in the place of `g` there is no closed form.

References
----------
Nielsen (2019), On the Jensen-Shannon symmetrization of distances relying on abstract means, section 4.
"""

import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from vaekit.gaussian import moments
from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.exceptions import GaussianError
from vaekit.gaussian.kl import deliver, pair_of
from vaekit.gaussian.parameters import finish
from vaekit.gaussian.relative import Whitened, whitened
from vaekit.gaussian.renyi_family import renyi_tensor
from vaekit.gaussian.spectral import evaluate, excess_less_log, identity_plus, outer

__all__ = ["Estimate", "jeffreys", "jeffreys_of", "jensen_shannon", "sample_count"]


class Estimate(NamedTuple):
    """The mean of independent draws and its standard error, each (...), in nats."""

    value: Any
    standard_error: Any

    @classmethod
    def of(
        cls, draws: list[Tensor], weights: list[float], *, dtype: torch.dtype, to_numpy: bool
    ) -> "Estimate":
        """Return the weighted sum of the means of independent sets of draws (samples, ...)."""
        pairs = list(zip(weights, draws, strict=True))
        value = torch.stack([w * x.mean(0) for w, x in pairs]).sum(0)
        spread = torch.stack([w * w * x.detach().var(0) / x.shape[0] for w, x in pairs]).sum(0).sqrt()
        return cls(finish(value.to(dtype), to_numpy), finish(spread.to(dtype), to_numpy))


def jeffreys(p: Any, q: Any) -> Any:
    """Return the Jeffreys divergence `KL(p || q) + KL(q || p)` in nats, (...), symmetric, never negative.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        Batches broadcast.

    Returns
    -------
    tensor or array (...)
        inf where the supports differ.

    Raises
    ------
    GaussianError
        For a pair of different sizes, dtypes or devices.

    References
    ----------
    Jeffreys (1946), An invariant form for the prior probability in estimation problems.

    Examples
    --------
    >>> from vaekit.gaussian import Gaussian
    >>> float(jeffreys(Gaussian([2.0], variance=[1.0]), Gaussian([0.0], variance=[1.0])))
    4.0
    """
    p, q = pair_of(p, q)
    value = jeffreys_of(whitened(p.promoted(), q.promoted()))
    return deliver(value, p, q)


def jeffreys_of(pair: Whitened) -> Tensor:
    """Return the divergence of a whitened pair, with gradients."""
    return evaluate(pair, _value, _gradient, disjoint=math.inf)


def _value(excess: Tensor, ratio: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    return 0.5 * (excess * (excess / ratio) + forward.square() + backward.square()).sum(-1)


def _gradient(D: Tensor, z: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    x = (inverse @ z.unsqueeze(-1)).squeeze(-1)
    return 0.5 * (D @ inverse @ identity_plus(inverse) - outer(x, x)), z + x


Method = Literal["geometric", "dual-geometric", "monte-carlo"]


def jensen_shannon(
    p: Any,
    q: Any,
    *,
    method: Method = "geometric",
    weight: float = 0.5,
    samples: int = 10_000,
    generator: torch.Generator | None = None,
) -> Any:
    r"""Return the Jensen-Shannon divergence in nats, (...), never negative.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        Batches broadcast.
    method : "geometric", "dual-geometric" or "monte-carlo"
        "geometric": `(1 - a) KL(p || g) + a KL(q || g)` to the geometric mean `g`, closed, unbounded.
        "dual-geometric": `(1 - a) KL(g || p) + a KL(g || q)`, the skew Bhattacharyya distance `-log int
        p^(1-a) q^a`. "monte-carlo": the ordinary divergence, to the mixture `(1 - a) p + a q`, at most log 2;
        an `Estimate` of value and standard error from independent draws of p and of q.
    weight : float
        `a`, between 0 and 1, both excluded.
    samples : int
        Draws from each of p and q, for "monte-carlo" only.
    generator : torch.Generator, optional
        For "monte-carlo" only; the global one if not given.

    Returns
    -------
    tensor or array (...), or Estimate for "monte-carlo"
        inf where the supports differ (for "monte-carlo" such a pair is refused: it has no densities).

    Raises
    ------
    GaussianError
        For a weight outside (0, 1), an unknown method, or a pair that does not fit.

    Examples
    --------
    >>> p, q = Gaussian([2.0], variance=[1.0]), Gaussian([0.0], variance=[1.0])
    >>> float(jensen_shannon(p, q))
    0.5
    >>> exact = jensen_shannon(p, q, method="monte-carlo", generator=torch.Generator().manual_seed(0))
    >>> abs(exact.value - 0.3368) < 4 * exact.standard_error
    np.True_
    """
    p, q = pair_of(p, q)
    if not 0 < weight < 1:
        raise GaussianError(f"weight is {weight}; expected a number between 0 and 1, both excluded")
    if method == "monte-carlo":
        return _monte_carlo(p, q, float(weight), sample_count(samples), generator)
    if method == "geometric":
        value = _geometric(p.promoted(), q.promoted(), float(weight))
    elif method == "dual-geometric":
        value = weight * renyi_tensor(p, q, 1 - float(weight))
    else:
        raise GaussianError(f"method is {method!r}; expected 'geometric', 'dual-geometric' or 'monte-carlo'")
    return deliver(value, p, q)


def _geometric(p: Gaussian, q: Gaussian, a: float) -> Tensor:
    b = 1 - a

    def value(excess: Tensor, ratio: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
        mixed = b + a * ratio
        spread = b * excess_less_log(a * excess, mixed) + a * excess_less_log(
            -b * excess / ratio, mixed / ratio
        )
        # w^2 r / (1 + a e) and w^2 / (r (1 + a e)), from the shift in the basis that has its digits
        moved = a * (forward * (ratio / mixed) * forward) + b * (backward * backward / mixed)
        return 0.5 * (spread + a * b * moved).sum(-1)

    def gradient(D: Tensor, z: Tensor, one: Tensor) -> tuple[Tensor, Tensor]:
        mixed = torch.linalg.inv(identity_plus(a * D))
        column = z.unsqueeze(-1)
        x, y = (one @ column).squeeze(-1), (mixed @ column).squeeze(-1)
        spread = (
            0.5
            * a
            * b
            * D
            @ mixed
            @ (a * torch.eye(D.shape[-1], dtype=D.dtype, device=D.device) + b * one @ one)
        )
        moved = 0.5 * a * (a * b * b * outer(y, y) - b * (outer(x, x) - a * a * outer(y, y)))
        # h(D) = a b (a (I + D) + b (I + D)^-1) (I + a D)^-1
        to_z = a * b * (a * (y + (D @ y.unsqueeze(-1)).squeeze(-1)) + b * (one @ y.unsqueeze(-1)).squeeze(-1))
        return spread + moved, to_z

    return evaluate(whitened(p, q), value, gradient, disjoint=math.inf)


def _monte_carlo(
    p: Gaussian, q: Gaussian, a: float, samples: int, generator: torch.Generator | None
) -> Estimate:
    to_numpy, dtype = p.from_numpy and q.from_numpy, p.dtype
    p, q = p.promoted(), q.promoted()
    shape = torch.broadcast_shapes(p.batch_shape, q.batch_shape)

    x, y = draws(p, samples, shape, generator), draws(q, samples, shape, generator)
    from_p = to_mixture(q.log_prob(x) - p.log_prob(x), a)
    from_q = to_mixture(p.log_prob(y) - q.log_prob(y), 1 - a)
    return Estimate.of([from_p, from_q], [1 - a, a], dtype=dtype, to_numpy=to_numpy)


def to_mixture(log_ratio: Tensor, weight: float) -> Tensor:
    """Return `-log((1 - weight) + weight e^d)` for `d = log_ratio`: exactly 0 at 0, and without overflow.

    >>> to_mixture(torch.tensor([0.0, 1e4, -1e4]), 0.5)
    tensor([-0.0000e+00, -9.9993e+03,  6.9315e-01])
    """
    small = -torch.log1p(weight * torch.expm1(log_ratio.clamp_max(0)))
    large = -log_ratio - torch.log1p((1 - weight) * torch.expm1(-log_ratio.clamp_min(0)))
    return torch.where(log_ratio > 0, large, small)


def sample_count(samples: object) -> int:
    """Return the number of draws, at least 2 (one has no standard error)."""
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 2:
        raise GaussianError(f"samples is {samples!r}; expected a whole number of at least 2")
    return samples


def draws(g: Gaussian, samples: int, shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """Return independent draws (samples, *shape, k), reparameterised, for a batch shape that g broadcasts to."""
    noise = torch.randn((samples, *shape, g.dimension), generator=generator, dtype=g.dtype, device=g.device)
    if g.structure in ("diagonal", "isotropic"):
        return g.parameters["mean"] + moments.deviation(g) * noise
    return g.parameters["mean"] + (moments.scale_tril(g) @ noise.unsqueeze(-1)).squeeze(-1)
