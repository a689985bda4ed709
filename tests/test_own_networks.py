"""Networks of a user's own: trained, saved without pickle, and loaded with the class given again."""

import json

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from narrowing import untyped
from vaekit import VariationalAutoencoder, load
from vaekit.errors import ArtifactError, UsageError
from vaekit.networks import MlpNetwork


class Net(nn.Module):
    """Made of two shapes, as a factory is."""

    def __init__(self, input_shape, output_shape, width=7):
        super().__init__()
        self.first, self.last = nn.Linear(*input_shape, out_features=width), nn.Linear(width, *output_shape)

    def forward(self, x):
        return self.last(self.first(x).tanh())


class Recipe:
    def encoder(self, input_shape, output_shape):
        return Net(input_shape, output_shape)

    def decoder(self, input_shape, output_shape):
        return Net(input_shape, output_shape)


WAYS = {
    "modules": {"encoder": Net((5,), (4,)), "decoder": Net((2,), (5,))},
    "classes": {"encoder": Net, "decoder": Net},
    "functions": {"encoder": lambda i, o: Net(i, o), "decoder": lambda i, o: Net(i, o, 3)},
    "recipe": {"network": Recipe()},
}


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(60, 5))


def make(**network):
    return VariationalAutoencoder(2, likelihood="gaussian", epochs=2, random_state=0, **network)


@pytest.mark.parametrize("way", WAYS)
def test_they_are_trained_saved_and_loaded_to_the_same_bytes(way, x, tmp_path):
    network = WAYS[way]
    vae = make(**network).fit(x)
    vae.save(tmp_path / "a.vae")
    again = load(tmp_path / "a.vae", **network)
    assert np.array_equal(again.transform(x), vae.transform(x))
    assert np.array_equal(again.score_samples(x, samples=3), vae.score_samples(x, samples=3))
    assert np.array_equal(untyped(clone(vae)).fit(x).transform(x), vae.transform(x))
    again.partial_fit(x)
    again.save(tmp_path / "b.vae")
    assert json.loads((tmp_path / "b.vae" / "model.json").read_text())["sentence"]["network"].startswith(
        "own:"
    )


def test_a_module_that_was_given_is_copied_and_not_trained(x):
    encoder, decoder = Net((5,), (4,)), Net((2,), (5,))
    before = [p.detach().clone() for p in encoder.parameters()]
    vae = make(encoder=encoder, decoder=decoder).fit(x)
    assert all(torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True))
    assert vae.model_.parts["encoder"] is not encoder


def test_without_the_class_it_says_what_is_missing_and_how_to_give_it(x, tmp_path):
    make(encoder=Net, decoder=Net).fit(x).save(tmp_path / "a.vae")
    with pytest.raises(
        UsageError, match=r"encoder \(Net\) and decoder \(Net\).*vaekit\.load\(path, encoder="
    ):
        load(tmp_path / "a.vae")
    with pytest.raises(UsageError, match="give both"):
        load(tmp_path / "a.vae", encoder=Net)
    make().fit(x).save(tmp_path / "b.vae")
    with pytest.raises(UsageError, match=r"says what its networks are \(mlp\)"):
        load(tmp_path / "b.vae", encoder=Net, decoder=Net)


def test_another_class_than_the_one_that_was_trained_is_refused(x, tmp_path):
    make(encoder=Net, decoder=Net).fit(x).save(tmp_path / "a.vae")
    with pytest.raises(ArtifactError, match=r"tensor parts\.encoder"):
        load(tmp_path / "a.vae", encoder=nn.Linear(5, 4), decoder=Net)
    with pytest.raises(ArtifactError, match="has shape"):
        load(tmp_path / "a.vae", encoder=lambda i, o: Net(i, o, 9), decoder=Net)


def test_what_is_no_network_is_refused_before_training(x):
    with pytest.raises(UsageError, match="give both"):
        make(encoder=Net).fit(x)
    with pytest.raises(UsageError, match=r"network is a Net: .*encoder=\.\.\. and decoder="):
        make(network=Net((5,), (4,))).fit(x)
    with pytest.raises(UsageError, match=r"encoder=3: give an nn\.Module"):
        make(encoder=3, decoder=Net).fit(x)
    with pytest.raises(UsageError, match=r"gave a int; expected an nn\.Module"):
        make(encoder=lambda i, o: 3, decoder=Net).fit(x)
    with pytest.raises(UsageError, match="has its own encoder"):
        make(network="own").fit(x)
    with pytest.raises(ValueError, match=r"features of shape \(3,\).*change the encoder's last layer"):
        make(encoder=nn.Linear(5, 3), decoder=Net).fit(x)


def test_a_recipe_of_ours_will_do(x):
    assert (
        untyped(make(network=MlpNetwork(hidden=(6,))).fit(x).model_.parts["encoder"].layers)[0].out_features
        == 6
    )
