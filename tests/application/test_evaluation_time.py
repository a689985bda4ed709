import numpy as np
import pytest

from vaekit import VariationalAutoencoder
from vaekit.application import evaluation_time
from vaekit.data import from_object, partition


@pytest.fixture(scope="module")
def table():
    return from_object(np.random.default_rng(0).normal(size=(9000, 2)))


@pytest.mark.parametrize("rows", [9000, 2000])
def test_what_is_paid_once_is_not_paid_for_every_row(monkeypatch, table, rows):
    parts = partition(table.take(np.arange(rows)), 0, validation=0.1)
    vae = VariationalAutoencoder(1, network="mlp:hidden=2", epochs=1, random_state=0).fit(
        table.take(range(50))
    )

    def taken(trial, given, samples, train=None):
        return 2.0 + 0.01 * len(given) + (0.0 if train is None else 0.001 * len(train))

    monkeypatch.setattr(evaluation_time, "_seconds", taken)
    held_out = sum(2.0 + 0.01 * len(part) for part in (parts.validation, parts.test) if part)
    baselines = 0.001 * min(len(parts.train), 6000)  # of a table they learn from so many rows
    found = evaluation_time.seconds_to_evaluate(vae, parts, samples=10)
    assert found == pytest.approx(held_out + baselines)
