"""Several processes train the model that one process trains."""

import pytest
import torch

from training.ranks_at_work import launch
from training.tasks_of_ranks import SENTENCES, train_sentence, train_sentences


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
