"""Gradients of every member of the family: first, second, under transforms, near equality."""

import pytest
import torch

from narrowing import untyped
from oracles.gaussian_family import GRADIENTS, random_pair
from vaekit.gaussian import Gaussian


def loss(function, kind, shape):
    def value(mean_p, a, mean_q, b):
        def gaussian(mean, raw):
            S = raw @ raw.mT + torch.eye(shape[-1], dtype=raw.dtype)
            made = {
                "covariance": lambda: {"covariance": S},
                "scale_tril": lambda: {"scale_tril": torch.linalg.cholesky(S)},
                "precision": lambda: {"precision": torch.linalg.inv(S)},
                "variance": lambda: {"variance": S.diagonal(dim1=-2, dim2=-1)},
                "factor": lambda: {"factor": raw[..., :1], "diagonal": S.diagonal(dim1=-2, dim2=-1)},
            }[kind]()
            return Gaussian(mean, validate=False, **made)

        return function(gaussian(mean_p, a), gaussian(mean_q, b))

    return value


def inputs(shape, seed=0, spread=0.3):
    generator = torch.Generator().manual_seed(seed)
    out = []
    for _ in range(2):
        out.append(spread * torch.randn(*shape, generator=generator, dtype=torch.float64))
        out.append(spread * torch.randn(*shape, shape[-1], generator=generator, dtype=torch.float64))
    return [x.requires_grad_() for x in out]


@pytest.mark.parametrize("kind", ["covariance", "scale_tril", "precision", "variance", "factor"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_those_of_finite_differences(name, kind):
    assert torch.autograd.gradcheck(loss(GRADIENTS[name], kind, (2, 3)), inputs((2, 3)), atol=1e-7)


@pytest.mark.parametrize("name", GRADIENTS)
def test_second_derivatives_are_those_of_finite_differences(name):
    assert torch.autograd.gradgradcheck(loss(GRADIENTS[name], "covariance", (2,)), inputs((2,)), atol=1e-7)
    assert torch.autograd.gradgradcheck(loss(GRADIENTS[name], "variance", (2,)), inputs((2,)), atol=1e-7)


@pytest.mark.parametrize("spread", [1e-3, 3.0])
@pytest.mark.parametrize("name", ["jeffreys", "renyi 0.3", "geometric", "wasserstein squared"])
def test_gradients_near_and_far(name, spread):
    assert torch.autograd.gradcheck(
        loss(GRADIENTS[name], "covariance", (2, 3)), inputs((2, 3), spread=spread), atol=1e-7
    )


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("kind", ["covariance", "variance"])
def test_gradients_at_equality_are_zero(name, kind):
    mean = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    S = (2 * (torch.eye(3) if kind == "covariance" else torch.ones(3))).double().requires_grad_()
    q = Gaussian(torch.zeros(3, dtype=torch.float64), **untyped({kind: S.detach().clone()}))
    GRADIENTS[name](Gaussian(mean, **untyped({kind: S})), q).backward()
    assert (mean.grad == 0).all()
    assert (S.grad == 0).all()


@pytest.mark.parametrize("name", ["jeffreys", "renyi 0.3", "renyi 1.5", "geometric", "wasserstein squared"])
def test_gradients_between_nearly_equal_gaussians_keep_their_digits(name):
    # To first order in a small difference the gradient is linear in it.
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    S = raw @ raw.mT + torch.eye(3, dtype=torch.float64)
    change = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    change = change + change.mT

    def gradient(size):
        other = (S + size * change).requires_grad_()
        zero = torch.zeros(3, dtype=torch.float64)
        (found,) = torch.autograd.grad(
            GRADIENTS[name](Gaussian(zero, covariance=other), Gaussian(zero, covariance=S)), other
        )
        return found / (((S + size * change) - S) / change).mean()

    small, tiny = gradient(2.0**-26), gradient(2.0**-33)
    assert (small - tiny).abs().max() < 1e-5 * tiny.abs().max()


@pytest.mark.parametrize("name", GRADIENTS)
def test_vmap_gives_the_same(name):
    p, q = random_pair(4, 5, 3)
    stacks = [torch.tensor(x) for g in (p, q) for x in (g.mean, g.covariance)]

    def one(a, A, b, B):
        return GRADIENTS[name](Gaussian(a, covariance=A), Gaussian(b, covariance=B))

    torch.testing.assert_close(torch.func.vmap(one)(*stacks), one(*stacks), rtol=1e-12, atol=0)


# Tracing an autograd function makes an instance of it, which torch itself warns about.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("name", ["hellinger", "wasserstein squared"])
def test_compiles_to_one_graph(name):
    p, q = random_pair(4, 5, 3)
    tensors = [torch.tensor(x) for g in (p, q) for x in (g.mean, g.covariance)]

    def value(a, A, b, B):
        first, second = (Gaussian(m, covariance=S, validate=False) for m, S in ((a, A), (b, B)))
        return GRADIENTS[name](first, second)

    torch._dynamo.reset()
    compiled = torch.compile(value, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*tensors), value(*tensors), rtol=1e-12, atol=0)
