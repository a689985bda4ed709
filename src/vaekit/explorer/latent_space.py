r"""The geometry of a latent space: distances between points, the walk between two, and the nearest point of the space.

In :math:`\mathbb R^k` a walk is a straight line. On the unit sphere it is the great circle,

.. math:: z(t) = \frac{\sin((1 - t)\theta)\, a + \sin(t\theta)\, b}{\sin\theta},
          \qquad \cos\theta = \langle a, b\rangle,

(Shoemake, 1985, "Animating Rotation with Quaternion Curves"), and in hyperbolic space the geodesic
:math:`z(t) = \exp_a(t \log_a b)` (:mod:`vaekit.distributions.hyperbolic`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vaekit.distributions.hyperbolic import exponential_map, logarithmic_map
from vaekit.errors import UsageError
from vaekit.vae import VAE

__all__ = ["LatentSpace"]

Floats = npt.NDArray[np.float64]

_DESCRIBED = {
    "sphere": "along the great circle",
    "poincare": "along the geodesic of hyperbolic space",
}


@dataclass(frozen=True)
class LatentSpace:
    r"""The space that latents live in.

    Parameters
    ----------
    kind
        ``euclidean``, ``sphere``, ``poincare`` or ``codes``; any other name is taken for :math:`\mathbb R^k`.
    curvature
        :math:`c > 0` of hyperbolic space, whose curvature is :math:`-c`.

    Examples
    --------
    >>> sphere = LatentSpace("sphere")
    >>> sphere.walk(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 3).round(3).tolist()
    [[1.0, 0.0], [0.707, 0.707], [0.0, 1.0]]
    >>> LatentSpace().distances(np.zeros(2), np.array([[3.0, 4.0]]))
    array([5.])
    """

    kind: str = "euclidean"
    curvature: float = 1.0

    @classmethod
    def of(cls, model: VAE) -> "LatentSpace":
        """Return the space of a model's latents."""
        posterior = model.posterior_part
        if posterior.codebook is not None:
            return cls("codes")
        return cls(posterior.traits.space, float(posterior.shared.get("curvature", 1.0)))

    @property
    def walk_described(self) -> str:
        """The path of a walk, in words that continue "the walk goes"."""
        return _DESCRIBED.get(self.kind, "in a straight line")

    def nearest(self, z: Floats) -> Floats:
        """Return the points of the space that are nearest to points ``(n, k)`` around it."""
        if self.kind != "sphere":
            return z
        length = np.linalg.norm(z, axis=-1, keepdims=True)
        pole = np.eye(1, z.shape[-1])[0]
        return np.where(length > 0, z / np.where(length > 0, length, 1.0), pole)

    def distances(self, z: Floats, points: Floats) -> Floats:
        """Return the distance from a point ``(k,)`` to each of the points ``(n, k)``, ``(n,)``."""
        if self.kind == "poincare":
            away = logarithmic_map(
                torch.from_numpy(np.broadcast_to(z, points.shape).copy()),
                torch.from_numpy(np.ascontiguousarray(points)),
                self.curvature,
            )
            return away.norm(dim=-1).numpy()
        chord = np.linalg.norm(points - z, axis=-1)
        # The angle by its half's sine keeps all digits of near points, which the cosine loses.
        return 2.0 * np.arcsin(np.clip(chord / 2.0, 0.0, 1.0)) if self.kind == "sphere" else chord

    def walk(self, start: Floats, end: Floats, steps: int) -> Floats:
        """Return points at equal distances on the shortest path between two points ``(k,)``, ``(steps, k)``.

        Raises
        ------
        UsageError
            For codes, between which there is nothing, and for opposite points of a sphere, which no single great
            circle joins.
        """
        share = np.linspace(0.0, 1.0, steps)[:, None]
        if self.kind == "codes":
            raise UsageError("the latents are codes, and there is nothing between two of them")
        if self.kind == "poincare":
            centre = torch.from_numpy(np.broadcast_to(start, (steps, len(start))).copy())
            away = logarithmic_map(centre, torch.from_numpy(np.tile(end, (steps, 1))), self.curvature)
            return exponential_map(centre, torch.from_numpy(share) * away, self.curvature).numpy()
        if self.kind != "sphere":
            return (1.0 - share) * start + share * end
        start, end = self.nearest(start), self.nearest(end)
        angle = float(self.distances(start, end[None])[0])
        if angle > np.pi - 1e-6:
            raise UsageError(
                "these are opposite points of a sphere: every great circle through them is as short"
            )
        if angle < 1e-12:
            return np.tile(start, (steps, 1))
        return (np.sin((1.0 - share) * angle) * start + np.sin(share * angle) * end) / np.sin(angle)
