r"""What an encoder sees of counts and levels: the same numbers on a scale that networks like.

Maps without parameters in front of an encoder. The likelihood still judges the data as they are.
"""

from typing import Any

from torch import Tensor, nn

__all__ = ["CenteredLevels", "LeadingLatents", "LogCounts", "TransformedInput"]


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
