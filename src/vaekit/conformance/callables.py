"""The three callables of anybody's VAE, given the shape that vaekit's evaluation takes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["ThreeCallables"]


class ThreeCallables:
    r"""``encode``, ``prior`` and ``decode`` of any VAE, as an object that vaekit can evaluate.

    ``decode`` is only ever called with one batch dimension, whatever the number of importance samples.

    Parameters
    ----------
    encode
        From ``(batch, *event)`` to a distribution of batch shape ``(batch,)``.
    prior
        From nothing to a distribution over :math:`z`; a distribution itself will do.
    decode
        From ``(batch, *latent)`` to a distribution of batch shape ``(batch,)`` over :math:`x`.

    Examples
    --------
    >>> from torch.distributions import Bernoulli, Independent, Normal
    >>> import vaekit.evaluation
    >>> model = ThreeCallables(
    ...     encode=lambda x: Independent(Normal(x[:, :2], 1.0), 1),
    ...     prior=Independent(Normal(torch.zeros(2), 1.0), 1),
    ...     decode=lambda z: Independent(Bernoulli(logits=z @ torch.ones(2, 3)), 1),
    ... )
    >>> vaekit.evaluation.log_likelihood(model, torch.ones(5, 3), samples=7).values.shape
    torch.Size([5])
    """

    def __init__(
        self, encode: Callable[[Tensor], Any], prior: Callable[[], Any] | Any, decode: Callable[[Tensor], Any]
    ) -> None:
        self._encode, self._prior, self._decode = encode, prior, decode

    def encode(self, x: Tensor, c: Tensor | None = None) -> Any:
        r"""Give :math:`q(z \mid x)`."""
        return self._encode(x)

    def prior(self, c: Tensor | None = None) -> Any:
        """Give :math:`p(z)`."""
        return self._prior() if callable(self._prior) else self._prior

    def decode(self, z: Tensor, c: Tensor | None = None) -> Any:
        r"""Give :math:`p(x \mid z)` for ``z`` of shape ``(..., batch, *latent)``."""
        event = len(self.prior().event_shape)
        batch_shape = z.shape[: z.dim() - event]
        if len(batch_shape) == 1:
            return self._decode(z)
        return _Reshaped(self._decode(z.flatten(0, len(batch_shape) - 1)), batch_shape)


class _Reshaped:
    """A distribution of one batch dimension that stands for several."""

    def __init__(self, distribution: Any, batch_shape: torch.Size) -> None:
        self._distribution, self._batch_shape = distribution, batch_shape

    def log_prob(self, x: Tensor) -> Tensor:
        event = self._distribution.event_shape
        wide = x.expand(*self._batch_shape, *event).reshape(-1, *event)
        return self._distribution.log_prob(wide).reshape(self._batch_shape)

    def sample(self) -> Tensor:
        drawn = self._distribution.sample()
        return drawn.reshape(*self._batch_shape, *drawn.shape[1:])
