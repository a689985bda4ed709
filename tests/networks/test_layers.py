"""Laws of every network in the sentence, whatever its layers are made of."""

import copy
from math import sqrt

import pytest
import torch
from torch import nn

from narrowing import known, untyped
from vaekit.errors import UsageError
from vaekit.networks import (
    GatedNetwork,
    MlpNetwork,
    ResidualConvolutionalNetwork,
    ResidualNetwork,
)
from vaekit.networks.layers import BatchNorm1d
from vaekit.networks.mlp import GatedDense
from vaekit.objectives import Elbo
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae, parse
from vaekit.training import TrainingSettings, train

SMALL = {
    "mlp": "mlp:hidden=8x6",
    "convolutional": "convolutional:channels=4x6,hidden=8",
    "residual": "residual:hidden=8,blocks=2",
    "residual-convolutional": "residual-convolutional:channels=4x6,blocks=1,hidden=8",
    "gated": "gated:hidden=8x6",
}
STYLES = [
    "normalisation=none",
    "normalisation=batch",
    "normalisation=layer",
    "dropout=0.3",
    "normalisation=batch,dropout=0.3",
    "initialisation=glorot",
]
GRID = [f"{SMALL[kind]},{style}" for kind in PARTS["network"] for style in STYLES]
SHAPE = (2, 5, 7)


def pair(text):
    network = parse("network", text).build()
    with seeded(0):
        return network.encoder(SHAPE, (10,)), network.decoder((3,), SHAPE)


def inputs(n=6):
    with seeded(1):
        return torch.randn(n, *SHAPE), torch.randn(n, 3)


@pytest.mark.parametrize("text", GRID)
@pytest.mark.parametrize("n", [1, 2, 6])
def test_shapes_and_a_finite_gradient_for_every_parameter_a_batch_of_one_included(text, n):
    for network, x, shape in zip(pair(text), inputs(n), [(10,), SHAPE], strict=True):
        features = network.train()(x)
        assert features.shape == (n, *shape)
        with seeded(2):
            (features * torch.randn_like(features)).sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("text", GRID)
def test_at_evaluation_it_is_deterministic_and_an_example_does_not_depend_on_its_company(text):
    for network, x in zip(pair(text), inputs(), strict=True):
        network.train()(x)  # so that running averages are something
        network.eval()
        with torch.no_grad():
            features = network(x)
            assert torch.equal(network(x), features)
            torch.testing.assert_close(network(x[2:3]), features[2:3])
            torch.testing.assert_close(network(x.flip(0)), features.flip(0))
            torch.testing.assert_close(network(torch.stack([x, x])), torch.stack([features, features]))


@pytest.mark.parametrize("text", [t for t in GRID if "batch" not in t and "dropout" not in t])
def test_without_batch_normalisation_and_dropout_that_holds_in_training_too(text):
    for network, x in zip(pair(text), inputs(), strict=True):
        torch.testing.assert_close(network.train()(x)[2:3], network(x[2:3]))


@pytest.mark.parametrize("text", [t for t in GRID if "batch" in t and "dropout" not in t])
def test_with_batch_normalisation_it_does_not_in_training(text):
    encoder, _ = pair(text)
    x, _ = inputs()
    encoder.train()
    assert not torch.allclose(encoder(x)[:3], encoder(x[:3]), atol=1e-3)


@pytest.mark.parametrize("text", [t for t in GRID if t.endswith("l,dropout=0.3") or "8,dropout=0.3" in t])
def test_dropout_is_noise_in_training_alone(text):
    encoder, _ = pair(text)
    x, _ = inputs()
    assert not torch.equal(encoder.train()(x), encoder(x))


@pytest.mark.parametrize("kind", list(PARTS["network"]))
def test_a_last_batch_of_one_row_trains_to_finite_weights(kind):
    sentence = Sentence.parse(
        network=f"{SMALL[kind]},normalisation=batch,dropout=0.2",
        likelihood="gaussian",
        prior="vamp:components=3",
    )
    with seeded(0):
        model = build_vae(sentence, SHAPE, latent=2)
    history = train(
        model, Elbo(), torch.randn(9, *SHAPE), settings=TrainingSettings(epochs=2, batch_size=4), seed=0
    )
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert len(history.epochs) == 2
    assert not model.training


