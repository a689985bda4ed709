"""Let `torch.distributions.kl_divergence` use the divergences of this room, when asked to."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
)
from torch.distributions import kl as torch_kl

from vaekit.gaussian.diagonal import normal_kl
from vaekit.gaussian.kl import kl_divergence

__all__ = ["register_with_torch"]

MULTIVARIATE = (MultivariateNormal, LowRankMultivariateNormal, Independent)


def register_with_torch() -> Callable[[], None]:
    """Make `torch.distributions.kl_divergence` compute Gaussians here; returns a function that undoes it.

    Every pair of `Normal`, `Independent(Normal, 1)`, `MultivariateNormal` and `LowRankMultivariateNormal` is
    covered, those included that raise `NotImplementedError` otherwise. Other distributions inside
    `Independent` go the way they went before. Nothing is registered by an import.

    Examples
    --------
    >>> import torch
    >>> from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence
    >>> p = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    >>> q = MultivariateNormal(torch.ones(2), torch.eye(2))
    >>> undo = register_with_torch()
    >>> kl_divergence(p, q)
    tensor(1.)
    >>> undo()
    """
    # torch has a way to add a pair, and none to take it out again.
    registry: dict[Any, Any] = vars(torch_kl)["_KL_REGISTRY"]
    remembered: dict[Any, Any] = vars(torch_kl)["_KL_MEMOIZE"]
    before = dict(registry)
    pairs = [(a, b) for a in MULTIVARIATE for b in MULTIVARIATE]
    for pair in pairs:
        registry[pair] = multivariate(before.get(pair))
    registry[(Normal, Normal)] = univariate
    remembered.clear()

    def undo() -> None:
        for pair in (*pairs, (Normal, Normal)):
            registry.pop(pair, None)
            if pair in before:
                registry[pair] = before[pair]
        remembered.clear()

    return undo


def univariate(p: Normal, q: Normal) -> Tensor:
    """Return the elementwise divergence, for `Normal` by itself."""
    return normal_kl(p.loc, p.scale, q.loc, q.scale)


def multivariate(otherwise: Callable[..., Tensor] | None) -> Callable[..., Tensor]:
    """Return a function that is ours for Gaussians, and what was registered before for anything else."""

    def divergence(p: Distribution, q: Distribution) -> Tensor:
        if is_gaussian(p) and is_gaussian(q):
            return kl_divergence(p, q)
        if otherwise is None:
            raise NotImplementedError(f"no KL between {p} and {q}")
        return otherwise(p, q)

    return divergence


def is_gaussian(distribution: Distribution) -> bool:
    """Return whether it is a Gaussian over vectors."""
    if isinstance(distribution, Independent):
        return isinstance(distribution.base_dist, Normal) and distribution.reinterpreted_batch_ndims == 1
    return True
