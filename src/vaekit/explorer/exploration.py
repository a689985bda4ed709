r"""A model and its rows, explored: every question that the page asks, answered as a document for JSON.

The page is the same over a server and in a single file; both ask here. Latents are lists of ``k`` numbers, rows are
places among the shown ones, and arrays of one number a row are float32 in base64.
"""

import base64
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vaekit.data import Dataset
from vaekit.errors import UsageError
from vaekit.estimator import VariationalAutoencoder
from vaekit.explorer.latent_maps import (
    FEWEST_OF_UMAP,
    LatentMap,
    components_map,
    dimensions_map,
    has_umap,
    umap_map,
)
from vaekit.explorer.latent_space import LatentSpace
from vaekit.explorer.row_colours import colour_choices, colours
from vaekit.explorer.row_selection import selection_csv, selection_summary
from vaekit.explorer.shown_examples import ExampleFormat
from vaekit.explorer.shown_rows import MOST_ROWS, ShownRows
from vaekit.explorer.typical_rows import typical_rows
from vaekit.plots.canvas import CLASSES

__all__ = ["Exploration"]

Floats = npt.NDArray[np.float64]
Given = Mapping[str, str]

_STEPS = 9  # of a walk
_NEIGHBOURS = 8
_BINS = 40  # of a histogram of codes


