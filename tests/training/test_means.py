"""Means of an epoch are of all its steps, and are few tensors."""

import pytest
import torch

from narrowing import known
from vaekit.objectives import ObjectiveResult
from vaekit.training.run_state import Means


@pytest.mark.parametrize("steps", [1, 99, 100, 101, 450])
def test_means_are_of_all_examples_in_few_tensors(steps):
    values = torch.randn(steps, 3)
    means, before = Means(), None
    for step, row in enumerate(values):
        if step == 150:
            before = means.copy()
        means.add(
            ObjectiveResult(
                bound=row, surrogate=row, reconstruction=row, kl=2 * row, kl_per_dimension=row[:, None]
            ),
            norm=row.sum(),
        )
    assert torch.equal(known(means["kl"]), 2 * values.flatten().double())
    assert means.mean("bound") == values.double().mean()
    assert known(means["kl_per_dimension"]).shape == (3 * steps, 1)
    assert torch.equal(known(means["norm"]), values.sum(1).double())
    assert torch.equal(known(Means.of(means.tensors())["kl"]), known(means["kl"]))
    assert len(means._kept.get("kl", [])) == steps // 100
    if before is not None:
        assert len(known(before["kl"])) == 450


def test_means_without_a_term_say_so():
    assert Means()["kl_per_dimension"] is None
