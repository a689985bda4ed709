"""The loop: it learns, it is deterministic, it stops, and it never loses the best weights."""

from copy import deepcopy

import pytest
import torch

from narrowing import known, untyped
from vaekit.contracts import Objective
from vaekit.errors import TrainingDivergedError, TrainingWarning, UsageError
from vaekit.evaluation import evaluate_bound
from vaekit.objectives import Elbo, ImportanceWeighted, ObjectiveResult, Schedule
from vaekit.runtime import threads
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae, parse
from vaekit.training import Callbacks, Examples, Progress, RunSetup, TrainingSettings, carry_out, train


@pytest.fixture
def data():
    with seeded(0):
        return torch.randn(300, 2) @ torch.randn(2, 5) + 0.1 * torch.randn(300, 5)


def make(seed=0):
    with seeded(seed):
        return build_vae(Sentence.parse(network="mlp:hidden=16", likelihood="gaussian"), (5,), latent=2)


def settings(**changes):
    return TrainingSettings(**{"epochs": 5, "batch_size": 32, "learning_rate": 5e-3, **changes})


def described(objective, x, model=None, progress=None, **changes):
    return RunSetup(
        model=make() if model is None else model,
        objective=objective,
        data=Examples(x),
        settings=settings(epochs=1, **changes),
        seed=0,
        progress=Progress() if progress is None else progress,
    )


def test_it_learns(data):
    model = make()
    history = train(model, Elbo(), data, settings=settings(epochs=60), seed=0)
    bounds = [epoch.train_bound for epoch in history.epochs]
    assert bounds[-1] > bounds[0] + 3
    assert history.stopped == "epochs"
    assert history.best_epoch == 60
    with seeded(1):
        after = evaluate_bound(model, Elbo(), data)
    assert after.estimate.mean == pytest.approx(bounds[-1], abs=0.5)
    last = history.epochs[-1]
    assert last.train_bound == pytest.approx(last.train_reconstruction - last.train_kl, rel=1e-5)
    assert sum(known(last.kl_per_dimension)) == pytest.approx(last.train_kl, rel=1e-5)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(data):
    states = []
    for seed in (0, 0, 1):
        model = make()
        train(model, Elbo(), data, data[:50], settings=settings(), seed=seed)
        states.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_every_example_is_seen_once_an_epoch_in_a_new_order():
    data = torch.arange(10.0).reshape(10, 1)
    seen = []

    class Watching(Elbo):
        def __call__(self, model, x, c=None):
            seen.append(x.flatten().tolist())
            return super().__call__(model, x, c)

    with seeded(0):
        model = build_vae(Sentence.parse(network="mlp:hidden=4", likelihood="gaussian"), (1,), latent=1)
    train(model, Watching(), data, settings=settings(epochs=2, batch_size=3), seed=0)
    assert [len(batch) for batch in seen] == [3, 3, 3, 1] * 2, "the last batch, of one row, is kept"
    first, second = ([row for batch in half for row in batch] for half in (seen[:4], seen[4:]))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_early_stopping_keeps_the_best_weights_and_says_why_it_stopped(data):
    model = make()
    snapshots = {}

    def keep(metrics, is_best):
        if is_best:
            snapshots[metrics.epoch] = {k: v.clone() for k, v in model.state_dict().items()}

    history = train(
        model, Elbo(), data[:20], data[200:],
        settings=settings(epochs=500, learning_rate=2e-2, patience=15), seed=0, callbacks=Callbacks(on_epoch=keep),
    )  # fmt: skip
    assert history.stopped == "patience"
    assert len(history.epochs) == history.best_epoch + 15
    best = max(history.epochs, key=untyped(lambda epoch: epoch.validation_bound))
    assert best.epoch == history.best_epoch
    for name, value in model.state_dict().items():
        assert torch.equal(value, snapshots[history.best_epoch][name])


def test_patience_waits_for_the_end_of_the_schedules(data):
    warmup = Elbo(beta=Schedule("linear", 0.0, 1.0, 30))
    options = settings(
        epochs=60, learning_rate=1e-12, patience=4
    )  # nothing is learned, so that no epoch is better
    history = train(make(), warmup, data[:20], data[200:], settings=options, seed=0)
    assert history.stopped == "patience"
    assert len(history.epochs) == 34
    history = train(make(), Elbo(), data[:20], data[200:], settings=options, seed=0)
    assert len(history.epochs) < 34


