"""Flows: maps that are inverted, densities that integrate to one, and draws that know their own density."""

import subprocess
import sys

import pytest
import torch
from scipy import stats
from torch.distributions import Independent, Normal

from vaekit.distributions import (
    FlowDistribution,
    LocatedFlow,
    PlanarFlow,
    gated_steps,
    masked_affine_steps,
    spline_steps,
)
from vaekit.errors import UsageError
from vaekit.objectives.gradient_paths import stop_gradient
from vaekit.runtime.randomness import seeded

KINDS = ["gated", "affine", "spline", "spline-to-noise", "located", "planar"]


def make(kind, k, context=3, strength=10.0):
    """A flow far from its start, and a distribution of batch shape (2,) on it."""
    if kind == "planar":
        with seeded(1):
            base = Independent(Normal(torch.randn(2, k).double(), 0.5 + torch.rand(2, k).double()), 1)
            w, u = torch.randn(2, 2, 3, k).double()
            context = (w, 0.7 * u, torch.randn(2, 3).double())
        return FlowDistribution(base, PlanarFlow(), context)
    build = {
        "gated": gated_steps,
        "affine": masked_affine_steps,
        "spline": lambda *a, **b: spline_steps(*a, draws_in_one_pass=True, **b),
        "spline-to-noise": spline_steps,
        "located": lambda *a, **b: LocatedFlow(spline_steps(*a, **b)),
    }[kind]
    with seeded(0):
        flow = build(kind, k, context=context, layers=2).double()
        with torch.no_grad():
            for parameter in flow.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(strength**0.5)
        mean, scale = torch.randn(2, k).double(), 0.5 + torch.rand(2, k).double()
        h = torch.randn(2, context).double()
    if kind == "located":
        noise = Normal(torch.zeros_like(mean), torch.ones_like(mean))
        return FlowDistribution(Independent(noise, 1), flow, (mean, scale.log(), h))
    return FlowDistribution(Independent(Normal(mean, scale), 1), flow, h)


def everything(q):
    """The parameters, the context and the base: all that a gradient could reach."""
    context = q.context if isinstance(q.context, tuple) else (q.context,)
    return [*q.flow.parameters(), *context, q.base.base_dist.loc, q.base.base_dist.scale]


def elsewhere(q, z):
    """The density by inversion, as at any point that is no draw."""
    return q.log_prob(z.clone())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_inverse_undoes_the_map_and_both_know_the_jacobian(kind, k):
    q = make(kind, k)
    with seeded(1):
        u = torch.randn(2, k).double()
    z, log_det = q.flow(u, q.context)
    again, minus = q.flow(z, q.context, invert=True)
    torch.testing.assert_close(again, u, rtol=0, atol=1e-9)
    torch.testing.assert_close(minus, -log_det, rtol=0, atol=1e-9)
    jacobian = torch.autograd.functional.jacobian(lambda u: q.flow(u, q.context)[0].sum(0), u)
    expected = torch.stack([jacobian[:, i].slogdet().logabsdet for i in range(2)])
    torch.testing.assert_close(log_det, expected, rtol=0, atol=1e-9)
    assert log_det.abs().max() > 0.05, "a map that does something"


