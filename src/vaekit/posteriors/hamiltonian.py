r"""The Hamiltonian posterior: a diagonal Gaussian, then leapfrog steps towards :math:`p(z \mid x)` itself.

Caterini, Doucet and Sejdinovic (2018), "Hamiltonian Variational Auto-Encoder". The force is the gradient of the model's
own :math:`\log p(x, z)`, which is handed in at every call; see :mod:`vaekit.distributions.hamiltonian` for the
dynamics and for the extended density that makes its bounds right.
"""

from collections.abc import Callable
from math import log, sqrt

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.contracts import Posterior, PosteriorTraits
from vaekit.distributions import HamiltonianDistribution
from vaekit.errors import UsageError
from vaekit.networks.bounded import inverse_soft_bound, soft_bound
from vaekit.posteriors.diagonal import LOG_VARIANCE_LIMIT

__all__ = ["HamiltonianPosterior"]


class HamiltonianPosterior(nn.Module, Posterior):
    r"""``hamiltonian``: informed by the decoder's gradient at every step.

    Bounds, importance weights and evaluations are over the extended space of latents and momenta, and hold for
    :math:`\log p(x)` as they stand. Every step costs a gradient of the decoder, for each draw. What needs the
    density at points that are not its own draws is refused: a VampPrior, ``gradient=dreg`` and ``stl``, ``tc``.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    steps
        Leapfrog steps, :math:`K`.
    step_size
        :math:`\varepsilon` at the start; learned, one for each latent dimension. Too large for the curvature of
        :math:`\log p(x, z)` and the dynamics diverge.
    inverse_temperature
        :math:`\beta_0` at the start, in (0, 1]: how hot the momenta are at first, cooled quadratically to 1. Learned
        below 1; 1 is no tempering, and stays.

    Raises
    ------
    UsageError
        If a value is out of range.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=8", posterior="hamiltonian:steps=2"), (3,), latent=2)
    >>> model.encode(torch.ones(4, 3)).rsample().shape
    torch.Size([4, 2])
    """

    traits = PosteriorTraits(needs=frozenset({"log_joint", "x", "condition"}), scores_own_draws_only=True)

    def __init__(
        self, latent: int, *, steps: int = 3, step_size: float = 0.05, inverse_temperature: float = 0.5
    ) -> None:
        super().__init__()
        if latent < 1 or steps < 1:
            raise UsageError(f"hamiltonian: latent={latent}, steps={steps}; both must be at least 1")
        if not 1e-5 < step_size < 1e5:
            raise UsageError(f"hamiltonian: step_size={step_size:g}; give a positive number, such as 0.05")
        if not 1e-6 < inverse_temperature <= 1:
            raise UsageError(
                f"hamiltonian: inverse_temperature={inverse_temperature:g}; give a number above 0, and 1 at most (1 is "
                "no tempering)"
            )
        self.latent_shape = (latent,)
        self.feature_shape = (2 * latent,)
        self.steps = steps
        self.raw_step_size = nn.Parameter(torch.full((latent,), inverse_soft_bound(log(step_size))))
        excess = 1 / sqrt(inverse_temperature) - 1
        self.raw_excess = nn.Parameter(torch.tensor(inverse_soft_bound(log(excess)))) if excess > 0 else None

    @property
    def step_size(self) -> Tensor:
        r""":math:`\varepsilon`, ``(k,)``."""
        return soft_bound(self.raw_step_size).exp()

    @property
    def root_temperature(self) -> Tensor:
        r""":math:`1 / \sqrt{\beta_0}`, a scalar of at least 1."""
        if self.raw_excess is None:
            return torch.ones_like(self.raw_step_size[0])
        return 1 + soft_bound(self.raw_excess).exp()

    def forward(
        self,
        features: Tensor,
        *,
        log_joint: Callable[[Tensor, Tensor, Tensor | None], Tensor],
        x: Tensor,
        condition: Tensor | None,
    ) -> Distribution:
        """Turn features ``(..., 2k)`` of ``x`` into a distribution over ``(k,)``."""
        return self._around(features, lambda z: log_joint(x, z, condition))

    def probe(self, features: Tensor) -> Distribution:
        """Give the distribution without a target: to be looked at before training, not drawn from."""
        return self._around(features, lambda z: z.sum(-1))

    def _around(self, features: Tensor, log_target: Callable[[Tensor], Tensor]) -> Distribution:
        mean, log_variance = features.chunk(2, dim=-1)
        scale = (0.5 * soft_bound(log_variance, LOG_VARIANCE_LIMIT)).exp()
        base = Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)
        return HamiltonianDistribution(base, log_target, self.step_size, self.root_temperature, self.steps)
