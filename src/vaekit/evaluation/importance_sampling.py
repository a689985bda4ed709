r"""The evidence by importance sampling.

.. math:: \log p(x) \approx \log \frac 1 K \sum_{k=1}^K w_k, \qquad
          w_k = \frac{p(x \mid z_k)\, p(z_k)}{q(z_k \mid x)}, \quad z_k \sim q(z \mid x)

A lower bound in expectation that tightens with :math:`K` (Burda, Grosse and Salakhutdinov, 2015, equation 8;
Rezende, Mohamed and Wierstra, 2014, appendix E). How far to trust it is told for each example by the effective sample
size :math:`(\sum_k w_k)^2 / \sum_k w_k^2`, the standard error and the Pareto shape of the weights
(:mod:`vaekit.evaluation.pareto`). Examples whose posterior is no proposal, outliers above all, get a better one
(:mod:`vaekit.evaluation.mending`); all others are left as they are.
"""

from contextlib import nullcontext
from math import log, prod

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.contracts import Model
from vaekit.errors import UsageError
from vaekit.evaluation.judged_weights import LogLikelihood, judged_and_mended
from vaekit.evaluation.log_weights import LogWeights, choose_log_weights, proposal
from vaekit.evaluation.pareto import largest_weights
from vaekit.runtime.randomness import seeded
from vaekit.runtime.surroundings import plain_arithmetic
from vaekit.runtime.threads import shared_threads, work_of
from vaekit.vae import VAE

__all__ = ["log_likelihood", "require_log_likelihood"]


def require_log_likelihood(model: Model) -> None:
    """Refuse with a :class:`~vaekit.errors.UsageError` a model whose likelihood is for training alone."""
    if isinstance(model, VAE) and not model.has_log_likelihood:
        raise UsageError(
            "the likelihood scores images by their likeness, for training alone: it is no probability, so this model "
            "has no log-likelihood to report, no ELBO and no scores. Encode, reconstruct and sample with it; for "
            "log-likelihoods fit with likelihood=continuous-bernoulli, discretized-logistic or gaussian"
        )


