"""Every pair of parameterisations: value, zero, gradients, transforms."""

import itertools
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hard_pairs import relative_error, true_kl
from torch.autograd import gradcheck, gradgradcheck

from narrowing import untyped
from vaekit.gaussian import Gaussian, kl_divergence

K = 4
KINDS = ("covariance", "scale_tril", "precision", "variance", "standard_deviation", "scale", "factor")
DIAGONAL = ("variance", "standard_deviation", "scale")
PAIRS = list(itertools.product(KINDS, KINDS))
f64 = torch.float64


def parameters(
    kind: str, S: torch.Tensor, factor: torch.Tensor, diagonal: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Parameters of that kind near the covariance `S`; the low-rank ones as given."""
    if kind == "factor":
        return factor, diagonal
    if kind == "precision":
        P = torch.linalg.inv(S)
        return ((P + P.mT) / 2,)
    return {
        "covariance": lambda: (S,),
        "scale_tril": lambda: (torch.linalg.cholesky(S),),
        "variance": lambda: (S.diagonal().clone(),),
        "standard_deviation": lambda: (S.diagonal().sqrt(),),
        "scale": lambda: (S.diagonal().mean().sqrt(),),
    }[kind]()


def build(kind: str, mean: torch.Tensor, theta: tuple[torch.Tensor, ...], **options) -> Gaussian:
    names = ("factor", "diagonal") if kind == "factor" else (kind,)
    return Gaussian(mean, **dict(zip(names, theta, strict=True)), **options)


def random_parameters(kind: str, seed: int, k: int = K) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(k, k, generator=generator, dtype=f64)
    factor = torch.randn(k, 2 if k > 3 else 1, generator=generator, dtype=f64)
    diagonal = 0.5 + torch.rand(k, generator=generator, dtype=f64)
    S = A @ A.mT / k + torch.eye(k, dtype=f64)
    return parameters(kind, (S + S.mT) / 2, factor, diagonal)


def near_parameters(kind_p: str, kind_q: str, size: float):
    """Parameters of two Gaussians that differ by about ``size``."""
    generator = torch.Generator().manual_seed(7)
    simple = kind_p in DIAGONAL or kind_q in DIAGONAL
    factor = torch.randn(K, 2, generator=generator, dtype=f64) * (1e-4 if simple else 1.0)
    diagonal = torch.full((K,), 1.7, dtype=f64)
    S = torch.diag(diagonal) if simple else torch.diag(diagonal) + factor @ factor.mT
    S = (S + S.mT) / 2
    theta_p, theta_q = (parameters(kind, S, factor, diagonal) for kind in (kind_p, kind_q))
    return theta_p, tuple(t * (1 + size) for t in theta_q)


def exactly(kind: str, theta: tuple[torch.Tensor, ...]) -> Any:
    """The covariance with 60 digits."""
    array = np.asarray(theta[0])
    if kind == "scale":
        return mpmath.eye(K) * mpmath.mpf(float(array)) ** 2
    if array.ndim == 1:
        power = 1 if kind == "variance" else 2
        return mpmath.diag([mpmath.mpf(float(x)) ** power for x in array])
    M = mpmath.matrix(array.tolist())
    if kind == "precision":
        return mpmath.inverse(M)
    if kind == "scale_tril":
        return M * M.T
    return M * M.T + mpmath.diag(theta[1].tolist()) if kind == "factor" else M


def truth_of(kind_p, mean_p, theta_p, kind_q, mean_q, theta_q) -> Any:
    with mpmath.workdps(90):
        P, Q = exactly(kind_p, theta_p), exactly(kind_q, theta_q)
        difference = mpmath.matrix(mean_p.tolist()) - mpmath.matrix(mean_q.tolist())
        solved = mpmath.inverse(Q)
        T = solved * P
        trace = mpmath.fsum(T[i, i] for i in range(K))
        return (trace - K + (difference.T * solved * difference)[0] - mpmath.log(mpmath.det(T))) / 2


def test_two_truths_agree():
    S, T = (random_parameters("covariance", seed)[0] for seed in (1, 2))
    m = torch.arange(K, dtype=f64)
    mine = truth_of("covariance", m, (S,), "covariance", 0 * m, (T,))
    assert abs(mine / true_kl(m.numpy(), S.numpy(), 0 * m.numpy(), T.numpy()) - 1) < 1e-50


@pytest.mark.parametrize(("kind_p", "kind_q"), PAIRS)
def test_value(kind_p, kind_q):
    generator = torch.Generator().manual_seed(3)
    mean_p, step = torch.randn(2, K, generator=generator, dtype=f64)
    far = random_parameters(kind_p, 4), random_parameters(kind_q, 5), mean_p + step
    near = *near_parameters(kind_p, kind_q, 1e-7), mean_p + 1e-7 * step
    for theta_p, theta_q, mean_q in (far, near):
        p, q = build(kind_p, mean_p, theta_p), build(kind_q, mean_q, theta_q)
        truth = truth_of(kind_p, mean_p, theta_p, kind_q, mean_q, theta_q)
        for precision, tolerance in (("auto", 4e-15), ("exact", 1e-15)):
            value, bound = kl_divergence(p, q, precision=untyped(precision), return_error=True)
            assert relative_error(value, truth) <= tolerance
            assert abs(mpmath.mpf(float(value)) - truth) <= mpmath.mpf(float(bound))
            assert bound <= 1e-11 * value
        assert kl_divergence(p, p) == 0


@pytest.mark.parametrize(("kind_p", "kind_q"), PAIRS)
def test_gradients_and_transforms(kind_p, kind_q):
    k = 3

    def symmetric(kind, theta):
        return tuple((t + t.mT) / 2 for t in theta) if kind in ("covariance", "precision") else theta

    theta_p, theta_q = random_parameters(kind_p, 8, k), random_parameters(kind_q, 9, k)
    count = len(theta_p)
    generator = torch.Generator().manual_seed(10)
    means = torch.randn(2, k, generator=generator, dtype=f64)
    inputs = [t.clone().requires_grad_() for t in (*means, *theta_p, *theta_q)]

    def f(mean_p, mean_q, *theta):
        p = build(kind_p, mean_p, symmetric(kind_p, theta[:count]), validate=False)
        return kl_divergence(p, build(kind_q, mean_q, symmetric(kind_q, theta[count:]), validate=False))

    assert gradcheck(f, inputs, fast_mode=True)
    assert gradgradcheck(f, inputs, fast_mode=True)
    value = f(*inputs)
    expected = torch.autograd.grad(value, inputs)
    copies = [t.detach().expand(3, *t.shape) for t in inputs]
    torch.testing.assert_close(torch.func.vmap(f)(*copies), value.detach().expand(3), rtol=1e-13, atol=0)
    found = torch.func.vmap(torch.func.grad(f, argnums=tuple(range(len(inputs)))))(*copies)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one[2], other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("kind_p", "kind_q"), [("covariance", "scale"), ("factor", "variance"), ("scale_tril", "factor")]
)
def test_batches_broadcast(kind_p, kind_q):
    theta_p = tuple(torch.stack([t, 1.5 * t]).unsqueeze(1) for t in random_parameters(kind_p, 11))
    theta_q = random_parameters(kind_q, 12)
    means = torch.randn(2, 3, K, generator=torch.Generator().manual_seed(13), dtype=f64)
    p, q = build(kind_p, means[0], theta_p), build(kind_q, means[1, 0], theta_q)
    values = kl_divergence(p, q)
    assert values.shape == (2, 3)
    for i, j in itertools.product(range(2), range(3)):
        item = build(kind_p, means[0, j], tuple(t[i, 0] for t in theta_p))
        torch.testing.assert_close(values[i, j], kl_divergence(item, q), rtol=1e-13, atol=0)
        torch.testing.assert_close(values[i, j], kl_divergence(p[i, j], q), rtol=1e-13, atol=0)


def test_low_rank_in_a_dimension_that_has_no_square():
    """100,000 x 100,000 numbers would not fit: nothing of that size may be formed."""
    k = 100_000
    generator = torch.Generator().manual_seed(14)
    W, d = (
        torch.randn(k, 3, generator=generator, dtype=f64),
        1 + torch.rand(k, generator=generator, dtype=f64),
    )
    p = Gaussian(torch.zeros(k, dtype=f64), factor=W.requires_grad_(), diagonal=d)
    value = kl_divergence(p, Gaussian.standard(k, dtype=f64))
    trace = (W.square().sum() + d.sum()).detach()
    inner = torch.eye(3, dtype=f64) + W.detach().mT @ (W.detach() / d[:, None])
    expected = 0.5 * (trace - k - d.log().sum() - torch.logdet(inner))
    torch.testing.assert_close(value.detach(), expected, rtol=1e-12, atol=0)
    (by_factor,) = torch.autograd.grad(value, W)
    solved = torch.linalg.solve(inner, W.detach().mT / d).mT
    torch.testing.assert_close(by_factor, W.detach() - solved, rtol=1e-9, atol=1e-12)
