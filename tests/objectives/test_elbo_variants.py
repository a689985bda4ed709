"""Free bits, capacity and warm-up: what they do to the gradient, and that they never touch the bound."""

import pytest
import torch
from torch.distributions import Independent, Laplace

from narrowing import known
from vaekit.errors import UsageError
from vaekit.objectives import Elbo, Schedule
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae


@pytest.fixture
def model():
    with seeded(0):
        return build_vae(Sentence.parse(network="mlp:hidden=8"), (5,), latent=3).double()


@pytest.fixture
def x():
    with seeded(1):
        return torch.rand(7, 5, dtype=torch.float64)


def run(objective, model, x):
    with seeded(2):
        return objective(model, x)


def encoder_gradient(objective, model, x):
    model.zero_grad()
    result = run(objective, model, x)
    (result.surrogate - result.reconstruction).mean().backward()
    return model.parts["encoder"].layers[-1].weight.grad.clone()


def test_nothing_asked_for_is_the_plain_bound(model, x):
    plain = run(Elbo(), model, x)
    assert torch.equal(plain.surrogate, plain.bound)
    assert torch.equal(run(Elbo(free_bits=0.0, capacity=None, warmup=0.0), model, x).surrogate, plain.bound)
    late = Elbo(free_bits=Schedule("linear", 1.0, 0.0, 2), warmup=2)
    late.at(2)
    torch.testing.assert_close(run(late, model, x).surrogate, plain.bound, rtol=0, atol=1e-14)


@pytest.mark.parametrize("free_bits", [0.01, 0.1, 5.0, None])
def test_free_bits_charge_each_dimension_at_least_their_price_on_average(model, x, free_bits):
    if (
        free_bits is None
    ):  # between the examples of one dimension: a maximum for each example would charge more
        each = known(run(Elbo(), model, x).kl_per_dimension)[:, 0].detach()
        free_bits = float(each.mean()) * (1 + 1e-3)
        assert (each > free_bits).any()
    result = run(Elbo(free_bits=free_bits, beta=2), model, x)
    charged = known(result.kl_per_dimension).mean(0).clamp(min=free_bits).sum()
    torch.testing.assert_close(result.surrogate.mean(), result.reconstruction.mean() - 2 * charged)
    torch.testing.assert_close(result.bound, result.reconstruction - result.kl, rtol=0, atol=0)


def test_free_bits_take_the_pressure_off_dimensions_below_their_price_and_off_no_other(model, x):
    means = known(run(Elbo(), model, x).kl_per_dimension).mean(0).detach()
    order = means.argsort()
    price = float((means[order[0]] + means[order[1]]) / 2)
    gradient, plain = (encoder_gradient(Elbo(free_bits=f), model, x) for f in (price, 0.0))
    cheap = order[0]
    for rows in (cheap, cheap + 3):  # of its mean and of its log-variance
        assert not gradient[rows].any()
        assert plain[rows].any()
    for dear in order[1:]:
        torch.testing.assert_close(gradient[dear], plain[dear])


def test_free_bits_take_a_kl_that_does_not_factorise_as_one(model, x):
    posterior = model.parts["posterior"]
    posterior.forward = lambda features: Independent(Laplace(features[:, :3], features[:, 3:].exp()), 1)
    result = run(Elbo(free_bits=1e3), model, x)
    assert result.kl_per_dimension is None
    torch.testing.assert_close(result.surrogate, result.reconstruction - 1e3)


def test_a_capacity_draws_the_kl_to_it_from_both_sides(model, x):
    kl = run(Elbo(), model, x).kl.detach()
    for capacity in (0.0, float(kl.mean()), 50.0):
        result = run(Elbo(capacity=capacity, beta=3), model, x)
        torch.testing.assert_close(result.surrogate, result.reconstruction - 3 * (kl - capacity).abs())
        torch.testing.assert_close(result.bound, result.reconstruction - kl, rtol=0, atol=0)
    plain = encoder_gradient(Elbo(), model, x)
    torch.testing.assert_close(encoder_gradient(Elbo(capacity=50.0), model, x), -plain)


def test_capacity_zero_still_has_a_gradient_unlike_a_clamp(model, x):
    plain = encoder_gradient(Elbo(), model, x)
    torch.testing.assert_close(encoder_gradient(Elbo(capacity=0.0), model, x), plain)
    assert plain.abs().max() > 0

    class Clamped(Elbo):
        """The faulty form: clamp(KL, 0, C)."""

        def _weighted(self, kl, per_dimension):
            return kl.clamp(0, self.capacity)

    assert not encoder_gradient(Clamped(capacity=0.0), model, x).any()


def test_warmup_raises_the_weight_from_zero_over_its_epochs(model, x):
    objective = Elbo(beta=4, warmup=10)
    plain = run(Elbo(), model, x)
    for epochs, weight in ((0, 0.0), (2.5, 1.0), (10, 4.0), (50, 4.0)):
        objective.at(epochs)
        result = run(objective, model, x)
        torch.testing.assert_close(result.surrogate, result.reconstruction - weight * result.kl)
        assert torch.equal(result.bound, plain.bound)


def test_free_bits_and_a_capacity_contradict_each_other():
    with pytest.raises(UsageError, match="give one"):
        Elbo(free_bits=0.1, capacity=3.0)
