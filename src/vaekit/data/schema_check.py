"""Compare a data set with the schema of a model, and name every difference in one line."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, Protocol, cast

import numpy as np

from vaekit.data.column_summary import Column
from vaekit.data.constant_parts import ConstantParts
from vaekit.data.dataset import Dataset, Kind, made_up_names, row_blocks
from vaekit.data.messages import few, ignored_columns, plural, shape_in_words
from vaekit.data.stored import StoredRows, extremes, value_blocks
from vaekit.data.strict_json import require_different
from vaekit.errors import ArtifactError, DataError
from vaekit.language.grammar import did_you_mean

__all__ = [
    "Expected",
    "Outside",
    "align_dataset",
    "check_dataset",
    "count_constant_changes",
    "find_far_rows",
    "require_sound",
]

Outside = Literal["refuse", "keep"]
"""What becomes of values that no row like those of the training could have."""

_NUMERIC_TYPES = (
    *(f"{kind}int{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)),
    *("float16", "float32", "float64"),
)


class Expected(Protocol):
    """The fields of a schema that a data set is compared with; see :class:`vaekit.data.Schema`."""

    @property
    def kind(self) -> Kind: ...
    @property
    def event_shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def columns(self) -> Sequence[Column]: ...
    @property
    def scaling(self) -> str: ...
    @property
    def offset(self) -> Sequence[float]: ...
    @property
    def scale(self) -> Sequence[float]: ...
    @property
    def constant(self) -> ConstantParts | None: ...
    @property
    def kept(self) -> np.ndarray: ...


def require_sound(schema: Expected) -> None:
    """Raise an ArtifactError where the fields of a schema that was read contradict one another."""
    if schema.dtype not in _NUMERIC_TYPES:
        raise ArtifactError(
            f"schema.dtype: {schema.dtype!r:.60}; expected the name of a numeric type such as 'float64'"
        )
    count = schema.event_shape[0] if schema.kind == "table" and schema.event_shape else 1
    lengths = {
        "event_shape": (len(schema.event_shape), 1 if schema.kind == "table" else 3),
        "columns": (len(schema.columns), count),
        "offset": (len(schema.offset), count),
        "scale": (len(schema.scale), count),
    }
    for key, (found, expected) in lengths.items():
        if found != expected:
            raise ArtifactError(f"schema.{key}: a list of {found}; expected a list of {expected}")
    require_different([column.name for column in schema.columns], "schema.columns")
    for i, column in enumerate(schema.columns):
        require_different(column.categories or (), f"schema.columns[{i}].categories")
    if all(column.constant for column in schema.columns):
        raise ArtifactError("schema.columns: every column is constant; expected at least one that varies")


def align_dataset(schema: Expected, dataset: Dataset, *, what: str, outside: Outside = "refuse") -> Dataset:
    """Return the data set with its columns, and its categories, in the order of the schema; see `Schema.align`."""
    if schema.kind == "table" and dataset.columns is not None and dataset.kind == "table":
        dataset = _choose_columns(schema, dataset)
    if schema.kind == "table" and dataset.event_shape == schema.event_shape:
        _check_columns(schema, dataset, what)
        dataset = _recode(schema, dataset, what, outside)
    check_dataset(schema, dataset, what=what, outside=outside)
    return dataset


def _choose_columns(schema: Expected, dataset: Dataset) -> Dataset:
    """Return the columns of the schema, in its order, where all that it needs are there by name.

    It does not need the columns that were constant, and are no part of the model.
    """
    given = dataset.columns or ()
    expected = tuple(column.name for column in schema.columns)
    missing = [j for j, name in enumerate(expected) if name not in given]
    unnamed = made_up_names(len(given)) == given  # of which only the number counts
    if given == expected or any(schema.kept[missing]) or (unnamed and set(given) != set(expected)):
        return dataset
    order = [given.index(name) if name in given else -1 for name in expected]
    constants = {
        j: np.nan if schema.columns[j].missing_rate == 1 else schema.columns[j].minimum for j in missing
    }

    def choose(block: np.ndarray) -> np.ndarray:
        chosen = np.ascontiguousarray(block[:, order])
        for j, value in constants.items():
            chosen[:, j] = value
        return chosen

    values = _changed(dataset.values, choose, width=len(expected))
    texts = dataset.categories
    categories = None if texts is None else tuple(None if j < 0 else texts[j] for j in order)
    if missing and any(column.categories for column in schema.columns):
        found = categories or (None,) * len(expected)
        categories = tuple(
            schema.columns[j].categories if j in constants else names for j, names in enumerate(found)
        )
    notes = [f"column {expected[j]!r} is missing: {_told_constant(schema.columns[j])}" for j in missing]
    if extra := [name for name in given if name not in expected]:
        notes.append(ignored_columns(extra))
    return replace(
        dataset,
        values=values,
        columns=expected,
        categories=categories,
        notes=(*dataset.notes, *notes),
    )


def _told_constant(column: Column) -> str:
    value = column.minimum if column.categories is None else column.categories[int(column.minimum)]
    shown = f"{value:g}" if isinstance(value, float) else repr(value)
    was = "had no value in any" if column.missing_rate == 1 else f"was {shown} in every"
    return f"it {was} row that the model was fitted to, and plays no part in it"


def _recode(schema: Expected, dataset: Dataset, what: str, outside: Outside) -> Dataset:
    """Return the data set with the categories of text columns numbered as in the schema, unknown ones after them."""
    given = dataset.categories or (None,) * len(schema.columns)
    known = tuple(column.categories for column in schema.columns)
    if given == known or (dataset.categories is None and not any(known)):
        return dataset
    renumbered: dict[int, np.ndarray] = {}
    categories = list(known)
    for j, (names, expected) in enumerate(zip(given, known, strict=True)):
        name = schema.columns[j].name
        if names == expected:
            continue
        if expected is None:
            raise DataError(
                f"{what}: column {name!r} holds text, for instance {(names or ('',))[-1]!r:.60}; the model "
                "was fitted to numbers there"
            )
        if names is None:
            if not (~np.isnan(dataset.values[:, j])).any():
                continue  # no value at all
            count = len(expected) if outside == "refuse" else None
            if dataset.categories is None and _are_numbers_of(dataset.values[:, j], count):
                continue  # already numbered, as an array from Python is
            raise DataError(
                f"{what}: column {name!r} holds numbers; the model was fitted to the categories {few(expected, 9)}"
            )
        unknown = [
            text
            for text in names
            if text not in expected and (dataset.values[:, j] == names.index(text)).any()
        ]
        if unknown and outside == "refuse":
            first = _first_row(dataset.values, j, [names.index(text) for text in unknown])
            raise DataError(
                f"{what}: column {name!r} has the unknown categor{'y' if len(unknown) == 1 else 'ies'} "
                f"{few(unknown)}, first in row {dataset.first_row + first} (counted from 0)"
                f"{did_you_mean(unknown[0], expected) or ';'} the model knows "
                f"{few(expected, 50)}: correct or remove those rows, or fit again with them"
            )
        categories[j] = (*expected, *unknown)
        position = {text: float(k) for k, text in enumerate((*expected, *unknown))}
        # models of before there were missing values have a category for them; -1 is the last entry
        of_missing = position.get("", position.get("?", np.nan))
        renumbered[j] = np.array([*(position.get(text, np.nan) for text in names), of_missing])

    def renumber(block: np.ndarray) -> np.ndarray:
        block = block.copy()
        for j, numbers in renumbered.items():
            block[:, j] = numbers[np.nan_to_num(block[:, j], nan=-1).astype(np.int64)]
        return block

    return replace(dataset, values=_changed(dataset.values, renumber), categories=tuple(categories))


def _changed(
    values: np.ndarray, change: Callable[[np.ndarray], np.ndarray], *, width: int | None = None
) -> np.ndarray:
    """Return the function of an array; for stored rows, rows to which it will be applied as they are read."""
    if isinstance(values, StoredRows):
        return cast(np.ndarray, values.changed(change, width=width))
    return change(values)


def _first_row(values: np.ndarray, column: int, numbers: Sequence[int]) -> int:
    """Return the first row with one of some numbers in a column."""
    start = 0
    for block in value_blocks(values):
        found = np.flatnonzero(np.isin(block[:, column], numbers))
        if len(found):
            return start + int(found[0])
        start += len(block)
    return start


def _are_numbers_of(values: np.ndarray, count: int | None) -> bool:
    """Whether values are the numbers of categories, however many where the count is None."""
    known = values[~np.isnan(values)]
    whole = (known >= 0) & (known == np.floor(known))
    return bool((whole if count is None else whole & (known < count)).all())


def check_dataset(schema: Expected, dataset: Dataset, *, what: str, outside: Outside = "refuse") -> None:
    """Raise a DataError that names the differences; see `Schema.check`."""
    if dataset.kind != schema.kind:
        _refuse_other_kind(schema, dataset, what)
    if schema.kind == "table":
        _check_columns(schema, dataset, what)
    elif dataset.event_shape != schema.event_shape:
        _refuse_other_images(schema, dataset, what)
    dataset.require_finite(infinite=outside == "keep")
    if outside == "refuse" or _are_all_outside(schema, dataset):
        _check_range(schema, dataset, what)


def _refuse_other_kind(schema: Expected, dataset: Dataset, what: str) -> None:
    given, expected = (
        shape_in_words(kind, shape)
        for kind, shape in ((dataset.kind, dataset.event_shape), (schema.kind, schema.event_shape))
    )
    advice = ""
    if math.prod(dataset.event_shape) == math.prod(schema.event_shape):
        shape = ", ".join(map(str, schema.event_shape))
        advice = f"; the sizes agree: array.reshape(-1, {shape}) makes them fit"
    raise DataError(f"{what}: {given}; the model was fitted to {expected}{advice}")


def _refuse_other_images(schema: Expected, dataset: Dataset, what: str) -> None:
    same_size = dataset.event_shape[1:] == schema.event_shape[1:]
    raise DataError(
        f"{what}: {shape_in_words('images', dataset.event_shape)}; the model was fitted to "
        f"{shape_in_words('images', schema.event_shape)}; "
        f"{'convert the colours' if same_size else 'resize or crop the images'} to match"
    )


def _check_columns(schema: Expected, dataset: Dataset, what: str) -> None:
    expected = tuple(column.name for column in schema.columns)
    given = dataset.columns if dataset.columns is not None else made_up_names(dataset.event_shape[0])
    if given == expected:
        return
    if set(given) == set(expected):
        raise DataError(
            f"{what}: the columns of the model in another order: {few(given)}; expected {few(expected)}: reorder them"
        )
    by_position = made_up_names(len(given)) == given or made_up_names(len(expected)) == expected
    if by_position and len(given) == len(expected):
        return
    if by_position:
        raise DataError(
            f"{what}: {plural(len(given), 'column')}; the model was fitted to {len(expected)}: {few(expected)}"
        )
    missing = [name for name in expected if name not in given]
    unexpected = [name for name in given if name not in expected]
    parts = []
    if missing:
        parts.append(f"missing {few(missing)}")
    if unexpected:
        parts.append(f"unexpected {few(unexpected)}")
    renamed = (f"{name!r}{did_you_mean(name, unexpected)}" for name in missing)
    hint = "".join(f" (for {pair.replace(';', ',')})" for pair in renamed if "did you mean" in pair)
    advice = (
        "rename, add or remove columns to match"
        if missing
        else "remove them, or name a label with label=NAME"
    )
    raise DataError(
        f"{what}: other columns than the {len(expected)} the model was fitted to: "
        f"{' and '.join(parts)}{hint}; {advice}"
    )


def _are_all_outside(schema: Expected, dataset: Dataset) -> bool:
    """Whether every one of some images has a value out of the range of the training, as those in other units have."""
    fitted = schema.columns[0]
    if schema.kind != "images" or dataset.values.size == 0:
        return False
    if schema.dtype == "uint8" and fitted.maximum > 1 and dataset.values.max() <= 1:
        return True
    axes = tuple(range(1, dataset.values.ndim))
    return all(
        bool(((block.min(axes) < fitted.minimum) | (block.max(axes) > fitted.maximum)).all())
        for block in value_blocks(dataset.values)
    )


def _check_range(schema: Expected, dataset: Dataset, what: str) -> None:
    values = dataset.values
    if values.size == 0:
        return
    low, high = map(float, extremes(values))
    seen = f"{what}: {values.dtype} values from {low:g} to {high:g}"
    if schema.kind == "images":
        fitted = schema.columns[0]
        if schema.dtype == "uint8" and fitted.maximum > 1 and 0 < high <= 1:
            raise DataError(f"{seen}; the model was fitted to 8-bit images from 0 to 255: multiply by 255?")
        fitted_to_unit = fitted.minimum >= 0 and fitted.maximum <= 1
        if fitted_to_unit and low >= 0 and high > (1 if values.dtype == np.uint8 else 16):
            raise DataError(
                f"{seen}; the model was fitted to images from {fitted.minimum:g} to {fitted.maximum:g}: "
                "divide by 255?"
            )
    if schema.scaling == "unit":
        white = schema.scale[0]
        if low < 0 or high > white:
            advice = "divide by 255?" if white == 1 and low >= 0 and high <= 255 else "rescale them to match"
            raise DataError(f"{seen}; the model expects values from 0 to {white:g}: {advice}")


def count_constant_changes(
    columns: Sequence[Column], constant: np.ndarray, values: np.ndarray
) -> dict[str, int]:
    """Count the rows of a table that differ in each column that was constant; see `Schema.constant_changes`."""
    if not len(constant):
        return {}
    found = [columns[j] for j in constant]
    value = np.array([np.nan if column.missing_rate == 1 else column.minimum for column in found])
    counts = np.zeros(len(constant), dtype=np.int64)
    for block in value_blocks(values):
        counts += ((block[:, constant] != value) & ~np.isnan(block[:, constant])).sum(0)
    return {column.name: int(count) for column, count in zip(found, counts, strict=True) if count}


def find_far_rows(schema: Expected, values: np.ndarray) -> list[tuple[int, str]]:
    """Return the rows far outside the training range, each with its first column; see `Schema.far_outside`."""
    varying = [j for j in np.flatnonzero(schema.kept).tolist() if not schema.columns[j].constant]
    places = [j for j in varying if schema.columns[j].categories is None]
    low = np.array([2 * schema.columns[j].minimum - schema.columns[j].maximum for j in places])
    high = np.array([2 * schema.columns[j].maximum - schema.columns[j].minimum for j in places])
    found: list[tuple[int, str]] = []
    for rows in row_blocks(values):
        block = np.asarray(values[rows])
        if schema.kind == "images":
            seen = block if schema.constant is None else schema.constant.drop(block)
            far = ((seen < low[0]) | (seen > high[0])).reshape(len(block), -1).any(1, keepdims=True)
        else:
            far = (block[:, places] < low) | (block[:, places] > high)
        first = far.argmax(1)
        found += [
            (rows.start + i, schema.columns[places[first[i]]].name)
            for i in np.flatnonzero(far.any(1)).tolist()
        ]
    return found
