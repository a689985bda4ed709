"""What a pair of parameterisations is, and what can be said of each without solving anything."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from vaekit.gaussian.exact import ExactDivergence, exact_divergence
from vaekit.gaussian.factorization import symmetric_part
from vaekit.gaussian.roots import Root, covariance_from

__all__ = ["NEAR_SQUARED", "Plan", "cancellation", "exact_of", "matrix_of", "taken", "taken_parameters"]

#: Items with `|X|^2` below this (Frobenius) are close: `X` is then found from the difference.
NEAR_SQUARED = 0.25


@dataclass(frozen=True)
class Plan:
    """What the autograd function has to know beside tensors."""

    kind_p: str
    kind_q: str
    count_p: int
    precision: str
    factor_p: Tensor | None = field(default=None, compare=False)
    factor_q: Tensor | None = field(default=None, compare=False)

    def split(
        self, tensors: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The means and the covariance parameters of p and of q."""
        mean_p, mean_q, *rest = tensors
        return mean_p, mean_q, tuple(rest[: self.count_p]), tuple(rest[self.count_p :])


def matrix_of(kind: str, theta: tuple[Tensor, ...]) -> Tensor:
    """A covariance that is known to the bit, as a symmetric matrix."""
    return symmetric_part(theta[0]) if kind == "covariance" else torch.diag_embed(theta[0])


def cancellation(kind: str, theta: tuple[Tensor, ...], root: Root) -> Tensor | None:
    """What Cholesky has lost: the largest ratio of a variance to what the coordinates before leave of it."""
    if kind in ("covariance", "precision"):
        pivots = root.tensor().diagonal(dim1=-2, dim2=-1).square()
        return (theta[0].diagonal(dim1=-2, dim2=-1) / pivots).amax(-1)
    if kind == "factor":
        L = root.tensor()
        return (L.square().sum(-1) / L.diagonal(dim1=-2, dim2=-1).square()).amax(-1)
    return None


def taken(plan: Plan, tensors: tuple[Tensor, ...], mask: Tensor) -> tuple[Tensor, ...]:
    """The masked items of means and parameters, broadcast to the batch first: one batch dimension."""
    mean_p, mean_q, theta_p, theta_q = plan.split(tensors)
    means = tuple(items(t, 1, mask) for t in (mean_p, mean_q))
    return (
        *means,
        *taken_parameters(plan.kind_p, theta_p, mask),
        *taken_parameters(plan.kind_q, theta_q, mask),
    )


def taken_parameters(kind: str, theta: tuple[Tensor, ...], mask: Tensor) -> tuple[Tensor, ...]:
    """The masked items of the parameters of a covariance."""
    if kind == "factor":
        return items(theta[0], 2, mask), items(theta[1], 1, mask)
    dimensions = {"covariance": 2, "scale_tril": 2, "precision": 2, "scale": 0}.get(kind, 1)
    return tuple(items(t, dimensions, mask) for t in theta)


def items(tensor: Tensor, dimensions: int, mask: Tensor) -> Tensor:
    """The masked items of a tensor with so many trailing dimensions."""
    return tensor.expand(mask.shape + tensor.shape[tensor.dim() - dimensions :])[mask]


def exact_of(plan: Plan, *tensors: Tensor) -> ExactDivergence:
    """The same in double-double."""
    mean_p, mean_q, theta_p, theta_q = plan.split(tensors)
    k = mean_p.shape[-1]
    if plan.kind_q == "precision":
        variance_q = 1 / theta_q[0].diagonal(dim1=-2, dim2=-1)
    elif plan.kind_q == "scale":
        variance_q = theta_q[0].square().unsqueeze(-1).expand(*theta_q[0].shape, k)
    elif plan.kind_q in ("variance", "standard_deviation"):
        variance_q = theta_q[0] if plan.kind_q == "variance" else theta_q[0].square()
    else:
        variance_q = covariance_from(plan.kind_q, theta_q, k).diagonal(dim1=-2, dim2=-1)
    return exact_divergence((mean_p, mean_q), (plan.kind_p, theta_p), (plan.kind_q, theta_q), variance_q)
