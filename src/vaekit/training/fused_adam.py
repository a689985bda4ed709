"""Adam with little between its kernel and the caller.

torch's optimiser checks, groups and registers at every step what does not change between steps: on small models that
takes longer than the kernel. This one goes straight to the kernel where all is as it was at the step before, and
otherwise (at the first step, with a parameter that has no gradient, away from the CPU) through torch's own step. The
numbers are the same, and so are the names and the form of the state. Of parameters that are sharded it moves the
shards that are in this process, whole ones beside them, which torch's own step would not.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import (
    Tensor,
    _foreach_add_,  # pyright: ignore
    _fused_adam_,  # pyright: ignore
    nn,
)

from vaekit.language.optimizers import Adam, parse_optimizer
from vaekit.training.shards import is_sharded, local_part

__all__ = ["FusedAdam", "build_optimizer"]

_STATE = ("exp_avg", "exp_avg_sq", "step")


def build_optimizer(
    spec: str, parameters: Iterable[nn.Parameter], learning_rate: float
) -> torch.optim.Optimizer:
    """Return torch's optimiser of some parameters for a spec such as ``adam:epsilon=1e-4``.

    Raises
    ------
    UsageError
        For a spec that cannot be read.
    """
    options = parse_optimizer(spec)
    if isinstance(options, Adam):
        betas = (options.beta1, options.beta2)
        return FusedAdam(parameters, learning_rate, betas=betas, epsilon=options.epsilon)
    return torch.optim.RMSprop(
        parameters,
        lr=learning_rate,
        alpha=options.decay,
        eps=options.epsilon,
        momentum=options.momentum,
        centered=options.centered,
    )


class FusedAdam(torch.optim.Adam):
    """Adam without weight decay: torch's fused kernel, called once a step.

    Parameters
    ----------
    parameters
        To optimise.
    learning_rate
        Of the next step; the loop moves it in ``param_groups``.
    betas, epsilon
        See :mod:`vaekit.language.optimizers`.

    Examples
    --------
    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> adam = FusedAdam([weight], 0.1, betas=(0.9, 0.999))
    >>> for _ in range(2):
    ...     weight.grad = torch.ones(1)
    ...     adam.step()
    >>> round(weight.item(), 4)
    -0.2
    """

    def __init__(
        self, parameters: Any, learning_rate: float, *, betas: tuple[float, float], epsilon: float = 1e-8
    ) -> None:
        super().__init__(parameters, lr=learning_rate, betas=betas, eps=epsilon, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move the parameters along their gradients."""
        moves = None if closure is not None else [self._lists(group) for group in self.param_groups]
        if moves is None or None in moves:
            return super().step(closure)
        for group, lists in zip(self.param_groups, moves, strict=True):
            parameters, gradients, means, squares, steps = lists  # type: ignore[misc]
            _foreach_add_(steps, 1)
            _fused_adam_(
                parameters,
                gradients,
                means,
                squares,
                [],
                steps,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=0.0,
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )
        return None

    def _lists(self, group: dict[str, Any]) -> tuple[list[Tensor], ...] | None:
        """What the kernel takes; None where torch is to see to it."""
        parameters = group["params"]
        if any(map(is_sharded, parameters)):
            return self._shards(parameters)
        gradients = [parameter.grad for parameter in parameters]
        states = [self.state[parameter] for parameter in parameters]
        if not all(states) or any(g is None or g.is_sparse or g.device.type != "cpu" for g in gradients):
            return None
        return (parameters, gradients, *([state[key] for state in states] for key in _STATE))

    def _shards(self, parameters: list[Tensor]) -> tuple[list[Tensor], ...]:
        """What the kernel takes of this process's shards; their state begins with zeros, sharded alike."""
        moving = [parameter for parameter in parameters if parameter.grad is not None]
        for parameter in moving:
            if not self.state[parameter]:
                zeros = {key: torch.zeros_like(parameter) for key in ("exp_avg", "exp_avg_sq")}
                step = torch.zeros((), dtype=torch.float32, device=parameter.device)
                self.state[parameter] = {"step": step, **zeros}
        states = [[self.state[parameter][key] for parameter in moving] for key in _STATE]
        lists = (moving, [parameter.grad for parameter in moving], *states)
        return tuple([local_part(value) for value in values] for values in lists)  # type: ignore[arg-type]
