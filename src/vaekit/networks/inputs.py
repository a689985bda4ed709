r"""What an encoder sees of counts and levels: the same numbers on a scale that networks like.

Maps without parameters in front of an encoder. The likelihood still judges the data as they are.
"""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["CenteredLevels", "ColumnInputs", "LeadingLatents", "LogCounts", "TransformedInput"]


class LogCounts(nn.Module):
    r"""Counts of any size: :math:`\operatorname{sign}(x) \log(1 + |x|)`.

    It is :math:`\log(1 + x)` for counts, and finite with a slope everywhere else: pseudo-inputs that are learned
    may wander below zero.

    Examples
    --------
    >>> import torch
    >>> LogCounts()(torch.tensor([0.0, 1.0, 1e6]))
    tensor([ 0.0000,  0.6931, 13.8155])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to the same shape."""
        # A product with sign(x) would lose the slope at zero: one of the two terms is always exactly 0.
        return x.clamp(min=0).log1p() - (-x).clamp(min=0).log1p()


class CenteredLevels(nn.Module):
    """Levels 0 to ``levels - 1``, brought to [-1, 1].

    Examples
    --------
    >>> import torch
    >>> CenteredLevels(256)(torch.tensor([0.0, 127.5, 255.0]))
    tensor([-1.,  0.,  1.])
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.largest = levels - 1

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to the same shape."""
        return x * (2 / self.largest) - 1


class ColumnInputs(nn.Module):
    r"""Columns of different types: categories one-hot, the others as their kind wants them.

    Category :math:`k` of a number :math:`x` is :math:`\max(0, 1 - |x - k|)`: exactly one-hot for whole numbers, and
    with a slope between them, for pseudo-inputs that are learned.

    Parameters
    ----------
    levels
        Of each group of columns: how many categories, None where it has none.
    transforms
        Of each group: applied where it has no categories; None: nothing is.
    members
        The columns of each group, by number.

    Examples
    --------
    >>> import torch
    >>> ColumnInputs([None, 3], [None, None], [[1], [0]])(torch.tensor([[2.0, 0.7]]))
    tensor([[0.7000, 0.0000, 0.0000, 1.0000]])
    """

    def __init__(
        self, levels: list[int | None], transforms: list[nn.Module | None], members: list[list[int]]
    ) -> None:
        super().__init__()
        self.levels, self.sizes = levels, [len(columns) for columns in members]
        self.transforms = nn.ModuleList(
            nn.Identity() if t is None or n is not None else t
            for t, n in zip(transforms, levels, strict=True)
        )
        self.register_buffer(
            "order", torch.tensor([j for columns in members for j in columns]), persistent=False
        )
        self.width = sum(size * (n or 1) for size, n in zip(self.sizes, levels, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, *event)`` to ``(batch, width)``."""
        groups = x.flatten(1).index_select(1, self.order).split(self.sizes, 1)  # type: ignore[arg-type]
        seen = []
        for group, n, transform in zip(groups, self.levels, self.transforms, strict=True):
            if n is None:
                seen.append(transform(group))
            else:
                codes = torch.arange(n, dtype=x.dtype, device=x.device)
                seen.append((1 - (group.unsqueeze(-1) - codes).abs()).clamp(min=0).flatten(1))
        return torch.cat(seen, 1)


class LeadingLatents(nn.Module):
    """The first entries of a latent vector: what the decoder of a chain of layers sees.

    Parameters
    ----------
    length
        How many.

    Examples
    --------
    >>> import torch
    >>> TransformedInput(LeadingLatents(2), nn.Identity())(torch.arange(10).reshape(2, 5))
    tensor([[0, 1],
            [5, 6]])
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, z: Tensor) -> Tensor:
        """Cut ``(..., k)`` to ``(..., length)``."""
        return z[..., : self.length]


class TransformedInput(nn.Module):
    """A network behind a map of its input.

    Parameters
    ----------
    transform
        Applied to the data first.
    network
        Takes what comes out of it, and the condition where there is one.

    Examples
    --------
    >>> import torch
    >>> network = TransformedInput(CenteredLevels(3), nn.Flatten())
    >>> network(torch.tensor([[0.0, 1.0, 2.0]]))
    tensor([[-1.,  0.,  1.]])
    """

    def __init__(self, transform: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.transform, self.network = transform, network

    def forward(self, x: Tensor, *condition: Any) -> Tensor:
        """Transform ``x``, and pass everything on."""
        return self.network(self.transform(x), *condition)
