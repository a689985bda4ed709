"""The paths a gradient takes: rows scaled on the way back, and distributions with fixed parameters.

The doubly reparameterised gradient gives the path through :math:`z` another weight than the decoder, and the
weights depend on the decoder's output for :math:`z`. So they are not known yet when :math:`z` enters the
decoder. A *gate* solves this in one pass and one loss, without hooks, so that it compiles to one graph: it
returns :math:`z` with two zeros, which are added to the loss at its end and receive the weights in the
backward pass.
"""

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions.constraints import Constraint

from vaekit.contracts import Described
from vaekit.distributions.normals import PlainNormal
from vaekit.errors import UsageError

__all__ = ["GradientGate", "open_gate", "stop_gradient"]


class GradientGate(NamedTuple):
    """A latent behind a gate, and the zeros that scale its gradient.

    Returned by :func:`open_gate`.

    Parameters
    ----------
    z
        The same values as before the gate.
    numerator, denominator
        Zeros of the batch shape.
    """

    z: Tensor
    numerator: Tensor
    denominator: Tensor

    def close(self, factor: Tensor) -> Tensor:
        """Return zeros of the batch shape; added to the loss of each row, they scale the gradient of its ``z``."""
        return factor.detach() * self.numerator + self.denominator


def open_gate(z: Tensor, batch_dims: int) -> GradientGate:
    """Pass ``z`` through a gate.

    Parameters
    ----------
    z
        ``(*batch, *event)``.
    batch_dims
        The number of batch dimensions; each row of them has its own factor.

    Examples
    --------
    >>> z = torch.ones(2, 3, requires_grad=True)
    >>> gate = open_gate(z, 1)
    >>> loss = gate.z.square().sum(1)
    >>> (loss + gate.close(loss.detach())).mean().backward()  # 2 z / 2, times 3
    >>> z.grad
    tensor([[3., 3., 3.],
            [3., 3., 3.]])
    """
    return GradientGate(*_Gate.apply(z, z.shape[:batch_dims]))


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor, Tensor]:
        return z.view_as(z), z.new_zeros(shape), z.new_zeros(shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        gradient, numerator, denominator = grad_outputs
        # A row without weight in the loss has a gradient of zero on both zeros.
        factor = torch.where(denominator == 0, 0.0, numerator / denominator)
        return gradient * factor.reshape(*factor.shape, *[1] * (gradient.dim() - factor.dim())), None


def stop_gradient(distribution: Distribution) -> Distribution:
    """Return the same distribution with parameters that no gradient flows into.

    It is the result of ``detached()`` of a :class:`vaekit.contracts.Described` distribution that has one, and
    otherwise a copy with every tensor in it detached.

    Parameters
    ----------
    distribution
        The distribution; it is not changed.

    Returns
    -------
    Distribution
        A distribution whose ``log_prob(z)`` still has a gradient with respect to ``z``.

    Raises
    ------
    UsageError
        If it holds something that may have parameters, such as a module.

    Examples
    --------
    >>> loc, z = torch.zeros(1, requires_grad=True), torch.ones(1, requires_grad=True)
    >>> stop_gradient(torch.distributions.Normal(loc, 1.0)).log_prob(z).backward()
    >>> loc.grad, z.grad
    (None, tensor([-1.]))
    """
    if isinstance(distribution, Described) and (held := distribution.detached()) is not None:
        return held
    if type(distribution) is Independent:
        inner = stop_gradient(distribution.base_dist)
        return Independent(inner, distribution.reinterpreted_batch_ndims, validate_args=False)
    if type(distribution) is PlainNormal:
        return PlainNormal(distribution.loc.detach(), distribution.scale.detach(), validate_args=False)
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
