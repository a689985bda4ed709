"""Several processes train the model that one process trains."""

import shutil
import time

import pytest
import torch

from training.ranks_at_work import launch
from training.tasks_of_ranks import (
    BY_SLICES,
    SENTENCES,
    SHARDED,
    be_killed,
    be_refused,
    fit_estimator,
    fit_rows_with_holes,
    hold_shares,
    meet_infinity,
    meet_trouble,
    resume,
    stop_in_the_second_rank,
    train_by_slices,
    train_sentence,
    train_sentences,
    train_sharded,
)
from vaekit.errors import UsageError


@pytest.fixture(scope="module")
def alone():
    """Every sentence, trained in one process."""
    return {name: train_sentence(parts) for name, parts in SENTENCES.items()}


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_match_one_process(alone, size):
    require_same(launch(train_sentences, size), alone)


def test_what_looks_over_a_batch_looks_over_slices_and_says_so():
    results = launch(train_by_slices, 2)
    assert not [found for found in results if isinstance(found, str)], results
    for name in BY_SLICES:  # another model than that of one process, but one
        weights, told = results[0][name]
        assert torch.equal(weights, results[1][name][0]), name
        assert len(told) == (name != "batch normalisation"), (name, told)
        assert all("each of the 2 processes shows it a slice" in message for message in told)
        assert not results[1][name][1]  # rank 0 speaks for all


def require_same(results, alone):
    """Every rank has the same model, that of one process but for rounding."""
    assert not [found for found in results if isinstance(found, str)], results
    for name, (epochs, weights) in alone.items():
        for found_epochs, found_weights in (found[name] for found in results):
            assert torch.equal(found_weights, results[0][name][1])  # of rank 0
            assert (found_weights - weights).abs().max() < 2e-5, name
            for one, other in zip(found_epochs, epochs, strict=True):
                for key in ("validation_bound", "train_bound", "train_kl"):
                    assert one[key] == pytest.approx(other[key], abs=1e-5), (name, key, one["epoch"])
                assert one["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)


@pytest.mark.parametrize("size", [2, 3])
def test_shards_match_one_process(size):
    names = (
        [n for n in SHARDED if n != "bfloat16"] if size == 2 else ["elbo", "average"]
    )  # with shards of several sizes
    alone = {name: train_sentence(SHARDED[name], shard=False) for name in names}
    require_same(launch(train_sharded, size, names), alone)


def test_shards_multiply_in_bfloat16_where_that_is_asked_for():
    first, second = launch(train_sharded, 2, ["elbo", "bfloat16"])
    for name in ("elbo", "bfloat16"):
        assert torch.equal(first[name][1], second[name][1])
    difference = (first["elbo"][1] - first["bfloat16"][1]).abs().max()
    assert 1e-5 < difference < 0.1


def test_every_rank_holds_its_share_of_the_networks_alone():
    (first, whole), (second, _) = launch(hold_shares, 2)
    assert first["rest"] == second["rest"] > 0  # in both
    assert first["networks"] + second["networks"] + first["rest"] == whole
    assert abs(first["networks"] - second["networks"]) < 0.02 * whole


def test_what_cannot_be_sharded_is_refused_with_the_reason():
    first, second = launch(be_refused, 2)
    assert first == second
    reasons = [
        "differentiates the decoder",
        "looks into the networks",
        "a second player",
        "parts.encoder.layers.0.bias and parts.decoder.layers.2.bias are one parameter",
        "an optimiser to go on with",
    ]
    assert [reason in told for reason, told in zip(reasons, first, strict=True)] == [True] * 5, first


def test_one_process_has_nobody_to_share_a_model_with():
    with pytest.raises(UsageError, match="spreads a model over several processes"):
        train_sentence({}, shard=True)


def test_shards_go_back_together_from_a_loss_that_is_not_finite():
    (weights, error, told), (others, other_error, _) = launch(meet_infinity, 2)
    assert torch.equal(weights, others)
    assert weights.isfinite().all()
    assert error == other_error
    assert len(told) == 3  # set back


def test_ranks_with_other_data_or_settings_are_told_what_differs():
    results = launch(meet_trouble, 2)
    for data, batch_size in results:
        assert "training data is 90 x 5 numbers" in data
        assert "91 x 5 numbers" in data
        assert "rank 1" in data
        assert "batch_size is 16 in rank 0, and 17 in rank 1" in batch_size


@pytest.mark.parametrize("shard", [False, True])
def test_a_run_of_two_ranks_is_resumed_by_one_and_by_three(tmp_path, shard):
    expected_epochs, expected, _ = resume(0, tmp_path / "whole", False)
    assert launch(stop_in_the_second_rank, 2, tmp_path / "run", 10, shard) == ["interrupted"] * 2
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint-1.safetensors",
        "metrics.jsonl",
    ]
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    alone, several = resume(0, tmp_path / "run", False), launch(resume, 3, tmp_path / "copy", shard)
    for epochs, weights, told in [alone, *several]:
        assert (weights - expected).abs().max() < 2e-5
        assert bounds(epochs) == pytest.approx(bounds(expected_epochs), abs=1e-5)
        assert not told or "processes was 2" in told[0]


def bounds(epochs):
    return [epoch["validation_bound"] for epoch in epochs]


def test_an_initialised_group_is_respected_by_the_estimator_without_a_seed():
    (first, called), (second, not_called) = launch(fit_estimator, 2)
    assert torch.equal(first, second)
    assert called == [1, 2]
    assert not not_called


def test_rows_with_holes_are_fitted_as_in_one_process():
    model, bound = fit_rows_with_holes(0)
    for other, found in launch(fit_rows_with_holes, 2):
        torch.testing.assert_close(other, model, rtol=1e-3, atol=1e-5)
        assert found == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize("shard", [False, True])
def test_a_killed_rank_ends_the_others_and_what_was_done_is_kept(tmp_path, shard):
    started = time.monotonic()
    first, second, third = launch(be_killed, 3, tmp_path / "run", 10, shard)
    assert time.monotonic() - started < 60
    assert third == "killed"
    for message in (first, second):
        assert "another process of the run is gone" in message
        assert "resume=True" in message
    kept = [path.name for path in (tmp_path / "run").glob("*.safetensors")]
    assert kept == (
        [] if shard else ["checkpoint-1.safetensors"]
    )  # of shards the last that was written stays
