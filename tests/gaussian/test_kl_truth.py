"""The divergence and its gradients against many digits, on hard pairs."""

import json
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hard_pairs import Pair, hard_pairs, relative_error, true_gradients, true_kl

from vaekit.gaussian import Gaussian, kl_divergence

#: Largest relative error in float64; where a family is ill-conditioned, that of "auto".
TOLERANCE = {
    "near": 4e-15,
    "scale": 4e-15,
    "mixed_scale": 4e-15,
    "far": 4e-15,
    "identical": 0.0,
    "near_cond": 2e-13,
    "cond_q": 1e-12,
    "cond_both": 1e-12,
    "near_singular": 1e-12,
}
SEEDS = (11, 12, 13)
FRESH = {(dtype, seed): hard_pairs(seed, dtype) for dtype in (np.float64, np.float32) for seed in SEEDS}
TRUTH = {(*key, pair.name): true_kl(*pair.arrays) for key, pairs in FRESH.items() for pair in pairs}


def divergence(pair: Pair, **options):
    """From tuples of arrays, as a user would."""
    return kl_divergence((pair.mean_p, pair.covariance_p), (pair.mean_q, pair.covariance_q), **options)


ROOT = Path(__file__).resolve().parents[2]
#: A part of the hard cases that covers every family; and all of them, where they lie beside the repository.
FOLDERS = {
    "committed": ROOT / "tests" / "data" / "gaussian_hard",
    "all": ROOT.parent / "shared" / "gaussian_hard",
}


@pytest.fixture(scope="module", params=FOLDERS)
def stored(request) -> dict[str, list[tuple[Pair, Any]]]:
    """The stored hard cases with their truth, by dtype."""
    folder = FOLDERS[request.param]
    if request.param == "all" and not folder.is_dir():
        pytest.skip(f"not all hard cases are at {folder}")
    cases: dict[str, list[tuple[Pair, Any]]] = {}
    for dtype in ("float64", "float32"):
        document = json.loads((folder / f"cases_{dtype}.json").read_text())
        for case in document["cases"]:
            names = ("mean_p", "covariance_p", "mean_q", "covariance_q")
            arrays = [np.array(case[name], dtype=dtype) for name in names]
            with mpmath.workdps(50):
                truth = mpmath.mpf(case["kl"])
            cases.setdefault(dtype, []).append((Pair(case["name"], case["family"], *arrays), truth))
    return cases


def test_the_committed_cases_cover_every_family():
    for dtype in ("float64", "float32"):
        document = json.loads((FOLDERS["committed"] / f"cases_{dtype}.json").read_text())
        assert {case["family"] for case in document["cases"]} == set(TOLERANCE)


def test_our_truth_is_the_stored_truth(stored):
    with mpmath.workdps(50):
        for pair, truth in stored["float64"]:
            assert truth == 0 or abs(true_kl(*pair.arrays) / truth - 1) < 1e-38, pair.name


@pytest.mark.parametrize("precision", ["auto", "exact"])
def test_stored_cases(stored, precision):
    for pair, truth in stored["float64"]:
        value = divergence(pair, precision=precision)
        tolerance = min(TOLERANCE[pair.family], 1e-15 if precision == "exact" else 1.0)
        assert value >= 0
        assert relative_error(value, truth) <= tolerance, (pair.name, value)
    for pair, truth in stored["float32"]:
        value = divergence(pair, precision=precision)
        assert value.dtype == np.float32
        assert relative_error(value, truth) <= 1.2e-7, (pair.name, value)


@pytest.mark.parametrize("precision", ["auto", "exact"])
@pytest.mark.parametrize("seed", SEEDS)
def test_fresh_float64(precision, seed):
    for pair in FRESH[np.float64, seed]:
        value = divergence(pair, precision=precision)
        tolerance = min(TOLERANCE[pair.family], 1e-15 if precision == "exact" else 1.0)
        assert value >= 0
        assert relative_error(value, TRUTH[np.float64, seed, pair.name]) <= tolerance, (pair.name, value)


@pytest.mark.parametrize("seed", SEEDS)
def test_fresh_float32(seed):
    for pair in FRESH[np.float32, seed]:
        assert relative_error(divergence(pair), TRUTH[np.float32, seed, pair.name]) <= 1.2e-7, pair.name