def test_a_single_row_is_normalised_with_the_running_averages_and_leaves_them():
    norm = BatchNorm1d(3)
    norm.train()(torch.randn(20, 3) * 4 + 2)
    before = copy.deepcopy(norm.state_dict())
    row = torch.randn(1, 3)
    expected = (row - known(norm.running_mean)) / (known(norm.running_var) + norm.eps).sqrt()
    torch.testing.assert_close(norm(row), expected)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    with pytest.raises(ValueError, match="more than 1 value"):
        nn.BatchNorm1d(3)(row)  # what PyTorch's does


@pytest.mark.parametrize("kind", PARTS["network"])
def test_glorot_draws_uniformly_between_the_papers_bounds_and_sets_biases_to_zero(kind):
    network = parse("network", f"{kind}:initialisation=glorot").build()
    with seeded(0):
        layers = [
            layer
            for module in (network.encoder((1, 8, 8), (40,)), network.decoder((40,), (1, 8, 8)))
            for layer in module.modules()
            if hasattr(layer, "bias") and layer.weight.dim() > 1
        ]
    for layer in layers:
        out, into, *kernel = layer.weight.shape
        size = 1
        for side in kernel:
            size *= side
        bound = sqrt(6 / ((out + into) * size))
        assert layer.weight.abs().max() <= bound
        assert (layer.bias == 0).all()
        if layer.weight.numel() > 5000:
            assert layer.weight.abs().max() > 0.98 * bound
            assert float(layer.weight.detach().std()) == pytest.approx(bound / sqrt(3), rel=0.03)


def test_a_gated_layer_is_the_papers_formula():
    layer = GatedDense(3, 4)
    x = torch.randn(5, 3)
    expected = (x @ layer.linear.weight.T + layer.linear.bias) / (
        1 + (-(x @ layer.gate.weight.T + layer.gate.bias)).exp()
    )
    torch.testing.assert_close(layer(x), expected)


def test_residual_blocks_that_give_nothing_leave_a_linear_path():
    network = ResidualNetwork(hidden=6, blocks=4, activation="relu").encoder((6,), (6,))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "layers.layers" not in name and ".layers." in name.removeprefix("layers."):
                parameter.zero_()
    x = torch.randn(3, 6)
    inside = network.layers
    torch.testing.assert_close(network(x), untyped(inside)[-1](untyped(inside)[1](x).relu()))


def test_a_deep_residual_network_has_a_gradient_at_its_first_layer_where_a_plain_one_has_none():
    def first(network):
        encoder = network.encoder((6,), (2,))
        encoder(torch.randn(20, 6)).square().sum().backward()
        return next(p for p in encoder.parameters()).grad.norm()

    with seeded(0):
        deep = first(ResidualNetwork(hidden=16, blocks=20, activation="tanh"))
        plain = first(MlpNetwork(hidden=(16,) * 40, activation="tanh"))
    assert deep > 1e3 * plain


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5), (28, 28)])
def test_residual_convolutions_take_and_give_any_size(size):
    network = ResidualConvolutionalNetwork(channels=(4, 8), blocks=1, hidden=())
    assert network.encoder((3, *size), (10,))(torch.zeros(2, 3, *size)).shape == (2, 10)
    assert network.decoder((5,), (3, *size))(torch.zeros(2, 5)).shape == (2, 3, *size)


def test_options_that_make_no_sense_are_refused():
    for kind in PARTS["network"]:
        for value in ("-0.1", "1", "nan"):
            with pytest.raises(UsageError, match=f"{kind}.*dropout={value}"):
                parse("network", f"{kind}:dropout={value}").build()
        with pytest.raises(UsageError, match="did you mean 'batch'"):
            parse("network", f"{kind}:normalisation=bach")
    with pytest.raises(UsageError, match="mlp: normalisation='bach'; there are none, batch, layer"):
        MlpNetwork(normalisation=untyped("bach"))
    for wrong in (
        "residual:hidden=0",
        "residual:blocks=0",
        "gated:hidden=3x0",
        "residual-convolutional:channels=none",
    ):
        with pytest.raises(UsageError, match="without units"):
            parse("network", wrong).build()
    with pytest.raises(UsageError, match="works on images"):
        ResidualConvolutionalNetwork().encoder((3,), (2,))


def test_no_option_left_at_its_default_adds_anything_to_a_network():
    names = set(MlpNetwork(hidden=(8, 4)).encoder((3,), (2,)).state_dict())
    assert names == {f"layers.{i}.{what}" for i in (0, 2, 4) for what in ("weight", "bias")}


def test_gates_of_the_vampprior_network():
    encoder = GatedNetwork().encoder((1, 28, 28), (80,))
    assert [m.linear.out_features for m in encoder.modules() if isinstance(m, GatedDense)] == [300, 300]
