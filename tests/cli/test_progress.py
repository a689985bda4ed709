"""What is said while a model is trained, where stderr is no terminal."""

import dataclasses

from vaekit.cli.progress import Progress
from vaekit.training import EpochMetrics

METRICS = EpochMetrics(
    epoch=1,
    epochs=11,
    train_bound=-9.0,
    train_reconstruction=-7.0,
    train_kl=2.0,
    validation_bound=None,
    validation_reconstruction=None,
    validation_kl=None,
    kl_per_dimension=None,
    learning_rate=1e-3,
    seconds=30.0,
    active_units=None,
    rows_per_second=1.0,
)


def test_the_first_epoch_says_how_long_it_will_take(capsys):
    with Progress() as progress:
        progress.epoch(METRICS, True)
        progress.epoch(dataclasses.replace(METRICS, epoch=2), True)
    assert capsys.readouterr().err == (
        "vaekit: epoch 1 took 30 s; about 5 min for the 10 that are left at most\n"
    )


def test_a_short_training_says_nothing_more(capsys):
    with Progress() as progress:
        progress.epoch(dataclasses.replace(METRICS, seconds=1.0), True)
    assert capsys.readouterr().err == ""
