r"""The columns that a model describes: calibration, noise, and the family of each.

**Calibration.** Where a model is right, :math:`u = F_j(x_j)` of held-out rows is uniform on [0, 1], with its own
distribution function of the column; of values that come often, a random point of the jump (the randomised probability
integral transform: Czado, Gneiting and Held, 2009, "Predictive Model Assessment for Count Data"). It is found here from
draws of the model. What an uneven :math:`u` costs is the gain of describing it by its own shares in ten bins, learned
from one half of the rows and tried on the other; central intervals say the same as coverage.

**Noise.** With :math:`r = (x - \mu(z)) / \sigma` under the posterior, the mean square is 1 where the noise has the size
of the errors; another size costs :math:`\frac 1 2 (\overline{r^2} - 1 - \log \overline{r^2})` nats a cell.

**Family.** The same transform under :math:`p(x_j \mid z)`, with a draw of the posterior, has too much in its last
half per cents where the data have heavier tails than the likelihood. A Gaussian noise that is learned grows with the
outliers, and hides them there: its :math:`r` are compared with Student's t besides, on rows that neither was fitted to.
And a density has no mass at a single value.
"""

from math import log, sqrt

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.errors import UsageError
from vaekit.evaluation import Estimate
from vaekit.evaluation.column_families import fit_marginal
from vaekit.evaluation.column_models import fit_column
from vaekit.jobs.diagnosis.diagnosis import Chart, Finding, Patient, matters
from vaekit.likelihoods.conventions import InDataUnits
from vaekit.likelihoods.histogram_cells import ColumnFacts
from vaekit.likelihoods.mixed import is_continuous
from vaekit.likelihoods.observed_cells import ObservedCells, cell_log_prob
from vaekit.vae import VAE

__all__ = ["coverage", "diagnose_columns", "recalibration_gain"]

_Array = npt.NDArray[np.float64]

_DRAWS = 4000
_CONDITIONAL_DRAWS = 400
_CELLS = 2_000_000  # evaluated at once
_BINS = np.linspace(0, 1, 11)
_TAILS = np.array([0.0, 0.005, 0.995, 1.0])
_LEAST_UNEVEN, _LEAST_WORSE, _LEAST_TAIL, _LEAST_NOISE = 0.05, 0.1, 0.03, 0.05  # nats a cell
_LEAST_MASS = 0.05  # the share of one value in a column of real numbers
_SHOWN = 5
_FOLDS = 4
_SCALED = ("gaussian", "laplace")  # kinds whose noise has a scale


def recalibration_gain(u: _Array, edges: _Array) -> Estimate:
    """Return the gain in nats of describing numbers in [0, 1] by their own shares in bins, on rows not used for them.

    Parameters
    ----------
    u
        ``(n,)``; uniform where all is well, and then the gain is a little below 0.
    edges
        ``(bins + 1,)``: the ends of the bins.

    Examples
    --------
    >>> even = (np.arange(1000) * 0.6180339887) % 1
    >>> recalibration_gain(even, _BINS).mean < 0.01, recalibration_gain(even**2, _BINS).mean > 0.1
    (True, True)
    """
    which = np.searchsorted(edges[1:-1], u, side="right")
    width, gains = np.diff(edges), np.empty(len(u))
    for half in (slice(0, None, 2), slice(1, None, 2)):
        other = np.ones(len(u), dtype=bool)
        other[half] = False
        counts = np.bincount(which[other], minlength=len(width))
        share = (counts + width * len(width)) / (other.sum() + len(width))  # one row more a bin, on average
        gains[half] = np.log(share / width)[which[half]]
    return Estimate.of(gains)


def coverage(u: _Array, share: float) -> tuple[float, float]:
    """Return how many of the values lie in a central interval that should hold a share of them, and its error.

    >>> coverage(np.linspace(0.005, 0.995, 100), 0.5)
    (0.5, 0.05)
    """
    return float((np.abs(u - 0.5) <= share / 2).mean()), sqrt(share * (1 - share) / len(u))


