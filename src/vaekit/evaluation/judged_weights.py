r"""The judgement of importance weights row by row, and better estimates of rows whose weights cannot be averaged.

How far to trust a row's value is told by the effective sample size :math:`(\sum_k w_k)^2 / \sum_k w_k^2`, the standard
error and the Pareto shape of the weights (:mod:`vaekit.evaluation.pareto`). A row whose posterior is no proposal, an
outlier above all, gets a better one (:mod:`vaekit.evaluation.mending`); all others are left as they are.

A better proposal takes thousands of draws. Where the mean over many rows is asked for and more of them need one than
there is time for, those that get it are drawn at random, and the others' values are raised by the mean of what these
gained: double sampling (Cochran, 1977, "Sampling Techniques", chapter 12). The mean is as right as if all had been
mended, and its standard error counts what the mean gain :math:`g` is uncertain by,

.. math:: \operatorname{se}^2 = \frac{s^2}{n} + \left(\frac{m}{n}\right)^2 \operatorname{se}(g)^2,

for :math:`m` rows of :math:`n` that are raised.
"""

from math import hypot, prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vaekit.contracts import Model
from vaekit.evaluation.bound import Estimate
from vaekit.evaluation.mending import MendedRows, can_be_mended, mend_rows
from vaekit.evaluation.pareto import pareto_shape, shape_limit, tail_size
from vaekit.evaluation.probe import misses_mass
from vaekit.vae import VAE

__all__ = ["LogLikelihood", "judged_and_mended"]

_NOT_KNOWN = torch.empty(0)
_ROWS_OF_TAILS = 4096  # whose tails are fitted at once
_EVEN = 0.9  # of the samples: from such an effective size on, weights are too even for their tail to matter
_LARGEST_ERROR = 0.1  # nats: the standard error above which a mended row is not reliable
_ROUNDED_OFF = 0.05  # nats: rounding errors above which a row is mended in double precision


class LogLikelihood(NamedTuple):
    r"""Importance-sampling estimates of :math:`\log p(x)`.

    Parameters
    ----------
    values
        ``(n,)`` float64, in nats.
    effective_sample_size
        ``(n,)`` float64, between 1 and ``samples``.
    samples
        The number of importance samples behind each value.
    elbo
        ``(n,)`` float64, in nats: the mean of the same draws' :math:`\log w_k`, hence never above ``values``,
        and equal to them where the posterior is exact.
    kl
        ``(n,)`` float64, in nats: the mean of the same draws' :math:`\log q(z_k \mid x) - \log p(z_k)`.
    standard_error
        ``(n,)`` float64, in nats: that of each value, by the spread of its weights. It is too small where few weights
        have all the mass, which the Pareto shape tells.
    pareto_shape
        ``(n,)`` float64: the Pareto shape :math:`k` of each example's weights; NaN where there are fewer than 25.
    mended
        ``(n,)`` of booleans: the examples whose samples are not drawn from the posterior, which misses
        :math:`p(x, z)`, but from a proposal of their own, with more draws than ``samples``; their ``elbo`` and ``kl``
        are still those of the posterior.
    reliable
        ``(n,)`` of booleans: False where the value cannot be trusted, because the Pareto shape is too large for so
        many draws of weights that are not nearly all the same, or is not known. Such a value is a lower bound, and may
        be far too low.
    halved
        ``(n,)`` float64, in nats: the mean of the values that either half of the samples gives, never above
        ``values`` where their number is even. How much lower they are, on average over the examples, is by how much
        the number of samples matters. Of mended examples it is the value itself.
    raised
        ``(n,)`` of booleans: the examples that need a proposal of their own as well, but for which there was no time:
        their values are those of the posterior's samples and ``gain``, hence right on average, and none of them is
        reliable.
    gain
        The mean, with its standard error, of what those examples gained that were drawn at random among them and
        mended, in nats; None where all of them were mended.
    """

    values: Tensor
    effective_sample_size: Tensor
    samples: int
    elbo: Tensor
    kl: Tensor
    standard_error: Tensor = _NOT_KNOWN
    pareto_shape: Tensor = _NOT_KNOWN
    mended: Tensor = _NOT_KNOWN
    reliable: Tensor = _NOT_KNOWN
    halved: Tensor = _NOT_KNOWN
    raised: Tensor = _NOT_KNOWN
    gain: Estimate | None = None

    @property
    def estimate(self) -> Estimate:
        """Mean over the examples with its standard error, in nats."""
        return self.with_error_of_gain(Estimate.of(self.values.cpu().numpy()))

    def with_error_of_gain(self, mean: Estimate) -> Estimate:
        """Add what ``gain`` is uncertain by to the standard error of a mean over the examples."""
        if self.gain is None:
            return mean
        share = float(self.raised.double().mean())
        return mean._replace(standard_error=hypot(mean.standard_error, share * self.gain.standard_error))


