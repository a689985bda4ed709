"""What a loss trains, checked against the densities themselves and against models whose optimum is known."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from narrowing import known, untyped
from vaekit.classroom import RECONSTRUCTION_LOSSES, explain_loss
from vaekit.errors import UsageError


@pytest.mark.parametrize(
    "name", ["mean-squared-error", "sum-squared-error", "mean-absolute-error", "sum-absolute-error"]
)
@pytest.mark.parametrize("weight", [0.01, 0.1, 1.0, 3.0])
def test_the_loss_is_that_models_negative_elbo(name: str, weight: float) -> None:
    """For any data, reconstruction and KL: the ELBO by the densities of SciPy is scale * loss + offset."""
    generator = np.random.default_rng(0)
    D = 12
    explained = explain_loss(name, kl_weight=weight, dimensions=D)
    assert explained.elbo_scale is not None
    assert explained.elbo_offset is not None
    for _ in range(5):
        x, decoded, kl = generator.uniform(size=D), generator.uniform(size=D), generator.exponential()
        error = (x - decoded) ** 2 if "squared" in name else abs(x - decoded)
        loss = (error.mean() if name.startswith("mean") else error.sum()) + weight * kl
        if explained.family == "Gaussian":
            density = stats.norm(decoded, explained.standard_deviation)
        else:
            density = stats.laplace(decoded, explained.unit_noise_beta)
            assert density.std()[0] == pytest.approx(explained.standard_deviation)
        elbo = untyped(density).logpdf(x).sum() - kl
        assert explained.elbo_scale * loss + explained.elbo_offset == pytest.approx(elbo, rel=1e-10)
    assert explained.beta == 1


@pytest.mark.parametrize(
    ("reduction", "weight", "beta"), [("sum", 1, 1), ("sum", 4, 4), ("mean", 1, 784), ("mean", 1 / 784, 1)]
)
def test_a_cross_entropy_keeps_its_beta(reduction: str, weight: float, beta: float) -> None:
    explained = explain_loss("binary-cross-entropy", reduction, kl_weight=weight, dimensions=784)
    assert explained.beta == pytest.approx(beta)
    assert explained.variance is None
    generator = np.random.default_rng(1)
    entropy, kl = generator.exponential(size=784), 7.0
    loss = (entropy.mean() if reduction == "mean" else entropy.sum()) + weight * kl
    if beta == 1:
        assert explained.elbo_scale is not None
        assert explained.elbo_scale * loss == pytest.approx(-(entropy.sum() + kl))
    else:
        assert explained.elbo_scale is None
        assert explained.warnings


def test_the_example_of_the_reference() -> None:
    explained = explain_loss("mean-squared-error", kl_weight=0.00025, dimensions=12288)
    assert explained.variance == pytest.approx(0.00025 * 12288 / 2)
    assert explained.unit_noise_beta == pytest.approx(1.536)
    assert explained.collapse == "possible"
    assert "at most 0.25" in explained.warnings[0]
    whole = explain_loss("mean-squared-error", kl_weight=1, dimensions=12288)
    assert whole.variance == pytest.approx(6144)
    assert whole.collapse == "certain"
    assert "correct optimum" in whole.warnings[0]
    assert json.loads(json.dumps(whole.to_dict()))["variance"] == whole.variance
    fine = explain_loss("mean-squared-error", kl_weight=1e-5, dimensions=12288)
    assert fine.collapse == "no"
    assert fine.warnings == ()


@pytest.mark.parametrize("seed", range(40))
def test_where_collapse_is_certain_no_code_pays(seed: int) -> None:
    """Random data in [0, 1]^D, random codes: the gain never exceeds the cost at the named variance.

    The gain is what the code takes off the squared error; the cost is the information I(x; z), enumerated.
    """
    generator = np.random.default_rng(seed)
    D, points, codes = int(generator.integers(1, 6)), 6, 4
    x = generator.uniform(size=(points, D)).round(int(generator.integers(0, 3)))
    p_x = generator.dirichlet(np.full(points, 0.5))
    q_z = generator.dirichlet(
        np.full(codes, generator.choice([0.05, 0.5, 5.0])), size=points
    )  # (points, codes)
    joint = p_x[:, None] * q_z
    p_z = joint.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.nansum(joint * np.log(joint / (p_x[:, None] * p_z)))
        means = np.nan_to_num((joint.T @ x) / p_z[:, None])
    explained_variance = p_z @ ((means - p_x @ x) ** 2).sum(1)
    variance = known(explain_loss("mean-squared-error", kl_weight=0.5, dimensions=D).variance)
    assert variance == pytest.approx(D / 4)
    assert explained_variance / (2 * variance) <= information + 1e-12
    assert explain_loss("mean-squared-error", kl_weight=0.5, dimensions=D).collapse == "certain"


def test_just_below_that_variance_a_code_can_pay() -> None:
    """The bound is sharp: all D pixels black or white together, told apart almost not at all."""
    D, eps = 5, 1e-3
    m = np.array([0.5 + eps, 0.5 - eps])
    information = math.log(2) + np.sum(m * np.log(m))
    gain = D * eps**2 / (2 * 0.24 * D)
    assert gain > information


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reconstruction": "mse"}, "mean-squared-error"),
        ({"reconstruction": "squared-error"}, "a mean or a sum"),
        ({"reconstruction": "mean-squared-error", "reduction": "sum"}, "contradicts"),
        ({"reconstruction": "squared-error", "reduction": "max"}, "'mean' or 'sum'"),
        ({"reconstruction": "mean-squared-error", "dimensions": 0}, "1 or more"),
        ({"reconstruction": "mean-squared-error", "dimensions": 2.5}, "1 or more"),
        ({"reconstruction": "mean-squared-error", "kl_weight": -1.0}, "0 or more"),
        ({"reconstruction": "mean-squared-error", "kl_weight": math.nan}, "0 or more"),
    ],
)
def test_bad_questions(arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        explain_loss(**{"dimensions": 10, **arguments})


@pytest.mark.parametrize("name", RECONSTRUCTION_LOSSES)
def test_no_kl_is_an_autoencoder(name: str) -> None:
    explained = explain_loss(name, "mean" if name.startswith("mean") else "sum", kl_weight=0.0, dimensions=10)
    assert "plain autoencoder" in str(explained)
    assert explained.elbo_scale is None
