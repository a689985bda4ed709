"""A decoder that begins at the data's marginals, whatever the likelihood and the network."""

import pytest
import torch

from narrowing import untyped
from vaekit.contracts import Likelihood
from vaekit.errors import UsageError
from vaekit.objectives import Elbo
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae
from vaekit.training import Examples, Progress, RunSetup, TrainingSettings, carry_out, train
from vaekit.training.output_bias import begin_at_marginals, begins_at_marginals

SAYS = [
    kind
    for kind, part in PARTS["likelihood"].items()
    if part.marginal_features is not Likelihood.marginal_features
]


def make(likelihood, network="mlp:hidden=6", shape=(4,)):
    with seeded(0):
        return build_vae(Sentence.parse(network=network, likelihood=likelihood), shape, latent=2)


def silence_all_but_the_bias(model):
    """The decoder gives the same features for every latent."""
    layers = [layer for layer in model.parts["decoder"].modules() if hasattr(layer, "bias")]
    with torch.no_grad():
        layers[-1].weight.zero_()


def data(kind, shape=(4,), n=400):
    with seeded(1):
        size = torch.tensor([0.2, 3.0, 40.0, 5000.0]).reshape(4, *[1] * (len(shape) - 1))
        rows = size * torch.rand(n, *shape)
        if kind in ("bernoulli", "continuous-bernoulli"):
            return (rows / rows.amax()).clamp(0, 1)
        return (
            rows.round().clamp(max=255) if kind in ("categorical", "discretized-logistic") else rows.round()
        )


@pytest.mark.parametrize("kind", [kind for kind in SAYS if kind != "categorical"])
def test_the_mean_is_the_datas(kind):
    model, x = make(kind), data(kind)
    begin_at_marginals(model, x)
    silence_all_but_the_bias(model)
    mean = model.decode(torch.randn(5, 2)).mean
    torch.testing.assert_close(mean, x.mean(0).expand(5, 4), rtol=1e-3, atol=1.5 / len(x))


def test_a_bernoulli_begins_at_the_logit_of_the_training_mean():
    x = data("bernoulli")
    model = make("bernoulli")
    begin_at_marginals(model, x)
    mean = (x.sum(0) + 0.5) / (len(x) + 1)
    torch.testing.assert_close(untyped(model.parts["decoder"].layers)[-1].bias, (mean / (1 - mean)).log())
    begin_at_marginals(model, torch.zeros(10, 4))
    assert untyped(model.parts["decoder"].layers)[-1].bias.isfinite().all()


def test_a_categorical_begins_at_the_frequencies_of_the_levels():
    x = torch.tensor([[0.0], [0.0], [2.0], [0.0]])
    model = make("categorical:levels=3", shape=(1,))
    begin_at_marginals(model, x)
    silence_all_but_the_bias(model)
    likelihood, levels = model.decode(torch.zeros(1, 2)), torch.arange(3.0)[:, None, None]
    probabilities = torch.stack([likelihood.log_prob(level).exp() for level in levels])
    torch.testing.assert_close(probabilities.flatten(), torch.tensor([3.5, 0.5, 1.5]) / 5.5)


@pytest.mark.parametrize(
    "network", ["convolutional:channels=4,hidden=6", "residual-convolutional:channels=4,blocks=1"]
)
def test_pixels_of_a_channel_share_a_convolutions_bias(network):
    x = data("poisson", (4, 5, 3))
    model = make("poisson", network, (4, 5, 3))
    begin_at_marginals(model, x)
    silence_all_but_the_bias(model)
    expected = x.mean((0, 2, 3))[:, None, None].expand(4, 5, 3)
    torch.testing.assert_close(model.decode(torch.zeros(1, 2)).mean[0], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("option", ["scale=per-example", "scale=learned"])
def test_scales_begin_where_they_did(option):
    model, x = make(f"gaussian:{option}"), data("gaussian")
    begin_at_marginals(model, x)
    silence_all_but_the_bias(model)
    assert torch.equal(model.decode(torch.zeros(1, 2)).variance, torch.ones(1, 4))


def test_large_counts_are_learned_sooner():
    x = data("negative-binomial")
    bounds = []
    for output_bias in ("none", "auto"):
        model = make("negative-binomial", "mlp:hidden=16")
        settings = TrainingSettings(epochs=3, batch_size=40, output_bias=output_bias)
        history = train(model, Elbo(), x, settings=settings, seed=0)
        bounds.append([epoch.train_bound for epoch in history.epochs])
    assert bounds[1][0] > bounds[0][-1] + 5


def test_auto_is_for_counts_and_changes_nothing_else():
    kinds = [kind for kind in PARTS["likelihood"] if kind != "ms-ssim"]  # that is for images alone
    assert {kind for kind in kinds if begins_at_marginals(make(kind), "auto")} == {
        kind for kind in SAYS if PARTS["likelihood"][kind].traits.measure in ("counts", "mixed")
    }
    x = data("bernoulli")
    states = []
    for output_bias in ("none", "auto", "marginal"):
        model = make("bernoulli")
        train(model, Elbo(), x, settings=TrainingSettings(epochs=1, output_bias=output_bias), seed=0)
        states.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_it_is_set_once_and_not_again_when_a_run_goes_on():
    model, x = make("poisson"), data("poisson")
    settings = TrainingSettings(epochs=1)
    history = train(model, Elbo(), x, settings=settings, seed=0)
    before = untyped(model.parts["decoder"].layers)[-1].bias.detach().clone()
    again = RunSetup(
        model=model,
        objective=Elbo(),
        data=Examples(0 * x),
        settings=settings,
        seed=0,
        progress=Progress(history),
    )
    carry_out(again)
    assert (untyped(model.parts["decoder"].layers)[-1].bias - before).abs().max() < 1


def test_what_cannot_begin_there_says_so():
    with pytest.raises(UsageError, match="DiscretizedLogisticLikelihood"):
        begin_at_marginals(make("discretized-logistic"), data("discretized-logistic"))
    model = make("poisson")
    model.parts["decoder"] = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Linear(4, 4, bias=False))
    with pytest.raises(UsageError, match="does not end in a layer with a bias"):
        begin_at_marginals(model, data("poisson"))
    assert not begins_at_marginals(model, "auto")
    with pytest.raises(UsageError, match="output_bias='margin'"):
        TrainingSettings(output_bias=untyped("margin"))
