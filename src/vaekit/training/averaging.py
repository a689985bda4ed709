r"""An exponential moving average of the weights (Polyak and Juditsky, 1992), to be evaluated and kept in their place.

.. math::

    \bar\theta_t = \beta_t \bar\theta_{t-1} + (1 - \beta_t)\, \theta_t, \qquad
    \beta_t = \min\!\left(\beta, \frac{t}{9 + t}\right), \quad t = 1, 2, \ldots

where the second argument forgets the first, random weights in a short run: after the first step the average is
nine tenths of the weights already.
"""

from copy import deepcopy

import torch
from torch import _foreach_lerp_  # pyright: ignore

from vaekit.training.shards import local_part
from vaekit.vae import VAE

__all__ = ["WeightAverage"]


class WeightAverage:
    r"""The average, in a model of its own.

    torch's ``AveragedModel`` reads the number of steps back from the device at every one of them.

    Parameters
    ----------
    model
        Whose weights are averaged.
    decay
        :math:`\beta`.
    into
        A copy of the model, to be averaged in; by default one is made.

    Attributes
    ----------
    model : VAE
        The averaged one.
    steps : int
        How many were averaged.
    """

    def __init__(self, model: VAE, decay: float, *, into: VAE | None = None) -> None:
        self.model = (deepcopy(model) if into is None else into).requires_grad_(False).eval()
        self.decay = decay
        self.steps = 0
        self._pairs = [
            [local_part(value) for value in part.state_dict().values() if value.is_floating_point()]
            for part in (self.model, model)
        ]

    @torch.no_grad()
    def update(self) -> None:
        """Take the model's weights after a step into the average; buffers alike."""
        self.steps += 1
        decay = min(self.decay, self.steps / (9 + self.steps))
        average, weights = self._pairs
        _foreach_lerp_(average, weights, 1 - decay)
