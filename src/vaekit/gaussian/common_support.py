r"""Singular Gaussians, bad items, and what a divergence is then.

Two Gaussians with singular covariances either live on the same affine subspace, and then everything about the
pair is that of their restrictions to it, or each gives the other's support no mass at all. If only `p` is
singular, or the supports differ, `KL(p || q)` is infinite.
"""

import torch
from torch import Tensor

from vaekit.gaussian import moments
from vaekit.gaussian.dense import Plan, quantities
from vaekit.gaussian.stable import solve_lower
from vaekit.gaussian.state import GaussianState

__all__ = ["common_support", "divergence_on_support", "mended", "reduce_to_support"]


def reduce_to_support(
    pair: tuple[Tensor, Tensor, Tensor, Tensor],
    whitened: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
    singular: Tensor,
    resolution: float,
) -> tuple[Tensor, ...]:
    """Replace the singular items by their restriction to the common support, filled up with equal directions.

    ``pair`` is `S_p`, `S_q`, `m_p - m_q` and `|m_p| + |m_q|`, ``whitened`` is `D`, `z`, `W`, `L_p` and `L_q`.
    Returns the latter, and which items have no common support (these become a pair of equals).
    """
    shape, k = singular.shape, pair[0].shape[-1]
    Sp, Sq, change, size = (x.reshape(-1, *x.shape[len(shape) :]) for x in pair)
    columns = [list(x.reshape(-1, *x.shape[len(shape) :]).unbind()) for x in whitened]
    disjoint = torch.zeros(singular.numel(), dtype=torch.bool, device=Sp.device)
    eye = torch.eye(k, dtype=Sp.dtype, device=Sp.device)
    zero = torch.zeros_like(eye)
    for i in torch.argwhere(singular.reshape(-1)).flatten().tolist():
        basis = common_support(Sp[i], Sq[i], change[i], size[i], resolution)
        disjoint[i] = basis is None
        replaced = (zero, zero[0], zero, eye, eye)
        if basis is not None:
            replaced = _restricted(basis, Sp[i], Sq[i], change[i])
        for column, value in zip(columns, replaced, strict=True):
            column[i] = value
    stacked = [torch.stack(column) for column in columns]
    return (*(x.reshape(*shape, *x.shape[1:]) for x in stacked), disjoint.reshape(shape))


def common_support(
    Sp: Tensor, Sq: Tensor, mean_difference: Tensor, mean_size: Tensor, resolution: float
) -> Tensor | None:
    """Return a scaled basis (k, r) of the directions that both covariances span; None where the supports differ.

    Judged relative to the standard deviations, within what the rounding of the input allows.
    """
    with torch.no_grad():
        scale = torch.maximum(Sp.diagonal(), Sq.diagonal()).clamp_min(0).sqrt()
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        tolerance = 8 * scale.numel() * resolution
        spectra = []
        for S in (Sp, Sq):
            unit = S / scale.unsqueeze(-1) / scale
            values, vectors = torch.linalg.eigh(0.5 * (unit + unit.mT))
            spectra.append((unit, values > tolerance * values[-1].clamp_min(0), vectors, values[-1]))
        (unit_p, kept_p, _, top_p), (_, kept_q, vectors, _) = spectra
        if int(kept_p.sum()) != int(kept_q.sum()):
            return None
        null = vectors[:, ~kept_q]
        leak = (null.mT @ unit_p @ null).abs().amax() if null.numel() else unit_p.new_zeros(())
        offset = (null.mT @ (mean_difference / scale)).abs().amax() if null.numel() else leak
        size = (mean_size / scale).amax()
        if bool(leak > tolerance * top_p) or bool(offset > tolerance * size):
            return None
        return vectors[:, kept_q] / scale.unsqueeze(-1)


