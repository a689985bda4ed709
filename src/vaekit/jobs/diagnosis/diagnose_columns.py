r"""The columns that a model describes: calibration and noise, their own marginals, and the family of each.

Calibration and noise stand in :mod:`vaekit.jobs.diagnosis.diagnose_calibration`. For the family of a column, the same
transform under :math:`p(x_j \mid z)`, with a draw of the posterior, has too much in its last half per cents where the
data have heavier tails than the likelihood. A Gaussian noise that is learned grows with the outliers, and hides them
there: errors in units of it are compared with Student's t besides, on rows that neither was fitted to. And a density
has no mass at a single value.
"""

from math import log, sqrt

import numpy as np
import numpy.typing as npt
import torch
from torch.distributions import Distribution

from vaekit.errors import UsageError
from vaekit.evaluation import Estimate
from vaekit.evaluation.column_families import fit_marginal
from vaekit.evaluation.column_models import fit_column
from vaekit.jobs.diagnosis.diagnose_calibration import (
    DRAWS,
    ColumnEffect,
    columns_are,
    find_calibration,
    find_noise,
    marginal_draws,
    named,
    random_points,
    recalibration_gain,
    total,
    transform_by_draws,
    worst_first,
)
from vaekit.jobs.diagnosis.diagnosis import Chart, Finding, Patient, matters
from vaekit.likelihoods.conventions import InDataUnits
from vaekit.likelihoods.histogram_cells import ColumnFacts
from vaekit.likelihoods.mixed import is_continuous
from vaekit.likelihoods.observed_cells import ObservedCells, cell_log_prob
from vaekit.vae import VAE

__all__ = ["diagnose_columns"]

_Array = npt.NDArray[np.float64]

_CONDITIONAL_DRAWS = 400
_CELLS = 2_000_000  # evaluated at once
_TAILS = np.array([0.0, 0.005, 0.995, 1.0])
_LEAST_WORSE, _LEAST_TAIL = 0.1, 0.03  # nats a cell
_LEAST_MASS = 0.05  # the share of one value in a column of real numbers
_FOLDS = 4


def diagnose_columns(patient: Patient, chart: Chart) -> None:
    """Look at every column of a table; torch's global generator is used."""
    if patient.columns is None or patient.x.dim() != 2:
        chart.not_checked.append("columns: the data are no table")
        return
    drawn = marginal_draws(patient)
    x = patient.x.double().cpu().numpy()
    uniform = random_points(x)
    u = transform_by_draws(x, drawn, uniform)
    find_calibration(patient, chart, u)
    _marginals(patient, chart, x)
    q = patient.model.encode(patient.x, patient.c)
    likelihood = patient.model.decode(q.sample(), patient.c)
    find_noise(patient, chart, likelihood)
    inner = np.stack([likelihood.sample().double().cpu().numpy() for _ in range(_CONDITIONAL_DRAWS)])
    errors = None
    if "gaussian" in patient.kinds:  # in units of the noise, which may differ from row to row
        errors = ((patient.x - likelihood.mean) / likelihood.variance.sqrt()).double().cpu().numpy()
    _family(patient, chart, x, _transform_by_row(x, inner, uniform), drawn, errors)


def _transform_by_row(x: _Array, drawn: _Array, uniform: _Array) -> _Array:
    """Return the same by each row's own draws ``(R, n, D)``."""
    below, same = (drawn < x).sum(0), (drawn == x).sum(0)
    return np.where(np.isnan(x), np.nan, (below + uniform * (same + 1)) / (len(drawn) + 1))


def _marginals(patient: Patient, chart: Chart, x: _Array) -> None:
    """Compare the model's density of each column alone with that of the best family of the training rows."""
    if patient.c is not None:
        chart.not_checked.append("columns against their own marginals: the model has conditions")
        return
    if patient.train is None or not patient.kinds:
        chart.not_checked.append(
            "columns against their own marginals: no training rows, or the kinds of columns are not known"
        )
        return
    try:
        ours = _log_marginals(patient)
    except UsageError:
        chart.not_checked.append("columns against their own marginals: the likelihood is one of whole rows")
        return
    train = patient.train.double().cpu().numpy()
    found: list[ColumnEffect] = []
    for j, (name, kind) in enumerate(zip(patient.columns or (), patient.kinds, strict=True)):
        known = ~np.isnan(x[:, j])
        if known.sum() < 40 or np.isnan(train[:, j]).all():
            continue
        alone = fit_column(kind, train[:, j], _facts(train[:, j])).log_density(x[known, j])
        worse = Estimate.of(alone - ours[known, j])
        if matters(worse, _LEAST_WORSE):
            found.append((name, worse, ""))
    if not found:
        chart.passed.append("no column is described worse than by its own marginal")
        return
    found = worst_first(found)
    chart.findings.append(
        Finding(
            "worse-than-marginal",
            f"{columns_are(found)} described worse than by the column's own marginal: {named(found)}",
            "The model's density of the column alone, by draws of its prior, is below that of the best simple family "
            "fitted to the training rows.",
            total(found),
            ("let the family be chosen by held-out rows: `vaekit fit DATA --likelihood auto`",),
        )
    )


def _facts(column: _Array) -> ColumnFacts:
    """Return what the values tell of a column: the smallest step between those of one that has few."""
    distinct = np.unique(column[~np.isnan(column)])
    step = float(np.diff(distinct).min()) if 1 < len(distinct) < 0.5 * len(column) else 0.0
    return ColumnFacts(step)


