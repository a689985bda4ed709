"""Stopped anywhere and resumed, a run ends in the same bytes as one that was left alone."""

import json
from dataclasses import replace

import pytest
import torch

from narrowing import untyped
from training.runs import make, numbers, run, settings, stop_after_steps, table, train_with, weights
from vaekit.contracts import Objective
from vaekit.errors import CheckpointError, TrainingDivergedError, TrainingWarning
from vaekit.objectives import Elbo
from vaekit.training import Checkpoints, StopRequest, train
from vaekit.training.checkpoints import numbered, remove_checkpoints
from vaekit.training.optimizing import build_optimizer
from vaekit.training.players import Players

KINDS = {
    "plain": {},
    "averaged": {"options": {"averaging": 0.9, "optimizer": "rmsprop:centered=true,momentum=0.5"}},
    "plateau": {
        "options": {"schedule": "plateau:patience=0", "learning_rate": 0.05, "patience": 3, "epochs": 12}
    },
    "cosine": {"options": {"schedule": "cosine", "clip": 0.5}},
    "annealed": {"objective": "iwae:samples=3", "options": {"clip": None}},
    "opponent": {"objective": "factor"},
    "no validation": {"validation": None},
}


def checkpoints(folder, **changes):
    return Checkpoints(**{"folder": folder / "run", "minutes": 60, **changes})


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_again_and_again_it_ends_in_the_same_bytes(tmp_path, kind):
    x, model = table(), make()
    whole = run(model, x, **KINDS[kind])
    other = make()
    for steps in (1, 4, 6, 9):  # within an epoch of six steps, at its end, and beyond
        history = run(
            other, x, stop_after=steps, checkpoints=checkpoints(tmp_path, resume=True), **KINDS[kind]
        )
        assert history.stopped == "interrupted"
        other = make(seed=9)  # nothing but the checkpoint carries over
    history = run(other, x, checkpoints=checkpoints(tmp_path, resume=True), **KINDS[kind])
    assert torch.equal(weights(other), weights(model))
    assert numbers(history) == numbers(whole)
    assert (history.best_epoch, history.stopped) == (whole.best_epoch, whole.stopped)


def test_a_finished_run_is_resumed_to_its_end(tmp_path):
    x, model, other = table(), make(), make(seed=9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vaekit.training.checkpoints.CheckpointFolder.is_cheap", lambda self, size: True)
        whole = run(model, x, checkpoints=checkpoints(tmp_path))
    seen = []
    history = run(
        other, x, checkpoints=checkpoints(tmp_path, resume=True), on_epoch=lambda *a: seen.append(a)
    )
    assert not seen
    assert numbers(history) == numbers(whole)
    assert torch.equal(weights(other), weights(model))


def test_checkpoints_are_written_every_so_many_minutes_and_two_are_kept(tmp_path):
    seen = set()
    options = checkpoints(tmp_path, minutes=1e-9)

    def look(*_):
        seen.add(tuple(sorted(numbered(options.folder))))

    run(make(), table(), checkpoints=options, on_epoch=look)
    assert {len(numbers) for numbers in seen} == {2}
    assert max(max(numbers) for numbers in seen) >= 4 * 6
    assert not list(options.folder.glob("*.partial"))
    remove_checkpoints(options.folder)
    assert not options.folder.exists()


def test_a_short_run_writes_none_and_its_metrics_are_there_while_it_runs(tmp_path):
    options = checkpoints(tmp_path)
    lines = []

    def look(metrics, is_best):
        written = (options.folder / "metrics.jsonl").read_text().splitlines()
        lines.append([json.loads(line)["epoch"] for line in written])

    run(make(), table(), checkpoints=options, on_epoch=look)
    assert lines == [list(range(1, n + 1)) for n in range(1, 5)]
    assert not numbered(options.folder)


def test_after_a_resume_metrics_hold_every_epoch_once(tmp_path):
    options = checkpoints(tmp_path, resume=True)
    run(make(), table(), stop_after=14, checkpoints=options)
    with (options.folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "half a l')
    run(make(), table(), checkpoints=options)
    written = (options.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in written] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": table(91)}, r"training data was 90 x 5 numbers .*, and is 91 x 5 numbers"),
        ({"options": {"learning_rate": 1e-3}}, r"learning_rate was 0.005, and is 0.001"),
        ({"options": {"batch_size": 8, "epochs": 9}}, r"epochs was 4, and is 9; batch_size was 16, and is 8"),
        ({"validation": None}, r"validation data was 20 x 5 numbers .* and is none"),
        ({"model": make(network="mlp:hidden=9")}, r"the model's parameters was"),
        ({"identity": {"prior": "gaussian"}}, r"prior was not given, and is gaussian"),
    ],
)
def test_another_run_is_refused_and_the_difference_named(tmp_path, change, message):
    run(make(), table(), stop_after=3, checkpoints=checkpoints(tmp_path))
    change = {"model": make(), "x": table(), **change}
    options = checkpoints(tmp_path, resume=True, identity=change.pop("identity", {}))
    with pytest.raises(CheckpointError, match=message):
        run(
            change.pop("model"),
            change.pop("x"),
            checkpoints=options,
            **{"validation": table()[:20], **change},
        )


