"""Regularised autoencoders: each penalty against the quantity it stands for."""

import pytest
import torch
from torch.func import jacrev, vmap

from narrowing import untyped
from vaekit.errors import UsageError
from vaekit.objectives import RegularizedAutoencoder, Schedule
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae
from vaekit.training import TrainingSettings, train


def make(objective="rae", network="mlp:hidden=8", shape=(5,), **parts):
    parts = {"likelihood": "gaussian:scale=fixed"} | parts
    sentence = Sentence.parse(posterior="point", objective=objective, network=network, **parts)
    with seeded(0):
        return build_vae(sentence, shape, latent=3).double()


def data(n=6):
    with seeded(1):
        return torch.randn(n, 5, dtype=torch.float64)


def terms(model, x):
    z = model.encode(x).mean
    return model.decode(z).log_prob(x), 0.5 * z.square().sum(1), z


def test_without_a_penalty_it_is_reconstruction_and_the_norm_of_the_codes():
    model, x = make("rae:penalty=none"), data()
    reconstruction, norm, _ = terms(model, x)
    result = RegularizedAutoencoder(penalty="none", beta=0.3)(model, x)
    torch.testing.assert_close(result.surrogate, reconstruction - 0.3 * norm)
    torch.testing.assert_close(result.bound, result.surrogate)
    torch.testing.assert_close(result.reconstruction, reconstruction)
    assert result.kl.isinf().all()


def test_l2_is_the_squared_norm_of_all_the_decoders_parameters_and_of_no_other():
    model, x = make(), data()
    reconstruction, norm, _ = terms(model, x)
    weights = torch.cat([p.detach().flatten() for p in model.parts["decoder"].parameters()])
    result = RegularizedAutoencoder(penalty="l2", weight=0.7)(model, x)
    torch.testing.assert_close(result.surrogate, reconstruction - norm - 0.7 * weights @ weights)


@pytest.mark.parametrize("likelihood", ["gaussian:scale=fixed", "bernoulli", "poisson"])
def test_the_gradient_penalty_is_an_unbiased_estimate_of_the_jacobians_norm(likelihood):
    model, x = make(likelihood=likelihood), data().abs().round().clamp(max=1)
    reconstruction, norm, z = terms(model, x)
    J = vmap(jacrev(lambda at: model.decode(at[None]).mean[0]))(z.detach())
    exact = 0.5 * J.square().sum((1, 2))
    objective = RegularizedAutoencoder(penalty="gradient", weight=1.0)
    with seeded(2), torch.no_grad():
        estimates = torch.stack(
            [reconstruction - norm - objective(model, x).surrogate for _ in range(1000)]
        ).detach()
    error = estimates.std(0) / 1000**0.5
    assert ((estimates.mean(0) - exact).abs() < 4 * error).all()


def test_the_gradient_of_the_gradient_penalty_reaches_the_decoder():
    model, x = make(network="mlp:hidden=none"), data()
    W = untyped(model.parts["decoder"].layers)[0].weight
    objective = RegularizedAutoencoder(penalty="gradient", weight=1.0)
    with seeded(2):
        (with_penalty,) = torch.autograd.grad(objective(model, x).surrogate.mean(), W)
    plain = RegularizedAutoencoder(penalty="none")
    (without,) = torch.autograd.grad(plain(model, x).surrogate.mean(), W)
    with seeded(2):
        v = torch.randn(6, 5, dtype=torch.float64)  # a linear decoder: |v' W|^2 / 2
    torch.testing.assert_close(without - with_penalty, (v.T @ v / 6) @ W)


@pytest.mark.parametrize("network", ["mlp:hidden=16x16", "convolutional:channels=4x8,hidden=16"])
def test_spectral_normalisation_leaves_no_direction_that_the_decoder_stretches(network):
    model = make("rae:penalty=spectral", network, (1, 6, 6))
    with torch.no_grad():
        for _ in range(50):
            model.decode(torch.zeros(2, 3, dtype=torch.float64))  # training mode: the power iteration goes on
    model.eval()
    layers = [layer for layer in model.parts["decoder"].modules() if hasattr(layer, "parametrizations")]
    assert len(layers) == (3 if "mlp" in network else 4)
    for layer in layers:
        weight = untyped(layer.weight).detach()
        matrix = (weight.transpose(0, 1) if isinstance(layer, torch.nn.ConvTranspose2d) else weight).flatten(
            1
        )
        assert float(torch.linalg.matrix_norm(matrix, 2)) == pytest.approx(1.0, abs=1e-4)
    assert not any(hasattr(layer, "parametrizations") for layer in model.parts["encoder"].modules())


def test_a_spectral_model_is_saved_and_loaded_to_the_same_bytes(tmp_path):
    from vaekit import VariationalAutoencoder, load

    x = data(60).numpy()
    vae = VariationalAutoencoder(
        2, network="mlp:hidden=8", posterior="point", likelihood="gaussian", objective="rae:penalty=spectral",
        epochs=2, random_state=0,
    ).fit(x)  # fmt: skip
    vae.save(tmp_path / "a.vae")
    again = load(tmp_path / "a.vae")
    assert (again.reconstruct(x) == vae.reconstruct(x)).all()


def test_what_is_selected_on_has_every_schedule_at_its_end():
    model, x = make(), data()
    objective = RegularizedAutoencoder(beta=Schedule("linear", 0.0, 2.0, 5), weight=0.1)
    full = RegularizedAutoencoder(beta=2.0, weight=0.1)(model, x)
    for epochs in (0, 3, 9):
        objective.at(epochs)
        torch.testing.assert_close(objective(model, x).bound, full.surrogate)


def test_a_prior_learns_the_codes_and_the_codes_do_not_heed_it():
    x = data(500).float() @ torch.tensor([[1.0, 0.5, 0.2, 0.1, 0.0]] * 5)
    encoders = []
    for prior in ("standard", "gaussian"):
        model = make("rae:penalty=none", prior=prior).float()
        objective = RegularizedAutoencoder(penalty="none")
        settings = TrainingSettings(epochs=60, batch_size=100, learning_rate=1e-2, schedule="cosine")
        train(model, objective, x, settings=settings, seed=0)
        encoders.append(model)
    standard, learned = encoders
    with torch.no_grad():
        z = learned.encode(x).mean
        torch.testing.assert_close(z, standard.encode(x).mean)
        assert (learned.prior().mean - z.mean(0)).abs().max() < 0.1
        assert learned.prior().log_prob(z).mean() > standard.prior().log_prob(z).mean() + 0.1


def test_it_is_refused_with_a_posterior_that_has_noise():
    with pytest.raises(UsageError, match="use posterior=point"):
        build_vae(Sentence.parse(objective="rae"), (5,), latent=2)
    with pytest.raises(UsageError, match="rae: penalty='l1'"):
        RegularizedAutoencoder(penalty=untyped("l1"))


@pytest.mark.parametrize("kind", [kind for kind in PARTS["likelihood"] if kind != "ms-ssim"])  # images alone
def test_the_gradient_penalty_takes_every_likelihood_or_says_why_not(kind):
    model = make("rae:penalty=gradient", likelihood=kind)
    with seeded(1):
        x = model.sample(6)
    result = RegularizedAutoencoder(penalty="gradient")(model, x)
    result.surrogate.mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
