"""Kinds of column that were asked for by name, in place of those that looking at the data chooses."""

from collections.abc import Mapping

import numpy as np

from vaekit.errors import UsageError
from vaekit.language.grammar import did_you_mean, there_are
from vaekit.likelihoods import COLUMN_KINDS

__all__ = ["check_column_names", "read_column_kinds", "resolve_kind"]


def read_column_kinds(columns: Mapping[str, str] | None) -> dict[str, str]:
    """Read which columns are to be of which kind.

    Raises
    ------
    UsageError
        For an unknown kind, or what is no mapping of names to kinds.

    Examples
    --------
    >>> read_column_kinds({"age": "poisson"})
    {'age': 'poisson'}
    >>> read_column_kinds({"age": "poison"})
    Traceback (most recent call last):
    vaekit.errors.UsageError: column age: unknown kind 'poison'; did you mean 'poisson'? There are: gaussian, laplace,
    student-t, bernoulli, poisson, negative-binomial, zero-inflated-negative-binomial, categorical
    """
    if columns is None:
        return {}
    if not isinstance(columns, Mapping):
        raise UsageError(
            f"columns={columns!r}: expected kinds by name of column, such as {{'age': 'negative-binomial'}}"
        )
    for name, kind in columns.items():
        if kind not in COLUMN_KINDS:
            raise UsageError(f"column {name}: unknown kind {kind!r}{there_are(str(kind), COLUMN_KINDS)}")
    return {str(name): kind for name, kind in columns.items()}


def check_column_names(asked: Mapping[str, str], names: tuple[str, ...], varying: Mapping[str, str]) -> None:
    """Refuse the kind of a column that is not there, or that never changes.

    Parameters
    ----------
    asked
        Kinds by name.
    names
        Of all columns.
    varying
        The kinds that were chosen, for the columns that vary.

    Raises
    ------
    UsageError
        With the columns that there are, and their kinds.
    """
    there = ", ".join(f"{name} ({kind})" for name, kind in varying.items())
    for name, kind in asked.items():
        if name not in names:
            raise UsageError(
                f"column {name}={kind}: there is no such column{did_you_mean(name, names)}. Columns, and the kinds "
                f"chosen for them: {there}"
            )
        if name not in varying:
            raise UsageError(
                f"column {name}={kind}: it has the same value in all rows, and is left out of the model; leave its "
                f"kind out. Columns that vary, and the kinds chosen for them: {there}"
            )


def resolve_kind(name: str, kind: str, values: np.ndarray, categories: tuple[str, ...] | None) -> str:
    """Complete a kind by the number of categories, and refuse one that the column cannot have.

    Parameters
    ----------
    name, kind
        Of the column.
    values
        ``(n,)``; of text, the numbers of its categories.
    categories
        The categories of text; None for numbers.

    Raises
    ------
    UsageError
        For text that is to be numbers, and categories that are no whole numbers from 0.

    Examples
    --------
    >>> resolve_kind("stage", "categorical", np.array([0.0, 3.0, 1.0]), None)
    'categorical4'
    """
    if categories is not None:
        if kind == "categorical":
            return f"categorical{len(categories)}"
        if kind == "bernoulli" and len(categories) == 2:
            return kind
        raise UsageError(
            f"column {name}={kind}: it holds text of {len(categories)} values, which is categorical; for numbers, "
            "change the file"
        )
    if kind != "categorical":
        return kind
    if values.min() < 0 or not (values == np.floor(values)).all():
        raise UsageError(
            f"column {name}=categorical: categories are whole numbers from 0, and this column runs from "
            f"{values.min():.6g} to {values.max():.6g}; write the categories as text, or give another kind"
        )
    return f"categorical{int(values.max()) + 1}"
