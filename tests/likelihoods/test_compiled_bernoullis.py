"""Log-probabilities with one logarithm for several factors, as compiled evaluations have them."""

import pytest
import torch
from torch.distributions import Bernoulli, Independent

from narrowing import known
from vaekit.likelihoods.bernoulli import IndependentBernoullis

EXTREMES = (-1e30, -1e4, -90.0, -20.0, -1e-8, 0.0, 1e-8, 20.0, 90.0, 1e4, 1e30)


def log_prob(logits, x, graphs):
    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    def called(logits, x):
        return IndependentBernoullis(Bernoulli(logits=logits, validate_args=False), x.dim() - 1).log_prob(x)

    torch.compiler.reset()
    return known(torch.compile(called, backend=count))(logits, x)


@pytest.mark.parametrize("shape", [(784,), (1, 28, 28), (37,), (2, 3), (1,)])
def test_compiled_as_plain(shape):
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(5, 3, *shape, generator=generator, dtype=torch.float64)
    x = torch.rand(3, *shape, generator=generator, dtype=torch.float64)
    expected = Independent(Bernoulli(logits=logits, validate_args=False), len(shape)).log_prob(x)
    graphs = []
    with torch.no_grad():
        found = log_prob(logits, x, graphs)
        single = log_prob(logits.float(), x.float(), graphs)
    assert found.shape == (5, 3)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-12)
    torch.testing.assert_close(single.double(), expected, rtol=2e-6, atol=1e-5)
    products = [node for node in graphs[0].graph.nodes if node.target in ("prod", torch.prod)]
    assert bool(products) == (shape not in [(37,), (1,)])


def test_extreme_logits():
    logits = torch.tensor(EXTREMES).repeat(2, 1)
    x = torch.stack([torch.zeros(len(EXTREMES)), torch.ones(len(EXTREMES))])
    with torch.no_grad():
        found = log_prob(logits, x, [])
    expected = Independent(Bernoulli(logits=logits), 1).log_prob(x)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_what_is_differentiated_has_the_usual_form():
    logits = torch.randn(4, 32, requires_grad=True)
    graphs = []
    log_prob(logits, torch.zeros(4, 32), graphs).sum().backward()
    assert not [node for graph in graphs for node in graph.graph.nodes if node.target in ("prod", torch.prod)]
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, -logits.detach().sigmoid())