def grid_1d(q):
    z = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    with torch.no_grad():
        return z, q.log_prob(z[:, None, None]).exp()  # (points, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_in_one_dimension_it_integrates_to_one_and_draws_agree(kind):
    q = make(kind, 1)
    z, density = grid_1d(q)
    assert torch.trapezoid(density, z, dim=0) == pytest.approx(torch.ones(2), abs=1e-5)
    with seeded(1):
        draws = q.sample((4000,))[:, :, 0]
    for i in range(2):
        cumulative = torch.cumulative_trapezoid(density[:, i], z)
        at = cumulative[torch.searchsorted(z, draws[:, i].contiguous()) - 1]
        assert stats.kstest(at.numpy(), "uniform").pvalue > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_in_two_dimensions_it_integrates_to_one_and_draws_agree(kind):
    q = make(kind, 2)
    axis = torch.linspace(-9, 9, 301, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        density = q.log_prob(points[:, None]).exp()[:, 0].unflatten(0, (301, 301))
    assert torch.trapezoid(torch.trapezoid(density, axis), axis) == pytest.approx(1, abs=1e-3)
    with seeded(2):
        draws = q.sample((20_000,))[:, 0]
    edges = axis[::12].contiguous()  # cells of 0.72 by 0.72
    cell = torch.bucketize(draws.contiguous(), edges) - 1
    observed = torch.zeros(25, 25).index_put((cell[:, 0], cell[:, 1]), torch.ones(20_000), accumulate=True)
    fine = density[:300, :300] + density[1:, :300] + density[:300, 1:] + density[1:, 1:]
    expected = 20_000 * (0.06**2 * fine / 4).unflatten(0, (25, 12)).unflatten(2, (25, 12)).sum((1, 3))
    large = expected > 10
    rest_seen, rest = observed[~large].sum() + 1e-9, expected[~large].sum() + 1e-9
    seen = torch.cat([observed[large].double(), rest_seen[None].double()])
    due = torch.cat([expected[large], rest[None]])
    assert stats.chisquare(seen, due * seen.sum() / due.sum()).pvalue > 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_a_draw_knows_its_density_as_the_inverse_finds_it(kind, shape):
    q = make(kind, 3)
    with seeded(1):
        z = q.rsample(shape)
    assert z.shape == (*shape, 2, 3)
    own = q.log_prob(z)
    assert own.shape == (*shape, 2)
    torch.testing.assert_close(own, elsewhere(q, z), rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_density_and_gradient_of_a_draw_are_those_of_the_inverse(kind):
    q = make(kind, 3)
    for tensor in everything(q):
        tensor.requires_grad_(True)
    with seeded(1):
        z = q.rsample((4,))
    loss = (q.log_prob(z) + z.sin().sum(-1)).sum()
    slow = (elsewhere(q, z) + z.sin().sum(-1)).sum()
    for a, b in zip(
        torch.autograd.grad(loss, everything(q), retain_graph=True),
        torch.autograd.grad(slow, everything(q)),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_a_draw_without_a_graph_is_scored_as_a_fixed_point(kind):
    q = make(kind, 3)
    for tensor in everything(q):
        tensor.requires_grad_(True)
    with seeded(1):
        fixed = q.sample((4,))
        z = q.rsample((4,))
    expected = torch.autograd.grad(elsewhere(q, fixed).sum(), everything(q))
    q.sample((4,))  # what is remembered is another draw
    found = torch.autograd.grad(q.log_prob(fixed).sum(), everything(q))
    torch.testing.assert_close(found, expected)
    with seeded(1):
        assert torch.equal(q.sample((4,)), fixed)
    torch.testing.assert_close(torch.autograd.grad(q.log_prob(fixed).sum(), everything(q)), expected)
    # the same numbers off the graph are a fixed point too, and not the draw
    z = q.rsample((4,))
    found = torch.autograd.grad(q.log_prob(z.detach()).sum(), everything(q))
    torch.testing.assert_close(found, torch.autograd.grad(elsewhere(q, z.detach()).sum(), everything(q)))


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_it_is_a_function_of_z_alone(kind):
    q = make(kind, 3)
    for tensor in everything(q):
        tensor.requires_grad_(True)
    z = q.rsample((4,))
    point = z.detach().requires_grad_(True)
    (expected,) = torch.autograd.grad(elsewhere(q, point).sum(), point)
    stopped = stop_gradient(q)
    value = stopped.log_prob(point)
    torch.testing.assert_close(value, q.log_prob(z), rtol=0, atol=1e-8)
    (found,) = torch.autograd.grad(value.sum(), point)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)
    assert not stopped.log_prob(z.detach()).requires_grad
    # through z to the parameters, as the doubly reparameterised gradient goes
    through = torch.autograd.grad(stopped.log_prob(z).sum(), everything(q), retain_graph=True)
    by_hand = torch.autograd.grad((z * expected).sum(), everything(q))
    torch.testing.assert_close(through, by_hand, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_bound_and_evaluation_never_invert_for_the_density_of_their_own_draws(kind):
    q = make(kind, 3)
    calls = []
    q.flow.register_forward_pre_hook(lambda m, a, k: calls.append(k.get("invert", False)), with_kwargs=True)
    z = q.rsample((5,))
    q.log_prob(z)
    assert calls == [False]
    with torch.no_grad():
        z = q.sample((5,))
        q.log_prob(z)
        stop_gradient(q).log_prob(z.view_as(z))
    assert calls == [False, False]
    z += 1  # the same object, other numbers
    with torch.no_grad():
        torch.testing.assert_close(stop_gradient(q).log_prob(z), elsewhere(q, z))
    assert calls[2:] == [True, True]


@pytest.mark.parametrize("kind", KINDS)
def test_density_broadcasts_against_the_batch(kind):
    q = make(kind, 3)
    with seeded(1):
        z = torch.randn(5, 1, 3).double()
    expected = torch.stack([q.log_prob(z[:, 0][:, None])[:, i] for i in range(2)], 1)
    torch.testing.assert_close(q.log_prob(z), expected)
    assert q.log_prob(z[0, 0]).shape == (2,)


@pytest.mark.parametrize("kind", KINDS)
def test_the_context_bends_the_shape_and_not_the_place_alone(kind):
    # A flow posterior whose shape does not depend on x is a learned prior in disguise.
    q = make(kind, 2, strength=30.0)
    h = q.context[-1] if isinstance(q.context, tuple) else q.context
    h.requires_grad_(True)
    u = torch.zeros(2, 2, dtype=torch.float64)
    (slope,) = torch.autograd.grad(q.flow(u, q.context)[1].sum(), h)
    assert slope.abs().max() > 1e-3


class Unconstrained(PlanarFlow):
    """The faulty form: u as it comes."""

    def constrain(self, w, u):
        return u, (w * u).sum(-1)


@pytest.mark.parametrize("projection", [-3.0, -1.0, 0.0, 3.0])
def test_a_planar_step_is_invertible_whatever_u_is_and_one_that_is_not_is_found_out(projection):
    w = torch.full((1, 1, 1), 2.0, dtype=torch.float64)
    context = (w, projection / w, torch.full((1, 1), 0.3, dtype=torch.float64))
    base = Independent(Normal(torch.zeros(1, 1).double(), torch.ones(1, 1).double()), 1)
    z = torch.linspace(-14, 14, 280_001, dtype=torch.float64)

    def mass(flow):
        density = FlowDistribution(base, flow, context).log_prob(z[:, None, None]).exp()[:, 0]
        return torch.trapezoid(density.nan_to_num(), z)

    assert mass(PlanarFlow()) == pytest.approx(1, abs=1e-4)
    image = PlanarFlow()(z[:, None, None], context)[0][:, 0, 0]
    assert (image.diff() > 0).all()
    if projection < -1:
        assert abs(mass(Unconstrained()) - 1) > 0.1, "the faulty form has no density, and it shows"


def test_a_planar_step_without_u_or_without_w_is_no_more_than_a_shift():
    zero, some = torch.zeros(1, 1, 2), torch.ones(1, 1, 2)
    z = torch.randn(5, 1, 2)
    for context in ((some, zero, torch.ones(1, 1)), (zero, zero, torch.ones(1, 1))):
        image, log_det = PlanarFlow()(z, context)
        torch.testing.assert_close(image, z)
        torch.testing.assert_close(log_det, torch.zeros(5, 1))
    image, log_det = PlanarFlow()(z, (zero, some, torch.ones(1, 1)))
    torch.testing.assert_close(image, z + torch.tanh(torch.tensor(1.0)))
    assert (log_det == 0).all()


@pytest.mark.parametrize("build", [gated_steps, masked_affine_steps])
def test_a_hidden_layer_hears_every_dimension(build):
    with pytest.raises(UsageError, match="at least 5 units for 5 latent"):
        build("iaf", 5, context=1, hidden=(4,))
    flow = build("iaf", 5, context=1, layers=1, hidden=(5,)).double()
    jacobian = torch.autograd.functional.jacobian(
        lambda u: flow(u, torch.zeros(1).double())[0], torch.randn(5).double()
    )
    assert (jacobian.tril() != 0).sum() == 15
    assert (jacobian.triu(1) == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"layers": 0}, "layers=0"), ({"bins": 1}, "bins=1"), ({"hidden": (0,)}, "hidden=0")],
)
def test_sizes_that_make_no_sense(options, message):
    with pytest.raises(UsageError, match=message):
        spline_steps("spline", 2, context=1, **options)


