"""Annealed importance sampling, forward and reverse, against exact answers and quadrature."""

from math import sqrt

import pytest
import torch

from narrowing import untyped
from oracles.linear_gaussian import LinearGaussian
from vaekit.conformance import ThreeCallables
from vaekit.errors import UsageError
from vaekit.evaluation import annealed_log_likelihood, log_likelihood, sandwich
from vaekit.evaluation.annealed_importance import _Chains
from vaekit.evaluation.hamiltonian_transitions import AnnealingPath, hamiltonian_transition
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae
from vaekit.sentence.building import MissingCells

TRUTH = LinearGaussian.random(columns=6, latent=3, scale=0.5)


def curved(likelihood="gaussian:scale=fixed,value=0.3", **parts):
    """A model of one latent dimension whose posteriors have several modes."""
    with seeded(1):
        specs = {"network": "mlp:hidden=12,activation=tanh", "likelihood": likelihood, **parts}
        model = build_vae(Sentence.parse(**specs), (3,), latent=1).double().eval()
        with torch.no_grad():
            for module in model.decoder.modules():
                if isinstance(module, torch.nn.Linear):
                    module.weight.mul_(3)
    return model


def quadrature(model, x):
    grid = torch.linspace(-9, 9, 40_001, dtype=torch.float64).reshape(-1, 1, 1)
    with torch.no_grad():
        log_joint = model.decode(grid).log_prob(x) + model.prior().log_prob(grid)
    return log_joint.logsumexp(0) + torch.tensor(18 / 40_000).log()


@pytest.mark.parametrize("start", ["prior", "posterior"])
def test_a_linear_gaussian_model_within_its_error(start):
    x = TRUTH.draw(60)
    with seeded(0):
        found = annealed_log_likelihood(
            TRUTH.vae(exact=False), x, start=start, chains=16, distributions=80, steps=3
        )
    off = found.values - TRUTH.log_evidence(x)
    assert found.values.dtype == torch.float64
    error = found.standard_error
    # The logarithm is below by half the variance, on average.
    assert abs(float((off + error.square() / 2).mean())) < 4 * float(error.square().mean().sqrt()) / sqrt(60)
    assert float(error.mean()) < (0.4 if start == "prior" else 0.05)


@pytest.mark.parametrize("start", ["prior", "posterior"])
@pytest.mark.parametrize("distributions", [3, 30])
def test_the_exact_evidence_lies_between_the_bounds(start, distributions):
    """In expectation: with three distributions the bounds are loose, and on the right sides all the same."""
    model = TRUTH.vae(exact=False)
    with seeded(1):
        found = sandwich(
            model, examples=200, start=start, distributions=distributions, chains=4, reverse_chains=2
        )
    exact = TRUTH.log_evidence(found.x)
    below, above = exact - found.lower, found.upper - exact
    for gap in (below, above):
        assert float(gap.mean()) > -3 * float(gap.std()) / sqrt(200)
    assert abs(found.gap.mean - float((below + above).mean())) < 1e-12
    assert bool((torch.stack([found.lower_error, found.upper_error]) > 0).all())
    if start == "prior" and distributions == 3:
        assert min(float(below.mean()), float(above.mean())) > 1.0
    if start == "posterior" and distributions == 30:
        assert max(float(below.mean()), float(above.mean())) < 0.05


@pytest.mark.parametrize("reverse", [False, True])
def test_weights_are_unbiased_in_both_directions(reverse):
    """E w = p(x) from the start, and E 1 / w = 1 / p(x) from exact draws of the posterior."""
    truth = LinearGaussian.random(columns=3, latent=2, scale=1.5)
    x = truth.draw(1)
    with seeded(9):
        chains = _Chains(truth.vae(exact=False), x, None, "prior", 3, 3)
        z = chains.path.draw(40_000)
        if reverse:
            factor = torch.linalg.cholesky(truth.posterior_covariance)
            z = (x - truth.mean) @ truth.posterior_map.T + torch.randn_like(z) @ factor.T
        log_weight = chains._weigh(z, reverse=reverse)[0]
    ratio = (log_weight - truth.log_evidence(x)).mul(-1 if reverse else 1).exp()
    assert float(ratio.std()) > 0.1
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / sqrt(40_000)


def test_the_gap_falls_with_the_number_of_distributions():
    gaps = []
    for distributions in (4, 20, 100):
        with seeded(2):
            found = sandwich(TRUTH.vae(exact=False), examples=20, start="prior", distributions=distributions)
        gaps.append(found.gap.mean)
    assert gaps[0] > 2.5 * gaps[1] > 6 * gaps[2] > 0


def test_posteriors_of_several_modes_against_quadrature():
    model = curved()
    with seeded(3):
        x = model.sample(30)
        found = annealed_log_likelihood(model, x, start="prior", chains=32, distributions=100)
    off = found.values - quadrature(model, x)
    assert float((off / found.standard_error.clamp_min(0.02)).abs().max()) < 4
    assert abs(float(off.mean())) < 0.1


