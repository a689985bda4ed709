"""From a table to a file that says of each row how odd it is, whether it is flagged, and which values are to blame."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vaekit.application.sources import Source, check_save, read_for_model, read_like, read_source, source_name
from vaekit.data import Dataset
from vaekit.data.missing_values import read_codes
from vaekit.data.writers import write_frame
from vaekit.errors import DataError, DataWarning, UsageError
from vaekit.estimator import VariationalAutoencoder
from vaekit.jobs import OutlierDetector, Reason, benjamini_hochberg
from vaekit.jobs.any_artifact import load_for
from vaekit.jobs.detection.conformal import check_rate, p_values
from vaekit.jobs.detection.model_reasons import blame_by_model

__all__ = ["DetectionResult", "detect_to_file"]

_RATE = 0.01
_AS_EXPECTED = 0.2  # the p-value above which a value is none to blame, but for the first one of a row


@dataclass(frozen=True)
class DetectionResult:
    """The odd rows of a table.

    Parameters
    ----------
    path
        The file that was written.
    detector
        The detector; None where a model was given.
    saved
        The artifact that the detector was saved as.
    fitted_rows
        The number of rows it was fitted to, or that p-values are ranks among.
    columns
        The number of columns that play a part.
    left_out
        Columns that play none, each with the reason.
    surprise, p_values, flagged
        Of every row that was tested, ``(n,)``; the surprise in nats.
    rate, fdr
        The rate of false alarms, or the share of false discoveries, that was asked for.
    reasons
        By row that is flagged, the values to blame.
    auroc
        The area under the receiver operating characteristic of the surprise against the labels; None without.
    odd_label
        The label that is taken for odd there: the rarest one.
    """

    path: Path
    detector: OutlierDetector | None = field(repr=False)
    fitted_rows: int
    columns: int
    left_out: Mapping[str, str] = field(repr=False)
    surprise: np.ndarray = field(repr=False)
    p_values: np.ndarray = field(repr=False)
    flagged: np.ndarray = field(repr=False)
    rate: float
    fdr: float | None
    reasons: dict[int, list[Reason]] = field(repr=False)
    auroc: float | None
    odd_label: str | None
    saved: Path | None = None

    def flagged_rows(self) -> list[int]:
        """Return the positions of the rows that are flagged, the oddest first."""
        return sorted(np.flatnonzero(self.flagged).tolist(), key=lambda i: (-self.surprise[i], i))

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain dictionaries, lists, strings and numbers."""
        rows = [
            {
                "row": i,
                "surprise": float(self.surprise[i]),
                "p_value": float(self.p_values[i]),
                "reasons": [vars(reason) for reason in self.reasons.get(i, [])],
            }
            for i in self.flagged_rows()
        ]
        return {
            "path": str(self.path),
            **({} if self.saved is None else {"saved": str(self.saved)}),
            "fitted_rows": self.fitted_rows,
            "rows": len(self.surprise),
            "false_alarm_rate": None if self.fdr is not None else self.rate,
            "fdr": self.fdr,
            "auroc": self.auroc,
            "odd_label": self.odd_label,
            "left_out": dict(self.left_out),
            "flagged": rows,
        }


