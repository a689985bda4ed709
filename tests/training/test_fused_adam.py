"""The lean Adam against torch's."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from vaekit.training.fused_adam import FusedAdam


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 2))


def train(model, optimizer, steps, skip=()):
    torch.manual_seed(1)
    for step in range(steps):
        model.zero_grad(set_to_none=True)
        model(torch.randn(7, 5)).square().sum().backward()
        if step in skip:
            model[0].bias.grad = None
        optimizer.param_groups[0]["lr"] = 0.01 / (1 + step)
        optimizer.step()


def pair():
    ours, theirs = net(), net()
    return (
        (ours, FusedAdam(ours.parameters(), 0.1, betas=(0.8, 0.99), epsilon=1e-4)),
        (theirs, torch.optim.Adam(theirs.parameters(), lr=0.1, betas=(0.8, 0.99), eps=1e-4, fused=True)),
    )


@pytest.mark.parametrize("skip", [(), (0,), (2, 5)], ids=["all", "no first gradient", "a gradient missing"])
def test_it_moves_to_the_same_bytes_and_keeps_the_same_state(skip):
    (ours, lean), (theirs, plain) = pair()
    train(ours, lean, 9, skip)
    train(theirs, plain, 9, skip)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)
        assert lean.state[one].keys() == plain.state[other].keys()
        assert all(torch.equal(value, plain.state[other][key]) for key, value in lean.state[one].items())


def test_a_state_that_is_put_back_goes_on_to_the_same_bytes():
    (ours, lean), (theirs, plain) = pair()
    train(ours, lean, 3)
    train(theirs, plain, 3)
    other = FusedAdam(ours.parameters(), 0.1, betas=(0.8, 0.99), epsilon=1e-4)
    other.load_state_dict(deepcopy(plain.state_dict()))
    train(ours, other, 3)
    train(theirs, plain, 3)
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))


def test_it_leaves_the_tape_alone():
    (ours, lean), _ = pair()
    train(ours, lean, 2)
    assert all(p.is_leaf and p.requires_grad for p in ours.parameters())


def test_a_closure_is_called():
    (ours, lean), _ = pair()
    train(ours, lean, 1)

    def closure():
        lean.zero_grad()
        loss = ours(torch.ones(1, 5)).square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        before = closure().item()
        assert lean.step(closure).item() == before
    assert closure().item() < before
