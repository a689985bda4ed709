"""Objectives with a second player: the two learn against each other, and never share a gradient."""

import copy

import pytest
import torch
from torch.nn.functional import softplus

from narrowing import known
from vaekit import VariationalAutoencoder
from vaekit.errors import UsageError
from vaekit.objectives import FactorizedPosterior, Opposed
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae, parse
from vaekit.training import (
    Examples,
    OpponentSteps,
    Progress,
    RunSetup,
    TrainingSettings,
    carry_out,
    train,
)

OPPOSED = [kind for kind, part in PARTS["objective"].items() if issubclass(part, Opposed)]


def make(objective, likelihood="gaussian:scale=fixed", seed=0):
    sentence = Sentence.parse(network="mlp:hidden=8", likelihood=likelihood, objective=objective)
    with seeded(seed):
        return build_vae(sentence, (5,), latent=3)


def data(n=40):
    with seeded(1):
        return torch.randn(n, 5)


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()]).clone()


@pytest.fixture(params=OPPOSED)
def kind(request):
    return request.param


def test_there_are_some():
    assert "factor" in OPPOSED
    assert "elbo" not in OPPOSED


def test_without_its_opponent_it_says_what_to_call(kind):
    objective, model = parse("objective", kind).build(), make(kind)
    with pytest.raises(UsageError, match=rf"{kind}: .*build_opponent"):
        objective(model, data())
    with pytest.raises(UsageError, match="build_opponent"):
        objective.opponent_loss(model, data())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_opponent_is_of_the_models_type_and_its_loss_is_one_finite_number_an_example(kind, dtype):
    objective, model = parse("objective", kind).build(), make(kind).to(dtype)
    objective.build_opponent(model)
    assert {p.dtype for p in objective.opponent.parameters()} == {dtype}
    for n in (1, 2, 7):
        loss = objective.opponent_loss(model, data(n).to(dtype))
        assert loss.shape == (n,)
        assert loss.isfinite().all()
        assert (loss >= 0).all()


def test_no_gradient_passes_between_the_players(kind):
    objective, model = parse("objective", kind).build(), make(kind)
    objective.build_opponent(model)
    objective(model, data()).surrogate.mean().backward()
    assert all(p.grad is None for p in objective.opponent.parameters())
    model.zero_grad(set_to_none=True)
    objective.opponent_loss(model, data()).mean().backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in objective.opponent.parameters())


def test_the_gradients_between_the_steps_are_those_of_the_player_alone(kind):
    """Even of an objective that forgets to cut them: the loop asks for the opponent's alone."""

    class Careless(FactorizedPosterior):
        def opponent_loss(self, model, x, c=None):
            return softplus(-self.player()(model.encode(x).rsample())).squeeze(-1)

    objective, model = Careless(hidden=(8,)), make("factor")
    steps = OpponentSteps(objective, model, learning_rate=1e-2, seed=0)
    before, own = weights(model), weights(objective.opponent)
    steps.step(data())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(before, weights(model))
    assert not torch.equal(own, weights(objective.opponent))


def test_the_loop_builds_and_trains_it_after_each_step_of_the_model_from_the_runs_seed(kind):
    events = []
    states = []
    for seed in (0, 0, 1):
        objective, model = parse("objective", kind).build(), make(kind)
        call, loss = type(objective).__call__, objective.opponent_loss

        class Watched(type(objective)):
            def __call__(self, model, x, c=None):
                events.append(("model", len(x)))
                return call(self, model, x, c)  # noqa: B023

        def watched_loss(model, x, c=None, loss=loss):
            events.append(("opponent", len(x)))
            return loss(model, x, c)

        objective.__class__ = Watched
        objective.opponent_loss = watched_loss
        settings = TrainingSettings(epochs=2, batch_size=16)
        train(model, objective, data(33), settings=settings, seed=seed)
        states.append((weights(model), weights(objective.opponent)))
    assert events[:6] == [(who, n) for n in (16, 16, 1) for who in ("model", "opponent")]
    for ours, again, other in zip(*states, strict=True):
        assert torch.equal(ours, again)
        assert not torch.equal(ours, other)


def test_a_checkpoint_of_the_second_player_goes_on_to_the_same_bytes(kind):
    model, x = make(kind), data()
    first = OpponentSteps(parse("objective", kind).build(), model, learning_rate=1e-2, seed=0)
    second = OpponentSteps(parse("objective", kind).build(), model, learning_rate=1e-2, seed=1)
    with seeded(2):
        first.step(x)
    second.load_state_dict(copy.deepcopy(first.state_dict()))  # as a file would
    for steps in (first, second):
        with seeded(3):
            steps.step(x)
    assert torch.equal(weights(first.opponent), weights(second.opponent))


def test_the_learning_rate_of_the_run_is_the_opponents_too(kind):
    objective, model = parse("objective", kind).build(), make(kind)
    steps = OpponentSteps(objective, model, learning_rate=1e-3, seed=0)
    settings = TrainingSettings(epochs=4, batch_size=20, schedule="cosine")
    progress = Progress(opponent=steps)
    carry_out(
        RunSetup(
            model=model,
            objective=objective,
            data=Examples(data()),
            settings=settings,
            seed=0,
            progress=progress,
        )
    )
    assert steps.optimizer.param_groups[0]["lr"] == pytest.approx(settings.learning_rate_at(7 / 8))


def test_partial_fit_keeps_the_opponent_and_a_new_fit_does_not():
    x = data(64).numpy()
    vae = VariationalAutoencoder(
        2,
        network="mlp:hidden=8",
        likelihood="gaussian",
        objective="factor:hidden=8",
        epochs=1,
        random_state=0,
    )
    vae.partial_fit(x)
    opponent = known(known(vae._progress).opponent).opponent
    before = weights(opponent)
    vae.partial_fit(x)
    assert known(known(vae._progress).opponent).opponent is opponent
    assert not torch.equal(before, weights(opponent))
    vae.fit(x)
    vae.partial_fit(x)
    assert known(known(vae._progress).opponent).opponent is not opponent
