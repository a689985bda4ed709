r"""How a walk goes through the latent space at hand, and what to call its steps.

The plots walk in standard normal coordinates, from :math:`\Phi^{-1}(0.05)` to :math:`\Phi^{-1}(0.95)`. Under a standard
prior these are latents. Under any other each coordinate becomes the quantile of its latent dimension among draws from
the prior (of a model without a density, among the codes of rows): :math:`z_j = F_j^{-1}(\Phi(t_j))`. On a sphere it
becomes an angle along the great circle that leads from the middle of the rows towards a dimension's pole.
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
    """A way through latent space.

    Parameters
    ----------
    to_latent
        From ``(n, latent)`` in the coordinates that plots walk in to latents.
    described
        How a dimension is walked: ends ``"moves one latent dimension ..."``.
    map_described
        What equal steps of a map of the plane are; None where there is no map to be drawn.
    ends
        What begin, middle and end of a walk are called; None where they are numbers as drawn.
    axis
        What is along it.
    """

    to_latent: Callable[[_Floats], _Floats]
    described: str
    map_described: str | None
    ends: tuple[str, str, str] | None = None
    axis: str = ""

    @classmethod
    def of(cls, scene: "Scene") -> "Walk":
        """Choose the walk that stays in the latent space of a model."""
        from vaekit.priors import StandardPrior

        parts = scene.estimator.model_.parts
        if scene.estimator.model_.posterior_part.traits.space == "sphere":
            return cls._on_sphere(scene)
        has_density = scene.estimator.model_.has_density
        if has_density and isinstance(parts["prior"], StandardPrior):
            return cls(
                lambda z: z,
                "from its 5 % to its 95 % quantile under the standard normal prior, the others staying at 0",
                "equal steps cover equal probability under the prior",
            )
        if has_density or scene.shown is None:
            drawn, among = _draws(scene), "draws from the prior"
        else:
            drawn, among = _codes(scene), f"the codes of {scene.noun}s"
        return cls(
            lambda z: _quantiles(drawn, norm.cdf(z)),
            f"from its 5 % to its 95 % quantile among {among}, the others staying at their medians",
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
            "along the great circle through the middle of the rows and the pole of the dimension, from a quarter of it "
            "before the middle to a quarter after",
            None,
            ("\N{MINUS SIGN}90°", "0°", "90°"),
            "angle along the great circle",
        )

    def relabel(self, ax: "Axes") -> "Axes":
        """Name the three marked places of a walk, and its axis."""
        if self.ends is not None:
            ax.set_xticklabels(self.ends, fontsize="small")
            ax.set_xlabel(self.axis)
        return ax


def _draws(scene: "Scene") -> _Floats:
    return scene.estimator.sample_latents(_DRAWS, given=scene.walked, random_state=0)


def _codes(scene: "Scene") -> _Floats:
    """Of the rows that are shown; where there are none, draws from the prior."""
    return _draws(scene) if scene.shown is None else scene.estimator.transform(scene.shown).astype(np.float64)


def _quantiles(drawn: _Floats, shares: _Floats) -> _Floats:
    """Quantiles of each column of draws, ``(n, latent)``, at shares of the same shape."""
    columns = [np.quantile(drawn[:, j], shares[:, j]) for j in range(drawn.shape[1])]
    return np.stack(columns, axis=1)


def _great_circles(base: _Floats, angles: _Floats) -> _Floats:
    """Go from a point of the sphere along the tangent vectors that lead towards the poles of the dimensions.

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
