r"""Singular Gaussians seen on their common support.

Two Gaussians with singular covariances either live on the same affine subspace, and then everything about the
pair is that of their restrictions to it, or each gives the other's support no mass at all.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vaekit.gaussian import moments
from vaekit.gaussian.factorization import solve_lower

if TYPE_CHECKING:
    from vaekit.gaussian.distribution import Gaussian

__all__ = ["common_support", "reduce_to_support"]


def reduce_to_support(
    p: "Gaussian", q: "Gaussian", D: Tensor, z: Tensor, singular: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Replace the singular items by their restriction to the common support, filled up with equal directions.

    Returns `D`, `z`, `L_p`, `L_q`, and which items have no common support (these become a pair of equals).
    """
    shape, k = singular.shape, p.dimension
    Sp = moments.covariance(p).expand(*shape, k, k).reshape(-1, k, k)
    Sq = moments.covariance(q).expand(*shape, k, k).reshape(-1, k, k)
    mp = p.parameters["mean"].expand(*shape, k).reshape(-1, k)
    mq = q.parameters["mean"].expand(*shape, k).reshape(-1, k)
    Lp, Lq = (g.scale_tril.detach().expand(*shape, k, k).reshape(-1, k, k).unbind() for g in (p, q))
    items = [list(x) for x in (D.reshape(-1, k, k).unbind(), z.reshape(-1, k).unbind(), Lp, Lq)]
    disjoint = torch.zeros(singular.numel(), dtype=torch.bool, device=D.device)
    resolution = max(p.resolution, q.resolution)
    eye = torch.eye(k, dtype=D.dtype, device=D.device)
    for i in torch.argwhere(singular.reshape(-1)).flatten().tolist():
        basis = common_support(Sp[i], Sq[i], mp[i], mq[i], resolution)
        if basis is None:
            disjoint[i] = True
            replaced = (torch.zeros_like(eye), torch.zeros_like(eye[0]), eye, eye)
        else:
            replaced = _restricted(basis, Sp[i], Sq[i], mp[i] - mq[i], eye)
        for column, value in zip(items, replaced, strict=True):
            column[i] = value
    D, z, left, right = (torch.stack(column) for column in items)
    return (
        D.reshape(*shape, k, k),
        z.reshape(*shape, k),
        left.reshape(*shape, k, k),
        right.reshape(*shape, k, k),
        disjoint.reshape(shape),
    )


def common_support(Sp: Tensor, Sq: Tensor, mp: Tensor, mq: Tensor, resolution: float) -> Tensor | None:
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
        offset = (null.mT @ ((mp - mq) / scale)).abs().amax() if null.numel() else leak
        size = ((mp.abs() + mq.abs()) / scale).amax()
        if bool(leak > tolerance * top_p) or bool(offset > tolerance * size):
            return None
        return vectors[:, kept_q] / scale.unsqueeze(-1)


def _restricted(
    basis: Tensor, Sp: Tensor, Sq: Tensor, mean_difference: Tensor, eye: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r = basis.shape[-1]
    p, q = basis.mT @ Sp @ basis, basis.mT @ Sq @ basis
    Lp, Lq = torch.linalg.cholesky(0.5 * (p + p.mT)), torch.linalg.cholesky(0.5 * (q + q.mT))
    difference = basis.mT @ (Sp - Sq) @ basis
    inner = solve_lower(Lq, solve_lower(Lq, 0.5 * (difference + difference.mT)).mT)
    shift = solve_lower(Lq, (basis.mT @ mean_difference).unsqueeze(-1)).squeeze(-1)
    pad = eye.shape[-1] - r
    D = torch.nn.functional.pad(0.5 * (inner + inner.mT), (0, pad, 0, pad))
    z = torch.nn.functional.pad(shift, (0, pad))
    rest = eye[r:, r:]
    return D, z, torch.block_diag(Lp.detach(), rest), torch.block_diag(Lq.detach(), rest)
