"""What is said while a run goes on."""

import json

import pytest

from narrowing import known
from training.runs import make, run, table
from vaekit.errors import TrainingWarning
from vaekit.training import JsonLinesLogger
from vaekit.training.history import ACTIVE_KL


class Keeping:
    def __init__(self):
        self.seen = []

    def log(self, metrics):
        self.seen.append(metrics)


class Failing:
    def __init__(self):
        self.calls = 0

    def log(self, metrics):
        self.calls += 1
        raise ConnectionError("no network")


def test_a_logger_gets_every_epoch():
    logger = Keeping()
    history = run(make(), table(), loggers=[logger])
    assert logger.seen == history.epochs


def test_a_logger_that_fails_ends_nothing_and_is_said_once():
    failing, keeping = Failing(), Keeping()
    with pytest.warns(TrainingWarning, match=r"Failing failed in epoch 1 \(no network\)") as warned:
        history = run(make(), table(), loggers=[failing, keeping])
    assert (len(warned), failing.calls, len(keeping.seen)) == (1, 1, len(history.epochs))


def test_the_numbers_of_an_epoch():
    epoch = run(make(), table(), validation=None).epochs[-1]
    numbers = epoch.numbers()
    assert numbers["train_bound"] == epoch.train_bound == epoch.bound
    assert not {"epoch", "epochs", "validation_bound", "kl_per_dimension"} & set(numbers)
    assert all(isinstance(value, float) for value in numbers.values())
    assert epoch.active_units == sum(kl > ACTIVE_KL for kl in known(epoch.kl_per_dimension))
    assert epoch.rows_per_second == pytest.approx(90 / epoch.seconds)


def test_json_lines(tmp_path):
    history = run(make(), table(), loggers=[JsonLinesLogger(tmp_path / "metrics.jsonl")])
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [epoch.to_json() for epoch in history.epochs]


def test_on_step_is_called_some_times_a_second_with_the_epochs_done(monkeypatch):
    monkeypatch.setattr("vaekit.training.loop._SECONDS_BETWEEN_CALLS", -1.0)
    seen = []
    run(make(), table(), on_step=seen.append)
    assert seen == pytest.approx([step / 6 for step in range(24)])
    monkeypatch.undo()
    seen.clear()
    run(make(), table(), on_step=seen.append)
    assert len(seen) < 24