def judged_and_mended(
    model: Model,
    x: Tensor,
    c: Tensor | None,
    results: list[list[Tensor]],
    *,
    samples: int,
    seed: int | None,
    memory: int,
    rows_at_once: int,
    most: int | None,
) -> LogLikelihood:
    """Judge the weights of every row, and estimate again where they are not fit to be averaged."""
    if not results:
        none = torch.zeros(0, dtype=torch.float64)
        no = none.bool()
        return LogLikelihood(none, none, samples, none, none, none, none, no, no, none, no)
    values, sizes, elbos, kls, halved = (torch.cat([part[i] for part in results]) for i in range(5))
    tails = torch.cat([part[5] for part in results], 1)
    empty = torch.cat([part[6] for part in results]).bool()
    missed = torch.zeros(len(x), dtype=torch.bool)
    if tail_size(samples):
        missed = misses_mass(model, x, c, rows_at_once=rows_at_once)
        shapes = torch.cat([pareto_shape(part) for part in tails.split(_ROWS_OF_TAILS, 1)])
    else:
        shapes = torch.full_like(values, torch.nan)
    errors = (1 / sizes - 1 / samples).clamp_min(0).sqrt()
    values[empty], halved[empty], errors[empty] = 0.0, 0.0, 0.0  # of nothing the probability is 1
    even = sizes >= _EVEN * samples
    trusted = (shapes <= shape_limit(samples)) | even & ~shapes.isnan()
    reliable = (values.isfinite() & trusted & ~missed) | empty
    no = torch.zeros_like(missed)
    found = LogLikelihood(
        values, sizes, samples, elbos, kls, errors, shapes, no, reliable, halved, no.clone()
    )
    p = model.prior(None if c is None else c[:1])
    if most == 0 or not tail_size(samples) or not can_be_mended(p):
        return found
    # The fewer dimensions, the more there is to gain, and the less it costs.
    few = max(2.0, samples / 2 ** max(2, prod(p.event_shape)))
    poor = ((shapes > shape_limit(samples)) & ~(sizes >= few)) | (sizes < few / 4)
    rounded = values.abs() * torch.finfo(x[:1].dtype).eps > _ROUNDED_OFF * max(1.0, prod(x.shape[1:]) / 1000)
    lost = (rounded | ~values.isfinite()) & ~empty
    rows = (lost | ((poor | missed) & ~empty)).nonzero()[:, 0]
    if not len(rows):
        return found
    rows, others = _drawn(rows, lost, most)
    mended = _mend(
        model,
        _rows_at(x, rows),
        None if c is None else c[rows.to(c.device)],
        samples=samples,
        seed=int(torch.randint(2**62, ())) if seed is None else seed,
        common_noise=seed is not None,
        memory=memory,
    )
    if mended is None:
        return found
    limits = torch.tensor([shape_limit(int(draws)) for draws in mended.draws], dtype=torch.float64)
    good = (
        mended.values.isfinite() & (mended.pareto_shape <= limits) & (mended.standard_error <= _LARGEST_ERROR)
    )
    # Of two lower bounds of which neither can be trusted, the larger is nearer.
    taken = good | ~(mended.values <= values[rows])
    if len(others):
        found = _raise(found, others, (mended.values - values[rows]).where(taken, 0.0)[~lost[rows]])
    rows, mended = rows[taken], MendedRows(*(term[taken] for term in mended))
    halved[rows] = mended.values
    values[rows], errors[rows], shapes[rows] = mended.values, mended.standard_error, mended.pareto_shape
    sizes[rows] = mended.effective_sample_size.clamp_max(samples)
    found.mended[rows], found.reliable[rows] = True, good[taken]
    return found


def _drawn(rows: Tensor, lost: Tensor, most: int | None) -> tuple[Tensor, Tensor]:
    """Divide rows into those that are mended, as many as time allows, and the others.

    Rows without a value, or with one that is rounded off, are all mended: there is nothing to raise.
    """
    none = rows[:0]
    if most is None or len(rows) <= most:
        return rows, none
    certain, drawn = rows[lost[rows]], rows[~lost[rows]]
    order = torch.randperm(len(drawn))
    count = max(2, most - len(certain))
    return torch.cat([certain, drawn[order[:count]]]).sort().values, drawn[order[count:]].sort().values


def _raise(found: LogLikelihood, rows: Tensor, gained: Tensor) -> LogLikelihood:
    """Add to values of rows what others, drawn from among the same rows, have gained on average."""
    gain = Estimate.of(gained.numpy())
    for values in (found.values, found.halved):
        values[rows] += gain.mean
    found.standard_error[rows] = torch.hypot(found.standard_error[rows], gained.std())
    found.raised[rows], found.reliable[rows] = True, False
    return found._replace(gain=gain)


def _rows_at(x: Any, rows: Tensor) -> Tensor:
    """Return rows of a tensor, or of rows that are left in a file."""
    return x[rows.to(x.device)] if isinstance(x, Tensor) else x[rows.numpy()]


def _mend(model: Model, *given: Any, **options: Any) -> MendedRows | None:
    """Mend rows; None for a model of somebody else's that cannot be evaluated where its posterior does not go."""
    if isinstance(model, VAE):
        return mend_rows(model, *given, **options)
    try:
        return mend_rows(model, *given, **options)
    except Exception:  # its distributions may refuse parameters far out, or lack what draws of others need
        return None
