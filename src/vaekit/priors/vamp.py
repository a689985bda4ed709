r"""The VampPrior, :math:`p(z) = \frac 1 K \sum_{j=1}^K q(z \mid u_j)`.

Tomczak and Welling (2018), "VAE with a VampPrior", equation 9: a mixture of the posteriors of learned
*pseudo-inputs* :math:`u_j`. The prior is given the encoder at every call (see :mod:`vaekit.vae`), so that a
copy of the model uses its own encoder. Where the encoder is conditional, each pseudo-input has a
*pseudo-condition*, which is learned too; the prior itself is then the same for every condition.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from vaekit.contracts import Prior, PriorTraits
from vaekit.errors import UsageError

__all__ = ["VampPrior"]


class VampPrior(nn.Module, Prior):
    r"""``vamp``: the average posterior of learned pseudo-inputs.

    Parameters
    ----------
    event_shape
        The shape of :math:`x`, in the coordinates of the model.
    lower, upper
        The interval of the data. Where both are finite, a sigmoid keeps the pseudo-inputs in it.
    condition
        The number of numbers in a condition; 0: the encoder takes none.
    components
        :math:`K`, the number of pseudo-inputs.

    Raises
    ------
    UsageError
        If there is no component.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=8", prior="vamp:components=5"), (3,), latent=2)
    >>> model.prior().log_prob(torch.zeros(4, 2)).shape
    torch.Size([4])
    """

    traits = PriorTraits(
        needs=frozenset({"encode"}),
        space="any",  # the posterior's
        needs_density=True,
        needs_spread=True,  # otherwise all but the points of its pseudo-inputs would have probability 0
    )

    def __init__(
        self,
        event_shape: tuple[int, ...],
        lower: float = -torch.inf,
        upper: float = torch.inf,
        condition: int = 0,
        *,
        components: int = 500,
    ) -> None:
        super().__init__()
        if components < 1:
            raise UsageError(f"vamp: components={components}; give at least 1")
        self.lower, self.upper = lower, upper
        self.raw = nn.Parameter(torch.randn(components, *event_shape))
        self.conditions = nn.Parameter(torch.randn(components, condition)) if condition else None

    @property
    def pseudo_inputs(self) -> Tensor:
        """The pseudo-inputs, ``(components, *event_shape)``, inside the interval of the data."""
        if -torch.inf < self.lower and self.upper < torch.inf:
            return self.lower + (self.upper - self.lower) * self.raw.sigmoid()
        return self.raw

    def forward(self, *, encode: Callable[..., Distribution]) -> Distribution:
        """Return the prior over the latent space of ``encode``."""
        q = (
            encode(self.pseudo_inputs)
            if self.conditions is None
            else encode(self.pseudo_inputs, self.conditions)
        )
        weights = Categorical(logits=self.raw.new_zeros(len(self.raw)), validate_args=False)
        return MixtureSameFamily(weights, q, validate_args=False)
