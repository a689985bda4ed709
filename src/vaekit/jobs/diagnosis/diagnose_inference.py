r"""The nats that the posterior of a model loses, and whether its importance samples can be trusted.

.. math:: \log p(x) - \mathcal L(q_\phi)
          = \underbrace{\log p(x) - \mathcal L(q^*)}_{\text{approximation gap}}
          + \underbrace{\mathcal L(q^*) - \mathcal L(q_\phi)}_{\text{amortisation gap}}

with the encoder's :math:`q_\phi`, and :math:`q^*`, the best diagonal Gaussian of each row, found by gradient steps from
the encoder's (Cremer, Li and Duvenaud, 2018, "Inference Suboptimality in Variational Autoencoders", section 3). The
first gap asks for a richer family, the second for a better encoder. :math:`\log p(x)` is annealed importance sampling's
(:mod:`vaekit.evaluation.annealed_importance`), a lower bound too, so the first gap is at least what is shown.
"""

from math import cos, pi, sqrt

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaekit.contracts import Model, traits_of
from vaekit.errors import UsageError
from vaekit.evaluation import Estimate, annealed_log_likelihood, log_likelihood
from vaekit.evaluation.probe import is_euclidean, is_normal
from vaekit.jobs.diagnosis.diagnosis import Chart, Finding, Patient, matters
from vaekit.runtime.first_imports import import_quietly

__all__ = ["diagnose_inference"]

_ROWS = 64
_STEPS, _PAIRS, _RATE = 200, 4, 0.05
_DRAWS = 200
_LEAST_GAP = 0.25  # nats
_SAMPLES = 400
_OFTEN, _UNRELIABLE = 0.25, 0.05  # shares of rows whose posteriors are no proposals, and that nothing mends
_LEAST_LOSS = 0.05  # nats


def diagnose_inference(patient: Patient, chart: Chart) -> None:
    """Look for gaps of inference, and importance samples that are no good; torch's global generator is used."""
    model = patient.model
    x = patient.x[:_ROWS]
    c = None if patient.c is None else patient.c[:_ROWS]
    q, p = model.encode(x, c), model.prior(c)
    traits = traits_of(q)
    if not traits.has_density or traits.discrete:
        chart.not_checked.append("the gap of inference: the posterior has no density")
        return
    annealed = None
    if is_euclidean(model, q, p):
        try:
            start = "posterior" if is_normal(q) else "prior"
            annealed = annealed_log_likelihood(model, x, c=c, start=start).values
        except UsageError as refusal:
            chart.not_checked.append(f"the gap of inference: {refusal}")
    else:
        chart.not_checked.append("the gap of inference: latents are no vectors of real numbers")
    if annealed is not None:
        _gaps(patient, chart, x, c, annealed)
    _importance_samples(patient, chart, annealed)


def _gaps(patient: Patient, chart: Chart, x: Tensor, c: Tensor | None, annealed: Tensor) -> None:
    model = patient.model
    q = model.encode(x, c)
    of_encoder = best = _bound(model, x, c, q)
    if is_normal(q) and len(q.event_shape) == 1:
        best = _bound(model, x, c, _fit_gaussians(model, x, c, q.mean, q.variance.sqrt()))
    amortisation = Estimate.of((best - of_encoder).cpu().numpy())
    approximation = Estimate.of((annealed - torch.maximum(best, of_encoder).cpu()).numpy())
    if matters(amortisation, _LEAST_GAP):
        chart.findings.append(
            Finding(
                "amortisation-gap",
                f"The encoder is not good enough: better posteriors of the same kind gain {amortisation.mean:.2f} ± "
                f"{amortisation.standard_error:.2f} nats a row",
                f"Measured on {len(x)} rows by improving the posterior of each by gradient steps. Codes and "
                "reconstructions are further from the row than they need to be.",
                amortisation,
                (
                    "a larger encoder, or more epochs: `vaekit fit DATA --network mlp:hidden=400x400 --epochs 300`",
                    "an objective that is less hurt by it: `vaekit fit DATA --objective iwae:samples=5`",
                ),
            )
        )
    else:
        chart.passed.append(
            f"posteriors improved row by row, by {_STEPS} gradient steps, gain {amortisation.mean:.2f} ± "
            f"{amortisation.standard_error:.2f} nats a row"
        )
    if matters(approximation, 2 * _LEAST_GAP):
        chart.findings.append(
            Finding(
                "approximation-gap",
                f"The family of posteriors is too simple: the true ones are {approximation.mean:.2f} ± "
                f"{approximation.standard_error:.2f} nats a row away",
                f"log p(x) of {len(x)} rows by annealed importance sampling, less the bound of the best posterior of "
                "each row. Training shapes the decoder so that this gap stays small, at the cost of the fit.",
                approximation,
                (
                    "posteriors that turn: `vaekit fit DATA --posterior full`",
                    "posteriors of any shape: `vaekit fit DATA --posterior iaf`",
                    "a bound that is tight all the same: `vaekit fit DATA --objective iwae:samples=10`",
                ),
            )
        )
    else:
        chart.passed.append(
            f"the true posteriors are {approximation.mean:.2f} ± {approximation.standard_error:.2f} nats a row from "
            "the best of the family"
        )


