"""The pictures for a model of a table: reconstructions and samples of columns, and effects of the latents."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.distributions import Distribution

from vaekit.plots import (
    ACTIVE_KL,
    category_accuracy,
    category_scores,
    category_shares,
    distance,
    marginal_histogram,
    r_squared,
    reconstruction_scatter,
    traversal_effects,
)
from vaekit.report.drawing import drawn, drawn_panel, panel
from vaekit.report.numbers import count, number
from vaekit.report.scene import Picture, Scene, Section, evenly_spread
from vaekit.report.walk import Walk

if TYPE_CHECKING:
    from vaekit.data import Dataset

__all__ = ["effects", "marginals", "reconstructions"]

_Floats = npt.NDArray[np.float64]
_PANELS = 12
_POINTS = 400
_MOST_CATEGORIES = 60  # of a column of numbers


def reconstructions(scene: Scene) -> Section | None:
    """Draw reconstructions of columns against their originals, the best reconstructed first."""
    if scene.shown is None:
        return None
    schema = scene.estimator.schema_
    kept = np.flatnonzero(schema.kept)
    originals = np.asarray(scene.shown.values, dtype=float)
    fitted = scene.estimator.reconstruct(scene.shown, as_frame=False)
    scores = r_squared(originals, fitted)
    decoded = _decoded(scene, scene.shown, np.array(scene.estimator.transform(scene.shown)))
    log_p = _log_probabilities(scene, decoded, _categories(scene, fitted))
    for category, values in log_p.items():
        seen = ~np.isnan(originals[:, category.column])
        if not seen.any():
            continue
        found = category_scores(category.codes(originals), values[seen])
        scores[category.column] = 1 - found.cross_entropy / found.entropy if found.entropy > 0 else np.nan
    numeric = [j for j in kept.tolist() if j not in {category.column for category in log_p}]
    named = {category.column: category for category in log_p}
    few = evenly_spread(len(originals), _POINTS)
    pictures = []
    for j in kept[np.argsort(-np.nan_to_num(scores[kept], nan=-np.inf), kind="stable")][:_PANELS].tolist():
        name, seen = schema.columns[j].name, ~np.isnan(originals[:, j])
        if not seen.any():
            continue
        if j in named:
            codes, categories = named[j].codes(originals), named[j].names
            ax = category_accuracy(codes, log_p[named[j]][seen], categories, name=name, ax=panel())
            told = ax.texts[0].get_text().replace("\n", ", ")
            alt = f"How often each category of {name} is reconstructed: {told}."
        else:
            drawn_rows = few[seen[few]] if seen[few].any() else np.flatnonzero(seen)[:_POINTS]
            ax = reconstruction_scatter(
                originals[drawn_rows, j], fitted[drawn_rows, j], name=name, ax=panel()
            )
            # R² of the few points that are drawn would differ from that of all rows.
            if np.isfinite(scores[j]):
                ax.texts[0].set_text(f"R² = {number(float(scores[j]))}")
            alt = f"Reconstructed against original values of {name}: {ax.texts[0].get_text()}."
        pictures.append(Picture(drawn_panel(ax, f"pair-{j}", alt)))
    text = f"Measured on {count(len(originals), 'row')}. "
    if np.isnan(originals).any():
        text += "Of each column, the rows in which it is missing do not count. "
    if numeric:
        middle = float(np.nanmedian(scores[numeric])) if np.isfinite(scores[numeric]).any() else None
        text += (
            "Each dot is a row: its original value (across) and its reconstruction from the latent code (up). On the "
            "dashed line the two are equal. R² is the share of a column's variance that the reconstruction keeps; its "
            f"median over {count(len(numeric), 'column')} of numbers is {number(middle)}. "
        )
    if named:
        text += (
            "For categories, each bar is the share of rows whose most probable reconstruction is the right category; "
            "accuracy is this share over all rows, and the cross-entropy is in nats (lower is better). In brackets "
            "are the values of a guess that ignores the row. "
        )
    text += _which(len(kept), "best reconstructed")
    return Section("reconstructions", "Reconstructions", pictures, text, small=True)


def marginals(scene: Scene) -> Section | None:
    """Draw histograms of each column in the data and in samples, the worst match first."""
    if scene.shown is None:
        return None
    schema = scene.estimator.schema_
    kept = np.flatnonzero(schema.kept)
    data = np.asarray(scene.shown.values, dtype=float)
    samples = scene.estimator.sample(
        max(2000, len(data)), given=scene.given, random_state=0, noise=True, as_frame=False
    )
    apart = distance(data, samples)
    there = np.maximum((~np.isnan(data)).sum(0), 1)
    # Kolmogorov and Smirnov's distance of two samples of one distribution is below this in 95 % of cases.
    chance = 1.36 * np.sqrt(1 / there + 1 / len(samples))
    fitted = scene.estimator.reconstruct(scene.shown, as_frame=False)
    named = {category.column: category for category in _categories(scene, fitted)}
    for j, category in named.items():
        apart[j], chance[j] = category.distance(data, samples)
    pictures = []
    for j in kept[np.argsort(-(apart / chance)[kept], kind="stable")][:_PANELS].tolist():
        name = schema.columns[j].name
        if np.isnan(data[:, j]).all():
            continue
        if j in named:
            codes = named[j].codes(data), named[j].codes(samples)
            ax = category_shares(*codes, named[j].names, name=name, ax=panel())
        else:
            ax = marginal_histogram(data[~np.isnan(data[:, j]), j], samples[:, j], name=name, ax=panel())
        alt = f"Histograms of {name} in the data and in samples, at a distance of {apart[j]:.2f}."
        caption = f"distance {apart[j]:.2f}, by chance {chance[j]:.2f}"
        pictures.append(Picture(drawn_panel(ax, f"marginal-{j}", alt), caption))
    text = (
        f"Grey: {count(len(data), 'row')} of the data. Blue outline: {count(len(samples), 'new row')} drawn from the "
        "model. The closer they are, the better. The distance is the largest difference between the two cumulative "
        "distributions, or for categories half the sum of the differences (0: the same, 1: no overlap). Even a perfect "
        "model has a distance, by chance: in 19 of 20 cases it is below the second number. "
        + _which(len(kept), "worst matched")
    )
    return Section("samples", "New rows, drawn from the prior", pictures, text, small=True)


def effects(scene: Scene) -> Section | None:
    """Draw the effect of each active latent dimension on each column."""
    if scene.latent is None:
        return None
    title = "What each latent dimension does"
    active = scene.latent if scene.kl is None else sum(value > ACTIVE_KL for value in scene.kl)
    if active == 0:
        return Section("effects", title, text="No latent dimension is active, so none has an effect.")
    schema, walk = scene.estimator.schema_, Walk.of(scene)
    categories = _categories(scene, None)
    named = {category.column for category in categories}
    kept = [j for j in np.flatnonzero(schema.kept).tolist() if j not in named]
    names = [schema.columns[j].name for j in kept]
    scale = [schema.columns[j].standard_deviation for j in kept]
    for category in categories:
        column = schema.columns[category.column].name
        names += [f"{column}: {name}" for name in category.names[category.first_shown :]]
        scale += [0.5] * (len(category.names) - category.first_shown)

    def decode(z: _Floats) -> _Floats:
        latents = walk.to_latent(z)
        values = scene.estimator.inverse_transform(latents, given=scene.walked, as_frame=False)[:, kept]
        log_p = _log_probabilities(scene, _decoded(scene, None, latents), categories)
        shares = [np.exp(log_p[category][:, category.first_shown :]) for category in categories]
        return np.concatenate([values, *shares], axis=1)

    ax = traversal_effects(
        decode, scene.latent, names=names, scale=scale, kl=scene.kl, dimensions=min(10, active)
    )
    caption = (
        "How far each column moves, in units of its standard deviation, as one latent dimension goes "
        f"{walk.described}."
    )
    if categories:
        caption += " For a category: how far its probability moves, in units of 0.5."
    if active < scene.latent:
        caption += " Inactive dimensions are left out."
    alt = (
        "A table of colours: columns of the data by latent dimensions, coloured by how far the column moves."
    )
    return Section("effects", title, [Picture(drawn(ax, "effects", alt), caption, wide=True)])


def _which(columns: int, word: str) -> str:
    if columns <= 1:
        return ""
    return f"The {_PANELS} {word} columns are shown." if columns > _PANELS else f"The {word} come first."


@dataclass(frozen=True)
class _Category:
    """A column of categories: its place in the table, the names of its categories, and the number of the first."""

    column: int
    names: tuple[str, ...]
    first: int = 0

    @property
    def first_shown(self) -> int:
        """The first category whose probability is worth a row: of two, the second, since they sum to 1."""
        return 1 if len(self.names) == 2 else 0

    def codes(self, values: _Floats) -> npt.NDArray[np.int64]:
        """Return the column of a table as numbers of categories, from 0, for the rows where it is not missing."""
        column = values[:, self.column]
        codes = column[~np.isnan(column)].round().astype(np.int64) - self.first
        return codes.clip(0, len(self.names) - 1)

    def distance(self, data: _Floats, samples: _Floats) -> tuple[float, float]:
        """Return half the sum of the differences of shares, and the value it has by chance in 1 of 20 cases."""
        counts = [np.bincount(self.codes(values), minlength=len(self.names)) for values in (data, samples)]
        n, m = (int(c.sum()) for c in counts)
        pooled = (counts[0] + counts[1]) / (n + m)
        rng = np.random.default_rng(0)
        drawn = abs(rng.multinomial(n, pooled, 400) / n - rng.multinomial(m, pooled, 400) / m).sum(1) / 2
        return float(abs(counts[0] / n - counts[1] / m).sum() / 2), float(np.quantile(drawn, 0.95))


def _categories(scene: Scene, decoded: _Floats | None) -> list[_Category]:
    """Return the columns of text, and those of 0 and 1 or of whole numbers that the model always gives as such."""
    schema = scene.estimator.schema_
    found = []
    for j in np.flatnonzero(schema.kept).tolist():
        column = schema.columns[j]
        low, high = int(column.minimum), int(column.maximum)
        if column.categories is not None:
            found.append(_Category(j, column.categories))
        elif decoded is not None and column.integer and high - low < _MOST_CATEGORIES:
            whole = bool((decoded[:, j] == np.round(decoded[:, j])).all())
            if (low, high) == (0, 1) or (
                whole and decoded[:, j].min() >= low and decoded[:, j].max() <= high
            ):
                found.append(_Category(j, tuple(map(str, range(low, high + 1))), low))
    return found


def _decoded(scene: Scene, rows: "Dataset | None", latents: npt.NDArray[np.floating[Any]]) -> Distribution:
    """Return the decoder's distribution for latents, under the conditions of rows or else of walks."""
    model, conditions = scene.estimator.model_, scene.estimator.schema_.conditions
    c = None
    if conditions is not None and rows is not None:
        c = conditions.encode(rows.conditions, what=rows.source, rows=len(rows))
    elif conditions is not None:
        c = conditions.given(scene.walked, len(latents), 0)
    weights = next(model.parameters())
    with torch.no_grad():
        z = torch.from_numpy(latents).to(weights)
        return model.decode(z, None if c is None else torch.from_numpy(c).to(weights))


def _log_probabilities(
    scene: Scene, decoded: Distribution, categories: list[_Category]
) -> dict[_Category, _Floats]:
    """Return the log-probability of each category, ``(n, categories)``, for each column of categories.

    Columns are independent given the latents. So the probabilities of a column's categories are in proportion to
    those of rows that differ in this column only.
    """
    schema = scene.estimator.schema_
    rows = schema.inverse(decoded.mean.cpu().numpy())
    for j, column in enumerate(schema.columns):
        if column.integer:
            rows[:, j] = rows[:, j].round().clip(column.minimum, column.maximum)
    found = {}
    for category in categories:
        values, terms = rows.copy(), []
        for code in range(len(category.names)):
            values[:, category.column] = category.first + code
            x = torch.from_numpy(schema.transform(values)).to(decoded.mean)
            terms.append(decoded.log_prob(x).double())
        found[category] = torch.stack(terms, -1).log_softmax(-1).cpu().numpy()
    return found
