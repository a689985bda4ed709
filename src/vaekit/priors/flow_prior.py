r"""The flow prior: a density of any shape, learned with the rest or fitted afterwards.

.. math:: z = m + s \odot f(u), \quad u \sim \mathcal N(0, I), \qquad
          \log p(z) = \log \mathcal N(u; 0, I) - \log \left| \det \frac{\partial z}{\partial u} \right|

Chen et al. (2017), "Variational Lossy Autoencoder", section 3.2; the maps are those of Papamakarios, Pavlakou
and Murray (2017), "Masked Autoregressive Flow for Density Estimation", or of Durkan et al. (2019), "Neural
Spline Flows".
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import Prior
from vaekit.distributions import FlowDistribution, LocatedFlow, masked_affine_steps, spline_steps
from vaekit.distributions.normals import independent_normal
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound

__all__ = ["FlowPrior"]


class FlowPrior(nn.Module, Prior):
    """``flow``: a standard Gaussian carried along a flow; its density, which training needs, takes one pass.

    It starts near the standard Gaussian; location :math:`m` and scale :math:`s` are learned too. ``maf``
    draws one latent dimension after the other. ``spline`` draws in two passes per layer, and changes the
    shape within 5 scale units of the location. The ``mean`` of the distribution is the image of the origin,
    not the expectation.

    Parameters
    ----------
    latent_shape
        The shape of :math:`z`, ``(k,)``.
    kind
        ``maf``, masked autoregressive affine steps, or ``spline``, coupled rational-quadratic splines.
    layers
        The number of steps.
    hidden
        Sizes of the hidden layers of each step's network. None: one layer, of 64 units or (``maf``) :math:`k`,
        whichever is more.

    Raises
    ------
    UsageError
        If a size is too small, or the kind is not known.

    Examples
    --------
    >>> prior = FlowPrior((2,), kind="spline")
    >>> prior().sample(torch.Size((5,))).shape, prior().log_prob(torch.zeros(5, 2)).shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    zeros: Tensor
    ones: Tensor

    def __init__(
        self,
        latent_shape: tuple[int, ...],
        *,
        kind: Literal["maf", "spline"] = "maf",
        layers: int = 4,
        hidden: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        if kind not in ("maf", "spline"):
            raise UsageError(f"flow: kind={kind!r}; there are maf and spline")
        (k,) = latent_shape
        build = masked_affine_steps if kind == "maf" else spline_steps
        self.flow = LocatedFlow(build("flow", k, layers=layers, hidden=hidden))
        self.location = nn.Parameter(torch.zeros(k))
        self.log_scale = nn.Parameter(torch.zeros(k))
        self.register_buffer("zeros", torch.zeros(k), persistent=False)
        self.register_buffer("ones", torch.ones(k), persistent=False)

    def forward(self) -> Distribution:
        """Return the prior over ``(k,)``."""
        base = independent_normal(self.zeros, self.ones)
        return FlowDistribution(base, self.flow, (self.location, soft_bound(self.log_scale), None))