@torch.no_grad()
def _bound(model: Model, x: Tensor, c: Tensor | None, q: Distribution) -> Tensor:
    """Return the evidence lower bound of each row under a posterior, ``(n,)`` float64."""
    z = q.sample(torch.Size((_DRAWS,)))
    log_joint = model.decode(z, c).log_prob(x) + model.prior(c).log_prob(z)
    return (log_joint - q.log_prob(z)).double().mean(0)


def _fit_gaussians(model: Model, x: Tensor, c: Tensor | None, mean: Tensor, scale: Tensor) -> Distribution:
    """Improve diagonal Gaussians, row by row, by stochastic gradients of their bound with antithetic draws."""
    import_quietly("torch._dynamo")
    place = mean.detach().clone().requires_grad_()
    log_scale = scale.detach().clamp_min(1e-6).log().requires_grad_()
    p = model.prior(c)
    first = float(scale.median())
    optimizer = torch.optim.Adam(
        [{"params": [place], "lr": _RATE * first}, {"params": [log_scale], "lr": _RATE}]
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    with torch.enable_grad():
        for step in range(_STEPS):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * 0.5 * (1 + cos(pi * step / _STEPS))
            half = torch.randn(_PAIRS, *mean.shape, dtype=mean.dtype, device=mean.device)
            z = place + log_scale.exp() * torch.cat([half, -half])
            log_joint = model.decode(z, c).log_prob(x) + p.log_prob(z)
            bound = log_joint.mean(0).sum() + log_scale.sum()
            slopes = torch.autograd.grad(bound, [place, log_scale])
            place.grad, log_scale.grad = (-slope.nan_to_num(0.0, 0.0, 0.0) for slope in slopes)
            optimizer.step()
    return Independent(Normal(place.detach(), log_scale.detach().exp(), validate_args=False), 1)


def _importance_samples(patient: Patient, chart: Chart, annealed: Tensor | None) -> None:
    """Count the rows whose weights are too heavy-tailed for the posterior's draws to be averaged."""
    found = log_likelihood(patient.model, patient.x, c=patient.c, samples=_SAMPLES)
    bad = found.mended | ~found.reliable
    share, n = float(bad.double().mean()), len(bad)
    error = sqrt(max(share * (1 - share), 1 / n) / n)
    worst = (
        f"the posterior's draws are no proposal for {int(bad.sum())} of {n} rows ({share:.0%} ± {error:.0%})"
    )
    left = int((~found.reliable).sum())
    loss = Estimate(0.0, 0.0)
    if annealed is not None:
        loss = Estimate.of((annealed - found.values[: len(annealed)]).numpy())
    often = share - 3 * error > _OFTEN or (annealed is None and left / n - 3 * error > _UNRELIABLE)
    if not often and not matters(loss, _LEAST_LOSS):
        chart.passed.append(
            f"{worst}, by the Pareto shape of {_SAMPLES} importance weights each, which costs {loss.mean:.2f} ± "
            f"{loss.standard_error:.2f} nats a row beside annealed importance sampling"
        )
        return
    chart.findings.append(
        Finding(
            "importance-sampling",
            f"Importance sampling cannot be trusted: {worst}",
            f"The Pareto shape of {_SAMPLES} weights is too large for their mean. With proposals of their own, {left} "
            f"rows remain that cannot be estimated, and log p(x) is {loss.mean:.2f} ± {loss.standard_error:.2f} nats a "
            "row below that of annealed importance sampling.",
            loss,
            (
                f"tight numbers: `vaekit evaluate {patient.artifact} {patient.data} --method annealed --rows 100`",
                f"draws where they are needed: `vaekit evaluate {patient.artifact} {patient.data} --samples auto`",
            ),
        )
    )
