"""The von Mises-Fisher distribution against mpmath, quadrature, scipy, and its own draws."""

from math import pi

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import cumulative_simpson, quad
from scipy.special import ive
from scipy.stats import kstest, special_ortho_group, vonmises_fisher

from narrowing import known, untyped
from vaekit.distributions import UniformSphere, VonMisesFisher
from vaekit.distributions.sphere_integrals import gap_gradient, log_area, log_integral_and_mean_gap
from vaekit.distributions.sphere_sampling import _symmetric_beta
from vaekit.objectives import closed_divergence
from vaekit.runtime.randomness import seeded

DIMENSIONS = (2, 3, 4, 5, 11, 50, 300)
CONCENTRATIONS = (0.0, 1e-6, 1e-3, 0.3, 1.0, 4.0, 30.0, 300.0, 1e4, 1e5)


def truth(kappa, k):
    """log Z, 1 - A and KL to uniform, from Bessel functions of 40 digits."""
    with mpmath.workdps(40):
        kappa, half = mpmath.mpf(kappa), mpmath.mpf(k) / 2
        constant = mpmath.log(mpmath.sqrt(mpmath.pi) * mpmath.gamma(half - 0.5))
        at_zero = constant - mpmath.loggamma(half)
        if kappa == 0:
            return float(at_zero), 1.0, 0.0
        bessel = [mpmath.besseli(half - 1 + i, kappa) for i in (0, 1)]
        log_z = constant + (half - 1) * mpmath.log(2 / kappa) - kappa + mpmath.log(bessel[0])
        gap = 1 - bessel[1] / bessel[0]
        return float(log_z), float(gap), float(at_zero - log_z - kappa * gap)


def bessel_ratio(k, kappa):
    half = mpmath.mpf(k) / 2
    return mpmath.besseli(half, kappa) / mpmath.besseli(half - 1, kappa)


def along_first_axis(k, kappa, dtype=torch.float64):
    return VonMisesFisher(torch.eye(k, dtype=dtype)[0], torch.tensor([kappa], dtype=dtype))


@pytest.mark.parametrize(("dtype", "digits"), [(torch.float64, 1e-13), (torch.float32, 2e-6)])
def test_normaliser_bessel_ratio_and_kl_have_the_digits_of_their_precision(dtype, digits):
    for k in DIMENSIONS:
        kappa = torch.tensor(CONCENTRATIONS, dtype=dtype)
        expected = torch.tensor([truth(float(v), k) for v in kappa], dtype=torch.float64).T
        log_z, gap = log_integral_and_mean_gap(kappa, k)
        q = VonMisesFisher(torch.eye(k, dtype=dtype)[:1].expand(len(kappa), k), kappa[:, None])
        for found, exact, least in ((log_z, expected[0], 1.0), (gap, expected[1], 0.0)):
            error = (found.double() - exact).abs() / exact.abs().clamp_min(least)
            assert error.max() < digits, (k, error)
        # the KL is of the size of the logarithms it is the difference of, or smaller by the series' own rounding
        scale = torch.where(kappa.double().square() < 2 * k, expected[2], 1 + expected[0].abs())
        assert ((q.kl_to_uniform().double() - expected[2]).abs() <= 4 * digits * scale).all(), k
        assert (q.kl_to_uniform() >= 0).all()


def test_the_integral_is_the_scaled_bessel_function():
    kappa = torch.tensor([0.1, 2.0, 50.0, 1e5], dtype=torch.float64)
    for k in (2, 3, 8, 25):
        order = k / 2 - 1
        area = log_area(k - 1)
        log_c = -area - log_integral_and_mean_gap(kappa, k)[0]  # log C + kappa
        expected = (
            order * kappa.log() - k / 2 * np.log(2 * pi) - torch.tensor(ive(order, kappa.numpy())).log()
        )
        torch.testing.assert_close(log_c, expected, rtol=1e-12, atol=1e-12)


