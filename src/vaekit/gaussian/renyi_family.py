r"""Rényi divergences and what follows from them: Bhattacharyya, Hellinger, alpha and chi-squared.

$$ R_\alpha(p \| q) = \frac{1}{\alpha - 1} \log \int p^\alpha q^{1-\alpha}
   = \frac12 \sum_i \Big( \frac{\log(1 + \beta e_i)}{\beta} - \log(1 + e_i) \Big)
     + \frac{\alpha}{2} \sum_i \frac{w_i^2}{1 + \beta e_i}, \qquad \beta = 1 - \alpha, $$

over the relative spectrum, wherever every `1 + beta e_i` is positive, that is, `alpha S_q + (1 - alpha) S_p`
is positive definite; otherwise the integral diverges. Near `e = 0` the terms are taken as `u(e) - u(beta e) /
beta` with `u(x) = x - log(1 + x)`, and for `alpha < 1/2` through `R_alpha(p || q) = alpha / (1 - alpha)
R_{1-alpha}(q || p)`, so nothing cancels.

References
----------
Gil, Alajaji, Linder (2013), Rényi divergence measures for commonly used univariate continuous distributions,
Table 2; van Erven, Harremoës (2014), Rényi divergence and Kullback-Leibler divergence.
"""

import math
from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.exceptions import GaussianError
from vaekit.gaussian.kl import deliver, kl_divergence, pair_of
from vaekit.gaussian.relative import whitened
from vaekit.gaussian.spectral import evaluate, excess_less_log, identity_plus, outer, safe_sqrt

__all__ = ["alpha_divergence", "bhattacharyya", "chi_squared", "hellinger", "renyi", "renyi_tensor"]


def renyi(p: Any, q: Any, alpha: float) -> Any:
    r"""Return the Rényi divergence `1/(alpha - 1) log int p^alpha q^(1 - alpha)` in nats, (...), never negative.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        Batches broadcast.
    alpha : float
        The order, at least 0. Order 1 is the Kullback-Leibler divergence, order 0 is `-log Q(p > 0)`.

    Returns
    -------
    tensor or array (...)
        inf where the integral diverges, which for `alpha > 1` it does unless `alpha S_q + (1 - alpha) S_p` is
        positive definite; inf too where the supports differ. Its gradient is then zero.

    Raises
    ------
    GaussianError
        For an order that is negative or not finite, or a pair that does not fit.

    Examples
    --------
    >>> p, q = Gaussian([1.0], variance=[1.0]), Gaussian([0.0], variance=[1.0])
    >>> float(renyi(p, q, 2.0))
    1.0
    >>> float(renyi(Gaussian([0.0], variance=[2.0]), q, 2.0))
    inf
    """
    p, q = pair_of(p, q)
    if not (alpha >= 0 and math.isfinite(alpha)):
        raise GaussianError(
            f"alpha is {alpha}; expected a finite order of at least 0; for a negative order try "
            "alpha_divergence, which is defined for every real alpha"
        )
    return deliver(renyi_tensor(p, q, float(alpha)), p, q)


def bhattacharyya(p: Any, q: Any) -> Any:
    """Return the Bhattacharyya distance `-log int sqrt(p q)` in nats, (...), symmetric, never negative.

    It is half the Rényi divergence of order 1/2. Parameters as in `renyi`.

    Examples
    --------
    >>> float(bhattacharyya(Gaussian([2.0], variance=[1.0]), Gaussian([0.0], variance=[1.0])))
    0.5
    """
    p, q = pair_of(p, q)
    return deliver(0.5 * renyi_tensor(p, q, 0.5), p, q)


def hellinger(p: Any, q: Any, *, squared: bool = False) -> Any:
    """Return the Hellinger distance `sqrt(1 - int sqrt(p q))`, (...), a metric between 0 and 1.

    ``squared`` gives its square, whose gradient is smooth at p = q, where the distance has a kink and takes
    the gradient 0. Other parameters as in `renyi`.

    Examples
    --------
    >>> round(float(hellinger(Gaussian([2.0], variance=[1.0]), Gaussian([0.0], variance=[1.0]))), 6)
    0.627271
    """
    p, q = pair_of(p, q)
    square = -torch.expm1(-0.5 * renyi_tensor(p, q, 0.5))
    return deliver(square if squared else safe_sqrt(square), p, q)


