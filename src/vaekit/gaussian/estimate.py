"""A Monte Carlo estimate and how far to trust it."""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from vaekit.gaussian.errors import GaussianError
from vaekit.gaussian.moments import deviation, scale_tril
from vaekit.gaussian.parameters import finish

if TYPE_CHECKING:
    from vaekit.gaussian.distribution import Gaussian

__all__ = ["Estimate", "draws", "sample_count"]


class Estimate(NamedTuple):
    """The mean of independent draws and its standard error, each (...), in nats."""

    value: Any
    standard_error: Any

    @classmethod
    def of(
        cls, draws: list[Tensor], weights: list[float], *, dtype: torch.dtype, to_numpy: bool
    ) -> "Estimate":
        """The weighted sum of the means of independent sets of draws (samples, ...)."""
        pairs = list(zip(weights, draws, strict=True))
        value = torch.stack([w * x.mean(0) for w, x in pairs]).sum(0)
        spread = torch.stack([w * w * x.detach().var(0) / x.shape[0] for w, x in pairs]).sum(0).sqrt()
        return cls(finish(value.to(dtype), to_numpy), finish(spread.to(dtype), to_numpy))


def sample_count(samples: int) -> int:
    """The number of draws, at least 2 (one has no standard error)."""
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 2:
        raise GaussianError(f"samples is {samples!r}; expected a whole number of at least 2")
    return samples


def draws(g: "Gaussian", samples: int, shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """Independent draws (samples, *shape, k), reparameterised, for a batch shape that g broadcasts to."""
    noise = torch.randn((samples, *shape, g.dimension), generator=generator, dtype=g.dtype, device=g.device)
    if g.structure in ("diagonal", "isotropic"):
        return g.parameters["mean"] + deviation(g) * noise
    return g.parameters["mean"] + (scale_tril(g) @ noise.unsqueeze(-1)).squeeze(-1)