def test_derivatives_of_the_kl_are_those_of_its_truth():
    for k in (2, 3, 11, 100):
        for kappa in (0.0, 0.5, 2.0 * k**0.5 - 0.5, 40.0, 1e4):
            q = along_first_axis(k, kappa)
            q.concentration.requires_grad_()
            (slope,) = torch.autograd.grad(q.kl_to_uniform(), q.concentration)
            if kappa == 0:
                assert slope == 0
                continue
            with mpmath.workdps(30):
                a = bessel_ratio(k, mpmath.mpf(kappa))
                exact = float(kappa * (1 - a**2 - (k - 1) / mpmath.mpf(kappa) * a))  # kappa A'(kappa)
            assert float(slope) == pytest.approx(exact, rel=1e-8), (k, kappa)


@pytest.mark.parametrize("kappa", [0.0, 0.7, 20.0, 3000.0])
def test_density_integrates_to_one_on_the_circle_and_the_sphere(kappa):
    def density(theta, k):
        z = torch.tensor([np.cos(theta), np.sin(theta), 0.0][:k], dtype=torch.float64)
        return float(along_first_axis(k, kappa).log_prob(z).exp())

    near = 12 / (1 + kappa) ** 0.5
    points = [near] if near < pi else None
    assert 2 * quad(density, 0, pi, args=(2,), points=points)[0] == pytest.approx(1, abs=1e-8)
    total = quad(lambda t: 2 * pi * np.sin(t) * density(t, 3), 0, pi, points=points)[0]
    assert total == pytest.approx(1, abs=1e-8)


def test_agrees_with_scipy():
    generator = np.random.default_rng(0)
    for k in (2, 3, 7):
        rotation = special_ortho_group.rvs(k, random_state=1) if k > 2 else np.eye(2)
        mu, z = rotation[0], generator.standard_normal((5, k))
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        theirs = vonmises_fisher(mu, untyped(3.5))
        ours = VonMisesFisher(torch.tensor(mu), torch.tensor([3.5], dtype=torch.float64))
        assert ours.log_prob(torch.tensor(z)).numpy() == pytest.approx(theirs.logpdf(z), abs=1e-12)
        assert float(ours.entropy()) == pytest.approx(float(theirs.entropy()), abs=1e-12)


@pytest.mark.parametrize("k", [2, 3, 11, 100])
@pytest.mark.parametrize("kappa", [0.0, 0.5, 12.0, 1000.0, 1e5])
def test_draws_have_the_distribution_of_the_density(k, kappa):
    with seeded(k):
        mu = torch.nn.functional.normalize(torch.randn(k, dtype=torch.float64), dim=0)
        z = VonMisesFisher(mu, torch.tensor([kappa], dtype=torch.float64)).sample((5000,))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(5000, dtype=z.dtype), rtol=0, atol=1e-14)
    angle = 2 * np.arcsin(0.5 * (z - mu).norm(dim=-1).numpy())
    grid = np.linspace(0, min(angle.max() * 1.1, pi), 20001)
    value = np.exp(-kappa * 2 * np.sin(grid / 2) ** 2) * np.sin(grid) ** (k - 2)
    cumulative = cumulative_simpson(value, x=grid, initial=0)
    assert kstest(np.interp(angle, grid, cumulative / cumulative[-1]), "uniform").pvalue > 1e-3
    # around the mean direction every direction is as likely as any other
    around = z - (z @ mu)[:, None] * mu
    around = around / around.norm(dim=-1, keepdim=True)
    assert (around.mean(0).norm() ** 2 * 5000) < 6 * k  # about k - 1, with a standard deviation of its root


def quantile_slope(k, kappa, gap):
    """The derivative of a quantile by finite differences of 30 digits."""
    with mpmath.workdps(30):
        power = mpmath.mpf(k - 3) / 2
        density = lambda t, c: mpmath.exp(-c * t) * (t * (2 - t)) ** power  # noqa: E731
        mode = mpmath.mpf(k - 1) / (2 * mpmath.mpf(kappa) + k - 1)
        breaks = [v for v in (mode / 4, mode / 2, mode, 2 * mode, 5 * mode, 20 * mode) if v < 2]
        places = sorted({mpmath.mpf(0), mpmath.mpf(2), *breaks})

        def distribution(s, c):
            below = sorted({*(v for v in places if v < s), *mpmath.linspace(0, s, 9)})
            return untyped(mpmath.quad(lambda t: density(t, c), below)) / untyped(
                mpmath.quad(lambda t: density(t, c), places)
            )

        s, c = mpmath.mpf(gap), mpmath.mpf(kappa)
        step = c * mpmath.mpf("1e-7")
        change = (distribution(s, c + step) - distribution(s, c - step)) / (2 * step)
        return float(-change * mpmath.quad(lambda t: density(t, c), places) / density(s, c))