def _restricted(basis: Tensor, Sp: Tensor, Sq: Tensor, mean_difference: Tensor) -> tuple[Tensor, ...]:
    """Return `D`, `z`, `W`, `L_p` and `L_q` on the support."""
    k, r = basis.shape
    p, q, difference = (basis.mT @ S @ basis for S in (Sp, Sq, Sp - Sq))
    Lp, Lq = torch.linalg.cholesky(0.5 * (p + p.mT)), torch.linalg.cholesky(0.5 * (q + q.mT))
    inner = solve_lower(Lq, solve_lower(Lq, 0.5 * (difference + difference.mT)).mT)
    W = torch.nn.functional.pad(solve_lower(Lq, basis.mT), (0, 0, 0, k - r))
    D = torch.nn.functional.pad(0.5 * (inner + inner.mT), (0, k - r, 0, k - r))
    rest = torch.eye(k - r, dtype=D.dtype, device=D.device)
    return D, W @ mean_difference, W, torch.block_diag(Lp, rest), torch.block_diag(Lq, rest)


def mended(value: Tensor, p: GaussianState, q: GaussianState, on_error: str) -> Tensor:
    """Return the values with an error or NaN for bad items, and with what is due for singular ones."""
    if on_error == "raise":
        p.validate("p: ")
        q.validate("q: ")
    with torch.no_grad():
        bad = (p.bad_items() | q.bad_items()).expand(value.shape)
        finished = torch.where(value.isnan(), torch.inf, value)
        singular_p, singular_q = (g.singular_items().expand(value.shape) & ~bad for g in (p, q))
        finished[singular_p | singular_q] = torch.inf
        both = singular_p & singular_q
        for index in both.nonzero().tolist():
            finished[tuple(index)] = divergence_on_support(*(one_item(g, index) for g in (p, q)))
        finished[bad] = torch.nan
        regular_items = value.isfinite() & ~bad & ~singular_p & ~singular_q
    return torch.where(regular_items, value, finished)


def one_item(g: GaussianState, index: list[int]) -> tuple[Tensor, Tensor, float]:
    """Return mean and covariance of one item of the broadcast batch, in float64, and the rounding of the input."""
    g = g.promoted()
    last = index[len(index) - len(g.batch_shape) :]
    own = tuple(i if size > 1 else 0 for i, size in zip(last, g.batch_shape, strict=True))
    mean = g.parameters["mean"].expand(*g.batch_shape, g.dimension)
    S = moments.covariance(g).expand(*g.batch_shape, g.dimension, g.dimension)
    return mean[own], S[own], g.resolution


def divergence_on_support(p: tuple[Tensor, Tensor, float], q: tuple[Tensor, Tensor, float]) -> Tensor:
    """Return the divergence of singular p and q on their common support, or infinity where the supports differ."""
    mean_p, S_p, eps_p = p
    mean_q, S_q, eps_q = q
    k = mean_p.shape[-1]
    tolerance = 64 * k * max(eps_p, eps_q)
    # The unit of each coordinate is its larger deviation, so that the tolerances mean the same everywhere.
    unit = torch.maximum(S_p.diagonal(), S_q.diagonal()).clamp_min(0).sqrt()
    unit = torch.where(unit > 0, unit, torch.ones_like(unit))
    S_p, S_q = (S / unit / unit.unsqueeze(-1) for S in (S_p, S_q))
    difference = (mean_p - mean_q) / unit
    eigenvalues, vectors = torch.linalg.eigh(S_q)
    inside = eigenvalues > tolerance * eigenvalues[-1].clamp_min(0)
    V, N = vectors[:, inside], vectors[:, ~inside]
    infinite = torch.full((), torch.inf, dtype=torch.float64, device=mean_p.device)
    slack = tolerance * ((mean_p.abs() + mean_q.abs()) / unit + 1).sum()
    if bool((N.mT @ difference).abs().amax() > slack) or bool((N.mT @ S_p @ N).abs().amax() > tolerance):
        return infinite
    if V.shape[-1] == 0:
        return torch.zeros_like(infinite)
    inner_p, inner_q = (V.mT @ S @ V for S in (S_p, S_q))
    if bool(torch.linalg.eigvalsh(inner_p)[0] <= tolerance * torch.linalg.eigvalsh(inner_p)[-1]):
        return infinite
    plan = Plan("covariance", "covariance", 1, "auto")
    return quantities(plan, (V.mT @ difference, torch.zeros_like(V[0]), inner_p, inner_q))[0]
