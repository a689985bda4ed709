"""Prove a model that is there: evaluate it on data, fit another prior to it, write its report again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vaekit import report
from vaekit.aggregate import PriorFit
from vaekit.application.sources import Opened, Source, open_artifact, read_for_model
from vaekit.artifact import check_destination, write_artifact
from vaekit.data import Dataset, partition, write_text
from vaekit.errors import DataError, UsageError
from vaekit.estimator import VariationalAutoencoder, load
from vaekit.evaluation import Evaluation
from vaekit.evaluation.evidence import EvidenceMethod, SampleCount

__all__ = [
    "EvaluationResult",
    "PriorResult",
    "ReportResult",
    "Split",
    "evaluate_artifact",
    "fit_prior_to_artifact",
    "write_report",
]

Split = Literal["auto", "test", "validation", "train", "all"]


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """The numbers of a model on data.

    Parameters
    ----------
    estimator
        The model.
    evaluation
        What was measured.
    has_training_rows
        Whether the data hold the rows that the model was trained on, to which baselines are fitted; where they do and
        there is no baseline, the rows are too many to be read for it.
    """

    estimator: VariationalAutoencoder
    evaluation: Evaluation
    has_training_rows: bool


def evaluate_artifact(
    artifact: str | Path,
    data: Source,
    *,
    split: Split = "auto",
    samples: SampleCount = 500,
    seed: int = 0,
    method: EvidenceMethod = "importance",
    rows: int | None = None,
    **opening: Any,
) -> EvaluationResult:
    """Evaluate an artifact: ELBO and log-likelihood in nats, with standard errors, beside baselines.

    Parameters
    ----------
    artifact
        A ``NAME.vae`` folder.
    data
        A path, the name of a data set, or data in memory.
    split
        Which part of the data; ``auto``: the test rows of the data that the model was fitted on, and all rows of
        others.
    samples
        Importance samples an example; ``auto``: as many as each needs.
    seed
        The seed of the noise.
    method
        How log p(x) is found: ``importance``, ``annealed`` or ``exact``; see :mod:`vaekit.evaluation.evidence`.
    rows
        Evaluate so many rows of the part, chosen by the seed; None: all of them.
    opening
        Device, label, data_dir and memory_limit, as :func:`open_artifact` takes them.

    Raises
    ------
    UsageError
        For a number of samples that makes no sense, or a method that is not for the model.
    DataError
        For data that do not fit the model, or have no such part.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from vaekit import VariationalAutoencoder, fit_and_prove
    >>> from vaekit.application import evaluate_artifact
    >>> x, folder = load_iris().data, tempfile.mkdtemp() + "/iris.vae"
    >>> vae = VariationalAutoencoder(latent=2, network="mlp:hidden=8", epochs=2, random_state=0)
    >>> _ = fit_and_prove(x, folder, estimator=vae, samples=5)
    >>> result = evaluate_artifact(folder, x, samples=5)
    >>> result.evaluation.split, result.has_training_rows, len(result.evaluation.baselines)
    ('test', True, 6)
    """
    if samples != "auto":
        _check_samples(samples)
    if rows is not None and rows < 1:
        raise UsageError(f"rows={rows}: give a whole number of at least 1")
    opened = open_artifact(artifact, data, **opening)
    estimator, same = opened.estimator, opened.is_data_of_the_fit
    split = split if split != "auto" else ("test" if same else "all")
    part, train = (opened.dataset, None) if split == "all" else _part(opened, split, same=same)
    if rows is not None and rows < len(part):
        part = part.take(np.sort(np.random.default_rng(seed).permutation(len(part))[:rows]))
    evaluation = estimator.evaluate(part, samples=samples, split=split, train=train, seed=seed, method=method)
    return EvaluationResult(estimator=estimator, evaluation=evaluation, has_training_rows=train is not None)


def _part(opened: Opened, split: str, *, same: bool) -> tuple[Dataset, Dataset]:
    """Return a part of the data that the model was fitted on, and the training rows."""
    origin = opened.estimator.origin_
    if not same:
        raise DataError(
            f"split={split}: {opened.source} is not the data that {opened.artifact} was fitted on "
            f"({origin.get('source', 'unknown')}), so it has no such part; leave split out to use all rows"
        )
    parts = partition(opened.dataset, opened.estimator.seed_, validation=origin["validation"])
    part = parts._asdict()[split]
    if part is None:
        raise DataError(f"split={split}: the model was fitted without such a part; try split=all")
    return part, parts.train


@dataclass(frozen=True, kw_only=True)
class PriorResult:
    """A model with a prior that was fitted after training, and where it is kept.

    Parameters
    ----------
    estimator
        The model with the new prior.
    artifact
        The folder that holds it.
    fit
        How well the prior was fitted.
    evaluation
        What was measured on the test rows; None where the data are not those of the model's fit, and where the
        likelihood has no log-likelihood.
    """

    estimator: VariationalAutoencoder
    artifact: Path
    fit: PriorFit
    evaluation: Evaluation | None

    def to_json(self) -> dict[str, Any]:
        """Return all of it as a document for JSON."""
        return {
            "artifact": str(self.artifact),
            "prior": str(self.estimator.sentence_.prior),
            "draws": self.fit.draws,
            "epochs": self.fit.epochs,
            "log_density": self.fit.log_density._asdict(),
            "advantage": self.fit.advantage._asdict(),
            "bound_samples": self.fit.bound_samples,
            "test": None if self.evaluation is None else self.evaluation.to_json(),
        }


def fit_prior_to_artifact(
    artifact: str | Path,
    data: Source,
    prior: Any,
    output: str | Path,
    *,
    samples: int = 200,
    seed: int = 0,
    force: bool = False,
    **opening: Any,
) -> PriorResult:
    """Fit a prior to where a trained model puts its data, and write the artifact with it.

    Encoder and decoder stay as they are. Of the data that the model was fitted on, the test rows are kept out of it.

    Parameters
    ----------
    artifact
        A ``NAME.vae`` folder.
    data
        A path, the name of a data set, or data in memory; the training data, as a rule.
    prior
        A spec such as ``gmm:components=10`` or ``flow``.
    output
        The artifact to write.
    samples
        Importance samples an example for the held-out log-likelihood.
    seed
        The seed of the draws and of the fit.
    force
        Replace an artifact that is there.
    opening
        Device, label, data_dir and memory_limit, as :func:`open_artifact` takes them.

    Raises
    ------
    UsageError
        For a prior that cannot be understood, does not fit the posterior, or has nothing to fit.
    ArtifactError
        If the artifact cannot be read or written.
    """
    _check_samples(samples)
    output = Path(output)
    check_destination(output, force=force)
    opened = open_artifact(artifact, data, **opening)
    estimator, origin = opened.estimator, opened.estimator.origin_
    test, results = None, {}
    if opened.is_data_of_the_fit:
        train, validation, test = partition(opened.dataset, estimator.seed_, validation=origin["validation"])
        estimator.fit_prior(prior, train, validation=validation, random_state=seed)
        if estimator.model_.has_log_likelihood:
            results["test"] = estimator.evaluate(test, samples=samples, split="test", train=train)
    else:
        estimator.fit_prior(prior, opened.dataset, random_state=seed)
    told = {**origin, "fitted_prior": {"source": opened.source, "seed": seed}}
    written = estimator.to_artifact(told)
    page = report.render_report(estimator, written, test, results)
    write_artifact(output, written, force=force, files={"report.html": page})
    fit = estimator.prior_fit_
    return PriorResult(estimator=estimator, artifact=output, fit=fit, evaluation=results.get("test"))


@dataclass(frozen=True, kw_only=True)
class ReportResult:
    """The report of an artifact.

    Parameters
    ----------
    path
        The page that was written.
    without_data
        Why it shows no data; None where it does.
    """

    path: Path
    without_data: str | None


def write_report(
    artifact: str | Path,
    output: str | Path | None = None,
    *,
    data: Source = None,
    samples: int = 200,
    device: str = "auto",
    label: str | None = None,
    data_dir: Path | None = None,
) -> ReportResult:
    """Write the report of an artifact again: one self-contained HTML page.

    Parameters
    ----------
    artifact
        A ``NAME.vae`` folder.
    output
        The page to write; ``report.html`` in the artifact by default.
    data
        Data to show; by default those that the model was fitted on, where they are at hand.
    samples
        Importance samples an example.
    device, label, data_dir
        As :func:`open_artifact` takes them.

    Raises
    ------
    DataError
        If the artifact cannot be read, or the given data do not fit the model.
    """
    estimator = load(artifact, device=device)
    origin = estimator.origin_
    shown, results, without_data = None, {}, None
    try:
        source = origin.get("source") if data is None else data
        if source is None:
            raise DataError("the artifact does not say where its data came from")
        dataset = read_for_model(estimator, source, label=label, data_dir=data_dir)
        shown, split, train = dataset, "all", None
        if dataset.hash() == origin.get("hash"):
            parts = partition(dataset, estimator.seed_, validation=origin["validation"])
            shown, split, train = parts.test, "test", parts.train
        if estimator.model_.has_log_likelihood:
            results[split] = estimator.evaluate(shown, samples=samples, split=split, train=train)
    except DataError as error:
        if data is not None:
            raise
        without_data = str(error)
    path = Path(artifact) / "report.html" if output is None else Path(output)
    write_text(path, report.render_report(estimator, estimator.to_artifact(origin), shown, results))
    return ReportResult(path=path, without_data=without_data)


def _check_samples(samples: int) -> None:
    if samples < 1:
        raise UsageError(f"samples={samples}: give a whole number of at least 1")
