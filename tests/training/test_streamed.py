"""Rows read from their file train as rows in memory do."""

import numpy as np
import pytest
import torch

from narrowing import untyped
from training.runs import make, numbers, run, table, weights
from vaekit.data import read
from vaekit.errors import DataError
from vaekit.estimator import VariationalAutoencoder
from vaekit.training import Checkpoints, Examples, RunSetup, StreamedRows
from vaekit.training.streamed import RowSource, sequential_shuffle, windowed_shuffle
from vaekit.training.training_plan import plan_training


class Source(RowSource):
    """Counts the rows that are read."""

    def __init__(self, rows):
        self.rows, self.read = rows.numpy(), 0

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, key):
        self.read += len(self.rows[key])
        return self.rows[key]


def streamed(x, **options):
    return StreamedRows(Source(x), torch.from_numpy, **options)


@pytest.mark.parametrize(("n", "window"), [(90, 16), (1000, 128), (1001, 640), (50, 50), (7, 1)])
def test_an_epoch_has_every_row_once_and_windows_have_few_places(n, window):
    generator = torch.Generator().manual_seed(1)
    first, second = windowed_shuffle(n, window, generator), windowed_shuffle(n, window, generator)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(n))
    assert not torch.equal(first, second)
    again = windowed_shuffle(n, window, torch.Generator().manual_seed(1))
    assert torch.equal(first, again)
    chunk = max(1, window // 64)
    for start in range(0, n, window):
        assert (
            len({row // chunk for row in first[start : start + window].tolist()}) <= -(-window // chunk) + 2
        )


def test_windows_mix_far_and_near():
    order = windowed_shuffle(100_000, 12_800, torch.Generator().manual_seed(0)).double()
    in_window = order[:12_800].view(100, 128)
    # a batch of independent rows has a mean within 100,000 / sqrt(12 * 128) of the middle
    deviation = 100_000 / (12 * 128) ** 0.5
    assert (in_window.mean(1) - order[:12_800].mean()).std() < 1.3 * deviation
    assert (order[:12_800].mean() - 50_000).abs() < 4 * 100_000 / (12 * 64) ** 0.5


def test_steps_are_gathered_from_windows_read_once():
    x = table(200)
    rows = streamed(x, window=64)
    steps = rows.shuffle(torch.Generator().manual_seed(0), 16)
    before = untyped(rows._values).read
    for step in steps:
        assert torch.equal(rows.index_select(0, step), x[step])
    assert untyped(rows._values).read - before == 200
    assert torch.equal(rows.index_select(0, steps[0]), x[steps[0]])  # back to an earlier window
    assert torch.equal(rows.index_select(0, torch.tensor([3, 199, 3])), x[[3, 199, 3]])


@pytest.mark.parametrize("options", [{}, {"window": 1000}])
def test_a_window_that_holds_everything_trains_to_the_same_bytes(options):
    x, model, other = table(), make(), make()
    held_out = table(40)
    resident = run(model, x, validation=held_out)
    history = run(other, streamed(x, **options), validation=streamed(held_out))
    assert torch.equal(weights(other), weights(model))
    assert numbers(history) == numbers(resident)


def test_stopped_in_an_epoch_and_resumed_it_ends_in_the_same_bytes(tmp_path):
    x, model, other = table(), make(), make()
    whole = run(model, streamed(x, window=20))
    for steps in (1, 4, 9):
        keep = Checkpoints(folder=tmp_path / "run", minutes=60, resume=True)
        assert run(other, streamed(x, window=20), stop_after=steps, checkpoints=keep).stopped == "interrupted"
        other = make(seed=9)
    history = run(other, streamed(x, window=20), checkpoints=keep)
    assert torch.equal(weights(other), weights(model))
    assert numbers(history) == numbers(whole)


def test_the_estimator_fits_evaluates_and_maps_a_mapped_array(tmp_path):
    x = table(600).numpy().astype(np.float64) * 3 + 7
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    options = {"network": "mlp:hidden=8", "epochs": 3, "random_state": 0}
    plans = []
    resident = VariationalAutoencoder(2, **options).fit(x, on_plan=plans.append)
    assert plans[0].window is None
    streaming = VariationalAutoencoder(2, memory_limit="40kB", **options).fit(mapped, on_plan=plans.append)
    assert str(plans[1]).startswith(
        "541 training rows are read as they are needed, shuffled in windows of 224"
    )
    assert streaming.schema_ == resident.schema_
    assert streaming.history_.epochs[-1].bound == pytest.approx(resident.history_.epochs[-1].bound, abs=0.7)
    for verb in ("transform", "reconstruct"):
        np.testing.assert_array_equal(getattr(streaming, verb)(mapped), getattr(streaming, verb)(x))
    # where in memory a block begins, some kernels' last digits depend on
    scores = [streaming.score_samples(data) for data in (mapped, x)]
    np.testing.assert_allclose(*scores, rtol=1e-6)
    evaluations = [streaming.evaluate(data, samples=5) for data in (mapped, x)]
    assert evaluations[0].log_likelihood == pytest.approx(evaluations[1].log_likelihood, rel=1e-6)
    assert streaming.evaluate(mapped, samples=5, train=mapped).baselines == []
    streaming.fit_prior("gmm:components=2", mapped)


def test_an_estimate_leaves_the_model_and_the_generators_alone():
    from training.runs import settings
    from vaekit.objectives import Elbo

    model, x = make(), streamed(table(), window=20)
    before, state = weights(model).clone(), torch.get_rng_state()
    setup = RunSetup(model=model, objective=Elbo(), data=Examples(x), settings=settings(), seed=0)
    assert "in windows of 16" in str(plan_training(setup))
    assert torch.equal(weights(model), before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("n", "window", "every"), [(1000, 128, 16), (1001, 640, 100), (90, 100, 7)])
def test_pieces_that_are_read_whole_are_the_chunks(n, window, every):
    pieces = np.arange(0, n, every)
    order = windowed_shuffle(n, window, torch.Generator().manual_seed(1), pieces=pieces)
    assert sorted(order.tolist()) == list(range(n))
    for start in range(0, n if window < n else 0, window):
        assert len({row // every for row in order[start : start + window].tolist()}) <= window // every + 2
    again = windowed_shuffle(n, window, torch.Generator().manual_seed(1), pieces=pieces)
    assert torch.equal(order, again)


@pytest.mark.parametrize(
    ("n", "window", "batch"), [(1000, 128, 16), (1001, 640, 64), (90, 100, 7), (90, 7, 7)]
)
def test_windows_of_what_is_read_in_order_follow_one_another(n, window, batch):
    generator = torch.Generator().manual_seed(2)
    drawn = [sequential_shuffle(n, window, batch, generator) for _ in range(4)]
    for order, starts in drawn:
        assert sorted(order.tolist()) == list(range(n))
        assert all(start % batch == 0 for start in starts)
        for start, end in zip(starts, [*starts[1:], n], strict=True):
            assert sorted(order[start:end].tolist()) == list(range(start, end))
            assert end - start <= max(window, n if window >= n else 0)
    if window > batch and window < n:
        assert len({starts[1] for _, starts in drawn}) > 1


class Trouble(Source):
    """Cannot read one of its rows."""

    def __getitem__(self, key):
        if not isinstance(key, slice) and 150 in np.asarray(key):
            raise DataError("row 150 is gone")
        return super().__getitem__(key)


def test_what_goes_wrong_while_the_next_window_is_read_is_raised():
    x = table(200)
    with pytest.raises(DataError, match="row 150 is gone"):
        run(make(), StreamedRows(Trouble(x), torch.from_numpy, window=32), validation=x[:20])


def test_reading_ahead_changes_nothing(tmp_path):
    x = table(200)
    ahead, alone = streamed(x, window=48), streamed(x, window=48)
    alone.in_thread = False
    models = [make(), make()]
    histories = [
        run(model, rows, validation=x[:20]) for model, rows in zip(models, (ahead, alone), strict=True)
    ]
    assert torch.equal(weights(models[0]), weights(models[1]))
    assert numbers(histories[0]) == numbers(histories[1])
    assert untyped(ahead._values).read == untyped(alone._values).read  # every window once


class Drawing(Source):
    """Draws random numbers as it reads, as a data set with augmentation does."""

    in_thread = False

    def __getitem__(self, key):
        torch.rand(3)
        return super().__getitem__(key)


def test_a_data_set_that_draws_numbers_does_not_change_the_noise():
    x, models = table(200), [make(), make()]
    for model, kind in zip(models, (Source, Drawing), strict=True):
        run(model, StreamedRows(kind(x), torch.from_numpy, window=48), validation=x[:20])
    assert torch.equal(weights(models[0]), weights(models[1]))


def test_a_parquet_trains_by_row_groups_as_from_memory(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    x = table(600).numpy().astype(np.float64) * 3 + 7
    path = tmp_path / "x.parquet"
    pandas.DataFrame(x, columns=list("abcde")).to_parquet(path, row_group_size=20)
    options = {"network": "mlp:hidden=8", "epochs": 3, "random_state": 0, "batch_size": 32}
    resident = VariationalAutoencoder(2, **options).fit(read(path))
    plans = []
    whole = VariationalAutoencoder(2, **options).fit(read(path, memory_limit=59_000), on_plan=plans.append)
    assert "in windows of 352" in str(plans[0]), plans
    assert plans[0].pieces == 20
    np.testing.assert_allclose(whole.schema_.scale, resident.schema_.scale, rtol=1e-12)
    assert whole.history_.epochs[-1].bound == pytest.approx(resident.history_.epochs[-1].bound, abs=0.7)
    np.testing.assert_allclose(
        whole.transform(read(path, memory_limit=59_000)), whole.transform(x), rtol=1e-5, atol=1e-6
    )
    again = VariationalAutoencoder(2, **options)
    again.fit(read(path, memory_limit=59_000))
    assert torch.equal(weights(again.model_), weights(whole.model_))
