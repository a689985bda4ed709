r"""Optimal transport between Gaussians: the 2-Wasserstein distance and the optimal map.

$$ W_2^2(p, q) = |m_p - m_q|^2 + \min_{U^T U = I} | A - B U |_F^2, \qquad S_p = A A^T, \; S_q = B B^T, $$
a sum of squares, so neither negative nor complex, for singular covariances too. The minimum is at the
orthogonal polar factor `U` of `B^T A` (the Procrustes problem). Where p and q are close, `A - B U` keeps no
digit; then `A = B (I + S)` with `I + S` the symmetric root of `I + D`, `U = I + V`, and `V` solves
$$ K V + V P = F - F^T U, \qquad K = B^T B, \; F = K S, \; K + F = U P, $$
so that `B U - A = B (V - S)` without a difference of large numbers. The gradient of `W_2^2` with respect to
`S_p` is `I - T` with the optimal map `T` from p to q, from the same numbers.

The root of a symmetric matrix is differentiated where eigenvalues are equal, too: `R^2 = A` has the
derivative that solves `R dR + dR R = dA`, in the eigenvectors of `A` with eigenvalues `\lambda`
$$ \left( V^\top dR\, V \right)_{ij} = \frac{\left( V^\top dA\, V \right)_{ij}}{\sqrt{\lambda_i} + \sqrt{\lambda_j}}, $$
without the differences of eigenvalues that the derivative of an eigenvector divides by.

References
----------
Olkin, Pukelsheim (1982), The distance between two random vectors with given dispersion matrices; Bhatia,
Jain, Lim (2019), On the Bures-Wasserstein distance between positive definite matrices, section 2.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vaekit.gaussian import moments
from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.exceptions import SingularCovarianceError
from vaekit.gaussian.kl import deliver, pair_of
from vaekit.gaussian.parameters import first_index, is_concrete
from vaekit.gaussian.relative import NEAR, lower_factor, whitened
from vaekit.gaussian.spectral import identity_plus, safe_sqrt
from vaekit.gaussian.stable import KnownValue
from vaekit.gaussian.transformation import in_common_units

__all__ = ["AffineMap", "optimal_map", "wasserstein"]


class AffineMap(NamedTuple):
    """`x -> matrix x + offset`, with shapes (..., k, k) and (..., k)."""

    matrix: Any
    offset: Any


def wasserstein(p: Any, q: Any, *, squared: bool = False) -> Any:
    r"""Return the 2-Wasserstein distance, (...), in the units of the vectors, a metric, also for singular
    covariances.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        Batches broadcast. Between two diagonal Gaussians no k x k matrix is formed.
    squared : bool
        The square of the distance, whose gradient is smooth at p = q, where the distance has a kink and takes
        the gradient 0.

    Returns
    -------
    tensor or array (...)
        Never negative, exactly 0 for p = q. Where a covariance is singular, gradients are those along its
        support, and second derivatives are NaN.

    Raises
    ------
    GaussianError
        For a pair of different sizes, dtypes or devices.

    Examples
    --------
    >>> v = [1.0, 4.0]
    >>> float(wasserstein(Gaussian([3.0, 0.0], variance=v), Gaussian([0.0, 4.0], variance=v)))
    5.0
    >>> line = [[1.0, 1.0], [1.0, 1.0]]
    >>> float(wasserstein(([0.0, 0.0], line), ([0.0, 0.0], [[4.0, 4.0], [4.0, 4.0]])).round(12))
    1.414213562373
    """
    p, q = pair_of(p, q)
    first, second, power = in_common_units(p.promoted(), q.promoted(), uniform=True)
    square = _square(first, second)
    value = square if squared else safe_sqrt(square)
    if power is not None:
        value = value / power / power if squared else value / power
    return deliver(value, p, q)


def optimal_map(p: Any, q: Any) -> AffineMap:
    r"""Return the map `x -> m_q + T (x - m_p)` that carries p to q at the least mean squared distance.

    `T = L_p^{-T} (L_p^T S_q L_p)^{1/2} L_p^{-1}`, symmetric, positive semidefinite, `T S_p T = S_q`.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        Batches broadcast. p must not be singular; q may be.

    Returns
    -------
    AffineMap
        ``matrix`` (..., k, k) and ``offset`` (..., k), without gradients.

    Raises
    ------
    SingularCovarianceError
        Where p is singular: a map can not spread out what has no extent.

    Examples
    --------
    >>> matrix, offset = optimal_map(([1.0], [[4.0]]), ([0.0], [[9.0]]))
    >>> matrix, offset
    (array([[1.5]]), array([-1.5]))
    """
    p, q = pair_of(p, q)
    if is_concrete(*p.parameters.values()) and bool(torch.as_tensor(p.is_singular, device=p.device).any()):
        index = first_index(torch.as_tensor(p.is_singular, device=p.device))
        raise SingularCovarianceError(
            "an optimal map from p needs a density, but the covariance of p is singular"
            f"{f' at batch index {index}' if index else ''}; try the map from q to p, or marginal() to the "
            "coordinates in which p is not singular",
            batch_index=index,
        )
    with torch.no_grad():
        a, b = p.promoted(), q.promoted()
        A, B = a.scale_tril, b.scale_tril
        _, s, Vh = torch.linalg.svd(B.mT @ A)
        half = torch.linalg.solve_triangular(A.mT, Vh.mT, upper=True)
        root = half * s.sqrt().unsqueeze(-2)
        matrix = root @ root.mT
        offset = b.parameters["mean"] - (matrix @ a.parameters["mean"].unsqueeze(-1)).squeeze(-1)
    return AffineMap(deliver(matrix, p, q), deliver(offset, p, q))


def _square(p: Gaussian, q: Gaussian) -> Tensor:
    shape = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
    between_means = (p.parameters["mean"] - q.parameters["mean"]).square().sum(-1)
    if p.structure in ("diagonal", "isotropic") and q.structure in ("diagonal", "isotropic"):
        return (between_means + _deviation_difference(p, q).square().sum(-1)).expand(shape)
    Sp, Sq = moments.covariance(p), moments.covariance(q)
    with torch.no_grad():
        residual = _residual(p, q, shape)
    return between_means + SquaredBures.apply(
        Sp.expand(*shape, *Sp.shape[-2:]), Sq.expand(*shape, *Sq.shape[-2:]), *residual
    )


def _deviation_difference(p: Gaussian, q: Gaussian) -> Tensor:
    """Return `s_p - s_q` in units that add up to k coordinates, (..., k)."""
    sp, sq = moments.deviation(p), moments.deviation(q)
    if not p.parameterisation == q.parameterisation == "variance":
        return sp - sq
    total = sp + sq
    change = p.parameters["variance"] - q.parameters["variance"]
    return torch.where(total > 0, change / torch.where(total > 0, total, torch.ones_like(total)), change)


class SquaredBures(torch.autograd.Function):
    """`|G|_F^2`, `G = B U - A`, as a function of `S_p = A A^T` and `S_q = B B^T`; gradients `I - T`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(Sp: Tensor, Sq: Tensor, G: Tensor, U: Tensor, A: Tensor, B: Tensor) -> Tensor:
        return G.square().sum((-2, -1))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        Sp, Sq, G, U, A, B = ctx.saved_tensors
        grad = grad_outputs[0][..., None, None]
        to_p = -_symmetric(G @ torch.linalg.pinv(A))
        to_q = _symmetric((G @ U.mT) @ torch.linalg.pinv(B))
        if torch.is_grad_enabled():
            # To be differentiated again: the same values, now as functions of the covariances.
            to_p = KnownValue.apply(-transport_matrix(Sp, Sq), to_p)
            to_q = KnownValue.apply(-transport_matrix(Sq, Sp), to_q)
        return grad * to_p, grad * to_q, None, None, None, None


