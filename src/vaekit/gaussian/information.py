r"""Entropies and mutual information of Gaussians.

$$ I(x_a; x_b) = -\frac12 \sum_i \log(1 - c_i^2) $$
over the canonical correlations `c_i`, the singular values of `L_a^{-1} S_{ab} L_b^{-T}`: for weakly dependent
blocks this keeps the digits that the difference of log-determinants loses.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian import moments
from vaekit.gaussian.common_support import common_support
from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.exceptions import GaussianError
from vaekit.gaussian.kl import as_gaussian, deliver, pair_of
from vaekit.gaussian.parameters import finish, is_concrete
from vaekit.gaussian.relative import whitened
from vaekit.gaussian.stable import KnownValue, solve_lower
from vaekit.gaussian.transformation import in_common_units, marginal, positions

__all__ = ["cross_entropy", "entropy", "mutual_information"]


def entropy(p: Any) -> Any:
    """Return the differential entropy `-E_p log p` in nats, (...); -inf where the covariance is singular.

    Parameters
    ----------
    p : Gaussian, torch distribution, or tuple (mean, covariance)

    Examples
    --------
    >>> round(float(entropy(([0.0], [[1.0]]))), 6)
    1.418939
    """
    return as_gaussian(p, "p").entropy()


def cross_entropy(p: Any, q: Any) -> Any:
    r"""Return the cross entropy `-E_p log q = H(p) + KL(p || q)` in nats, (...).

    `1/2 (k log 2 pi + log det S_q + tr(S_q^{-1} S_p) + (m_p - m_q)^T S_q^{-1} (m_p - m_q))`, taken as it
    stands.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        Batches broadcast. p may be singular, even a point.

    Returns
    -------
    tensor or array (...)
        Where q is singular: inf where p is not on q's support, and -inf where it is.

    Examples
    --------
    >>> round(float(cross_entropy(([1.0], [[1.0]]), ([0.0], [[1.0]]))), 6)
    1.918939
    """
    p, q = pair_of(p, q)
    whole = q.promoted()
    a, b, _ = in_common_units(p.promoted(), whole)
    shape = torch.broadcast_shapes(a.batch_shape, b.batch_shape)
    singular = b.singular_items() if is_concrete(*b.parameters.values()) else None
    difference = a.parameters["mean"] - b.parameters["mean"]
    constant = a.dimension * math.log(2 * math.pi)
    if b.structure in ("diagonal", "isotropic"):
        s = moments.deviation(b)
        if a.structure in ("diagonal", "isotropic"):
            spread = (moments.deviation(a) / s).square()
        else:
            spread = moments.variance(a) / s / s
        quadratic = spread.sum(-1) + (difference / s).square().sum(-1)
    elif moments.uses_capacitance(b):
        quadratic = (moments.precision(b) * moments.covariance(a)).sum((-2, -1))
        quadratic = quadratic + moments.squared_mahalanobis(b, difference)
    else:
        columns = [
            a.scale_tril.expand(*shape, a.dimension, a.dimension),
            difference.expand(*shape, -1).unsqueeze(-1),
        ]
        quadratic = solve_lower(b.scale_tril, torch.cat(columns, -1)).square().sum((-2, -1))
        exact = b.exact_factor() if is_concrete(difference, *b.parameters.values()) else None
        if exact is not None:
            # The trace of an ill-conditioned pair is known from its whitened form.
            pair = whitened(a, b)
            known = pair.ratio.sum(-1) + pair.shift.square().sum(-1)
            usable = known.isfinite() & ~(a.singular_items() | b.singular_items())
            quadratic = KnownValue.apply(quadratic, torch.where(usable, known, quadratic.detach()))
    value = (0.5 * (constant + moments.log_determinant(whole) + quadratic)).expand(shape)
    if singular is not None and bool(singular.any()):
        value = torch.where(singular.expand(shape), _on_singular(a, b, shape), value)
    return deliver(value, p, q)


def mutual_information(
    joint: Any, first: Sequence[int] | int, *, second: Sequence[int] | int | None = None
) -> Any:
    r"""Return the mutual information between two blocks of coordinates of one Gaussian, in nats, (...), never
    negative.

    Parameters
    ----------
    joint : Gaussian, torch distribution, or tuple (mean, covariance)
    first, second : indices
        The blocks, without a coordinate in common; ``second`` is all others if not given.

    Returns
    -------
    tensor or array (...)
        Exactly 0 for uncorrelated blocks; inf where one block determines a direction of the other.

    Raises
    ------
    GaussianError
        For indices that repeat, overlap or do not exist, or where nothing is left for ``second``.

    References
    ----------
    Cover, Thomas (2006), Elements of Information Theory, section 8.5.

    Examples
    --------
    >>> round(float(mutual_information(([0.0, 0.0], [[1.0, 0.6], [0.6, 1.0]]), 0)), 6)
    0.223144
    """
    g = as_gaussian(joint, "joint")
    a = positions(first, g.dimension)
    b = (
        [i for i in range(g.dimension) if i not in set(a)]
        if second is None
        else positions(second, g.dimension)
    )
    if not b or set(a) & set(b):
        raise GaussianError(
            f"first is {a} and second {b}, of {g.dimension} coordinates; expected two blocks, neither empty, "
            "without a coordinate in common"
        )
    if g.structure in ("diagonal", "isotropic"):
        value = torch.zeros(g.batch_shape, dtype=torch.float64, device=g.device)
    else:
        value = _between_blocks(g.promoted(), a, b).expand(g.batch_shape)
    return finish(value.to(g.dtype), g.from_numpy)


def _between_blocks(g: Gaussian, a: list[int], b: list[int]) -> Tensor:
    """Return the information, from the canonical correlations, or the conditional factor where they are strong."""
    S = moments.covariance(g)
    La, Lb = marginal(g, a).scale_tril, marginal(g, b).scale_tril
    left = solve_lower(La, S[..., a, :][..., b])
    C = solve_lower(Lb, left.mT).mT
    square = C @ C.mT if len(a) <= len(b) else C.mT @ C
    strength = torch.linalg.eigvalsh(square).clamp_min(0)
    weak = (strength < 0.5).all(-1)
    inner = torch.where(weak.unsqueeze(-1), strength, torch.zeros_like(strength))
    value = -0.5 * torch.log1p(-inner).sum(-1)
    if is_concrete(value) and bool(weak.all()):
        return value
    # The factor of (a, b) in this order ends in the factor of S_b|a.
    n = len(a)
    conditional = marginal(g, a + b).scale_tril[..., n:, n:].diagonal(dim1=-2, dim2=-1)
    whole = Lb.diagonal(dim1=-2, dim2=-1)
    return torch.where(weak, value, (whole.log() - conditional.log()).sum(-1))


def _on_singular(p: Gaussian, q: Gaussian, shape: torch.Size) -> Tensor:
    """Return inf where p leaves q's support, -inf where it lies on it."""
    k = p.dimension
    Sp, Sq = (moments.covariance(g).detach().expand(*shape, k, k).reshape(-1, k, k) for g in (p, q))
    mp, mq = (g.parameters["mean"].detach().expand(*shape, k).reshape(-1, k) for g in (p, q))
    resolution = max(p.resolution, q.resolution)
    # p + q has the support of q exactly where p lies on it.
    inside = []
    for i in range(len(Sp)):
        size = mp[i].abs() + mq[i].abs()
        inside.append(common_support(Sp[i] + Sq[i], Sq[i], mp[i] - mq[i], size, resolution) is not None)
    signs = torch.tensor([-math.inf if x else math.inf for x in inside], dtype=torch.float64, device=p.device)
    return signs.reshape(shape)