def test_building_a_flow_changes_nothing_for_the_rest_of_the_process():
    code = """
import sys, warnings
import numpy, sympy, torch  # torch itself imports sympy late, which adds a filter of its own
from torch.distributions import Distribution, Normal, transforms
import vaekit.sentence
assert "zuko" not in sys.modules, "imported before it is needed"
attributes = {name: Distribution.__dict__[name] for name in ("_validate_args", "arg_constraints")}
name, threads = transforms._InverseTransform.__name__, torch.get_num_threads()
filters, dtype = list(warnings.filters), torch.get_default_dtype()
from vaekit.posteriors import InverseAutoregressivePosterior, SplinePosterior
from vaekit.priors import FlowPrior
state = torch.get_rng_state()
from vaekit.distributions.flow_steps import import_zuko
import_zuko()
assert torch.equal(state, torch.get_rng_state())
for part in (InverseAutoregressivePosterior(2), SplinePosterior(2)):
    part(torch.zeros(3, *part.feature_shape)).rsample()
FlowPrior((2,))().sample()
assert "zuko" in sys.modules
assert attributes == {name: Distribution.__dict__[name] for name in attributes}
assert name == transforms._InverseTransform.__name__ and threads == torch.get_num_threads()
assert filters == warnings.filters and dtype == torch.get_default_dtype()
try:
    Normal(torch.zeros(1), -torch.ones(1))
except ValueError:
    pass
else:
    raise SystemExit("validation is off")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
