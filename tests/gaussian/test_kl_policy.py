"""What the divergence does with bad, singular, half-precision and compiled arguments."""

import numpy as np
import pytest
import torch
from torch.distributions import Independent, LowRankMultivariateNormal, MultivariateNormal, Normal
from torch.distributions import kl_divergence as torch_kl

from narrowing import untyped
from vaekit.gaussian import (
    AsymmetricCovarianceError,
    Gaussian,
    GaussianError,
    NotPositiveDefiniteError,
    kl_divergence,
    register_with_torch,
    use_lanes,
)
from vaekit.gaussian.exceptions import GaussianShapeError, GaussianTypeError

EYE = np.eye(2)
BAD = {
    "indefinite": np.diag([1.0, -1.0]),
    "asymmetric": np.array([[1.0, 0.5], [0.2, 1.0]]),
    "nan": np.full((2, 2), np.nan),
    "infinite": np.array([[np.inf, 0.0], [0.0, 1.0]]),
}


def one(gaussian):
    """The first item of a batch, as a batch of one."""
    mean, covariance = gaussian
    return (mean[:1], covariance[:1]) if covariance.ndim == 3 else gaussian


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("copies", [2, 12])
@pytest.mark.parametrize("place", ["p", "q"])
def test_one_bad_item_does_not_kill_a_batch(name, copies, place):
    """With 12 items the batch goes through the lanes."""
    S = np.repeat(2 * EYE[None], copies, 0)
    S[1] = BAD[name]
    mine, other = (np.zeros((copies, 2)), S), (np.zeros(2), EYE)
    p, q = (mine, other) if place == "p" else (other, mine)
    values, bounds = kl_divergence(p, q, on_error="nan", return_error=True)
    assert np.isnan(values).tolist() == [i == 1 for i in range(copies)]
    assert np.isnan(bounds[1])
    np.testing.assert_allclose(values[[0]], kl_divergence(*(one(g) for g in (p, q))), rtol=1e-14)
    with pytest.raises(GaussianError) as caught:
        kl_divergence(p, q)
    assert str(caught.value).startswith(f"{place}: covariance")
    assert caught.value.batch_index == (1,)


def test_the_message_says_what_is_wrong_and_what_to_try():
    S = np.repeat(EYE[None] * 1e-9, 3, 0)
    S[2] = [[1e-9, 2e-9], [2e-9, 1e-9]]
    with pytest.raises(
        NotPositiveDefiniteError, match=r"batch index 2.*order 2.*eigenvalue is -1e-09.*Try"
    ) as caught:
        Gaussian(np.zeros((3, 2)), covariance=S)
    assert caught.value.leading_minor == 2
    assert caught.value.smallest_eigenvalue == pytest.approx(-1e-9)
    with pytest.raises(AsymmetricCovarianceError, match=r"\|S - S\^T\| / \|S\| = .*entry \[0, 1\]"):
        Gaussian(np.zeros(2), covariance=1e-12 * BAD["asymmetric"])
    with pytest.raises(NotPositiveDefiniteError, match="precision is not positive definite"):
        Gaussian(np.zeros(2), precision=BAD["indefinite"])
    with pytest.raises(NotPositiveDefiniteError, match="diagonal of scale_tril"):
        Gaussian(np.zeros(2), scale_tril=-EYE)


def test_asymmetry_is_relative_to_the_matrix():
    """1e-9 is rounding for entries of order 1 and nonsense for entries of order 1e-9."""
    S = EYE + np.array([[0.0, 1e-9], [0.0, 0.0]])
    assert kl_divergence((np.zeros(2), S), (np.zeros(2), EYE)) >= 0
    with pytest.raises(AsymmetricCovarianceError):
        kl_divergence((np.zeros(2), S - EYE + 1e-9 * EYE), (np.zeros(2), EYE))


def test_a_bad_item_does_not_spoil_shared_gradients():
    for copies in (3, 12):
        S = torch.eye(2, dtype=torch.float64).repeat(copies, 1, 1)
        S[1] = torch.tensor(BAD["indefinite"])
        mean_q = torch.ones(2, dtype=torch.float64, requires_grad=True)
        S_q = (2 * torch.eye(2, dtype=torch.float64)).requires_grad_()
        values = kl_divergence(
            (torch.zeros(copies, 2, dtype=torch.float64), S), (mean_q, S_q), on_error="nan"
        )
        values.nansum().backward()
        torch.testing.assert_close(mean_q.grad, torch.full((2,), 0.5 * (copies - 1), dtype=torch.float64))
        assert S_q.grad is not None
        assert S_q.grad.isfinite().all()


def test_singular_covariances():
    ones, zero = np.ones((3, 3)), np.zeros(3)
    expected = 0.5 * (0.5 - 1 - np.log(0.5))
    assert kl_divergence((zero, ones), (zero, 2 * ones)) == pytest.approx(expected, rel=1e-12)
    assert kl_divergence((zero + 1, ones), (zero, ones)) == pytest.approx(0.5, rel=1e-12)
    assert kl_divergence((zero, ones), (zero, ones)) == 0
    assert kl_divergence((np.array([0.0, 0.0, 1.0]), ones), (zero, ones)) == np.inf
    assert kl_divergence((zero, ones), (zero, np.eye(3))) == np.inf
    assert kl_divergence((zero, np.eye(3)), (zero, ones)) == np.inf
    batch = np.stack([np.eye(3), ones, ones])
    other = np.stack([np.eye(3), ones * 4, np.eye(3)])
    values = kl_divergence((zero, batch), (zero, other))
    np.testing.assert_allclose(values, [0.0, 0.5 * (0.25 - 1 + np.log(4)), np.inf], rtol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"variance": [1.0, 0.0]},
        {"scale_tril": [[1.0, 0.0], [1.0, 0.0]]},
        {"scale": 0.0},
        {"factor": [[1.0], [0.0]], "diagonal": [0.0, 0.0]},
    ],
)
def test_every_degenerate_parameterisation(options):
    g, full = Gaussian([0.0, 0.0], **options), Gaussian([0.0, 0.0], scale=1.0)
    assert kl_divergence(g, g) == 0
    assert kl_divergence(g, full) == np.inf
    assert kl_divergence(full, g) == np.inf


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_in_float32_out(dtype):
    S = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=dtype)
    m, z = torch.ones(2, dtype=dtype, requires_grad=True), torch.zeros(2, dtype=dtype)
    value = kl_divergence((m, S), (z, torch.eye(2, dtype=dtype)))
    exact = kl_divergence((m.detach().double(), S.double()), (z.double(), torch.eye(2, dtype=torch.float64)))
    assert value.dtype == torch.float32
    assert value == exact.float()
    value.backward()
    assert m.grad is not None
    assert m.grad.dtype == dtype


