"""Channels and pixels that never vary: left out of what a model sees, and given back."""

import json

import numpy as np
import pytest

from narrowing import untyped
from vaekit import VariationalAutoencoder, load
from vaekit.data import Dataset, Schema, read
from vaekit.data.constant_parts import ConstantParts
from vaekit.data.image_folders import PictureRows
from vaekit.errors import ArtifactError, DataWarning

RNG = np.random.default_rng(0)


def opaque(count=40, side=6):
    """Pictures in colour with an alpha channel of 255."""
    colours = RNG.integers(0, 200, (count, 3, side, side), dtype=np.uint8)
    return np.concatenate([colours, np.full((count, 1, side, side), 255, np.uint8)], 1)


@pytest.mark.parametrize("scaling", ["none", "unit", "standardize", "levels"])
def test_a_constant_channel_is_left_out_and_comes_back(scaling):
    images = opaque()
    schema, without = Schema.fit(images, scaling=scaling), Schema.fit(images[:, :3], scaling=scaling)
    assert schema.model_event_shape == (3, 6, 6)
    assert schema.constant_columns == ("channel 3",)
    x = schema.transform(images)
    assert np.array_equal(x, without.transform(images[:, :3]))  # the alpha channel is in no mean either
    assert schema.log_jacobian == without.log_jacobian
    np.testing.assert_allclose(schema.inverse(x), images, atol=1e-4)
    draws = schema.inverse(np.stack([x, x]))  # importance samples in front
    assert draws.shape == (2, *images.shape)
    assert (draws[:, :, 3] == 255).all()


def test_pixels_are_left_out_where_it_is_asked_for():
    images = RNG.normal(size=(30, 1, 4, 5))
    images[:, :, 0] = 7.0
    images[:, 0, 3, 3] = -1.0
    whole, flat = (Schema.fit(images, scaling="standardize", drop_pixels=drop) for drop in (False, True))
    assert whole.constant is None
    assert (whole.model_event_shape, flat.model_event_shape) == ((1, 4, 5), (14,))
    x = flat.transform(images)
    assert x.std() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(flat.inverse(x), images, atol=1e-5)
    assert flat.log_jacobian == pytest.approx(-14 * np.log(flat.scale[0]))
    assert flat.constant_columns == ("6 pixels",)
    assert Schema.fit(images.clip(0, 1), scaling="unit", drop_pixels=True).constant is None


def test_what_varies_later_is_counted():
    images = opaque()
    schema = Schema.fit(images, scaling="unit")
    assert schema.constant_changes(images) == {}
    images[3:5, 3, 0, 0] = 9
    assert schema.constant_changes(images) == {"channel 3": 2}
    flat = Schema.fit(
        np.where(np.arange(4) < 2, 1.0, RNG.normal(size=(9, 1, 1, 4))),
        scaling="standardize",
        drop_pixels=True,
    )
    later = RNG.normal(size=(3, 1, 1, 4))
    later[0, 0, 0, :2] = 1.0
    assert flat.constant_changes(later) == {"2 pixels": 2}


def test_images_in_their_files_are_looked_at_block_by_block(tmp_path):
    from PIL import Image

    images = opaque(50)
    for i, image in enumerate(images):
        Image.fromarray(np.moveaxis(image, 0, -1)).save(tmp_path / f"{i:02}.png")
    stored, held = read(tmp_path, memory_limit=100), read(tmp_path)
    assert isinstance(stored.values, PictureRows)
    schemas = [Schema.fit(data, scaling="standardize") for data in (stored, held)]
    assert schemas[0].constant == schemas[1].constant is not None
    np.testing.assert_allclose(schemas[0].scale, schemas[1].scale, rtol=1e-12)


def test_the_schema_of_a_file_is_checked():
    schema = Schema.fit(opaque(), scaling="unit")
    document = json.loads(json.dumps(schema.to_json()))
    assert Schema.from_json(document) == schema
    assert "constant" not in Schema.fit(opaque()[:, :3], scaling="unit").to_json()
    for values, message in (
        ([None, None], "expected one value of each of the 4 channels"),
        ([1.0] * 4, "nothing varies"),
    ):
        with pytest.raises(ArtifactError, match=message):
            Schema.from_json({**document, "constant": {"unit": "channels", "values": values}})
    assert (
        ConstantParts("channels", (None, 255.0)).describe()
        == "constant channels, counted from 0: 1 (255 everywhere)"
    )


def test_a_model_of_opaque_pictures_is_that_of_their_colours(tmp_path):
    images = opaque(side=8)
    options = {"epochs": 2, "network": "convolutional:channels=4,hidden=8", "random_state": 0}
    both = [VariationalAutoencoder(2, **options).fit(x) for x in (images, images[:, :3])]
    assert np.array_equal(
        *(untyped(vae.score_samples(x)) for vae, x in zip(both, (images, images[:, :3]), strict=True))
    )
    assert (both[0].sample(3)[:, 3] == 255).all()
    assert np.array_equal(both[0].sample(3, random_state=1)[:, :3], both[1].sample(3, random_state=1))
    both[0].save(tmp_path / "a.vae")
    again = load(tmp_path / "a.vae")
    assert np.array_equal(again.reconstruct(images), both[0].reconstruct(images))
    assert (again.reconstruct(images)[:, 3] == 255).all()


@pytest.mark.parametrize(
    ("network", "shape"), [("mlp:hidden=8", (61,)), ("convolutional:channels=4", (1, 8, 8))]
)
def test_constant_pixels_of_a_density_are_left_out_of_dense_models(network, shape):
    digits = read("digits")
    vae = VariationalAutoencoder(
        2, network=network, likelihood="gaussian:scale=per-dimension", epochs=2, random_state=0
    )
    vae.fit(digits)
    assert vae.model_.event_shape == shape
    assert vae.sample(3).shape == vae.reconstruct(digits)[:3].shape == (3, 1, 8, 8)
    assert np.isfinite(vae.score_samples(digits.take(np.arange(9)))).all()


def test_a_changed_constant_is_said(tmp_path):
    from vaekit.application import encode_to_file

    images = opaque(side=8)
    VariationalAutoencoder(2, epochs=1, network="mlp:hidden=4", random_state=0).fit(images).save(
        tmp_path / "a.vae"
    )
    images[0, 3] = 0
    with pytest.warns(
        DataWarning, match="^channel 3 was constant when the model was fitted, and differs in 1 rows"
    ):
        encode_to_file(tmp_path / "a.vae", Dataset(images, "images", None), tmp_path / "z.npy")
