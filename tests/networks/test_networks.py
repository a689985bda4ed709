"""Shapes of every size, gradients that never die, and mirrors."""

import pytest
import torch

from narrowing import untyped
from vaekit.networks import ConvolutionalNetwork, MlpNetwork, soft_bound


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5), (8, 8), (28, 28), (31, 33)])
@pytest.mark.parametrize("channels", [(4,), (4, 8), (4, 8, 8)])
def test_convolutions_take_and_give_any_size(size, channels):
    network = ConvolutionalNetwork(channels=channels, hidden=(6,))
    encoder = network.encoder((3, *size), (10,))
    decoder = network.decoder((5,), (3, *size))
    assert encoder(torch.zeros(2, 3, *size)).shape == (2, 10)
    assert decoder(torch.zeros(2, 5)).shape == (2, 3, *size)
    assert decoder(torch.zeros(4, 2, 5)).shape == (4, 2, 3, *size)


def test_convolutions_without_hidden_layers():
    network = ConvolutionalNetwork(channels=(4,), hidden=())
    assert network.decoder((5,), (1, 9, 9))(torch.zeros(2, 5)).shape == (2, 1, 9, 9)


def test_mlp_flattens_events_and_keeps_leading_dimensions():
    network = MlpNetwork(hidden=(7,))
    assert network.encoder((1, 4, 5), (6,))(torch.zeros(2, 3, 1, 4, 5)).shape == (2, 3, 6)
    assert network.decoder((6,), (1, 4, 5))(torch.zeros(2, 3, 6)).shape == (2, 3, 1, 4, 5)


def test_mlp_without_hidden_layers_is_linear():
    network = MlpNetwork(hidden=()).encoder((3,), (2,))
    x, y = torch.randn(2, 5, 3)
    offset = network(torch.zeros(5, 3))
    torch.testing.assert_close(network(x + y) - offset, network(x) + network(y) - 2 * offset)


def test_decoder_mirrors_encoder():
    network = MlpNetwork(hidden=(8, 4))
    sizes = [
        layer.out_features
        for layer in untyped(network.decoder((2,), (9,))).layers
        if hasattr(layer, "out_features")
    ]
    assert sizes == [4, 8, 9]


def test_soft_bound_is_the_identity_near_zero_and_strictly_monotone_everywhere():
    raw = torch.logspace(-6, 8, 200, dtype=torch.float64)
    raw = torch.cat([-raw.flip(0), raw]).requires_grad_()
    bounded = soft_bound(raw, 12.0)
    (slope,) = torch.autograd.grad(bounded.sum(), raw)
    assert (bounded.abs() <= 12).all()
    assert (slope > 0).all()
    assert (bounded.diff() > 0)[raw.detach().abs()[1:] < 1e6].all()
    small = raw.detach().abs() < 1e-3
    torch.testing.assert_close(bounded[small], raw.detach()[small], rtol=1e-8, atol=0)


def test_soft_bound_keeps_a_gradient_in_float32_where_tanh_has_none():
    raw = torch.tensor([-300.0, 300.0], requires_grad=True)
    (slope,) = torch.autograd.grad(soft_bound(raw).sum(), raw)
    assert (slope > 1e-6).all()


def test_a_shortcut_adds_a_linear_map_of_the_input():
    network = MlpNetwork(hidden=(5,), shortcut=True).encoder((1, 2, 3), (4,))
    x = torch.randn(7, 1, 2, 3)
    plain = untyped(network).layers(x.flatten(1))
    torch.testing.assert_close(network(x), plain + x.flatten(1) @ untyped(network).shortcut.weight.T)
    assert untyped(network).shortcut.bias is None
    stacked = network(x.expand(2, 3, 7, 1, 2, 3))
    torch.testing.assert_close(stacked[1, 2], network(x))
    assert MlpNetwork(hidden=(5,)).encoder((6,), (4,)).shortcut is None
