r"""Between the ELBO and the importance-weighted bound ("combination" importance weighted).

.. math:: \beta \, \frac 1 K \sum_k \log w_k + (1 - \beta) \log \frac 1 K \sum_k w_k

Rainforth et al. (2018), "Tighter Variational Bounds are Not Necessarily Better", equation 17.
"""

from torch import Tensor

from vaekit.contracts import Objective, ObjectiveResult
from vaekit.language.schedules import Annealed, Schedule, check_count, check_scalar
from vaekit.objectives.importance import draw, log_mean_exp
from vaekit.vae import VAE

__all__ = ["CombinationImportanceWeighted"]


class CombinationImportanceWeighted(Annealed, Objective):
    r"""``ciwae``: a convex combination of the ELBO and IWAE, from the same samples.

    Parameters
    ----------
    samples
        :math:`K`, importance samples an example. The bound that is reported is IWAE's of :math:`K` samples,
        whatever ``beta`` is.
    beta
        Share of the ELBO in what is differentiated: 1 is the ELBO (of :math:`K` draws), 0 is IWAE.

    Raises
    ------
    UsageError
        If ``samples`` is below 1 or ``beta`` is not in [0, 1].

    Examples
    --------
    >>> CombinationImportanceWeighted(beta=1.5)
    Traceback (most recent call last):
    vaekit.errors.UsageError: ciwae: beta=1.5; give a number from 0 to 1 (1 is the ELBO, 0 is IWAE)
    """

    beta: float

    def __init__(self, *, samples: int = 64, beta: float | Schedule = 0.05) -> None:
        check_count("ciwae", "samples", samples)
        check_scalar("ciwae", "beta", beta, at_most=1.0, meaning="1 is the ELBO, 0 is IWAE")
        super().__init__(beta=beta)
        self.samples = self.draws = samples

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        draws = draw(model, x, c, self.samples)
        log_weight = draws.log_weight
        bound = log_mean_exp(log_weight)
        return draws.result(bound, self.beta * log_weight.mean(0) + (1.0 - self.beta) * bound)