@pytest.mark.parametrize("precision", ["auto", "fast", "exact"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_error_bound_covers_and_is_useful(precision, dtype):
    for seed in SEEDS:
        for pair in FRESH[dtype, seed]:
            value, bound = divergence(pair, precision=precision, return_error=True)
            truth = TRUTH[dtype, seed, pair.name]
            assert abs(mpmath.mpf(float(value)) - truth) <= mpmath.mpf(float(bound)), pair.name
            if pair.family in ("near", "scale", "far", "mixed_scale"):
                assert bound <= (1e-11 if dtype is np.float64 else 3e-7) * value, (pair.name, bound / value)


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_lanes_and_plain_torch_agree_with_the_truth(seed, request):
    """A batch of copies goes through the lanes; without them the same call stays in torch."""
    for enabled in (True, False):
        if not enabled:
            request.getfixturevalue("without_lanes")
        for pair in FRESH[np.float64, seed]:
            truth = TRUTH[np.float64, seed, pair.name]
            copies = [np.repeat(a[None], 9, 0) for a in pair.arrays]
            values = kl_divergence((copies[0], copies[1]), (copies[2], copies[3]))
            assert values.shape == (9,)
            assert (values == values[0]).all()
            assert relative_error(values[8], truth) <= TOLERANCE[pair.family], (pair.name, enabled)


def relative_distance(found: torch.Tensor, truth: Any) -> float:
    """Frobenius norm of the difference over that of the truth."""
    array = found.reshape(truth.rows, truth.cols).tolist()
    with mpmath.workdps(60):
        difference = mpmath.matrix(array) - truth
        return float(mpmath.norm(difference, 2) / mpmath.norm(truth, 2)) if mpmath.norm(truth, 2) else 0.0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("copies", [1, 9])
def test_gradients(dtype, copies):
    """9 copies go through the lanes, 1 does not."""
    tolerance = 1e-13 if dtype is np.float64 else 1e-6
    for pair in FRESH[dtype, SEEDS[0]]:
        moderate = pair.family in ("near", "near_cond", "far") and "1e-40" not in pair.name
        if not moderate or "1e-13" in pair.name:
            continue
        tensors = [torch.tensor(np.repeat(a[None], copies, 0), requires_grad=True) for a in pair.arrays]
        kl_divergence((tensors[0], tensors[1]), (tensors[2], tensors[3])).sum().backward()
        for tensor, truth in zip(tensors, true_gradients(*pair.arrays), strict=True):
            assert tensor.grad is not None
            assert relative_distance(tensor.grad[copies - 1], truth) <= tolerance, pair.name


def test_identical_is_zero_to_the_bit_in_every_way():
    generator = torch.Generator().manual_seed(0)
    for k in (1, 2, 5, 17):
        A = torch.randn(9, k, k, generator=generator, dtype=torch.float64)
        m, S = torch.randn(9, k, generator=generator, dtype=torch.float64), A @ A.mT
        for item in (0, slice(None)):
            for precision in ("auto", "fast", "exact"):
                value = kl_divergence((m[item], S[item]), (m[item], S[item]), precision=precision)
                assert (value == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_never_negative_between_nearly_identical(dtype):
    """Of the textbook formula, 45 % of these come out negative in float32."""
    generator = torch.Generator().manual_seed(1)
    A = torch.randn(400, 6, 6, generator=generator, dtype=dtype)
    S = A @ A.mT + 0.1 * torch.eye(6, dtype=dtype)
    step = torch.finfo(dtype).eps * torch.randn(400, 6, 6, generator=generator, dtype=dtype) * S.abs()
    T = S + step + step.mT
    m = torch.zeros(6, dtype=dtype)
    textbook = torch.distributions.kl_divergence(
        torch.distributions.MultivariateNormal(m, T), torch.distributions.MultivariateNormal(m, S)
    )
    values = kl_divergence((m, T), (m, S))
    assert (textbook < 0).any()
    assert (values >= 0).all()
    assert (values[(T != S).any(-1).any(-1)] > 0).all()
    assert values.max() < 1e-6


def test_large_dimension_against_the_textbook_formula():
    """Far pairs in dimension 100: the textbook formula is right there."""
    generator = torch.Generator().manual_seed(2)
    A, B = torch.randn(2, 100, 120, generator=generator, dtype=torch.float64)
    m = torch.randn(2, 100, generator=generator, dtype=torch.float64)
    p, q = Gaussian(m[0], covariance=A @ A.mT), Gaussian(m[1], covariance=B @ B.mT)
    expected = torch.distributions.kl_divergence(p.to_torch(), q.to_torch())
    torch.testing.assert_close(kl_divergence(p, q), expected, rtol=1e-10, atol=0)
