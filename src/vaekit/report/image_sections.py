"""The pictures for a model of images: reconstructions, samples, and walks through latent space."""

from math import isqrt

import numpy as np
import numpy.typing as npt

from vaekit.plots import (
    ACTIVE_KL,
    image_grid,
    latent_manifold,
    latent_traversals,
    reconstruction_pairs,
    shrink,
)
from vaekit.report.drawing import drawn
from vaekit.report.scene import Picture, Scene, Section, evenly_spread
from vaekit.report.walk import Walk

__all__ = ["reconstructions", "samples", "samples_by_category", "walks"]

_LONGEST_SIDE = 64  # of an image on the page, in pixels; larger ones are averaged down
_PIXELS = {1: 400_000, 3: 130_000}  # in one picture, by channels: colours take more bytes


def reconstructions(scene: Scene) -> Section | None:
    """Draw originals above their reconstructions."""
    if scene.shown is None:
        return None
    few = scene.shown.take(evenly_spread(len(scene.shown), 20 if _room_for(scene) >= 60 else 10))
    fitted = scene.estimator.reconstruct(few)
    ax = reconstruction_pairs(_small(few.values), _small(fitted), columns=10, limits=_limits(scene))
    alt = f"{len(few)} pairs of images: originals above, the model's reconstructions below."
    caption = (
        "Each original, and below it its reconstruction from the latent code. The originals are evenly spaced "
        "in the data, not selected by hand."
    )
    return Section(
        "reconstructions", "Reconstructions", [Picture(drawn(ax, "pairs", alt), caption, wide=True)]
    )


def samples(scene: Scene) -> Section:
    """Draw new images."""
    n = min(60, max(12, _room_for(scene) // 12 * 12))
    images = _small(scene.estimator.sample(n, given=scene.given, random_state=0))
    ax = image_grid(images, columns=12, limits=_limits(scene))
    caption = (
        "Latent codes drawn from the prior and decoded. Each picture is the decoder's mean, without pixel "
        "noise. Good samples look like the data and differ from one another."
    )
    figure = Picture(drawn(ax, "samples", f"{n} new images from the model."), caption, wide=True)
    return Section("samples", "New images, drawn from the prior", [figure])


def samples_by_category(scene: Scene) -> Section | None:
    """Draw new images for each category of the first categorical condition, in one row of the grid each."""
    conditions = scene.estimator.schema_.conditions
    frequent = None if conditions is None else conditions.most_frequent()
    told = None if conditions is None else next((c for c in conditions.conditions if c.categories), None)
    if told is None or told.categories is None or frequent is None:
        return None
    columns = 12
    shown = told.categories[: min(20, max(1, _room_for(scene) // columns))]
    values = np.repeat(np.array(shown), columns)
    images = scene.estimator.sample(len(values), given={**frequent, told.name: values}, random_state=0)
    ax = image_grid(_small(images), columns=columns, limits=_limits(scene))
    caption = (
        f"One row for each category of the condition {told.name}: {', '.join(shown)}. Each picture is the "
        "decoder's mean, for latent codes drawn from the prior."
    )
    alt = f"{len(values)} new images from the model, {columns} for each of {len(shown)} categories."
    figure = Picture(drawn(ax, "conditions", alt), caption, wide=True)
    return Section("conditions", f"New images, given {told.name}", [figure])


def walks(scene: Scene) -> Section | None:
    """Draw a map of a two-dimensional latent space, or walks along the dimensions of any other."""
    if scene.latent is None:
        return None

    walk = Walk.of(scene)

    def decode(z: npt.NDArray[np.float64]) -> npt.NDArray[np.generic]:
        return _small(scene.estimator.inverse_transform(walk.to_latent(z), given=scene.walked))

    if scene.latent == 2 and walk.map_described is not None:
        side = min(20, max(5, isqrt(_room_for(scene))))
        ax = latent_manifold(decode, side=side, limits=_limits(scene))
        if walk.ends is not None:
            ax.set_xticklabels(_percentages(side), fontsize="small")
            ax.set_yticklabels(_percentages(side)[::-1], fontsize="small")
        caption = (
            f"The decoded image at each place of the latent plane; {walk.map_described}. Neighbours should look "
            "similar, and every part of the map should look plausible."
        )
        alt = f"A map of {side} by {side} decoded images over the two latent dimensions."
        return Section(
            "manifold", "A map of latent space", [Picture(drawn(ax, "manifold", alt), caption, wide=True)]
        )
    active = sum(value > ACTIVE_KL for value in scene.kl or ())
    rows = min(10, active or scene.latent, max(3, _room_for(scene) // 11))
    ax = walk.relabel(latent_traversals(decode, scene.latent, kl=scene.kl, rows=rows, limits=_limits(scene)))
    caption = f"Each row moves one latent dimension {walk.described}" + (
        "; the most active dimension comes first, and inactive ones are left out."
        if scene.kl is not None
        else "."
    )
    alt = f"{rows} rows of 11 decoded images, one row for each latent dimension."
    return Section(
        "traversals",
        "What each latent dimension does",
        [Picture(drawn(ax, "traversals", alt), caption, wide=True)],
    )


def _percentages(side: int) -> list[str]:
    """Return labels for the start, middle and end of a map: the shares below them."""
    return [f"{100 * (place + 0.5) / side:.0f} %" for place in (0, side // 2, side - 1)]


def _small(images: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return shrink(images, _LONGEST_SIDE)


def _room_for(scene: Scene) -> int:
    """Return the number of images of this size that fit into one picture."""
    channels, height, width = scene.estimator.schema_.event_shape
    factor = -(-max(height, width) // _LONGEST_SIDE)
    return int(_PIXELS[3 if channels in (3, 4) else 1] // max((height // factor) * (width // factor), 1))


def _limits(scene: Scene) -> tuple[float, float]:
    """Return the values drawn as black and as full brightness, the same for all pictures on the page."""
    schema = scene.estimator.schema_
    low, high = schema.columns[0].minimum, schema.columns[0].maximum
    if schema.dtype == "uint8":
        return 0.0, 255.0
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
