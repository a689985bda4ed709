"""Perplexity of codes, and the warning where they have collapsed."""

import warnings
from math import exp, log

import pytest
import torch
from torch import nn

from narrowing import known, untyped
from vaekit.errors import CodeCollapseWarning
from vaekit.evaluation import CodeUsage, code_usage, evaluate, warn_of_collapse
from vaekit.likelihoods import BernoulliLikelihood
from vaekit.objectives import Elbo
from vaekit.posteriors import CategoricalPosterior, QuantizedPosterior, ResidualQuantizedPosterior
from vaekit.priors import CategoricalPrior
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae
from vaekit.training import TrainingSettings, train
from vaekit.vae import VAE


def model_of(posterior):
    """The encoder is the identity, so that features are chosen by the data."""
    prior = CategoricalPrior(**posterior.shared)
    k = posterior.feature_shape[0]
    decoder = nn.Linear(posterior.latent_shape[0], k)
    return VAE(nn.Identity(), posterior, prior, decoder, BernoulliLikelihood((k,))).eval()


def test_the_perplexity_of_a_codebook_that_serves_several_positions():
    posterior = QuantizedPosterior(2, codes=4)
    with torch.no_grad():
        untyped(posterior.quantizers[0].vectors).copy_(torch.arange(4.0)[:, None])
    x = torch.tensor([[0.0, 0.0], [0.1, 1.0], [0.0, 3.1], [0.0, -5.0]])  # codes 0 six times, 1 and 3 once
    usage = code_usage(model_of(posterior), x, batch_size=3)
    entropy = -(6 / 8 * log(6 / 8) + 2 / 8 * log(1 / 8))
    assert usage == CodeUsage(4, [untyped(pytest.approx(exp(entropy)))], [3])


def test_each_level_and_each_categorical_variable_has_a_perplexity_of_its_own():
    posterior = ResidualQuantizedPosterior(1, levels=2, codes=2)
    with torch.no_grad():
        untyped(posterior.quantizers[0].vectors).copy_(torch.tensor([[0.0], [10.0]]))
        untyped(posterior.quantizers[1].vectors).copy_(torch.tensor([[0.0], [-1.0]]))
    usage = code_usage(model_of(posterior), torch.tensor([[0.1], [10.2], [9.0], [10.0]]))
    quarter = exp(-(log(1 / 4) / 4 + 3 * log(3 / 4) / 4))
    assert known(usage).perplexity == [pytest.approx(quarter), pytest.approx(quarter)]
    assert known(usage).used == [2, 2]
    categorical = model_of(CategoricalPosterior(2, categories=3))
    logits = torch.tensor([[0.0, 0.0, 0.0, 9.0, 0.0, 0.0], [0.0, 0.0, 0.0, 9.0, 0.0, 0.0]])
    usage = code_usage(categorical, logits)
    assert known(usage).perplexity[0] == pytest.approx(3)
    assert known(usage).perplexity[1] == pytest.approx(1, abs=0.01)
    assert known(usage).used == [1, 1]
    assert known(usage).collapsed == [1]


def test_other_latents_have_no_codes():
    model = build_vae(Sentence.parse(network="mlp:hidden=none"), (3,), latent=2)
    assert code_usage(model, torch.ones(4, 3)) is None
    warn_of_collapse(None)


@pytest.mark.parametrize(
    ("perplexity", "codes", "collapsed"), [(51.0, 512, True), (52.0, 512, False), (1.01, 2, True)]
)
def test_what_counts_as_collapsed(perplexity, codes, collapsed):
    usage = CodeUsage(codes, [perplexity], [1])
    assert bool(usage.collapsed) == collapsed
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_collapse(usage)
    assert [w.category for w in caught] == [CodeCollapseWarning] * collapsed
    if collapsed:
        assert f"perplexity {perplexity:.2f} of {codes} codes;" in str(caught[0].message)


def test_training_and_evaluation_warn_of_codes_that_collapsed():
    with seeded(0):
        model = build_vae(
            Sentence.parse(network="mlp:hidden=4", posterior="quantized:codes=64"), (3,), latent=1
        )
    x = torch.ones(40, 3)  # one row: one code
    with pytest.warns(CodeCollapseWarning, match=r"perplexity 1.00 of 64 codes"):
        train(model, Elbo(), x, settings=TrainingSettings(epochs=1, batch_size=20), seed=0)
    with pytest.warns(CodeCollapseWarning):
        result = evaluate(model, x, samples=3, seed=0, split="test")
    assert result.code_usage == CodeUsage(64, [untyped(pytest.approx(1))], [1])
    assert result.to_json()["code_usage"] == {"codes": 64, "perplexity": [pytest.approx(1)], "used": [1]}
    assert result.point_posterior
    assert result.kl == pytest.approx(log(64))
    assert result.log_likelihood.mean == pytest.approx(result.elbo.mean)
