r"""Laws of bounds: the ELBO is at most the importance-weighted bounds, which do not fall as samples are added."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from vaekit.conformance.finding import Outcome, broken, holds, law, unseen
from vaekit.contracts import traits_of
from vaekit.evaluation.importance_sampling import log_likelihood
from vaekit.vae import VAE

__all__ = ["bounds_are_ordered", "loss_is_the_negative_bound"]


@law("importance-weighted bounds do not fall as samples are added")
def bounds_are_ordered(model: Any, x: Tensor) -> Outcome:
    """Whether more importance samples never give a lower bound, on average over the examples."""
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
    r"""Whether a loss, on average, is :math:`-\mathcal L(x)`, the mean of :math:`\log q - \log p(x, z)` at draws.

    Parameters
    ----------
    model, x
        As for :func:`vaekit.conformance.check`.
    loss
        From ``(batch, *event)`` to a scalar, the mean over the examples, or one number an example.
    repeats
        How often to evaluate it.
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
