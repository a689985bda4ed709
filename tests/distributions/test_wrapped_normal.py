"""The wrapped normal against the formulas of the Poincare ball, quadrature, its own draws, and exact invariances."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch.distributions import Independent, Normal

from narrowing import untyped
from vaekit.distributions import WrappedNormal
from vaekit.distributions.hyperbolic import exponential_map, log_volume, logarithmic_map, to_ball
from vaekit.errors import UsageError
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae


def random(*shape, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def mobius_sum(x, y, c):
    """Mathieu et al. (2019), equation 1."""
    xy, xx, yy = ((a * b).sum(-1, keepdim=True) for a, b in ((x, y), (x, x), (y, y)))
    return ((1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y) / (1 + 2 * c * xy + c**2 * xx * yy)


def ball_exponential(mu, v, c):
    """exp_mu(v / lambda_mu), in the ball."""
    r = v.norm(dim=-1, keepdim=True)
    return mobius_sum(mu, (c**0.5 * r / 2).tanh() * v / (c**0.5 * r), c)


def ball_distance(x, y, c):
    return 2 / c**0.5 * (c**0.5 * mobius_sum(-x, y, c).norm(dim=-1)).atanh()


@pytest.mark.parametrize("c", [0.2, 0.7, 3.0])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_maps_are_those_of_the_poincare_ball(c, k):
    mu, v = random(50, k), random(50, k, seed=1)
    z = exponential_map(mu, v, c)
    torch.testing.assert_close(to_ball(z, c), ball_exponential(to_ball(mu, c), v, c), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(logarithmic_map(mu, z, c), v, rtol=1e-9, atol=1e-10)
    distance = ball_distance(to_ball(mu, c), to_ball(z, c), c)
    torch.testing.assert_close(v.norm(dim=-1), distance, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("k", "c"), [(2, 0.7), (4, 2.0)])
def test_density_is_the_papers_per_unit_of_hyperbolic_volume(k, c):
    mu, z, scale = random(k), random(20, k, seed=1), random(k, seed=2).exp()
    ours = WrappedNormal(mu, scale, c).log_prob(z) - log_volume(z, c)
    x, y = to_ball(mu, c), to_ball(z, c)
    d = ball_distance(x, y, c)[:, None]
    towards = mobius_sum(-x, y, c)
    u = d * towards / towards.norm(dim=-1, keepdim=True)  # lambda_mu log_mu(z)
    normal = Independent(Normal(torch.zeros_like(scale), scale), 1).log_prob(u)
    theirs = normal + (k - 1) * (c**0.5 * d / (c**0.5 * d).sinh()).log()[:, 0]
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("c", [0.3, 1.5])
def test_density_integrates_to_one_over_the_disc(c):
    q = WrappedNormal(torch.tensor([0.8, -0.5]).double(), torch.tensor([0.6, 0.3]).double(), c)

    # In polar places of the disc, Gauss times trapezium: hyperbolic area is (2 / (1 - c r^2))^2 of its area.
    node, weight = (torch.tensor(v) for v in np.polynomial.legendre.leggauss(400))
    r, angle = 0.5 * (node + 1) / c**0.5, torch.arange(400, dtype=torch.float64) * 2 * np.pi / 400
    z = torch.stack([angle.cos(), angle.sin()], -1) * (2 / c**0.5 * (c**0.5 * r).atanh())[:, None, None]
    density = (q.log_prob(z) - log_volume(z, c)).exp().mean(1) * 2 * np.pi
    total = (0.5 * weight / c**0.5 * density * (2 / (1 - c * r**2)) ** 2 * r).sum()
    assert float(total) == pytest.approx(1, abs=1e-6)


def test_draws_have_the_distribution_of_the_density():
    c, mu = 0.7, torch.tensor([1.0, -2.0, 0.3], dtype=torch.float64)
    scale = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    with seeded(0):
        z = WrappedNormal(mu, scale, c).sample((5000,))
    u = logarithmic_map(mu, z, c) / scale
    for axis in range(3):
        assert kstest(u[:, axis].numpy(), "norm").pvalue > 1e-3
    # and their log-density agrees: the integral of another density inside it comes out as 1
    other, q = WrappedNormal(mu, 0.7 * scale, c), WrappedNormal(mu, scale, c)
    weight = (other.log_prob(z) - q.log_prob(z)).exp()
    assert abs(weight.mean() - 1) < 4 * weight.std() / 5000**0.5
    inside = Independent(Normal(z.mean(0), 0.5 * z.std(0)), 1)
    weight = (inside.log_prob(z) - q.log_prob(z)).exp()
    assert abs(weight.mean() - 1) < 5 * weight.std() / 5000**0.5


def test_gradient_of_an_expectation_meets_finite_differences():
    c, step = 0.7, 1e-5
    mu, scale = random(3), random(3, seed=1).exp()

    def expectation(mu, scale):
        with seeded(2):
            z = WrappedNormal(mu, scale, c).rsample((500,))
        return (z.square().sum(-1).sqrt() + z[:, 0]).mean()

    parameters = [mu.requires_grad_(), scale.requires_grad_()]
    gradients = torch.autograd.grad(expectation(*parameters), parameters)
    for which, gradient in enumerate(gradients):
        for i in range(3):
            shift = torch.zeros(3, dtype=torch.float64)
            shift[i] = step
            up, down = (
                [p + s * shift if j == which else p for j, p in enumerate(parameters)] for s in (1, -1)
            )
            slope = (expectation(*up) - expectation(*down)).detach() / (2 * step)
            assert float(gradient[i]) == pytest.approx(float(slope), abs=1e-6)


def test_a_small_curvature_is_flat_and_a_rotation_changes_nothing():
    mu, scale, z = random(3), random(3, seed=1).exp(), random(6, 3, seed=2)
    flat = Independent(Normal(mu, scale), 1).log_prob(z)
    torch.testing.assert_close(WrappedNormal(mu, scale, 1e-9).log_prob(z), flat, rtol=1e-6, atol=1e-6)
    rotation, _ = torch.linalg.qr(random(3, 3, seed=3))
    same = torch.full((3,), 0.6, dtype=torch.float64)
    turned = WrappedNormal(rotation @ mu, same, 0.7).log_prob(z @ rotation.T)
    torch.testing.assert_close(turned, WrappedNormal(mu, same, 0.7).log_prob(z), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("distance", "size"),
    [(d, s) for d in (0.0, 1e-20, 1e-3, 10.0) for s in (1e-4, 1.0, 30.0)]
    + [(60.0, 1.0), (60.0, 30.0), (300.0, 1.0)],
)
def test_extremes_in_single_precision_are_finite_with_their_gradients(distance, size):
    mu = (torch.tensor([0.6, -0.8, 0.0]) * distance).expand(100, 3).clone().requires_grad_()
    scale = torch.full((100, 3), size, requires_grad=True)
    with seeded(0):
        q = WrappedNormal(mu, scale, 0.7)
        z = q.rsample()
    terms = z.sum() + q.log_prob(z).sum()
    assert terms.isfinite()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(terms, [mu, scale]))
    assert torch.equal(logarithmic_map(mu, mu, 0.7).detach(), torch.zeros(100, 3))


def test_single_precision_keeps_distances_far_from_the_origin():
    mu = torch.tensor([8.0, 6.0], dtype=torch.float64).expand(50, 2)
    v = random(50, 2, seed=1)
    single = logarithmic_map(mu.float(), exponential_map(mu, v, 1.0).float(), 1.0).double()
    # one rounding of the coordinates, times the growth of the circle there: sinh(10) / 10
    assert (single - v).abs().max() < 1e-6 * np.sinh(10)


def test_the_prior_takes_the_curvature_of_the_posterior():
    sentence = Sentence.parse(network="mlp:hidden=4", posterior="wrapped-normal:curvature=0.7")
    assert sentence.prior.kind == "wrapped-normal"
    model = build_vae(sentence, (3,), latent=2)
    assert untyped(model.prior()).curvature == untyped(model.encode(torch.rand(2, 3))).curvature == 0.7
    z = random(5, 2).float()
    torch.testing.assert_close(
        model.prior().log_prob(z), Independent(Normal(torch.zeros(2), 1.0), 1).log_prob(z)
    )
    for text in ("wrapped-normal:curvature=0", "wrapped-normal:curvature=nan"):
        with pytest.raises(UsageError, match="curvature"):
            build_vae(Sentence.parse(posterior=text), (3,), latent=2)
    with pytest.raises(UsageError, match="standard deviation"):
        build_vae(Sentence.parse(posterior="wrapped-normal", prior="wrapped-normal:scale=0"), (3,), latent=2)
