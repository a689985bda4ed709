"""The same model fitted again with other seeds, on fewer rows: the findings and numbers that hang on the seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from sklearn.base import clone
from torch import Tensor

from vaekit.contracts import traits_of
from vaekit.data import Dataset
from vaekit.errors import TrainingDivergedError
from vaekit.estimator import VariationalAutoencoder
from vaekit.evaluation import Estimate
from vaekit.jobs.diagnosis.diagnose_rows import terms_of_bound
from vaekit.jobs.diagnosis.diagnosis import Diagnosis, Finding, SeedRun, matters
from vaekit.runtime.randomness import seeded

__all__ = ["Refit", "fit_again", "tell_of_seeds"]

_ROWS, _HELD_OUT, _EPOCHS = 2000, 400, 100  # of a refit, at most
_VALIDATION = 0.15
_LEAST_APART = 0.5  # nats
_ACTIVE = 0.01  # nats


@dataclass(frozen=True)
class Refit:
    """A model fitted again, and its bound of each held-out row, ``(n,)`` nats."""

    run: SeedRun
    bound: Tensor


def fit_again(
    estimator: VariationalAutoencoder,
    held_out: Dataset,
    train: Dataset,
    seeds: int,
    examine: Callable[[VariationalAutoencoder, Dataset, Dataset], Diagnosis],
) -> list[Refit]:
    """Fit a model again with so many seeds, and examine each fit.

    All see the same rows: at most 2,000, of which 15 % choose the epoch of at most 100, and at most 400 held-out ones.
    """
    few = train.take(list(range(min(len(train), _ROWS))))
    held_out = held_out.take(list(range(min(len(held_out), _HELD_OUT))))
    cut = round((1 - _VALIDATION) * len(few))
    first, last = few.take(list(range(cut))), few.take(list(range(cut, len(few))))
    found = []
    for seed in range(estimator.seed_ + 1, estimator.seed_ + 1 + seeds):
        model = cast(VariationalAutoencoder, clone(estimator))
        model.set_params(random_state=seed, epochs=min(estimator.settings_.epochs, _EPOCHS))
        with torch.enable_grad():
            try:
                model.fit(first, validation=last)
            except TrainingDivergedError:
                run = SeedRun(seed, Estimate(float("nan"), float("nan")), None, ("diverged",))
                found.append(Refit(run, torch.full((len(held_out),), torch.nan)))
                continue
        bound = _bound(model, held_out)
        names = tuple(examine(model, held_out, first).names)
        found.append(Refit(SeedRun(seed, Estimate.of(bound.numpy()), _active(model), names), bound))
    return found


def tell_of_seeds(refits: Sequence[Refit]) -> Finding | str:
    """Return a finding where the fit hangs on its seed, and otherwise what is in order, in a sentence."""
    runs = [refit.run for refit in refits]
    fine = [refit for refit in refits if refit.bound.isfinite().all()]
    bounds = ", ".join(f"{run.bound.mean:.2f}" for run in runs)
    told = f"of {len(runs)} refits with other seeds the bound of held-out rows is {bounds} nats"
    apart = Estimate(0.0, 0.0)
    if len(fine) > 1:
        ordered = sorted(fine, key=lambda refit: refit.run.bound.mean)
        apart = Estimate.of((ordered[-1].bound - ordered[0].bound).numpy())
        told += f", at most {apart.mean:.2f} ± {apart.standard_error:.2f} apart"
    if all(run.active is not None for run in runs):
        told += f"; active dimensions: {', '.join(str(run.active) for run in runs)}"
    counts = {name: sum(name in run.findings for run in runs) for run in runs for name in run.findings}
    some = [f"{name} in {count}" for name, count in counts.items() if count < len(runs)]
    every = [name for name, count in counts.items() if count == len(runs)]
    findings = f"findings in all: {', '.join(every) or 'none'}; in some only: {', '.join(some) or 'none'}"
    if not matters(apart, _LEAST_APART) and len(fine) == len(runs):
        return f"{told}; {findings}"
    title = (
        f"The fit hangs on its seed: {told}"
        if len(fine) == len(runs)
        else f"{len(runs) - len(fine)} of {len(runs)} refits with other seeds diverged"
    )
    return Finding(
        "seed",
        title,
        f"Fitted again to the same rows, at most {_ROWS:,}: {findings}. The numbers of one fit are known no better.",
        apart,
        (
            "the best of some by their validation rows: `vaekit fit DATA --seed 1`, `--seed 2`, and so on",
            "a slower start: `vaekit fit DATA --learning-rate 3e-4 --epochs 300`",
        ),
    )


@torch.no_grad()
def _bound(model: VariationalAutoencoder, rows: Dataset) -> Tensor:
    """Return the evidence lower bound of each row; 0 of a posterior without a density, which has none."""
    fitted = model.fitted_model().taking(rows)
    x, c = fitted.tensors(rows)
    few = None if c is None else c[:1]
    if not traits_of(fitted.model.encode(x[:1], few)).has_density:
        return torch.zeros(len(rows), dtype=torch.float64)
    with seeded(0):
        return terms_of_bound(fitted.model, x, c)[0]


def _active(model: VariationalAutoencoder) -> int | None:
    history = model.history_
    kl = next((m.kl_per_dimension for m in history.epochs if m.epoch == history.best_epoch), None)
    return None if kl is None else sum(value > _ACTIVE for value in kl)
