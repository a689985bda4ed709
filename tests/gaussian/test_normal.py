"""The elementwise divergence between univariate normals."""

from typing import Any

import mpmath
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from vaekit.gaussian import normal_kl
from vaekit.gaussian.exceptions import GaussianTypeError


def truth(m_p, s_p, m_q, s_q) -> Any:
    with mpmath.workdps(60):
        m_p, s_p, m_q, s_q = (mpmath.mpf(float(x)) for x in (m_p, s_p, m_q, s_q))
        return mpmath.log(s_q / s_p) + (s_p**2 + (m_p - m_q) ** 2) / (2 * s_q**2) - mpmath.mpf(1) / 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_against_many_digits(dtype):
    eps = torch.finfo(dtype).eps
    generator = torch.Generator().manual_seed(0)
    steps = torch.cat([torch.logspace(-15, 0, 40), -torch.logspace(-15, -0.01, 40)]).to(dtype)
    scale_q = torch.exp(torch.randn(80, generator=generator)).to(dtype)
    scale_p = scale_q * (1 + steps)
    far = torch.logspace(-18, 18, 80).to(dtype)
    mean = torch.randn(80, generator=generator).to(dtype)
    for args in (
        (mean, scale_p, mean, scale_q),
        (mean, far, 0 * mean, scale_q),
        (mean, scale_q, 0 * mean, scale_p),
    ):
        values = normal_kl(*args)
        assert (values >= 0).all()
        for value, *one in zip(values, *args, strict=True):
            exact = truth(*one)
            assert abs(mpmath.mpf(float(value)) - exact) <= 8 * eps * exact


def test_known_answers():
    zero, one = torch.tensor(0.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
    assert normal_kl(2 * one, one, zero, one) == 2.0
    assert normal_kl(zero, one.exp(), zero, one) == pytest.approx((torch.e**2 - 1) / 2 - 1, rel=1e-15)
    assert normal_kl(one, one, one, one) == 0


def test_derivatives_of_every_order():
    generator = torch.Generator().manual_seed(1)
    inputs = [
        (0.5 + torch.rand(4, generator=generator, dtype=torch.float64)).requires_grad_() for _ in range(4)
    ]
    assert gradcheck(normal_kl, inputs)
    assert gradgradcheck(normal_kl, inputs)
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    assert gradcheck(lambda m, s: normal_kl(m, s, zero, one), inputs[:2])


def test_gradient_between_nearly_equal_scales():
    """d/ds_p = (s_p^2 - s_q^2) / (s_p s_q^2), here to full relative accuracy."""
    scale_p = torch.tensor(1 + 1e-12, dtype=torch.float64, requires_grad=True)
    scale_q = torch.ones((), dtype=torch.float64)
    zero = torch.zeros((), dtype=torch.float64)
    (found,) = torch.autograd.grad(normal_kl(zero, scale_p, zero, scale_q), scale_p)
    with mpmath.workdps(50):
        s = mpmath.mpf(scale_p.item())
        assert abs(mpmath.mpf(found.item()) / ((s**2 - 1) / s) - 1) < 1e-15


def test_compiled_without_a_graph_break():
    generator = torch.Generator().manual_seed(2)
    inputs = [(0.5 + torch.rand(3, 5, generator=generator)).requires_grad_() for _ in range(4)]
    value = torch.compile(normal_kl, fullgraph=True, backend="aot_eager")(*inputs)
    torch.testing.assert_close(value, normal_kl(*inputs))
    found = torch.autograd.grad(value.sum(), inputs)
    for one, other in zip(found, torch.autograd.grad(normal_kl(*inputs).sum(), inputs), strict=True):
        torch.testing.assert_close(one, other)


def test_half_precision_is_computed_higher_and_mixtures_are_refused():
    ones = torch.ones(3, dtype=torch.bfloat16)
    assert normal_kl(2 * ones, ones, 0 * ones, ones).dtype == torch.float32
    with pytest.raises(GaussianTypeError, match=r"mean_p is torch\.bfloat16 but scale_q is torch\.float32"):
        normal_kl(ones, ones, ones, ones.float())


def test_broadcast_and_vmap():
    means, scale = torch.randn(4, 3, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    zero = torch.zeros((), dtype=torch.float64)
    values = normal_kl(means, scale, zero, scale)
    assert values.shape == (4, 3)
    mapped = torch.func.vmap(normal_kl, in_dims=(0, None, None, None))(means, scale, zero, scale)
    torch.testing.assert_close(mapped, values)
