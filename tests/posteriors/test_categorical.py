"""The categorical posterior: exact bounds, relaxed gradients."""

import pytest
import torch

from narrowing import untyped
from vaekit.errors import UsageError
from vaekit.language.schedules import Schedule
from vaekit.objectives import Elbo
from vaekit.posteriors import CategoricalPosterior
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae
from vaekit.training import TrainingSettings, train


def make(posterior, prior="categorical:masses=learned", objective="elbo"):
    sentence = Sentence.parse(network="mlp:hidden=8", posterior=posterior, prior=prior, objective=objective)
    with seeded(0):
        return build_vae(sentence, (4,), latent=2).double()


def data(n=5):
    with seeded(1):
        return torch.rand(n, 4, dtype=torch.float64).round()


def test_features_are_logits_and_the_mean_is_the_probabilities():
    posterior = CategoricalPosterior(2, categories=3)
    logits = torch.tensor([[0.0, 1.0, 2.0, 3.0, 0.0, 0.0]])
    q = posterior(logits)
    torch.testing.assert_close(q.mean, logits.unflatten(1, (2, 3)).softmax(-1).flatten(1))
    assert q.mode.tolist() == [[0, 0, 1, 1, 0, 0]]
    assert q.codes.tolist() == [[2, 0]]
    assert q.sample(torch.Size((7,))).shape == (7, 1, 6)
    torch.testing.assert_close(q.entropy(), torch.distributions.Categorical(q.probs).entropy().sum(-1))


def test_the_bound_does_not_know_what_the_surrogate_sees():
    x = data()
    results = []
    for straight_through in ("true", "false"):
        model = make(f"categorical:categories=3,straight_through={straight_through}")
        with seeded(2):
            results.append(Elbo()(model, x))
    discrete, relaxed = results
    assert torch.equal(discrete.bound, relaxed.bound)
    assert torch.equal(discrete.bound, discrete.surrogate)
    assert not torch.isclose(relaxed.surrogate, relaxed.bound).any()
    assert torch.equal(discrete.kl, relaxed.kl)


def test_the_gradient_of_a_relaxed_surrogate_is_that_of_finite_differences():
    model, x = make("categorical:categories=3,straight_through=false,temperature=0.5"), data()
    weight = untyped(model.parts["encoder"].layers)[-1].weight

    def surrogate():
        with seeded(2):
            return Elbo()(model, x).surrogate.sum()

    surrogate().backward()
    with torch.no_grad():
        for i in (0, 3, 5):
            weight[i, 1] += 1e-6
            above = surrogate()
            weight[i, 1] -= 2e-6
            below = surrogate()
            weight[i, 1] += 1e-6
            assert weight.grad[i, 1] == pytest.approx(((above - below) / 2e-6).item(), rel=1e-6, abs=1e-8)


def test_the_temperature_follows_its_schedule_and_no_bound_sees_it():
    model, x = make("categorical:temperature=linear:2..0.5/2,straight_through=false"), data(8)
    posterior = model.parts["posterior"]
    assert posterior.schedules == {"temperature": Schedule("linear", 2.0, 0.5, 2.0)}
    bounds = []
    for epochs in (0.0, 1.0, 2.0):
        untyped(posterior).at(epochs)
        with seeded(3):
            bounds.append(Elbo()(model, x))
    assert all(torch.equal(result.bound, bounds[0].bound) for result in bounds)
    assert not torch.equal(bounds[0].surrogate, bounds[2].surrogate)
    train(model, Elbo(), x, settings=TrainingSettings(epochs=2, batch_size=4), seed=0)
    assert posterior.temperature == pytest.approx(2.0 - 1.5 * 1.5 / 2)


def test_a_relaxed_surrogate_is_refused_where_it_cannot_be_told_from_the_bound():
    for kind, part in PARTS["objective"].items():
        if part.traits.takes_relaxation:
            make("categorical:straight_through=false", objective=kind)
        elif not part.traits.needs_classifier:  # that is refused for want of a condition, before
            with pytest.raises(UsageError, match=r"straight_through=true|posterior=diagonal|codes"):
                make("categorical:straight_through=false", objective=kind)


def test_a_mixture_of_categorical_posteriors_is_a_prior():
    model = make("categorical:categories=3", prior="vamp:components=4")
    z = model.prior().sample(torch.Size((6,)))
    pseudo = model.encode(untyped(model.parts["prior"].pseudo_inputs))
    expected = pseudo.log_prob(z[:, None]).logsumexp(1) - torch.log(torch.tensor(4.0))
    torch.testing.assert_close(model.prior().log_prob(z), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("categories=1", "categories=1; give at least 2"),
        ("temperature=0", "temperature=0"),
        ("temperature=linear:1..0/10", "temperature=linear"),
        ("temperature=nan", "temperature=nan"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(UsageError, match=message):
        make(f"categorical:{options}")


def test_a_latent_there_must_be():
    with pytest.raises(UsageError, match="latent=0"):
        CategoricalPosterior(0)
