"""The gate: factors that come after the fact scale the gradient of their row, whatever the loss does with it."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import (
    AffineTransform,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
)

from narrowing import known, untyped
from vaekit.contracts import Described
from vaekit.errors import UsageError
from vaekit.objectives.gradient_paths import open_gate, stop_gradient
from vaekit.objectives.importance_draws import log_mean_exp, with_gradient_of


@pytest.mark.parametrize("event", [(), (3,), (3, 2)])
def test_each_row_has_its_factor_and_the_loss_its_weights(event):
    torch.manual_seed(0)
    z = torch.randn(4, 5, *event, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(4, 5, dtype=torch.float64)
    factor = torch.rand(4, 5, dtype=torch.float64) * 1e3
    gate = open_gate(z, 2)
    assert torch.equal(gate.z, z)
    loss = gate.z.sin().flatten(2).sum(2) if event else gate.z.sin()
    total = loss + gate.close(factor)
    assert torch.equal(total, loss)
    (weight * total).sum().backward()
    scale = (weight * factor).reshape(4, 5, *[1] * len(event))
    torch.testing.assert_close(z.grad, scale * z.detach().cos())


def test_a_row_that_does_not_count_has_no_gradient():
    z = torch.ones(3, 2, requires_grad=True)
    gate = open_gate(z, 1)
    ((gate.z.sum(1) + gate.close(torch.full((3,), 7.0))) * torch.tensor([1.0, 0.0, 2.0])).sum().backward()
    assert known(z.grad).tolist() == [[7, 7], [0, 0], [14, 14]]


def leaf(*shape):
    return torch.rand(*shape, dtype=torch.float64).add(0.5).requires_grad_()


@pytest.mark.parametrize(
    "make",
    [
        lambda a, b: Normal(a, b),
        lambda a, b: Independent(Normal(a, b), 1),
        lambda a, b: MultivariateNormal(a, scale_tril=torch.diag_embed(b)),
        lambda a, b: LowRankMultivariateNormal(a, b[..., None], b),
    ],
)
def test_stopped_parameters_have_the_same_density_and_no_gradient(make):
    torch.manual_seed(0)
    a, b, z = leaf(4, 3), leaf(4, 3), leaf(4, 3)
    q = make(a, b)
    stopped = stop_gradient(q)
    assert torch.equal(stopped.log_prob(z), q.log_prob(z))
    stopped.log_prob(z).sum().backward()
    assert a.grad is None
    assert b.grad is None
    assert known(z.grad).abs().min() > 0
    z.grad = None
    q.log_prob(z).sum().backward()
    assert untyped(a.grad).abs().min() > 0, "the original is left as it was"


def test_what_may_hide_parameters_is_refused():
    class Flow(Normal):
        pass

    q = Flow(leaf(3), leaf(3))
    untyped(q).network = nn.Linear(2, 2)
    with pytest.raises(UsageError, match=r"Flow\.network is a module.*gradient=standard"):
        stop_gradient(Independent(q, 1))
    with pytest.raises(UsageError, match=r"gradient=standard"):
        stop_gradient(TransformedDistribution(Normal(leaf(3), leaf(3)), [AffineTransform(0.0, 2.0)]))


def test_a_distribution_may_say_itself_how_it_is_detached():
    class Own(Normal, Described):
        def detached(self) -> Any:
            return "detached"

    q = Own(leaf(3), leaf(3))
    assert stop_gradient(q) == "detached"


def test_log_mean_exp_neither_overflows_nor_underflows():
    weights = torch.tensor([[1e6, -1e6], [1e6, -1e6]])
    assert log_mean_exp(weights).tolist() == [1e6, -1e6]
    values = torch.rand(5, 3, dtype=torch.float64)
    torch.testing.assert_close(log_mean_exp(values), values.exp().mean(0).log())
    torch.testing.assert_close(log_mean_exp(values, 1), values.exp().mean(1).log())


def test_value_of_one_and_gradient_of_another():
    a = torch.tensor(3.0, requires_grad=True)
    mixed = with_gradient_of(a * 10, a * 2)
    mixed.backward()
    assert (mixed.item(), known(a.grad).item()) == (30, 2)
