"""Mistakes that existing libraries make with distributions, evaluation and numerics: each one written, and caught.

The numbers go on from those of ``test_pitfalls.py``.
"""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from narrowing import untyped
from oracles.linear_gaussian import LinearGaussian
from vaekit import VariationalAutoencoder
from vaekit.distributions import PlanarFlow
from vaekit.evaluation import log_likelihood
from vaekit.gaussian import kl_divergence
from vaekit.objectives import Elbo
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae


def make(**parts):
    with seeded(0):
        return build_vae(Sentence.parse(network="mlp:hidden=8", **parts), (5,), latent=2).double()


def test_4_the_evidence_takes_as_many_samples_as_asked_for_of_the_right_sign_encodes_once_and_keeps_no_graph():
    truth = LinearGaussian.random(columns=4, latent=2)
    model, x = truth.vae(exact=False), truth.draw(60)

    def faulty(model, x, n_samples):
        """Whatever ``n_samples`` is, one sample; in chunks that encode anew; and of the wrong sign."""
        total = 0
        for _ in range(3):
            q = model.encode(x)
            z = q.rsample()
            total = total + model.log_joint(x, z) - q.log_prob(z)
        return -total / 3

    with seeded(1):
        mended = int(log_likelihood(model, x, samples=2000).mended.sum())

    def examine(estimate):
        """What is wrong with an estimator of log p(x) with so many samples, in words."""
        rows, wrong = [], set()
        handle = model.parts["encoder"].register_forward_hook(
            lambda _, inputs, __: rows.append(len(inputs[0]))
        )
        with seeded(1):
            few, many = estimate(model, x, 1), estimate(model, x, 2000)
        handle.remove()
        error = many.detach() - truth.log_evidence(x)
        if error.abs().mean() > 1:
            wrong.add("value")
        if error.abs().mean() > 0.3 * (few.detach() - truth.log_evidence(x)).abs().mean():
            wrong.add("samples")
        if many.requires_grad:
            wrong.add("graph")
        # Once for each estimate, whatever its samples; of many samples once more, to look for mass that q misses;
        # and a row that gets a proposal of its own once more, in float64.
        if sum(rows) > 3 * len(x) + mended:
            wrong.add("encoder")
        return wrong

    assert examine(lambda model, x, n: log_likelihood(model, x, samples=n).values) == set()
    assert examine(faulty) == {"value", "samples", "graph", "encoder"}


def kolmogorov_smirnov(p, draw):
    """The distance of draws ``(n, 1)`` from the distribution that ``log_prob`` says, times the root of n."""
    with torch.no_grad(), seeded(3):
        draws = draw(4000).flatten().sort().values
        low, high = draws[0] - draws.std(), draws[-1] + draws.std()
        grid = low + (high - low) * torch.linspace(0, 1, 40_001, dtype=torch.float64)
        density = p.log_prob(grid[:, None]).exp()
    cumulative = torch.cumsum(density, 0) * (grid[1] - grid[0])
    at = cumulative[torch.searchsorted(grid, draws)]
    n = len(draws)
    return float((at - (torch.arange(n) + 0.5) / n).abs().max() * n**0.5)


@pytest.mark.parametrize(
    "parts",
    [
        {"prior": "gaussian"},
        {"prior": "mixture:components=3"},
        {"prior": "gmm:components=3"},
        {"prior": "vamp:components=3"},
        {"prior": "flow:layers=2"},
        {"posterior": "full"},
        {"posterior": "maf:context=4,layers=2"},
        {"posterior": "spline:context=4,layers=2"},
    ],
    ids=str,
)
def test_7_what_is_drawn_is_what_is_scored(parts):
    with seeded(0):
        sentence = Sentence.parse(network="mlp:hidden=8", likelihood="gaussian", **parts)
        model = build_vae(sentence, (5,), latent=1).double().eval()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.3)
        x = torch.randn(1, 5, dtype=torch.float64)
    p = model.prior() if "prior" in parts else model.encode(x)
    assert kolmogorov_smirnov(p, lambda n: p.sample(torch.Size((n,)))) < 1.95, "0.1 %"


def test_7_a_tanh_in_the_sampler_alone_is_seen():
    mean, log_variance = torch.zeros(1, dtype=torch.float64), torch.full((1,), 1.5, dtype=torch.float64)
    p = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)

    def faulty(n):
        return mean + (0.5 * log_variance.tanh()).exp() * torch.randn(n, 1, dtype=torch.float64)

    assert kolmogorov_smirnov(p, faulty) > 1.95


def test_8_a_planar_step_never_folds_whatever_its_parameters():
    with seeded(0):
        w, u = (4 * torch.randn(500, 1, 2, dtype=torch.float64) for _ in range(2))
        b = torch.randn(500, 1, dtype=torch.float64)
    along = w[:, 0] / w[:, 0].norm(dim=-1, keepdim=True)
    steps = torch.linspace(-3, 3, 2001, dtype=torch.float64)[:, None, None]

    def folds(step):
        """Whether going straight along w, the image turns back."""
        image = (step(steps * along) * along).sum(-1)
        return bool((image.diff(dim=0) <= 0).any())

    def faulty(z):
        """Equation 10 without the appendix: w'u may be anything."""
        return z + u[:, 0] * ((w[:, 0] * z).sum(-1) + b[:, 0]).tanh()[..., None]

    assert not folds(lambda z: PlanarFlow()(z, (w, u, b))[0])
    assert folds(faulty)


