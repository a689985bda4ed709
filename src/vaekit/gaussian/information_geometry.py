r"""The Fisher-Rao distance: the geodesic distance under the Fisher information metric.

Between univariate normals, with `y^2 = ((m_p - m_q)^2 / 2 + (s_p - s_q)^2) / (4 s_p s_q)`,
$$ d = 2 \sqrt 2 \, \mathrm{arsinh}(y) . $$
For equal means `d^2 = 1/2 sum_i log^2(1 + e_i)` over the relative spectrum. Where the mean difference lies
along one eigenvector of the relative covariance, the pair lies in a product of a hyperbolic plane and lines
that geodesics do not leave, and `d^2` is the univariate distance along it and `1/2 log^2(1 + e_i)` for each
other direction: so for equal covariances and for isotropic pairs. Otherwise no closed form is known, and
there are bounds:

* lower: the distance between the embeddings `[[S + m m^T, m], [m^T, 1]]` (Calvo and Oller 1990);
* upper: the smallest of the square root of Jeffreys' divergence (Nielsen 2023), the two ways of changing the
  mean first or the covariance first, and the distance within the Gaussians that are diagonal in the basis of
  the relative spectrum (Strapasson, Porto and Costa 2015).

References
----------
Atkinson, Mitchell (1981), Rao's distance measure; Calvo, Oller (1990), A distance between multivariate normal
distributions based in an embedding into the Siegel group; Pinele, Strapasson, Costa (2020), The Fisher-Rao
distance between multivariate normal distributions.
"""

import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from vaekit.gaussian.exceptions import GaussianError
from vaekit.gaussian.kl import deliver, pair_of
from vaekit.gaussian.parameters import first_index, is_concrete
from vaekit.gaussian.relative import NEAR, Whitened, whitened
from vaekit.gaussian.spectral import evaluate, log_ratio, outer, safe_sqrt
from vaekit.gaussian.symmetric import jeffreys_of

__all__ = ["Bounds", "fisher_rao", "fisher_rao_bounds"]


class Bounds(NamedTuple):
    """A lower and an upper bound, each (...); equal where the value is known."""

    lower: Any
    upper: Any


def fisher_rao(p: Any, q: Any, *, family: Literal["full", "diagonal"] = "full") -> Any:
    r"""Return the Fisher-Rao distance, (...), where it has a closed form.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        Batches broadcast.
    family : "full" or "diagonal"
        The manifold in which the shortest path may run: all Gaussians, or those with a diagonal covariance (a
        product of univariate ones, whose distance is always closed and never below that among all).

    Returns
    -------
    tensor or array (...)
        inf where the supports differ. At p = q the distance has a kink and takes the gradient 0.

    Raises
    ------
    GaussianError
        For ``family="full"`` where the means differ, and not along an eigenvector of the relative covariance
        (as they do for k = 1, equal covariances, or two isotropic ones): then there is no closed form, and
        `fisher_rao_bounds` is what there is. For ``family="diagonal"`` and a covariance that is not given as
        diagonal.

    Examples
    --------
    >>> round(float(fisher_rao(([0.0], [[1.0]]), ([0.0], [[math.e ** 2]]))), 6)
    1.414214
    >>> fisher_rao(([1.0, 1.0], [[1.0, 0.0], [0.0, 2.0]]), ([0.0, 0.0], [[2.0, 0.0], [0.0, 1.0]]))
    Traceback (most recent call last):
    vaekit.gaussian.exceptions.GaussianError: no closed form of the Fisher-Rao distance is known, ...
    """
    p, q = pair_of(p, q)
    pair = whitened(p.promoted(), q.promoted())
    if family == "diagonal":
        if pair.frame is not None:
            raise GaussianError(
                f"family is 'diagonal', but the covariances are given as {p.parameterisation} and "
                f"{q.parameterisation}; expected variance=, standard_deviation= or scale= for both"
            )
        square = _univariate_square(pair.excess, pair.ratio, pair.forward.square()).sum(-1)
        value = safe_sqrt(square if pair.disjoint is None else torch.where(pair.disjoint, math.inf, square))
    elif family == "full":
        square, closed = _closed(pair)
        if is_concrete(square) and not bool(closed.all()):
            index = first_index(~closed)
            raise GaussianError(
                "no closed form of the Fisher-Rao distance is known"
                f"{f' at batch index {index}' if index else ''}, since the means differ, and not along an "
                "eigenvector of the relative covariance (as they do for k = 1, equal covariances, or two "
                "isotropic ones); try fisher_rao_bounds, or family='diagonal' for diagonal Gaussians",
                batch_index=index,
            )
        value = safe_sqrt(torch.where(closed, square, torch.nan))
    else:
        raise GaussianError(f"family is {family!r}; expected 'full' or 'diagonal'")
    return deliver(value, p, q)


