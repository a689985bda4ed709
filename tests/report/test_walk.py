"""Walks stay in the latent space of the model at hand, and their captions say how they go."""

import re

import numpy as np
import pytest
from scipy.stats import norm

from vaekit import VariationalAutoencoder
from vaekit.data import Dataset
from vaekit.report import render_report
from vaekit.report.scene import Scene
from vaekit.report.walk import Walk

ENDS = np.array([norm.ppf(0.05), 0.0, norm.ppf(0.95)])


def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(80, 5)) + 3
    return Dataset(x, "table", tuple("abcde"), None, source="t.csv")


def fit(latent=3, **options):
    vae = VariationalAutoencoder(latent, network="mlp:hidden=8", epochs=3, random_state=0, **options)
    return vae.fit(rows())


def along(walk, latent):
    """Every dimension from begin to end: ``(latent, 3, latent)``."""
    steps = np.zeros((latent, len(ENDS), latent))
    for j in range(latent):
        steps[j, :, j] = ENDS
    return walk.to_latent(steps.reshape(-1, latent)).reshape(latent, len(ENDS), latent)


def test_on_a_sphere_walks_go_along_great_circles():
    vae = fit(posterior="von-mises-fisher")
    z = along(Walk.of(Scene.of(vae, rows(), None)), 3)
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1, rtol=1e-6)
    middle = vae.transform(rows()).mean(0)
    middle = middle / np.linalg.norm(middle)
    np.testing.assert_allclose(z[:, 1], np.tile(middle, (3, 1)), rtol=1e-6)
    for j in range(3):
        assert z[j, 2, j] > middle[j], "towards the pole of the dimension"
        np.testing.assert_allclose(z[j, [0, 2]] @ middle, 0, atol=1e-6)


def test_under_another_prior_walks_go_where_it_is():
    vae = fit(prior="gaussian", objective="elbo:beta=0.1")
    drawn = vae.sample_latents(4000, random_state=0)
    z = along(Walk.of(Scene.of(vae, rows(), None)), 3)
    for j in range(3):
        np.testing.assert_allclose(z[j, :, j], np.quantile(drawn[:, j], [0.05, 0.5, 0.95]), rtol=1e-6)


def test_of_a_model_without_density_walks_go_where_the_codes_are():
    vae = fit(posterior="point", objective="rae")
    z = along(Walk.of(Scene.of(vae, rows(), None)), 3)
    codes = vae.transform(rows())
    assert (np.abs(z) <= np.abs(codes).max() + 1e-6).all()
    np.testing.assert_allclose(z[0, 1], np.median(codes, 0), atol=1e-6)


def test_under_the_standard_prior_walks_are_as_drawn():
    steps = np.random.default_rng(0).normal(size=(5, 3))
    assert np.array_equal(Walk.of(Scene.of(fit(), rows(), None)).to_latent(steps), steps)


def test_latents_are_drawn_from_the_prior():
    vae = fit(posterior="von-mises-fisher")
    z = vae.sample_latents(500, random_state=1)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-5)
    assert np.array_equal(z, vae.sample_latents(500, random_state=1))
    assert np.abs(z.mean(0)).max() < 0.15


@pytest.mark.parametrize(
    ("options", "said", "unsaid"),
    [
        ({}, "quantile under the standard normal prior", "great circle"),
        (
            {"posterior": "von-mises-fisher"},
            "along the great circle through the middle of the rows",
            "standard normal",
        ),
        ({"prior": "mixture"}, "quantile among draws from the prior", "standard normal"),
        ({"posterior": "wrapped-normal"}, "quantile among draws from the prior", "standard normal"),
        ({"posterior": "point", "objective": "rae"}, "quantile among the codes of rows", "standard normal"),
        ({"posterior": "quantized:codes=8", "latent": 4}, "Training", "quantile"),
    ],
)
def test_the_page_says_how_they_go(options, said, unsaid):
    vae = fit(**options)
    html = render_report(vae, vae.to_artifact({}), rows(), {})
    text = re.sub(r"<[^>]*>|\s+", " ", html)
    captions = re.sub(r"\s+", " ", " ".join(re.findall(r"<figcaption>(.*?)</figcaption>", html, re.DOTALL)))
    assert said in text
    assert ":math:" not in text
    assert "``" not in text
    assert ("objective (nats per example)" in html) == (options.get("posterior") == "point")
    assert ("The cost of the code" in text) == (options.get("posterior") != "point")
    assert unsaid not in captions