@pytest.mark.parametrize(("k", "kappa"), [(2, 0.5), (3, 2.0), (3, 200.0), (11, 5.0), (40, 60.0), (11, 1e5)])
def test_the_slope_of_a_draw_is_that_of_its_quantile(k, kappa):
    c = torch.tensor(kappa, dtype=torch.float64)
    mean = log_integral_and_mean_gap(c, k)[1]
    for share in (0.05, 1.0, 3.0):
        gap = mean * share
        if gap >= 2:
            continue
        found = float(gap_gradient(gap, c, mean, k))
        assert found == pytest.approx(quantile_slope(k, kappa, float(gap)), rel=1e-7), share


@pytest.mark.parametrize(("k", "kappa"), [(2, 1.5), (3, 0.3), (5, 8.0), (20, 15.0)])
def test_gradients_of_expectations_are_right(k, kappa):
    """E (a'z)^2 has a closed form; a sampler without the gradient of its acceptance fails here."""
    draws, a = 30_000, torch.linspace(-1.0, 1.5, k, dtype=torch.float64)
    direction = torch.nn.functional.normalize(torch.linspace(1.0, -0.5, k, dtype=torch.float64), dim=0)
    direction.requires_grad_()
    concentration = torch.full((draws, 1), kappa, dtype=torch.float64, requires_grad=True)
    with seeded(3):
        z = VonMisesFisher(direction.expand(draws, k), concentration).rsample()
    (slopes,) = torch.autograd.grad((z @ a).square().sum(), concentration)
    # E zz' = (A / kappa) I + (1 - k A / kappa) mu mu'
    c = torch.tensor([kappa], dtype=torch.float64, requires_grad=True)
    gap = VonMisesFisher(direction.detach(), c).mean_gap
    each = (1 - gap) / c
    second_moment = each * a.square().sum() + (1 - k * each) * (a @ direction).square()
    (exact,) = torch.autograd.grad(second_moment.sum(), c)
    assert abs(slopes.mean() - exact) < 4 * slopes.std() / draws**0.5


def test_gradient_of_the_direction_turns_with_the_sphere():
    direction = torch.tensor([0.6, 0.0, -0.8], dtype=torch.float64, requires_grad=True)
    kappa, a = torch.tensor([9.0], dtype=torch.float64), torch.tensor([0.3, -1.0, 0.2], dtype=torch.float64)
    tangent = torch.tensor([0.8, 0.0, 0.6], dtype=torch.float64)
    with seeded(5):
        z = VonMisesFisher(direction.expand(40_000, 3), kappa).rsample()
    (slope,) = torch.autograd.grad((z @ a).mean(), direction)
    expected = (1 - VonMisesFisher(direction, kappa).mean_gap) * (
        a @ tangent
    )  # d(A mu)/dmu, along the sphere
    assert float(slope @ tangent) == pytest.approx(float(expected), abs=0.02)


def test_candidates_are_accepted_often_enough():
    """At least 0.65 of them, as the module says: then none of 24 with a probability below 1e-11."""
    for k in (2, 3, 30, 500):
        for kappa in (0.0, 1.0, 30.0, 1e3, 1e6):
            c = torch.tensor(kappa, dtype=torch.float64)
            uniform = torch.rand(3, 4000, dtype=torch.float64)
            assert acceptance(uniform, c, k) > 0.63


def acceptance(uniform, c, k):
    epsilon, other = _symmetric_beta(uniform[0], uniform[1], k)
    n = k - 1.0
    b = n / (2 * c + torch.hypot(torch.tensor(n), 2 * c))
    gap = 2 * b * epsilon / (b * epsilon + other)
    x, y = (1 - b) / (1 + b), 2 * b / (1 + b)
    return float((c * (y - gap) + n * ((1 + x * gap / y) / (1 + x)).log()).exp().clamp_max(1).mean())


