"""Priors over codes: given a condition, trained, and fitted afterwards to the codes of a model."""

from itertools import product
from math import log

import pytest
import torch

from narrowing import untyped
from vaekit.aggregate import fit_prior
from vaekit.distributions import Codebook, OneHotCodes
from vaekit.errors import UsageError
from vaekit.priors import AutoregressivePrior, CategoricalPrior
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae

PRIORS = {
    "categorical": lambda **o: CategoricalPrior(2, 3, masses="learned", **o),
    "autoregressive": lambda **o: AutoregressivePrior(2, 3, hidden=(8,), **o),
    "autoregressive, linear": lambda **o: AutoregressivePrior(2, 3, hidden=(), **o),
}
SPACES = {"one-hot": OneHotCodes(2, 3), "codebook": Codebook(torch.randn(1, 3, 2), places=2)}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("kind", PRIORS)
def test_masses_given_a_condition(kind, space):
    codebook, c = SPACES[space], torch.eye(4)
    with seeded(0):
        prior = PRIORS[kind](condition=4)
    every = codebook.embed(torch.tensor(list(product(range(3), repeat=2))))[:, None]
    uniform = prior(codebook=codebook, condition=c).log_prob(every)
    torch.testing.assert_close(uniform, torch.full((9, 4), -2 * log(3)))
    with seeded(1):
        for parameter in prior.parameters():
            torch.nn.init.normal_(parameter)
    p = prior(codebook=codebook, condition=c)
    assert p.batch_shape == (4,)
    masses = p.log_prob(every).exp().detach()
    torch.testing.assert_close(masses.sum(0), torch.ones(4))
    assert masses[0].unique().numel() == 4
    with seeded(2):
        drawn = p.sample(torch.Size((3000,)))
    assert drawn.shape == (3000, 4, *codebook.event_shape)
    shares = (drawn[None] == every[:, None]).all(-1).float().mean(1)
    assert ((shares - masses).abs() < 4.5 * (masses * (1 - masses) / 3000).sqrt() + 1e-6).all()
    with pytest.raises(UsageError, match="conditional"):
        prior(codebook=codebook)


def test_one_position_depends_on_the_condition_too():
    prior = AutoregressivePrior(1, 3, condition=2, hidden=(4,))
    with torch.no_grad():
        untyped(prior.network.of_condition[-1].weight).normal_()
    p = prior(codebook=OneHotCodes(1, 3), condition=torch.eye(2))
    z = torch.tensor([1.0, 0.0, 0.0])
    assert p.log_prob(z)[0] != p.log_prob(z)[1]


def test_a_prior_fitted_afterwards_to_the_codes_of_a_model():
    parts = {"network": "mlp:hidden=16", "posterior": "quantized:codes=4"}
    with seeded(0):
        model = build_vae(Sentence.parse(**parts), (3,), latent=2).eval()
        with torch.no_grad():
            for parameter in model.parts["encoder"].parameters():
                parameter.mul_(3)
        x = torch.randn(300, 3).sign().clamp(0, 1)
        x[:, 1] = x[:, 0]  # codes depend on each other
        independent = CategoricalPrior(**untyped(model.parts["posterior"]).shared, masses="learned")
        autoregressive = AutoregressivePrior(**untyped(model.parts["posterior"]).shared, hidden=(32,))
    first = fit_prior(model, independent, x[:200], x[200:], seed=1)
    assert first.advantage.mean > 4 * first.advantage.standard_error
    second = fit_prior(model, autoregressive, x[:200], x[200:], seed=1)
    assert second.log_density.mean >= first.log_density.mean + 0.1
    assert model.parts["prior"] is autoregressive
    assert model.sample(5).shape == (5, 3)
