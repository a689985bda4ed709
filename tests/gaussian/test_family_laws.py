"""What must hold for every member of the family alike."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.gaussian_family import EVERYTHING, PARAMETERISATIONS, SYMMETRIC, covariance, random_pair
from vaekit.gaussian import Gaussian
from vaekit.gaussian.exceptions import GaussianShapeError, GaussianTypeError


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("kind", PARAMETERISATIONS)
def test_equal_gaussians_are_at_exactly_zero(name, kind):
    rng = np.random.default_rng(5)
    S = covariance(rng, 4, 3)
    mean = rng.normal(size=(4, 3))
    p, q = (Gaussian(mean.copy(), **PARAMETERISATIONS[kind](S.copy())) for _ in range(2))
    assert (EVERYTHING[name](p, q) == 0).all()


@pytest.mark.parametrize("name", EVERYTHING)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), logarithm=st.floats(-14, 0), k=st.integers(1, 4))
def test_never_negative(name, seed, logarithm, k):
    rng = np.random.default_rng(seed)
    S = covariance(rng, k)
    near = S + 10.0**logarithm * (covariance(rng, k) - S)
    mean = rng.normal(size=k)
    floor = 1e-3 * np.eye(k)
    p = Gaussian(mean + 10.0**logarithm * rng.normal(size=k), covariance=near + floor)
    assert EVERYTHING[name](p, Gaussian(mean, covariance=S + floor)) >= 0


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_members_are_symmetric(name):
    p, q = random_pair(0, 5, 3)
    np.testing.assert_allclose(EVERYTHING[name](p, q), EVERYTHING[name](q, p), rtol=1e-11)


@pytest.mark.parametrize("name", EVERYTHING)
def test_batches_broadcast(name):
    p, _ = random_pair(1, 3, 1, 2)
    _, q = random_pair(2, 4, 2)
    whole = EVERYTHING[name](p, q)
    assert whole.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            np.testing.assert_allclose(whole[i, j], EVERYTHING[name](p[i, 0], q[j]), rtol=1e-10)


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_pair_of_parameterisations_agrees_with_matrices(name):
    rng = np.random.default_rng(7)
    mean_p, mean_q = 0.3 * rng.normal(size=3), np.zeros(3)
    for left, right in ((a, b) for a in PARAMETERISATIONS for b in PARAMETERISATIONS):
        p = Gaussian(mean_p, **PARAMETERISATIONS[left](covariance(rng, 3)))
        q = Gaussian(mean_q, **PARAMETERISATIONS[right](covariance(rng, 3)))
        dense = [Gaussian(g.mean, covariance=(g.covariance + g.covariance.T) / 2) for g in (p, q)]
        mine = EVERYTHING[name](p, q)
        np.testing.assert_allclose(mine, EVERYTHING[name](*dense), rtol=1e-9, err_msg=f"{left}, {right}")


@pytest.mark.parametrize("name", EVERYTHING)
def test_arrays_give_arrays_and_tensors_give_tensors_of_the_same_kind(name):
    p, q = random_pair(3, 5, 2)
    value = EVERYTHING[name](p, q)
    assert isinstance(value, np.ndarray)
    assert value.dtype == np.float64
    tensors = [
        Gaussian(torch.tensor(g.mean), covariance=torch.tensor(g.covariance)).to(torch.float32)
        for g in (p, q)
    ]
    single = EVERYTHING[name](*tensors)
    assert single.dtype == torch.float32
    exact = EVERYTHING[name](*(g.to(torch.float64) for g in tensors))
    torch.testing.assert_close(single, exact.float(), rtol=2e-7, atol=0)
    assert (
        EVERYTHING[name](*(g.to(torch.bfloat16) for g in (Gaussian.standard(2), Gaussian.standard(2)))) == 0
    )
    mvn = [torch.distributions.MultivariateNormal(g.mean, g.covariance) for g in tensors]
    torch.testing.assert_close(EVERYTHING[name](*mvn), single)


@pytest.mark.parametrize("name", EVERYTHING)
def test_pairs_that_do_not_fit_are_refused(name):
    with pytest.raises(GaussianShapeError, match="size 2 but q over size 3"):
        EVERYTHING[name](Gaussian.standard(2), Gaussian.standard(3))
    with pytest.raises(GaussianTypeError, match="float32 but q is"):
        EVERYTHING[name](Gaussian.standard(2), Gaussian.standard(2, dtype=torch.float64))
    with pytest.raises(GaussianTypeError, match="p is int"):
        EVERYTHING[name](1, Gaussian.standard(3))