def fisher_rao_bounds(p: Any, q: Any) -> Bounds:
    """Return the lower and upper bound of the Fisher-Rao distance among all Gaussians; equal where it is closed.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        Batches broadcast.

    Returns
    -------
    Bounds
        ``lower`` and ``upper``, each (...), without gradients.

    Examples
    --------
    >>> p, q = ([1.0, 1.0], [[1.0, 0.0], [0.0, 2.0]]), ([0.0, 0.0], [[2.0, 0.0], [0.0, 1.0]])
    >>> lower, upper = fisher_rao_bounds(p, q)
    >>> round(float(lower), 4), round(float(upper), 4)
    (1.317, 1.3523)
    """
    p, q = pair_of(p, q)
    with torch.no_grad():
        pair = whitened(p.promoted(), q.promoted())
        square, closed = _closed(pair)
        exact = safe_sqrt(square)
        lower = torch.where(closed, exact, _embedding_distance(pair))
        upper = torch.where(closed, exact, _upper(pair))
        if pair.disjoint is not None:
            lower, upper = (torch.where(pair.disjoint, math.inf, x) for x in (lower, upper))
    return Bounds(*(deliver(x, p, q) for x in (lower, upper)))


def _univariate_square(excess: Tensor, ratio: Tensor, shift_squared: Tensor) -> Tensor:
    """Return the squared distance of `N(w, 1 + e)` from `N(0, 1)`, elementwise."""
    root = ratio.sqrt()
    y_squared = (0.5 * shift_squared + (excess / (1 + root)).square()) / (4 * root)
    return 8 * _squared_arsinh_of_root(y_squared)


def _squared_arsinh_of_root(x: Tensor) -> Tensor:
    """Return `arsinh(sqrt x)^2`, smooth at 0."""
    positive = x > 0
    root = torch.where(positive, x, torch.ones_like(x)).sqrt()
    return torch.where(positive, torch.asinh(root).square(), x)


def _closed(pair: Whitened) -> tuple[Tensor, Tensor]:
    """Return the squared distance where it is closed, and where that is: where D z = mu z, up to rounding."""
    square = evaluate(pair, _log_square, _log_square_gradient, disjoint=math.inf)
    square = square + evaluate(pair, _more, _more_gradient, disjoint=0.0)
    with torch.no_grad():
        z, D = pair.shift, pair.difference
        image = D * z if pair.frame is None else (D @ z.unsqueeze(-1)).squeeze(-1)
        scale = D.abs().amax(-1) if pair.frame is None else D.abs().sum(-1).amax(-1)
        size = z.square().sum(-1)
        along = torch.where(size > 0, (z * image).sum(-1) / size, torch.zeros_like(size))
        defect = (image - along.unsqueeze(-1) * z).norm(dim=-1)
        closed = defect <= 8 * z.shape[-1] * torch.finfo(z.dtype).eps * scale * size.sqrt()
        if pair.disjoint is not None:
            closed = closed | pair.disjoint
    return square, closed


