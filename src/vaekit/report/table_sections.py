"""The pictures for a model of a table: reconstructions and samples of columns, and effects of the latents."""

from functools import partial

import numpy as np

from vaekit.plots import (
    distance,
    marginal_histogram,
    r_squared,
    reconstruction_scatter,
    traversal_effects,
)
from vaekit.report.drawing import drawn, panel
from vaekit.report.numbers import count, number
from vaekit.report.scene import Picture, Scene, Section, evenly_spread
from vaekit.report.walk import Walk

__all__ = ["effects", "marginals", "reconstructions"]

_PANELS = 12
_POINTS = 400


def reconstructions(scene: Scene) -> Section | None:
    """Draw reconstructions of columns against their originals, the best reconstructed first."""
    if scene.shown is None:
        return None
    kept = np.flatnonzero(scene.estimator.schema_.kept)
    originals = np.asarray(scene.shown.values, dtype=float)
    fitted = scene.estimator.reconstruct(scene.shown)
    scores = r_squared(originals, fitted)
    chosen = kept[np.argsort(-np.nan_to_num(scores[kept], nan=-np.inf), kind="stable")][:_PANELS]
    few = evenly_spread(len(originals), _POINTS)
    names = scene.estimator.schema_.columns
    figures = []
    for j in chosen.tolist():
        ax = reconstruction_scatter(originals[few, j], fitted[few, j], name=names[j].name, ax=panel())
        # R² of the few points that are drawn would differ from that of all rows.
        if np.isfinite(scores[j]):
            ax.texts[0].set_text(f"R² = {number(float(scores[j]))}")
        alt = f"Reconstructed against original values of {names[j].name}: {ax.texts[0].get_text()}."
        figures.append(Picture(drawn(ax, f"pair-{j}", alt)))
    middle = float(np.nanmedian(scores[kept])) if np.isfinite(scores[kept]).any() else None
    text = (
        "Each dot is a row: its original value (across) and its reconstruction from the latent code (up). On "
        "the dashed line the two are equal. R² is the share of a column's variance that the reconstruction "
        f"keeps, over {count(len(originals), 'row')}; its median over {count(len(kept), 'column')} is "
        f"{number(middle)}. " + _which(len(kept), "best reconstructed")
    )
    return Section("reconstructions", "Reconstructions", figures, text, small=True)


def marginals(scene: Scene) -> Section | None:
    """Draw histograms of each column in the data and in samples, the worst match first."""
    if scene.shown is None:
        return None
    schema = scene.estimator.schema_
    kept = np.flatnonzero(schema.kept)
    data = np.asarray(scene.shown.values, dtype=float)
    samples = scene.estimator.sample(max(2000, len(data)), given=scene.given, random_state=0, noise=True)
    apart = distance(data[:, kept], samples[:, kept])
    figures = []
    for place in np.argsort(-apart, kind="stable")[:_PANELS].tolist():
        j = int(kept[place])
        name = schema.columns[j].name
        ax = marginal_histogram(data[:, j], samples[:, j], name=name, ax=panel())
        alt = f"Histograms of {name} in the data and in samples, at a distance of {apart[place]:.2f}."
        figures.append(Picture(drawn(ax, f"marginal-{j}", alt), f"distance {apart[place]:.2f}"))
    text = (
        f"Grey: {count(len(data), 'row')} of the data. Blue outline: {count(len(samples), 'new row')} drawn "
        "from the model. The closer they are, the better. The distance is the largest difference between the "
        f"two cumulative distributions (0: the same, 1: no overlap). {_which(len(kept), 'worst matched')}"
    )
    return Section("samples", "New rows, drawn from the prior", figures, text, small=True)


def effects(scene: Scene) -> Section | None:
    """Draw the effect of each latent dimension on each column."""
    if scene.latent is None:
        return None
    schema, decode = scene.estimator.schema_, partial(scene.estimator.inverse_transform, given=scene.walked)
    walk = Walk.of(scene)
    kept = np.flatnonzero(schema.kept)
    ax = traversal_effects(
        lambda z: decode(walk.to_latent(z))[:, kept],
        scene.latent,
        names=[schema.columns[j].name for j in kept],
        scale=[schema.columns[j].standard_deviation for j in kept],
        kl=scene.kl,
    )
    caption = (
        "How far each column moves, in units of its standard deviation, as one latent dimension goes "
        f"{walk.described}. A pale column of the picture is a dimension with little effect."
    )
    alt = (
        "A table of colours: columns of the data by latent dimensions, coloured by how far the column moves."
    )
    figure = Picture(drawn(ax, "effects", alt), caption, wide=True)
    return Section("effects", "What each latent dimension does", [figure])


def _which(columns: int, word: str) -> str:
    if columns <= 1:
        return ""
    return f"Shown are the {_PANELS} {word} of them." if columns > _PANELS else f"The {word} come first."
