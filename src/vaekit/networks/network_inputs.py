"""Modules at the input of a network: maps of the data, and a condition beside it.

The maps have no parameters, and bring counts, levels and columns to a scale that suits networks; the
likelihood still evaluates the unchanged data. A condition makes :math:`f(x, c)` from any network of one
argument: rows and latents are lengthened by :math:`c`, and images, for a network that needs images, get one
constant channel for each of its numbers.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from vaekit.contracts import Network
from vaekit.errors import UsageError

__all__ = [
    "CenteredLevels",
    "ColumnInputs",
    "ConditionedInput",
    "FilledCells",
    "LeadingLatents",
    "LogCounts",
    "ObservedInputs",
    "TransformedInput",
    "conditioned_decoder",
    "conditioned_encoder",
    "require_condition",
]


class LogCounts(nn.Module):
    r"""Counts of any size: :math:`\operatorname{sign}(x) \log(1 + |x|)`.

    It is :math:`\log(1 + x)` for counts, and finite with a gradient everywhere else: learned pseudo-inputs
    may become negative.

    Examples
    --------
    >>> import torch
    >>> LogCounts()(torch.tensor([0.0, 1.0, 1e6]))
    tensor([ 0.0000,  0.6931, 13.8155])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to the same shape."""
        # One of the two terms is always exactly 0. A product with sign(x) would lose the gradient at zero.
        return x.clamp(min=0).log1p() - (-x).clamp(min=0).log1p()


class CenteredLevels(nn.Module):
    """Levels 0 to ``levels - 1``, mapped to [-1, 1].

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
    r"""Columns of different types: categories one-hot, the others transformed by kind.

    Category :math:`k` of a number :math:`x` is :math:`\max(0, 1 - |x - k|)`: exactly one-hot for whole
    numbers, and with a gradient between them, for learned pseudo-inputs.

    Parameters
    ----------
    levels
        The number of categories of each group of columns; None where it has none.
    transforms
        The map for each group without categories; None: the identity.
    members
        The numbers of the columns of each group.
    widths
        How many numbers the map of a group makes of all its columns; None: one of each.

    Examples
    --------
    >>> import torch
    >>> ColumnInputs([None, 3], [None, None], [[1], [0]])(torch.tensor([[2.0, 0.7]]))
    tensor([[0.7000, 0.0000, 0.0000, 1.0000]])
    """

    order: Tensor

    def __init__(
        self,
        levels: list[int | None],
        transforms: list[nn.Module | None],
        members: list[list[int]],
        widths: list[int] | None = None,
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
        widths = self.sizes if widths is None else widths
        self.width = sum(
            width if n is None else size * n
            for size, n, width in zip(self.sizes, levels, widths, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, *event)`` to ``(batch, width)``."""
        groups = x.flatten(1).index_select(1, self.order).split(self.sizes, 1)
        seen = []
        for group, n, transform in zip(groups, self.levels, self.transforms, strict=True):
            if n is None:
                seen.append(transform(group))
            else:
                codes = torch.arange(n, dtype=x.dtype, device=x.device)
                seen.append((1 - (group.unsqueeze(-1) - codes).abs()).clamp(min=0).flatten(1))
        return torch.cat(seen, 1)


class ObservedInputs(nn.Module):
    """Rows of which cells may be missing (NaN): 0 in their place, and further inputs that say which are missing.

    Of standardised numbers 0 is the mean, and a missing category is no category.

    Parameters
    ----------
    transform
        The map of the observed cells, entry by entry; None: the identity.
    masked
        For each cell whether it has a further input: 1 where it is missing, 0 where it is observed.
    fill
        A number that the map takes, to stand for missing cells before it.

    Examples
    --------
    >>> import torch
    >>> ObservedInputs(LogCounts(), [True, False, True])(torch.tensor([[torch.nan, torch.nan, 0.0]]))
    tensor([[0., 0., 0., 1., 0.]])
    """

    masked: Tensor

    def __init__(self, transform: nn.Module | None, masked: Sequence[bool], fill: float = 0.0) -> None:
        super().__init__()
        self.fill = fill
        self.transform = nn.Identity() if transform is None else transform
        places = [j for j, told in enumerate(masked) if told]
        self.register_buffer("masked", torch.tensor(places, dtype=torch.long), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, *event)`` to the inputs of the encoder."""
        missing = x.isnan()
        seen = self.transform(x.masked_fill(missing, self.fill))
        # NaN goes through the map, and shows which of its entries are those of missing cells.
        seen = seen.masked_fill(self.transform(x.detach()).isnan(), 0.0)
        if not len(self.masked):
            return seen
        return torch.cat([seen, missing.flatten(1).index_select(1, self.masked).to(seen.dtype)], -1)


class FilledCells(nn.Module):
    """Rows of which cells may be missing (NaN), with a number of each column's own in their place.

    Examples
    --------
    >>> import torch
    >>> FilledCells([0.0, -1.0])(torch.tensor([[5.0, torch.nan]]))
    tensor([[ 5., -1.]])
    """

    fill: Tensor

    def __init__(self, fill: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("fill", torch.tensor(fill), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, columns)`` to the same shape."""
        return torch.where(x.isnan(), self.fill, x)


class LeadingLatents(nn.Module):
    """The first entries of a latent vector, the part that the decoder of a chain of layers sees.

    Parameters
    ----------
    length
        The number of entries.

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
        Takes the transformed data, and the condition if there is one.

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
        """Transform ``x``, and pass it to the network with the condition."""
        return self.network(self.transform(x), *condition)


class ConditionedInput(nn.Module):
    """A network of the input and the condition together.

    Parameters
    ----------
    network
        Takes ``(batch, size + width)``, or images ``(batch, channels + width, height, width)``.
    width
        The number of numbers in a condition.
    as_channels
        Whether the condition becomes channels of an image.

    Raises
    ------
    UsageError
        When called without a condition, or with one of another width.

    Examples
    --------
    >>> network = ConditionedInput(nn.Linear(6, 2), width=2)
    >>> network(torch.zeros(5, 2, 2), torch.ones(5, 2)).shape
    torch.Size([5, 2])
    """

    def __init__(self, network: nn.Module, *, width: int, as_channels: bool = False) -> None:
        super().__init__()
        self.network, self.width, self.as_channels = network, width, as_channels

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Map ``x`` of shape ``(batch, *event)`` and ``c`` of shape ``(batch, width)``."""
        c = require_condition(c)
        if c.shape != (len(x), self.width):
            raise UsageError(
                f"the condition has shape {tuple(c.shape)}; expected ({len(x)}, {self.width}): one row of "
                f"{self.width} numbers for each example"
            )
        if not self.as_channels:
            return self.network(torch.cat([x.flatten(1), c.to(x.dtype)], 1))
        channels = c.to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return self.network(torch.cat([x, channels], 1))


def conditioned_encoder(
    recipe: Any, input_shape: Sequence[int], output_shape: Sequence[int], width: int
) -> nn.Module:
    """Build the encoder of a recipe, with a condition of ``width`` numbers; 0: without one."""
    if not width:
        return recipe.encoder(input_shape, output_shape)
    if Network in type(recipe).__mro__ and recipe.traits.needs_images:
        channels, *size = input_shape
        network = recipe.encoder((channels + width, *size), output_shape)
        return ConditionedInput(network, width=width, as_channels=True)
    return ConditionedInput(recipe.encoder((prod(input_shape) + width,), output_shape), width=width)


def conditioned_decoder(
    recipe: Any, input_shape: Sequence[int], output_shape: Sequence[int], width: int
) -> nn.Module:
    """Build the decoder of a recipe, with a condition of ``width`` numbers; 0: without one."""
    if not width:
        return recipe.decoder(input_shape, output_shape)
    return ConditionedInput(recipe.decoder((prod(input_shape) + width,), output_shape), width=width)


def require_condition(c: Tensor | None) -> Tensor:
    """Return the condition, or raise a UsageError if there is none."""
    if c is None:
        raise UsageError("the model is conditional: give a condition for every example")
    return c
