"""Mistakes that existing libraries make with objectives: each faulty form is written here, and seen to be caught.

The numbers are those of one list of pitfalls; the ones of distributions, evaluation and numerics are in
``test_pitfalls_of_parts.py``.
"""

from itertools import combinations
from math import log, pi

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from narrowing import untyped
from vaekit.networks.layers import BatchNorm1d
from vaekit.objectives import (
    Elbo,
    FactorizedPosterior,
    ImportanceWeighted,
    MultiplyImportanceWeighted,
    TotalCorrelation,
)
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae


def make(objective="elbo", likelihood="gaussian"):
    sentence = Sentence.parse(network="mlp:hidden=8", likelihood=likelihood, objective=objective)
    with seeded(0):
        return build_vae(sentence, (5,), latent=3).double()


@pytest.fixture
def x():
    with seeded(1):
        return torch.rand(7, 5, dtype=torch.float64)


def run(objective, model, x):
    with seeded(2):
        return objective(model, x)


def test_1_mean_squared_error_plus_a_weighted_kl_is_a_gaussian_with_a_hidden_variance(x):
    """``mse.mean() + w KL`` is the ELBO with decoder variance w D / 2, up to a factor and a constant."""
    w, D = 0.1, 5
    variance = w * D / 2
    model = make(likelihood=f"gaussian:scale=fixed,value={variance**0.5!r}")
    with seeded(2):
        q = model.encode(x)
        z = q.rsample()
    kl = run(Elbo(), model, x).kl
    faulty = (model.decode(z).mean - x).square().mean(1) + w * kl
    constant = w * 0.5 * D * log(2 * pi * variance)
    torch.testing.assert_close(-w * run(Elbo(), model, x).bound, faulty + constant)


def test_2_the_surrogate_of_a_gradient_is_not_the_bound(x):
    def faulty(model, x):
        """The weights held fixed, times their logarithms: the right gradient, and no bound."""
        q, p = model.encode(x), model.prior()
        z = q.rsample(torch.Size((50,)))
        log_weight = model.decode(z).log_prob(x) + p.log_prob(z) - q.log_prob(z)
        return (log_weight.softmax(0).detach() * log_weight).sum(0)

    model = make()
    with seeded(2):
        wrong = faulty(model, x)
    bound = run(ImportanceWeighted(samples=50), model, x).bound
    elbo = torch.stack([Elbo()(model, x).bound for _ in range(500)]).mean(0)
    assert (bound > elbo).all()
    assert not torch.allclose(wrong, bound, atol=0.1)


def test_3_one_group_of_fifty_is_iwae_and_fifty_groups_of_one_are_not(x):
    model = make()
    iwae = run(ImportanceWeighted(samples=50), model, x).bound
    torch.testing.assert_close(run(MultiplyImportanceWeighted(samples=50, groups=1), model, x).bound, iwae)
    swapped = run(MultiplyImportanceWeighted(samples=1, groups=50), model, x).bound
    assert (swapped < iwae - 0.01).all()


@pytest.mark.parametrize("posterior", ["quantized:codes=6", "residual-quantized:codes=6,levels=2"])
def test_5_the_loss_of_a_codebook_does_not_grow_with_the_batch(x, posterior):
    sentence = Sentence.parse(network="mlp:hidden=8", likelihood="gaussian", posterior=posterior)
    with seeded(0):
        model = build_vae(sentence, (5,), latent=4).double()
        model.encode(x)  # the codebook takes its first vectors
    model.eval()

    def ours(model, x):
        return Elbo()(model, x).surrogate.mean()

    def faulty(model, x):
        """The codebook's loss summed over the batch, beside a mean over it."""
        return Elbo()(model, x).reconstruction.mean() - model.encode(x).auxiliary_loss.sum()

    assert untyped(model.encode(x)).auxiliary_loss.abs().min() > 0
    twice = torch.cat([x, x])
    torch.testing.assert_close(ours(model, twice), ours(model, x))
    assert not torch.allclose(faulty(model, twice), faulty(model, x))


def test_6_a_discriminator_never_trains_the_encoder(x):
    model, objective = make("factor"), FactorizedPosterior(hidden=(8,))
    objective.build_opponent(model)

    def faulty(model, x):
        """Cross entropy of latents that are still attached to the encoder."""
        return softplus(-objective.player()(model.encode(x).rsample())).squeeze(1)

    def touched(loss):
        model.zero_grad(set_to_none=True)
        loss.mean().backward()
        return any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())

    assert touched(faulty(model, x))
    assert not touched(objective.opponent_loss(model, x))


def test_9_stratified_weights_give_every_example_its_own_and_are_unbiased_over_batches():
    """The aggregate density of one latent, averaged over all batches that its row may fall into, is the true one."""
    model, N, M = make("tc"), 7, 3
    with seeded(1), torch.no_grad():
        data = torch.randn(N, 5, dtype=torch.float64)
        untyped(model.parts["encoder"].layers)[-1].weight.mul_(20)  # posteriors that can be told apart
    with seeded(2), torch.no_grad():
        z = model.encode(data[:M]).rsample()[:1]
        truth = model.encode(data).log_prob(z).exp().mean()
    # Index-code mutual information alone: log q(z|x) - log q(z), so that q(z) can be read off.
    objective = TotalCorrelation(alpha=1.0, beta=0.0, gamma=0.0, estimator="mss", rows=N)
    ours, faulty = [], []
    for others in combinations(range(1, N), M - 1):
        batch = data[[0, *others]]
        with torch.no_grad():
            densities = model.encode(batch).log_prob(z).exp()
            result = run(objective, model, batch)
        ours.append(densities[0] / (result.reconstruction - result.surrogate)[0].exp())
        # As published: 1/N and the remainder (N - M + 1) / (N (M - 1)) in the first two columns for whoever is drawn.
        misplaced = torch.tensor([1 / (M - 1), 1 / N, (N - M + 1) / (N * (M - 1))], dtype=torch.float64)
        faulty.append((misplaced * densities).sum())
    torch.testing.assert_close(torch.stack(ours).mean(), truth, rtol=1e-10, atol=0)
    assert abs(torch.stack(faulty).mean() / truth - 1) > 0.1


def test_11_a_capacity_of_zero_leaves_the_kl_its_gradient(x):
    def gradients(value):
        model = make()
        with seeded(2):
            value(model).mean().backward()
        last = untyped(model.parts["encoder"].layers)[-1].weight.grad
        return torch.zeros(1) if last is None else last

    def faulty(beta):
        return lambda model: -beta * Elbo()(model, x).kl.clamp(0, 0)

    assert (gradients(faulty(1.0)) == 0).all()
    weak, strong = (
        gradients(lambda model, beta=beta: Elbo(beta=beta, capacity=0.0)(model, x).surrogate)
        for beta in (1.0, 50.0)
    )
    assert not torch.allclose(weak, strong)


def test_12_a_last_batch_of_one_row_is_normalised_without_nan_or_error():
    row = torch.randn(1, 3)
    faulty = (row - row.mean(0)) / row.var(0, correction=0).sqrt()
    assert faulty.isnan().all()
    with pytest.raises(ValueError, match="more than 1 value"):
        nn.BatchNorm1d(3).train()(row)
    assert BatchNorm1d(3).train()(row).isfinite().all()
