r"""Laws that hold for the three callables of any VAE, whatever is inside them.

A bound is never above the evidence, and importance-weighted bounds do not fall as samples are added. For densities, two
identities do most of the work. A density :math:`q` whose sampler agrees with it satisfies, for any other density
:math:`r` inside its support,

.. math:: \mathbb E_{z \sim q} \left[ \frac{r(z)}{q(z)} \right] = \int r(z)\, dz = 1,

and a likelihood that is normalised for every :math:`z`, and draws from what it says it is,

.. math:: \mathbb E_{x \sim p(x \mid z)} \left[ \nabla_z \log p(x \mid z) \right] = 0.

The first fails for a constant left out of ``log_prob`` and for a sampler of another distribution; the second, for data
of any dimension, for a normaliser that is left out and depends on :math:`z`.
"""

from collections.abc import Callable
from math import log, pi, sqrt
from typing import Any

import torch
from torch import Tensor

from vaekit.conformance.finding import Outcome, broken, holds, law, unseen
from vaekit.contracts import traits_of
from vaekit.evaluation.importance_sampling import log_likelihood
from vaekit.vae import VAE

__all__ = [
    "bounds_are_ordered",
    "encode_is_deterministic",
    "every_example_has_its_own_noise",
    "examples_do_not_know_each_other",
    "likelihood_has_a_score_of_mean_zero",
    "loss_is_the_negative_bound",
    "posterior_integrates_to_one",
    "prior_integrates_to_one",
    "results_have_one_number_an_example",
]

_DRAWS = 4000
_ERRORS = 5.0  # standard errors: over all the laws of a run, a false alarm in some thousands of runs


@law("log-densities are one number an example")
def results_have_one_number_an_example(model: Any, x: Tensor) -> Outcome:
    """Check that log-densities have the batch's shape: sums run over dimensions, not over examples."""
    q, p = model.encode(x), model.prior()
    z = q.sample()
    found = {} if _has_no_density(q) else {"encode(x).log_prob(z)": q.log_prob(z)}
    found |= {
        "prior().log_prob(z)": p.log_prob(z),
        "decode(z).log_prob(x)": model.decode(z).log_prob(x),
    }
    wrong = [f"{name} has shape {tuple(v.shape)}" for name, v in found.items() if v.shape != (len(x),)]
    if wrong:
        return broken(
            f"for {len(x)} examples {'; '.join(wrong)}; expected ({len(x)},): wrap the distribution in "
            "torch.distributions.Independent, and take no mean or sum over the batch",
        )
    infinite = [name for name, v in found.items() if not bool(v.isfinite().all())]
    if infinite:
        return broken(f"{', '.join(infinite)} is not finite at its own draws")
    return holds(f"all of them have shape ({len(x)},)")


@law("encode is deterministic")
def encode_is_deterministic(model: Any, x: Tensor) -> Outcome:
    """Check that the same rows have the same posterior twice."""
    q, again = model.encode(x), model.encode(x)
    z = model.encode(x).sample()  # of a third: a flow finds the density of its own draws in another way
    if torch.equal(_seen(q, z), _seen(again, z)):
        return holds("two calls, the same bytes")
    return broken(
        "two calls on the same rows give different posteriors; put dropout and batch normalisation in evaluation "
        "mode (model.eval()), and draw no noise inside encode",
    )


@law("an example does not depend on the company it keeps")
def examples_do_not_know_each_other(model: Any, x: Tensor) -> Outcome:
    """Check that an example's results are the same alone, in another order, and among copies."""
    z = model.encode(x).sample()

    def results(rows: Tensor) -> Tensor:
        return torch.stack([_seen(model.encode(x[rows]), z[rows]), model.decode(z[rows]).log_prob(x[rows])])

    expected = results(torch.arange(len(x), device=x.device))

    everything = torch.arange(len(x), device=x.device)
    for what, rows in (
        ("alone", everything[:1]),
        ("in the opposite order", everything.flip(0)),
        ("among copies", torch.cat([everything, everything])),
    ):
        found = results(rows)
        limit = 1e-3 + 1e-4 * expected[:, rows].abs()
        if bool(((found - expected[:, rows]).abs() > limit).any()):
            gap = float((found - expected[:, rows]).abs().max())
            return broken(
                f"{what}, log-densities differ by up to {gap:.3g} nats; is there batch normalisation in training "
                "mode, a statistic of the batch, or a transposed batch dimension?",
            )
    return holds("the same alone, in the opposite order and among copies")


@law("every example has its own noise")
def every_example_has_its_own_noise(model: Any, x: Tensor) -> Outcome:
    """Check that copies of one example have different draws."""
    copies = x[:1].expand(16, *x.shape[1:])
    z = model.encode(copies).sample().flatten(1)
    spread = z.std(0)
    together = torch.stack([model.encode(x[:1]).sample().flatten(1)[0] for _ in range(16)]).std(0)
    if not bool(together.any()):
        return unseen("the posterior has no noise")
    if bool((spread < 1e-6 * together).all()):
        return broken(
            "16 copies of one example have one draw: a single noise vector serves the whole batch; draw "
            "torch.randn_like(mean), of the shape of the mean",
        )
    return holds("16 copies of one example have 16 draws")


