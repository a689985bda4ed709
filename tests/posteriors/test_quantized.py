"""Quantised posteriors: what is drawn, what learns, and that neither depends on the size of the batch."""

import copy

import pytest
import torch

from vaekit.distributions import OneHotCodes
from vaekit.errors import UsageError
from vaekit.objectives import Elbo, ImportanceWeighted
from vaekit.posteriors import QuantizedPosterior, ResidualQuantizedPosterior
from vaekit.posteriors.quantizer import Quantizer
from vaekit.priors import CategoricalPrior
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae

KINDS = {
    "ema": lambda **o: QuantizedPosterior(4, codes=5, dimension=2, **o),
    "gradient": lambda **o: QuantizedPosterior(4, codes=5, dimension=2, codebook="gradient", **o),
    "residual": lambda **o: ResidualQuantizedPosterior(4, codes=5, dimension=2, levels=3, **o),
    "residual, shared": lambda **o: ResidualQuantizedPosterior(
        4, codes=5, dimension=2, levels=3, share=True, **o
    ),
    "residual, gradient": lambda **o: ResidualQuantizedPosterior(
        4, codes=5, levels=2, codebook="gradient", **o
    ),
}


def make(kind, **options):
    with seeded(0):
        return KINDS[kind](**options).double()


def features(n=6):
    with seeded(1):
        return torch.randn(n, 4, dtype=torch.float64)


def test_a_position_gets_the_nearest_vector_of_the_codebook():
    posterior, x = make("ema").eval(), features()
    q = posterior(x)
    vectors = posterior.codebook.vectors[0]
    each = x.unflatten(1, (2, 2))
    distance = (each[:, :, None] - vectors).square().sum(-1)
    assert torch.equal(q.codes, distance.argmin(-1))
    assert torch.equal(q.mean, vectors[q.codes].flatten(1))
    assert q.log_prob(q.sample()).tolist() == [0.0] * 6
    assert q.rsample(torch.Size((3,))).shape == (3, 6, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_residual_levels_add_up_and_leave_less_and_less(kind):
    posterior, x = make(kind, commitment=1.0), features(200)
    for _ in range(3):
        posterior(x)
    q = posterior.eval()(x)
    levels = q.mean.unflatten(1, (posterior.levels, 4))
    if posterior.levels > 1:
        assert torch.equal(posterior.decoder_input(q.mean), levels.sum(1))
    left = [x.square().sum(), *((x - so_far).square().sum() for so_far in levels.cumsum(1).unbind(1))]
    assert all(after < before for before, after in zip(left[:-1], left[1:], strict=True))
    codes, exact = q.codebook.find(q.mean)
    assert torch.equal(codes, q.codes)
    assert exact.all()
    if posterior.quantizers[0].learning == "ema":
        expected = sum((x - so_far).square().sum(1) for so_far in levels.cumsum(1).unbind(1))
        torch.testing.assert_close(q.auxiliary_loss, expected)


def test_the_codes_of_a_residual_latent_are_not_those_of_its_sum():
    # Quantising the sum again may choose other codes: so a latent keeps its levels apart.
    posterior = make("residual")
    posterior(features(200))
    q = posterior.eval()(features(200))
    again = posterior(posterior.decoder_input(q.mean))
    assert not torch.equal(again.codes, q.codes)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_goes_straight_through_to_the_encoder(kind):
    posterior = make(kind, commitment=0.25).eval()
    x = features().requires_grad_()
    weights = torch.linspace(1, 2, 4, dtype=torch.float64)
    q = posterior(x)
    z = q.rsample()
    seen = z if posterior.levels == 1 else posterior.decoder_input(z)
    (slope,) = torch.autograd.grad((seen * weights).sum(), x, retain_graph=True)
    assert torch.equal(slope, weights.expand(6, 4))
    (pull,) = torch.autograd.grad(q.auxiliary_loss.sum(), x)
    prefixes = q.mean.detach().unflatten(1, (posterior.levels, 4)).cumsum(1)
    torch.testing.assert_close(pull, 0.5 * (x[:, None] - prefixes).sum(1))


def test_the_codebook_loss_draws_vectors_to_what_they_stand_for():
    posterior, x = make("gradient", commitment=7.0).eval(), features()
    q = posterior(x)
    vectors = posterior.quantizers[0].vectors
    (slope,) = torch.autograd.grad(q.auxiliary_loss.sum(), vectors)
    each = x.unflatten(1, (2, 2))
    expected = torch.zeros_like(vectors)
    for k in range(5):
        expected[k] = 2 * (vectors[k] - each[q.codes == k]).sum(0)
    torch.testing.assert_close(slope, expected)
    other = make("gradient").eval()(x)
    assert not other.rsample().requires_grad, "the objective trains the encoder, and not the codebook"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [False, True])