@pytest.mark.parametrize("kind", ["iaf:context=4", "maf:context=4", "spline:context=4", "planar"])
def test_8_a_flow_posterior_is_of_another_shape_for_another_x(kind):
    model = make(posterior=kind, likelihood="gaussian")
    with seeded(1), torch.no_grad():
        for parameter in model.parts["posterior"].parameters():
            parameter.mul_(3)
        q = model.encode(3 * torch.randn(2, 5, dtype=torch.float64))
        noise = torch.randn(20_000, 1, 2, dtype=torch.float64)

    def difference(base, context):
        """Of third moments and correlations, place and size taken away: of what a flow is there for."""
        with torch.no_grad():
            z = untyped(q).flow(base, context)[0]
        z = (z - z.mean(0)) / z.std(0)
        moments = torch.cat([z.pow(3).mean(0), z.prod(-1).mean(0)[:, None]], 1)
        return float((moments[0] - moments[1]).abs().max())

    def shared(context):
        """The faulty form: what is learned beside x, in place of what is computed from it."""
        if isinstance(context, tuple):
            return tuple(map(shared, context))
        return None if context is None else context[:1].expand_as(context)

    assert difference(untyped(q).base.mean + untyped(q).base.stddev * noise, untyped(q).context) > 0.01
    assert difference(noise.expand(-1, 2, -1), shared(untyped(q).context)) < 1e-9


def test_10_embeddings_and_scores_are_the_same_bytes_twice_and_draws_are_not():
    x = np.random.default_rng(0).normal(size=(60, 4))
    vae = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=2, random_state=0).fit(x)

    def faulty():
        """A draw, where the mean is asked for."""
        with torch.no_grad():
            return vae.model_.encode(torch.as_tensor(x, dtype=torch.float32)).sample().numpy()

    assert not np.array_equal(faulty(), faulty())
    assert np.array_equal(vae.transform(x), vae.transform(x))
    assert np.array_equal(vae.score_samples(x, samples=5), vae.score_samples(x, samples=5))
    assert np.array_equal(vae.transform(x[::-1]), vae.transform(x)[::-1])
    assert np.allclose(
        vae.score_samples(x[::-1], samples=5), vae.score_samples(x, samples=5)[::-1], rtol=1e-5
    )


def test_13_every_example_has_noise_of_its_own():
    model = make(likelihood="gaussian")
    x = torch.ones(50, 5, dtype=torch.float64)

    def faulty(q):
        """One noise vector, shared by the batch."""
        return q.mean + q.stddev * torch.randn(2, dtype=torch.float64)

    def distinct(z):
        return len(z.round(decimals=9).unique(dim=0))

    with torch.no_grad(), seeded(1):
        q = model.encode(x)
        assert distinct(faulty(q)) == 1
        assert distinct(q.rsample()) == 50
        assert len(Elbo()(model, x).bound.unique()) == 50


def test_14_a_log_variance_is_neither_a_variance_nor_a_deviation():
    model = make(likelihood="gaussian")
    features = torch.tensor([[0.3, -0.2, 0.8, -1.0]], dtype=torch.float64)
    mean, log_variance = features.chunk(2, 1)
    q, p = model.parts["posterior"](features), model.prior()
    # The bound on log-variances bends these by less than 1e-3.
    exact = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum()
    faulty = {
        "deviation for log-variance": 0.5
        * ((2 * log_variance).exp() + mean.square() - 1 - 2 * log_variance).sum(),
        "without 1/2": 2 * exact,
        "without -k": exact + 1,
    }
    ours = kl_divergence(
        MultivariateNormal(q.mean, torch.diag_embed(q.variance)),
        MultivariateNormal(p.mean, torch.eye(2).double()),
    )
    assert torch.allclose(ours, exact, atol=5e-3)
    for name, wrong in faulty.items():
        assert not torch.allclose(ours, wrong, atol=5e-2), name


def test_17_bounds_at_different_weights_are_not_compared():
    """While beta rises, the weighted loss gets worse though the model does not; what is selected on stays."""
    model = make(likelihood="gaussian")
    with seeded(1):
        x = torch.randn(20, 5, dtype=torch.float64)
    found = []
    for beta in (0.01, 1.0):
        with seeded(2), torch.no_grad():
            result = Elbo(beta=beta)(model, x)
        found.append((result.surrogate.mean(), result.bound.mean()))
    assert found[0][0] > found[1][0], "the faulty form: the first epoch looks best"
    assert found[0][1] == found[1][1]


def test_18_float32_divergences_of_nearly_equal_gaussians_are_never_negative():
    with seeded(0):
        mean, log_variance = torch.randn(1000, 8), torch.randn(1000, 8)
        other = mean + 1e-5 * torch.randn(1000, 8), log_variance + 1e-5 * torch.randn(1000, 8)

    def faulty(m, v, m2, v2):
        """The textbook formula, term by term."""
        return 0.5 * ((v - v2).exp() + (m - m2).square() / v2.exp() - 1 + v2 - v).sum(1)

    textbook = faulty(mean, log_variance, *other)
    q, p = (
        MultivariateNormal(m, scale_tril=torch.diag_embed((0.5 * v).exp()))
        for m, v in ((mean, log_variance), other)
    )
    assert (textbook < 0).float().mean() > 0.1
    assert (kl_divergence(q, p) >= 0).all()
