"""Distributions with traits, beyond the interface of torch's."""

from torch import Tensor
from torch.distributions import Distribution

from vaekit.contracts.traits import DistributionTraits

__all__ = ["Described", "traits_of"]


class Described(Distribution):
    """A distribution with traits and an auxiliary loss. Abstract.

    Attributes
    ----------
    traits
        The facts about the distribution.
    auxiliary_loss
        A loss, ``(batch,)`` or a scalar in nats, that is minimised together with every objective; None: there
        is none.
    """

    traits: DistributionTraits = DistributionTraits()
    auxiliary_loss: Tensor | None = None

    @property
    def code(self) -> Tensor:
        """The latent point that stands for the distribution: its mean, or the mode of a discrete one."""
        return self.mode if self.traits.discrete else self.mean

    def detached(self) -> Distribution | None:
        """Return the same distribution with fixed parameters; None: copy it attribute by attribute."""
        return None


_PLAIN = DistributionTraits()


def traits_of(distribution: Distribution) -> DistributionTraits:
    """Return the traits of any distribution: torch's own have the default ones.

    Examples
    --------
    >>> import torch
    >>> traits_of(torch.distributions.Normal(0.0, 1.0)).has_density
    True
    """
    return distribution.traits if isinstance(distribution, Described) else _PLAIN