def test_another_version_is_warned_of(tmp_path, monkeypatch):
    run(make(), table(), stop_after=3, checkpoints=checkpoints(tmp_path))
    monkeypatch.setattr(torch, "__version__", "9.9")
    with pytest.warns(TrainingWarning, match=r"torch was .*, and is 9.9\): the result may differ"):
        run(make(), table(), checkpoints=checkpoints(tmp_path, resume=True))


def test_another_seed_is_refused(tmp_path):
    run(make(), table(), stop_after=3, checkpoints=checkpoints(tmp_path))
    with pytest.raises(CheckpointError, match="seed was 3, and is 4"):
        train(make(), Elbo(), table(), table()[:20], settings=settings(), seed=4,
              checkpoints=checkpoints(tmp_path, resume=True))  # fmt: skip


def test_checkpoints_are_never_passed_over_in_silence(tmp_path):
    run(make(), table(), stop_after=3, checkpoints=checkpoints(tmp_path))
    with pytest.raises(CheckpointError, match="resume it, or remove the folder"):
        run(make(), table(), checkpoints=checkpoints(tmp_path))


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "empty": lambda path: path.write_bytes(b""),
    "a bit": flip_a_bit,
    "an epoch": lambda path: path.write_bytes(path.read_bytes().replace(b'epoch\\": 2', b'epoch\\": 1')),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path, kind):
    x, model, other = table(), make(), make()
    run(model, x)
    options = checkpoints(tmp_path, resume=True)
    run(other, x, stop_after=8, checkpoints=options)
    run(other, x, stop_after=2, checkpoints=options)
    last = max(numbered(options.folder).items())[1]
    before = last.read_bytes()
    DAMAGE[kind](last)
    assert last.read_bytes() != before
    with pytest.warns(TrainingWarning, match=f"{last.name}.*going on from the one before"):
        run(other, x, checkpoints=options)
    assert torch.equal(weights(other), weights(model))
    for path in numbered(options.folder).values():
        path.write_bytes(b"nothing")
    match = "there is no other; remove"
    with pytest.warns(TrainingWarning, match="before"), pytest.raises(CheckpointError, match=match):
        run(make(), x, checkpoints=options)


class Failing(Objective):
    """Overflows where the learning rate is too high, in the third epoch."""

    epochs_done = 0.0

    def at(self, epochs_done):
        self.epochs_done = epochs_done

    def __call__(self, model, x, c=None):
        result = Elbo()(model, x, c)
        if torch.is_grad_enabled() and self.epochs_done >= 2.5 and untyped(self).rate() > untyped(self).limit:
            return result._replace(surrogate=result.surrogate * float("inf"))
        return result


