r"""What is left when a divergence is not a finite number: bad items, infinite values and singular
covariances.

If `q` is singular, `KL(p || q)` is finite only where `p` lives on the same affine subspace and is not
singular within it;
it is then the divergence between the two on that subspace. If only `p` is singular, or the supports differ,
it is infinite.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vaekit.gaussian.dense import dense_divergence
from vaekit.gaussian.dense_plan import Plan
from vaekit.gaussian.validation import asymmetric_items

if TYPE_CHECKING:
    from vaekit.gaussian.distribution import Gaussian

__all__ = ["divergence_on_support", "mend_failures"]


def mend_failures(
    value: Tensor, p: "Gaussian", q: "Gaussian", on_error: str, checked: bool = False
) -> Tensor:
    """The values with the policy applied to bad items, and what is due for singular ones."""
    regular = bool(value.isfinite().all())
    if regular and (checked or not any(bool(suspicious(g).any()) for g in (p, q))):
        return value
    if on_error == "raise":
        p.validate("p: ")
        q.validate("q: ")
    with torch.no_grad():
        bad = (p.bad_items() | q.bad_items()).expand(value.shape)
        finished = torch.where(value.isnan(), torch.inf, value)
        singular_p = torch.as_tensor(p.is_singular).expand(value.shape) & ~bad
        singular_q = torch.as_tensor(q.is_singular).expand(value.shape) & ~bad
        finished[singular_p | singular_q] = torch.inf
        both = singular_p & singular_q
        for index in both.nonzero().tolist():
            finished[tuple(index)] = divergence_on_support(*(one_item(g, index) for g in (p, q)))
        finished[bad] = torch.nan
        regular_items = value.isfinite() & ~bad & ~singular_p & ~singular_q
    return torch.where(regular_items, value, finished)


def suspicious(g: "Gaussian") -> Tensor:
    """Asymmetric items of a Gaussian whose values have not been looked at yet."""
    name = g.parameterisation
    if g.validated or name not in ("covariance", "precision") or g.promoted().exactly_symmetric():
        return torch.zeros((), dtype=torch.bool)
    return asymmetric_items(g.parameters[name])


def one_item(g: "Gaussian", index: list[int]) -> tuple[Tensor, Tensor, float]:
    """Mean and covariance of one item of the broadcast batch, in float64, and the rounding of the input."""
    g = g.promoted()
    last = index[len(index) - len(g.batch_shape) :]
    own = tuple(i if size > 1 else 0 for i, size in zip(last, g.batch_shape, strict=True))
    return g.mean[own], g.covariance[own], g.resolution


def divergence_on_support(p: tuple[Tensor, Tensor, float], q: tuple[Tensor, Tensor, float]) -> Tensor:
    """The divergence of singular p and q on their common support, or infinity where the supports differ."""
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
    return dense_divergence(plan, V.mT @ difference, torch.zeros_like(V[0]), inner_p, inner_q)
