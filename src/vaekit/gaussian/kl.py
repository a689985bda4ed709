r"""The Kullback-Leibler divergence between Gaussians.

With `S_p = L_p L_p^T`, `S_q = L_q L_q^T`, `M = L_q^{-1} L_p` and `z = L_q^{-1} (m_p - m_q)`,
$$ 2\,\mathrm{KL}(p \| q) = \sum_i \left(M_{ii}^2 - 1 - \log M_{ii}^2\right) + \sum_{i>j} M_{ij}^2 + |z|^2, $$
a sum of non-negative terms.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from vaekit.gaussian.conversion import as_gaussian, same_kind
from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.factorization import solve_lower
from vaekit.gaussian.parameters import finish

__all__ = ["kl_divergence"]


def kl_divergence(
    p: Any,
    q: Any,
    *,
    precision: Literal["auto", "fast", "exact"] = "auto",
    return_error: bool = False,
    on_error: Literal["raise", "nan"] = "raise",
) -> Any:
    """`KL(p || q)` in nats, (...), never negative."""
    check = on_error == "raise"
    p, q = as_gaussian(p, "p", validate=check), as_gaussian(q, "q", validate=check)
    same_kind(p, q)
    value = _dense(p.promoted(), q.promoted()).to(p.dtype)
    return finish(value, p.from_numpy and q.from_numpy)


def _dense(p: Gaussian, q: Gaussian) -> Tensor:
    Lp, Lq = p.scale_tril, q.scale_tril
    M = solve_lower(Lq, Lp)
    z = solve_lower(Lq, (p.mean - q.mean).unsqueeze(-1))
    t = M.diagonal(dim1=-2, dim2=-1) - 1
    diagonal = (t * t + 2 * (t - torch.log1p(t))).sum(-1)
    return 0.5 * (diagonal + M.tril(-1).square().sum((-2, -1)) + z.square().sum((-2, -1)))
