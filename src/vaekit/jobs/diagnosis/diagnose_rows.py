r"""Training beside held-out rows: a model that has learned its rows by heart, and rows in both.

Over-fitting is told by the evidence lower bound of training rows less that of held-out ones, term by term. How far out
a row is moves its bound by nats, whether it was trained on or not: the difference is that between rows that are alike,
by a regression of the bound on the part and on the place of the row along the first principal components and its
square (analysis of covariance, Fisher, 1932), with standard errors that allow for unequal variances (HC2: MacKinnon and
White, 1985). Rows that are in both make held-out numbers too good; between rows of real numbers even one is no chance.
Where all columns are discrete, equal rows are natural, and the held-out rows are compared with how many training rows
have an equal one.
"""

from math import sqrt

import numpy as np
import torch
from torch import Tensor

from vaekit.contracts import Model, traits_of
from vaekit.evaluation import Estimate
from vaekit.jobs.diagnosis.diagnosis import Chart, Finding, Patient, matters

__all__ = ["diagnose_rows", "terms_of_bound"]

_LEAST_OVERFIT = 0.25  # nats
_LEAST_REPEATED = 0.02  # of the held-out rows
_DRAWS = 20
_COMPONENTS = 15  # that rows are compared along, at most
_ROWS_A_COMPONENT = 20  # at least


def diagnose_rows(patient: Patient, chart: Chart) -> None:
    """Compare training with held-out rows; torch's global generator is used."""
    if patient.train is None:
        chart.not_checked.append("over-fitting, and rows in both parts: the training rows are not known")
        return
    repeated = _repeated(patient)
    q = patient.model.encode(patient.x[:1], None if patient.c is None else patient.c[:1])
    if not traits_of(q).has_density:
        chart.not_checked.append("over-fitting: the posterior has no density, and there is no bound")
        _tell_repeated(chart, repeated, None)
        return
    held_out = terms_of_bound(patient.model, patient.x, patient.c)
    _tell_repeated(chart, repeated, held_out[0])
    fresh = ~repeated if 0 < int(repeated.sum()) < len(repeated) - 40 else torch.ones_like(repeated)
    train = terms_of_bound(patient.model, patient.train, patient.train_c)
    places = _places(patient.train, patient.x[fresh.to(patient.x.device)])
    bound, reconstruction, kl = (_gap(a, b[fresh], places) for a, b in zip(train, held_out, strict=True))
    told = (
        f"the bound of training rows is {bound.mean:.2f} ± {bound.standard_error:.2f} nats above that of like held-out "
        f"ones (reconstruction {reconstruction.mean:+.2f}, KL {-kl.mean:+.2f})"
    )
    if not matters(bound, _LEAST_OVERFIT):
        chart.passed.append(told)
        return
    worse = "the reconstruction" if reconstruction.mean > -kl.mean else "the KL"
    chart.findings.append(
        Finding(
            "over-fitting",
            f"The model is over-fitted: {told}",
            f"Most of it is {worse}. The model knows its rows by heart, and describes new ones worse than a model that "
            "was stopped earlier would.",
            bound,
            (
                "stop by held-out rows: `vaekit fit DATA --patience 10`",
                "a smaller network, or noise in it: `vaekit fit DATA --network mlp:hidden=32,dropout=0.2`",
            ),
        )
    )


