"""The Hamiltonian posterior: dynamics as the formula says, unbiased weights, refusals."""

import copy

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from narrowing import known, untyped
from oracles.linear_gaussian import LinearGaussian
from vaekit.errors import UsageError
from vaekit.evaluation import Estimate, log_likelihood
from vaekit.posteriors import DiagonalPosterior, HamiltonianDistribution, HamiltonianPosterior
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae, parse
from vaekit.vae import VAE

NAMES = ("encoder", "posterior", "prior", "decoder", "likelihood")
PARTS = {"network": "mlp:hidden=8", "posterior": "hamiltonian"}


def on_linear_gaussian(truth, **options):
    off = truth.vae(exact=False).parts
    posterior = HamiltonianPosterior(truth.latent, **options)
    return VAE(off["encoder"], posterior, off["prior"], off["decoder"], off["likelihood"]).double()


def distribution(root=1.0, steps=4, scale=0.3):
    target = Independent(Normal(torch.tensor([1.0, -1.0]).double(), torch.tensor([0.5, 2.0]).double()), 1)
    base = Independent(Normal(torch.zeros(3, 2).double(), torch.ones(3, 2).double()), 1)
    step_size = torch.tensor([scale, scale / 2]).double()
    return HamiltonianDistribution(base, target.log_prob, step_size, torch.tensor(root).double(), steps)


@pytest.mark.parametrize("root", [1.0, 2.5])
def test_draws_follow_the_paper_step_by_step(root):
    q, steps = distribution(root), 4
    with seeded(0):
        z = q.rsample()
    with seeded(0):
        start = q.base.rsample()
        noise = torch.randn_like(start)
    centre, precision = torch.tensor([1.0, -1.0]).double(), torch.tensor([4.0, 0.25]).double()
    beta = [(1 / ((1 - root) * k**2 / steps**2 + root)) ** 2 for k in range(steps + 1)]
    assert beta[0] == pytest.approx(root**-2)
    assert beta[-1] == pytest.approx(1)
    at, momentum = start, noise / beta[0] ** 0.5
    for k in range(1, steps + 1):
        half = momentum - q.step_size / 2 * precision * (at - centre)
        at = at + q.step_size * half
        momentum = (beta[k - 1] / beta[k]) ** 0.5 * (half - q.step_size / 2 * precision * (at - centre))
    torch.testing.assert_close(z, at)
    extended = (
        Independent(Normal(q.base.mean, 1.0), 1).log_prob(start)
        + Normal(0.0, 1.0).log_prob(noise).sum(-1)
        - Normal(0.0, 1.0).log_prob(momentum).sum(-1)
    )
    torch.testing.assert_close(q.log_prob(z), extended)


def test_tempering_acts():
    with seeded(0):
        cold = distribution(1.0).rsample((20_000,))
    with seeded(0):
        hot = distribution(3.0).rsample((20_000,))
    assert not torch.allclose(cold, hot)
    assert (hot.std((0, 1)) > 1.2 * cold.std((0, 1))).all()


@pytest.mark.parametrize("root", [1.0, 1.7])
def test_the_map_changes_volumes_by_what_the_density_of_the_momenta_grew_by(root):
    q = distribution(root)
    state = torch.randn(4).double()

    def flow(state):
        z, momentum = state[:2], state[2:]
        return torch.cat(q.evolve(z, momentum * root))

    jacobian = torch.autograd.functional.jacobian(flow, state)
    torch.testing.assert_close(jacobian.det().abs(), torch.tensor(1.0).double())


@pytest.mark.parametrize("inverse_temperature", [1.0, 0.4])
def test_bounds_are_below_the_evidence_and_importance_sampling_meets_it(inverse_temperature):
    truth = LinearGaussian.random(4, 2, scale=1.0)
    model = on_linear_gaussian(truth, step_size=0.15, inverse_temperature=inverse_temperature)
    x = truth.draw(600)
    exact = truth.log_evidence(x)
    with seeded(11), torch.no_grad():
        gaps = [
            Estimate.of(exact - parse("objective", text).build()(model, x).bound)
            for text in ("elbo", "iwae:samples=5", "iwae:samples=100")
        ]
        many = log_likelihood(model, x[:40], samples=4000)
        common = log_likelihood(model, x[:40], samples=4000, common_noise=True)
    assert gaps[0].mean > 4 * gaps[0].standard_error
    assert gaps[0].mean > gaps[1].mean > gaps[2].mean > -4 * gaps[2].standard_error
    for found in (many, common):
        standard_error = (1 / found.effective_sample_size - 1 / 4000).sqrt()
        assert ((found.values - exact[:40]).abs() < 5 * standard_error).all()