@law("the posterior's draws and log_prob belong together")
def posterior_integrates_to_one(model: Any, x: Tensor) -> Outcome:
    """Check that the posterior's draws come from its density."""
    return _integrates(model.encode(x[:4]))


@law("the prior's draws and log_prob belong together")
def prior_integrates_to_one(model: Any, x: Tensor) -> Outcome:
    """Check that the prior's draws come from its density."""
    return _integrates(model.prior())


@law("the likelihood is normalised for every z and draws what it says")
def likelihood_has_a_score_of_mean_zero(model: Any, x: Tensor) -> Outcome:
    """Check that the likelihood is normalised for every z, and that its draws come from its density."""
    few, draws = x[:3], _DRAWS
    with torch.no_grad():
        z = model.encode(few).sample()
    if not z.is_floating_point():
        return unseen("the latents are not continuous")
    wide = z.expand(draws, *z.shape).detach().clone().requires_grad_()
    with torch.enable_grad():
        p = model.decode(wide)
        if _has_no_density(p):
            return unseen("the likelihood is for training alone: it is no density")
        try:
            drawn = p.sample()
            total = p.log_prob(drawn).sum()
        except NotImplementedError:
            return unseen("the likelihood does not sample")
        if not total.requires_grad:
            return holds("the likelihood does not depend on z")
        (score,) = torch.autograd.grad(total, wide)
    score = score.double()
    error = score.std(0) / sqrt(draws)
    size = (score.mean(0).abs() / error.clamp_min(1e-300)).where(error > 0, 0.0)
    worst = float(size.max())
    if worst > _ERRORS + 1.0:  # heavy-tailed scores converge slowly
        return broken(
            f"the mean of the gradient of log p(x | z) over its own draws is {worst:.1f} standard errors from 0: a "
            "normaliser that depends on z is left out (log sigma, say), or sample() draws from something else",
        )
    return holds(f"the mean score is within {worst:.1f} standard errors of 0")


@law("importance-weighted bounds do not fall as samples are added")
def bounds_are_ordered(model: Any, x: Tensor) -> Outcome:
    """Check that more importance samples do not give a lower bound, on average over the examples."""
    if not traits_of(model.encode(x[:1])).has_density:
        return unseen("the posterior is a point mass, without a density")
    if isinstance(model, VAE) and not model.has_log_likelihood:
        return unseen("the likelihood is for training alone: there is no log-likelihood to bound")
    counts = (1, 10, 100)
    values = [log_likelihood(model, x, samples=k).values for k in counts]
    for fewer, more, k in zip(values[:-1], values[1:], counts[1:], strict=True):
        gain = more - fewer
        if not bool(gain.isfinite().all()):
            return broken(f"the bound of {k} samples is not finite")
        error = float(gain.std()) / sqrt(len(gain)) if len(gain) > 1 else float("inf")
        if float(gain.mean()) < -4 * error - 1e-4 * float(more.abs().mean()):
            return broken(
                f"from {k // 10} to {k} samples the bound falls by {-float(gain.mean()):.3g} ± {error:.3g} nats: "
                "draws and log_prob of the posterior do not belong together",
            )
    means = ", ".join(f"{float(v.mean()):.3f}" for v in values)
    return holds(f"with {', '.join(map(str, counts))} samples: {means} nats")


@law("the loss is the negative evidence lower bound, in nats per example")
def loss_is_the_negative_bound(
    model: Any, x: Tensor, loss: Callable[[Tensor], Tensor], *, repeats: int = 64
) -> Outcome:
    r"""Check that a loss, on average, is :math:`-\mathcal L(x)`, the mean of :math:`\log q - \log p(x, z)` at draws.

    Parameters
    ----------
    model, x
        As for :func:`vaekit.conformance.check`.
    loss
        From ``(batch, *event)`` to a scalar, the mean over the examples, or one number an example.
    repeats
        The number of evaluations of the loss.
    """
    ours, theirs = [], []
    for _ in range(repeats):
        q, p = model.encode(x), model.prior()
        z = q.sample()
        ours.append((q.log_prob(z) - p.log_prob(z) - model.decode(z).log_prob(x)).double().mean())
        theirs.append(torch.as_tensor(loss(x)).double().mean())
    expected, found = torch.stack(ours), torch.stack(theirs)
    error = float((expected.var() + found.var()).sqrt()) / sqrt(repeats)
    gap = float(found.mean() - expected.mean())
    limit = 4 * error + 1e-4 * abs(float(expected.mean()))
    if abs(gap) <= limit:
        return holds(
            f"{float(found.mean()):.3f} ± {error:.3f} nats, and {float(expected.mean()):.3f} by the parts",
        )
    ratio = float(found.mean() / expected.mean())
    hints = {
        "the sum over the batch": len(x),
        "divided by the number of inputs": 1 / x[0].numel(),
        "divided by the batch size": 1 / len(x),
        "the bound itself, of the wrong sign": -1,
    }
    hint = next((f": it is {what}" for what, r in hints.items() if abs(ratio / r - 1) < 0.02), "")
    return broken(
        f"the loss is {float(found.mean()):.4g}, but the parts give {float(expected.mean()):.4g} ± {error:.2g} nats "
        f"({ratio:.4g} times){hint}; `vaekit explain-loss` says what a weighted loss really trains",
    )


