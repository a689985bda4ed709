"""The page as one file, for whoever has no Python: the answers to its questions stand in it, computed beforehand.

It holds a map of the two most informative dimensions and one of the principal components, each with a grid of decoded
places, a walk along each of the first dimensions and between each two of some typical rows, and the rows with their
reconstructions and neighbours.
"""

import html
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from vaekit.data import Dataset
from vaekit.errors import UsageError
from vaekit.estimator import VariationalAutoencoder
from vaekit.explorer.exploration import Exploration
from vaekit.explorer.latent_maps import LatentMap
from vaekit.explorer.page_files import single_page
from vaekit.runtime.surroundings import usual_surroundings

__all__ = ["ExplorationPage"]

Floats = npt.NDArray[np.float64]

_MOST_ROWS, _FEWEST_ROWS = 2_000, 200
_NUMBERS = 2_000_000  # in all rows of the page together; of images pixels
_SIDE = 21  # of the grid of decoded places
_WALKED, _STEPS = 12, 15  # dimensions, and steps along each
_LONGEST_SIDE = 64  # of an image, in pixels


@dataclass(frozen=True)
class ExplorationPage:
    """The page that explores a model, as one HTML file; a notebook shows it.

    Parameters
    ----------
    html
        The page.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> x = load_iris().data
    >>> vae = VariationalAutoencoder(latent=2, epochs=2, random_state=0).fit(x)
    >>> page = ExplorationPage.of(vae)
    >>> "draws from the prior" in page.html, page._repr_html_()[:15]
    (True, '<iframe srcdoc=')
    """

    html: str

    @classmethod
    @usual_surroundings()
    def of(
        cls,
        estimator: VariationalAutoencoder,
        data: Dataset | None = None,
        *,
        name: str = "A variational autoencoder",
    ) -> "ExplorationPage":
        """Return the page of a model and rows that were checked against its schema; None: draws from the prior."""
        shape = estimator.schema_.event_shape
        numbers = int(np.prod([*shape[:-2], *(min(side, _LONGEST_SIDE) for side in shape[-2:])]))
        most = int(np.clip(_NUMBERS // max(numbers, 1), _FEWEST_ROWS, _MOST_ROWS))
        exploration = Exploration(estimator, data, name=name, most=most)
        exploration.form = replace(exploration.form, longest_side=_LONGEST_SIDE)
        return cls(single_page(name, msgspec.json.encode(_answers(exploration)).decode()))

    def _repr_html_(self) -> str:
        """Return the page in a frame, as a notebook shows it."""
        frame = 'style="width: 100%; height: 52rem; border: 0" title="The latent space of a model"'
        return f'<iframe srcdoc="{html.escape(self.html)}" {frame}></iframe>'


def _answers(asked: Exploration) -> dict[str, Any]:
    """Return the answers to all questions that this page can ask, by the names that its script knows them by."""
    about = asked.description()
    about["maps"] = [kind for kind in about["maps"] if kind != "umap"]
    first, second = (asked.shown.order * 2)[:2] if len(asked.shown.order) > 1 else (0, 0)
    start, keys = np.array(about["start"]), {kind: f"{kind}:{first}:{second}" for kind in about["maps"]}
    drawn = {keys[kind]: asked.map_of(kind, first, second) for kind in keys}
    flat = asked.map_of("dimensions", first, second)
    return {
        "description": about,
        "maps": {keys[kind]: asked.map(kind, first, second) for kind in keys},
        "grids": {key: _grid(asked, each, start) for key, each in drawn.items()},
        "colours": {choice["key"]: asked.colours(choice["key"]) for choice in about["colours"]},
        "rows": asked.rows(list(range(len(asked.shown)))),
        "neighbours": [asked.nearest(place) for place in range(len(asked.shown))],
        "middle": asked.decode(about["start"], kind="dimensions", first=first, second=second),
        "traversals": {}
        if asked.space.kind == "codes"
        else {
            str(told["dimension"]): _traversal(asked, told, start, flat)
            for told in about["dimensions"][:_WALKED]
        },
        "walks": {f"{a}:{b}": _walk(asked, a, b, drawn) for (a, _), (b, _) in combinations(asked.typical, 2)},
    }


def _grid(asked: Exploration, drawn: LatentMap, base: Floats) -> list[dict[str, Any]]:
    """Return decoded places on a grid over a map."""
    low, high = drawn.places.min(0), drawn.places.max(0)
    room = 0.05 * (high - low)
    across, up = (np.linspace(a, b, _SIDE) for a, b in zip(low - room, high + room, strict=True))
    places = [np.array([x, y]) for y in up for x in across]
    decoded = asked.decode_all(np.stack([drawn.latent_at(place, base) for place in places]), drawn)
    return [example | {"place": place.tolist()} for example, place in zip(decoded, places, strict=True)]


def _traversal(
    asked: Exploration, told: dict[str, Any], base: Floats, drawn: LatentMap
) -> list[dict[str, Any]]:
    """Return decoded steps along one dimension."""
    points = np.tile(base, (_STEPS, 1))
    points[:, told["dimension"]] = np.linspace(told["low"], told["high"], _STEPS)
    return asked.decode_all(asked.space.nearest(points), drawn)


def _walk(asked: Exploration, start: int, end: int, drawn: dict[str, LatentMap]) -> dict[str, Any]:
    """Return the walk between two rows, with its places on each map; or, where there is none, why."""
    try:
        walk = asked.walk(start, end)
    except UsageError as error:
        return {"error": str(error)}
    latents = np.array(walk.pop("latents"))
    places = {key: each.places_of(latents) for key, each in drawn.items()}
    return walk | {"places": {key: None if at is None else at.tolist() for key, at in places.items()}}
