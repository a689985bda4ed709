r"""Values that points are coloured by: a label, a column, :math:`\log p(x)`, the KL, the reconstruction term."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vaekit.errors import UsageError
from vaekit.estimator import VariationalAutoencoder
from vaekit.explorer.shown_rows import ShownRows

__all__ = ["colour_choices", "colours"]

_MOST_CLASSES = 10  # as many as there are colours that all readers can tell apart
_DRAWS = 50_000  # of importance sampling, for all rows together
_FEWEST, _MOST = 25, 100  # for a row


def colour_choices(estimator: VariationalAutoencoder, shown: ShownRows) -> list[dict[str, str]]:
    """Return what points can be coloured by, each with a key and a name; the first is the one to begin with."""
    columns = estimator.schema_.columns if estimator.schema_.kind == "table" else ()
    found = [{"key": "label", "name": "label"}] if shown.rows.labels is not None else []
    found += [{"key": f"condition:{name}", "name": name} for name in shown.rows.conditions or {}]
    found += [{"key": f"column:{j}", "name": column.name} for j, column in enumerate(columns)]
    if not shown.are_drawn and estimator.model_.has_log_likelihood:
        found.append({"key": "log_likelihood", "name": "log p(x): low values are outliers"})
    if shown.kl is not None:
        found.append({"key": "kl", "name": "KL of the posterior from the prior"})
    if shown.reconstruction is not None:
        found.append({"key": "reconstruction", "name": "log p(x | z): low values are badly reconstructed"})
    return [*found, {"key": "none", "name": "nothing"}]


def colours(estimator: VariationalAutoencoder, shown: ShownRows, key: str) -> dict[str, Any]:
    """Return a number for each shown row: of ``classes`` its position, of ``numbers`` in the ``unit``.

    Raises
    ------
    UsageError
        For a key that is none of :func:`colour_choices`.
    """
    choices = {choice["key"]: choice["name"] for choice in colour_choices(estimator, shown)}
    if key not in choices:
        raise UsageError(f"points cannot be coloured by {key!r}; there are: {', '.join(choices)}")
    kind, _, name = key.partition(":")
    if kind == "label" and shown.rows.labels is not None:
        return _of_values(shown.rows.labels)
    if kind == "condition":
        told: Mapping[str, npt.NDArray[Any]] = shown.rows.conditions or {}
        return _of_values(told[name])
    if kind == "column":
        column = estimator.schema_.columns[int(name)]
        values = np.asarray(shown.rows.values[:, int(name)], np.float64)
        if column.categories is None:
            return _of_values(values)
        texts = np.array([*column.categories, "missing"], dtype=object)
        return _of_values(texts[np.nan_to_num(values, nan=-1).astype(int)].astype(str))
    if kind == "log_likelihood":
        samples = int(np.clip(_DRAWS // len(shown), _FEWEST, _MOST))
        scores = estimator.score_samples(shown.rows, samples=samples)
        return _numbers(scores, f"nats, by {samples} importance samples a row")
    scores = {"kl": shown.kl, "reconstruction": shown.reconstruction}.get(kind)
    return _classes([""], np.zeros(len(shown))) if scores is None else _numbers(scores, "nats")


def _of_values(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Take text, and whole numbers of few different values, for classes."""
    if values.dtype.kind in "fiub":
        known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
        whole = bool((known == np.floor(known)).all()) if values.dtype.kind == "f" else True
        if not whole or len(np.unique(known)) > _MOST_CLASSES:
            return _numbers(np.asarray(values, np.float64), "")
        values = np.array(["missing" if value != value else f"{value:g}" for value in values.tolist()])
    names, codes, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
    if len(names) <= _MOST_CLASSES:
        order = np.array(sorted(range(len(names)), key=lambda i: _order(str(names[i]))))
        position = np.empty(len(names), np.int64)
        position[order] = np.arange(len(names))
        return _classes(names[order].tolist(), position[codes])
    kept = np.sort(np.argsort(-counts, kind="stable")[: _MOST_CLASSES - 1])
    position = np.full(len(names), _MOST_CLASSES - 1)
    position[kept] = np.arange(len(kept))
    return _classes([*names[kept].tolist(), "all others"], position[codes])


def _order(name: str) -> tuple[int, float, str]:
    """Return a key that sorts numbers by value and before words."""
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)


def _classes(names: list[str], codes: npt.NDArray[Any]) -> dict[str, Any]:
    return {"kind": "classes", "names": names, "values": codes}


def _numbers(values: npt.NDArray[np.float64], unit: str) -> dict[str, Any]:
    """Return numbers with the ends of their scale: the middle 98 %, so that one outlier leaves colours to the rest."""
    fine = values[np.isfinite(values)]
    low, high = np.quantile(fine, [0.01, 0.99]).tolist() if len(fine) else (0.0, 1.0)
    return {"kind": "numbers", "unit": unit, "low": low, "high": high, "values": values}