def _has_no_density(q: Any) -> bool:
    return not traits_of(q).has_density


def _seen(q: Any, z: Tensor) -> Tensor:
    """A fingerprint of a posterior: its density at points; where it has none, or only at its own draws, its mean."""
    if _has_no_density(q):
        return q.sample().flatten(1).sum(1)
    return q.mean.flatten(1).sum(1) if traits_of(q).scores_own_draws_only else q.log_prob(z)


def _integrates(distribution: Any) -> Outcome:
    """Estimate the integral of a Gaussian that lies inside the distribution, from the distribution's draws."""
    if _has_no_density(distribution):
        return unseen("a point mass has no density")
    z = distribution.sample(torch.Size((_DRAWS,)))
    if traits_of(distribution).discrete:
        return _sums(z, distribution.log_prob(z))
    if not z.is_floating_point():
        return unseen("the latents are not continuous")
    event = tuple(distribution.event_shape)
    log_density = distribution.log_prob(z).double().reshape(_DRAWS, -1)
    points = z.double().reshape(_DRAWS, log_density.shape[1], -1)
    dimensions = points.shape[-1]
    if not bool((points.std(0) > 0).all()) or bool((log_density.exp() == 1).all()):
        return unseen("it has no density on R^k: a point mass, or a distribution on codes")
    norms = points.norm(dim=-1)
    if float(norms.std()) < 1e-4 * float(norms.mean()):
        return unseen("it lives on a sphere, where a Gaussian does not fit in")
    best, most = None, 100.0  # draws in effect: below that, the error of the mean cannot be believed
    centred = points - points.mean(0)
    shape = torch.linalg.cholesky_ex(torch.einsum("nbi,nbj->bij", centred, centred) / (_DRAWS - 1))[0]
    for centre, share in ((points.mean(0), 0.8), (points[0], 0.4), (points.median(0).values, 0.4)):
        L = share * shape
        standard = torch.linalg.solve_triangular(L, (points - centre).unsqueeze(-1), upper=False).squeeze(-1)
        log_volume = L.diagonal(dim1=-2, dim2=-1).log().sum(-1) + 0.5 * dimensions * log(2 * pi)
        weight = (-0.5 * standard.square().sum(-1) - log_volume - log_density).exp()
        worth = float((weight.sum(0).square() / weight.square().sum(0)).min())
        if worth > most:
            best, most = weight, worth
    if best is None:
        return unseen(f"too far from a Gaussian in {dimensions} dimensions to look at in this way")
    mean, error = best.mean(0), best.std(0) / sqrt(_DRAWS)
    away = float(((mean - 1).abs() / error).max())
    if away > _ERRORS:
        ratio = float(mean[(mean.log().abs()).argmax()])
        each = log(ratio) / dimensions if ratio > 0 else float("nan")
        return broken(
            f"an integral that is 1 comes out as {ratio:.4g}, off by a factor exp({each:+.3f}) a dimension: a constant "
            f"is left out of log_prob (1/2 log 2 pi is {0.5 * log(2 * pi):.3f}), or the draws have another scale "
            "(standard deviation, variance and log-variance mixed up?)",
        )
    return holds(
        f"an integral that is 1 comes out as {float(mean.mean()):.3f} ± {float(error.mean()):.3f} over {event or 'R'}",
    )


def _sums(z: Tensor, log_mass: Tensor) -> Outcome:
    """Estimate the sum of a mass that is 1 from draws of a discrete distribution: of the shares of half the draws."""
    log_mass = log_mass.double().reshape(_DRAWS, -1)
    half, worst = _DRAWS // 2, 0.0
    means: list[float] = []
    for points, logs in zip(
        z.reshape(_DRAWS, log_mass.shape[1], -1).unbind(1), log_mass.unbind(1), strict=True
    ):
        _, place = torch.unique(points, dim=0, return_inverse=True)
        share = torch.bincount(place[:half], minlength=int(place.max()) + 1).double() / half
        weight = share[place[half:]] / logs[half:].exp()
        if int((weight > 0).sum()) < 100:
            return unseen("too many codes to look at in this way: hardly any is drawn twice")
        error = float(weight.std()) / sqrt(half) + 1e-6
        worst = max(worst, abs(float(weight.mean()) - 1) / error)
        means.append(float(weight.mean()))
    furthest = max(means, key=lambda mean: abs(mean - 1))
    if worst > _ERRORS:
        return broken(
            f"a sum over codes that is 1 comes out as {furthest:.4g}: the masses do not sum to one, or the draws have "
            "others"
        )
    return holds(f"a sum over codes that is 1 comes out as {furthest:.3f} at the furthest")
