"""Tensors that are spread over several processes, as torch's ``DTensor``: each process holds a part.

Every function here takes plain tensors too, and leaves them as they are.
"""

import sys
from typing import TYPE_CHECKING, TypeGuard

from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

__all__ = ["is_spread", "local_part", "placed_like", "whole"]


def is_spread(value: Tensor) -> "TypeGuard[DTensor]":
    """Return whether a tensor is spread over several processes.

    >>> import torch
    >>> is_spread(torch.ones(2))
    False
    """
    if "torch.distributed.tensor" not in sys.modules:  # slow to import, and such a tensor needs it
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(value, DTensor)


def local_part(value: Tensor) -> Tensor:
    """Return the part of a tensor that is in this process, in the same memory: all of it, unless it is spread.

    >>> import torch
    >>> local_part(torch.ones(2))
    tensor([1., 1.])
    """
    return value.to_local() if is_spread(value) else value


def whole(value: Tensor) -> Tensor:
    """Return the tensor put together from all its parts; all processes must call this.

    >>> import torch
    >>> whole(torch.ones(2))
    tensor([1., 1.])
    """
    return value.full_tensor() if is_spread(value) else value


def placed_like(value: Tensor, other: Tensor) -> Tensor:
    """Return this process's part of a whole tensor, where the other one is spread; nothing is sent.

    >>> import torch
    >>> placed_like(torch.ones(2), torch.zeros(2))
    tensor([1., 1.])
    """
    if is_spread(value) or not is_spread(other):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(other.device), other.device_mesh, other.placements, src_data_rank=None)
