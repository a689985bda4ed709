"""Schedules, optimisers, clipping and averaging, against torch's own and against formulas."""

import pytest
import torch
from torch import nn

from narrowing import known, untyped
from training.runs import make, run, settings, table, weights
from vaekit.errors import UsageError
from vaekit.language.learning_rates import SCHEDULES, Plateau, parse_schedule
from vaekit.language.optimizers import OPTIMIZERS
from vaekit.training import TrainingSettings
from vaekit.training.optimizing import build_optimizer, clip_gradient
from vaekit.training.players import WeightAverage


def stepped(scheduler, optimizer, steps):
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def one_cycle(pct, **options):
    """Torch's, which turns a step early: its share of the way up is stretched to end at the same step as ours."""
    return lambda o: torch.optim.lr_scheduler.OneCycleLR(
        o, max_lr=0.1, total_steps=41, cycle_momentum=False, pct_start=(40 * pct + 1) / 41, **options
    )


@pytest.mark.parametrize(
    ("text", "make_scheduler"),
    [
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 40)),
        ("one-cycle", one_cycle(0.3)),
        ("one-cycle:warmup=0.5,start=10,end=100", one_cycle(0.5, div_factor=10, final_div_factor=100)),
    ],
)
def test_torch_has_the_same_schedule(text, make_scheduler):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = parse_schedule(text)
    ours = [0.1 * schedule(step / 4, 10) for step in range(40)]
    assert ours == pytest.approx(stepped(make_scheduler(optimizer), optimizer, 40), rel=1e-9)


def test_the_staircase_is_the_paper_s():
    schedule = parse_schedule("staircase")
    expected = [10 ** (-i / 7) for i in range(8) for _ in range(3**i)]
    assert len(expected) == 3280 == TrainingSettings.for_rows(50_000, schedule="staircase").epochs
    assert [schedule(epoch, 3280) for epoch in range(3280)] == expected
    assert schedule(4000, 5000) == expected[-1]


def test_plateau_is_torch_s():
    bounds = torch.randn(60, generator=torch.Generator().manual_seed(0)).cumsum(0).tolist()
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=3, threshold=0.0
    )
    schedule = Plateau(factor=0.5, patience=3)
    for done in range(1, 61):
        scheduler.step(bounds[done - 1])
        assert schedule.given(bounds[:done])(done, 60) == optimizer.param_groups[0]["lr"]
    assert optimizer.param_groups[0]["lr"] < 0.1


def test_plateau_looks_at_the_validation_bound():
    history = run(
        make(), table(), options={"schedule": "plateau:patience=0", "learning_rate": 0.05, "epochs": 15}
    )
    bounds = [epoch.validation_bound for epoch in history.epochs]
    falls = [b <= max(untyped(bounds[:i])) for i, b in enumerate(bounds) if i]
    rates = [epoch.learning_rate for epoch in history.epochs]
    assert [after < before for before, after in zip(rates[1:], rates[2:], strict=False)] == falls[:-1]
    assert any(falls)


@pytest.mark.parametrize("text", SCHEDULES)
def test_every_schedule_trains(text):
    history = run(make(), table(), options={"schedule": text, "epochs": 3})
    assert len(history.epochs) == 3
    assert all(0 <= epoch.learning_rate <= 5e-3 for epoch in history.epochs)


@pytest.mark.parametrize(
    ("text", "built"),
    [
        ("adam:epsilon=1e-4", lambda p: torch.optim.Adam(p, lr=0.01, eps=1e-4, fused=True)),
        ("adam:beta1=0.5,beta2=0.9", lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.5, 0.9), fused=True)),
        ("adam:amsgrad=true", lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True, fused=True)),
        ("rmsprop", lambda p: torch.optim.RMSprop(p, lr=0.01)),
        (
            "rmsprop:centered=true,decay=0.9",
            lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, centered=True),
        ),
    ],
)
def test_optimizers_are_torch_s(text, built):
    found = []
    for make_optimizer in (lambda p: build_optimizer(text, p, 0.01), built):
        parameter = nn.Parameter(torch.tensor([1.0, -2.0]))
        optimizer = make_optimizer([parameter])
        for _ in range(5):
            optimizer.zero_grad()
            (parameter**4).sum().backward()
            optimizer.step()
        found.append(parameter.detach())
    assert torch.equal(*found)


