"""The values to blame for an odd row, by a model that was fitted before: each beside draws of it given the others.

A value is hidden, and the model draws it given the row's other values. The further out among these draws it is, the
less the others let expect it.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import log

import numpy as np
import numpy.typing as npt

from vaekit.data import Dataset
from vaekit.estimator import VariationalAutoencoder
from vaekit.jobs.detection.blame import Reason

__all__ = ["blame_by_model"]

_DRAWS = 400
_ROWS_AT_ONCE = 256
_HALF_WIDTH = 1.645  # of a 90 % interval, in standard deviations of a Gaussian

Floats = npt.NDArray[np.float64]


def blame_by_model(
    estimator: VariationalAutoencoder, rows: Dataset, *, columns: int = 3, seed: int = 0
) -> list[list[Reason]]:
    """Return for each row the values to blame, the first one first.

    Parameters
    ----------
    estimator
        A model of a table.
    rows
        Rows in the columns of its schema, with values that it gives no probability to if there are any: these come
        first, and are hidden while the others are judged.
    columns
        The number of values for each row; fewer where a row has fewer.
    seed
        Of the draws.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(200, 1)) * [1.0, 2.0, 3.0]
    >>> vae = VariationalAutoencoder(1, network="mlp:hidden=8", epochs=60, random_state=0).fit(x)
    >>> odd = Dataset(np.array([[1.0, -9.0, 3.0]]), "table", ("x0", "x1", "x2"))
    >>> blame_by_model(vae, odd, columns=1)[0][0].column
    'x1'
    """
    values = np.array(rows.values, dtype=np.float64)
    impossible = _impossible(estimator, values)
    legal = np.where(impossible, np.nan, values)
    seen = ~np.isnan(values) & (estimator.schema_.kept | impossible)
    at = np.argwhere(seen)
    found: list[list[tuple[float, Reason]]] = [[] for _ in range(len(values))]
    for start in range(0, len(at), _ROWS_AT_ONCE):
        some = at[start : start + _ROWS_AT_ONCE]
        asked = legal[some[:, 0]]
        asked[np.arange(len(some)), some[:, 1]] = np.nan
        told = replace(rows.take(some[:, 0]), values=asked, categories=estimator.schema_.categories)
        drawn = np.stack(estimator.impute(told, draws=_DRAWS, random_state=seed))
        for k, (i, j) in enumerate(some.tolist()):
            names = None if rows.categories is None else rows.categories[j]
            reason, surprise = _judged(estimator, j, float(values[i, j]), drawn[:, k, j], names)
            found[i].append((np.inf if impossible[i, j] else surprise, reason))
    return [[reason for _, reason in sorted(each, key=lambda entry: -entry[0])[:columns]] for each in found]


def _impossible(estimator: VariationalAutoencoder, values: Floats) -> npt.NDArray[np.bool_]:
    """Return which values have no probability under the model: unknown categories, and those out of its support."""
    schema, support = estimator.schema_, estimator.model_.likelihood_part.support
    out = np.isinf(values)
    for j, column in enumerate(schema.columns):
        if column.categories is not None:
            out[:, j] |= values[:, j] >= len(column.categories)
        if not schema.kept[j] and column.missing_rate < 1:
            out[:, j] |= (values[:, j] != column.minimum) & ~np.isnan(values[:, j])
    x = schema.transform(np.where(out, np.nan, values), outside="keep")
    out[:, schema.kept] |= ~support.inside(x) & ~np.isnan(x)
    return out


def _judged(
    estimator: VariationalAutoencoder, j: int, value: float, drawn: Floats, names: Sequence[str] | None
) -> tuple[Reason, float]:
    """Return a value beside its draws, and about how surprising it is, in nats."""
    column = estimator.schema_.columns[j]
    if column.categories is not None:
        counts = np.bincount(drawn.astype(np.int64), minlength=max(len(column.categories), int(value) + 1))
        mine = counts[int(value)]
        p = (1 + counts[counts <= mine].sum()) / (1 + _DRAWS)
        text = (names or column.categories)[int(value)]
        expected = column.categories[int(counts.argmax())]
        return Reason(column.name, text, expected, None, None, float(min(p, 1.0))), -log(
            (1 + mine) / (1 + _DRAWS)
        )
    low, middle, high = np.quantile(drawn, [0.05, 0.5, 0.95]).tolist()
    tail = 2 * (1 + min(int((drawn <= value).sum()), int((drawn >= value).sum()))) / (1 + _DRAWS)
    reach = (high - middle) if value > middle else (middle - low)
    away = 0.5 * (_HALF_WIDTH * (value - middle) / reach) ** 2 if reach > 0 else np.inf * (value != middle)
    return Reason(column.name, value, middle, low, high, min(tail, 1.0)), max(
        -log(min(tail, 1.0)), float(np.nan_to_num(away, nan=0.0, posinf=np.inf))
    )