def detect_to_file(
    data: Source,
    output: str | Path,
    *,
    new: Source | None = None,
    model: str | Path | None = None,
    save: str | Path | None = None,
    force: bool = False,
    false_alarm_rate: float | None = None,
    fdr: float | None = None,
    reasons: int = 3,
    members: int = 16,
    label: str | None = None,
    missing_values: Any = None,
    seed: int = 0,
    data_dir: Path | None = None,
) -> DetectionResult:
    """Fit a detector to a table, and write a file of its rows' surprises, or those of new rows.

    The file has one line for each row, in their order: ``surprise`` in nats, ``p_value``, ``flagged``, and
    ``reason_1``, ``reason_2``... in words where the row is flagged: values that are as expected, with p above 0.2, are
    left out after the first.

    Parameters
    ----------
    data
        The table to fit to, with odd rows in it: a path, or data in memory. Values may be missing.
    output
        A ``.csv``, ``.tsv`` or ``.parquet``.
    new
        Another table to test instead, against the rows of ``data``.
    model
        A ``NAME.vae`` that was fitted to a table of the same columns, to be asked instead of a detector that is fitted
        to ``data``. Of a model the surprise of a row is its negative log-likelihood, and its p-value is its rank among
        the rows of ``data``, which is exact only if the model was not fitted to them. A saved detector knows the rows
        that it was fitted to: ``data`` are then the rows to test.
    save
        A folder to save the fitted detector in: see :meth:`vaekit.OutlierDetector.save`.
    force
        Whether an artifact that is there is replaced.
    false_alarm_rate
        The share of good rows that may be flagged; None: 0.01, or that of a saved detector.
    fdr
        Instead, the share of false ones among the flagged rows, in expectation: Benjamini and Hochberg's procedure.
    reasons
        Values to blame for each flagged row; 0 for none, which saves their training.
    members
        Of the ensemble: see :class:`vaekit.OutlierDetector`.
    label
        A column of labels, which is never looked at in the fit: the AUROC is told.
    missing_values
        Values that stand for missing ones, as :func:`vaekit.data.read` takes them.
    seed
        Of the fit: the same seed gives the same bytes.
    data_dir
        Where named data sets lie.

    Raises
    ------
    UsageError
        For a rate that the number of rows cannot give.
    DataError
        For data that are no table, and new rows with other columns.

    Warns
    -----
    DataWarning
        For columns that play no part.
    """
    output = Path(output)
    if output.suffix.lower() not in (".csv", ".tsv", ".parquet"):
        raise DataError(
            f"{output}: unknown ending {output.suffix!r} for odd rows; expected .csv, .tsv or .parquet"
        )
    if reasons < 0:
        raise UsageError(f"reasons={reasons}: give the number of values to blame for a row, or 0 for none")
    asked = false_alarm_rate if fdr is None else fdr
    opening: dict[str, Any] = {"data_dir": data_dir}
    check_save(save, model=model, force=force, job="a detector")
    rate = _RATE if asked is None else asked
    if model is None:
        opening["missing_values"] = missing_values
        judged = _by_detector(data, new, rate, members, label, seed, opening)
    elif missing_values is not None:
        raise UsageError("missing_values is of the fit, and the model is fitted; leave it out")
    elif isinstance(fitted := load_for(OutlierDetector, model), OutlierDetector):
        judged = _by_saved(fitted, data, new, asked, label, opening)
        rate = _rate_of(fitted) if asked is None else asked
    else:
        judged = _by_model(fitted, data, new, rate, label, opening)
    surprise, ranks = judged.surprise, judged.p_values
    flagged = judged.flagged if fdr is None else benjamini_hochberg(ranks, fdr)
    found = np.flatnonzero(flagged)
    explained = judged.explain(found, reasons) if reasons and len(found) else []
    blamed = {
        i: [reason for k, reason in enumerate(each) if k == 0 or reason.p_value <= _AS_EXPECTED]
        for i, each in zip(found.tolist(), explained, strict=False)
    }
    auroc, odd_label = _auroc(judged.tested, surprise)
    _write(output, surprise, ranks, flagged, blamed, reasons)
    if save is not None and judged.detector is not None:
        judged.detector.save(save, force=force)
    return DetectionResult(
        path=output,
        detector=judged.detector,
        fitted_rows=judged.fitted_rows,
        columns=judged.columns,
        left_out=judged.left_out,
        surprise=surprise,
        p_values=ranks,
        flagged=flagged,
        rate=rate,
        fdr=fdr,
        reasons=blamed,
        auroc=auroc,
        odd_label=odd_label,
        saved=None if save is None else Path(save),
    )


@dataclass(frozen=True)
class _Judged:
    """Rows with their surprises and p-values, and who can explain them."""

    tested: Dataset
    surprise: np.ndarray
    p_values: np.ndarray
    flagged: np.ndarray  # at the rate of false alarms
    explain: Callable[[np.ndarray, int], list[list[Reason]]]
    fitted_rows: int
    columns: int
    left_out: Mapping[str, str]
    detector: OutlierDetector | None = None


def _by_detector(
    data: Source,
    new: Source | None,
    rate: float,
    members: int,
    label: str | None,
    seed: int,
    opening: dict[str, Any],
) -> _Judged:
    """Fit a detector, and judge rows by it."""
    table = read_source(data, label=label, **opening)
    tested = table if new is None else read_like(new, {"label": label}, **opening)
    name = None if new is None else source_name(new) or tested.source
    detector = OutlierDetector(members, false_alarm_rate=rate, random_state=seed).fit(table)
    detector.source_ |= {"label": label, "missing_values": list(read_codes(opening["missing_values"]))}
    for column, reason in detector.coding_.left_out.items():
        warnings.warn(f"{table.source}: column {column!r} plays no part: {reason}", DataWarning, stacklevel=3)
    if name is not None:
        _check_columns(detector, tested, name)
    return _judged(detector, tested)