def terms_of_bound(model: Model, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return bound, reconstruction and KL of each row, ``(n,)`` float64 on the CPU, by the mean of some draws."""
    q, p = model.encode(x, c), model.prior(c)
    reconstruction, kl = [], []
    for _ in range(_DRAWS):
        z = q.sample()
        kl.append((q.log_prob(z) - p.log_prob(z)).double())
        reconstruction.append(model.decode(z, c).log_prob(x).double())
    first, second = torch.stack(reconstruction).mean(0).cpu(), torch.stack(kl).mean(0).cpu()
    return first - second, first, second


def _places(train: Tensor, held_out: Tensor) -> np.ndarray:
    """Return the places of all rows along the first principal components, and their squares, ``(n, features)``.

    They follow from all rows together, so that they tell nothing of the part that a row is in.
    """
    rows = torch.cat([train.flatten(1), held_out.flatten(1)]).double().cpu()
    centred = (rows - rows.nanmean(0)).nan_to_num(0.0)
    scale = centred.square().mean(0).sqrt()
    standard = (centred / torch.where(scale > 0, scale, 1.0)).clamp(-4.0, 4.0)
    most = min(_COMPONENTS, len(rows) // (2 * _ROWS_A_COMPONENT), *standard.shape)
    along = torch.linalg.svd(standard, full_matrices=False)[2][:most]
    place = standard @ along.T
    return torch.cat([place, place.square()], 1).numpy()


def _gap(train: Tensor, held_out: Tensor, places: np.ndarray) -> Estimate:
    """Return how much larger a value is in training rows than in held-out rows at the same places."""
    values = torch.cat([train, held_out]).numpy()
    others = np.column_stack([np.ones(len(values)), places])
    others = np.linalg.svd(others, full_matrices=False)[0]
    part = np.repeat([1.0, 0.0], [len(train), len(held_out)])
    part, values = (each - others @ (others.T @ each) for each in (part, values))
    total = float(part @ part)
    gap = float(part @ values) / total
    leverage = (others**2).sum(1) + part**2 / total
    left = (values - gap * part) / np.sqrt(np.maximum(1.0 - leverage, 1e-6))
    return Estimate(gap, float(np.sqrt(((part * left) ** 2).sum())) / total)


def _difference(a: Tensor, b: Tensor) -> Estimate:
    error = sqrt(float(a.var()) / len(a) + float(b.var()) / len(b))
    return Estimate(float(a.mean() - b.mean()), error)


def _repeated(patient: Patient) -> Tensor:
    """Return which held-out rows are, to the last digit, training rows, where that is no matter of course."""
    train, held_out = (
        [row.tobytes() for row in _with_conditions(x, c)]
        for x, c in ((patient.train, patient.train_c), (patient.x, patient.c))
        if x is not None
    )
    known = set(train)
    repeated = torch.tensor([row in known for row in held_out])
    counts: dict[bytes, int] = {}
    for row in train:
        counts[row] = counts.get(row, 0) + 1
    usual = sum(number > 1 for number in (counts[row] for row in train)) / max(1, len(train))
    share, n = float(repeated.double().mean()), len(repeated)
    error = sqrt(max(share * (1 - share), 1 / n) / n + usual * (1 - usual) / max(1, len(train)))
    natural = _is_discrete(patient)
    least = usual + _LEAST_REPEATED + 4 * error if natural else _LEAST_REPEATED
    return repeated if share > least else torch.zeros_like(repeated)


def _with_conditions(x: Tensor, c: Tensor | None) -> np.ndarray:
    whole = x.flatten(1) if c is None else torch.cat([x.flatten(1), c.flatten(1).to(x.dtype)], 1)
    return whole.cpu().numpy()


def _is_discrete(patient: Patient) -> bool:
    """Whether no column of the rows has more different values than a tenth of the rows."""
    x = patient.x.flatten(1)
    most = max(len(x[:, j].unique()) for j in range(x.shape[1]))
    return most <= max(10, len(x) // 10)


def _tell_repeated(chart: Chart, repeated: Tensor, bound: Tensor | None) -> None:
    count, n = int(repeated.sum()), len(repeated)
    if not count:
        chart.passed.append("held-out rows are no copies of training rows")
        return
    better = Estimate(0.0, 0.0)
    if bound is not None and 2 <= count <= n - 2:
        share = count / n
        mean, error = _difference(bound[repeated], bound[~repeated])
        better = Estimate(share * mean, share * error)
    error = sqrt(count * (1 - count / n)) / n
    chart.findings.append(
        Finding(
            "repeated-rows",
            f"{count} of {n} held-out rows ({count / n:.0%} ± {error:.0%}) are training rows too",
            f"They make the held-out bound higher by {better.mean:.2f} ± {better.standard_error:.2f} nats a row, and "
            "hide that a model has learned rows by heart.",
            better,
            ("take repeated rows out of the data (`drop_duplicates` in pandas), and fit again",),
        )
    )
