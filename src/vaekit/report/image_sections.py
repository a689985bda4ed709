"""The pictures of a model of images: pairs, samples, and walks through latent space."""

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
from vaekit.report.scene import Figure, Scene, Section, evenly_spread
from vaekit.report.walk import Walk

__all__ = ["reconstructions", "samples", "samples_by_category", "walks"]

_LONGEST_SIDE = 64  # of an image on the page, in pixels; larger ones are averaged down
_PIXELS = {1: 400_000, 3: 130_000}  # of one picture, by channels: colours take more bytes


def reconstructions(scene: Scene) -> Section | None:
    """Draw originals above what the model makes of them."""
    if scene.shown is None:
        return None
    few = scene.shown.take(evenly_spread(len(scene.shown), 20 if _room_for(scene) >= 60 else 10))
    fitted = scene.estimator.reconstruct(few)
    ax = reconstruction_pairs(_small(few.values), _small(fitted), columns=10, limits=_limits(scene))
    alt = f"{len(few)} pairs of images: originals above, the model's reconstructions below them."
    caption = (
        "Originals, and below each what is left of it after passing through the latent code. They are taken at "
        "even distances from the data, not picked."
    )
    return Section(
        "reconstructions", "Reconstructions", [Figure(drawn(ax, "pairs", alt), caption, wide=True)]
    )


def samples(scene: Scene) -> Section:
    """Draw new images."""
    n = min(60, max(12, _room_for(scene) // 12 * 12))
    images = _small(scene.estimator.sample(n, given=scene.given, random_state=0))
    ax = image_grid(images, columns=12, limits=_limits(scene))
    caption = (
        "Drawn from the prior and decoded; shown is the decoder's mean, without pixel noise. Good samples look "
        "like the data and differ from one another."
    )
    figure = Figure(drawn(ax, "samples", f"{n} images made up by the model."), caption, wide=True)
    return Section("samples", "New images, drawn from the prior", [figure])


def samples_by_category(scene: Scene) -> Section | None:
    """Draw new images under each category of the first categorical condition, a row of the grid for each."""
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
        f"One row for each category of the condition {told.name}: {', '.join(shown)}. Shown is the decoder's mean, "
        "under latents drawn from the prior."
    )
    alt = f"{len(values)} images made up by the model, {columns} for each of {len(shown)} categories."
    figure = Figure(drawn(ax, "conditions", alt), caption, wide=True)
    return Section("conditions", f"New images, given {told.name}", [figure])


def walks(scene: Scene) -> Section | None:
    """Draw a map of a latent plane, or walks along the dimensions of any other latent space."""
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
            f"What every place of the latent plane decodes to; {walk.map_described}. "
            "Neighbours should be alike, and no part of the map implausible."
        )
        alt = f"A map of {side} by {side} decoded images over the two latent dimensions."
        return Section(
            "manifold", "A map of latent space", [Figure(drawn(ax, "manifold", alt), caption, wide=True)]
        )
    active = sum(value > ACTIVE_KL for value in scene.kl or ())
    rows = min(10, active or scene.latent, max(3, _room_for(scene) // 11))
    ax = walk.relabel(latent_traversals(decode, scene.latent, kl=scene.kl, rows=rows, limits=_limits(scene)))
    caption = f"Each row moves one latent dimension {walk.described}" + (
        "; the most active dimension comes first, and those that are not active are left out."
        if scene.kl is not None
        else "."
    )
    alt = f"{rows} rows of 11 decoded images, one row for each latent dimension."
    return Section(
        "traversals",
        "What each latent dimension does",
        [Figure(drawn(ax, "traversals", alt), caption, wide=True)],
    )


def _percentages(side: int) -> list[str]:
    """What begin, middle and end of a map are: shares below them."""
    return [f"{100 * (place + 0.5) / side:.0f} %" for place in (0, side // 2, side - 1)]


def _small(images: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return shrink(images, _LONGEST_SIDE)


def _room_for(scene: Scene) -> int:
    """How many images of this size a picture may hold."""
    channels, height, width = scene.estimator.schema_.event_shape
    factor = -(-max(height, width) // _LONGEST_SIDE)
    return int(_PIXELS[3 if channels in (3, 4) else 1] // max((height // factor) * (width // factor), 1))


def _limits(scene: Scene) -> tuple[float, float]:
    """Black and full brightness, the same for every picture: of 8 bits, of [0, 1], or the training data's range."""
    schema = scene.estimator.schema_
    low, high = schema.columns[0].minimum, schema.columns[0].maximum
    if schema.dtype == "uint8":
        return 0.0, 255.0
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
