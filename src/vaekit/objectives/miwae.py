r"""The mean of several importance-weighted bounds ("multiply" importance weighted).

.. math:: \mathcal L_{M,K}(x) = \frac 1 M \sum_{m=1}^M \log \frac 1 K \sum_{k=1}^K w_{m,k}

Rainforth et al. (2018), "Tighter Variational Bounds are Not Necessarily Better", equation 15: :math:`K` samples
to a bound, :math:`M` bounds to a mean, so that the encoder's gradient keeps its signal. Not the objective for
missing data of Mattei and Frellsen (2019), which has the same abbreviation.
"""

from torch import Tensor

from vaekit.contracts import Objective, ObjectiveResult
from vaekit.language.schedules import check_count
from vaekit.objectives.importance import draw, log_mean_exp
from vaekit.vae import VAE

__all__ = ["MultiplyImportanceWeighted"]


class MultiplyImportanceWeighted(Objective):
    r"""``miwae``: a mean of ``groups`` IWAE bounds of ``samples`` samples each.

    Parameters
    ----------
    samples
        :math:`K`, importance samples inside a logarithm. The bound that is reported is that of :math:`K` samples.
    groups
        :math:`M`, logarithms in the mean; with 1 this is IWAE, with 1 sample it is an ELBO of :math:`M` draws.

    Raises
    ------
    UsageError
        If either is below 1.

    Examples
    --------
    >>> MultiplyImportanceWeighted(samples=0)
    Traceback (most recent call last):
    vaekit.errors.UsageError: miwae: samples=0; give a whole number of at least 1
    """

    def __init__(self, *, samples: int = 8, groups: int = 8) -> None:
        check_count("miwae", "samples", samples)
        check_count("miwae", "groups", groups)
        self.samples = samples
        self.groups = groups
        self.draws = samples * groups

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        draws = draw(model, x, c, self.groups * self.samples)
        grouped = draws.log_weight.unflatten(0, (self.groups, self.samples))  # (groups, samples, batch)
        bound = log_mean_exp(grouped, 1).mean(0)
        return draws.result(bound, bound)