def test_the_optimizer_s_options_reach_the_training():
    states = []
    for text in ("adam", "adam:epsilon=1e-2", "rmsprop"):
        model = make()
        run(model, table(), options={"optimizer": text})
        states.append(weights(model))
    assert not torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "linear"}, "There are: constant, cosine, one-cycle, plateau, staircase"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"schedule": "cosine:warmup=1"}, "cosine has no option 'warmup'; it takes no options"),
        ({"schedule": "plateau:patience=soon"}, "patience=soon: 'soon' is not a whole number"),
        ({"schedule": "plateau:factor=2"}, "factor=2; give a number between 0 and 1"),
        (
            {"schedule": "plateau:reductions=1"},
            "plateau has no option 'reductions'; There are: factor, patience",
        ),
        ({"schedule": "one-cycle:warmup=1"}, "warmup=1; give a share"),
        ({"optimizer": "adan"}, "did you mean 'adam'"),
        ({"optimizer": "adam:eps=1"}, "There are: beta1, beta2, epsilon, amsgrad"),
        ({"optimizer": "rmsprop:centered=yes"}, "centered=yes: expected true or false"),
        ({"optimizer": "adam:beta2=1"}, "beta2=1; give a number of at least 0 and below 1"),
        ({"optimizer": "adam:epsilon=0"}, "epsilon=0; give a positive number"),
        ({"clip": 0.0}, "clip=0: give a positive number, auto, or none"),
        ({"clip": "often"}, "clip='often'"),
        ({"averaging": 1.0}, "averaging=1: give a decay"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        settings(**options)


def test_every_default_is_an_option():
    for kind in (*SCHEDULES.values(), *OPTIMIZERS.values()):
        kind()


@pytest.mark.parametrize("limit", [0.5, 1e3])
def test_clipping_is_torch_s(limit):
    gradients = [torch.randn(3, 4), torch.randn(5)]
    ours, theirs = ([nn.Parameter(torch.zeros_like(g)) for g in gradients] + [nn.Parameter(torch.zeros(1))]
                    for _ in range(2))  # fmt: skip
    for parameters in (ours, theirs):
        for parameter, gradient in zip(parameters, gradients, strict=False):
            parameter.grad = gradient.clone()  # the last has none
    norm = clip_gradient(ours, limit)
    expected = torch.nn.utils.clip_grad_norm_(theirs, limit)
    torch.testing.assert_close(norm, expected)
    for mine, its, gradient in zip(ours, theirs, gradients, strict=False):
        torch.testing.assert_close(mine.grad, its.grad)
        assert torch.equal(known(mine.grad), gradient) == (limit > 100), (
            "a short one is left as it is, to the bit"
        )
    assert float(clip_gradient([nn.Parameter(torch.zeros(1))], limit)) == 0


def test_clipping_is_logged_and_changes_nothing_where_it_does_not_act():
    models, epochs = [], []
    for clip in (None, "auto", 1.0):
        models.append(make())
        epochs.append(run(models[-1], table(), options={"clip": clip}).epochs[0])
    assert torch.equal(weights(models[0]), weights(models[1]))
    assert not torch.equal(weights(models[0]), weights(models[2]))
    assert (epochs[0].gradient_norm, epochs[0].clipped) == (None, None)
    assert epochs[1].clipped == 0
    assert epochs[1].gradient_norm > 1
    assert epochs[2].clipped > 0.5


def test_the_average_is_the_formula():
    model = make()
    average = WeightAverage(model, decay=0.6)
    expected = weights(model).double()
    for t in range(1, 21):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update()
        decay = min(0.6, t / (9 + t))
        expected = decay * expected + (1 - decay) * weights(model).double()
    torch.testing.assert_close(weights(average.model).double(), expected, rtol=1e-5, atol=1e-6)
    assert average.steps == 20


def test_the_average_is_evaluated_selected_and_kept():
    plain, averaged = make(), make()
    first = run(plain, table(), options={"learning_rate": 0.05, "epochs": 20})
    second = run(averaged, table(), options={"learning_rate": 0.05, "epochs": 20, "averaging": 0.95})
    assert [e.train_bound for e in first.epochs] == [e.train_bound for e in second.epochs], "the same steps"
    assert first.epochs[3].validation_bound != second.epochs[3].validation_bound
    assert not torch.equal(weights(plain), weights(averaged))
    assert not averaged.training
    assert all(parameter.requires_grad for parameter in averaged.parameters())

    def jumps(history):
        bounds = torch.tensor([epoch.validation_bound for epoch in history.epochs[10:]])
        return bounds.diff().abs().mean()

    assert jumps(second) < jumps(first), "an average moves more evenly"
