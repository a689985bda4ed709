"""Rows read from their file train as rows in memory do."""

import numpy as np
import pytest
import torch

from training.runs import make, numbers, run, table, weights
from vaekit.estimator import VariationalAutoencoder
from vaekit.training import Checkpoints, StreamedRows
from vaekit.training.plan import describe_plan
from vaekit.training.streamed import windowed_shuffle


class Source:
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
    before = rows._values.read
    for step in steps:
        assert torch.equal(rows.index_select(0, step), x[step])
    assert rows._values.read - before == 200
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
    assert not plans
    streaming = VariationalAutoencoder(2, memory_limit="40kB", **options).fit(mapped, on_plan=plans.append)
    assert plans[0].startswith("541 training rows")
    assert "in windows of 224" in plans[0]
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
    assert "in windows of 16" in describe_plan(x, model, Elbo(), settings())
    assert torch.equal(weights(model), before)
    assert torch.equal(torch.get_rng_state(), state)