def _residual(p: Gaussian, q: Gaussian, shape: torch.Size) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return `B U - A` of the Procrustes problem, `U`, and the factors `A` and `B` that it is about."""
    k = p.dimension
    A, B = lower_factor(p).expand(*shape, k, k), lower_factor(q).expand(*shape, k, k)
    W, _, Xh = torch.linalg.svd(B.mT @ A)
    polar = W @ Xh
    residual = B @ polar - A
    # The best of two: the polar factor may be off by rounding, and equal factors are exactly at distance 0.
    plain = B - A
    better = (plain.square().sum((-2, -1)) <= residual.square().sum((-2, -1)))[..., None, None]
    eye = torch.eye(k, dtype=polar.dtype, device=polar.device)
    far = torch.where(better, plain, residual), torch.where(better, eye, polar), A
    singular = (p.is_singular | q.is_singular).expand(shape) if is_concrete(A) else None
    if singular is not None and bool(singular.all()):
        return *far, B
    near, *others = _near_residual(p, q, B)
    near = near if singular is None else near & ~singular
    G, U, factor = (torch.where(near[..., None, None], *both) for both in zip(others, far, strict=True))
    return G, U, factor, B


def _near_residual(p: Gaussian, q: Gaussian, B: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return where the pair is close, and there `B U - A`, `U` and `A` for `A = B (I + D)^{1/2}`."""
    pair = whitened(p, q)
    if pair.frame is None:
        good = torch.ones_like(pair.excess[..., 0], dtype=torch.bool)
        eye = torch.eye(p.dimension, dtype=B.dtype, device=B.device).expand(B.shape)
        spectrum = pair.excess, eye
    else:
        good = pair.difference.isfinite().all(-1).all(-1)
        spectrum = torch.linalg.eigh(torch.where(good[..., None, None], pair.difference, 0.0))
    excess, V = spectrum
    near = good & (excess.abs() <= NEAR).all(-1)
    excess = torch.where(near.unsqueeze(-1), excess, torch.zeros_like(excess))
    S = (V * (excess / (1 + (1 + excess).sqrt())).unsqueeze(-2)) @ V.mT
    K = B.mT @ B
    F = K @ S
    W, pi, Xh = torch.linalg.svd(K + F)
    U = W @ Xh
    kappa, Q = torch.linalg.eigh(K)
    total = kappa.clamp_min(0).unsqueeze(-1) + pi.unsqueeze(-2)
    right = Q.mT @ (F - F.mT @ U) @ Xh.mT
    inner = torch.where(total > 0, right / torch.where(total > 0, total, torch.ones_like(total)), 0.0)
    turn = Q @ inner @ Xh
    return near, B @ (turn - S), U, B @ identity_plus(S)


