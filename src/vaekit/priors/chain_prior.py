r"""Several stochastic layers, from the top down: :math:`p(h_L)\, p(h_{L-1} \mid h_L) \cdots p(h_1 \mid h_2)`.

Burda, Grosse and Salakhutdinov (2015), "Importance Weighted Autoencoders", equation 2: the generative half of
a chain, except its last step :math:`p(x \mid h_1)`, which is the likelihood. The top is a standard Gaussian;
all layers below it are learned.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import Prior
from vaekit.distributions import ChainDistribution, GaussianLayer
from vaekit.distributions.normals import independent_normal
from vaekit.errors import UsageError
from vaekit.networks.layers import Activation

__all__ = ["ChainPrior"]


class ChainPrior(nn.Module, Prior):
    r"""``chain``: a standard Gaussian at the top, and a learned diagonal Gaussian for each layer given the one above.

    Parameters
    ----------
    latent_shape
        The shape of the whole latent :math:`z = (h_1, \dots, h_L)`.
    layer_sizes
        Lengths of all layers, bottom first, as a chain posterior offers them.
    sizes
        Lengths of the further layers :math:`h_2, \dots, h_L`. None: those of the chain posterior.
    hidden
        Sizes of the deterministic layers between one stochastic layer and the next.
    activation
        Applied after each of those.

    Raises
    ------
    UsageError
        If the sizes are not known, differ from those of the posterior, or leave nothing for :math:`h_1`.

    Examples
    --------
    >>> prior = ChainPrior((5,), sizes=(2,), hidden=(8,))
    >>> prior().sample(torch.Size((4,))).shape
    torch.Size([4, 5])
    """

    zeros: Tensor
    ones: Tensor

    def __init__(
        self,
        latent_shape: tuple[int, ...],
        layer_sizes: tuple[int, ...] | None = None,
        *,
        sizes: tuple[int, ...] | None = None,
        hidden: tuple[int, ...] = (64,),
        activation: Activation = "tanh",
    ) -> None:
        super().__init__()
        (total,) = latent_shape
        if sizes is None and layer_sizes is None:
            raise UsageError(
                "prior chain: the posterior is one layer, so the lengths of the layers are not known; use "
                "posterior=chain:sizes=..., or give the prior's own, such as chain:sizes=8"
            )
        if sizes is not None and layer_sizes is not None and sizes != layer_sizes[1:]:
            raise UsageError(
                f"prior chain: sizes={_write(sizes)}, but the posterior's further layers have "
                f"{_write(layer_sizes[1:])}; leave the prior's out"
            )
        further = layer_sizes[1:] if sizes is None and layer_sizes is not None else sizes or ()
        self.sizes = (total - sum(further), *further)
        if not further or any(size < 1 for size in (*self.sizes, *hidden)):
            raise UsageError(
                f"prior chain: sizes={_write(further)}, hidden={_write(hidden)} with {total} latent dimensions in all; "
                "every layer needs at least one dimension, the first one too"
            )
        down = self.sizes[::-1]
        self.layers = nn.ModuleList(
            GaussianLayer(above, below, hidden=hidden, activation=activation)
            for above, below in zip(down[:-1], down[1:], strict=True)
        )
        self.register_buffer("zeros", torch.zeros(down[0]), persistent=False)
        self.register_buffer("ones", torch.ones(down[0]), persistent=False)

    def forward(self) -> Distribution:
        """Return the prior over ``latent_shape``."""
        top = independent_normal(self.zeros, self.ones)
        return ChainDistribution(top, list(self.layers), self.sizes[::-1], last_first=True)


def _write(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes)) or "none"
