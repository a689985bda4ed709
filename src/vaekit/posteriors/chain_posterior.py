r"""Several stochastic layers, from the data up: :math:`q(h_1 \mid x)\, q(h_2 \mid h_1) \cdots q(h_L \mid h_{L-1})`.

Burda, Grosse and Salakhutdinov (2015), "Importance Weighted Autoencoders", equation 1 and section 5; Rezende,
Mohamed and Wierstra (2014), "Stochastic Backpropagation and Approximate Inference in Deep Generative Models".
The latent is :math:`z = (h_1, \dots, h_L)`, side by side, so that every objective and every evaluation treats
the layers as one. The decoder sees :math:`h_1` alone, which the module ``decoder_input`` cuts out.
:func:`vaekit.sentence.build_vae` puts it before the decoder; a model that is built by hand needs it there too
(see :class:`vaekit.networks.TransformedInput`).
"""

from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import Posterior
from vaekit.distributions import ChainDistribution, GaussianLayer
from vaekit.errors import UsageError
from vaekit.networks.layers import Activation
from vaekit.networks.network_inputs import LeadingLatents
from vaekit.posteriors.gaussian_posteriors import DiagonalPosterior

__all__ = ["ChainPosterior"]


class ChainPosterior(nn.Module, Posterior):
    r"""``chain``: two or more layers of diagonal Gaussians, each given the one below.

    Use it with ``prior=chain``, which runs in the opposite direction: :math:`p(h_L) \cdots p(h_1 \mid h_2)`.

    Parameters
    ----------
    latent
        Length of :math:`h_1`, the layer that the decoder sees. The whole latent has ``latent`` and ``sizes``
        together.
    sizes
        Lengths of the further layers :math:`h_2, \dots, h_L`.
    hidden
        Sizes of the deterministic layers between one stochastic layer and the next.
    activation
        Applied after each of those.

    Raises
    ------
    UsageError
        If there is no further layer, or a size is below 1.

    Examples
    --------
    >>> import torch
    >>> posterior = ChainPosterior(3, sizes=(2,), hidden=(8,))
    >>> posterior(torch.zeros(5, 6)).rsample().shape, posterior.latent_shape, posterior.decoder_shape
    (torch.Size([5, 5]), (5,), (3,))
    """

    def __init__(
        self,
        latent: int,
        *,
        sizes: tuple[int, ...] = (8,),
        hidden: tuple[int, ...] = (64,),
        activation: Activation = "tanh",
    ) -> None:
        super().__init__()
        if not sizes or any(size < 1 for size in (*sizes, *hidden)):
            raise UsageError(
                f"chain: sizes={'x'.join(map(str, sizes)) or 'none'}, hidden={'x'.join(map(str, hidden)) or 'none'}; "
                "give the further layers by their lengths, such as sizes=50 or sizes=50x20 (without one, use diagonal)"
            )
        self.first = DiagonalPosterior(latent)
        self.sizes = (latent, *sizes)
        self.layers = nn.ModuleList(
            GaussianLayer(below, above, hidden=hidden, activation=activation)
            for below, above in zip(self.sizes[:-1], self.sizes[1:], strict=True)
        )
        self.feature_shape = self.first.feature_shape
        self.latent_shape = (sum(self.sizes),)

    @property
    def decoder_shape(self) -> tuple[int, ...]:
        """The shape of the first layer, the one that the decoder sees."""
        return self.sizes[:1]

    @property
    def decoder_input(self) -> nn.Module:
        """The module before the decoder, which cuts out the first layer."""
        return LeadingLatents(*self.decoder_shape)

    @property
    def shared(self) -> dict[str, Any]:
        """The lengths of the layers, for a prior of the same chain."""
        return {"layer_sizes": self.sizes}

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., 2 latent)`` into a distribution over all layers."""
        return ChainDistribution(self.first(features), list(self.layers), self.sizes, last_first=False)
