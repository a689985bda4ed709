"""The evidence of outliers against quadrature: right, or said to be unreliable."""

import copy

import pytest
import torch

from oracles.linear_gaussian import LinearGaussian
from vaekit.contracts import Prior
from vaekit.errors import UsageError
from vaekit.evaluation import log_likelihood
from vaekit.evaluation.mending import mend_rows
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae

DISTANCES = (0.0, 1.0, 10.0, 100.0, 1e4, 1e6)
CONTINUOUS = ["gaussian", "laplace", "student-t", "gaussian:scale=per-example"]
COUNTS = ["poisson", "negative-binomial", "zero-inflated-negative-binomial"]
BOUNDED = ["bernoulli", "continuous-bernoulli", "categorical:levels=5", "discretized-logistic:levels=9"]


def make(likelihood, latent, seed=0, **parts):
    """A model whose encoder is wrong everywhere: too wide, too narrow, and in other places."""
    with seeded(seed):
        specs = {"network": "mlp:hidden=12,activation=tanh", "likelihood": likelihood, **parts}
        model = build_vae(Sentence.parse(**specs), (3,), latent=latent).eval()
        last = [m for m in model.encoder.modules() if isinstance(m, torch.nn.Linear)][-1]
        with torch.no_grad():
            last.weight.mul_(8)
            for module in model.decoder.modules():
                if isinstance(module, torch.nn.Linear):
                    module.weight.mul_(2)
    return model


def rows(likelihood):
    directions = torch.tensor([[1.0, -0.5, 0.3], [-1.0, 1.0, 1.0]])
    if likelihood in CONTINUOUS:
        return torch.cat([size * directions for size in DISTANCES])
    if likelihood in COUNTS:
        return torch.cat([(size * directions.abs()).round() for size in DISTANCES])
    top = {"categorical:levels=5": 4.0, "discretized-logistic:levels=9": 8.0}.get(likelihood, 1.0)
    return top * torch.tensor([[0.0, 0, 0], [1.0, 0, 1], [1.0, 1, 1], [0.0, 1, 0]])


def integral(model, x, latent):
    """log p(x) on a grid, in double precision, of the box that holds all within 45 nats of the highest point."""
    model = copy.deepcopy(model).double()
    found = []
    for row in x.double():
        low, high = torch.full((latent,), -100.0).double(), torch.full((latent,), 100.0).double()
        value = torch.tensor(torch.nan)
        for turn in range(20):
            points = 8001 if latent == 1 else 161 if turn else 401
            lines = [
                torch.linspace(float(a), float(b), points).double() for a, b in zip(low, high, strict=True)
            ]
            grid = torch.cartesian_prod(*lines).reshape(-1, latent)
            with torch.no_grad():
                log_joint = model.decode(grid).log_prob(row) + model.prior().log_prob(grid)
            inside = grid[log_joint > log_joint.max() - 45]
            step = (high - low) / (points - 1)
            value = log_joint.logsumexp(0) + step.log().sum()
            before = high - low
            low, high = inside.amin(0) - step, inside.amax(0) + step
            if ((high - low) > 0.7 * before).all():
                break
        found.append(value)
    return torch.stack(found)


@pytest.mark.parametrize("latent", [1, 2])
@pytest.mark.parametrize("likelihood", [*CONTINUOUS, *COUNTS, *BOUNDED])
def test_outliers_against_quadrature(likelihood, latent):
    model, x = make(likelihood, latent), rows(likelihood)
    exact = integral(model, x, latent)
    with seeded(1):
        found = log_likelihood(model, x, samples=1000, common_noise=True)
    error = (found.values - exact).abs()
    allowed = (3 * found.standard_error).clamp_min(0.1)
    assert (error[found.reliable] <= allowed[found.reliable]).all(), (found, exact)
    assert found.reliable.double().mean() >= 0.75
    far = exact[:, None] - exact > 1
    assert (found.values[:, None] > found.values)[far].all(), "ranks"


def test_rows_a_million_deviations_away_of_a_model_whose_evidence_is_known():
    truth = LinearGaussian.random(4, 2, scale=0.5)
    x = torch.cat([truth.draw(3), *(size * truth.draw(2) for size in DISTANCES[2:])])
    model = truth.vae(exact=False)
    with torch.no_grad():  # the posterior is a hundred times too narrow, and in the wrong place
        state = model.encoder.state_dict()
        state["bias"][2:] -= 9.0
        state["weight"][:2] *= 0.5
    with seeded(0):
        found = log_likelihood(model, x, samples=200)
    exact = truth.log_evidence(x)
    assert found.mended.all()
    assert found.reliable.all()
    assert ((found.values - exact).abs() < 0.1).all()
    assert (found.values - exact).abs().max() < 5 * found.standard_error.max()