@plain_arithmetic()
@torch.no_grad()
def log_likelihood(
    model: Model,
    x: Tensor,
    *,
    samples: int = 1000,
    c: Tensor | None = None,
    common_noise: bool = False,
    memory: int = 32 * 2**20,
    most_mended: int | None = None,
) -> LogLikelihood:
    r"""Estimate :math:`\log p(x)` with exactly ``samples`` importance samples an example, encoding once.

    From 25 samples on, examples whose weights show that the posterior misses :math:`p(x, z)` are estimated again with
    more draws from a better proposal.

    Parameters
    ----------
    model
        Anything with ``encode``, ``prior`` and ``decode``.
    x
        ``(n, *event)``; a missing cell (NaN) is left out. The value of a row without any other cell is exactly 0.
    samples
        :math:`K`, the number of importance samples.
    c
        Condition, ``(n, ...)``.
    common_noise
        Whether all examples share the same :math:`K` draws of noise, rather than each its own. Then a value
        depends on its own example alone, whatever the order and the company it comes in; but the errors of
        different examples are no longer independent, so do not average them.
    memory
        About how many bytes the largest intermediate results may take. By default little enough to stay in the
        caches of a processor, which is faster than larger pieces are.
    most_mended
        How many examples are given a proposal of their own where more than that need one: they are drawn at random,
        and the others' values are raised by the mean of what these gained (double sampling: Cochran, 1977, "Sampling
        Techniques", chapter 12), so that the mean over the examples is as right as if all had been mended. None: all
        that need one, as also where noise is common; 0: none, whose values are left as they are.

    Returns
    -------
    LogLikelihood

    Raises
    ------
    ValueError
        If ``samples`` is below 1.
    UsageError
        If the model's likelihood is a pseudo-likelihood.

    Examples
    --------
    A decoder that ignores :math:`z`, and a posterior equal to the prior: every estimate is exact.

    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=none"), (3,), latent=2)
    >>> for parameter in model.parameters():
    ...     _ = torch.nn.init.zeros_(parameter)
    >>> round(log_likelihood(model, torch.ones(4, 3), samples=5).estimate.mean / log(2), 6)
    -3.0
    """
    require_log_likelihood(model)
    if samples < 1:
        raise ValueError(f"samples={samples}: an estimate needs at least 1 importance sample")
    # A likelihood may want many features for each dimension of x.
    features = prod(model.likelihood_part.feature_shape) if isinstance(model, VAE) else 0
    rows = max(1, memory // (6 * x.element_size() * max(prod(x.shape[1:]), features, 256)))
    examples_at_once = min(len(x), max(1, rows // samples), 4096) or 1
    samples_at_once = _samples_at_once(samples, max(1, rows // examples_at_once))
    weigh = choose_log_weights(
        model, 0 if common_noise else len(x) * samples, (samples_at_once, examples_at_once)
    )
    with shared_threads(work_of(model, samples_at_once * examples_at_once)):
        results: list[list[Tensor]] = []
        seed = int(torch.randint(2**62, ())) if common_noise else None
        for start in range(0, len(x), examples_at_once):
            part = slice(start, start + examples_at_once)
            # The same noise for every part of the examples, so that a value does not depend on which it falls into.
            with nullcontext() if seed is None else seeded(seed):
                results.append(
                    _estimate(
                        model,
                        x[part],
                        None if c is None else c[part],
                        samples,
                        samples_at_once,
                        None if common_noise else weigh,
                    )
                )
        return judged_and_mended(
            model,
            x,
            c,
            results,
            samples=samples,
            seed=seed,
            memory=memory,
            rows_at_once=rows,
            most=None if common_noise and most_mended != 0 else most_mended,
        )


def _samples_at_once(samples: int, most: int) -> int:
    """Parts that are all of one size, if that is not much below the most there may be.

    >>> _samples_at_once(5000, 1783), _samples_at_once(5000, 9000), _samples_at_once(5003, 1783)
    (1250, 5000, 1783)
    """
    parts = -(-samples // most)
    sizes = (samples // n for n in range(parts, 2 * parts + 1) if samples % n == 0)
    return next(sizes, min(samples, most))


def _estimate(
    model: Model, x: Tensor, c: Tensor | None, samples: int, samples_at_once: int, weigh: LogWeights | None
) -> list[Tensor]:
    """Stream over the samples, keeping the running maximum of log w, sums of w and w^2 relative to it, and the tail.

    Without ``weigh``, all examples share the noise.
    """
    q, p = proposal(model, x, c), model.prior(c)
    kept: list[Tensor] = []
    largest = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)
    total, total_of_squares, total_of_logs, total_of_kls = (torch.zeros_like(largest) for _ in range(4))
    for start in range(0, samples, samples_at_once):
        shape = torch.Size((min(samples_at_once, samples - start),))
        if weigh is None:
            z, log_posterior = _draw_with_common_noise(model, x, c, q, shape)
            kl = log_posterior - p.log_prob(z)
            log_weight = model.decode(z, c).log_prob(x) - kl
        else:
            log_weight, kl = weigh(q, p, x, c, shape)
        log_weight = log_weight.double()
        kept.append(log_weight)
        new_largest = torch.maximum(largest, log_weight.amax(0))
        # -inf - -inf would be NaN: where no sample has weight yet, shift by zero.
        shift = torch.where(new_largest.isinf(), torch.zeros_like(new_largest), new_largest)
        weight, shrink = (log_weight - shift).exp(), (largest - shift).exp()
        total = total * shrink + weight.sum(0)
        total_of_squares = total_of_squares * shrink.square() + weight.square().sum(0)
        total_of_logs += log_weight.sum(0)
        total_of_kls += kl.double().sum(0)
        largest = new_largest
    value = largest + total.log() - log(samples)
    value = torch.where(largest.isinf(), largest, value)
    size = total.square() / total_of_squares
    weights = torch.cat(kept)
    tail = largest_weights(weights)
    half = samples // 2 or 1
    halved = (weights[:half].logsumexp(0) + weights[-half:].logsumexp(0)) / 2 - log(half)
    empty = x.isnan().flatten(1).all(1)
    means = total_of_logs / samples, total_of_kls / samples
    return [term.cpu() for term in (value, size, *means, halved, tail, empty)]


def _draw_with_common_noise(
    model: Model, x: Tensor, c: Tensor | None, q: Distribution, shape: torch.Size
) -> tuple[Tensor, Tensor]:
    """Draw ``(*shape, n, *latent)`` with one noise for all examples, whatever the posterior's family.

    With the log-density ``(*shape, n)``, asked of the distribution that drew: some know it from the draw alone.
    """
    if isinstance(model, VAE) and not model.has_density:
        noise = torch.randn(*shape, 1, *q.event_shape, dtype=x.dtype, device=x.device)
        z = q.mean + q.stddev * noise
        return z, q.log_prob(z)

    def draw(row: Tensor, row_c: Tensor | None) -> tuple[Tensor, Tensor]:
        q = model.encode(row[None], None if row_c is None else row_c[None])
        z = q.rsample(shape)
        return z[:, 0], q.log_prob(z)[:, 0]

    in_dims = (0, None if c is None else 0)
    return torch.func.vmap(draw, in_dims=in_dims, out_dims=1, randomness="same")(x, c)
