"""Somebody's own data sets train through the same loop as arrays do."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from narrowing import known, untyped
from training.runs import numbers, table, weights
from vaekit.data import stream
from vaekit.errors import CheckpointError, DataError, TrainingWarning
from vaekit.estimator import VariationalAutoencoder
from vaekit.training import StopRequest

X = table(600).numpy() * 3 + 7
OPTIONS = {"network": "mlp:hidden=8", "epochs": 3, "random_state": 0, "batch_size": 32}
LIMIT = "20kB"


class Items(torch.utils.data.Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return torch.from_numpy(X[i]), int(i % 2)


class Sequence(IterableDataset):
    rows = len(X)

    def __iter__(self):
        torch.rand(1)  # as loaders do
        return ((X[i], int(i % 2)) for i in range(self.rows))


def fitted(source, *, limit=None, **arguments):
    return VariationalAutoencoder(2, memory_limit=limit, **OPTIONS).fit(source, **arguments)


@pytest.mark.parametrize("source", [Items(), Sequence(), DataLoader(Items(), num_workers=1)], ids=type)
def test_a_data_set_gives_an_arrays_bytes_in_memory_and_its_numbers_streamed_in_one_window(
    source, monkeypatch
):
    resident = fitted(X.astype(np.float64))
    plans = []
    assert torch.equal(weights(fitted(source).model_), weights(resident.model_))
    monkeypatch.setattr("vaekit.training.streamed._SHARE_OF_LIMIT", 1)
    whole = fitted(source, limit=LIMIT, on_plan=plans.append)
    assert "read as they are needed, shuffled as a whole" in str(plans[0])
    assert whole.schema_.columns[0].mean == pytest.approx(resident.schema_.columns[0].mean, rel=1e-13)
    torch.testing.assert_close(weights(whole.model_), weights(resident.model_), rtol=1e-3, atol=1e-3)
    # encoding reads its rows again
    np.testing.assert_allclose(whole.transform(source), whole.transform(X), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", [Items, Sequence])
def test_windows_are_stated_and_a_run_can_be_repeated_and_resumed(kind, tmp_path):
    plans = []
    model = fitted(kind(), limit=LIMIT, on_plan=plans.append)
    told = "in windows of 96 (0 MB)"
    assert told + (" that follow one another" if kind is Sequence else ";") in str(plans[0])
    again = fitted(kind(), limit=LIMIT)
    assert torch.equal(weights(model.model_), weights(again.model_))
    stop = StopRequest()

    stops = iter([1])
    halves = VariationalAutoencoder(2, memory_limit=LIMIT, **OPTIONS)
    halves.fit(
        kind(),
        checkpoint=tmp_path / "run",
        stop=stop,
        on_epoch=untyped(lambda metrics, best: next(stops, None) and stop.ask()),
    )
    assert halves.history_.stopped == "interrupted"
    resumed = fitted(kind(), limit=LIMIT, checkpoint=tmp_path / "run", resume=True)
    assert torch.equal(weights(resumed.model_), weights(model.model_))
    assert numbers(resumed.history_) == numbers(model.history_)


def test_a_resume_with_other_rows_is_refused(tmp_path):
    stop = StopRequest()
    stop.ask()
    fitted(Sequence(), limit=LIMIT, checkpoint=tmp_path / "run", stop=stop)
    other = Sequence()
    other.rows = 590
    with pytest.raises(CheckpointError, match="training data was"):
        fitted(other, limit=LIMIT, checkpoint=tmp_path / "run", resume=True)


def test_held_out_rows_are_those_of_the_same_positions():
    seen = []
    held_out = [
        VariationalAutoencoder(2, memory_limit=limit, **OPTIONS).fit(
            source, on_epoch=lambda m, b: seen.append(m)
        )
        for source, limit in ((X, None), (Sequence(), LIMIT))
    ]
    assert seen[0].validation_bound == pytest.approx(seen[3].validation_bound, abs=0.5)
    assert len(held_out[0].history_.epochs) == 3


def test_labels_of_a_stream_are_a_condition():
    vae = VariationalAutoencoder(2, condition="labels", memory_limit=LIMIT, **OPTIONS)
    vae.fit(stream(Sequence(), memory_limit=LIMIT))
    assert vae.sample(3, given="labels=1", random_state=0).shape == (3, 5)


def test_a_batch_larger_than_the_data_is_all_of_them():
    streamed = VariationalAutoencoder(2, memory_limit=LIMIT, **{**OPTIONS, "batch_size": 1000})
    with pytest.warns(TrainingWarning, match="one batch is all of them"):
        streamed.fit(Sequence())
    assert known(streamed.history_.epochs[-1].rows_per_second) > 0


def test_a_generator_is_refused_by_fit():
    with pytest.raises(DataError, match="it can be read once only"):
        fitted(iter(X))
