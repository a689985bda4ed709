"""Several processes train the model that one process trains."""

import shutil
import time

import pytest
import torch

from training.ranks_at_work import launch
from training.tasks_of_ranks import (
    BY_SLICES,
    SENTENCES,
    be_killed,
    fit_estimator,
    meet_trouble,
    resume,
    stop_in_the_second_rank,
    train_sentence,
    train_sentences,
)


@pytest.fixture(scope="module")
def alone():
    """Every sentence, trained in one process."""
    return {name: train_sentence(name) for name in SENTENCES}


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_match_one_process(alone, size):
    results = launch(train_sentences, size)
    assert not [found for found in results if isinstance(found, str)], results
    for name, (epochs, weights) in alone.items():
        for found_epochs, found_weights in (found[name] for found in results):
            assert torch.equal(found_weights, results[0][name][1])  # of rank 0
            assert (found_weights - weights).abs().max() < 2e-5, name
            for one, other in zip(found_epochs, epochs, strict=True):
                for key in ("validation_bound", "train_bound", "train_kl"):
                    assert one[key] == pytest.approx(other[key], abs=1e-5), (name, key, one["epoch"])
                assert one["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)
    for name in BY_SLICES:  # what looks over a batch looks over a slice: another model, but one
        assert all(torch.equal(found[name][1], results[0][name][1]) for found in results), name


def test_ranks_with_other_data_or_settings_are_told_what_differs():
    results = launch(meet_trouble, 2)
    for data, batch_size in results:
        assert "training data is 90 x 5 numbers" in data
        assert "91 x 5 numbers" in data
        assert "rank 1" in data
        assert "batch_size is 16 in rank 0, and 17 in rank 1" in batch_size


def test_a_run_of_two_ranks_is_resumed_by_one_and_by_three(tmp_path):
    expected_epochs, expected, _ = resume(0, tmp_path / "whole")
    assert launch(stop_in_the_second_rank, 2, tmp_path / "run", 10) == ["interrupted"] * 2
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint-1.safetensors",
        "metrics.jsonl",
    ]
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    for epochs, weights, told in [resume(0, tmp_path / "run"), *launch(resume, 3, tmp_path / "copy")]:
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


def test_a_killed_rank_ends_the_others_and_what_was_done_is_kept(tmp_path):
    started = time.monotonic()
    first, second, third = launch(be_killed, 3, tmp_path / "run", 10)
    assert time.monotonic() - started < 60
    assert third == "killed"
    for message in (first, second):
        assert "another process of the run is gone" in message
        assert "--resume" in message
    assert [path.name for path in (tmp_path / "run").glob("*.safetensors")] == ["checkpoint-1.safetensors"]
