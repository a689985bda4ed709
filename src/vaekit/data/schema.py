r"""The schema: the data that a model expects, and the scaling between the data's units and the model's.

One affine map per column of a table, one for all pixels of images:

.. math:: x = (d - a) / b, \qquad \log\left|\frac{\partial x}{\partial d}\right| = -\sum_j \log b_j

with :math:`d` in the units of the data and :math:`x` in those of the model. A density of :math:`x` plus that
log-Jacobian is a density of :math:`d`: multiply a column by 1000 and its log-density falls by exactly log
1000.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import msgspec
import numpy as np

from vaekit.data.arrays import dataset_from_array
from vaekit.data.column_summary import Column, summarise
from vaekit.data.conditions import ConditionSchema
from vaekit.data.constant_parts import ConstantParts, find_constant_parts
from vaekit.data.dataset import Dataset, Kind, Layout, row_blocks
from vaekit.data.frame_types import FrameColumn
from vaekit.data.messages import shape_in_words
from vaekit.data.picture_recipe import PictureRecipe
from vaekit.data.scaling import Scaling, nearest_levels, offset_and_scale, require_few_categories
from vaekit.data.schema_check import (
    Outside,
    align_dataset,
    check_dataset,
    count_constant_changes,
    find_far_rows,
    require_sound,
)
from vaekit.data.strict_json import AboveZero, Finite, from_document, to_document
from vaekit.errors import DataError, UsageError

__all__ = ["Scaling", "Schema"]


@dataclass(frozen=True)
class Schema:
    """The form that every file given to a model must have, and the map from its values to the model's.

    Parameters
    ----------
    kind : {"table", "images"}
    event_shape : tuple of int
        Shape of one example of the data as found: (columns,) or (channels, height, width).
    dtype : str
        Type of the values as found, such as ``"float64"`` or ``"uint8"``.
    columns : tuple of Column
        One summary per column of a table; for images one, named ``"pixels"``, of all values together.
    scaling : {"none", "unit", "levels", "standardize", "mixed"}
    offset, scale : tuple of float
        a and b of the map above, one per entry of ``columns``.
    conditions : ConditionSchema or None
        The conditions that the model is given beside the data; None for a model without conditions.
    layout : {"channels-first", "channels-last", "no-channels"}
        The order of the axes of images in their source.
    constant : ConstantParts or None
        Channels or pixels of images that the model does not see, since they never varied.
    pictures : PictureRecipe or None
        The colours and the size that the pictures of a folder were brought to.
    frame : tuple of FrameColumn, or None
        The columns of the data frame that the model was fitted to, conditions included; None for other data.
    missing_values : tuple of str
        The values that stand for missing ones, beside NaN, empty fields and ``?``.

    Examples
    --------
    >>> data = np.array([[1.0, 7.0, 0.0], [3.0, 7.0, 4.0]])
    >>> schema = Schema.fit(data, scaling="standardize")
    >>> schema.model_event_shape, schema.constant_columns
    ((2,), ('x1',))
    >>> schema.transform(data)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    >>> schema.inverse(schema.transform(data)).tolist() == data.tolist()
    True
    """

    kind: Kind
    event_shape: tuple[Annotated[int, msgspec.Meta(ge=1)], ...]
    dtype: str
    columns: tuple[Column, ...]
    scaling: Scaling
    offset: tuple[Finite, ...]
    scale: tuple[AboveZero, ...]
    conditions: ConditionSchema | None = None
    layout: Layout = "channels-first"
    constant: ConstantParts | None = None
    pictures: PictureRecipe | None = None
    frame: tuple[FrameColumn, ...] | None = None
    missing_values: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        data: "Dataset | np.ndarray",
        *,
        scaling: Scaling,
        continuous: Sequence[bool] | None = None,
        levels: int = 256,
        drop_pixels: bool = False,
        categorical: Collection[str] = (),
    ) -> "Schema":
        """Learn the schema from the training rows, and from nothing else.

        Parameters
        ----------
        data : Dataset or ndarray
        scaling : {"none", "unit", "levels", "standardize", "mixed"}
            ``none`` leaves the values as they are. ``unit`` is for likelihoods on [0, 1]: values already
            there stay, 8-bit values are divided by 255. ``standardize`` subtracts the mean and divides by the
            standard deviation (of the population), of each column of a table, or of all pixels of images
            together. ``mixed`` does so for some columns of a table. ``levels`` is for likelihoods of whole
            numbers: these stay, and multiples of 1 / (levels - 1) in [0, 1] are multiplied.
        continuous : sequence of bool, optional
            For ``mixed``: whether to standardise, for each column that varies.
        levels : int
            For ``levels``: their number.
        drop_pixels : bool
            Of images under ``standardize``: leave out all pixels that never vary, so that the model sees rows of
            numbers; by default only whole channels are.
        categorical : collection of str
            Columns of text that are categories, however many there are.

        Raises
        ------
        DataError
            For a column of text with too many different values, fewer than two rows, infinite values (in images
            missing ones too), data that are constant throughout, and (``unit``) values outside [0, 1] that are
            not 8-bit.
        UsageError
            For an unknown scaling.
        """
        if scaling not in get_args(Scaling):
            raise UsageError(f"scaling {scaling!r}; expected one of {', '.join(get_args(Scaling))}")
        dataset = data if isinstance(data, Dataset) else dataset_from_array(data, source="the array")
        if len(dataset) < 2:
            raise DataError(f"{dataset.source}: 1 sample (one row) to learn from; at least 2 rows are needed")
        dataset.require_finite()
        constant = None
        if dataset.kind == "images":
            constant = find_constant_parts(dataset.values, pixels=drop_pixels and scaling == "standardize")
        columns = summarise(dataset, None if constant is None else constant.drop)
        if all(column.constant for column in columns):
            value = (
                f"all values are {columns[0].minimum:g}" if len(columns) == 1 else "every column is constant"
            )
            if all(column.missing_rate == 1 for column in columns):
                value = "every value is missing"
            raise DataError(
                f"{dataset.source}: {value} in all {len(dataset):,} rows: there is nothing to learn. "
                "Expected data in which at least one column varies"
            )
        require_few_categories(dataset, columns, categorical)
        offset, scale = offset_and_scale(dataset, columns, scaling, continuous, levels)
        return cls(
            dataset.kind,
            dataset.event_shape,
            str(dataset.values.dtype),
            columns,
            scaling,
            offset,
            scale,
            layout=dataset.layout,
            constant=constant,
            pictures=dataset.pictures,
            frame=dataset.frame,
        )

    @property
    def constant_columns(self) -> tuple[str, ...]:
        """Names of the columns that were constant in the training rows; of images, of channels or pixels."""
        if self.constant is not None:
            return self.constant.names
        return tuple(c.name for c in self.columns if c.constant and c.missing_rate < 1)

    @property
    def empty_columns(self) -> tuple[str, ...]:
        """Names of the columns that had no value in any training row."""
        return tuple(c.name for c in self.columns if c.missing_rate == 1)

    @property
    def missing_rates(self) -> dict[str, float]:
        """The share of training rows in which each column is missing, for those where any is."""
        return {c.name: c.missing_rate for c in self.columns if c.missing_rate}

    @property
    def masked(self) -> tuple[bool, ...] | None:
        """For each column that the model sees whether it was missing in training rows; None where none was."""
        kept = zip(self.columns, self.kept, strict=True)
        masked = tuple(column.missing_rate > 0 for column, keep in kept if keep)
        return masked if self.kind == "table" and any(masked) else None

    @property
    def column_names(self) -> tuple[str, ...] | None:
        """Names of a table's columns, in order; None for images."""
        return tuple(column.name for column in self.columns) if self.kind == "table" else None

    @property
    def known_columns(self) -> dict[str, bool]:
        """Names of a table's columns, and whether the model needs them; those that were constant it does not."""
        names = self.column_names or ()
        return {name: bool(kept) for name, kept in zip(names, self.kept, strict=False)}

    def describe(self) -> str:
        """Return the kind and shape of the data in words: ``tables of 4 columns``, ``grey images of 8x8 ...``."""
        return shape_in_words(self.kind, self.event_shape)

    @property
    def kept(self) -> np.ndarray:
        """A boolean for each column: whether the model sees it (always True for images).

        Constant columns are left out, since the density of a constant is infinite, and columns without any
        value. Under ``unit`` scaling constants stay: the likelihood is then a probability, which is finite for
        a constant too.
        """
        if self.kind == "images" or self.scaling == "unit":
            return np.array([column.missing_rate < 1 for column in self.columns])
        return np.array([not column.constant for column in self.columns])

    @property
    def model_event_shape(self) -> tuple[int, ...]:
        """Shape of one example as the model sees it: the columns, channels or pixels that are kept."""
        if self.kind == "table":
            return (int(self.kept.sum()),)
        return self.event_shape if self.constant is None else self.constant.event_shape(self.event_shape)

    @property
    def log_jacobian(self) -> float:
        """Log-determinant of the map from data to model units, in nats.

        A log-density in the model's units plus this number is one in the data's units. It is 0 for ``none``,
        and for ``unit`` where the values were in [0, 1] already.
        """
        copies = 1 if self.kind == "table" else math.prod(self.model_event_shape)
        return 0.0 + copies * math.fsum(self.column_log_jacobians)

    @property
    def column_log_jacobians(self) -> list[float]:
        """The logarithm of the derivative of the map from data to model units, for each column that the model sees."""
        return [-math.log(b) for b, keep in zip(self.scale, self.kept, strict=True) if keep]

    def check(self, dataset: Dataset, *, what: str) -> None:
        """Refuse a data set that differs from the data the model was fitted to.

        Columns in another order are an error here, because the rows would be misread; `align` puts them in
        order.

        Raises
        ------
        DataError
            Naming the differences in kind, shape, columns or range, or the first missing value.
        """
        check_dataset(self, dataset, what=what)

    def align(self, dataset: Dataset, *, what: str, outside: Outside = "refuse") -> Dataset:
        """Return the data set with its columns in the order of the schema, after checking it.

        Columns are matched by name; by position where either side has only made-up names (``x0``, ``x1``...).
        Columns that the schema does not have are left out, and columns that were constant in training may be
        missing: the notes of the result say so. With ``outside="keep"`` values that no row like those of the
        training could have stay: infinite ones, those out of range, and unknown categories, which are numbered
        after the known ones.
        """
        return align_dataset(self, dataset, what=what, outside=outside)

    def transform(self, values: np.ndarray, *, outside: Outside = "refuse") -> np.ndarray:
        """Map values in the units of the data to the model's.

        Parameters
        ----------
        values : ndarray of shape (m, \\*event_shape)

        Returns
        -------
        ndarray of shape (m, \\*model_event_shape), float32
            Computed in float64 block by block: a column of timestamps keeps its digits, and 8-bit images are
            never copied as float64 as a whole. NaN stays NaN.

        Raises
        ------
        DataError
            For another shape, or a value that float32 cannot hold after scaling; with ``outside="keep"`` that
            is infinite.
        """
        values = np.asarray(values)
        if values.shape[1:] != self.event_shape:
            raise DataError(
                f"values of shape {values.shape}; expected (m, {', '.join(map(str, self.event_shape))}): "
                f"{shape_in_words(self.kind, self.event_shape)}"
            )
        kept, offset, scale = self._kept_offset_scale()
        out = np.empty((values.shape[0], *self.model_event_shape), dtype=np.float32)
        everything = self.kind == "images" or bool(kept.all())
        for rows in row_blocks(values):
            found = values[rows] if self.constant is None else self.constant.drop(values[rows])
            block = (found if everything else found[:, kept]).astype(np.float64)
            block -= offset
            block /= scale
            if self.scaling == "levels" and np.any(scale != 1):
                block = nearest_levels(block, np.max(scale))
            with np.errstate(over="ignore"):
                out[rows] = block
            if outside == "refuse" and np.isinf(out[rows]).any():
                raise DataError(
                    f"a value is infinite in the model's units: |value| up to {np.abs(block).max():.3g} "
                    f"after scaling {self.scaling!r}, and float32 ends at 3.4e38; remove or correct the row"
                )
        return out

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """Map values in the model's units back to the data's.

        Parameters
        ----------
        x : array_like of shape (..., \\*model_event_shape)

        Returns
        -------
        ndarray of shape (..., \\*event_shape), float64
            Constant columns that the model does not see get their value back, and columns without any value
            NaN.
        """
        x = np.asarray(x)
        shape = self.model_event_shape
        if x.ndim < len(shape) or x.shape[x.ndim - len(shape) :] != shape:
            raise DataError(f"values of shape {x.shape}; expected (..., {', '.join(map(str, shape))})")
        kept, offset, scale = self._kept_offset_scale()
        data = x.astype(np.float64) * scale + offset
        if self.constant is not None:
            return self.constant.restore(data, self.event_shape)
        if self.kind == "images" or kept.all():
            return self._to_categories(data)
        restored = np.empty((*data.shape[:-1], *self.event_shape))
        restored[...] = [np.nan if c.missing_rate == 1 else c.minimum for c in self.columns]
        restored[..., kept] = data
        return self._to_categories(restored)

    def _to_categories(self, data: np.ndarray) -> np.ndarray:
        """Round to the nearest category, in place, in the columns that have some."""
        for j, column in enumerate(self.columns):
            if column.categories is not None:
                data[..., j] = np.rint(data[..., j]).clip(0, len(column.categories) - 1)
        return data

    @property
    def categories(self) -> "tuple[tuple[str, ...] | None, ...] | None":
        """The names of the categories of each column that holds text; None where no column does."""
        names = tuple(column.categories for column in self.columns)
        return names if any(names) else None

    def constant_changes(self, values: np.ndarray) -> dict[str, int]:
        """Count the rows that differ in a column left out because it was constant, or without any value, in training.

        Such rows are scored without that column, and a caller should warn of it.

        >>> schema = Schema.fit(np.array([[1.0, 7.0], [3.0, 7.0]]), scaling="standardize")
        >>> schema.constant_changes(np.array([[1.0, 7.0], [2.0, 8.0]]))
        {'x1': 1}
        """
        if self.constant is not None:
            return self.constant.count_changes(values)
        return count_constant_changes(self.columns, np.flatnonzero(~self.kept), values)

    def far_outside(self, values: np.ndarray) -> list[tuple[int, str]]:
        """Return the rows far outside the training range, each with its first column that is.

        Far is a value beyond the range by more than the width of the range. Columns of text and constant ones are not
        looked at.

        Parameters
        ----------
        values : ndarray of shape (m, \\*event_shape)

        Examples
        --------
        >>> schema = Schema.fit(np.array([[0.0, 1.0], [2.0, 3.0]]), scaling="standardize")
        >>> schema.far_outside(np.array([[1.0, 2.0], [3.9, 2.0], [4.1, -9.0]]))
        [(2, 'x0')]
        """
        return find_far_rows(self, values)

    def to_json(self) -> dict[str, Any]:
        """Return the schema as plain dictionaries, lists, strings and numbers, all finite."""
        document = {key: value for key, value in to_document(self).items() if value is not None}
        if self.layout == "channels-first":  # written as before there were other layouts
            document.pop("layout", None)
        if not self.missing_values:
            document.pop("missing_values", None)
        return document

    @classmethod
    def from_json(cls, document: Any) -> "Schema":
        """Return the schema that `to_json` wrote.

        Raises
        ------
        ArtifactError
            Naming an unknown or missing key, or a wrong value, as a file that was edited may have.
        """
        schema = from_document(document, cls, "schema")
        require_sound(schema)
        if schema.conditions is not None:
            schema.conditions.require_sound("schema.conditions")
        if schema.constant is not None:
            schema.constant.require_sound(schema.event_shape)
        return schema

    def _kept_offset_scale(self) -> tuple[np.ndarray, "np.ndarray | float", "np.ndarray | float"]:
        if self.kind == "images":
            return self.kept, self.offset[0], self.scale[0]
        kept = self.kept
        return kept, np.array(self.offset)[kept], np.array(self.scale)[kept]
