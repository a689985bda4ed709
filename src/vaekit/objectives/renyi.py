r"""The variational Rényi bound.

.. math:: \mathcal L_\alpha(x) = \frac 1 {1 - \alpha} \log \mathbb E_q w^{1 - \alpha}
          \approx \frac 1 {1 - \alpha} \log \frac 1 K \sum_{k=1}^K w_k^{1 - \alpha}

Li and Turner (2016), "Rényi Divergence Variational Inference", equations 4 and 9. The ELBO for
:math:`\alpha \to 1`, IWAE for :math:`\alpha = 0`; above :math:`\log p(x)`, for enough samples, where
:math:`\alpha < 0`.
"""

import torch
from torch import Tensor

from vaekit.contracts import Objective, ObjectiveResult
from vaekit.language.schedules import Annealed, Schedule, check_count, check_scalar
from vaekit.objectives.importance import draw, log_mean_exp
from vaekit.vae import VAE

__all__ = ["Renyi"]


class Renyi(Annealed, Objective):
    r"""``renyi``: a power mean of importance weights, in logarithms.

    Parameters
    ----------
    alpha
        Order of the divergence: above 1 more cautious than the ELBO, below 0 towards the largest weight alone.
    samples
        :math:`K`, importance samples an example. The bound that is reported is IWAE's of :math:`K` samples: a
        lower bound, and comparable, whatever ``alpha`` is.

    Raises
    ------
    UsageError
        If ``samples`` is below 1 or ``alpha`` is not finite.

    Examples
    --------
    >>> Renyi(samples=0)
    Traceback (most recent call last):
    vaekit.errors.UsageError: renyi: samples=0; give a whole number of at least 1
    """

    alpha: float

    def __init__(self, *, alpha: float | Schedule = 0.5, samples: int = 50) -> None:
        check_scalar("renyi", "alpha", alpha, at_least=-float("inf"), meaning="1 is the ELBO, 0 is IWAE")
        check_count("renyi", "samples", samples)
        super().__init__(alpha=alpha)
        self.samples = self.draws = samples

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        draws = draw(model, x, c, self.samples)
        log_weight = draws.log_weight
        return draws.result(log_mean_exp(log_weight), _log_power_mean(log_weight, 1.0 - self.alpha))


def _log_power_mean(log_weight: Tensor, power: float) -> Tensor:
    """Logarithm of the power mean of weights, over the samples; with power 0, of their geometric mean.

    Near power 0 the textbook form divides a rounding error by ``power``: there, relative to the geometric mean,
    ``log1p(mean(expm1(power d))) / power`` loses nothing.
    """
    centre = log_weight.mean(0)
    if power == 0:
        return centre
    scaled = power * (log_weight - centre)
    small = scaled.detach().abs().amax(0) < 1
    # Each form sees zeros where the other is used, so that neither overflows into its gradient.
    near = torch.where(small, scaled, 0.0).expm1().mean(0).log1p()
    far = log_mean_exp(torch.where(small, 0.0, scaled))
    return centre + torch.where(small, near, far) / power
