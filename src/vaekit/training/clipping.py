r"""Clipping by global norm: a gradient longer than a limit is shortened to it (Pascanu et al., 2013, algorithm 1).

.. math::

    g \leftarrow g \, \min\!\left(1, \frac{c}{\lVert g \rVert}\right), \qquad
    \lVert g \rVert^2 = \sum_{\theta} \lVert \partial_\theta \rVert^2 .

A gradient that is short enough is left exactly as it is.
"""

from collections.abc import Callable, Iterable

import torch
from torch import (
    Tensor,
    _foreach_mul_,  # pyright: ignore
    _foreach_norm,  # pyright: ignore
    nn,
)

from vaekit.training.shards import local_part

__all__ = ["clip_gradient", "global_norm"]


def global_norm(gradients: list[Tensor]) -> Tensor:
    """The norm of all numbers of some tensors together.

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
    """Shorten the gradient of parameters in place, and give the norm that it had, a scalar on its device.

    Nothing is read back from an accelerator. Parameters without gradient play no part. ``norm_of`` gives the norm of
    gradients of which other processes hold shards.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = norm_of(gradients)
    here = [local_part(gradient) for gradient in gradients]
    if norm.device.type != "cpu":
        _foreach_mul_(here, (limit / norm).clamp(max=1.0))
    elif norm > limit:
        _foreach_mul_(here, limit / norm)
    return norm
