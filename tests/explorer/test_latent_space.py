"""Walks and distances against the formulas of other coordinates, in float64."""

import numpy as np
import pytest
import torch

from vaekit.distributions.hyperbolic import to_ball
from vaekit.errors import UsageError
from vaekit.explorer.latent_space import LatentSpace

RNG = np.random.default_rng(0)


def of_ball(u, v, curvature):
    """The distance of two points of the Poincare ball of curvature -c: another formula, in other coordinates."""
    square = ((u - v) ** 2).sum(-1)
    inside = (1 - curvature * (u**2).sum(-1)) * (1 - curvature * (v**2).sum(-1))
    return np.arccosh(1 + 2 * curvature * square / inside) / np.sqrt(curvature)


@pytest.mark.parametrize("curvature", [0.3, 1.0, 2.5])
def test_hyperbolic_distances_are_those_of_the_ball(curvature):
    z = RNG.normal(size=(20, 3))
    ball = to_ball(torch.from_numpy(z), curvature).numpy()
    found = LatentSpace("poincare", curvature).distances(z[0], z[1:])
    np.testing.assert_allclose(found, of_ball(ball[0], ball[1:], curvature), rtol=1e-9)


@pytest.mark.parametrize("space", [LatentSpace(), LatentSpace("sphere"), LatentSpace("poincare", 0.7)])
def test_a_walk_is_the_shortest_path_in_equal_steps(space):
    start, end = space.nearest(RNG.normal(size=(2, 4)))
    walk = space.walk(start, end, 6)
    whole = space.distances(start, end[None])[0]
    np.testing.assert_allclose(walk[[0, -1]], [start, end], atol=1e-12)
    steps = [space.distances(a, b[None])[0] for a, b in zip(walk, walk[1:], strict=False)]
    np.testing.assert_allclose(steps, whole / 5, rtol=1e-7)
    if space.kind == "sphere":
        np.testing.assert_allclose(np.linalg.norm(walk, axis=1), 1.0)
        assert whole == pytest.approx(np.arccos(start @ end))


def test_walks_that_are_not_there_are_refused():
    with pytest.raises(UsageError, match="nothing between"):
        LatentSpace("codes").walk(np.zeros(2), np.ones(2), 3)
    with pytest.raises(UsageError, match="opposite points"):
        LatentSpace("sphere").walk(np.array([1.0, 0.0]), np.array([-1.0, 0.0]), 3)


def test_the_middle_of_a_sphere_is_brought_to_it():
    found = LatentSpace("sphere").nearest(np.array([[0.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_allclose(found, [[1.0, 0.0], [0.6, 0.8]])