def test_results_do_not_depend_on_the_size_of_the_batch(kind, training):
    posterior, x = make(kind), features()
    posterior(features(50))  # the codebook has its first vectors
    posterior.train(training)
    before = copy.deepcopy(posterior)
    q, twice = posterior(x), before(torch.cat([x, x]))
    torch.testing.assert_close(twice.auxiliary_loss, torch.cat([q.auxiliary_loss] * 2))
    torch.testing.assert_close(twice.mean, torch.cat([q.mean] * 2))
    for (name, ours), theirs in zip(
        posterior.state_dict().items(), before.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(theirs, ours, msg=name)
    if not training:
        alone = before(x[:1])
        assert torch.equal(alone.mean, q.mean[:1])

    def faulty(q, x):
        """The sum over the batch, given to each of its examples."""
        return q.auxiliary_loss + (x - q.mean.detach()[:, :4]).square().sum()

    assert not torch.allclose(faulty(twice, torch.cat([x, x]))[:6], faulty(q, x)), "the faulty form is caught"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [False, True])
def test_a_batch_of_one(kind, training):
    posterior = make(kind).train(training)
    for n in (1, 1, 6):
        q = posterior(features(n))
        assert q.mean.isfinite().all()
        assert q.auxiliary_loss.shape == (n,)


def test_the_running_mean_is_that_of_its_closed_form():
    with seeded(0):
        quantizer = Quantizer(3, 2, learning="ema", decay=0.9, revive=None).double()
        batches = [torch.randn(8, 2, dtype=torch.float64) for _ in range(12)]
    quantizer.update(batches[0])  # every code takes the place of a vector: what went before does not count
    seen = []
    state = copy.deepcopy(quantizer.state_dict())
    for batch in batches[1:]:
        seen.append((quantizer(batch), batch))
        quantizer.update(batch)
    numerator, denominator = 0.9 ** len(seen) * state["sums"], 0.9 ** len(seen) * state["usage"]
    for age, (codes, batch) in zip(reversed(range(len(seen))), seen, strict=True):
        for k in range(3):
            numerator[k] += 0.9**age * 0.1 * batch[codes == k].sum(0) / 8
            denominator[k] += 0.9**age * 0.1 * (codes == k).sum() / 8
    torch.testing.assert_close(quantizer.vectors, numerator / denominator[:, None])
    torch.testing.assert_close(denominator.sum(), torch.tensor(1 - 0.9**12, dtype=torch.float64))


def test_a_code_without_use_stays_where_it_is_until_it_is_revived():
    with seeded(0):
        quantizer = Quantizer(2, 1, learning="ema", decay=0.5, revive=None)
    quantizer.update(torch.tensor([[0.0], [10.0]]))
    there = quantizer.vectors.max().clone()
    for _ in range(300):  # usage fades to below the smallest float
        quantizer.update(torch.zeros(4, 1))
    assert quantizer.vectors.max() == there
    assert quantizer.vectors.isfinite().all()
    assert sorted(quantizer.idle.tolist()) == [0, 300]


