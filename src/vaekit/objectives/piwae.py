r"""Different bounds for decoder and encoder ("partially" importance weighted).

.. math::

    \nabla_\theta &: \log \frac 1 {MK} \sum_{m,k} w_{m,k} && \text{decoder and prior: IWAE of } M K \text{ samples} \\
    \nabla_\phi   &: \frac 1 M \sum_m \log \frac 1 K \sum_k w_{m,k} && \text{encoder: MIWAE}

Rainforth et al. (2018), "Tighter Variational Bounds are Not Necessarily Better", section 5.1. Both gradients come
out of one pass: sample :math:`(m, k)` counts :math:`v = w / \sum w` for the decoder and :math:`u = w / (M \sum_k w)`
for the encoder, and :math:`u / v` is one factor per group, which a gate puts on the path through :math:`z`.
"""

from math import log

from torch import Tensor

from vaekit.contracts import Objective, ObjectiveResult
from vaekit.language.schedules import check_count
from vaekit.objectives.importance import draw, log_mean_exp, with_gradient_of
from vaekit.vae import VAE

__all__ = ["PartiallyImportanceWeighted"]

# Nats. A group this far below the others counts exp(-36) = 2e-16 of them for the decoder instead of still less,
# so that its factor, exp(36), is finite and the encoder loses nothing.
_LARGEST_LOG_FACTOR = 36.0


class PartiallyImportanceWeighted(Objective):
    r"""``piwae``: the decoder learns from IWAE, the encoder from MIWAE.

    Parameters
    ----------
    samples
        :math:`K`, importance samples inside a logarithm of the encoder's objective.
    groups
        :math:`M`, logarithms in the encoder's mean. The bound that is reported is that of :math:`M K` samples.

    Raises
    ------
    UsageError
        If either is below 1.

    Examples
    --------
    >>> PartiallyImportanceWeighted(groups=-1)
    Traceback (most recent call last):
    vaekit.errors.UsageError: piwae: groups=-1; give a whole number of at least 1
    """

    def __init__(self, *, samples: int = 8, groups: int = 8) -> None:
        check_count("piwae", "samples", samples)
        check_count("piwae", "groups", groups)
        self.samples = samples
        self.groups = groups
        self.draws = samples * groups

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        draws = draw(model, x, c, self.groups * self.samples, gated=True)
        log_weight = draws.log_weight.detach()
        grouped = log_weight.unflatten(0, (self.groups, self.samples))  # (groups, samples, batch)
        of_group = grouped.logsumexp(1, keepdim=True)
        log_factor = (log_weight.logsumexp(0) - of_group - log(self.groups)).clamp(max=_LARGEST_LOG_FACTOR)
        encoder = ((grouped - of_group).exp() / self.groups).flatten(0, 1)  # u, (groups * samples, batch)
        log_factor = log_factor.expand_as(grouped).flatten(0, 1)
        decoder = encoder * (-log_factor).exp()  # v
        source = decoder * draws.log_joint - encoder * draws.log_posterior
        if draws.gate is not None:
            source = source + draws.gate.close(log_factor.exp())
        bound = log_mean_exp(draws.log_weight)
        return draws.result(bound, with_gradient_of(bound, source.sum(0)))
