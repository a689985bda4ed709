r"""Singular Gaussians seen on their common support.

Two Gaussians with singular covariances either live on the same affine subspace, and then everything about the
pair is that of their restrictions to it, or each gives the other's support no mass at all.
"""

import torch
from torch import Tensor

from vaekit.gaussian.factorization import solve_lower

__all__ = ["common_support", "reduce_to_support"]


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
    """A basis (k, r) of the directions both covariances span, scaled; None where the supports differ.

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
    """`D`, `z`, `W`, `L_p` and `L_q` on the support."""
    k, r = basis.shape
    p, q, difference = (basis.mT @ S @ basis for S in (Sp, Sq, Sp - Sq))
    Lp, Lq = torch.linalg.cholesky(0.5 * (p + p.mT)), torch.linalg.cholesky(0.5 * (q + q.mT))
    inner = solve_lower(Lq, solve_lower(Lq, 0.5 * (difference + difference.mT)).mT)
    W = torch.nn.functional.pad(solve_lower(Lq, basis.mT), (0, 0, 0, k - r))
    D = torch.nn.functional.pad(0.5 * (inner + inner.mT), (0, k - r, 0, k - r))
    rest = torch.eye(k - r, dtype=D.dtype, device=D.device)
    return D, W @ mean_difference, W, torch.block_diag(Lp, rest), torch.block_diag(Lq, rest)
