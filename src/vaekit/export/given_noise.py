r"""Draws from noise that is given: a posterior's own sampling, with its random numbers taken from a tensor.

A reparameterised draw is a function :math:`z = g(\epsilon, x)` of standard normal numbers. Inside
:class:`GivenNoise` every call of torch that would make such numbers takes the next ones of a tensor instead, so that
any posterior made of normals (diagonal, full, low-rank, flows) becomes a deterministic function of x and noise.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name

from vaekit.errors import UsageError

__all__ = ["GivenNoise", "noise_width"]

_OTHERS = {
    "bernoulli", "bernoulli_", "binomial", "cauchy_", "exponential_", "geometric_", "log_normal_", "multinomial",
    "normal", "normal_", "poisson", "rand", "rand_like", "randint", "randint_like", "randn_like", "random_", "uniform_",
    "_sample_dirichlet", "_standard_gamma",
}  # fmt: skip


class GivenNoise(TorchFunctionMode):
    """A block in which standard normal numbers come from a tensor.

    Parameters
    ----------
    noise
        ``(draws, n, width)``: what is taken, from left to right. None: zeros, whose number is counted.

    Examples
    --------
    >>> q = torch.distributions.Normal(torch.tensor([[1.0, 2.0]]), 3.0)
    >>> with GivenNoise(torch.tensor([[[0.0, 1.0]]])):
    ...     q.rsample((1,))
    tensor([[[1., 5.]]])
    """

    def __init__(self, noise: Tensor | None) -> None:
        super().__init__()
        self.noise, self.taken = noise, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Give noise for normal numbers, and refuse other random ones."""
        kwargs = {} if kwargs is None else kwargs
        name = (resolve_name(func) or "").rpartition(".")[2]
        if name == "normal_" and len(args) == 1 and not kwargs:
            return self._next(tuple(args[0].shape))
        if name == "normal" and len(args) == 2 and isinstance(args[0], Tensor):
            return args[0] + args[1] * self._next(tuple(args[0].shape))
        if name == "randn":
            shape = args[0] if args and isinstance(args[0], (tuple, list)) else args
            return self._next(tuple(kwargs.get("size", shape)))
        if name in _OTHERS:
            raise UsageError(f"its posterior draws other random numbers than normal ones ({name})")
        return func(*args, **kwargs)

    def _next(self, shape: tuple[Any, ...]) -> Tensor:
        width = prod(shape[2:])
        start, self.taken = self.taken, self.taken + width
        if self.noise is None:
            return torch.zeros(shape)
        return self.noise[..., start : self.taken].reshape(shape)


def noise_width(draw: Callable[[tuple[int, ...]], Tensor]) -> int:
    """Return how many standard normal numbers a draw takes; ``draw`` is called with a sample shape.

    Raises
    ------
    UsageError
        Where it takes other random numbers too.

    Examples
    --------
    >>> noise_width(torch.distributions.Normal(torch.zeros(4, 3), 1.0).rsample)
    3
    """
    with GivenNoise(None) as counting:
        draw((2,))
    return counting.taken
