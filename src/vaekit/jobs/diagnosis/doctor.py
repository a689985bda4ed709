"""The doctor: every examination of a model, one after the other, and what they found, the worst first."""

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vaekit.data import Dataset
from vaekit.errors import DataError, DataWarning, UsageError
from vaekit.estimator import VariationalAutoencoder
from vaekit.evaluation.importance_sampling import require_log_likelihood
from vaekit.jobs.diagnosis.diagnose_calibration import diagnose_calibration
from vaekit.jobs.diagnosis.diagnose_columns import diagnose_columns
from vaekit.jobs.diagnosis.diagnose_inference import diagnose_inference
from vaekit.jobs.diagnosis.diagnose_latents import diagnose_latents
from vaekit.jobs.diagnosis.diagnose_rows import diagnose_rows
from vaekit.jobs.diagnosis.diagnosis import Chart, Diagnosis, Patient
from vaekit.jobs.diagnosis.seed_sensitivity import fit_again, tell_of_seeds
from vaekit.runtime.randomness import seeded
from vaekit.runtime.surroundings import plain_arithmetic
from vaekit.runtime.threads import shared_threads, work_of
from vaekit.sentence import PARTS
from vaekit.vae import VAE, code_of

__all__ = ["FEWEST_ROWS", "diagnose"]

_ROWS, _TRAINING_ROWS = 1000, 4000
FEWEST_ROWS = 40

_EXAMINATIONS: tuple[Callable[[Patient, Chart], None], ...] = (
    diagnose_latents,
    diagnose_inference,
    diagnose_rows,
    diagnose_columns,
)
_QUICK = (diagnose_rows, diagnose_calibration)


def diagnose(
    model: Any,
    x: Any,
    *,
    train: Any = None,
    conditions: Any = None,
    train_conditions: Any = None,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    quick: bool = False,
    seeds: int = 0,
    artifact: str = "NAME.vae",
    data: str = "DATA",
) -> Diagnosis:
    r"""Say what is wrong with a variational autoencoder, with numbers, their errors, and what to try.

    It looks for a code that says nothing, a prior with holes, an encoder or a family of posteriors that falls short,
    importance samples that cannot be trusted, over-fitting, rows in both parts, and in tables for columns that are not
    calibrated, described worse than by their own marginal, of the wrong family, or with noise of the wrong size. A
    finding needs an effect that matters, in nats a row, and that is four standard errors from none.

    Parameters
    ----------
    model
        A fitted :class:`vaekit.VariationalAutoencoder`; a :class:`vaekit.VAE`; or anybody's, as
        :class:`vaekit.conformance.ThreeCallables`, whose networks are in evaluation mode.
    x
        Held-out rows, at least 40: data as the estimator takes them, or a tensor ``(n, *event)`` in the coordinates of
        a torch model. Of more than 1,000 the first are used.
    train
        The rows that it was trained on; None: what compares with them is left out. Of more than 4,000 the first are
        used.
    conditions, train_conditions
        The conditions of both, of a conditional estimator, where they are no columns of them.
    columns
        The names of the columns of a tensor ``(n, columns)``; by default ``x0``, ``x1``...
    seed
        The seed of all noise: the same seed gives the same findings.
    quick
        Whether to look only at what takes about a second: over-fitting, rows in both parts, calibration and noise.
    seeds
        How often to fit the model again with another seed, on at most 2,000 of the training rows, to tell which
        findings and numbers hang on it. Takes as many fits, and a fitted estimator with ``train``.
    artifact, data
        How the commands of the advice name both.

    Returns
    -------
    Diagnosis

    Raises
    ------
    DataError
        For fewer than 40 rows that have values and codes which are finite.
    UsageError
        For a model without a log-likelihood.

    Examples
    --------
    A decoder that ignores its code:

    >>> from torch.distributions import Independent, Normal
    >>> from vaekit.conformance import ThreeCallables
    >>> model = ThreeCallables(
    ...     encode=lambda x: Independent(Normal(torch.zeros(len(x), 1), 1.0), 1),
    ...     prior=Independent(Normal(torch.zeros(1), 1.0), 1),
    ...     decode=lambda z: Independent(Normal(torch.zeros(len(z), 2), 1.0), 1),
    ... )
    >>> x = torch.randn(300, 1, generator=torch.Generator().manual_seed(0)).expand(300, 2)
    >>> diagnose(model, x).names
    ['collapse']
    """
    if seeds < 0:
        raise UsageError(f"seeds={seeds}: give the number of fits, from 1, or 0 for none")

    def examine(fitted: Any, rows: Any, known: Any) -> Diagnosis:
        told = (conditions, train_conditions) if fitted is model else (None, None)
        return _examined(fitted, rows, known, *told, columns, seed, quick, artifact, data)

    found = examine(model, x, train)
    if not seeds:
        return found
    if not isinstance(model, VariationalAutoencoder) or train is None:
        missing = (
            "the training rows are not known" if train is None else "the model is no estimator of vaekit"
        )
        return replace(found, not_checked=[*found.not_checked, f"sensitivity to the seed: {missing}"])
    rows, known = model.checked_rows(x, conditions), model.checked_rows(train, train_conditions)
    refits = fit_again(model, rows, known, seeds, examine)
    told, runs = tell_of_seeds(refits), [refit.run for refit in refits]
    if isinstance(told, str):
        return replace(found, passed=[*found.passed, told], seeds=runs)
    findings = sorted([*found.findings, told], key=lambda finding: -finding.nats.mean)
    return replace(found, findings=findings, seeds=runs)


