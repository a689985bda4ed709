"""The bound, term by term."""

from typing import Any

import pytest
import torch
from torch.distributions import Independent, Laplace, Normal, kl_divergence

from narrowing import known, untyped
from vaekit.objectives import Elbo, divergence
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae


@pytest.fixture
def model():
    with seeded(0):
        return build_vae(Sentence.parse(network="mlp:hidden=8"), (5,), latent=3).double()


def test_result_is_per_example_and_adds_up(model):
    x = torch.rand(7, 5, dtype=torch.float64)
    result = Elbo()(model, x)
    assert {t.shape for t in (result.bound, result.surrogate, result.reconstruction, result.kl)} == {(7,)}
    assert known(result.kl_per_dimension).shape == (7, 3)
    torch.testing.assert_close(result.bound, result.reconstruction - result.kl)
    torch.testing.assert_close(result.kl, known(result.kl_per_dimension).sum(1))


def test_beta_weighs_what_is_differentiated_and_never_the_bound(model):
    x = torch.rand(7, 5, dtype=torch.float64)
    with seeded(1):
        plain = Elbo()(model, x)
    with seeded(1):
        weighted = Elbo(beta=4)(model, x)
    torch.testing.assert_close(weighted.bound, plain.bound, rtol=0, atol=0)
    torch.testing.assert_close(weighted.surrogate, plain.reconstruction - 4 * plain.kl)


def test_closed_kl_agrees_with_torch_and_with_monte_carlo(model):
    q = Independent(Normal(*untyped(torch.rand(2, 6, 3, dtype=torch.float64))), 1)
    p = Independent(Normal(*untyped(0.5 + torch.rand(2, 3, dtype=torch.float64))), 1)
    closed = divergence(q, p, q.sample())
    torch.testing.assert_close(closed.total, kl_divergence(q, p))
    torch.manual_seed(0)
    z = q.sample((20_000,))
    draws = q.log_prob(z) - p.log_prob(z)
    error = draws.std(0) / 20_000**0.5
    assert ((draws.mean(0) - closed.total).abs() < 4 * error).all()


def test_pairs_without_closed_form_are_estimated_from_the_draw():
    q = Independent(Laplace(torch.zeros(4, 2), torch.ones(2)), 1)
    p = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    z = q.sample()
    estimate = divergence(q, p, z)
    assert estimate.per_dimension is None
    torch.testing.assert_close(estimate.total, q.log_prob(z) - p.log_prob(z))


def test_known_answers():
    def kl(mean, scale):
        float64: dict[str, Any] = {"dtype": torch.float64}
        q = Independent(Normal(torch.tensor([mean], **float64), torch.tensor([scale], **float64)), 1)
        p = Independent(Normal(torch.zeros(1, **float64), torch.ones(1, **float64)), 1)
        return divergence(q, p, q.sample()).total.item()

    assert kl(2.0, 1.0) == pytest.approx(2.0, rel=1e-15)
    e = 2.718281828459045
    assert kl(0.0, e) == pytest.approx(0.5 * (e**2 - 1) - 1, rel=1e-14)
    assert kl(0.0, e) == pytest.approx(2.194528, abs=1e-6)
    assert kl(0.0, 1.0) == 0.0


def test_permuting_and_duplicating_the_batch_changes_no_example(model):
    # Means instead of draws: noise belongs to the place in the batch, not to the example.
    x = torch.rand(6, 5, dtype=torch.float64)
    order = torch.randperm(6)

    def kl(batch):
        return Elbo()(model, batch).kl

    torch.testing.assert_close(kl(x[order]), kl(x)[order])
    torch.testing.assert_close(kl(torch.cat([x, x]))[6:], kl(x))


def test_gradient_reaches_every_parameter(model):
    Elbo()(model, torch.rand(7, 5, dtype=torch.float64)).surrogate.mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.filterwarnings(
    "ignore:.*autograd.function.Function.*should not be instantiated:DeprecationWarning"
)
def test_the_step_compiles_to_one_graph(model):
    compiled = torch.compile(lambda x: Elbo()(model, x).surrogate.mean(), fullgraph=True, backend="eager")
    assert compiled(torch.rand(4, 5, dtype=torch.float64)).isfinite()
