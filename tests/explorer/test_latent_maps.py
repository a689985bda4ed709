"""A place of a map and its latent: one undoes the other, and nothing beside the plane moves."""

import sys
from types import ModuleType

import numpy as np
import pytest

from vaekit.errors import MissingExtraError, UsageError
from vaekit.explorer.latent_maps import components_map, dimensions_map, umap_map
from vaekit.explorer.latent_space import LatentSpace

LATENTS = np.random.default_rng(1).normal(size=(30, 5)) * [3.0, 1.0, 2.0, 0.5, 0.1]
FLAT = LatentSpace()


@pytest.mark.parametrize("drawn", [dimensions_map(LATENTS, FLAT, 3, 1), components_map(LATENTS, FLAT)])
def test_the_latent_of_a_place_has_that_place_and_keeps_the_rest(drawn):
    base, place = LATENTS[7], np.array([0.4, -1.3])
    z = drawn.latent_at(place, base)
    np.testing.assert_allclose(drawn.places_of(z[None])[0], place)
    outside = np.eye(5) - drawn.directions.T @ drawn.directions
    np.testing.assert_allclose(outside @ z, outside @ base, atol=1e-12)
    np.testing.assert_allclose(drawn.latent_at(drawn.places[4], LATENTS[4]), LATENTS[4])
    np.testing.assert_allclose(drawn.places_of(LATENTS), drawn.places)


def test_components_are_those_of_the_covariance():
    values, vectors = np.linalg.eigh(np.cov(LATENTS.T))
    drawn = components_map(LATENTS, FLAT)
    np.testing.assert_allclose(drawn.places.var(0, ddof=1), values[::-1][:2])
    np.testing.assert_allclose(np.abs((drawn.directions @ vectors[:, ::-1][:, :2]).diagonal()), 1.0)
    assert f"({100 * values[-1] / values.sum():.0f} %)" in drawn.names[0]


def test_on_a_sphere_a_place_gives_a_point_of_it():
    sphere = LatentSpace("sphere")
    points = sphere.nearest(LATENTS)
    z = dimensions_map(points, sphere, 0, 1).latent_at(np.array([0.9, 0.9]), points[0])
    assert np.linalg.norm(z) == pytest.approx(1.0)


def test_between_codes_a_place_gives_the_nearest_row():
    drawn = components_map(LATENTS, LatentSpace("codes"))
    np.testing.assert_array_equal(drawn.latent_at(drawn.places[9] + 1e-6, LATENTS[0]), LATENTS[9])


def test_one_dimension_spreads_its_points_out():
    drawn = dimensions_map(LATENTS[:, :1], FLAT, 0, 0)
    assert drawn.names == ("z₀", "")
    assert drawn.latent_at(np.array([2.5, 0.9]), LATENTS[0, :1]).tolist() == [2.5]
    assert drawn.places_of(LATENTS[:, :1]) is None
    with pytest.raises(UsageError, match="no latent dimension 5"):
        dimensions_map(LATENTS, FLAT, 0, 5)


def test_umap_is_used_where_it_is_there(monkeypatch):
    class UMAP:
        def __init__(self, **options):
            assert options == {"n_neighbors": 15, "random_state": 0, "n_jobs": 1}

        def fit_transform(self, latents):
            return latents[:, :2].astype(np.float32)

    monkeypatch.setitem(sys.modules, "umap", None)
    monkeypatch.setattr("vaekit.explorer.latent_maps.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install umap-learn"):
        umap_map(LATENTS, FLAT)
    module = ModuleType("umap")
    vars(module)["UMAP"] = UMAP
    monkeypatch.setitem(sys.modules, "umap", module)
    monkeypatch.setattr("vaekit.explorer.latent_maps.find_spec", lambda name: object())
    drawn = umap_map(LATENTS, FLAT)
    near = drawn.latent_at(drawn.places[3], LATENTS[0])
    np.testing.assert_allclose(near, LATENTS[3], atol=1e-6)
    assert drawn.places_of(LATENTS) is None
    with pytest.raises(UsageError, match="of 9 rows; it needs at least 10"):
        umap_map(LATENTS[:9], FLAT)


def test_umap_itself_keeps_two_groups_apart():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(60, 5)) + 20.0 * (np.arange(60) % 2)[:, None]
    for rows in (latents, latents[:10]):  # of ten rows it takes all for neighbours, without a warning
        drawn = umap_map(rows, FLAT)
        assert drawn.places.shape == (len(rows), 2)
        assert np.isfinite(drawn.places).all()
    places = umap_map(latents, FLAT).places
    apart = np.linalg.norm(places[:, None] - places, axis=2) + 1e9 * np.eye(60)
    np.testing.assert_array_equal(apart.argmin(1) % 2, np.arange(60) % 2)