def test_rows_that_are_fine_are_left_as_they_are_and_each_row_is_on_its_own():
    model = make("student-t", 2)
    x = rows("student-t")
    with seeded(3):
        together = log_likelihood(model, x, samples=100, common_noise=True)
    assert together.mended.any()
    for order in (torch.arange(len(x)).flip(0), torch.tensor([0, 7]), torch.tensor([9])):
        with seeded(3):
            apart = log_likelihood(model, x[order], samples=100, common_noise=True, memory=2**20)
        torch.testing.assert_close(apart.values, together.values[order], rtol=1e-5, atol=1e-4)
        assert torch.equal(apart.mended, together.mended[order])

    truth = LinearGaussian.random(4, 2, scale=1.0)
    fine, x = truth.vae(exact=False), truth.draw(6)
    for common_noise in (False, True):
        with seeded(4):
            found = log_likelihood(fine, x, samples=200, common_noise=common_noise)
        assert found.reliable.all()
        assert not found.mended.any()
        assert found.pareto_shape.max() < 0.6
        with seeded(4):
            q, p = fine.encode(x), fine.prior()
            if common_noise:
                continue
            z = q.rsample(torch.Size((200,)))
            log_weight = fine.decode(z).log_prob(x) + p.log_prob(z) - q.log_prob(z)
        expected = log_weight.logsumexp(0) - torch.tensor(200.0).double().log()
        torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-9)
        error = log_weight.exp().std(0) / log_weight.exp().mean(0) / 200**0.5
        torch.testing.assert_close(found.standard_error, error, rtol=0.01, atol=0)


def test_without_mending_every_row_has_the_average_of_its_own_draws_and_says_what_that_is_worth():
    truth = LinearGaussian.random(4, 2, scale=0.5)
    x = torch.cat([truth.draw(3), *(size * truth.draw(2) for size in DISTANCES[2:])])
    model = truth.vae(exact=False)
    with torch.no_grad():
        model.encoder.state_dict()["weight"][:2] *= 0.5
    with seeded(0):
        mended = log_likelihood(model, x, samples=200)
    with seeded(0):
        plain = log_likelihood(model, x, samples=200, most_mended=0)
    exact = truth.log_evidence(x)
    assert not plain.mended.any()
    assert mended.mended.any()
    assert not mended.mended.all()
    assert torch.equal(plain.values[~mended.mended], mended.values[~mended.mended])
    assert (plain.values < exact - 1)[mended.mended][-1], (
        "far from the data the posterior's draws miss the mass"
    )
    assert not plain.reliable[mended.mended][-1]


def test_too_few_samples_tell_nothing():
    model, x = make("student-t", 2), rows("student-t")
    with seeded(0):
        found = log_likelihood(model, x, samples=10)
    assert found.pareto_shape.isnan().all()
    assert not found.reliable.any()
    assert not found.mended.any()


SPACES = [
    *({"posterior": kind} for kind in PARTS["posterior"]),
    *({"prior": kind} for kind in PARTS["prior"]),
]


@pytest.mark.parametrize("parts", SPACES, ids=lambda parts: next(iter(parts.values())))
def test_a_mended_row_agrees_with_many_samples_whatever_the_parts(parts):
    """The mixture against importance samples of an untrained model, whose posterior is near its prior."""
    natural = {
        "von-mises-fisher": "uniform-sphere",
        "wrapped-normal": "wrapped-normal",
        "categorical": "categorical",
        "chain": "chain",
    }
    kind = next(iter(parts.values()))
    for posterior, prior in natural.items():
        if kind in (posterior, prior):
            parts = {"posterior": posterior, "prior": prior}
    if kind == "point":
        parts = {**parts, "objective": "mmd"}
    with seeded(0):
        try:
            model = build_vae(Sentence.parse(network="mlp:hidden=6", **parts), (5,), latent=2).eval()
        except UsageError as refusal:
            pytest.skip(str(refusal)[:80])
        x = model.sample(4)
        many = log_likelihood(model, x, samples=4000)
        mended = mend_rows(model, x, None, samples=400, seed=5, common_noise=True, memory=2**25)
    if model.prior_part.traits.needs == {"codebook"} and model.posterior_part.traits.is_deterministic:
        assert mended.values.isfinite().all()
        return
    allowed = 5 * (mended.standard_error**2 + many.standard_error**2).sqrt() + 0.02
    assert ((mended.values - many.values).abs() < allowed).all(), (mended, many.values)


def test_a_prior_that_knows_only_float32_is_estimated_in_it():
    class Narrow(torch.nn.Module, Prior):
        def forward(self):
            laplace = torch.distributions.Laplace(torch.zeros(2, dtype=torch.float32), 0.5)
            return torch.distributions.Independent(laplace, 1)

    with seeded(0):
        model = build_vae(
            Sentence.parse(network="mlp:hidden=8", likelihood="gaussian"), (3,), latent=2
        ).eval()
        model.parts["prior"] = Narrow()
        x = torch.randn(40, 3) * 10
        found = log_likelihood(model, x, samples=100, common_noise=True)
    assert found.mended.any()
    assert found.values.isfinite().all()
