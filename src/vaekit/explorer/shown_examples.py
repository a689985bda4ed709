"""Examples as the page shows them: an image as a PNG in a data URL, a row of a table as texts and usual ranges."""

import base64
import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vaekit.data import Schema, restore_table
from vaekit.plots import montage, shrink

__all__ = ["ExampleFormat", "data_url"]

Values = npt.NDArray[Any]

_FEW, _MANY = 0.05, 0.95  # the usual range of a column: from this to this quantile of the rows


@dataclass(frozen=True, eq=False)
class ExampleFormat:
    """The form in which examples of a schema are written for the page.

    Parameters
    ----------
    schema
        The data that the model was fitted to.
    low, high
        Of a table, the usual range of each column, ``(columns,)``: its 5 % and 95 % quantiles among rows.
    longest_side
        Of an image on the page, in pixels: larger ones are averaged down.
    """

    schema: Schema
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    longest_side: int = 256

    @classmethod
    def of(cls, schema: Schema, rows: Values) -> "ExampleFormat":
        """Return the format of examples like these rows."""
        schema = replace(schema, frame=None)  # columns by their names as text
        if schema.kind == "images":
            return cls(schema, np.zeros(0), np.zeros(0))
        numbers = np.asarray(rows, np.float64)
        low, high = _quantiles(np.where(np.isfinite(numbers), numbers, np.nan))
        return cls(schema, low, high)

    @property
    def limits(self) -> tuple[float, float]:
        """The values of images that are black and of full brightness."""
        pixels = self.schema.columns[0]
        if self.schema.dtype == "uint8":
            return 0.0, 255.0
        return (0.0, 1.0) if pixels.minimum >= 0 and pixels.maximum <= 1 else (pixels.minimum, pixels.maximum)

    def examples(self, values: Values, *, decoded: bool = False) -> list[dict[str, Any]]:
        """Write examples ``(m, *event)`` in the units of the data, or ``decoded`` ones of the model.

        Each is ``{"image": url}``; or ``{"texts": [...], "places": [...]}``, one a column, where a place is the value's
        position in the usual range, 0 at its lower and 1 at its upper end, and None for categories and missing values.
        A decoded example with numbers that are not finite, where the model has diverged, is ``{"broken": true}``.
        """
        if self.schema.kind == "images":
            small = shrink(values, self.longest_side)
            return [self._image(small[i : i + 1]) for i in range(len(values))]
        known = np.array([column.missing_rate < 1 for column in self.schema.columns])
        broken = np.zeros(len(values), bool)
        if decoded:
            broken |= ~np.all(np.isfinite(values[:, known]), axis=1)
        safe = np.where(np.isinf(values), np.nan, values)
        width = np.where(self.high > self.low, self.high - self.low, np.nan)
        places = (safe - self.low) / width
        for j, column in enumerate(self.schema.columns):
            if column.categories is not None:
                places[:, j] = np.nan
        texts = self.texts(safe)
        return [
            {"broken": True}
            if broken[i]
            else {
                "texts": texts[i],
                "places": [round(p, 4) if np.isfinite(p) else None for p in places[i].tolist()],
            }
            for i in range(len(values))
        ]

    def texts(self, values: Values) -> list[list[str]]:
        """Write the cells of rows of a table ``(m, columns)``, in the types of the training data."""
        table = restore_table(self.schema, values)
        names = self.schema.column_names or ()
        columns = [[_text(value) for value in table[name].tolist()] for name in names]
        return [list(row) for row in zip(*columns, strict=True)]

    def usual_ranges(self) -> list[str]:
        """Return the usual range of each column of a table in words; of a category, how many there are."""
        lower, upper = self.texts(self.low[None])[0], self.texts(self.high[None])[0]
        return [
            f"{low} to {high}" if column.categories is None else f"{len(column.categories)} categories"
            for low, high, column in zip(lower, upper, self.schema.columns, strict=True)
        ]

    def _image(self, image: Values) -> dict[str, Any]:
        if not np.isfinite(image).all():
            return {"broken": True}
        return {"image": data_url(montage(image, columns=1, limits=self.limits)[1:-1, 1:-1])}


def data_url(picture: npt.NDArray[np.uint8]) -> str:
    """Return a picture ``(height, width, 4)`` as a PNG in a data URL.

    >>> data_url(np.zeros((1, 1, 4), np.uint8))[:27]
    'data:image/png;base64,iVBOR'
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _quantiles(rows: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return both ends of the usual range of each column; NaN for a column without values."""
    known = ~np.isnan(rows).all(0)
    ends = np.full((2, rows.shape[1]), np.nan)
    if known.any():
        ends[:, known] = np.nanquantile(rows[:, known], [_FEW, _MANY], axis=0, method="nearest")
    return ends[0], ends[1]


def _text(value: Any) -> str:
    """Write one cell: a missing one as a dash, a number with at most 6 digits."""
    import pandas as pd

    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, pd.Timestamp):
        return value.isoformat(sep=" ").removesuffix(" 00:00:00")
    return str(value)
