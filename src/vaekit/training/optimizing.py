r"""Moving weights along a gradient that is not too long: clipping by global norm, and the optimisers.

A gradient longer than a limit :math:`c` is shortened to it (Pascanu et al., 2013, algorithm 1); one that is
short enough is left exactly as it is:

.. math::

    g \leftarrow g \, \min\!\left(1, \frac{c}{\lVert g \rVert}\right), \qquad
    \lVert g \rVert^2 = \sum_{\theta} \lVert \partial_\theta \rVert^2 .
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import (
    Tensor,
    _foreach_mul_,  # pyright: ignore
    _foreach_norm,  # pyright: ignore
    nn,
)

from vaekit.language.optimizers import Adam, parse_optimizer
from vaekit.runtime.first_imports import import_quietly
from vaekit.runtime.fused_adam import FusedAdam
from vaekit.runtime.spread import is_spread, local_part

__all__ = ["Optimizer", "adam", "build_optimizer", "clip_gradient", "global_norm"]


class Optimizer(Protocol):
    """The optimisers of a run, torch's or our own: they move parameters, and tell and take their state.

    Attributes
    ----------
    param_groups : list of dict
        The parameters and their learning rates, ``lr``, for the next step.
    state : mapping
        Tensors by name for every parameter that was moved.
    """

    param_groups: list[dict[str, Any]]

    @property
    def state(self) -> Mapping[Any, Any]:
        """Tensors by name for every parameter that was moved."""
        ...

    def step(self) -> Any:
        """Move the parameters that have a gradient."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Remove the gradients."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the state, with numbers in the place of parameters."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from such a state."""
        ...


def build_optimizer(spec: str, parameters: Iterable[nn.Parameter], learning_rate: float) -> Optimizer:
    """Return the optimiser of some parameters for a spec such as ``adam:epsilon=1e-4``.

    Raises
    ------
    UsageError
        For a spec that cannot be read.
    """
    options = parse_optimizer(spec)
    if isinstance(options, Adam):
        betas = (options.beta1, options.beta2)
        return adam(parameters, learning_rate, betas, options.epsilon, amsgrad=options.amsgrad)
    import_quietly("torch._dynamo")  # which torch's optimisers import
    return torch.optim.RMSprop(
        _groups(parameters),
        lr=learning_rate,
        alpha=options.decay,
        eps=options.epsilon,
        momentum=options.momentum,
        centered=options.centered,
    )


def adam(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float = 1e-8,
    *,
    amsgrad: bool = False,
) -> FusedAdam:
    """Return Adam, whose kernel moves all parameters in one go."""
    return FusedAdam(_groups(parameters), lr=learning_rate, betas=betas, eps=epsilon, amsgrad=amsgrad)


def _groups(parameters: Iterable[nn.Parameter]) -> list[dict[str, list[nn.Parameter]]]:
    """Keep parameters that are spread over processes apart from whole ones: no kernel takes both at once."""
    given = list(parameters)
    groups = [[p for p in given if is_spread(p) is spread] for spread in (False, True)]
    return [{"params": group} for group in groups if group]


def global_norm(gradients: list[Tensor]) -> Tensor:
    """Return the norm of all numbers of some tensors together.

    >>> import torch
    >>> global_norm([torch.tensor([2.0, 3.0]), torch.tensor(6.0)])
    tensor(7.)
    """
    if not gradients:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack(_foreach_norm(gradients)))


def clip_gradient(
    parameters: Iterable[nn.Parameter],
    limit: float,
    norm_of: Callable[[list[Tensor]], Tensor] = global_norm,
) -> Tensor:
    """Shorten the gradient of parameters in place, and return the norm that it had, a scalar on its device.

    Nothing is read back from an accelerator. Parameters without gradient play no part. ``norm_of`` returns
    the norm of gradients of which other processes may hold parts.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = norm_of(gradients)
    here = [local_part(gradient) for gradient in gradients]
    if norm.device.type != "cpu":
        _foreach_mul_(here, (limit / norm).clamp(max=1.0))
    elif norm > limit:
        _foreach_mul_(here, limit / norm)
    return norm
