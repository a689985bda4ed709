r"""The calibration of the columns that a model describes, and the size of its noise: what is quick to see of them.

**Calibration.** Where a model is right, :math:`u = F_j(x_j)` of held-out rows is uniform on [0, 1], with its own
distribution function of the column; of values that come often, a random point of the jump (the randomised probability
integral transform: Czado, Gneiting and Held, 2009, "Predictive Model Assessment for Count Data"). It is found here from
draws of the model. What an uneven :math:`u` costs is the gain of describing it by its own shares in ten bins, learned
from one half of the rows and tried on the other; central intervals say the same as coverage.

**Noise.** With :math:`r = (x - \mu(z)) / \sigma` under the posterior, the mean square is 1 where the noise has the size
of the errors; another size costs :math:`\frac 1 2 (\overline{r^2} - 1 - \log \overline{r^2})` nats a cell.
"""

from math import log, sqrt

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.evaluation import Estimate
from vaekit.jobs.diagnosis.diagnosis import Chart, ColumnCalibration, Finding, Patient, matters

__all__ = [
    "DRAWS",
    "ColumnEffect",
    "columns_are",
    "coverage",
    "diagnose_calibration",
    "find_calibration",
    "find_noise",
    "marginal_draws",
    "named",
    "random_points",
    "recalibration_gain",
    "total",
    "transform_by_draws",
    "worst_first",
]

_Array = npt.NDArray[np.float64]

#: The name of a column, the effect in it, and what is told beside it.
ColumnEffect = tuple[str, Estimate, str]

DRAWS = 4000  # of the model's own distribution of each column
_BINS = np.linspace(0, 1, 11)
_INTERVALS = (0.5, 0.9, 0.99)
_LEAST_UNEVEN, _LEAST_NOISE = 0.05, 0.05  # nats a cell
_SHOWN = 5
_SCALED = ("gaussian", "laplace")  # kinds whose noise has a scale


def diagnose_calibration(patient: Patient, chart: Chart) -> None:
    """Look at what is quick to see of every column of a table: calibration, and the size of the noise."""
    if patient.columns is None or patient.x.dim() != 2:
        return
    x = patient.x.double().cpu().numpy()
    find_calibration(patient, chart, transform_by_draws(x, marginal_draws(patient), random_points(x)))
    q = patient.model.encode(patient.x, patient.c)
    find_noise(patient, chart, patient.model.decode(q.sample(), patient.c))


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


def random_points(x: _Array) -> _Array:
    """Return a random number for each value, which places it within the jump of a distribution function."""
    return np.random.default_rng(0).random(x.shape)


def marginal_draws(patient: Patient) -> _Array:
    """Draw rows ``(draws, columns)`` from the model, under the conditions of the rows in turn."""
    model, c = patient.model, patient.c
    if c is not None:
        c = c[torch.arange(DRAWS, device=c.device) % len(c)]
    p = model.prior(c)
    z = p.sample() if p.batch_shape else p.sample(torch.Size((DRAWS,)))
    return model.decode(z, c).sample().double().cpu().numpy()


def transform_by_draws(x: _Array, drawn: _Array, uniform: _Array) -> _Array:
    """Return the randomised probability integral transform of ``(n, D)`` by draws ``(S, D)``; NaN of missing cells."""
    u = np.full(x.shape, np.nan)
    for j in range(x.shape[1]):
        ordered, known = np.sort(drawn[:, j]), ~np.isnan(x[:, j])
        below = np.searchsorted(ordered, x[known, j], side="left")
        upto = np.searchsorted(ordered, x[known, j], side="right")
        u[known, j] = (below + uniform[known, j] * (upto - below + 1)) / (len(ordered) + 1)
    return u


