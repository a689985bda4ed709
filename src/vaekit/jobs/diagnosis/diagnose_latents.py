r"""The latents of a model: a code that says nothing, and a prior with holes.

**Collapse.** A dimension is active where its KL is above 0.01 nats, or where the posterior mean moves with the row: its
variance over rows is above 0.01 of the posterior's own (after Burda, Grosse and Salakhutdinov, 2015, section 5.2). The
information of the code about the row is

.. math:: I(x; z) = \mathbb E\, \log q(z \mid x) - \log \tfrac 1 n \sum_j q(z \mid x_j),

(Hoffman and Johnson, 2016, "ELBO surgery"), at most :math:`\log n`. A code without any is a fault only where columns
depend on each other; how much they do is told by the total correlation of their normal scores.

**Holes.** Draws of the aggregate posterior, one for each row, and of the prior should not be told apart. A classifier
tries (Lopez-Paz and Oquab, 2017, "Revisiting Classifier Two-Sample Tests"), and the gain of a mixture of Gaussians in
the place of the prior, on rows that it was not fitted to, says what it costs in nats.
"""

import warnings
from math import log, sqrt
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from vaekit.contracts import traits_of
from vaekit.evaluation import Estimate
from vaekit.evaluation.probe import is_euclidean, is_normal
from vaekit.jobs.diagnosis.diagnosis import Chart, Finding, Patient, matters
from vaekit.objectives import Elbo
from vaekit.vae import VAE, code_of

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

__all__ = ["diagnose_latents"]

_Array = npt.NDArray[np.float64]

_ACTIVE_KL, _ACTIVE_SHARE = 0.01, 0.01
_LITTLE = 0.1  # nats of information that are hardly any
_LEAST_DEPENDENCE, _LEAST_HOLE = 0.1, 0.2  # nats
_MOST_COLUMNS = 50
_DRAWS = 8
_FEW_ROWS = 100
_SHOWN = 8  # idle dimensions that are named
_COMPONENTS = (1, 4, 10)


def diagnose_latents(patient: Patient, chart: Chart) -> None:
    """Look for collapse and for holes in the prior; torch's global generator is used."""
    model, x, c = patient.model, patient.x, patient.c
    q, p = model.encode(x, c), model.prior(c)
    if not is_euclidean(model, q, p) or len(p.event_shape) != 1:
        chart.not_checked.append("collapse and holes in the prior: latents are no vectors of real numbers")
        return
    if not traits_of(q).has_density or traits_of(q).scores_own_draws_only:
        chart.not_checked.append("collapse: the density of the posterior is not known at every point")
    else:
        _collapse(patient, chart)
    if isinstance(model, VAE) and traits_of(p).bound_samples is not None:
        chart.not_checked.append("holes in the prior: its density is a lower bound")
    else:
        _hole(patient, chart)


def _collapse(patient: Patient, chart: Chart) -> None:
    x, c = patient.x, patient.c
    if not is_normal(
        patient.model.encode(x[:2], None if c is None else c[:2])
    ):  # a flow's density takes its time
        x, c = x[:_FEW_ROWS], None if c is None else c[:_FEW_ROWS]
    q, p = patient.model.encode(x, c), patient.model.prior(c)
    n, d = len(x), q.event_shape[0]
    z = q.sample(torch.Size((_DRAWS,)))  # (draws, n, d)
    own = q.log_prob(z).double()
    information = []
    for part in z[:2]:  # n x n densities each
        mixed = q.log_prob(part.unsqueeze(1)).double()  # (n, n): draw i under row j
        information.append(q.log_prob(part).double() - mixed.logsumexp(1) + log(n))
    found = Estimate.of(torch.stack(information).mean(0).cpu().numpy())
    kl = float((own - p.log_prob(z).double()).mean())
    mean = code_of(q)
    moved = mean.var(0) / (z.var(0).mean(0) + mean.var(0)).clamp_min(1e-12)
    idle = (moved <= _ACTIVE_SHARE).nonzero()[:, 0].tolist()
    by_kl = _active_by_kl(patient)
    counts = f"active dimensions: {d - len(idle)} of {d} by the spread of their means"
    counts += "" if by_kl is None else f", {by_kl} by a KL above {_ACTIVE_KL:g} nats"
    if 0 < len(idle) < d:
        counts += (
            f" (idle: {', '.join(f'z{k}' for k in idle[:_SHOWN])}{', ...' if len(idle) > _SHOWN else ''})"
        )
    told = (
        f"the code tells {found.mean:.2f} ± {found.standard_error:.2f} nats about its row (at most {log(n):.1f} can be "
        f"seen); {counts}"
    )
    if found.mean > _LITTLE + 3 * found.standard_error:
        chart.passed.append(told)
        return
    dependence = _dependence(patient.x.flatten(1).double().cpu().numpy())
    if not matters(dependence, _LEAST_DEPENDENCE):
        chart.passed.append(
            f"{told}, and there is nothing to tell: the columns are independent, as far as can be seen"
        )
        return
    chart.findings.append(
        Finding(
            "collapse",
            f"The code says nothing: it tells {found.mean:.3f} ± {found.standard_error:.3f} nats about its row",
            f"{counts}; the mean KL is {kl:.3f} nats. The columns depend on each other by at least "
            f"{dependence.mean:.2f} ± {dependence.standard_error:.2f} nats (the total correlation of their normal "
            "scores), which a code could carry.",
            dependence,
            (
                "give the KL less weight at first: `vaekit fit DATA --objective elbo:warmup=0.3`",
                "keep some information free: `vaekit fit DATA --objective elbo:free_bits=0.1`",
                "learn the noise, rather than fixing it: `vaekit fit DATA --likelihood auto`",
            ),
        )
    )


