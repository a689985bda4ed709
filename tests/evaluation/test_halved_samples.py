"""What half of the importance samples say: that more of them would raise a mean, and by how much."""

import dataclasses
import json

import numpy as np
import torch

from oracles.linear_gaussian import LinearGaussian
from vaekit import VariationalAutoencoder
from vaekit.cli.printing import evaluation_lines
from vaekit.evaluation import log_likelihood
from vaekit.runtime.randomness import seeded


def test_halves_are_as_good_as_half_as_many_samples():
    truth = LinearGaussian.random(columns=4, latent=3, scale=0.3)
    model, x = truth.vae(exact=False), truth.draw(2000)
    with seeded(0):
        whole, half = log_likelihood(model, x, samples=40), log_likelihood(model, x, samples=20)
    assert (whole.halved <= whole.values + 1e-9).all()
    assert (whole.values - whole.halved).mean() > 0.01
    same = ~(whole.mended | half.mended)
    difference = (whole.halved - half.values)[same]
    assert difference.mean().abs() < 4 * difference.std() / len(difference) ** 0.5
    mended = whole.mended
    assert torch.equal(whole.halved[mended], whole.values[mended])


def test_an_exact_posterior_gains_nothing_from_more():
    truth = LinearGaussian.random(columns=4, latent=3)
    found = log_likelihood(truth.vae(exact=True), truth.draw(20), samples=50)
    torch.testing.assert_close(found.halved, found.values, rtol=0, atol=1e-9)


def rows(n):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)) @ rng.normal(size=(3, 6)) + rng.normal(size=(n, 6))


def test_the_lines_say_what_more_samples_are_worth():
    vae = VariationalAutoencoder(3, network="mlp:hidden=8", epochs=2, random_state=0).fit(rows(250))
    evaluated = vae.evaluate(rows(50), samples=40)
    assert evaluated.gain_of_doubling is not None
    assert 0 < evaluated.gain_of_doubling < 1
    assert json.loads(json.dumps(evaluated.to_json()))["gain_of_doubling"] == evaluated.gain_of_doubling
    few = dataclasses.replace(evaluated, mended=2, unreliable=7, gain_of_doubling=0.0876)
    assert evaluation_lines(few)[-2:] == [
        "  2 of 50 examples estimated with proposals of their own",
        "  7 of 50 examples have most of the weight on few samples, and are lower bounds: with half of the samples "
        "the mean is 0.09 nats lower, with more higher",
    ]
    trusted = "\n".join(evaluation_lines(dataclasses.replace(few, mended=0, unreliable=0)))
    assert "lower bounds" not in trusted
    assert "proposals" not in trusted


def test_a_single_sample_has_no_half():
    vae = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=1, random_state=0).fit(rows(40))
    assert vae.evaluate(rows(40), samples=1).gain_of_doubling is None