def find_calibration(patient: Patient, chart: Chart, u: _Array) -> None:
    """Look at where held-out values lie in the model\'s distribution of their column."""
    found: list[ColumnEffect] = []
    for name, column in zip(patient.columns or (), u.T, strict=True):
        known = column[~np.isnan(column)]
        if len(known) < 40:
            continue
        gain = recalibration_gain(known, _BINS)
        covered = {f"{share:.0%}": Estimate(*coverage(known, share)) for share in _INTERVALS}
        shares = np.histogram(known, _BINS)[0] / len(known)
        chart.calibration.append(ColumnCalibration(name, len(known), tuple(shares.tolist()), covered, gain))
        if matters(gain, _LEAST_UNEVEN):
            seen = "/".join(f"{each.mean:.0%}" for each in covered.values())
            found.append((name, gain, f"; 50/90/99% intervals hold {seen}"))
    if not found:
        whole = u[~np.isnan(u)]
        seen = ", ".join(f"{share:.0%}: {coverage(whole, share)[0]:.1%}" for share in _INTERVALS)
        chart.passed.append(
            f"the model's intervals of each column hold what they should ({seen} of all values)"
        )
        return
    found = worst_first(found)
    chart.findings.append(
        Finding(
            "calibration",
            f"{columns_are(found)} not calibrated: {named(found)}",
            f"By the probability integral transform of {len(u)} held-out rows under the model's own distribution of "
            "the column, and what bins of it would gain. Intervals and synthetic rows of such a column are off.",
            total(found),
            (
                "let the family be chosen by held-out rows: `vaekit fit DATA --likelihood auto`",
                f"if the prior is to blame: `vaekit fit-prior {patient.artifact} {patient.data} "
                "--prior gmm:components=10 -o better.vae`",
            ),
        )
    )


def find_noise(patient: Patient, chart: Chart, p: Distribution) -> None:
    """Compare the size of the noise with that of the errors, of columns whose noise has a scale."""
    kinds = patient.kinds
    scaled = [j for j, kind in enumerate(kinds) if kind in _SCALED]
    if not scaled:
        return
    sigma = p.variance.sqrt().expand(patient.x.shape)
    square = ((patient.x - p.mean) / sigma).square().double().cpu().numpy()
    spread = _known_deviation(patient.x)
    found: list[ColumnEffect] = []
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
    found = worst_first(found)
    chart.findings.append(
        Finding(
            "noise",
            f"The decoder's noise has another size than its errors: {named(found)}",
            "Of held-out rows, under draws of their posteriors. A noise that is too small makes the model sure of what "
            "it does not know, and one that is too large hides what it could say; at its floor the model has learned "
            "rows by heart.",
            total(found),
            (
                "learn the noise of each column: `vaekit fit DATA --likelihood gaussian:scale=per-dimension`",
                "if it is learned, stop earlier or use a smaller network: `vaekit fit DATA --patience 10 --network "
                "mlp:hidden=32`",
            ),
        )
    )


def named(found: list[ColumnEffect]) -> str:
    """Name the worst columns, with the effect in each."""
    shown = [
        f"{name} ({each.mean:.2f} ± {each.standard_error:.2f} nats{told})"
        for name, each, told in found[:_SHOWN]
    ]
    return ", ".join(shown) + (f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


def total(found: list[ColumnEffect]) -> Estimate:
    """Return the effect in all columns together."""
    return Estimate(
        sum(each.mean for _, each, _ in found), sqrt(sum(each.standard_error**2 for _, each, _ in found))
    )


def worst_first(found: list[ColumnEffect]) -> list[ColumnEffect]:
    """Return the same, the largest effect first."""
    return sorted(found, key=lambda item: -item[1].mean)


def columns_are(found: list[ColumnEffect]) -> str:
    """Return the beginning of a sentence about that many columns."""
    return "1 column is" if len(found) == 1 else f"{len(found)} columns are"


def _known_deviation(x: Tensor) -> list[float]:
    return [max(float(column[~column.isnan()].std()), 1e-12) for column in x.unbind(1)]
