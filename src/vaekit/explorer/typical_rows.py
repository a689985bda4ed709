"""Rows that stand for many: those that a walk begins and ends at when nobody has chosen any.

Of rows with at most ten labels it is, for each label, the row whose code is nearest to the mean code of the label's
rows; of others the rows nearest to the centres of groups (k-means, Lloyd, 1982).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from vaekit.explorer.latent_space import LatentSpace
from vaekit.report.scene import evenly_spread

__all__ = ["typical_rows"]

Floats = npt.NDArray[np.float64]

_MOST_LABELS = 10
_GROUPS = 6
_GROUPED = 2_000  # rows that groups are looked for in


def typical_rows(
    latents: Floats, labels: npt.NDArray[Any] | None, space: LatentSpace
) -> list[tuple[int, str]]:
    """Return at most ten typical rows: the place of each among the latents ``(n, k)``, and its label as a text.

    The text is empty where rows have no labels, or too many different ones.

    Examples
    --------
    >>> latents = np.array([[0.0, 0.1], [0.0, 0.0], [0.0, -0.2], [5.0, 5.0]])
    >>> typical_rows(latents, np.array(["oak", "oak", "oak", "elm"]), LatentSpace())
    [(3, 'elm'), (1, 'oak')]
    """
    names = np.unique(labels.astype(str)) if labels is not None else np.zeros(0, str)
    if labels is not None and 2 <= len(names) <= _MOST_LABELS:
        members = [np.flatnonzero(labels.astype(str) == name) for name in names]
        centres = np.stack([latents[rows].mean(0) for rows in members])
        texts = names.tolist()
    else:
        members = [np.arange(len(latents))] * _GROUPS
        centres, texts = _centres(latents), [""] * _GROUPS
    found: dict[int, str] = {}
    for rows, centre, text in zip(members, space.nearest(centres), texts, strict=False):
        found.setdefault(int(rows[space.distances(centre, latents[rows]).argmin()]), text)
    return list(found.items())


def _centres(latents: Floats) -> Floats:
    """Return the centres of groups of rows ``(groups, k)``, in the order of the dimension that varies most."""
    from sklearn.cluster import KMeans

    some = latents[evenly_spread(len(latents), _GROUPED)]
    groups = min(_GROUPS, len(np.unique(some, axis=0)))
    centres = KMeans(groups, random_state=0).fit(some).cluster_centers_
    return centres[centres[:, latents.var(0).argmax()].argsort()]