def _by_saved(
    detector: OutlierDetector,
    data: Source,
    new: Source | None,
    rate: float | None,
    label: str | None,
    opening: dict[str, Any],
) -> _Judged:
    """Judge rows by a detector that was fitted before; at its own rate of false alarms where no other is asked for."""
    if new is not None:
        raise UsageError(
            "the model is a detector, which knows the rows that it was fitted to; give one table, to test"
        )
    if rate is not None:
        check_rate(rate, len(detector.surprise_))
    categorical = [column.name for column in detector.coding_.categorical]
    tested = read_like(data, detector.source_, label=label, categorical=categorical, **opening)
    _check_columns(detector, tested, source_name(data) or tested.source)
    judged = _judged(detector, tested)
    return judged if rate is None else replace(judged, flagged=_flagged(judged.p_values, rate))


def _rate_of(detector: OutlierDetector) -> float:
    """Return the rate of false alarms of a detector, that of its contamination if that is what it was fitted with."""
    if detector.contamination == "auto":
        return detector.false_alarm_rate
    return float(p_values(detector.surprise_, np.array([-detector.offset_]))[0])


def _flagged(ranks: np.ndarray, rate: float) -> np.ndarray:
    return ranks <= rate * (1 + 1e-12)  # 0.07 may lie a digit below 7/100


def _check_columns(detector: OutlierDetector, tested: Dataset, name: str) -> None:
    """Refuse other columns, and warn of values in those that play no part, with the name of the file."""
    detector.coding_.code(tested, what=name)
    for column in detector.coding_.changes_left_out(tested):
        fitted = detector.source_["source"]
        message = f"{name}: column {column!r} has other values than the one in {fitted}: it plays no part"
        warnings.warn(message, DataWarning, stacklevel=4)


def _judged(detector: OutlierDetector, tested: Dataset) -> _Judged:
    return _Judged(
        tested,
        -detector.score_samples(tested),
        detector.p_values(tested),
        detector.predict(tested) == -1,
        lambda rows, count: detector.explain(tested.take(rows), columns=count),
        len(detector.surprise_),
        len(detector.coding_.coded),
        detector.coding_.left_out,
        detector,
    )


def _by_model(
    estimator: VariationalAutoencoder,
    data: Source,
    new: Source | None,
    rate: float,
    label: str | None,
    opening: dict[str, Any],
) -> _Judged:
    """Judge rows by a model that was fitted before."""
    table = read_for_model(estimator, data, label=label, outside="keep", **opening)
    if table.kind != "table":
        raise DataError(f"{table.source}: images; expected a table: rows of numbers or categories")
    check_rate(rate, len(table))
    tested = table if new is None else read_for_model(estimator, new, outside="keep", **opening)
    calibration = -estimator.score_samples(table)
    surprise = calibration if new is None else -estimator.score_samples(tested)
    schema, ranks = estimator.schema_, p_values(calibration, surprise)
    return _Judged(
        tested,
        surprise,
        ranks,
        _flagged(ranks, rate),
        lambda rows, count: blame_by_model(estimator, tested.take(rows), columns=count, seed=estimator.seed_),
        len(table),
        int(schema.kept.sum()),
        {
            **dict.fromkeys(schema.constant_columns, "it had only one value when the model was fitted"),
            **dict.fromkeys(schema.empty_columns, "it had no value when the model was fitted"),
        },
    )


def _auroc(table: Dataset, surprise: np.ndarray) -> tuple[float | None, str | None]:
    """Return the AUROC of the rarest label against the others; rows without a label do not count."""
    if table.labels is None:
        return None, None
    from sklearn.metrics import roc_auc_score

    texts = np.array([str(value) for value in table.labels])
    known = ~np.isin(texts, ("", "nan", "None"))
    names, counts = np.unique(texts[known], return_counts=True)
    if len(names) < 2:
        return None, None
    rarest = names[counts.argmin()]
    finite = np.nan_to_num(surprise[known], posinf=1e300)
    return float(roc_auc_score(texts[known] == rarest, finite)), str(rarest)


def _write(
    path: Path,
    surprise: np.ndarray,
    p_values: np.ndarray,
    flagged: np.ndarray,
    blamed: dict[int, list[Reason]],
    reasons: int,
) -> None:
    import pandas as pd

    frame = pd.DataFrame({"surprise": surprise, "p_value": p_values, "flagged": flagged})
    for k in range(reasons):
        texts = [str(blamed[i][k]) if len(blamed.get(i, ())) > k else "" for i in range(len(frame))]
        frame[f"reason_{k + 1}"] = pd.Series(texts, dtype=object)
    write_frame(path, frame)
