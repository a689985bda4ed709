r"""Walks through the latent space of a model, and the labels of their steps.

The plots walk in standard normal coordinates, from :math:`\Phi^{-1}(0.05)` to :math:`\Phi^{-1}(0.95)`. Under a standard
prior these are the latents. Under any other prior each coordinate becomes the quantile of its latent dimension among
draws from the prior (for a model without a density, among the codes of rows): :math:`z_j = F_j^{-1}(\Phi(t_j))`. On a
sphere it becomes an angle along the great circle from the mean direction of the rows towards the pole of a dimension.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.stats import norm  # SciPy comes with scikit-learn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from vaekit.report.scene import Scene

__all__ = ["Walk"]

_Floats = npt.NDArray[np.float64]
_DRAWS, _END = 4000, 0.95


@dataclass(frozen=True)
class Walk:
    """A way to move through latent space.

    Parameters
    ----------
    to_latent
        Function from the coordinates of the plots, ``(n, latent)``, to latents.
    described
        The path along a dimension, in words that continue ``"moves one latent dimension ..."``.
    map_described
        The meaning of equal steps on a map of the plane; None if no map can be drawn.
    ends
        Labels for the start, middle and end of a walk; None to label them by their values.
    axis
        Label of the axis.
    """

    to_latent: Callable[[_Floats], _Floats]
    described: str
    map_described: str | None
    ends: tuple[str, str, str] | None = None
    axis: str = ""

    @classmethod
    def of(cls, scene: "Scene") -> "Walk":
        """Return the walk that suits the latent space of a model."""
        from vaekit.priors import StandardPrior

        parts = scene.estimator.model_.parts
        if scene.estimator.model_.posterior_part.traits.space == "sphere":
            return cls._on_sphere(scene)
        has_density = scene.estimator.model_.has_density
        if has_density and isinstance(parts["prior"], StandardPrior):
            return cls(
                lambda z: z,
                "from its 5 % to its 95 % quantile under the standard normal prior, while the others stay at 0",
                "equal steps cover equal probability under the prior",
            )
        if has_density or scene.shown is None:
            drawn, among = _draws(scene), "draws from the prior"
        else:
            drawn, among = _codes(scene), f"the codes of {scene.noun}s"
        return cls(
            lambda z: _quantiles(drawn, norm.cdf(z)),
            f"from its 5 % to its 95 % quantile among {among}, while the others stay at their medians",
            f"along each axis equal steps cover equal shares of {among}",
            ("5 %", "50 %", "95 %"),
            f"quantile of the latent dimension among {among}",
        )

    @classmethod
    def _on_sphere(cls, scene: "Scene") -> "Walk":
        points = _codes(scene)
        middle = points.mean(0)
        size = float(np.linalg.norm(middle))
        base = middle / size if size > 1e-6 else np.eye(points.shape[1])[0]
        return cls(
            lambda z: _great_circles(base, z * (np.pi / 2 / norm.ppf(_END))),
            "along the great circle through the middle of the rows and the pole of the dimension, from 90° "
            "before the middle to 90° after",
            None,
            ("\N{MINUS SIGN}90°", "0°", "90°"),
            "angle along the great circle",
        )

    def relabel(self, ax: "Axes") -> "Axes":
        """Label the start, middle and end of a walk, and its axis."""
        if self.ends is not None:
            ax.set_xticklabels(self.ends, fontsize="small")
            ax.set_xlabel(self.axis)
        return ax


def _draws(scene: "Scene") -> _Floats:
    return scene.estimator.sample_latents(_DRAWS, given=scene.walked, random_state=0)


def _codes(scene: "Scene") -> _Floats:
    """Return the codes of the rows that are shown, or draws from the prior if there are none."""
    return (
        _draws(scene)
        if scene.shown is None
        else np.asarray(scene.estimator.transform(scene.shown), np.float64)
    )


def _quantiles(drawn: _Floats, shares: _Floats) -> _Floats:
    """Return quantiles of each column of draws, at shares of shape ``(n, latent)``."""
    columns = [np.quantile(drawn[:, j], shares[:, j]) for j in range(drawn.shape[1])]
    return np.stack(columns, axis=1)


def _great_circles(base: _Floats, angles: _Floats) -> _Floats:
    """Return points on great circles from a base point towards the poles of the dimensions, by angle.

    >>> _great_circles(np.array([1.0, 0.0, 0.0]), np.array([[0.0, np.pi / 2, 0.0]])).round(6) + 0.0
    array([[0., 1., 0.]])
    """
    tangents = np.eye(len(base)) - np.outer(base, base)  # row j: the part of pole j across the point
    sizes = np.linalg.norm(tangents, axis=1, keepdims=True)
    tangents = np.divide(tangents, sizes, out=np.zeros_like(tangents), where=sizes > 1e-6)
    steps = angles @ tangents
    length = np.linalg.norm(steps, axis=1, keepdims=True)
    direction = np.divide(steps, length, out=np.zeros_like(steps), where=length > 0)
    return np.cos(length) * base + np.sin(length) * direction
