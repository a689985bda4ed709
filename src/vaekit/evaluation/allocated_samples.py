r"""Importance samples where they are needed: few for a row that few are enough for, more for the others.

The spread of 100 weights of a row says how many are needed for a standard error of :math:`\epsilon`: with an effective
sample size of :math:`E`, the weights have the relative variance :math:`v = 100 / E - 1`, and :math:`K = v / \epsilon^2`
samples have that error. Where the Pareto shape of the weights says that their variance cannot be trusted
(:mod:`vaekit.evaluation.pareto`), or that its posterior is no proposal at all, a row is given the most. The samples
behind the estimate are drawn anew, so that each value is a lower bound in expectation, as with any number of samples
that is fixed beforehand.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vaekit.contracts import Model
from vaekit.evaluation.importance_sampling import log_likelihood
from vaekit.evaluation.judged_weights import LogLikelihood
from vaekit.evaluation.pareto import shape_limit

__all__ = ["AllocatedLogLikelihood", "allocated_log_likelihood"]

_PILOT = 100
_STEPS = 4  # the factor between two numbers of samples


class AllocatedLogLikelihood(NamedTuple):
    """Estimates with as many importance samples as each row needs.

    Parameters
    ----------
    likelihood
        The estimates; its ``samples`` is the largest number of a row.
    samples
        ``(n,)`` int64: the samples behind each row's value.
    draws
        All draws together, those included that told how many are needed.
    """

    likelihood: LogLikelihood
    samples: Tensor
    draws: int

    @property
    def saving(self) -> float:
        """The share of draws saved, compared with the largest number for every row."""
        return 1 - self.draws / max(1, self.likelihood.samples * len(self.samples))


@torch.no_grad()
def allocated_log_likelihood(
    model: Model, x: Tensor, *, c: Tensor | None = None, error: float = 0.05, most: int = 6400
) -> AllocatedLogLikelihood:
    r"""Estimate :math:`\log p(x)` with as many importance samples as each row needs, with torch's global generator.

    Parameters
    ----------
    model, x, c
        As for :func:`vaekit.evaluation.log_likelihood`.
    error
        The standard error of a row to aim at, in nats.
    most
        The largest number of samples of a row: 100 times a power of 4.

    Returns
    -------
    AllocatedLogLikelihood

    Examples
    --------
    >>> from vaekit.conformance import LinearGaussian
    >>> truth = LinearGaussian.random(columns=3, latent=2)
    >>> found = allocated_log_likelihood(truth.vae(exact=False), truth.draw(50))
    >>> found.likelihood.values.shape, bool(found.saving > 0)
    (torch.Size([50]), True)
    """
    pilot = log_likelihood(model, x, c=c, samples=_PILOT, most_mended=0)
    variance = _PILOT / pilot.effective_sample_size - 1
    needed = torch.full((len(x),), most, dtype=torch.int64)
    steps = [_PILOT]
    while steps[-1] * _STEPS <= most:
        steps.append(steps[-1] * _STEPS)
    for samples in reversed(steps):
        needed[variance / samples <= error**2] = samples
    # A row that had to be mended has the effective size of its mended proposal: its posterior's own is not known.
    heavy = ~(pilot.pareto_shape <= shape_limit(_PILOT)) & (variance > error)
    needed[~pilot.reliable | pilot.mended | heavy] = most
    found = pilot._replace(samples=int(needed.max()) if len(needed) else _PILOT)
    for samples in needed.unique().tolist():
        rows = (needed == samples).nonzero()[:, 0]
        at = rows.to(x.device)
        some = log_likelihood(model, x[at], c=None if c is None else c[at], samples=samples)
        for whole, part in zip(found, some, strict=True):
            if isinstance(whole, Tensor) and isinstance(part, Tensor):
                whole[rows] = part
    return AllocatedLogLikelihood(found, needed, _PILOT * len(x) + int(needed.sum()))