def diagnose_columns(patient: Patient, chart: Chart) -> None:
    """Look at every column of a table; torch's global generator is used."""
    if patient.columns is None or patient.x.dim() != 2:
        chart.not_checked.append("columns: the data are no table")
        return
    drawn = _marginal_draws(patient)
    x = patient.x.double().cpu().numpy()
    uniform = np.random.default_rng(0).random(x.shape)
    u = _transform(x, drawn, uniform)
    _calibration(patient, chart, u)
    _marginals(patient, chart, x)
    q = patient.model.encode(patient.x, patient.c)
    likelihood = patient.model.decode(q.sample(), patient.c)
    _noise(patient, chart, likelihood)
    inner = np.stack([likelihood.sample().double().cpu().numpy() for _ in range(_CONDITIONAL_DRAWS)])
    errors = None
    if "gaussian" in patient.kinds:  # in units of the noise, which may differ from row to row
        errors = ((patient.x - likelihood.mean) / likelihood.variance.sqrt()).double().cpu().numpy()
    _family(patient, chart, x, _transform_by_row(x, inner, uniform), drawn, errors)


def _marginal_draws(patient: Patient) -> _Array:
    """Draw rows ``(draws, columns)`` from the model, under the conditions of the rows in turn."""
    model, c = patient.model, patient.c
    if c is not None:
        c = c[torch.arange(_DRAWS, device=c.device) % len(c)]
    p = model.prior(c)
    z = p.sample() if p.batch_shape else p.sample(torch.Size((_DRAWS,)))
    return model.decode(z, c).sample().double().cpu().numpy()


def _transform(x: _Array, drawn: _Array, uniform: _Array) -> _Array:
    """Return the randomised probability integral transform of ``(n, D)`` by draws ``(S, D)``; NaN of missing cells."""
    u = np.full(x.shape, np.nan)
    for j in range(x.shape[1]):
        ordered, known = np.sort(drawn[:, j]), ~np.isnan(x[:, j])
        below = np.searchsorted(ordered, x[known, j], side="left")
        upto = np.searchsorted(ordered, x[known, j], side="right")
        u[known, j] = (below + uniform[known, j] * (upto - below + 1)) / (len(ordered) + 1)
    return u


def _transform_by_row(x: _Array, drawn: _Array, uniform: _Array) -> _Array:
    """Return the same by each row's own draws ``(R, n, D)``."""
    below, same = (drawn < x).sum(0), (drawn == x).sum(0)
    return np.where(np.isnan(x), np.nan, (below + uniform * (same + 1)) / (len(drawn) + 1))


