r"""One Gaussian as another sees it: the relative spectrum, without cancellation.

With `S_q = L_q L_q^T`, everything that f-divergences know about a pair is in
$$ D = L_q^{-1} (S_p - S_q) L_q^{-T}, \qquad z = L_q^{-1} (m_p - m_q). $$
`D = V diag(e) V^T` gives the excesses `e_i` (the generalised eigenvalues of `(S_p, S_q)` less one), the
ratios `r_i = 1 + e_i` and the shifts `w = V^T z`. The difference is taken first, of the parameters as they
were given (factors from factors, precisions from precisions), so `e` is accurate relative to `|D|` however
close p and q are. Where they are far apart, ratios come from the singular values of `L_q^{-1} L_p` (the large
ones) and of its inverse (the small ones).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vaekit.gaussian import moments
from vaekit.gaussian.common_support import reduce_to_support
from vaekit.gaussian.dense import KNOWN, LARGEST_ESCALATED, exact_of, taken
from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.kl import deliver, dense_inputs, pair_of
from vaekit.gaussian.parameters import is_concrete
from vaekit.gaussian.stable import precision_factor, solve_lower
from vaekit.gaussian.transformation import in_common_units

__all__ = [
    "RelativeSpectrum",
    "Whitened",
    "covariance_difference",
    "lower_factor",
    "relative_spectrum",
    "whitened",
]

#: Items whose excesses all lie within this of zero keep the spectrum of D; others take that of the factors.
NEAR = 0.5
#: Items of two kinds whose `D` lies within this of zero have lost digits of it.
CLOSE = 0.1
#: Neighbouring singular values whose ratio is less count as equal.
LEAST_GAP = 1.5


class RelativeSpectrum(NamedTuple):
    """The generalised eigenvalues of `(S_p, S_q)` and the mean difference in their basis, each (..., k).

    ``excess`` is the eigenvalue less one and ascends, ``ratio`` the eigenvalue itself, ``shift`` is `V^T
    L_q^{-1} (m_p - m_q)` (its signs are those of the eigenvectors, so arbitrary).
    """

    excess: Any
    ratio: Any
    shift: Any


@dataclass(frozen=True)
class Moments:
    """The moments of a pair that is not diagonal, broadcast to the batch, with gradients."""

    covariance_p: Tensor
    covariance_q: Tensor
    mean_difference: Tensor


@dataclass(frozen=True)
class Frame:
    """The matrices that whiten a pair that is not diagonal, without gradients.

    Parameters
    ----------
    W : tensor (..., k, k)
        `L_q^{-1}`: `D = W (S_p - S_q) W^T`, `z = W (m_p - m_q)`. On a common support of dimension r only its
        first r rows are not 0.
    M, N : tensors (..., k, k)
        `L_q^{-1} L_p` and its inverse, so that `I + D = M M^T = (N^T N)^{-1}`.
    """

    W: Tensor
    M: Tensor
    N: Tensor


@dataclass(frozen=True)
class Whitened:
    """A pair in the coordinates in which q is standard.

    Parameters
    ----------
    difference : tensor (..., k, k), or (..., k) where both are diagonal
        `D`.
    shift : tensor (..., k)
        `z`.
    excess, ratio, forward, backward : tensors (..., k)
        `e_i`, `1 + e_i`, `w_i` and `w_i / sqrt(1 + e_i)`.
    disjoint : tensor (...) of bool, or None where no item is
        Items whose supports differ, so that each gives the other no mass; their spectrum is that of p = q.
    moments, frame : Moments and Frame, or None where both are diagonal
        Where both are diagonal, everything above has gradients; otherwise only the moments do.
    """

    difference: Tensor
    shift: Tensor
    excess: Tensor
    ratio: Tensor
    forward: Tensor
    backward: Tensor
    disjoint: Tensor | None
    moments: Moments | None = None
    frame: Frame | None = None


def relative_spectrum(p: Any, q: Any) -> RelativeSpectrum:
    """Return the spectrum of p relative to q, the shared way to every divergence between Gaussians.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        Batches broadcast. Where both are diagonal or isotropic no k x k matrix is formed.

    Returns
    -------
    RelativeSpectrum
        ``excess``, ``ratio`` and ``shift``, each (..., k), without gradients (eigenvectors of equal
        eigenvalues have none; the divergences do). Exactly 0, 1 and 0 for p = q. On a singular common support
        the directions outside it count as equal; NaN where the supports differ.

    Raises
    ------
    GaussianError
        For a pair of different sizes, dtypes or devices.

    Examples
    --------
    >>> p = Gaussian([1.0, 0.0], covariance=[[4.0, 0.0], [0.0, 1.0]])
    >>> excess, ratio, shift = relative_spectrum(p, Gaussian([0.0, 0.0], variance=[2.0, 2.0]))
    >>> excess
    array([-0.5,  1. ])
    >>> abs(shift.round(6))
    array([0.      , 0.707107])
    """
    p, q = pair_of(p, q)
    with torch.no_grad():
        pair = whitened(p.promoted(), q.promoted())
        found = [pair.excess, pair.ratio, pair.forward]
        if pair.frame is None:
            order = pair.excess.argsort(-1)
            found = [x.gather(-1, order) for x in found]
        if pair.disjoint is not None:
            found = [torch.where(pair.disjoint.unsqueeze(-1), torch.nan, x) for x in found]
    return RelativeSpectrum(*(deliver(x, p, q) for x in found))


def whitened(p: Gaussian, q: Gaussian) -> Whitened:
    """Return the pair in q's coordinates; both Gaussians in float64 with tensors out."""
    p, q, _ = in_common_units(p, q)
    shape = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
    if _elementwise(p) and _elementwise(q):
        return _whitened_diagonal(p, q, shape + p.event_shape)
    k = p.dimension
    Sp, Sq = (moments.covariance(g).expand(*shape, k, k) for g in (p, q))
    mean_difference = (p.parameters["mean"] - q.parameters["mean"]).expand(*shape, k)
    given = Moments(Sp, Sq, mean_difference)
    with torch.no_grad():
        difference, shift = _difference_and_shift(p, q)
        difference, shift = difference.expand(*shape, k, k), shift.expand(*shape, k)
        Lp, Lq = (lower_factor(g).expand(*shape, k, k) for g in (p, q))
        eye = torch.eye(k, dtype=difference.dtype, device=difference.device)
        inverse, disjoint, again = solve_lower(Lq, eye.expand(*shape, k, k)), None, None
        if is_concrete(difference):
            singular = (p.singular_items() | q.singular_items()).expand(shape)
            again = to_repeat(p, q, difference) & ~singular
            if singular.any():
                resolution = max(p.resolution, q.resolution)
                moved = (p.parameters["mean"].abs() + q.parameters["mean"].abs()).expand(*shape, k)
                difference, shift, inverse, Lp, Lq, disjoint = reduce_to_support(
                    (Sp, Sq, mean_difference, moved),
                    (difference, shift, inverse, Lp, Lq),
                    singular,
                    resolution,
                )
        found = difference, shift, inverse, solve_lower(Lq, Lp), solve_lower(Lp, Lq)
        if again is not None and again.any():
            found = _repeated(p, q, again, found)
        D, z, W, M, N = found
        spectrum = _spectrum(D, z, M, N)
    return Whitened(D, z, *spectrum, disjoint, given, Frame(W, M, N))