def _symmetric(matrix: Tensor) -> Tensor:
    return 0.5 * (matrix + matrix.mT)


class SymmetricRoot(torch.autograd.Function):
    """The positive semidefinite root of a positive definite matrix (..., k, k), to be differentiated once."""

    generate_vmap_rule = True

    @staticmethod
    def forward(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eigenvalues, V = torch.linalg.eigh(0.5 * (A + A.mT))
        root = eigenvalues.clamp_min(0).sqrt()
        return (V * root.unsqueeze(-2)) @ V.mT, root, V

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output[1:])

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor
    ) -> Tensor:
        root, V = ctx.saved_tensors
        inner = V.mT @ (0.5 * (grad_outputs[0] + grad_outputs[0].mT)) @ V
        return V @ (inner / (root.unsqueeze(-1) + root.unsqueeze(-2))) @ V.mT


def transport_matrix(Sp: Tensor, Sq: Tensor) -> Tensor:
    """Return `T` with `T S_p T = S_q`, `L_p^{-T} (L_p^T S_q L_p)^{1/2} L_p^{-1}`, as a differentiable function.

    NaN where one of the covariances is not positive definite.

    >>> S = torch.tensor([[4.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    >>> transport_matrix(S, torch.eye(2, dtype=torch.float64))
    tensor([[0.5000, 0.0000],
            [0.0000, 1.0000]], dtype=torch.float64)
    """
    eye = torch.eye(Sp.shape[-1], dtype=Sp.dtype, device=Sp.device)
    with torch.no_grad():
        failed = (torch.linalg.cholesky_ex(Sp).info != 0) | (torch.linalg.cholesky_ex(Sq).info != 0)
        failed = failed[..., None, None]
    # Not a constant: its derivative is to be NaN as well.
    undefined = torch.where(failed, torch.nan, torch.zeros_like(Sp)) * (Sp + Sq)
    Sp, Sq = torch.where(failed, eye, Sp), torch.where(failed, eye, Sq)
    L = torch.linalg.cholesky(Sp)
    R = SymmetricRoot.apply(L.mT @ Sq @ L)[0]  # pyright: ignore[reportOptionalSubscript]
    half = torch.linalg.solve_triangular(L.mT, R, upper=True)
    T = torch.linalg.solve_triangular(L.mT, half.mT, upper=True)
    return torch.where(failed, undefined, T)
