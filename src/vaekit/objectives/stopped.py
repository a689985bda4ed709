r"""A distribution with its parameters held fixed, for :math:`\log q(z \mid x)` as a function of :math:`z` alone."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.distributions.constraints import Constraint

from vaekit.contracts import Described
from vaekit.errors import UsageError

__all__ = ["stop_gradient"]


def stop_gradient(distribution: Distribution) -> Distribution:
    """Give the same distribution with parameters that no gradient flows into.

    A :class:`vaekit.contracts.Described` distribution may have a method ``detached()`` that does it; any other is
    copied with every tensor in it detached.

    Parameters
    ----------
    distribution
        Left as it is.

    Returns
    -------
    Distribution
        Whose ``log_prob(z)`` still has a gradient with respect to ``z``.

    Raises
    ------
    UsageError
        If it holds something that may hide parameters, such as a module.

    Examples
    --------
    >>> loc, z = torch.zeros(1, requires_grad=True), torch.ones(1, requires_grad=True)
    >>> stop_gradient(Normal(loc, 1.0)).log_prob(z).backward()
    >>> loc.grad, z.grad
    (None, tensor([-1.]))
    """
    if isinstance(distribution, Described) and (held := distribution.detached()) is not None:
        return held
    if type(distribution) is Independent:
        inner = stop_gradient(distribution.base_dist)
        return Independent(inner, distribution.reinterpreted_batch_ndims, validate_args=False)
    if type(distribution) is Normal:
        return Normal(distribution.loc.detach(), distribution.scale.detach(), validate_args=False)
    stopped = copy.copy(distribution)
    for name, value in vars(distribution).items():
        stopped.__dict__[name] = _detach(value, f"{type(distribution).__name__}.{name}")
    return stopped


def _detach(value: Any, where: str) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, Distribution):
        return stop_gradient(value)
    if value is None or isinstance(
        value, (bool, int, float, str, torch.Size, Constraint, torch.dtype, torch.device)
    ):
        return value
    if type(value) in (list, tuple):
        return type(value)(_detach(item, where) for item in value)
    if type(value) is dict:
        return {key: _detach(item, where) for key, item in value.items()}
    kind = "a module" if isinstance(value, nn.Module) else f"a {type(value).__name__}"
    raise UsageError(
        f"{where} is {kind}, whose parameters cannot be held apart from its draws; use gradient=standard, or give "
        "the distribution a method detached()"
    )