def _more(excess: Tensor, ratio: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    """Return what moving the mean adds to the change of the variance in its direction."""
    square = forward.square()
    size = square.sum(-1)
    moved = size > 0
    share = square / torch.where(moved, size, torch.ones_like(size)).unsqueeze(-1)
    e, r = (share * excess).sum(-1), torch.where(moved, (share * ratio).sum(-1), torch.ones_like(size))
    return _univariate_square(e, r, size) - _univariate_square(e, r, torch.zeros_like(size))


def _more_gradient(D: Tensor, z: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of `_more`.

    By D only along z, since the formula holds where z is an eigenvector of D.
    """
    size = z.square().sum(-1)
    divisor = torch.where(size > 0, size, torch.ones_like(size))
    e = (z * (D @ z.unsqueeze(-1)).squeeze(-1)).sum(-1) / divisor
    root = (1 + e).sqrt()
    alone = (e / (1 + root)).square() / (4 * root)
    bend = _slope(alone + size / (8 * root))
    by_ratio = (bend * (e - 0.5 * size) - _slope(alone) * e) / (root * root * root)
    return outer(z, z) * (by_ratio / divisor)[..., None, None], 2 * (bend / root).unsqueeze(-1) * z


def _slope(x: Tensor) -> Tensor:
    """Return the derivative of `arsinh(sqrt x)^2`, `arsinh(sqrt x) / sqrt(x + x^2)`; 1 at 0."""
    positive = x > 0
    safe = torch.where(positive, x, torch.ones_like(x))
    return torch.where(positive, torch.asinh(safe.sqrt()) / (safe + safe * safe).sqrt(), 1 - 2 * x / 3)


def _log_square(excess: Tensor, ratio: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    return 0.5 * log_ratio(excess, ratio).square().sum(-1)


def _log_square_gradient(D: Tensor, z: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    excess, V = torch.linalg.eigh(D)
    return (V * (torch.log1p(excess) / (1 + excess)).unsqueeze(-2)) @ V.mT, torch.zeros_like(z)


def _embedding_distance(pair: Whitened) -> Tensor:
    """Return Calvo and Oller's lower bound, `sqrt(1/2 sum log^2)` over the spectrum of the embeddings."""
    z = pair.shift
    D = torch.diag_embed(pair.difference) if pair.frame is None else pair.difference
    M, N = _root_and_inverse(pair)
    column = z.unsqueeze(-1)
    E = _bordered(D + column * z.unsqueeze(-2), column, z, 0.0)
    excess = torch.linalg.eigvalsh(_finite(E))
    far = (excess.abs() > NEAR).any(-1, keepdim=True)
    zero = torch.zeros_like(z)
    large = torch.linalg.svdvals(_finite(_bordered(M, column, zero, 1.0))).flip(-1)
    small = 1 / torch.linalg.svdvals(_finite(_bordered(N, -N @ column, zero, 1.0)))
    pivot = (large[..., -1:] * small[..., :1]).sqrt()
    logs = 2 * torch.where(large >= pivot, large, small).log()
    logs = torch.where(far, logs, torch.log1p(torch.where(far, 0.0, excess)))
    return (0.5 * logs.square().sum(-1)).sqrt()


def _root_and_inverse(pair: Whitened) -> tuple[Tensor, Tensor]:
    if pair.frame is None:
        return torch.diag_embed(pair.ratio.sqrt()), torch.diag_embed(pair.ratio.rsqrt())
    return pair.frame.M, pair.frame.N


def _bordered(block: Tensor, column: Tensor, row: Tensor, corner: float) -> Tensor:
    edge = torch.full_like(row[..., :1], corner)
    return torch.cat([torch.cat([block, column], -1), torch.cat([row, edge], -1).unsqueeze(-2)], -2)


def _finite(matrix: Tensor) -> Tensor:
    return torch.where(matrix.isfinite().all(-1).all(-1)[..., None, None], matrix, torch.zeros_like(matrix))


def _upper(pair: Whitened) -> Tensor:
    excess, ratio, w, v = pair.excess, pair.ratio, pair.forward, pair.backward
    product = _univariate_square(excess, ratio, w.square()).sum(-1).sqrt()
    covariance = (0.5 * log_ratio(excess, ratio).square().sum(-1)).sqrt()
    size_q, size_p = w.square().sum(-1), v.square().sum(-1)
    mean = (8 * _squared_arsinh_of_root(torch.minimum(size_q, size_p) / 8)).sqrt()
    return torch.stack([product, covariance + mean, jeffreys_of(pair).sqrt()]).amin(0)