def to_repeat(p: Gaussian, q: Gaussian, D: Tensor) -> Tensor:
    """Return which items, (...) of bool, float64 gets wrong.

    Ill-conditioned ones, and close ones of two kinds.
    """
    again = torch.zeros(D.shape[:-2], dtype=torch.bool, device=D.device)
    if p.dimension > LARGEST_ESCALATED:
        return again
    for exact in (p.exact_factor(), q.exact_factor()):
        again = again if exact is None else again | exact[0]
    kinds = {p.parameterisation, q.parameterisation}
    if len(kinds) > 1 and not kinds <= set(KNOWN):
        again = again | (D.abs().amax((-2, -1)) < CLOSE)
    return again


def _repeated(p: Gaussian, q: Gaussian, again: Tensor, found: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return `D`, `z`, `W`, `M` and `N` with some items from double-double arithmetic."""
    plan, tensors = dense_inputs(p.detach(), q.detach(), "auto")
    better = exact_of(plan, *taken(plan, tensors, again)).frame()
    result = tuple(x.clone() for x in found)
    good = torch.stack([x.flatten(1).isfinite().all(-1) for x in better]).all(0)
    for whole, part in zip(result, better, strict=True):
        whole[again] = torch.where(good[(...,) + (None,) * (part.dim() - 1)], part, whole[again])
    return result


def covariance_difference(p: Gaussian, q: Gaussian) -> Tensor:
    """Return `S_p - S_q`, (..., k, k), from the difference of the factors where both are of low rank."""
    a, b = p.parameters, q.parameters
    if "factor" in a and "factor" in b and a["factor"].shape[-1] == b["factor"].shape[-1]:
        change = a["factor"] - b["factor"]
        half = change @ b["factor"].mT
        return torch.diag_embed(a["diagonal"] - b["diagonal"]) + half + half.mT + change @ change.mT
    return moments.covariance(p) - moments.covariance(q)


def lower_factor(g: Gaussian) -> Tensor:
    """Return the lower triangular `L` with `L L^T = S`, (..., k, k), inside `torch.func.vmap` too."""
    if g.parameterisation != "covariance" or is_concrete(g.parameters["covariance"]):
        return g.scale_tril
    factor, failed = torch.linalg.cholesky_ex(moments.covariance(g))
    return torch.where((failed != 0)[..., None, None], torch.nan, factor)


def _elementwise(g: Gaussian) -> bool:
    return g.structure in ("diagonal", "isotropic")


def _whitened_diagonal(p: Gaussian, q: Gaussian, shape: torch.Size) -> Whitened:
    mean_difference = (p.parameters["mean"] - q.parameters["mean"]).expand(shape)
    sp, sq = moments.deviation(p).expand(shape), moments.deviation(q).expand(shape)
    if p.parameterisation == q.parameterisation == "variance":
        vp, vq = p.parameters["variance"].expand(shape), q.parameters["variance"].expand(shape)
        change = vp - vq
    else:
        vp, vq = moments.variance(p).expand(shape), moments.variance(q).expand(shape)
        change = (sp - sq) * (sp + sq)
    disjoint = None
    if is_concrete(vp, vq):
        degenerate = (vp == 0) | (vq == 0)
        if bool(degenerate.any()):
            shared = (vp == 0) & (vq == 0) & (mean_difference == 0)
            disjoint = (degenerate & ~shared).any(-1)
            one = torch.ones((), dtype=vp.dtype, device=vp.device)
            vp, vq, sp, sq = (torch.where(degenerate, one, x) for x in (vp, vq, sp, sq))
            zero = torch.zeros_like(one)
            change, mean_difference = (torch.where(degenerate, zero, x) for x in (change, mean_difference))
    e, z = change / vq, mean_difference / sq
    return Whitened(e, z, e, vp / vq, z, mean_difference / sp, disjoint)


def _difference_and_shift(p: Gaussian, q: Gaussian) -> tuple[Tensor, Tensor]:
    """Return `D` and `z` of a pair that is not diagonal."""
    mean_difference = p.parameters["mean"] - q.parameters["mean"]
    if _elementwise(q):
        s = moments.deviation(q)
        D = covariance_difference(p, q) / (s.unsqueeze(-1) * s.unsqueeze(-2))
        return _symmetric(D), mean_difference / s
    if p.parameterisation == q.parameterisation == "precision":
        U = precision_factor(q.parameters["precision"])
        z = (U.mT @ mean_difference.unsqueeze(-1)).squeeze(-1)
        change = p.parameters["precision"] - q.parameters["precision"]
        left = torch.linalg.solve_triangular(U, _symmetric(change), upper=True)
        E = _symmetric(torch.linalg.solve_triangular(U, left.mT, upper=True))
        return _symmetric(
            -torch.linalg.solve(torch.eye(p.dimension, dtype=E.dtype, device=E.device) + E, E)
        ), z
    L = lower_factor(q)
    z = solve_lower(L, mean_difference.unsqueeze(-1)).squeeze(-1)
    if p.parameterisation == q.parameterisation == "scale_tril":
        X = solve_lower(L, p.parameters["scale_tril"].tril() - L)
        return _symmetric(X + X.mT + X @ X.mT), z
    return _symmetric(solve_lower(L, solve_lower(L, covariance_difference(p, q)).mT)), z


def _symmetric(matrix: Tensor) -> Tensor:
    return 0.5 * (matrix + matrix.mT)


def _spectrum(
    difference: Tensor, z: Tensor, root: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the excess, ratio, forward and backward shift, (..., k).

    NaN for items that hold something not finite.
    """
    given = difference, root, inverse
    good = torch.stack([x.isfinite().all(-1).all(-1) for x in given]).all(0)
    D, M, N = (torch.where(good[..., None, None], x, torch.zeros_like(x)) for x in given)
    excess, V = torch.linalg.eigh(D)
    ratio = 1 + excess
    forward = (V.mT @ z.unsqueeze(-1)).squeeze(-1)
    far = (excess.abs() > NEAR).any(-1, keepdim=True)
    if not is_concrete(D) or bool(far.any()):
        # Singular values descend; in N they are the inverses of those in M, so N is read backwards.
        U, s, _ = torch.linalg.svd(M)
        W, t, _ = torch.linalg.svd(N)
        s, t = s.flip(-1), 1 / t
        large = _from_the_large(s, t)
        root = torch.where(large, s, t)
        from_large = (U.flip(-1).mT @ z.unsqueeze(-1)).squeeze(-1)
        from_small = (W.mT @ (N @ z.unsqueeze(-1))).squeeze(-1) * root
        ratio = torch.where(far, root.square(), ratio)
        excess = torch.where(far, ratio - 1, excess)
        forward = torch.where(far, torch.where(large, from_large, from_small), forward)
    bad = ~good.unsqueeze(-1)
    excess, ratio, forward = (torch.where(bad, torch.nan, x) for x in (excess, ratio, forward))
    return excess, ratio, forward, forward / ratio.sqrt()


def _from_the_large(s: Tensor, t: Tensor) -> Tensor:
    """Return which singular values are taken from `M`, where the large ones are accurate; the others are from
    `N`.

    The ascending values are split at their largest gap, so that no two nearly equal ones, whose vectors may
    be any basis of a plane, come from both; without a gap all are taken from `M`.
    """
    value = torch.where(s >= (s[..., -1:] * t[..., :1]).sqrt(), s, t)
    if value.shape[-1] == 1:
        return torch.ones_like(value, dtype=torch.bool)
    gap, place = (value[..., 1:] / value[..., :-1]).max(-1, keepdim=True)
    return (torch.arange(value.shape[-1], device=value.device) > place) | (gap < LEAST_GAP)
