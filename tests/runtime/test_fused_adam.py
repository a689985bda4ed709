import copy

import pytest
import torch

from vaekit.runtime.fused_adam import FusedAdam


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [((7, 5), torch.float32), ((3,), torch.float64), ((4, 2), torch.float32)]
    return [torch.randn(s, generator=generator, dtype=d).requires_grad_() for s, d in shapes]


def groups(of):
    return [{"params": of[:2], "lr": 0.03}, {"params": of[2:]}]


def take_steps(optimizers, sets, steps, seed):
    """Give both the same gradients; the last tensor has none at every third step."""
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        gradients = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in sets[0]]
        for optimizer, own in zip(optimizers, sets, strict=True):
            optimizer.zero_grad()
            for parameter, gradient in zip(own, gradients, strict=True):
                parameter.grad = gradient.clone()
            if step % 3 == 1:
                own[-1].grad = None
            optimizer.param_groups[0]["lr"] *= 0.9
            optimizer.step()


def both(amsgrad=False):
    ours, theirs = parameters(), parameters()
    options = {"lr": 0.1, "betas": (0.8, 0.99), "eps": 1e-4, "amsgrad": amsgrad}
    return (
        (
            FusedAdam(groups(ours), **options),
            torch.optim.Adam(groups(theirs), fused=True, **options),
        ),
        (ours, theirs),
    )


@pytest.mark.parametrize("amsgrad", [False, True])
def test_steps_are_those_of_torch_to_the_last_bit(amsgrad):
    optimizers, sets = both(amsgrad)
    take_steps(optimizers, sets, 7, seed=1)
    for own, other, start in zip(*sets, parameters(), strict=True):
        assert torch.equal(own, other)
        assert not torch.equal(own, start)
        for name, value in optimizers[1].state[other].items():
            assert torch.equal(optimizers[0].state[own][name], value)
    assert [float(optimizers[0].state[p]["step"]) for p in sets[0]] == [7, 7, 5]


def test_amsgrad_divides_by_the_largest_average_so_far():
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = FusedAdam([x], lr=1.0, betas=(0.0, 0.5), eps=1e-300, amsgrad=True)
    averages = []
    for gradient, average in ((4.0, 8.0), (1.0, 8.0), (2.0, 8.0)):  # 16/2, then (8 + 1)/2, then (4.5 + 4)/2
        before = x.detach().clone()
        x.grad = torch.full_like(x, gradient)
        optimizer.step()
        corrected = 1 - 0.5 ** (len(averages) + 1)
        averages.append(corrected * (gradient / float(before - x.detach())) ** 2)
        assert averages[-1] == pytest.approx(average, rel=1e-6)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_it_goes_on_from_the_state_of_torch_and_from_its_own(amsgrad):
    optimizers, sets = both(amsgrad)
    take_steps(optimizers, sets, 4, seed=1)
    states = [copy.deepcopy(optimizer.state_dict()) for optimizer in optimizers]
    went_on = []
    for state in states:
        fresh = [p.detach().clone().requires_grad_() for p in sets[0]]
        optimizer = FusedAdam(groups(fresh))
        optimizer.load_state_dict(copy.deepcopy(state))
        went_on.append((optimizer, fresh))
    optimizers, sets = zip((optimizers[0], sets[0]), *went_on, strict=True)
    take_steps(optimizers, sets, 4, seed=2)
    for first, *others in zip(*sets, strict=True):
        assert all(torch.equal(first, other) for other in others)


def test_gradients_can_be_set_to_zero_or_removed():
    x = torch.ones(3, requires_grad=True)
    optimizer = FusedAdam([x])
    x.sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert x.grad is not None
    assert torch.equal(x.grad, torch.zeros(3))
    optimizer.zero_grad()
    assert x.grad is None