def _log_marginals(patient: Patient) -> _Array:
    """Return the model's log-density of each cell alone, ``(n, D)``, in the coordinates of the model."""
    model, x = patient.model, patient.x
    p = model.prior()
    z = p.sample(torch.Size((DRAWS // 2, 1)))
    size = max(1, _CELLS // x.numel())
    part = model.likelihood_part if isinstance(model, VAE) else None
    # Where cells may be missing, each has the Jacobian of its own scaling; elsewhere the row has that of all.
    jacobian = part.log_jacobian if isinstance(part, ObservedCells) else torch.zeros((), device=x.device)
    total = torch.full(x.shape, -torch.inf, dtype=torch.float64, device=x.device)
    for some in z.split(size):
        cells = (cell_log_prob(_in_model_units(model.decode(some)), x) - jacobian).double()
        total = torch.logaddexp(total, cells.expand(len(some), *x.shape).logsumexp(0))
    return (total - log(len(z))).cpu().numpy()


def _in_model_units(p: Distribution) -> Distribution:
    return p.base if isinstance(p, InDataUnits) else p


def _family(
    patient: Patient, chart: Chart, x: _Array, u: _Array, drawn: _Array, errors: _Array | None
) -> None:
    """Look for tails that are heavier than the likelihood's, and for values with a mass of their own."""
    tails: list[ColumnEffect] = []
    masses: list[ColumnEffect] = []
    kinds = patient.kinds or ("",) * x.shape[1]
    for j, name in enumerate(patient.columns or ()):
        known = ~np.isnan(x[:, j])
        if known.sum() < 40:
            continue
        beyond = float((np.abs(u[known, j] - 0.5) > 0.495).mean())
        gain = recalibration_gain(u[known, j], _TAILS)
        if beyond > 0.01 and matters(gain, _LEAST_TAIL):
            tails.append((name, gain, f"; {beyond:.1%} of values beyond where 1% should be"))
        elif errors is not None and kinds[j] == "gaussian":
            gain = _gain_of_t(errors[known, j])
            if matters(gain, _LEAST_TAIL):
                tails.append((name, gain, "; by a Student's t in the place of the Gaussian"))
        values, counts = np.unique(x[known, j], return_counts=True)
        share, expected = counts.max() / known.sum(), float((drawn[:, j] == values[counts.argmax()]).mean())
        error = sqrt(
            max(share * (1 - share), 1e-9) / known.sum() + max(expected * (1 - expected), 0) / len(drawn)
        )
        if share - expected > _LEAST_MASS and share - expected > 4 * error and share > 2 * expected:
            gained = share * log(share / max(expected, 1 / len(drawn)))
            gained += (1 - share) * log((1 - share + 1e-12) / max(1 - expected, 1e-12))
            masses.append(
                (name, Estimate(gained, error * abs(log(share))), f"; {share:.0%} of rows have one value")
            )
    _tell_tails(patient, chart, worst_first(tails), kinds)
    _tell_masses(chart, worst_first(masses))
    if not tails and not masses:
        chart.passed.append("the likelihood of each column has the tails and the frequent values of the data")


def _gain_of_t(errors: _Array) -> Estimate:
    """Return the gain of Student's t over a Gaussian, each error by families fitted to the other folds.

    Of one error at most a nat is counted, which makes the gain smaller, and keeps single outliers from deciding.
    """
    gains, fold = np.empty(len(errors)), np.arange(len(errors)) % _FOLDS
    for k in range(_FOLDS):
        rest, mine = errors[fold != k], errors[fold == k]
        if rest.min() == rest.max():
            return Estimate(0.0, 0.0)
        gaussian, heavier = (fit_marginal(kind, rest, ColumnFacts()) for kind in ("gaussian", "student-t"))
        if gaussian is None or heavier is None:
            return Estimate(0.0, 0.0)
        gains[fold == k] = np.minimum(heavier.log_density(mine) - gaussian.log_density(mine), 1.0)
    return Estimate.of(gains)


def _tell_tails(patient: Patient, chart: Chart, found: list[ColumnEffect], kinds: tuple[str, ...]) -> None:
    if not found:
        return
    kind = dict(zip(patient.columns or (), kinds, strict=True))[found[0][0]]
    heavier = "student-t" if is_continuous(kind or "gaussian") else "negative-binomial"
    chart.findings.append(
        Finding(
            "heavy-tails",
            f"The likelihood's tails are too light: {named(found)}",
            "Of held-out rows, under draws of their posteriors: too many values are where the likelihood has hardly "
            "any probability. Counts of this kind are over-dispersed, and real numbers have outliers.",
            total(found),
            (
                f"another family for the column: `vaekit fit DATA --column {found[0][0]}={heavier}`",
                "let the family be chosen by held-out rows: `vaekit fit DATA --likelihood auto`",
            ),
        )
    )


def _tell_masses(chart: Chart, found: list[ColumnEffect]) -> None:
    if not found:
        return
    chart.findings.append(
        Finding(
            "mass-at-a-value",
            f"One value has a mass that the likelihood lacks: {named(found)}",
            "A density of real numbers gives no single value a probability, and counts may have more zeros than their "
            "family allows: new rows never have the value, or too rarely.",
            total(found),
            (f"a family with such masses: `vaekit fit DATA --column {found[0][0]}=histogram`",),
        )
    )