def _active_by_kl(patient: Patient) -> int | None:
    """Count the dimensions whose mean KL is above 0.01 nats; None where the KL is not a sum over dimensions."""
    if not isinstance(patient.model, VAE):
        return None
    found = Elbo()(patient.model, patient.x, patient.c).kl_per_dimension
    return None if found is None else int((found.mean(0) > _ACTIVE_KL).sum())


def _dependence(x: _Array) -> Estimate:
    r"""Estimate the total correlation of columns, :math:`-\frac 1 2 \log \det R` of their normal scores, in nats.

    The correlations are those of half the rows, and the gain over independence is that of the other half, so that
    independent columns give nothing, or less.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    x = x[~np.isnan(x).any(1)]
    x = x[:, x.std(0) > 0] if len(x) else x
    x = x[:, np.argsort(-x.std(0))[:_MOST_COLUMNS]]
    n, d = x.shape
    if d < 2 or n < 20:
        return Estimate(0.0, 0.0)
    ranks = np.apply_along_axis(rankdata, 0, x)
    scores = np.asarray(ndtri((ranks - 0.5) / n))
    scores = (scores - scores.mean(0)) / scores.std(0)
    gains = np.empty(n)
    for half in (slice(0, None, 2), slice(1, None, 2)):
        other = np.ones(n, dtype=bool)
        other[half] = False
        shrunk = 0.9 * np.corrcoef(scores[other], rowvar=False) + 0.1 * np.eye(d)
        factor = np.linalg.cholesky(shrunk)
        whitened = np.linalg.solve(factor, scores[half].T)
        gains[half] = (
            0.5 * (scores[half] ** 2).sum(1) - 0.5 * (whitened**2).sum(0) - np.log(factor.diagonal()).sum()
        )
    return Estimate.of(gains)


def _hole(patient: Patient, chart: Chart) -> None:
    """Compare draws of the aggregate posterior with the prior."""
    model = patient.model
    shown_q = model.encode(patient.x, patient.c)
    z = shown_q.sample()
    p = model.prior(patient.c)
    drawn = p.sample() if p.batch_shape else p.sample(torch.Size((len(z),)))
    accuracy, error = _told_apart(z.double().cpu().numpy(), drawn.double().cpu().numpy())
    if patient.train is None:
        fitted_to, judged = z[::2], np.arange(len(z)) % 2 == 1
    else:
        fitted_to = model.encode(patient.train, patient.train_c).sample()
        judged = np.ones(len(z), dtype=bool)
    mixture = _mixture(fitted_to.double().cpu().numpy())
    draws = shown_q.sample(torch.Size((_DRAWS,)))
    before = p.log_prob(draws).double().mean(0).cpu().numpy()
    after = np.stack([mixture.score_samples(part) for part in draws.double().cpu().numpy()]).mean(0)
    gain = Estimate.of((after - before)[judged])
    told = (
        f"a classifier tells codes of rows from draws of the prior in {accuracy:.0%} ± {error:.0%} of cases (50% is "
        f"chance), and another prior would gain {gain.mean:.2f} ± {gain.standard_error:.2f} nats a row"
    )
    if not matters(gain, _LEAST_HOLE):
        chart.passed.append(told)
        return
    chart.findings.append(
        Finding(
            "prior-hole",
            f"The prior does not fit where the rows are: another one gains {gain.mean:.2f} ± {gain.standard_error:.2f} "
            "nats a row",
            f"{told[0].upper()}{told[1:]}. New rows are drawn from places that no row is in.",
            gain,
            (
                "fit another prior, and leave the rest as it is: "
                f"`vaekit fit-prior {patient.artifact} {patient.data} --prior gmm:components=10 -o better.vae`",
            ),
        )
    )


def _told_apart(a: _Array, b: _Array) -> tuple[float, float]:
    """Return the accuracy of a classifier of two samples, cross-validated, and its standard error by chance."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    x, y = np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)])
    order = np.random.default_rng(0).permutation(len(x))
    degree = 3 if a.shape[1] <= 4 else 2 if a.shape[1] <= 20 else 1
    classifier = make_pipeline(
        PolynomialFeatures(degree, include_bias=False),
        StandardScaler(),
        LogisticRegression(C=0.1, max_iter=300),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of not having converged
        accuracy = float(cross_val_score(classifier, x[order], y[order], cv=4).mean())
    return accuracy, 0.5 / sqrt(len(x))


def _mixture(z: _Array) -> "GaussianMixture":
    """Fit mixtures of Gaussians to draws ``(n, d)``; their number is chosen on a fifth of them."""
    from sklearn.mixture import GaussianMixture

    rows = np.random.default_rng(0).permutation(len(z))
    inner, outer = z[rows[len(z) // 5 :]], z[rows[: len(z) // 5]]

    def fit(components: int, draws: _Array) -> GaussianMixture:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = GaussianMixture(
                components,
                covariance_type="full" if len(draws) > 20 * components * z.shape[1] else "diag",
                reg_covar=1e-4 * float(draws.var(0).mean()),
                random_state=0,
            )
            return found.fit(draws)

    sizes = [k for k in _COMPONENTS if len(inner) >= 10 * k] or [1]
    best = max(sizes, key=lambda k: float(fit(k, inner).score(outer)))
    return fit(best, z)