class Exploration:
    """A fitted model with the rows to show.

    Parameters
    ----------
    estimator
        The fitted model.
    data
        Rows in the units of the data, checked against the model's schema; None: draws from the prior are shown.
    name
        The name of the model, as the page's heading.
    most
        The largest number of rows to show; of more, as many evenly spaced ones.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> vae = VariationalAutoencoder(latent=2, epochs=2, random_state=0).fit(load_iris().data)
    >>> asked = Exploration(vae)
    >>> asked.description()["kind"], len(asked.decode([0.0, 0.0])["texts"])
    ('table', 4)
    """

    def __init__(
        self,
        estimator: VariationalAutoencoder,
        data: Dataset | None = None,
        *,
        name: str = "A variational autoencoder",
        most: int = MOST_ROWS,
    ) -> None:
        self.estimator, self.name = estimator, name
        self.shown = (
            ShownRows.of_prior(estimator) if data is None else ShownRows.of_data(estimator, data, most=most)
        )
        self.space = LatentSpace.of(estimator.model_)
        self.form = ExampleFormat.of(estimator.schema_, self.shown.rows.values)
        # One thread computes a slow map or a colour; others wait for it rather than begin the same again.
        self._mapping, self._colouring = threading.Lock(), threading.Lock()
        self._map = lru_cache(maxsize=16)(self._new_map)
        self._colours = lru_cache(maxsize=16)(self._new_colours)

    def description(self) -> dict[str, Any]:
        """Return what the page needs to know of the model before it draws."""
        schema, shown = self.estimator.schema_, self.shown
        codebook = self.estimator.model_.posterior_part.codebook
        first_codes = self._codes_of(np.array([0]))
        typical = None if shown.spread is None else np.median(shown.spread, 0)
        return {
            "name": self.name,
            "kind": schema.kind,
            "shape": list(schema.event_shape),
            "columns": list(schema.column_names or ()),
            "usual": self.form.usual_ranges() if schema.kind == "table" else [],
            "rows": len(shown),
            "total": shown.total,
            "unusable": shown.unusable,
            "drawn": shown.are_drawn,
            "source": Path(shown.rows.source).name,  # no folders of this machine: the page may be handed on
            "numbers": None if (shown.numbers == np.arange(len(shown))).all() else _packed(shown.numbers),
            "space": self.space.kind,
            "walk": self.space.walk_described,
            "dimensions": [self._dimension(j, typical) for j in shown.order],
            "ranked_by": "variance" if shown.kl_per_dimension is None else "kl",
            "start": self.space.nearest(np.median(shown.latents, 0)[None])[0].tolist()
            if codebook is None
            else shown.latents[0].tolist(),
            "maps": self._maps(),
            "colours": colour_choices(self.estimator, shown),
            "conditions": self._conditions(),
            "palette": list(CLASSES),
            "typical": [{"row": row, "label": label} for row, label in self.typical],
            "codes": None
            if codebook is None
            else {
                "positions": codebook.positions,
                "codes": codebook.codes,
                "start": None if first_codes is None else first_codes[0],
            },
        }

    @cached_property
    def typical(self) -> list[tuple[int, str]]:
        """Rows that stand for many, each with its label; none of codes, between which no walk goes."""
        if self.space.kind == "codes":
            return []
        return typical_rows(self.shown.latents, self.shown.rows.labels, self.space)

    def map(self, kind: str, first: int = 0, second: int = 0) -> dict[str, Any]:
        """Return the places of all rows on a map: ``dimensions`` (two of them), ``components`` or ``umap``."""
        drawn = self.map_of(kind, first, second)
        x, y = drawn.places.T
        return {"x": _packed(x), "y": _packed(y), "names": list(drawn.names)}

    def colours(self, by: str) -> dict[str, Any]:
        """Return a number for each row to colour it by; see :func:`vaekit.explorer.row_colours.colours`."""
        with self._colouring:
            found = dict(self._colours(by))
        return found | {"values": _packed(found["values"])}

    def decode(
        self,
        z: list[float],
        *,
        kind: str = "dimensions",
        first: int = 0,
        second: int = 0,
        given: Given | None = None,
    ) -> dict[str, Any]:
        """Return the decoded example of a latent, the latent (on a sphere the nearest point of it), and its place."""
        points = self.space.nearest(np.array([self._latent(z)]))
        return self.decode_all(points, self.map_of(kind, first, second), given)[0]

    def decode_all(
        self, points: Floats, drawn: LatentMap, given: Given | None = None
    ) -> list[dict[str, Any]]:
        """Return the decoded examples of latents ``(m, k)``, each with its latent and its place on a map."""
        places = drawn.places_of(points)
        return [
            example | {"z": _rounded(points[i]), "place": None if places is None else places[i].tolist()}
            for i, example in enumerate(self._decoded(points, given))
        ]

    def decode_place(
        self,
        place: tuple[float, float],
        base: list[float],
        *,
        kind: str = "dimensions",
        first: int = 0,
        second: int = 0,
        given: Given | None = None,
    ) -> dict[str, Any]:
        """Return the decoded example of a place of a map; what the map does not show is as in ``base``."""
        drawn = self.map_of(kind, first, second)
        point = drawn.latent_at(np.array(place), self._latent(base))
        return self.decode_all(point[None], drawn, given)[0]

    def decode_codes(self, codes: list[int], given: Given | None = None) -> dict[str, Any]:
        """Return the decoded example of one code a position."""
        values = self.estimator.inverse_transform_codes([codes], given=self._given(given, 1), as_frame=False)
        return self.form.examples(values, decoded=True)[0]

    def row(self, row: int) -> dict[str, Any]:
        """Return a row: the original, its reconstruction, its code with the posterior's spread, and its scores."""
        return self.rows([self._checked(row)])[0]

    def rows(self, places: list[int]) -> list[dict[str, Any]]:
        """Return several rows, each as :meth:`row` does."""
        chosen = np.array(places)
        originals = self.form.examples(self.shown.rows.values[chosen])
        rebuilt = self.form.examples(self._reconstructed(chosen), decoded=True)
        codes = self._codes_of(chosen)
        return [
            self._facts(place)
            | {
                "original": originals[i],
                "reconstruction": rebuilt[i],
                "codes": None if codes is None else codes[i],
            }
            for i, place in enumerate(places)
        ]

    def _facts(self, place: int) -> dict[str, Any]:
        """Return what is known of a row beside its pictures."""
        shown, latent = self.shown, self.shown.latents[place]
        label = None if shown.rows.labels is None else str(shown.rows.labels[place])
        told = shown.rows.conditions or {}
        conditions = {name: str(values[place]) for name, values in told.items()}
        scores = {"KL": shown.kl, "log p(x | z)": shown.reconstruction}
        return {
            "row": place,
            "number": int(shown.numbers[place]),
            "label": label,
            "conditions": conditions,
            "z": _rounded(latent),
            "spread": None if shown.spread is None else _rounded(shown.spread[place]),
            "scores": {name: float(each[place]) for name, each in scores.items() if each is not None},
        }

    def walk(
        self,
        start: int,
        end: int,
        *,
        kind: str = "dimensions",
        first: int = 0,
        second: int = 0,
        given: Given | None = None,
    ) -> dict[str, Any]:
        """Return decoded steps on the shortest path between the codes of two rows, and its places on a map."""
        a, b = (self.shown.latents[self._checked(row)] for row in (start, end))
        points = self.space.walk(a, b, _STEPS)
        places = self.map_of(kind, first, second).places_of(points)
        return {
            "examples": self._decoded(points, given),
            "latents": [_rounded(point) for point in points],
            "places": None if places is None else places.tolist(),
            "length": float(self.space.distances(a, b[None])[0]),
            "described": self.space.walk_described,
        }

    def neighbours(self, row: int) -> dict[str, Any]:
        """Return the rows whose codes are nearest to that of a row, the nearest first."""
        found = self.nearest(self._checked(row))
        return found | {"examples": self.form.examples(self.shown.rows.values[np.array(found["rows"], int)])}

    def nearest(self, place: int) -> dict[str, Any]:
        """Return what :meth:`neighbours` does, without the examples."""
        distances = self.space.distances(self.shown.latents[place], self.shown.latents)
        distances[place] = np.inf
        near = np.argsort(distances, kind="stable")[: min(_NEIGHBOURS, len(distances) - 1)]
        labels = self.shown.rows.labels
        return {
            "rows": near.tolist(),
            "numbers": self.shown.numbers[near].tolist(),
            "distances": _rounded(distances[near]),
            "labels": [] if labels is None else [str(label) for label in labels[near]],
        }

    def selection(self, rows: list[int]) -> dict[str, Any]:
        """Return the mean of chosen rows, and what sets them apart from the others."""
        return selection_summary(self.shown, self.form, rows)

    def selection_csv(self, rows: list[int]) -> str:
        """Return chosen rows as CSV."""
        return selection_csv(self.shown, self.form, rows)

    def map_of(self, kind: str, first: int, second: int) -> LatentMap:
        """Return a map, computed once."""
        with (
            self._mapping if kind == "umap" else nullcontext()
        ):  # the others are quick, and wait for no slow one
            return self._map(kind, first, second)

    def _new_map(self, kind: str, first: int, second: int) -> LatentMap:
        latents = self.shown.latents
        if kind not in self._maps():
            raise UsageError(f"there is no map {kind!r}; there are: {', '.join(self._maps())}")
        if kind == "dimensions":
            return dimensions_map(latents, self.space, first, second)
        return components_map(latents, self.space) if kind == "components" else umap_map(latents, self.space)

    def _maps(self) -> list[str]:
        n, k = self.shown.latents.shape
        umap = k > 1 and n >= FEWEST_OF_UMAP and has_umap()
        return ["dimensions", *(["components"] if k > 1 else []), *(["umap"] if umap else [])]

    def _new_colours(self, by: str) -> dict[str, Any]:
        return colours(self.estimator, self.shown, by)

    def _dimension(self, j: int, typical: Floats | None) -> dict[str, Any]:
        codes = self.shown.latents[:, j]
        low, high = (float(end) for end in np.quantile(codes, [0.001, 0.999]))
        room = 0.1 * (high - low) or 1.0
        counts, _ = np.histogram(codes, bins=_BINS, range=(low - room, high + room))
        return {
            "dimension": j,
            "information": float(self.shown.information[j]),
            "low": low - room,
            "high": high + room,
            "histogram": counts.tolist(),
            "spread": None if typical is None else float(typical[j]),
        }

    def _conditions(self) -> list[dict[str, Any]]:
        told = self.estimator.schema_.conditions
        if told is None:
            return []
        usual = told.most_frequent()
        return [
            {
                "name": condition.name,
                "categories": None if condition.categories is None else list(condition.categories),
                "value": usual[condition.name]
                if condition.categories is not None
                else f"{usual[condition.name]:g}",
            }
            for condition in told.conditions
        ]

    def _given(self, given: Given | None, n: int) -> dict[str, Any] | None:
        """Return a condition for ``n`` examples: the most frequent one of the training where none is given."""
        told = self.estimator.schema_.conditions
        if told is None and given:
            raise UsageError(f"the model has no conditions, and is asked for {', '.join(given)}")
        if told is None:
            return None
        return {
            name: np.array([value] * n) for name, value in {**told.most_frequent(), **(given or {})}.items()
        }

    def _decoded(self, latents: Floats, given: Given | None) -> list[dict[str, Any]]:
        shape = self.estimator.model_.latent_shape
        values = self.estimator.inverse_transform(
            latents.reshape(len(latents), *shape), given=self._given(given, len(latents)), as_frame=False
        )
        return self.form.examples(values, decoded=True)

    def _reconstructed(self, places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        rows = self.shown.rows.take(places)
        return rows.values if self.shown.are_drawn else self.estimator.reconstruct(rows, as_frame=False)

    def _codes_of(self, places: npt.NDArray[np.int64]) -> list[list[int]] | None:
        """Return the codes of rows; None where the latents are none, or the rows are draws."""
        if self.estimator.model_.posterior_part.codebook is None or self.shown.are_drawn:
            return None
        return self.estimator.transform_to_codes(self.shown.rows.take(places)).tolist()

    def _latent(self, z: list[float]) -> Floats:
        latent = self.shown.latents.shape[1]
        if len(z) != latent:
            raise UsageError(f"a latent of {len(z)} numbers; this model has {latent}")
        return np.array(z, np.float64)

    def _checked(self, row: int) -> int:
        if not 0 <= row < len(self.shown):
            raise UsageError(f"there is no row {row}: {len(self.shown)} are shown, numbered from 0")
        return row


def _packed(values: npt.NDArray[Any]) -> str:
    """Return numbers as float32, little-endian, in base64."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def _rounded(values: Floats) -> list[float]:
    return np.round(values, 5).tolist()