def alpha_divergence(p: Any, q: Any, alpha: float) -> Any:
    r"""Return the alpha divergence `(int p^alpha q^(1 - alpha) - 1) / (alpha (alpha - 1))`, (...), never
    negative.

    Order 1 is `KL(p || q)`, order 0 is `KL(q || p)`, order 1/2 four times the squared Hellinger distance,
    order 2 half the chi-squared divergence. Any real order; infinite where the integral diverges.

    References
    ----------
    Cichocki, Amari (2010), Families of alpha-, beta- and gamma-divergences, equation 5.

    Examples
    --------
    >>> p, q = Gaussian([1.0], variance=[1.0]), Gaussian([0.0], variance=[1.0])
    >>> round(float(alpha_divergence(p, q, 2.0)), 6)
    0.859141
    """
    if not math.isfinite(alpha):
        raise GaussianError(f"alpha is {alpha}; expected a finite order")
    p, q = pair_of(p, q)
    if alpha < 0.5:
        return deliver(_alpha_tensor(q, p, 1.0 - alpha), p, q)
    return deliver(_alpha_tensor(p, q, float(alpha)), p, q)


def chi_squared(p: Any, q: Any) -> Any:
    """Return Pearson's chi-squared divergence `int (p - q)^2 / q`, (...), never negative.

    inf unless `2 S_q - S_p` is positive definite. Parameters as in `renyi`.

    Examples
    --------
    >>> round(float(chi_squared(Gaussian([1.0], variance=[1.0]), Gaussian([0.0], variance=[1.0]))), 6)
    1.718282
    """
    p, q = pair_of(p, q)
    return deliver(2 * _alpha_tensor(p, q, 2.0), p, q)


def renyi_tensor(p: Gaussian, q: Gaussian, alpha: float) -> Tensor:
    """Return the divergence in float64, with gradients."""
    p, q = p.promoted(), q.promoted()
    if alpha == 1:
        return kl_divergence(p, q)

    def value(excess: Tensor, ratio: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
        if alpha == 0:
            return torch.zeros_like(excess[..., 0])
        if alpha >= 0.5:
            return _order(alpha, 1 - alpha, excess, ratio, forward)
        reverse = _order(1 - alpha, alpha, -excess / ratio, 1 / ratio, backward)
        return alpha / (1 - alpha) * reverse

    def gradient(D: Tensor, z: Tensor, one: Tensor) -> tuple[Tensor, Tensor]:
        beta = 1 - alpha
        other = torch.linalg.inv(identity_plus(beta * D))
        y = (other @ z.unsqueeze(-1)).squeeze(-1)
        return 0.5 * alpha * (D @ other @ one - beta * outer(y, y)), alpha * y

    # Order 0 is -log Q(p > 0), so it too is infinite where the supports differ.
    return evaluate(whitened(p, q), value, gradient, disjoint=math.inf)


def _order(alpha: float, beta: float, excess: Tensor, ratio: Tensor, forward: Tensor) -> Tensor:
    """Return the sum over the spectrum for an order of at least 1/2.

    ``beta`` is `1 - alpha` before rounding.
    """
    bent = beta * excess
    diverges = (1 + bent <= 0).any(-1)
    bent = torch.where(diverges.unsqueeze(-1), torch.zeros_like(bent), bent)
    mixed = 1 + bent
    terms = excess_less_log(excess, ratio)
    if beta != 0:
        terms = terms - excess_less_log(bent, mixed) / beta
    if beta > 0:
        # log(1 + beta e) / beta and log(1 + e) cancel only near 0.
        far = torch.log1p(bent) / beta - torch.log(ratio)
        terms = torch.where((excess > -0.4) & (excess < 0.5), terms, far)
    value = 0.5 * terms.sum(-1) + 0.5 * alpha * (forward.square() / mixed).sum(-1)
    return torch.where(diverges, math.inf, value)


def _alpha_tensor(p: Gaussian, q: Gaussian, alpha: float) -> Tensor:
    """Return the alpha divergence of an order of at least 1/2."""
    r = renyi_tensor(p, q, alpha)
    return r if alpha == 1 else torch.expm1((alpha - 1) * r) / (alpha * (alpha - 1))
