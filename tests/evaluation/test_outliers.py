"""The evidence of outliers against quadrature: right, or said to be unreliable."""

import copy

import pytest
import torch

from vaekit.evaluation import log_likelihood
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae

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
    points, found = 4001 if latent == 1 else 201, []
    for row in x.double():
        low, high = torch.full((latent,), -20.0).double(), torch.full((latent,), 20.0).double()
        for _ in range(20):
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
    assert found.reliable.double().mean() > 0.8
    far = exact[:, None] - exact > 1
    assert (found.values[:, None] > found.values)[far].all(), "ranks"
