"""The columns of a table that are modelled: those that are asked for, without those that only tell rows apart."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from vaekit.data.dataset import Dataset
from vaekit.data.messages import few, plural
from vaekit.data.stored import StoredRows
from vaekit.errors import UsageError
from vaekit.language.grammar import did_you_mean

__all__ = ["chosen_columns", "notes_on_values", "read_column_names", "take_columns", "telling_rows_apart"]

_FEW_CATEGORIES, _SHARE_OF_CATEGORIES = 20, 20
_FEWEST_ROWS = 20
_NAMES_OF_IDS = re.compile(
    r"(.*[ _.-])?(id|ids|uuid|guid|index|key|row|rownum|row_number|nr|no)|.*(Id|ID)|unnamed: 0|rowid",
    re.IGNORECASE,
)
_LIKE_A_CODE = re.compile(r"-?9{2,}(\.0+)?|-1|-9|-99|-8|-88+")
_FAR, _VERY_FAR = 0.5, 2.0  # ranges of all other values
_OFTEN = 0.005
_FEWEST_OTHERS = 5


def read_column_names(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """Read names of columns: a list, or one text with commas.

    Examples
    --------
    >>> read_column_names("age, id"), read_column_names(["a,b"]), read_column_names(None)
    (('age', 'id'), ('a,b',), ())
    """
    if names is None:
        return ()
    if isinstance(names, str):
        return tuple(name.strip() for name in names.split(",") if name.strip())
    return tuple(map(str, names))


def chosen_columns(
    there: Sequence[str], *, only: Sequence[str] = (), drop: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the names of the columns to leave out: all but ``only``, and those to ``drop``.

    Raises
    ------
    UsageError
        For a name that is not there, and where nothing would be left.

    Examples
    --------
    >>> chosen_columns(["a", "b", "c"], only=["a", "b"], drop=["b"])
    ('b', 'c')
    """
    for name in (*only, *drop):
        if name not in there:
            raise UsageError(
                f"there is no column {name!r}{did_you_mean(name, there) or ';'} there are {few(there, 20)}"
            )
    out = tuple(name for name in there if name in drop or (only and name not in only))
    if len(out) == len(there):
        raise UsageError(f"no column would be left of {few(there, 20)}; leave some")
    return out


def take_columns(dataset: Dataset, out: Collection[str]) -> Dataset:
    """Return a table without some of its columns; names that are not there are passed over.

    Raises
    ------
    UsageError
        For a table that is left in its file.

    Examples
    --------
    >>> data = Dataset(np.eye(3), "table", ("a", "b", "c"))
    >>> take_columns(data, ["b"]).columns
    ('a', 'c')
    """
    names = dataset.columns or ()
    kept = [j for j, name in enumerate(names) if name not in out]
    if len(kept) == len(names):
        return dataset
    if isinstance(dataset.values, StoredRows):
        raise UsageError(
            f"{dataset.source}: columns cannot be left out of a table that is read in blocks; leave them out of the "
            "file, or give it more memory"
        )
    texts = dataset.categories
    categories = None if texts is None else tuple(texts[j] for j in kept)
    stored = dataset.stored_as
    return replace(
        dataset,
        values=np.ascontiguousarray(dataset.values[:, kept]),
        columns=tuple(names[j] for j in kept),
        categories=categories if categories and any(categories) else None,
        stored_as=None if stored is None else {n: t for n, t in stored.items() if n not in out} or None,
        left_out=(*dataset.left_out, *(name for name in names if name in out)),
        test=None if dataset.test is None else take_columns(dataset.test, out),
    )


def telling_rows_apart(dataset: Dataset, *, keep: Collection[str] = ()) -> dict[str, str]:
    """Return the columns that tell rows apart and say nothing else, and why: there is nothing in them to model.

    These are numbers of rows (consecutive, each once) and whole numbers that differ in all rows under the name of an
    id, in tables with names; and text of so many values that they are no categories.

    Parameters
    ----------
    dataset
        The rows to learn from.
    keep
        Columns that are asked for.

    Returns
    -------
    dict of str to str
        Reasons by name; none where no column would be left.

    Examples
    --------
    >>> data = Dataset(np.stack([np.arange(30.0), np.arange(30) % 7], 1), "table", ("id", "a"))
    >>> telling_rows_apart(data)
    {'id': 'a whole number that differs in all 30 rows'}
    """
    names, n = dataset.columns or (), len(dataset)
    if dataset.kind != "table" or n < _FEWEST_ROWS or isinstance(dataset.values, StoredRows):
        return {}
    texts = dataset.categories or (None,) * len(names)
    reasons: dict[str, str] = {}
    for j, name in enumerate(names):
        if name in keep:
            continue
        text = texts[j]
        if text is not None:
            if len(text) > max(_FEW_CATEGORIES, n // _SHARE_OF_CATEGORIES):
                reasons[name] = (
                    f"text of {len(text):,} different values in {n:,} rows, too many to be categories"
                )
        elif re.fullmatch(r"x\d+", name) is None and _is_number_of_row(name, dataset.values[:, j]):
            reasons[name] = f"a whole number that differs in all {n:,} rows"
    return reasons if len(reasons) < len(names) else {}


def _is_number_of_row(name: str, values: np.ndarray) -> bool:
    if not np.isfinite(values).all() or (values != np.floor(values)).any():
        return False
    if len(np.unique(values)) < len(values):
        return False
    # Rows that are held out leave holes in consecutive numbers.
    dense = values.max() - values.min() < 1.5 * len(values)
    return bool(_NAMES_OF_IDS.fullmatch(name)) or (dense and bool((np.diff(values) > 0).all()))


def notes_on_values(dataset: Dataset) -> list[str]:
    """Return notes on values that are probably codes for missing ones: frequent, and far from all others.

    Examples
    --------
    >>> ages = np.concatenate([np.arange(20.0, 80.0), [-999.0, -999.0, -999.0]])
    >>> notes_on_values(Dataset(ages[:, None], "table", ("age",)))[0][:64]
    "column 'age': -999 stands in 3 rows of 63, far from all other va"
    """
    if dataset.kind != "table" or isinstance(dataset.values, StoredRows):
        return []
    texts = dataset.categories or (None,) * len(dataset.columns or ())
    notes = []
    for j, name in enumerate(dataset.columns or ()):
        known = dataset.values[:, j][np.isfinite(dataset.values[:, j])] if texts[j] is None else np.empty(0)
        distinct, counts = np.unique(known, return_counts=True)
        if len(distinct) <= _FEWEST_OTHERS:
            continue
        for end, others in ((0, distinct[1:]), (-1, distinct[:-1])):
            value, count = float(distinct[end]), int(counts[end])
            gap = abs(value - float(others[end]))
            far = _FAR if _LIKE_A_CODE.fullmatch(f"{value:.6g}") else _VERY_FAR
            if count >= max(3, _OFTEN * len(known)) and gap > far * float(others[-1] - others[0]):
                notes.append(
                    f"column {name!r}: {value:.6g} stands in {plural(count, 'row')} of {len(dataset):,}, far from all "
                    f"other values ({others[0]:.6g} to {others[-1]:.6g}): probably a code for a missing value. It is "
                    "modelled as a number; if it is a code, leave those cells empty"
                )
    return notes