def failing_run(model, limit, around=lambda objective: objective, **arguments):
    optimizer = torch.optim.Adam(model.parameters(), lr=1.0, fused=True)
    objective = Failing()
    untyped(objective).limit, untyped(objective).rate = limit, lambda: optimizer.param_groups[0]["lr"]
    return train_with(
        model, around(objective), table(), table()[:20], settings=settings(), optimizer=optimizer, **arguments
    )


def test_a_loss_that_is_not_finite_returns_to_a_good_state_at_half_the_rate(tmp_path):
    model = make()
    with pytest.warns(TrainingWarning) as warned:
        history = failing_run(model, limit=5e-3 / 3)
    assert [str(w.message).split("(")[-1] for w in warned] == ["1 of 3 times)", "2 of 3 times)"]
    assert "the loss became nan in epoch 3, step 4" in str(warned[0].message)
    assert "back to step 0 of epoch 3" in str(warned[0].message)
    assert [epoch.learning_rate for epoch in history.epochs] == [5e-3, 5e-3, 1.25e-3, 1.25e-3]
    undisturbed = make()
    assert numbers(run(undisturbed, table()))[:2] == numbers(history)[:2]
    assert history.stopped == "epochs"


def test_a_run_that_was_set_back_is_resumed_to_the_same_bytes(tmp_path):
    model, other = make(), make()
    with pytest.warns(TrainingWarning):
        failing_run(model, limit=5e-3 / 3)
    options = checkpoints(tmp_path, minutes=1e-9)
    with pytest.warns(TrainingWarning):
        failing_run(other, limit=5e-3 / 3, checkpoints=options)
    resumed = make(seed=9)  # from before the last step, with the setbacks behind it
    failing_run(resumed, limit=5e-3 / 3, checkpoints=replace(options, resume=True))
    assert torch.equal(weights(other), weights(model))
    assert torch.equal(weights(resumed), weights(model))


@pytest.mark.parametrize("steps", [13, 14, 15])
def test_stopped_between_a_good_state_and_trouble_it_still_returns_to_that_state(tmp_path, steps):
    model, other = make(), make()
    stop = StopRequest()
    with pytest.warns(TrainingWarning):
        failing_run(model, limit=5e-3 / 3)
    options = checkpoints(tmp_path)
    failing_run(
        other,
        limit=5e-3 / 3,
        stop=stop,
        checkpoints=options,
        around=lambda o: stop_after_steps(o, steps, stop),
    )
    resumed = make(seed=9)
    with pytest.warns(TrainingWarning, match="back to step 0 of epoch 3"):
        failing_run(resumed, limit=5e-3 / 3, checkpoints=replace(options, resume=True))
    assert torch.equal(weights(resumed), weights(model))


def test_set_back_too_often_it_ends_with_the_best_weights():
    model, good = make(), {}

    def keep(metrics, is_best):
        good.update({name: value.clone() for name, value in model.state_dict().items()})

    with (
        pytest.warns(TrainingWarning) as warned,
        pytest.raises(TrainingDivergedError, match=r"epoch 3, step 4: .*set back 3 times"),
    ):
        failing_run(model, limit=0, on_epoch=keep)
    assert len(warned) == 3
    for name, value in model.state_dict().items():
        assert torch.equal(value, good[name])


def test_the_state_of_the_optimizer_keeps_the_names_and_the_form_that_older_checkpoints_have():
    model = make()
    players = Players(model, build_optimizer("adam", model.parameters(), 1e-3))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    players.optimizer.step()
    held = {name: value for name, value in players.take().tensors.items() if name.startswith("optimizer.")}
    expected = {}
    for place, parameter in enumerate(model.parameters()):
        expected |= {f"optimizer.{place}.{name}": parameter.shape for name in ("exp_avg", "exp_avg_sq")}
        expected[f"optimizer.{place}.step"] = torch.Size(())
    assert {name: value.shape for name, value in held.items()} == expected
    assert {value.dtype for value in held.values()} == {torch.float32}
