r"""Scores of rows: :math:`\log p(x)` with its error, row by row, and the rows that no model gives any probability.

A row with a value outside the likelihood's support (a 3 among zeros and ones, a category that training did not have, a
negative count, an infinite number) has probability zero, and its score is minus infinity: exactly, not by estimate. So
has a row that differs in a column that was constant in training: the model takes it for a constant.

Where a model has learned labels, a row may come without one:

.. math:: \log p(x) = \log \sum_y p(y)\, p(x \mid y), \qquad p(y) \text{ uniform}
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vaekit.data import Dataset
from vaekit.data.messages import plural
from vaekit.data.stored import StoredRows, few_rows
from vaekit.estimator.model_rows import FittedModel
from vaekit.evaluation import log_likelihood
from vaekit.evaluation.judged_weights import LogLikelihood
from vaekit.evaluation.pareto import tail_size
from vaekit.runtime.randomness import seeded

__all__ = ["OutsideValue", "RowScores", "ScoreTally", "score_rows"]

_SHOWN = 5  # rows, in a note

Floats64 = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class OutsideValue:
    """A value that has no probability: its row, counted from 0, its column, and the value as text."""

    row: int
    column: str
    value: str


@dataclass(frozen=True, kw_only=True, eq=False)
class RowScores:
    r"""Estimates of :math:`\log p(x)` of rows, all arrays of shape ``(n,)``.

    Parameters
    ----------
    log_likelihood
        In nats and the units of the data; minus infinity where ``outside`` is True.
    standard_error
        Of each value, in nats, by the spread of its importance weights; 0 where ``outside`` is True.
    effective_sample_size
        Between 1 and ``samples``; NaN where ``outside`` is True.
    pareto_shape
        Of the importance weights; NaN where ``outside`` is True, and for fewer than 25 samples. See
        :class:`vaekit.evaluation.LogLikelihood`.
    mended
        Whether the row was estimated again with a proposal of its own, because the posterior is none.
    reliable
        Whether the value can be trusted. Where it cannot it is a lower bound, and may be far too low.
    outside
        Whether the row has a value outside the likelihood's support, and so no probability.
    samples
        Importance samples a row.
    first_outside
        The first values outside the support, one a row.
    first_row
        The number of the first row in its source.
    """

    log_likelihood: Floats64
    standard_error: Floats64
    effective_sample_size: Floats64
    pareto_shape: Floats64
    mended: Booleans
    reliable: Booleans
    outside: Booleans
    samples: int
    first_outside: tuple[OutsideValue, ...] = ()
    first_row: int = 0

    @classmethod
    def joined(cls, parts: Sequence["RowScores"]) -> "RowScores":
        """Return the scores of consecutive rows as one."""
        return cls(
            log_likelihood=np.concatenate([part.log_likelihood for part in parts]),
            standard_error=np.concatenate([part.standard_error for part in parts]),
            effective_sample_size=np.concatenate([part.effective_sample_size for part in parts]),
            pareto_shape=np.concatenate([part.pareto_shape for part in parts]),
            mended=np.concatenate([part.mended for part in parts]),
            reliable=np.concatenate([part.reliable for part in parts]),
            outside=np.concatenate([part.outside for part in parts]),
            samples=parts[0].samples,
            first_outside=tuple(value for part in parts for value in part.first_outside)[:_SHOWN],
            first_row=parts[0].first_row,
        )


class ScoreTally:
    """The scores that were added, counted, with the first rows that a person should look at."""

    def __init__(self) -> None:
        self.rows = self.outside = self.mended = self.unreliable = self.samples = 0
        self._outside: list[OutsideValue] = []
        self._unreliable: list[int] = []

    def add(self, scores: RowScores) -> "ScoreTally":
        """Count the scores of some rows; return the tally."""
        doubtful = np.flatnonzero(~scores.reliable)
        self.rows += len(scores.reliable)
        self.outside += int(scores.outside.sum())
        self.mended += int(scores.mended.sum())
        self.unreliable += len(doubtful)
        self.samples = scores.samples
        self._outside = [*self._outside, *scores.first_outside][:_SHOWN]
        self._unreliable = [*self._unreliable, *(scores.first_row + doubtful[:_SHOWN]).tolist()][:_SHOWN]
        return self

    def outside_note(self, what: str) -> str | None:
        """Return a note on the rows without probability; None where there are none."""
        if not self.outside:
            return None
        shown = [f"row {value.row} (column {value.column!r} is {value.value})" for value in self._outside]
        constant = any(_ALWAYS in value.value for value in self._outside)
        advice = (
            "; to score rows without a column that never varied, leave it out of the data" if constant else ""
        )
        return (
            f"{plural(self.outside, 'row')} of {self.rows:,} in {what} have no probability under the model, and score "
            f"-inf: {', '.join(shown)}{_and_more(self.outside)}; rows are counted from 0{advice}"
        )

    def unreliable_note(self, what: str) -> str | None:
        """Return a note on the rows that could not be estimated well; None where there are none."""
        if not self.unreliable:
            return None
        if not tail_size(self.samples):
            return (
                f"{self.samples} importance samples a row are too few to tell how far the scores of {what} can be "
                "trusted (reliable is False): 25 are the fewest"
            )
        shown = f"row{'s' * (self.unreliable > 1)} {', '.join(map(str, self._unreliable))}"
        return (
            f"{plural(self.unreliable, 'row')} of {self.rows:,} in {what} could not be estimated well with "
            f"{self.samples} importance samples (reliable is False): {shown}{_and_more(self.unreliable)}, counted "
            "from 0; such a score is a lower bound, and more samples bring it nearer"
        )


_ALWAYS = ", and was always "


def _and_more(count: int) -> str:
    return f" and {count - _SHOWN:,} more" if count > _SHOWN else ""


def score_rows(fitted: FittedModel, rows: Dataset, samples: int, *, constants: bool = True) -> RowScores:
    r"""Estimate :math:`\log p(x)` of each row, or :math:`\log p(x \mid c)`.

    Parameters
    ----------
    fitted
        The model.
    rows
        Rows in the units of the data, which :meth:`vaekit.data.Schema.align` has let be outside the support.
    samples
        Importance samples a row.
    constants
        Whether a row that differs in a column that was constant in training has no probability; otherwise such columns
        play no part.
    """
    if not isinstance(rows.values, StoredRows):
        return _score(fitted, rows, samples, constants)
    parts = (
        replace(rows.take(part), first_row=rows.first_row + int(part[0])) for part in few_rows(rows.values)
    )
    return RowScores.joined([_score(fitted, part, samples, constants) for part in parts])


def _score(fitted: FittedModel, rows: Dataset, samples: int, constants: bool) -> RowScores:
    fitted = fitted.taking(rows)
    x, outside = _outside_support(fitted, rows, constants)
    lost: Booleans = np.any(outside.reshape(len(outside), -1), axis=1)
    fine = torch.from_numpy(~lost)
    c = fitted.conditions_of(rows)
    if lost.any():
        x, c = x[~lost], None if c is None else c[fine.to(c.device)]
    found = _estimate(fitted, torch.from_numpy(x).to(fitted.device), c, samples)
    if found is None:
        exact = np.zeros(len(lost))
        return RowScores(
            log_likelihood=exact - np.inf,
            standard_error=exact,
            effective_sample_size=exact + np.nan,
            pareto_shape=exact + np.nan,
            mended=exact > 0,
            reliable=exact == 0,
            outside=lost,
            samples=samples,
            first_outside=_first_values(fitted, rows, outside),
            first_row=rows.first_row,
        )

    def spread(values: Tensor, of_lost: float) -> np.ndarray:
        known = values.cpu().numpy()
        if not lost.any():
            return known
        whole = np.full(len(lost), of_lost, dtype=known.dtype)
        whole[~lost] = known
        return whole

    return RowScores(
        log_likelihood=spread(found.values, -np.inf),
        standard_error=spread(found.standard_error, 0.0),
        effective_sample_size=spread(found.effective_sample_size, np.nan),
        pareto_shape=spread(found.pareto_shape, np.nan),
        mended=spread(found.mended, False),
        reliable=spread(found.reliable, True),
        outside=lost,
        samples=samples,
        first_outside=_first_values(fitted, rows, outside),
        first_row=rows.first_row,
    )


def _outside_support(fitted: FittedModel, rows: Dataset, constants: bool) -> tuple[np.ndarray, Booleans]:
    """Return rows in the coordinates of the model, and which of their values are outside its support.

    The rows with such values are not to be used.
    """
    schema, values = fitted.schema, rows.values
    outside = np.isinf(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=bool)
    if schema.kind == "table":
        for j, column in enumerate(schema.columns):
            if column.categories is not None:
                outside[:, j] |= values[:, j] >= len(column.categories)
            if constants and not schema.kept[j] and column.missing_rate < 1:
                outside[:, j] |= (values[:, j] != column.minimum) & ~np.isnan(values[:, j])
    if outside.any():
        usual = [column.minimum for column in schema.columns]
        values = np.where(outside, usual if schema.kind == "table" else usual[0], values).astype(values.dtype)
    x = schema.transform(values, outside="keep")
    further, support = np.isinf(x), fitted.model.likelihood_part.support
    if not support.contains(x):
        further |= ~support.inside(x)
    if schema.kind == "table":
        outside[:, schema.kept] |= further
    elif schema.constant is None:
        outside |= further
    else:
        seen = outside if schema.constant.unit == "channels" else outside.reshape(len(outside), -1)
        seen[:, schema.constant.kept] |= further
    return x, outside


def _first_values(fitted: FittedModel, rows: Dataset, outside: Booleans) -> tuple[OutsideValue, ...]:
    """Return the first value outside the support of each of the first such rows."""
    if not outside.any():
        return ()
    found, schema = [], fitted.schema
    for row in np.flatnonzero(outside.reshape(len(outside), -1).any(1))[:_SHOWN]:
        place = tuple(int(i) for i in np.argwhere(outside[row])[0])
        value = rows.values[(row, *place)]
        if schema.kind == "images":
            name, shown = f"channel, row, column {place}", f"{value:g}"
        else:
            column = schema.columns[place[0]]
            texts = None if rows.categories is None else rows.categories[place[0]]
            name = column.name
            shown = f"{value:g}" if texts is None or value >= len(texts) else repr(texts[int(value)])
            if column.constant and not schema.kept[place[0]]:
                usual = column.minimum
                known = f"{usual:g}" if column.categories is None else repr(column.categories[int(usual)])
                shown += f"{_ALWAYS}{known}"
        found.append(OutsideValue(rows.first_row + int(row), name, shown))
    return tuple(found)


def _estimate(fitted: FittedModel, x: Tensor, c: Tensor | None, samples: int) -> LogLikelihood | None:
    r"""Estimate rows that have probability, those without a label under each of the labels; None for no rows."""
    if not len(x):
        return None
    seed = fitted.seed + 2
    if c is None or not fitted.has_classifier or (labelled := (c != 0).any(1)).all():
        with seeded(seed):
            return log_likelihood(fitted.model, x, c=c, samples=samples, common_noise=True)
    with seeded(seed):
        known = log_likelihood(fitted.model, x, c=c, samples=samples, common_noise=True)
    summed = _over_labels(fitted, x[~labelled], c.shape[1], samples, seed)
    rows = ~labelled.cpu()
    for term, of_labels in zip(known, summed, strict=True):
        if isinstance(term, Tensor) and isinstance(of_labels, Tensor):
            term[rows] = of_labels
    return known


def _over_labels(fitted: FittedModel, x: Tensor, labels: int, samples: int, seed: int) -> LogLikelihood:
    r"""Estimate :math:`\log p(x)` of rows without a label, under each label with the same noise.

    Errors add up, weighted by each label's share: with the same noise they are not independent.
    """
    found = []
    for label in range(labels):
        c = torch.zeros(len(x), labels, dtype=x.dtype, device=x.device)
        c[:, label] = 1
        with seeded(seed):
            found.append(log_likelihood(fitted.model, x, c=c, samples=samples, common_noise=True))
    values = torch.stack([part.values for part in found])
    share = values.softmax(0)

    def shared(terms: list[Tensor]) -> Tensor:
        return (share * torch.stack(terms)).sum(0)

    return LogLikelihood(
        values.logsumexp(0) - log(labels),
        shared([part.effective_sample_size for part in found]),
        samples,
        shared([part.elbo for part in found]),
        shared([part.kl for part in found]),
        shared([part.standard_error for part in found]),
        torch.stack([part.pareto_shape for part in found]).amax(0),
        torch.stack([part.mended for part in found]).any(0),
        torch.stack([part.reliable for part in found]).all(0),
        torch.stack([part.halved for part in found]).logsumexp(0) - log(labels),
        torch.stack([part.raised for part in found]).any(0),
    )