def _named(found: list[tuple[str, Estimate, str]]) -> str:
    """Name the worst columns, with the effect in each."""
    shown = [
        f"{name} ({each.mean:.2f} ± {each.standard_error:.2f} nats{told})"
        for name, each, told in found[:_SHOWN]
    ]
    return ", ".join(shown) + (f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


def _total(found: list[tuple[str, Estimate, str]]) -> Estimate:
    return Estimate(
        sum(each.mean for _, each, _ in found), sqrt(sum(each.standard_error**2 for _, each, _ in found))
    )


def _worst_first(found: list[tuple[str, Estimate, str]]) -> list[tuple[str, Estimate, str]]:
    return sorted(found, key=lambda item: -item[1].mean)


def _calibration(patient: Patient, chart: Chart, u: _Array) -> None:
    found: list[tuple[str, Estimate, str]] = []
    for name, column in zip(patient.columns or (), u.T, strict=True):
        known = column[~np.isnan(column)]
        if len(known) < 40:
            continue
        gain = recalibration_gain(known, _BINS)
        if matters(gain, _LEAST_UNEVEN):
            seen = "/".join(f"{coverage(known, share)[0]:.0%}" for share in (0.5, 0.9, 0.99))
            found.append((name, gain, f"; 50/90/99% intervals hold {seen}"))
    if not found:
        whole = u[~np.isnan(u)]
        seen = ", ".join(f"{share:.0%}: {coverage(whole, share)[0]:.1%}" for share in (0.5, 0.9, 0.99))
        chart.passed.append(
            f"the model's intervals of each column hold what they should ({seen} of all values)"
        )
        return
    found = _worst_first(found)
    chart.findings.append(
        Finding(
            "calibration",
            f"{_columns(found)} not calibrated: {_named(found)}",
            f"By the probability integral transform of {len(u)} held-out rows under the model's own distribution of "
            "the column, and what bins of it would gain. Intervals and synthetic rows of such a column are off.",
            _total(found),
            (
                "let the family be chosen by held-out rows: `vaekit fit DATA --likelihood auto`",
                f"if the prior is to blame: `vaekit fit-prior {patient.artifact} {patient.data} "
                "--prior gmm:components=10 -o better.vae`",
            ),
        )
    )


def _columns(found: list[tuple[str, Estimate, str]]) -> str:
    return "1 column is" if len(found) == 1 else f"{len(found)} columns are"


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
    found: list[tuple[str, Estimate, str]] = []
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
    found = _worst_first(found)
    chart.findings.append(
        Finding(
            "worse-than-marginal",
            f"{_columns(found)} described worse than by the column's own marginal: {_named(found)}",
            "The model's density of the column alone, by draws of its prior, is below that of the best simple family "
            "fitted to the training rows.",
            _total(found),
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
    z = p.sample(torch.Size((_DRAWS // 2, 1)))
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


def _noise(patient: Patient, chart: Chart, p: Distribution) -> None:
    """Compare the size of the noise with that of the errors, of columns whose noise has a scale."""
    kinds = patient.kinds
    scaled = [j for j, kind in enumerate(kinds) if kind in _SCALED]
    if not scaled:
        return
    sigma = p.variance.sqrt().expand(patient.x.shape)
    square = ((patient.x - p.mean) / sigma).square().double().cpu().numpy()
    spread = _known_deviation(patient.x)
    found: list[tuple[str, Estimate, str]] = []
    for j in scaled:
        known = square[~np.isnan(square[:, j]), j]
        if len(known) < 40:
            continue
        mean, error = Estimate.of(known)
        cost = Estimate(
            0.5 * (mean - 1 - log(max(mean, 1e-300))), 0.5 * abs(1 - 1 / max(mean, 1e-300)) * error
        )
        if matters(cost, _LEAST_NOISE):
            size = float(sigma[:, j].median()) / spread[j]
            way = "too small" if mean > 1 else "too large"
            found.append(((patient.columns or ())[j], cost, f"; {way}: {size:.2g} of the column's deviation"))
    if not found:
        chart.passed.append("the decoder's noise has the size of its errors")
        return
    found = _worst_first(found)
    chart.findings.append(
        Finding(
            "noise",
            f"The decoder's noise has another size than its errors: {_named(found)}",
            "Of held-out rows, under draws of their posteriors. A noise that is too small makes the model sure of what "
            "it does not know, and one that is too large hides what it could say; at its floor the model has learned "
            "rows by heart.",
            _total(found),
            (
                "learn the noise of each column: `vaekit fit DATA --likelihood gaussian:scale=per-dimension`",
                "if it is learned, stop earlier or use a smaller network: `vaekit fit DATA --patience 10 --network "
                "mlp:hidden=32`",
            ),
        )
    )


def _known_deviation(x: Tensor) -> list[float]:
    return [max(float(column[~column.isnan()].std()), 1e-12) for column in x.unbind(1)]


def _family(
    patient: Patient, chart: Chart, x: _Array, u: _Array, drawn: _Array, errors: _Array | None
) -> None:
    """Look for tails that are heavier than the likelihood's, and for values with a mass of their own."""
    tails: list[tuple[str, Estimate, str]] = []
    masses: list[tuple[str, Estimate, str]] = []
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
    _tell_tails(patient, chart, _worst_first(tails), kinds)
    _tell_masses(chart, _worst_first(masses))
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


def _tell_tails(
    patient: Patient, chart: Chart, found: list[tuple[str, Estimate, str]], kinds: tuple[str, ...]
) -> None:
    if not found:
        return
    kind = dict(zip(patient.columns or (), kinds, strict=True))[found[0][0]]
    heavier = "student-t" if is_continuous(kind or "gaussian") else "negative-binomial"
    chart.findings.append(
        Finding(
            "heavy-tails",
            f"The likelihood's tails are too light: {_named(found)}",
            "Of held-out rows, under draws of their posteriors: too many values are where the likelihood has hardly "
            "any probability. Counts of this kind are over-dispersed, and real numbers have outliers.",
            _total(found),
            (
                f"another family for the column: `vaekit fit DATA --column {found[0][0]}={heavier}`",
                "let the family be chosen by held-out rows: `vaekit fit DATA --likelihood auto`",
            ),
        )
    )


def _tell_masses(chart: Chart, found: list[tuple[str, Estimate, str]]) -> None:
    if not found:
        return
    chart.findings.append(
        Finding(
            "mass-at-a-value",
            f"One value has a mass that the likelihood lacks: {_named(found)}",
            "A density of real numbers gives no single value a probability, and counts may have more zeros than their "
            "family allows: new rows never have the value, or too rarely.",
            _total(found),
            (f"a family with such masses: `vaekit fit DATA --column {found[0][0]}=histogram`",),
        )
    )
