"""Approximations and bounds of the divergence between mixtures, against quadrature and each other."""

import numpy as np
import pytest
import torch

from narrowing import untyped
from vaekit.gaussian import Gaussian, GaussianMixture, kl_divergence, mixture_kl
from vaekit.gaussian.exceptions import GaussianError, GaussianShapeError, GaussianTypeError


def random_mixture(seed, n, k, kind="covariance", spread=2.0):
    rng = np.random.default_rng(seed)
    weights = rng.random(n) + 0.1
    means = spread * rng.normal(size=(n, k))
    A = rng.normal(size=(n, k, k)) / np.sqrt(k)
    S = A @ A.swapaxes(-1, -2) + 0.3 * np.eye(k)
    made = {"covariance": S} if kind == "covariance" else {"variance": np.diagonal(S, axis1=-2, axis2=-1)}
    return GaussianMixture(weights / weights.sum(), Gaussian(means, **untyped(made)))


def by_quadrature(p, q):
    x = np.linspace(-40, 40, 400_001)[:, None]
    log_p, log_q = p.log_prob(x), q.log_prob(x)
    return float((np.exp(log_p) * (log_p - log_q)).sum() * (x[1, 0] - x[0, 0]))


@pytest.mark.parametrize("seed", range(6))
def test_bounds_enclose_and_monte_carlo_meets_the_truth(seed):
    p, q = random_mixture(seed, 3, 1), random_mixture(100 + seed, 2, 1)
    truth = by_quadrature(p, q)
    assert mixture_kl(p, q, method="lower") <= truth <= mixture_kl(p, q, method="upper")
    estimate = mixture_kl(
        p, q, method="monte-carlo", samples=20_000, generator=torch.Generator().manual_seed(seed)
    )
    assert abs(estimate.value - truth) < 4 * estimate.standard_error
    assert estimate.standard_error < 0.05 * truth


@pytest.mark.parametrize("kind", ["covariance", "variance"])
def test_formulas_are_those_of_the_papers(kind):
    """Written out as loops over the components."""
    p, q = random_mixture(1, 3, 2, kind), random_mixture(2, 4, 2, kind)
    f, g = ([m.components[i] for i in range(m.count)] for m in (p, q))
    pi, omega = p.weights, q.weights

    def overlap(a, b):
        return np.exp(Gaussian(b.mean, covariance=a.covariance + b.covariance).log_prob(a.mean))

    def mix(weights, values):
        return np.log(sum(w * v for w, v in zip(weights, values, strict=True)))

    product = variational = matched = lower = upper = 0.0
    for w, a in zip(pi, f, strict=True):
        own_overlap, other_overlap = (
            mix(pi, [overlap(a, b) for b in f]),
            mix(omega, [overlap(a, b) for b in g]),
        )
        own = mix(pi, [np.exp(-kl_divergence(a, b)) for b in f])
        other = mix(omega, [np.exp(-kl_divergence(a, b)) for b in g])
        product += w * (own_overlap - other_overlap)
        variational += w * (own - other)
        lower += w * (own - other_overlap - a.entropy())
        upper += w * (own_overlap - other + a.entropy())
        best = min(range(4), key=lambda i: kl_divergence(a, g[i]) - np.log(omega[i]))
        matched += w * (kl_divergence(a, g[best]) + np.log(w / omega[best]))
    for method, expected in (
        ("product", product),
        ("variational", variational),
        ("matched", matched),
        ("lower", max(lower, 0)),
        ("upper", upper),
    ):
        assert mixture_kl(p, q, method=untyped(method)) == pytest.approx(expected, rel=1e-11), method


def test_mixtures_of_one_are_gaussians():
    p, q = random_mixture(3, 1, 3), random_mixture(4, 1, 3)
    exact = kl_divergence(p.components[0], q.components[0])
    for method in ("variational", "matched"):
        assert mixture_kl(p, q, method=method) == pytest.approx(float(exact), rel=1e-13)
        assert mixture_kl(p.components[0], q.components[0], method=method) == pytest.approx(
            float(exact), rel=1e-13
        )
    assert mixture_kl(p, q, method="lower") <= exact <= mixture_kl(p, q, method="upper")


