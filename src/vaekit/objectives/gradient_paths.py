r"""The paths a gradient takes: rows scaled on the way back, and parameters held fixed.

A gate in the backward pass: scale the gradient of some rows by factors that are known only later.

The doubly reparameterised gradient weighs the path through :math:`z` otherwise than the decoder, with weights
that depend on what the decoder says of :math:`z`. So the factors are not there yet when :math:`z` enters the
decoder: they come back with the gradient, on two tickets of value zero that are handed out with :math:`z` and
added to the loss at its end. One pass, one loss, no hook: it compiles to one graph.

A distribution with its parameters held fixed, for :math:`\log q(z \mid x)` as a function of :math:`z` alone.
"""

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.distributions.constraints import Constraint

from vaekit.contracts import Described
from vaekit.errors import UsageError

__all__ = ["GradientGate", "open_gate", "stop_gradient"]


class GradientGate(NamedTuple):
    """What :func:`open_gate` gives.

    Parameters
    ----------
    z
        The same values.
    numerator, denominator
        Zeros of the batch shape.
    """

    z: Tensor
    numerator: Tensor
    denominator: Tensor

    def close(self, factor: Tensor) -> Tensor:
        """Zeros of the batch shape, to be added to the loss of each row: the gradient of its ``z`` is scaled."""
        return factor.detach() * self.numerator + self.denominator


def open_gate(z: Tensor, batch_dims: int) -> GradientGate:
    """Let ``z`` through a gate.

    Parameters
    ----------
    z
        ``(*batch, *event)``.
    batch_dims
        The number of batch dimensions: a factor for each row of them.

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
        # A row that does not count has gradients of zero on both tickets.
        factor = torch.where(denominator == 0, 0.0, numerator / denominator)
        return gradient * factor.reshape(*factor.shape, *[1] * (gradient.dim() - factor.dim())), None


def stop_gradient(distribution: Distribution) -> Distribution:
    """Return the same distribution with parameters that no gradient flows into.

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