@plain_arithmetic()
@torch.no_grad()
def _examined(
    model: Any,
    x: Any,
    train: Any,
    conditions: Any,
    train_conditions: Any,
    columns: Sequence[str] | None,
    seed: int,
    quick: bool,
    artifact: str,
    data: str,
) -> Diagnosis:
    """Examine a model; the arguments as of :func:`diagnose`."""
    with seeded(seed):
        if isinstance(model, VariationalAutoencoder):
            patient, kinds = _of_estimator(model, x, train, conditions, train_conditions)
        else:
            patient, kinds = _of_tensors(model, x, train, columns), _kinds_of(model)
        patient = replace(patient, kinds=kinds, artifact=artifact, data=data)
        if len(patient.x) < FEWEST_ROWS:
            raise DataError(
                f"{len(patient.x)} rows to diagnose with; at least {FEWEST_ROWS} are needed to tell anything from "
                "chance"
            )
        require_log_likelihood(patient.model)
        chart = Chart()
        with _evaluating(patient.model), shared_threads(work_of(patient.model, len(patient.x))):
            patient = _with_finite_codes(patient, chart)
            for examine in _QUICK if quick else _EXAMINATIONS:
                examine(patient, chart)
    return chart.closed(len(patient.x))


def _with_finite_codes(patient: Patient, chart: Chart) -> Patient:
    """Leave out rows of which nothing is known, and those that the model encodes to numbers that are not finite."""
    fine = ~patient.x.flatten(1).isnan().all(1)
    if not fine.any():
        raise DataError("all values of the rows are missing: there is nothing to diagnose the model with")
    q = patient.model.encode(patient.x[fine], None if patient.c is None else patient.c[fine])
    fine[fine.clone()] = code_of(q).flatten(1).isfinite().all(1)
    count = int(fine.sum())
    if count == len(fine):
        return patient
    if count < FEWEST_ROWS:
        raise DataError(
            f"the model encodes {count} of {len(fine)} rows to finite numbers, and {FEWEST_ROWS} are needed: its "
            "training diverged, or the rows are far from those of the training; fit it again, with a smaller learning "
            "rate"
        )
    chart.not_checked.append(
        f"{len(fine) - count} of {len(fine)} rows, without values or encoded to numbers that are not finite"
    )
    return replace(patient, x=patient.x[fine], c=None if patient.c is None else patient.c[fine])


@contextmanager
def _evaluating(model: Any) -> Generator[None]:
    """Put a module into evaluation mode for a block: without dropout and statistics of the batch."""
    was = isinstance(model, torch.nn.Module) and model.training
    if was:
        model.eval()
    try:
        yield
    finally:
        if was:
            model.train()


def _of_tensors(model: Any, x: Tensor, train: Tensor | None, columns: Sequence[str] | None) -> Patient:
    names = None
    if x.dim() == 2:
        names = tuple(columns) if columns is not None else tuple(f"x{j}" for j in range(x.shape[1]))
        if len(names) != x.shape[1]:
            raise UsageError(f"columns: {len(names)} names for {x.shape[1]} columns; give one for each")
    few = None if train is None else train[:_TRAINING_ROWS]
    return Patient(model, x[:_ROWS], train=few, columns=names)


def _kinds_of(model: Any) -> tuple[str, ...]:
    """Return the kind of each column that a likelihood of ours describes."""
    if not isinstance(model, VAE) or len(model.event_shape) != 1:
        return ()
    part = model.likelihood_part
    name = next((kind for kind, made in PARTS["likelihood"].items() if type(part) is made), "")
    return part.columns or ((name,) * model.event_shape[0] if part.traits.column else ())


def _of_estimator(
    estimator: VariationalAutoencoder, x: Any, train: Any, conditions: Any, train_conditions: Any
) -> tuple[Patient, tuple[str, ...]]:
    fitted = estimator.fitted_model()
    rows = _first(estimator.checked_rows(x, conditions), _ROWS)
    known = None if train is None else _first(estimator.checked_rows(train, train_conditions), _TRAINING_ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # of missing cells, which are told of elsewhere
        fitted = fitted.taking(rows, known)
    held_out, c = fitted.tensors(rows)
    seen, seen_c = (None, None) if known is None else fitted.tensors(known)
    schema, part = fitted.schema, fitted.model.likelihood_part
    names = None
    kinds: tuple[str, ...] = ()
    if schema.kind == "table":
        names = tuple(column.name for column, kept in zip(schema.columns, schema.kept, strict=True) if kept)
        kind = fitted.sentence.likelihood.kind
        kinds = part.columns or ((kind,) * len(names) if part.traits.column else ())
    # Rows that are left in their file are read here.
    return Patient(fitted.model, held_out[:], c, None if seen is None else seen[:], seen_c, names), kinds


def _first(rows: Dataset, most: int) -> Dataset:
    return rows if len(rows) <= most else rows.take(list(range(most)))
