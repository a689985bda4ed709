"""What likelihoods of overdispersed counts share: features, and whose inverse dispersion it is."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from vaekit.contracts import Likelihood, LikelihoodTraits
from vaekit.likelihoods.counts import COUNTS
from vaekit.likelihoods.measure import require_no_jacobian
from vaekit.likelihoods.stacking import stacked_shape, unstack
from vaekit.networks.inputs import LogCounts

__all__ = ["Dispersion", "OverdispersedCounts"]

Dispersion = Literal["learned", "per-dimension", "per-example"]


class OverdispersedCounts(nn.Module, Likelihood):
    r"""Abstract: counts whose features are log-means, perhaps more, and last, ``per-example``, :math:`\log\theta`.

    Parameters
    ----------
    name
        Of the likelihood, for messages.
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Must be 0: a probability has no units.
    parameters
        How many numbers of each dimension are outputs of the decoder in any case.
    dispersion
        Whose :math:`\theta`.
    """

    traits = LikelihoodTraits(measure="counts", column=True)
    support = COUNTS

    def __init__(
        self,
        name: str,
        event_shape: Sequence[int],
        log_jacobian: float,
        parameters: int,
        dispersion: Dispersion,
    ) -> None:
        super().__init__()
        require_no_jacobian(name, log_jacobian)
        self.event_shape = tuple(event_shape)
        own = dispersion != "per-example"
        self.feature_shape = stacked_shape(self.event_shape, parameters if own else parameters + 1)
        shape = self.event_shape if dispersion == "per-dimension" else ()
        self.log_concentration = nn.Parameter(torch.zeros(shape)) if own else None
        self.encoder_input = LogCounts()

    def features_of(self, log_mean: Tensor) -> Tensor:
        """Give the features with these log-means and 0 for all that is beside them."""
        beside = self.feature_shape[0] // self.event_shape[0] - 1
        return torch.cat([log_mean, *[0 * log_mean] * beside])

    def parameters_of(self, features: Tensor) -> list[Tensor]:
        r"""Take features ``(..., *feature_shape)`` apart; the last is :math:`\log\theta`, the decoder's or our own."""
        parts = list(unstack(features, self.event_shape))
        return parts if self.log_concentration is None else [*parts, self.log_concentration]