def test_what_is_refused():
    p = (torch.zeros(2), torch.eye(2))
    with pytest.raises(GaussianTypeError, match=r"p is torch\.float32 but q is torch\.float64"):
        kl_divergence(p, tuple(t.double() for t in p))
    with pytest.raises(GaussianShapeError, match="vectors of size 2 but q over size 3"):
        kl_divergence(p, (torch.zeros(3), torch.eye(3)))
    with pytest.raises(GaussianShapeError, match=r"covariance has shape \(2, 2\) but mean has shape \(3,\)"):
        kl_divergence(p, (torch.zeros(3), torch.eye(2)))
    with pytest.raises(GaussianTypeError, match="q is str"):
        kl_divergence(p, "q")
    with pytest.raises(GaussianError, match="precision='best'"):
        kl_divergence(p, p, precision=untyped("best"))


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch._prims_common.check:FutureWarning")
def test_compiled_without_a_graph_break():
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(3, 2, 2, generator=generator, dtype=torch.float64)
    m = torch.randn(3, 2, generator=generator, dtype=torch.float64)

    def full(mean, root):
        covariance = root @ root.mT + torch.eye(2, dtype=torch.float64)
        return kl_divergence((mean, covariance), (torch.zeros_like(mean), torch.eye(2, dtype=torch.float64)))

    def diagonal(mean, root):
        p = Gaussian(mean, standard_deviation=root[..., 0].exp())
        return kl_divergence(p, Gaussian.standard(2, dtype=torch.float64))

    for f in (full, diagonal):
        inputs = [t.clone().requires_grad_() for t in (m, A)]
        value = torch.compile(f, fullgraph=True, backend="aot_eager")(*inputs)
        torch.testing.assert_close(value, f(*inputs), rtol=1e-12, atol=0)
        found = torch.autograd.grad(value.sum(), inputs)
        for one, other in zip(found, torch.autograd.grad(f(*inputs).sum(), inputs), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)


def test_double_backward_through_the_lanes():
    generator = torch.Generator().manual_seed(3)
    A, B = torch.randn(2, 8, 2, 2, generator=generator, dtype=torch.float64)
    m, n = torch.randn(2, 8, 2, generator=generator, dtype=torch.float64)

    def f(mean_p, mean_q, root_p, root_q):
        eye = torch.eye(2, dtype=torch.float64)
        p, q = (mean_p, root_p @ root_p.mT + eye), (mean_q, root_q @ root_q.mT + eye)
        return kl_divergence(p, q)

    inputs = [t.requires_grad_() for t in (m, n, A, B)]
    assert torch.autograd.gradcheck(f, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(f, inputs, fast_mode=True)


def test_lanes_in_threads_and_in_odd_numbers():
    """A tail that does not fill the lanes, several threads, and a q shared by all."""
    generator = torch.Generator().manual_seed(4)
    A = torch.randn(1003, 9, 9, generator=generator, dtype=torch.float64)
    S, m = (
        A @ A.mT + torch.eye(9, dtype=torch.float64),
        torch.randn(1003, 9, generator=generator, dtype=torch.float64),
    )
    q = (torch.zeros(9, dtype=torch.float64), torch.eye(9, dtype=torch.float64))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        many = kl_divergence((m, S), q)
        torch.set_num_threads(1)
        assert torch.equal(many, kl_divergence((m, S), q))
        use_lanes(False)
        torch.testing.assert_close(many, kl_divergence((m, S), q), rtol=1e-13, atol=0)
    finally:
        use_lanes(True)
        torch.set_num_threads(threads)


def test_registered_with_torch_only_when_asked_and_until_undone():
    generator = torch.Generator().manual_seed(5)
    W = torch.randn(3, 1, generator=generator, dtype=torch.float64)
    ones, zeros = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    distributions = [
        Independent(Normal(zeros, ones), 1),
        MultivariateNormal(ones, W @ W.mT + torch.eye(3, dtype=torch.float64)),
        LowRankMultivariateNormal(zeros, W, ones),
    ]
    with pytest.raises(NotImplementedError):
        torch_kl(distributions[0], distributions[1])
    undo = register_with_torch()
    try:
        for p in distributions:
            for q in distributions:
                assert torch_kl(p, q) == kl_divergence(p, q)
        near = Normal(torch.zeros(()), torch.ones(()) + 2.0**-23)
        assert torch_kl(near, Normal(0.0, 1.0)) > 0
        bernoulli = Independent(torch.distributions.Bernoulli(logits=zeros), 1)
        assert torch_kl(bernoulli, bernoulli) == 0
    finally:
        undo()
    with pytest.raises(NotImplementedError):
        torch_kl(distributions[0], distributions[1])