def test_the_same_seed_gives_the_same_bytes():
    model, x = TRUTH.vae(exact=False), TRUTH.draw(5)
    runs = []
    for seed in (0, 0, 1):
        with seeded(seed):
            runs.append(annealed_log_likelihood(model, x, distributions=20).values)
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("scale", [0.05, 0.5, 10.0])
def test_steps_are_adapted_to_every_width_of_the_posterior(scale):
    truth = LinearGaussian.random(columns=6, latent=3, scale=scale)
    with seeded(4):
        found = annealed_log_likelihood(truth.vae(exact=False), truth.draw(10), distributions=80, steps=3)
    assert float((found.acceptance - 0.675).abs().max()) < 0.225
    assert 0.55 < float(found.acceptance.mean()) < 0.8


def test_each_example_has_steps_of_its_own():
    """Rows of noise ten times smaller have narrower posteriors: their steps are smaller."""

    def decode(z):
        wide = torch.where(torch.arange(len(z)) % 2 == 0, 1.0, 0.05).double().unsqueeze(1)
        return torch.distributions.Independent(torch.distributions.Normal(z.expand(-1, 4), wide), 1)

    normal = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(1).double(), 1.0), 1)
    model = ThreeCallables(lambda x: normal.expand([len(x)]), normal, decode)
    with seeded(5):
        found = annealed_log_likelihood(model, torch.ones(10, 4).double(), start="prior", distributions=80)
    assert 0.5 < float(found.acceptance[::2].mean()) < 0.9
    assert 0.5 < float(found.acceptance[1::2].mean()) < 0.9


def test_a_transition_leaves_its_density_unchanged():
    """Exact draws of f_beta stay exact draws, by their first and second moments."""
    model = TRUTH.vae(exact=False)
    x = TRUTH.draw(1)
    path = AnnealingPath(model, x, None, model.prior(), None)
    beta = 0.4  # the density is Gaussian: that of noise of the variance s^2 / beta
    tempered = LinearGaussian(TRUTH.weight, TRUTH.mean, TRUTH.scale / sqrt(beta))
    covariance = torch.linalg.inv(
        tempered.weight.T @ tempered.weight / tempered.scale**2 + torch.eye(3, dtype=torch.float64)
    )
    mean = (x - tempered.mean) @ tempered.weight @ covariance.T / tempered.scale**2
    factor = torch.linalg.cholesky(covariance)
    with seeded(6):
        z = mean + torch.randn(20_000, 1, 3, dtype=torch.float64) @ factor.T
        place = path.at(z)
        accepted = torch.zeros(1)
        for _ in range(5):
            place, accepted = hamiltonian_transition(
                path, place, beta, torch.full((1, 3), 0.5, dtype=torch.float64), 3
            )
    assert 0.2 < float(accepted.mean()) < 0.95
    standard = torch.linalg.solve_triangular(factor, (place.z - mean)[:, 0].T, upper=False)
    assert float((place.z - z).abs().mean()) > 0.05
    assert float(standard.mean(1).abs().max()) < 4 / sqrt(20_000)
    assert float((standard @ standard.T / 20_000 - torch.eye(3)).abs().max()) < 4 * sqrt(2 / 20_000)


def test_a_hidden_cell_is_left_out():
    sentence = Sentence.parse(network="mlp:hidden=none")
    model = build_vae(sentence, (3,), latent=2, missing=MissingCells((True,) * 3, (0.0,) * 3)).eval()
    x = torch.tensor([[1.0, torch.nan, 0.5], [torch.nan] * 3])
    with seeded(7):
        found = annealed_log_likelihood(model, x, chains=64)
        other = log_likelihood(model, x, samples=5000)
    assert float((found.values - other.values).abs().max()) < 0.1
    assert (found.values[1], found.standard_error[1]) == (0, 0)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"posterior": "quantized:codes=4"}, "real numbers"),
        ({"posterior": "von-mises-fisher", "prior": "uniform-sphere"}, r"real numbers.*\(sphere\)"),
        ({"posterior": "point", "objective": "mmd"}, "start='prior'"),
        ({"posterior": "hamiltonian"}, "start='prior'"),
        ({"prior": "two-stage"}, "lower bound"),
    ],
)
def test_models_that_it_is_not_for_are_refused_in_a_sentence(parts, words):
    model = build_vae(Sentence.parse(network="mlp:hidden=4", **parts), (3,), latent=3).eval()
    with pytest.raises(UsageError, match=words):
        annealed_log_likelihood(model, torch.ones(4, 3))


@pytest.mark.parametrize(
    "parts",
    [
        {"posterior": "point", "objective": "mmd"},
        {"posterior": "hamiltonian"},
        {"posterior": "iaf", "prior": "vamp:components=3"},
        {"prior": "flow"},
        {"prior": "gmm:components=2", "posterior": "full"},
        {"posterior": "chain", "prior": "chain"},
    ],
)
def test_every_continuous_sentence_is_annealed(parts):
    with seeded(8):
        model = build_vae(Sentence.parse(network="mlp:hidden=4", **parts), (3,), latent=2).eval()
        x = model.sample(4)
        found = annealed_log_likelihood(model, x, start="prior", chains=32, distributions=60)
        other = log_likelihood(model, x, samples=5000)
    assert float((found.values - other.values).abs().max()) < 0.25


@pytest.mark.parametrize("name", ["chains", "distributions", "steps"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(UsageError, match=f"{name}=0"):
        annealed_log_likelihood(TRUTH.vae(exact=False), TRUTH.draw(2), **untyped({name: 0}))