def test_patience_follows_from_the_epochs():
    expected = {3: 10, 50: 10, 100: 20, 300: 50, 3280: 50}
    assert {n: TrainingSettings.for_rows(500, epochs=n).patience for n in expected} == expected
    assert TrainingSettings.for_rows(500, patience=7).patience == 7
    assert TrainingSettings.for_rows(500, patience=None).patience is None
    with pytest.raises(UsageError, match="patience='soon': give at least 1 epoch, auto, or none"):
        TrainingSettings.for_rows(500, patience="soon")


def test_selection_looks_at_the_bound_and_not_at_the_weighted_surrogate(data):
    # With a huge beta the surrogate is far below the bound: what is reported must be the bound.
    history = train(make(), Elbo(beta=100), data, data[:50], settings=settings(epochs=1), seed=0)
    metrics = history.epochs[0]
    assert metrics.validation_bound == pytest.approx(
        known(metrics.validation_reconstruction) - known(metrics.validation_kl), rel=1e-6
    )


def test_a_loss_that_is_not_finite_stops_with_step_term_and_column_and_gives_the_best_weights_back(data):
    data = data.clone()
    model = make()
    good = {}

    def poison_after_two(metrics, is_best):
        if metrics.epoch == 2:
            good.update({k: v.clone() for k, v in model.state_dict().items()})
            data[7, 3] = 3e38

    match = r"epoch 3, step \d+: .*term.*column 3 .*3e\+38"
    with (
        pytest.warns(TrainingWarning, match=match + r".*half the learning rate \(\d of 3 times\)") as warned,
        pytest.raises(TrainingDivergedError, match=match),
    ):
        train(
            model, Elbo(), data, settings=settings(), seed=0, callbacks=Callbacks(on_epoch=poison_after_two)
        )
    for name, value in model.state_dict().items():
        assert torch.equal(value, good[name])
    assert len(warned) == 3


def test_ctrl_c_gives_the_best_weights_back(data):
    model = make()
    good = {}

    def interrupt(metrics, is_best):
        good.update({k: v.clone() for k, v in model.state_dict().items()})
        if metrics.epoch == 2:
            raise KeyboardInterrupt

    history = train(model, Elbo(), data, settings=settings(), seed=0, callbacks=Callbacks(on_epoch=interrupt))
    assert history.stopped == "interrupted"
    assert history.best_epoch == 2
    for name, value in model.state_dict().items():
        assert torch.equal(value, good[name])


def test_what_is_differentiated_is_the_surrogate(data):
    class Frozen(Objective):
        """A surrogate without gradient: nothing may move, whatever the bound does."""

        def __call__(self, model, x, c=None):
            result = Elbo()(model, x, c)
            return ObjectiveResult(
                result.bound, result.surrogate * 0, result.reconstruction, result.kl, result.kl_per_dimension
            )

    model = make()
    before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
    train(model, Frozen(), data, settings=settings(epochs=1), seed=0)
    assert torch.equal(before, torch.cat([p.detach().flatten() for p in model.parameters()]))


def test_cosine_falls_from_the_learning_rate_to_zero():
    schedule = settings(schedule="cosine", learning_rate=2.0)
    assert schedule.learning_rate_at(0) == 2.0
    assert schedule.learning_rate_at(0.5) == pytest.approx(1.0)
    assert schedule.learning_rate_at(1.0) == pytest.approx(0, abs=1e-12)
    history = train(
        make(), Elbo(), torch.randn(64, 5), settings=settings(schedule="cosine", epochs=4), seed=0
    )
    rates = [epoch.learning_rate for epoch in history.epochs]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] < 5e-3


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0}, {"learning_rate": float("nan")}, {"patience": 0},
     {"schedule": "linear"}],
)  # fmt: skip
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        settings(**wrong)


@pytest.mark.parametrize("rows", [1, 2, 15, 150, 1500, 60_000, 10**7])
def test_settings_by_rows_stay_within_reason(rows):
    found = TrainingSettings.for_rows(rows)
    assert 16 <= found.batch_size <= 128
    assert 30 <= found.epochs <= 300


