"""Each line of the derivation equals the next, on random Gaussians, in float64 and in fifty digits."""

from collections.abc import Callable
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vaekit.classroom.derivation import DERIVATION, SPECIAL_CASES, derive, render_derivation
from vaekit.classroom.derivation_formulas import Arithmetic
from vaekit.errors import UsageError

SIZES = [1, 2, 3, 5, 8, 13, 21, 34, 50]
Numbers = tuple[NDArray, NDArray, NDArray, NDArray]


def gaussians(k: int, seed: int) -> Numbers:
    """Two Gaussians of k dimensions, their correlations strong but their matrices well-conditioned."""
    generator = np.random.default_rng([k, seed])

    def covariance() -> NDArray:
        factor = generator.normal(size=(k, 2 * k + 1))
        scale = np.exp(generator.normal(scale=0.5, size=k))
        S = scale[:, None] * (factor @ factor.T / (2 * k + 1)) * scale
        return (S + S.T) / 2  # symmetric to the last bit: fifty digits would tell

    return generator.normal(size=k), covariance(), generator.normal(size=k), covariance()


def cholesky_in_digits(S: NDArray) -> NDArray:
    k = len(S)
    L = np.full((k, k), mpmath.mpf(0), dtype=object)
    for i in range(k):
        for j in range(i + 1):
            rest = S[i, j] - (L[i, :j] @ L[j, :j] if j else 0)
            L[i, j] = mpmath.sqrt(rest) if i == j else rest / L[j, j]
    return L


def inverse_in_digits(S: NDArray) -> NDArray:
    """S^-1 by elimination, so that it shares nothing with the Cholesky factor."""
    k = len(S)
    work = np.concatenate([S, np.array([[mpmath.mpf(i == j) for j in range(k)] for i in range(k)])], axis=1)
    for i in range(k):
        work[i] = work[i] / work[i, i]
        for j in range(k):
            if j != i:
                work[j] = work[j] - work[j, i] * work[i]
    return work[:, k:]


def once(function: Callable[[NDArray], NDArray]) -> Callable[[NDArray], NDArray]:
    """Remember the result for each matrix: fifty digits in fifty dimensions are slow."""
    known: dict[tuple, NDArray] = {}

    def remembered(S: NDArray) -> NDArray:
        key = (mpmath.mp.dps, *S.flat)
        if key not in known:
            known[key] = function(S)
        return known[key]

    return remembered


DIGITS = Arithmetic(
    once(cholesky_in_digits),
    once(inverse_in_digits),
    mpmath.sqrt,
    mpmath.log,
    lambda t: mpmath.log(1 + t),
    mpmath.pi,
)


def in_digits(array: NDArray) -> NDArray:
    return np.vectorize(mpmath.mpf, otypes=[object])(array)


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_lines_agree_in_float64(k: int, seed: int) -> None:
    numbers = gaussians(k, seed)
    values = [step.value(*numbers) for step in DERIVATION]
    # A line's rounding is that of its largest term, not of the divergence.
    S_p, S_q = numbers[1], numbers[3]
    size = k + abs(np.linalg.slogdet(S_p)[1]) + abs(np.linalg.slogdet(S_q)[1]) + values[0]
    assert np.ptp(values) < 1e-12 * size * np.linalg.cond(S_q)
    assert values[0] > 0


@pytest.mark.parametrize("k", [1, 2, 3, 7, 16, 30])
def test_lines_agree_in_fifty_digits(k: int) -> None:
    numbers = gaussians(k, seed=0)
    with mpmath.workdps(50):
        exact = [step.value(*map(in_digits, numbers), DIGITS) for step in DERIVATION]
        for before, after in pairwise(exact):
            assert abs(after - before) < mpmath.mpf(10) ** -40 * (1 + abs(before))
    for step, truth in zip(DERIVATION, exact, strict=True):
        assert step.value(*numbers) == pytest.approx(float(truth), rel=1e-10), step.key