def test_tempered_dynamics_learn_to_improve_on_a_base_that_is_off():
    # Without tempering energy is conserved, and the bound is that of the base but for the error of the steps.
    truth = LinearGaussian.random(4, 2, scale=1.0)
    x = truth.draw(200)
    exact = truth.log_evidence(x)
    model = on_linear_gaussian(truth, steps=4, step_size=0.1, inverse_temperature=0.8)
    posterior = model.parts["posterior"]
    plain = VAE(*(model.parts[n] if n != "posterior" else DiagonalPosterior(2) for n in NAMES))
    with torch.no_grad():
        untyped(model.parts["encoder"].bias)[:2] += 1.0

    def gap(model):
        with seeded(12):
            return (exact - parse("objective", "elbo").build()(model, x).bound).mean()

    base = gap(plain)
    optimizer = torch.optim.Adam(posterior.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        gap(model).backward()
        optimizer.step()
    assert 0 < gap(model) < 0.75 * base
    assert untyped(posterior.root_temperature) > 1


@pytest.mark.parametrize("objective", ["elbo", "iwae:samples=3", "piwae:samples=2,groups=2", "mmd"])
def test_the_gradient_reaches_steps_temperature_encoder_and_decoder(objective):
    with seeded(0):
        model = build_vae(Sentence.parse(**PARTS, objective=objective), (5,), 2)
        x = torch.rand(6, 5).round()
        parse("objective", objective).build()(model, x).surrogate.mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_the_gradient_of_the_bound_is_that_of_finite_differences():
    truth = LinearGaussian.random(4, 2, scale=1.0)
    model, x = on_linear_gaussian(truth, step_size=0.2), truth.draw(5)

    def bound():
        with seeded(3):
            return parse("objective", "elbo").build()(model, x).bound.sum()

    bound().backward()
    for parameter in (model.parts["posterior"].raw_step_size, model.parts["decoder"].weight):
        with torch.no_grad():
            flat = untyped(parameter).view(-1)
            flat[0] += 1e-6
            above = bound()
            flat[0] -= 2e-6
            below = bound()
            flat[0] += 1e-6
        assert float(untyped(known(parameter.grad)).view(-1)[0]) == pytest.approx(
            float((above - below) / 2e-6), rel=1e-4
        )


def test_encode_is_deterministic_and_copies_are_tied_to_themselves():
    with seeded(0):
        model, again = (build_vae(Sentence.parse(**PARTS), (5,), 2) for _ in range(2))
        x = torch.rand(6, 5).round()
    again.load_state_dict(model.state_dict())
    mean = model.encode(x).mean
    assert torch.equal(mean, model.encode(x).mean)
    torch.testing.assert_close(model.encode(x.flip(0)).mean, mean.flip(0))
    torch.testing.assert_close(model.encode(x[:1]).mean, mean[:1])
    clone = copy.deepcopy(model)
    for other in (again, clone):
        assert torch.equal(other.encode(x).mean, mean)
    with torch.no_grad():
        nn.init.zeros_(untyped(clone.parts["decoder"].layers)[-1].weight)
    assert torch.equal(model.encode(x).mean, mean)
    assert not torch.equal(clone.encode(x).mean, mean), "the copy follows its own decoder"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"objective": "iwae:gradient=dreg"}, "use gradient=standard"),
        ({"objective": "iwae:gradient=stl"}, "use gradient=standard"),
        ({"objective": "tc"}, "use posterior=diagonal"),
        ({"objective": "dip:kind=2"}, "use kind=1"),
        ({"prior": "vamp:components=3"}, "density of its own draws alone"),
        ({"posterior": "hamiltonian:steps=0"}, "steps=0"),
        ({"posterior": "hamiltonian:step_size=0"}, "step_size=0"),
        ({"posterior": "hamiltonian:inverse_temperature=1.5"}, "inverse_temperature=1.5"),
        ({"posterior": "hamiltonian:inverse_temperature=0"}, "inverse_temperature=0"),
    ],
)
def test_what_needs_a_density_elsewhere_and_values_out_of_range_are_refused_when_built(parts, message):
    with pytest.raises(UsageError, match=message):
        build_vae(Sentence.parse(**{**PARTS, **parts}), (5,), 2)


def test_a_point_that_is_no_draw_has_no_density():
    q = distribution()
    z = q.rsample()
    for point in (z.clone(), z.detach(), torch.zeros(3, 2)):
        with pytest.raises(UsageError, match="its last draw alone"):
            q.log_prob(point)
