r"""Rows that were chosen on the map: their mean, what sets them apart from the others, and all of them as CSV.

Columns are in the order of how far apart the chosen rows and all others are: for numbers by the largest difference of
their distribution functions, :math:`\max_t |F_1(t) - F_2(t)|` (Kolmogorov and Smirnov), for categories by the total
variation, :math:`\tfrac12 \sum_k |p_k - q_k|`. Both are 0 where the two are alike, and 1 where
one value tells them apart.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vaekit.data import Column, restore_table
from vaekit.errors import UsageError
from vaekit.explorer.shown_examples import ExampleFormat, data_url
from vaekit.explorer.shown_rows import ShownRows
from vaekit.plots import distance

__all__ = ["selection_csv", "selection_summary"]

_TABLE, _PICTURES, _COLUMNS = 50, 24, 40


def selection_summary(shown: ShownRows, form: ExampleFormat, chosen: list[int]) -> dict[str, Any]:
    """Return what is to be known of chosen rows, given by their places among the shown ones.

    Raises
    ------
    UsageError
        For no row, or one that there is not.
    """
    places = _checked(shown, chosen)
    inside = np.zeros(len(shown), bool)
    inside[places] = True
    values, few = shown.rows.values, places[: _PICTURES if form.schema.kind == "images" else _TABLE]
    found: dict[str, Any] = {
        "count": len(places),
        "numbers": shown.numbers[few].tolist(),
        "rows": few.tolist(),
        "labels": _label_shares(shown, inside),
        "examples": form.examples(values[few]),
    }
    if form.schema.kind == "images":
        found |= _mean_images(form, values, inside)
    else:
        found["columns"] = _apart(form, np.asarray(values, np.float64), inside)
    return found


def selection_csv(shown: ShownRows, form: ExampleFormat, chosen: list[int]) -> str:
    """Return chosen rows as CSV: number in the source, label, conditions, columns of a table, scores and latents."""
    places = _checked(shown, chosen)
    rows = shown.rows.take(places)
    frame = pd.DataFrame({"row": shown.numbers[places]})
    if rows.labels is not None:
        frame["label"] = rows.labels
    extra = pd.DataFrame(dict(rows.conditions or {}))
    table = restore_table(form.schema, rows.values) if form.schema.kind == "table" else pd.DataFrame()
    scores = {"kl": shown.kl, "reconstruction": shown.reconstruction}
    known = pd.DataFrame({name: each[places] for name, each in scores.items() if each is not None})
    names = [f"z{i}" for i in range(shown.latents.shape[1])]
    latents = pd.DataFrame(shown.latents[places], columns=names)
    parts = [part for part in (frame, extra, table, known, latents) if part.shape[1]]
    return pd.concat(parts, axis=1).to_csv(index=False, lineterminator="\n")


def _checked(shown: ShownRows, chosen: list[int]) -> npt.NDArray[np.int64]:
    places = np.unique(np.array(chosen, np.int64))
    if not len(places):
        raise UsageError("no row is chosen: draw around at least one")
    if places[0] < 0 or places[-1] >= len(shown):
        raise UsageError(f"there is no row {places[-1]}: {len(shown)} are shown, numbered from 0")
    return places


def _label_shares(shown: ShownRows, inside: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Return the most frequent labels of the chosen rows, with their shares there and among the others."""
    labels = shown.rows.labels
    if labels is None or labels.dtype.kind == "f":
        return []
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    here = np.bincount(codes[inside], minlength=len(names)) / inside.sum()
    there = np.bincount(codes[~inside], minlength=len(names)) / max((~inside).sum(), 1)
    return [
        {"name": str(names[i]), "here": float(here[i]), "there": float(there[i])}
        for i in np.argsort(-here, kind="stable")[:6].tolist()
        if here[i] > 0
    ]


def _mean_images(
    form: ExampleFormat, values: npt.NDArray[Any], inside: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Return the mean of the chosen images, and where they are brighter (orange) and darker (purple) than others."""
    from matplotlib import colormaps

    mean = values[inside].mean(0, dtype=np.float64)
    found: dict[str, Any] = {"mean": form.examples(mean[None])[0]}
    if not inside.all():
        low, high = form.limits
        change = (mean - values[~inside].mean(0, dtype=np.float64)).mean(0) / (high - low)
        most = max(float(np.abs(change).max()), 1e-12)
        coloured = colormaps["PuOr_r"](0.5 + 0.5 * change / most)
        found["difference"] = {"image": data_url((255 * coloured).round().astype(np.uint8))}
    return found


def _apart(
    form: ExampleFormat, values: npt.NDArray[np.float64], inside: npt.NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Return each column's mean here and elsewhere, the columns that set the rows apart most first."""
    here, there = values[inside], values[~inside]
    numbers = np.array([column.categories is None for column in form.schema.columns])
    apart = np.zeros(values.shape[1])
    if len(there):
        if numbers.any():
            apart[numbers] = np.nan_to_num(distance(here[:, numbers], there[:, numbers]))
        for j in np.flatnonzero(~numbers).tolist():
            apart[j] = _total_variation(here[:, j], there[:, j])
    in_here, in_there = _means(form, here), _means(form, there)
    return [
        {
            "name": column.name,
            "apart": round(float(apart[j]), 3),
            "here": in_here[j] + _share(here[:, j], column),
            "there": in_there[j] + _share(there[:, j], column),
        }
        for j, column in ((j, form.schema.columns[j]) for j in np.argsort(-apart, kind="stable")[:_COLUMNS])
    ]


def _total_variation(here: npt.NDArray[np.float64], there: npt.NDArray[np.float64]) -> float:
    here, there = here[~np.isnan(here)], there[~np.isnan(there)]
    if not len(here) or not len(there):
        return 0.0
    codes = np.union1d(here, there)
    p, q = ((part[:, None] == codes).mean(0) for part in (here, there))
    return float(np.abs(p - q).sum() / 2)


def _means(form: ExampleFormat, rows: npt.NDArray[np.float64]) -> list[str]:
    """Write the mean of each column, and the most frequent category; a dash for a column without values."""
    found = np.full(rows.shape[1], np.nan)
    for j, column in enumerate(form.schema.columns):
        known = rows[~np.isnan(rows[:, j]), j]
        if len(known):
            found[j] = known.mean() if column.categories is None else np.bincount(known.astype(int)).argmax()
    texts = form.texts(found[None])[0]
    return [
        f"{mean:.4g}"
        if column.categories is None and column.stored_as in ("real", "integer", "boolean") and mean == mean
        else text
        for text, mean, column in zip(texts, found.tolist(), form.schema.columns, strict=True)
    ]


def _share(values: npt.NDArray[np.float64], column: Column) -> str:
    """Return the share of the most frequent category, such as " (95 %)"; nothing for numbers."""
    known = values[~np.isnan(values)]
    if column.categories is None or not len(known):
        return ""
    return f" ({100 * np.bincount(known.astype(int)).max() / len(known):.0f} %)"
