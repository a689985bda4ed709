r"""The categorical posterior: :math:`q(k \mid x) = \prod_i \pi_{i, k_i}(x)`, with a gradient through its draws.

Jang, Gu and Poole (2017), "Categorical Reparameterization with Gumbel-Softmax"; Maddison, Mnih and Teh
(2017), "The Concrete Distribution". The latent is discrete, written as unit vectors. The bound is that of the
discrete model: the reconstruction at discrete draws, the KL between categoricals in closed form, importance
weights of masses. Only the quantity that is differentiated uses a relaxation, and its gradient is biased for
that:

* ``straight_through=true``: the decoder sees the discrete draw, with the gradient of its relaxation;
* ``straight_through=false``: in the surrogate loss alone, the decoder sees the relaxation. Only objectives with one
  reconstruction per example can tell the two apart; others refuse it.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import Posterior, PosteriorTraits
from vaekit.distributions import CategoricalCodes, OneHotCodes
from vaekit.errors import UsageError
from vaekit.language.schedules import Annealed, Schedule, check_scalar

__all__ = ["CategoricalPosterior"]


class CategoricalPosterior(Annealed, nn.Module, Posterior):
    r"""``categorical``: independent categorical variables.

    Parameters
    ----------
    latent
        The number of variables; a latent is ``(latent * categories,)``, unit vectors one after the other.
    categories
        The number of categories of each variable.
    temperature
        :math:`\tau` of the relaxation; may follow a schedule, such as ``linear:1..0.5/30``.
    straight_through
        Whether the decoder sees discrete draws in training.

    Raises
    ------
    UsageError
        For an option out of range.

    Examples
    --------
    >>> posterior = CategoricalPosterior(2, categories=3)
    >>> q = posterior(torch.zeros(5, 6))
    >>> q.sample().shape, q.mean[0]
    (torch.Size([5, 6]), tensor([0.3333, 0.3333, 0.3333, 0.3333, 0.3333, 0.3333]))
    """

    traits = PosteriorTraits(space="codes")
    temperature: float
    unit: Tensor

    def __init__(
        self,
        latent: int,
        *,
        categories: int = 10,
        temperature: float | Schedule = 0.67,
        straight_through: bool = True,
    ) -> None:
        nn.Module.__init__(self)
        if latent < 1:
            raise UsageError(f"latent={latent}: a latent space needs at least 1 dimension")
        if categories < 2:
            raise UsageError(
                f"categorical: categories={categories}; give at least 2, or there is nothing to choose from"
            )
        check_scalar(
            "categorical", "temperature", temperature, at_least=_COLDEST, meaning="1 is warm, 0.1 is cold"
        )
        Annealed.__init__(self, temperature=temperature)
        self.relaxed = not straight_through
        self.traits = replace(self.traits, relaxed=self.relaxed)
        self.positions, self.categories = latent, categories
        self.feature_shape = (latent * categories,)
        self.latent_shape = (latent * categories,)
        self.register_buffer("unit", torch.ones(()), persistent=False)  # has the type of the model

    @property
    def codebook(self) -> OneHotCodes:
        """The code space: it says how codes are written as latents, for a prior over codes."""
        return OneHotCodes(self.positions, self.categories, self.unit.dtype)

    @property
    def shared(self) -> dict[str, int]:
        """The numbers of positions and codes, for a prior over the same codes."""
        return {"positions": self.positions, "codes": self.categories}

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., latent * categories)`` into a distribution over as many numbers."""
        logits = features.unflatten(-1, (self.positions, self.categories))
        return CategoricalCodes(logits, self.codebook, temperature=self.temperature, relaxed=self.relaxed)


_COLDEST = 1e-3  # below it the gradient of a draw is zero or enormous
