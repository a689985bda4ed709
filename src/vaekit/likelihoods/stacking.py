r"""Several parameters per dimension of :math:`x`, stacked along the first dimension of the features.

For an event ``(columns,)`` and ``k`` parameters the features are ``(k * columns,)``; for an image
``(channels, height, width)`` they are ``(k * channels, height, width)``, so that convolutions give them.
"""

from collections.abc import Sequence

from torch import Tensor

__all__ = ["stacked_shape", "unstack"]


def stacked_shape(event_shape: Sequence[int], parameters: int) -> tuple[int, ...]:
    """Give the shape of features with ``parameters`` numbers per dimension of the event.

    Examples
    --------
    >>> stacked_shape((3, 8, 8), 2)
    (6, 8, 8)
    """
    return (parameters * event_shape[0], *event_shape[1:])


def unstack(features: Tensor, event_shape: Sequence[int]) -> Tensor:
    """Bring ``(..., k * event[0], *event[1:])`` to ``(k, ..., *event)``.

    Examples
    --------
    >>> import torch
    >>> mean, log_scale = unstack(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), (2,))
    >>> mean, log_scale
    (tensor([[1., 2.]]), tensor([[3., 4.]]))
    """
    dimension = features.dim() - len(event_shape)
    return features.unflatten(dimension, (-1, event_shape[0])).movedim(dimension, 0)