def test_threads_are_put_back_even_after_an_error(data):
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="inside"), described(Elbo(), data).threads():
        raise RuntimeError("inside")
    assert torch.get_num_threads() == before


def test_importance_samples_are_worth_threads_where_a_single_one_is_not(monkeypatch, data):
    monkeypatch.setattr(threads, "usable_cores", lambda *root: 2)
    model, before, found = (
        build_vae(Sentence.parse(network="mlp:hidden=200x200"), (5,), latent=2),
        torch.get_num_threads(),
        [],
    )
    torch.set_num_threads(2)
    for samples in (1, 500):
        with described(ImportanceWeighted(samples=samples), data, model=model, batch_size=30).threads():
            found.append(torch.get_num_threads())
    torch.set_num_threads(before)
    assert found == [1, 2]


@pytest.mark.parametrize(("batch_size", "expected"), [(100, 1), (300, 2)])
def test_the_work_of_convolutions_is_that_of_all_places(monkeypatch, batch_size, expected):
    monkeypatch.setattr(threads, "usable_cores", lambda *root: 2)
    # 1.6 million multiply-adds an example, with .46 million parameters
    model = build_vae(
        Sentence.parse(network="convolutional:channels=16,hidden=none"), (1, 128, 128), latent=2
    )
    before, x = torch.get_num_threads(), torch.rand(5, 1, 128, 128)
    weights, generator = deepcopy(model.state_dict()), torch.get_rng_state()
    torch.set_num_threads(2)
    with described(Elbo(), x, model=model, batch_size=batch_size).threads():
        found = torch.get_num_threads()
    torch.set_num_threads(before)
    assert found == expected
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_an_objective_is_told_the_rows_once_and_the_epochs_done_before_every_step(data):
    class Listening(Elbo):
        def begin(self, *, rows):
            told.append(("begin", rows))

        def at(self, epochs_done):
            super().at(epochs_done)
            told.append(("at", epochs_done))

        def __call__(self, model, x, c=None):
            told.append(("call", self.beta))
            return super().__call__(model, x, c)

    told = []
    beta = Schedule("linear", 0.0, 3.0, 3)
    objective = Listening(beta=beta)
    history = train(make(), objective, data[:64], settings=settings(epochs=2), seed=0)
    done = [0.0, 0.5, 1.0, 1.5]
    assert told[0] == ("begin", 64)
    assert told[1:] == [event for t in done for event in (("at", t), ("call", beta(t)))]
    told.clear()
    carry_out(described(objective, data[:64], progress=Progress(history)))
    assert [event for event in told if event[0] == "at"] == [("at", 2.0), ("at", 2.5)], "goes on where it was"
    told.clear()
    train(make(), Listening(), data[:64], settings=settings(epochs=1), seed=0)
    assert "at" not in {event[0] for event in told}, "nothing is called where nothing moves"


def test_annealing_changes_the_training_and_not_what_selects(data):
    plain, annealed = (
        train(make(), Elbo(beta=beta), data, data[:50], settings=settings(epochs=3), seed=0)
        for beta in (1.0, Schedule("linear", 0.0, 1e-6, 3))
    )
    for epoch in annealed.epochs:
        assert epoch.validation_bound == pytest.approx(
            known(epoch.validation_reconstruction) - known(epoch.validation_kl), rel=1e-6
        )
    assert known(annealed.epochs[-1].validation_kl) > known(plain.epochs[-1].validation_kl)


@pytest.mark.parametrize(
    "text", ["iwae:samples=5", "piwae:samples=2,groups=2", "tc", "dip", "mmd", "renyi:samples=5"]
)
def test_every_objective_learns(data, text):
    objective = parse("objective", text).build()
    history = train(make(), objective, data, data[:50], settings=settings(epochs=15), seed=0)
    assert known(history.epochs[-1].validation_bound) > known(history.epochs[0].validation_bound) + 0.5


def test_denormals_are_flushed_while_training_and_no_longer(data):
    tiny = torch.tensor(1e-40)
    seen = []
    train(
        make(), Elbo(), data, settings=settings(epochs=1), seed=0,
        callbacks=Callbacks(on_epoch=lambda *_: seen.append(bool(tiny * 1 == 0))),
    )  # fmt: skip
    assert seen == [torch.set_flush_denormal(False)], "wherever the processor can"
    assert tiny * 1 > 0