def test_splitting_a_component_in_two_changes_no_bound():
    p, q = random_mixture(5, 2, 2), random_mixture(6, 2, 2)
    twice = GaussianMixture(
        np.concatenate([p.weights, p.weights]) / 2,
        Gaussian(np.tile(p.components.mean, (2, 1)), covariance=np.tile(p.components.covariance, (2, 1, 1))),
    )
    for method in ("variational", "product", "lower", "upper"):
        assert mixture_kl(twice, q, method=method) == pytest.approx(
            float(mixture_kl(p, q, method=method)), rel=1e-11
        )


def test_equal_mixtures():
    p = random_mixture(7, 3, 2)
    for method in ("variational", "product"):
        assert mixture_kl(p, p, method=method) == 0
    assert mixture_kl(p, p, method="lower") == 0
    assert mixture_kl(p, p, method="upper") >= 0
    estimate = mixture_kl(p, p, method="monte-carlo", samples=100)
    assert estimate.value == estimate.standard_error == 0


def test_components_far_apart_make_the_approximations_exact():
    means = np.array([[-100.0], [100.0]])
    p = GaussianMixture([0.3, 0.7], Gaussian(means, scale=1.0))
    q = GaussianMixture([0.6, 0.4], Gaussian(means + 0.5, scale=2.0))
    truth = by_quadrature_far(p, q)
    for method in ("variational", "matched"):
        assert mixture_kl(p, q, method=method) == pytest.approx(truth, rel=1e-6)


def by_quadrature_far(p, q):
    x = np.concatenate([np.linspace(c - 15, c + 15, 100_001) for c in (-100, 100)])[:, None]
    log_p, log_q = p.log_prob(x), q.log_prob(x)
    return float((np.exp(log_p) * (log_p - log_q)).sum() * (x[1, 0] - x[0, 0]))


def test_weights_of_zero_count_nothing():
    means = np.array([[0.0], [50.0]])
    p = GaussianMixture([1.0, 0.0], Gaussian(means, scale=1.0))
    q = GaussianMixture([0.0, 1.0], Gaussian(means - 49.0, scale=1.0))
    for method in ("variational", "matched"):
        assert mixture_kl(p, q, method=method) == pytest.approx(0.5)


def test_batches_broadcast():
    rng = np.random.default_rng(8)
    p = GaussianMixture([0.5, 0.5], Gaussian(rng.normal(size=(3, 1, 2, 2)), scale=1.0))
    q = GaussianMixture([0.2, 0.3, 0.5], Gaussian(rng.normal(size=(4, 3, 2)), variance=[1.0, 2.0]))
    for method in ("variational", "product", "matched", "lower", "upper"):
        whole = mixture_kl(p, q, method=method)
        assert whole.shape == (3, 4)
        one = mixture_kl(
            GaussianMixture([0.5, 0.5], p.components[2, 0]),
            GaussianMixture([0.2, 0.3, 0.5], q.components[1]),
            method=method,
        )
        assert whole[2, 1] == pytest.approx(float(one), rel=1e-12)
    estimate = mixture_kl(p, q, method="monte-carlo", samples=100)
    assert estimate.value.shape == estimate.standard_error.shape == (3, 4)


@pytest.mark.parametrize("method", ["variational", "product", "matched", "lower", "upper"])
def test_gradients(method):
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(2, 2, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(2)]
    raw = torch.randn(2, dtype=torch.float64, generator=generator).requires_grad_()

    def value(means_p, means_q, raw):
        eye = torch.eye(2, dtype=torch.float64).expand(2, 2, 2)
        p = GaussianMixture(torch.softmax(raw, -1), Gaussian(means_p, covariance=eye * 0.5))
        q = GaussianMixture(torch.full((2,), 0.5, dtype=torch.float64), Gaussian(means_q, covariance=eye))
        return mixture_kl(p, q, method=method)

    assert torch.autograd.gradcheck(value, (*inputs, raw), atol=1e-7)


def test_what_does_not_fit_is_refused():
    p = random_mixture(9, 2, 2)
    with pytest.raises(GaussianError, match="expected one of variational"):
        mixture_kl(p, p, method="exact")  # type: ignore[arg-type]
    with pytest.raises(GaussianShapeError, match="size 2 but q over size 3"):
        mixture_kl(p, random_mixture(9, 2, 3))
    with pytest.raises(GaussianTypeError, match="q is list"):
        mixture_kl(p, [1])
