r"""Maps: the latents of the shown rows as places in a plane, and the latent of any place of it.

A plane through the latent space is given by a point :math:`o` and two orthonormal directions :math:`d_1, d_2`. The
place of :math:`z` is :math:`u_i = \langle z - o, d_i \rangle`. From a place, the latent that differs from another
one :math:`b` in the plane alone is

.. math:: z = b + \sum_i \bigl(u_i - \langle b - o, d_i \rangle\bigr)\, d_i .

A map by UMAP has no such directions: a place stands for the mean of the nearest rows' latents, weighted by their
inverse distances. Between codes there is nothing, and a place stands for the nearest row.
"""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from vaekit.errors import MissingExtraError, UsageError
from vaekit.explorer.latent_space import LatentSpace
from vaekit.plots.canvas import latent_name

__all__ = ["FEWEST_OF_UMAP", "LatentMap", "components_map", "dimensions_map", "has_umap", "umap_map"]

Floats = npt.NDArray[np.float64]

_GOLDEN = 0.6180339887498949
_NEIGHBOURS = 4
FEWEST_OF_UMAP = 10  # rows: of fewer its spectral start fails


@dataclass(frozen=True, eq=False)
class LatentMap:
    """Places of latents in the plane.

    Parameters
    ----------
    places
        ``(n, 2)``.
    names
        The names of the two axes; the second is empty where it only keeps points apart.
    latents
        ``(n, k)``: the latents of the places.
    space
        The space that the latents live in.
    origin, directions
        ``(k,)`` and ``(1 or 2, k)``; None for a map without directions.
    """

    places: Floats
    names: tuple[str, str]
    latents: Floats
    space: LatentSpace
    origin: Floats | None = None
    directions: Floats | None = None

    def latent_at(self, place: Floats, base: Floats) -> Floats:
        """Return the latent ``(k,)`` of a place ``(2,)``, which differs from ``base`` in the plane alone."""
        if self.origin is None or self.directions is None or self.space.kind == "codes":
            return self._of_nearest(place)
        axes = len(self.directions)
        moved = place[:axes] - self.directions @ (base - self.origin)
        return self.space.nearest((base + moved @ self.directions)[None])[0]

    def places_of(self, latents: Floats) -> Floats | None:
        """Return the places ``(m, 2)`` of latents ``(m, k)``; None for a map that does not follow from directions."""
        if self.origin is None or self.directions is None or len(self.directions) < 2:
            return None
        return (latents - self.origin) @ self.directions.T

    def _of_nearest(self, place: Floats) -> Floats:
        distance = np.linalg.norm(self.places - place, axis=1)
        if self.space.kind == "codes":
            return self.latents[int(distance.argmin())]
        near = np.argsort(distance, kind="stable")[:_NEIGHBOURS]
        weights = 1.0 / np.maximum(distance[near], 1e-9)
        return self.space.nearest((weights / weights.sum() @ self.latents[near])[None])[0]


def dimensions_map(latents: Floats, space: LatentSpace, first: int, second: int) -> LatentMap:
    """Return the map of two latent dimensions; of one alone, points are spread out across it.

    Raises
    ------
    UsageError
        For a dimension that there is not.

    Examples
    --------
    >>> latents = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    >>> drawn = dimensions_map(latents, LatentSpace(), 2, 0)
    >>> drawn.places.tolist(), drawn.names
    ([[2.0, 0.0], [5.0, 3.0]], ('z₂', 'z₀'))
    >>> drawn.latent_at(np.array([9.0, 8.0]), latents[0]).tolist()
    [8.0, 1.0, 9.0]
    """
    n, k = latents.shape
    for dimension in (first, second):
        if not 0 <= dimension < k:
            raise UsageError(f"there is no latent dimension {dimension}: they are numbered from 0 to {k - 1}")
    if k == 1 or first == second:
        apart = (np.arange(n) * _GOLDEN) % 1.0  # evenly spread, whatever the order of the rows
        places = np.column_stack([latents[:, first], apart])
        return LatentMap(places, (latent_name(first), ""), latents, space, np.zeros(k), np.eye(k)[[first]])
    chosen = [first, second]
    names = (latent_name(first), latent_name(second))
    return LatentMap(latents[:, chosen], names, latents, space, np.zeros(k), np.eye(k)[chosen])


def components_map(latents: Floats, space: LatentSpace) -> LatentMap:
    """Return the map of the first two principal components of latents of at least two dimensions.

    Examples
    --------
    >>> latents = np.array([[0.0, 0.0, 1.0], [3.0, 0.0, 1.0], [0.0, 1.0, 1.0], [3.0, 1.0, 1.0]])
    >>> components_map(latents, LatentSpace()).names
    ('first principal component (90 %)', 'second principal component (10 %)')
    """
    from sklearn.decomposition import PCA

    fitted = PCA(min(2, *latents.shape), svd_solver="covariance_eigh").fit(latents)
    shares = [f"{100 * share:.0f} %" for share in fitted.explained_variance_ratio_] + ["0 %"]
    names = (f"first principal component ({shares[0]})", f"second principal component ({shares[1]})")
    places = fitted.transform(latents)
    if places.shape[1] < 2:  # a single row
        places = np.column_stack([places, np.zeros(len(places))])
    return LatentMap(places, names, latents, space, fitted.mean_, fitted.components_)


def has_umap() -> bool:
    """Return whether UMAP's package, ``umap-learn``, is installed."""
    return find_spec("umap") is not None


def umap_map(latents: Floats, space: LatentSpace) -> LatentMap:
    """Return the map by UMAP (McInnes, Healy and Melville, 2018), which keeps neighbours together.

    Raises
    ------
    MissingExtraError
        If ``umap-learn`` is not installed.
    UsageError
        For fewer than 10 rows.
    """
    if len(latents) < FEWEST_OF_UMAP:
        raise UsageError(f"a map by UMAP of {len(latents)} rows; it needs at least {FEWEST_OF_UMAP}")
    if not has_umap():
        raise MissingExtraError("a map by UMAP needs an optional dependency: pip install umap-learn")
    near = min(15, len(latents) - 1)  # 15 is its own default
    places = import_module("umap").UMAP(n_neighbors=near, random_state=0, n_jobs=1).fit_transform(latents)
    return LatentMap(np.asarray(places, np.float64), ("UMAP 1", "UMAP 2"), latents, space)
