"""What is chosen where nothing is asked for: likelihoods of images, networks, objectives."""

import numpy as np
import pytest

import vaekit
from vaekit import VariationalAutoencoder
from vaekit.contracts import PosteriorTraits
from vaekit.data import Schema, from_object, read
from vaekit.errors import DataError
from vaekit.estimator.automatic_parts import choose_network, choose_objective
from vaekit.estimator.image_likelihood import choose_for_images
from vaekit.estimator.likelihood_choice import choose_likelihood

RNG = np.random.default_rng(0)
TONES = RNG.integers(0, 256, (30, 1, 8, 8), dtype=np.uint8)
STROKES = np.where(TONES < 240, np.uint8(0), np.uint8(250))
CASES = {
    "8-bit grey": (
        TONES,
        "discretized-logistic:levels=256,mixture=1",
        "grey images of 256 levels, whole numbers",
    ),
    "8-bit colour": (
        np.repeat(TONES, 3, 1),
        "discretized-logistic:levels=256,mixture=1",
        "colour images of 256",
    ),
    "divided by 255": (
        (TONES / 255).astype(np.float32),
        "discretized-logistic:levels=256,mixture=1",
        "1/255",
    ),
    "17 levels": (TONES // 16 + (TONES > 250), "discretized-logistic:levels=17,mixture=1", "of 17 levels"),
    "14 levels": (TONES // 19, "discretized-logistic:levels=16,mixture=1", "of 16 levels"),
    "sixteenths": ((TONES // 16) / 16, "discretized-logistic:levels=17,mixture=1", "multiples of 1/16"),
    "whole floats": (TONES.astype(np.float64), "discretized-logistic:levels=256,mixture=1", "whole numbers"),
    "strokes": (STROKES, "bernoulli", "100% of the pixels are nearly black or white"),
    "tones between": (RNG.random((30, 1, 8, 8)), "gaussian", "many middle tones"),
    "colours between": (RNG.random((30, 3, 8, 8)), "gaussian", "colour images"),
    "negative": (RNG.normal(size=(30, 1, 8, 8)), "gaussian", "grey images, from -"),
    "negative levels": (TONES.astype(np.int16) - 128, "gaussian", "grey images, from -128 to 127"),
    "12 bits": (TONES.astype(np.uint16) * 16, "gaussian", "grey images, from 0 to"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_likelihood_of_images_follows_from_their_values(case):
    images, likelihood, reason = CASES[case]
    found = choose_for_images(images)
    assert found[0] == likelihood
    assert reason in found[1]
    assert choose_likelihood(from_object(images)) == found


def test_levels_are_probabilities_in_any_units():
    options = {"network": "mlp:hidden=8", "epochs": 2, "random_state": 0}
    levels = (TONES // 16).astype(np.uint8)
    levels[0, 0, 0, :2] = 16, 0
    fitted = [VariationalAutoencoder(2, **options).fit(x) for x in (levels, (levels / 16).astype(np.float32))]
    assert [vae.schema_.scale for vae in fitted] == [(1.0,), (1 / 16,)]
    assert [
        vae.schema_.transform(levels / step).max() for vae, step in zip(fitted, (1, 16), strict=True)
    ] == [16, 16]
    scores = [vae.score_samples(x) for vae, x in zip(fitted, (levels, levels / 16), strict=True)]
    np.testing.assert_allclose(*scores, rtol=1e-5)
    drawn = fitted[1].sample(20, noise=True, random_state=0)
    assert np.array_equal(drawn * 16, np.rint(drawn * 16))
    assert 0 <= drawn.min() < drawn.max() <= 1


def test_a_value_between_the_levels_is_refused():
    images = (TONES / 255).astype(np.float32)
    schema = Schema.fit(images, scaling="levels")
    assert np.array_equal(schema.transform(images), TONES.astype(np.float32))
    np.testing.assert_allclose(schema.inverse(schema.transform(images)), images, atol=1e-7)
    images[0, 0, 0, 0] = 0.5
    with pytest.raises(
        DataError, match=r"1 of 1,920 values, such as 0.5, lie between .* multiples of 0.0039"
    ):
        schema.transform(images)


def test_digits_are_taken_as_levels():
    assert choose_likelihood(read("digits")).spec == "discretized-logistic:levels=17,mixture=1"


@pytest.mark.parametrize(
    ("shape", "network"),
    [((3,), "mlp"), ((1, 8, 8), "convolutional"), ((3, 9, 20), "convolutional"), ((1, 6, 20), "mlp")],
)
def test_images_have_convolutions(shape, network):
    data = RNG.normal(size=(30, *shape))
    vae = VariationalAutoencoder(2, epochs=1, random_state=0).fit(data)
    assert vae.sentence_.network.kind == network
    assert vae.sentence_.network.options.get("shortcut", True)
    assert (
        VariationalAutoencoder(2, epochs=1, network="mlp:hidden=4").fit(data).sentence_.network.kind == "mlp"
    )


def test_large_images_are_halved_more_often_and_with_few_channels_at_first():
    found = [
        choose_network(from_object(np.zeros((1, 1, side, side + 3)))) for side in (15, 16, 28, 32, 64, 300)
    ]
    channels = [text.removeprefix("convolutional:channels=").removesuffix(",hidden=128") for text in found]
    assert channels == ["32x64", "16x32", "16x32", "16x32x64", "16x32x64x128", "16x32x64x128x128x128"]


def test_free_bits_of_images_fall_to_zero_in_the_first_third_of_the_epochs():
    images, rows = from_object(TONES), from_object(RNG.normal(size=(9, 3)))
    assert choose_objective(images, PosteriorTraits(), 30) == "elbo:free_bits=linear:0.5..0/10"
    assert choose_objective(images, PosteriorTraits(), 300) == "elbo:free_bits=linear:0.5..0/50"
    assert choose_objective(images, PosteriorTraits(), 1) == "elbo"
    assert choose_objective(images, PosteriorTraits(has_density=False), 30) == "elbo"
    assert choose_objective(images, PosteriorTraits(space="sphere"), 30) == "elbo"
    assert choose_objective(rows, PosteriorTraits(), 30) == "elbo"


def test_an_objective_that_is_asked_for_is_kept(tmp_path):
    options = {"epochs": 6, "network": "mlp:hidden=4", "random_state": 0}
    chosen = VariationalAutoencoder(2, **options).fit(TONES)
    assert str(chosen.sentence_.objective).startswith("elbo:beta=1.0,free_bits=linear:0.5..0.0/2")
    asked = VariationalAutoencoder(2, objective="elbo", **options).fit(TONES)
    assert asked.sentence_.objective.options["free_bits"] == 0.0
    chosen.save(tmp_path / "a.vae")
    assert vaekit.load(tmp_path / "a.vae").sentence_ == chosen.sentence_


def test_an_objective_that_compares_means_gets_a_likelihood_of_which_all_features_show_in_the_mean():
    options = {"epochs": 1, "network": "mlp:hidden=4", "objective": "vae-gan", "random_state": 0}
    assert VariationalAutoencoder(2, **options).fit(TONES).sentence_.likelihood.kind == "gaussian"
    assert VariationalAutoencoder(2, **options).fit(STROKES).sentence_.likelihood.kind == "bernoulli"