@pytest.mark.parametrize("k", [1, 4, 16])
def test_the_expectation_is_what_samples_say(k: int) -> None:
    m_p, S_p, m_q, S_q = gaussians(k, seed=7)
    p, q = (
        torch.distributions.MultivariateNormal(torch.from_numpy(m), torch.from_numpy(S))
        for m, S in ((m_p, S_p), (m_q, S_q))
    )
    torch.manual_seed(k)
    x = p.sample((200_000,))
    ratio = p.log_prob(x) - q.log_prob(x)
    standard_error = ratio.std().item() / len(ratio) ** 0.5
    definition = DERIVATION[0].value(m_p, S_p, m_q, S_q)
    assert abs(ratio.mean().item() - definition) < 4 * standard_error
    assert standard_error < 0.02 * definition


@pytest.mark.parametrize("k", SIZES)
def test_closed_form_is_that_of_torch(k: int) -> None:
    m_p, S_p, m_q, S_q = map(torch.from_numpy, gaussians(k, seed=2))
    normal = torch.distributions.MultivariateNormal
    peer = torch.distributions.kl_divergence(normal(m_p, S_p), normal(m_q, S_q)).item()
    for step, value in derive(m_p, S_p, mean_q=m_q, cov_q=S_q):
        assert value == pytest.approx(peer, rel=1e-9), step.key


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("case", SPECIAL_CASES, ids=lambda case: case.key)
def test_special_cases_agree_where_they_hold(k: int, case) -> None:
    m_p, S_p, m_q, S_q = gaussians(k, seed=3)
    if case.key in ("diagonal", "vae-term"):
        S_p, S_q = np.diag(np.diag(S_p)), np.diag(np.diag(S_q))
    if case.key in ("standard-normal", "vae-term"):
        m_q, S_q = np.zeros(k), np.eye(k)
    assert case.value(m_p, S_p, m_q, S_q) == pytest.approx(DERIVATION[0].value(m_p, S_p, m_q, S_q), rel=1e-10)


def test_last_line_keeps_the_digits_that_the_closed_form_loses() -> None:
    m_p, S_p, _, _ = gaussians(6, seed=4)
    nearly = S_p * (1 + 1e-9)
    with mpmath.workdps(60):
        truth = float(DERIVATION[-2].value(*map(in_digits, (m_p, S_p, m_p, nearly)), DIGITS))
    textbook, computed = (
        DERIVATION[-2].value(m_p, S_p, m_p, nearly),
        DERIVATION[-1].value(m_p, S_p, m_p, nearly),
    )
    assert truth == pytest.approx(6 / 4 * 1e-18, rel=1e-6)  # k/4 delta^2: far below the rounding of k
    assert abs(textbook - truth) > 10 * truth
    assert computed == pytest.approx(truth, rel=1e-5)


def test_a_gaussian_is_nowhere_from_itself() -> None:
    m, S, _, _ = gaussians(9, seed=5)
    assert DERIVATION[-1].value(m, S, m, S) == 0


def test_numbers_are_printed_beside_their_lines() -> None:
    text = render_derivation(derive([0, 0], np.eye(2), mean_q=[1, 0], cov_q=np.eye(2)))
    assert text.count("\n    0.5 ") == len(DERIVATION)
    for step in DERIVATION:
        assert step.text in text
        assert step.reason in text


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (([0, 0], [[1]], [0], [[1]]), r"\(2,\) and \(1, 1\)"),
        (([0], [[1]], [0, 0], np.eye(2)), "p has 1 dimensions and q has 2"),
        (([0, 0], [[1, 2], [2, 1]], [0, 0], np.eye(2)), "smallest eigenvalue is -1"),
        (([0, 0], [[1, 0.5], [0, 1]], [0, 0], np.eye(2)), "not symmetric"),
        (([np.nan], [[1]], [0], [[1]]), "finite"),
    ],
)
def test_bad_numbers_are_refused(numbers: tuple, message: str) -> None:
    mean_p, cov_p, mean_q, cov_q = numbers
    with pytest.raises(UsageError, match=message):
        derive(mean_p, cov_p, mean_q=mean_q, cov_q=cov_q)