@pytest.mark.parametrize("learning", ["ema", "gradient"])
def test_dead_codes_are_moved_to_vectors_of_the_batch_by_the_seed(learning):
    def run(seed):
        with seeded(0):
            quantizer = Quantizer(4, 1, learning=learning, decay=0.99, revive=3)
        with seeded(seed):
            quantizer.update(torch.tensor([[0.0], [1.0], [2.0], [3.0]]))
            for _ in range(3):
                quantizer.update(torch.tensor([[0.1]] * 9))
            assert (quantizer.idle == 3).sum() == 3
            before = quantizer.vectors.detach().clone()
            quantizer.update(torch.arange(100.0, 150.0)[:, None])
        moved = quantizer.vectors.detach()
        assert ((moved > 50).sum(), (before > 50).sum()) == (3, 0)
        return moved

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_a_small_batch_revives_no_vector_twice():
    with seeded(0):
        quantizer = Quantizer(6, 1, learning="ema", decay=0.99, revive=100)
    start = quantizer.vectors.clone()
    quantizer.update(torch.tensor([[50.0], [60.0]]))
    assert sorted(quantizer.vectors[:2, 0].tolist()) == pytest.approx([50.0, 60.0])
    assert torch.equal(quantizer.vectors[2:], start[2:])
    quantizer.update(torch.tensor([[70.0], [80.0], [90.0], [100.0]]))
    assert sorted(quantizer.vectors[2:, 0].tolist()) == pytest.approx([70.0, 80.0, 90.0, 100.0])


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_learns_in_evaluation_or_without_gradients(kind):
    posterior = make(kind)
    before = copy.deepcopy(posterior.state_dict())
    with torch.no_grad():
        posterior(features())
    posterior.eval()
    posterior(features())
    for name, value in posterior.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize(
    "posterior", ["quantized:codes=6", "residual-quantized:codes=6,levels=2", "categorical"]
)
@pytest.mark.parametrize("prior", ["categorical:masses=learned", "autoregressive:hidden=8"])
def test_the_prior_of_a_copy_speaks_the_language_of_its_own_codebook(posterior, prior):
    sentence = Sentence.parse(network="mlp:hidden=8", posterior=posterior, prior=prior)
    with seeded(0):
        model = build_vae(sentence, (3,), latent=2).eval()
    clone = copy.deepcopy(model)
    with torch.no_grad():
        for quantizer in getattr(clone.parts["posterior"], "quantizers", []):
            quantizer.vectors.add_(1)
    z = model.prior().sample(torch.Size((20,)))
    assert model.prior().log_prob(z).isfinite().all()
    if posterior != "categorical":
        assert (clone.prior().log_prob(z) == -torch.inf).all()
        assert clone.prior().log_prob(clone.prior().sample(torch.Size((20,)))).isfinite().all()
        model.load_state_dict(clone.state_dict())
        assert (model.prior().log_prob(z) == -torch.inf).all()
    assert model.sample(5).shape == (5, 3)


def test_a_prior_over_codes_wants_a_posterior_over_codes():
    with pytest.raises(UsageError, match=r"the prior categorical is over codes, but the posterior has none"):
        CategoricalPrior(2, 3)(codebook=None)
    with pytest.raises(
        UsageError, match=r"do not fit together.*Priors for quantized: categorical, autoregressive"
    ):
        build_vae(Sentence.parse(posterior="quantized", prior="standard"), (3,), latent=2)
    with pytest.raises(UsageError, match=r"each of quantized is a single point.*categorical, autoregressive"):
        build_vae(Sentence.parse(posterior="quantized", prior="vamp"), (3,), latent=2)
    assert Sentence.parse(posterior="quantized").prior.kind == "categorical"
    assert CategoricalPrior(2, 3)(codebook=OneHotCodes(2, 3)).sample().shape == (6,)


@pytest.mark.parametrize(
    "posterior", ["quantized:codes=6", "residual-quantized:codes=6,levels=2", "categorical"]
)
def test_what_needs_a_derivative_along_a_draw_is_refused(posterior):
    for objective, message in (
        ("iwae:gradient=dreg", "use gradient=standard"),
        ("iwae:gradient=stl", "use gradient=standard"),
        ("tc", "use posterior=diagonal"),
        ("factor", "codes"),
        ("dip:kind=2", "kind=1"),
    ):
        with pytest.raises(UsageError, match=message):
            build_vae(Sentence.parse(posterior=posterior, objective=objective), (3,), latent=2)


def test_many_importance_samples_of_a_point_are_one():
    with seeded(0):
        model = build_vae(
            Sentence.parse(network="mlp:hidden=8", posterior="quantized:codes=6"), (3,), latent=2
        ).eval()
    x = torch.rand(5, 3).round()
    torch.testing.assert_close(ImportanceWeighted(samples=9)(model, x).bound, Elbo()(model, x).bound)
    kl = Elbo()(model, x).kl
    torch.testing.assert_close(kl, torch.full((5,), 2 * torch.tensor(6.0).log().item()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("codes=1", "codes=1; give at least 2"),
        ("dimension=3", "latent=4 is no multiple of dimension=3.*1, 2, 4"),
        ("dimension=0", "dimension=0"),
        ("commitment=-1", "commitment=-1"),
        ("decay=1", "decay=1"),
        ("revive=0", "revive=0"),
        ("codebook=emma", "did you mean 'ema'"),
    ],
)
@pytest.mark.parametrize("kind", ["quantized", "residual-quantized"])
def test_options_that_make_no_sense(kind, options, message):
    with pytest.raises(UsageError, match=message):
        build_vae(Sentence.parse(posterior=f"{kind}:{options}"), (3,), latent=4)


def test_residual_levels_and_a_latent_there_must_be():
    with pytest.raises(UsageError, match="levels=0"):
        ResidualQuantizedPosterior(4, levels=0)
    with pytest.raises(UsageError, match="latent=0"):
        QuantizedPosterior(0)
    with pytest.raises(UsageError, match="there are ema and gradient"):
        QuantizedPosterior(2, codebook="mean")  # type: ignore[arg-type]