@pytest.mark.parametrize("kappa", [0.0, 1e-30, 1e-4, 1.0, 1e5, 1e10, 1e15])
@pytest.mark.parametrize("k", [2, 3, 64])
def test_extremes_in_single_precision_are_finite_with_their_gradients(k, kappa):
    direction = torch.eye(k)[:1].expand(200, k).clone().requires_grad_()
    concentration = torch.full((200, 1), kappa, requires_grad=True)
    q = VonMisesFisher(direction, concentration)
    z = q.rsample()
    terms = (z, q.log_prob(z), q.kl_to_uniform(), q.entropy(), q.mean)
    assert all(term.isfinite().all() for term in terms)
    gradients = torch.autograd.grad(untyped(sum(term.sum() for term in terms)), [direction, concentration])
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert (z.norm(dim=-1) - 1).abs().max() < 1e-6


def test_density_and_divergence_turn_with_the_sphere():
    rotation = torch.tensor(special_ortho_group.rvs(4, random_state=0))
    mu = torch.nn.functional.normalize(torch.tensor([1.0, -2.0, 0.5, 0.1], dtype=torch.float64), dim=0)
    z = torch.nn.functional.normalize(torch.randn(6, 4, dtype=torch.float64), dim=-1)
    kappa = torch.tensor([7.0], dtype=torch.float64)
    q, turned = VonMisesFisher(mu, kappa), VonMisesFisher(rotation @ mu, kappa)
    torch.testing.assert_close(turned.log_prob(z @ rotation.T), q.log_prob(z), rtol=1e-12, atol=1e-12)
    assert torch.equal(turned.kl_to_uniform(), q.kl_to_uniform())


def test_kl_to_the_uniform_sphere_meets_monte_carlo():
    for k, kappa in ((2, 0.8), (5, 20.0), (30, 100.0)):
        q, p = along_first_axis(k, kappa), UniformSphere(torch.zeros(k, dtype=torch.float64))
        with seeded(1):
            z = q.sample((10_000,))
        difference = q.log_prob(z) - p.log_prob(z)
        closed = closed_divergence(q, p)
        assert closed is not None
        assert abs(difference.mean() - closed.total) < 4 * difference.std() / 10_000**0.5


def test_uniform_sphere():
    p = UniformSphere(torch.zeros(3, dtype=torch.float64))
    with seeded(0):
        z = p.sample((4000,))
    for axis in range(3):  # Archimedes: every coordinate is uniform on [-1, 1]
        assert kstest(z[:, axis].numpy(), "uniform", args=(-1, 2)).pvalue > 1e-3
    assert float(p.log_prob(z[0]).exp()) == pytest.approx(1 / (4 * pi))
    assert float(p.entropy()) == pytest.approx(np.log(4 * pi))


@pytest.mark.parametrize("k", [2, 5])
def test_common_noise_is_one_noise_for_all_rows(k):
    direction = torch.nn.functional.normalize(torch.randn(4, k), dim=-1)
    direction[1] = direction[0]
    concentration = torch.tensor([[1.0], [1.0], [5.0], [1e4]])

    def draw(mu, kappa):
        return VonMisesFisher(mu[None], kappa[None]).rsample(torch.Size((7,)))[:, 0]

    with torch.no_grad(), seeded(0):
        z = torch.func.vmap(draw, out_dims=1, randomness="same")(direction, concentration)
    assert torch.equal(z[:, 0], z[:, 1])
    with torch.no_grad(), seeded(0):
        alone = torch.func.vmap(draw, out_dims=1, randomness="same")(direction[2:], concentration[2:])
    assert torch.equal(alone, z[:, 2:])


@pytest.mark.parametrize("k", [2, 3])
def test_a_draw_right_opposite_the_mode_has_a_finite_gradient(k, monkeypatch):
    """On the circle in single precision it comes up once in some twenty thousand draws."""
    opposite = lambda concentration, shape, k: torch.full(shape, 2.0)  # noqa: E731
    monkeypatch.setattr("vaekit.distributions.sphere_distributions.draw_gap", opposite)
    direction = torch.eye(k)[0].requires_grad_()
    concentration = torch.tensor([0.5], requires_grad=True)
    z = VonMisesFisher(direction, concentration).rsample((5,))
    torch.testing.assert_close(z.detach(), -torch.eye(k)[0].expand(5, k))
    z.sum().backward()
    assert known(direction.grad).isfinite().all()
    assert known(concentration.grad).isfinite().all()
