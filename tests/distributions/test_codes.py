"""Distributions over codes: masses that sum to one, draws that agree with them, and codes read without error."""

from itertools import product

import pytest
import torch
from scipy.stats import chi2, entropy

from vaekit.distributions import (
    AutoregressiveCodes,
    CategoricalCodes,
    Codebook,
    OneHotCodes,
    PointCodes,
    categorical_kl,
)
from vaekit.networks import MaskedNetwork
from vaekit.objectives import divergence
from vaekit.runtime.randomness import seeded


def spaces():
    with seeded(0):
        vectors = torch.randn(2, 3, 2, dtype=torch.float64)
    return {
        "one-hot": OneHotCodes(2, 3, torch.float64),
        "codebook": Codebook(vectors[:1], places=2),
        "two levels": Codebook(vectors, places=1, levels=2),
        "two levels, one codebook": Codebook(vectors[:1], places=1, levels=2),
    }


def every_code(space):
    return torch.tensor(list(product(range(space.codes), repeat=space.positions)))


def distributions(space):
    with seeded(1):
        network = MaskedNetwork(space.positions, space.codes, hidden=(7, 5)).double()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter)
        logits = torch.randn(space.positions, space.codes, dtype=torch.float64)
    code = torch.tensor([2, 1])
    return {
        "categorical": CategoricalCodes(logits, space),
        "autoregressive": AutoregressiveCodes(network, space, torch.zeros((), dtype=torch.float64)),
        "point": PointCodes(code, space.embed(code), space),
    }


@pytest.mark.parametrize("kind", ["categorical", "autoregressive", "point"])
@pytest.mark.parametrize("name", spaces())
def test_masses_sum_to_one_and_draws_agree_with_them(name, kind):
    space = spaces()[name]
    p = distributions(space)[kind]
    every = every_code(space)
    masses = p.log_prob(space.embed(every)).detach().exp()
    assert masses.sum() == pytest.approx(1, abs=1e-12)
    with seeded(2):
        draws = p.sample(torch.Size((4000,)))
    codes, exact = space.find(draws)
    assert exact.all()
    counts = torch.stack([(codes == code).all(-1).sum() for code in every]).double()
    there = masses > 0
    assert counts[~there].sum() == 0
    statistic = ((counts - 4000 * masses).square() / (4000 * masses))[there].sum()
    assert statistic < chi2.ppf(0.9999, max(1, int(there.sum()) - 1))


@pytest.mark.parametrize("kind", ["categorical", "autoregressive", "point"])
@pytest.mark.parametrize("name", spaces())
def test_what_is_no_code_has_no_mass(name, kind):
    space = spaces()[name]
    p = distributions(space)[kind]
    z = space.embed(torch.tensor([[2, 1]]))
    assert p.log_prob(z).isfinite()
    assert p.log_prob(z + 1e-9) == -torch.inf


@pytest.mark.parametrize("size", [1e-20, 1e-3, 1.0, 1e6])
def test_codes_are_read_from_latents_without_error(size):
    # Far from zero and close together: the expanded square |z|^2 - 2 z'e + |e|^2 would mix them up.
    with seeded(0):
        vectors = size * (100 + 1e-4 * torch.randn(1, 50, 3))
    book = Codebook(vectors, places=4)
    codes = torch.randint(50, (200, 4), generator=torch.Generator().manual_seed(1))
    found, exact = book.find(book.embed(codes))
    assert torch.equal(found, codes)
    assert exact.all()
    expanded = (
        vectors[0].square().sum(1) - 2 * book.embed(codes).unflatten(-1, (4, 3)) @ vectors[0].T
    ).argmin(-1)
    assert not torch.equal(expanded, codes), "the faulty form is caught"


def test_a_masked_network_sees_only_the_positions_before():
    with seeded(0):
        network = MaskedNetwork(4, 3, hidden=(16, 9)).double()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter)
    x = torch.randn(4, 3, dtype=torch.float64)
    jacobian = (
        torch.autograd.functional.jacobian(network, x).abs().sum((1, 3))
    )  # [of the output at, of the input at]
    assert torch.equal(jacobian.tril(-1), jacobian)
    assert (jacobian[torch.tril_indices(4, 4, -1).unbind()] > 0).all()


def test_the_divergence_of_categoricals_is_right_never_negative_and_zero_only_where_equal():
    with seeded(0):
        logits = 3 * torch.randn(200, 7, dtype=torch.float64)
        others = torch.cat([logits[:100] + 1e-3 * torch.randn(100, 7), 5 * torch.randn(100, 7)]).double()
    log_q, log_p = logits.log_softmax(-1), others.log_softmax(-1)
    expected = torch.from_numpy(entropy(log_q.exp().numpy(), log_p.exp().numpy(), axis=1))
    torch.testing.assert_close(categorical_kl(log_q, log_p), expected, rtol=1e-8, atol=1e-12)
    assert torch.equal(categorical_kl(log_q, log_q), torch.zeros(200, dtype=torch.float64))
    near = (logits[:, :, None] + torch.tensor([0.0, 1e-4, 1e-6])).float()
    near[:, 0] += torch.tensor([0.0, 1e-4, 1e-6])
    log_q = near.log_softmax(1)
    textbook = (log_q[..., :1].exp() * (log_q[..., :1] - log_q)).sum(1)
    stable = categorical_kl(log_q[..., :1].mT.expand(-1, 3, -1), log_q.mT)
    assert (stable >= 0).all()
    assert (textbook < 0).any(), "the faulty form is caught"


def test_the_gradient_of_the_divergence_of_categoricals():
    with seeded(0):
        a, b = (torch.randn(5, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda a, b: categorical_kl(a.log_softmax(-1), b.log_softmax(-1)), (a, b))
    log_q, log_p = a.log_softmax(-1), b.log_softmax(-1)
    textbook = (log_q.exp() * (log_q - log_p)).sum()
    ours = categorical_kl(log_q, log_p).sum()
    for expected, found in zip(
        torch.autograd.grad(textbook, (a, b), retain_graph=True),
        torch.autograd.grad(ours, (a, b)),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kind", ["categorical", "autoregressive"])
@pytest.mark.parametrize("name", spaces())
def test_the_closed_divergence_of_a_point_is_minus_the_log_mass_of_its_codes(name, kind):
    space = spaces()[name]
    p, q = (distributions(space)[key] for key in (kind, "point"))
    closed = divergence(q, p, q.sample())
    torch.testing.assert_close(closed.total, -p.log_prob(q.sample()))
    uniform = CategoricalCodes(torch.zeros(2, 3, dtype=torch.float64), space)
    found = divergence(q, uniform, q.sample())
    expected = torch.tensor(2 * 3.0, dtype=torch.float64).div(2).log() * 2  # positions * log(codes)
    torch.testing.assert_close(found.total, expected, rtol=1e-15, atol=0)


def test_the_relaxation_goes_to_the_draw_as_it_cools_and_has_its_gradient():
    space = OneHotCodes(2, 3, torch.float64)
    logits = torch.tensor([[0.3, -1.0, 0.2], [0.0, 2.0, 1.0]], dtype=torch.float64, requires_grad=True)
    weights = torch.arange(6, dtype=torch.float64)
    for temperature, gap in ((1.0, 0.5), (1e-3, 1e-2)):
        with seeded(3):
            hard, soft = CategoricalCodes(logits, space, temperature=temperature).draw_pair(torch.Size((50,)))
        assert ((hard == 0) | (hard == 1)).all()
        assert (hard - soft).abs().mean() < gap
        for_hard, for_soft = (
            torch.autograd.grad((weights * z).sum(), logits, retain_graph=True)[0] for z in (hard, soft)
        )
        assert torch.equal(for_hard, for_soft)
        assert (for_hard != 0).any()


def test_printing_a_distribution():
    for p in distributions(OneHotCodes(2, 3, torch.float64)).values():
        assert type(p).__name__ in repr(p)


def test_the_divergence_from_an_autoregressive_mass_is_unbiased_and_has_less_noise():
    space = spaces()["one-hot"]
    p = distributions(space)["autoregressive"]
    with seeded(4):
        q = CategoricalCodes(torch.randn(2, 3, dtype=torch.float64), space)
        z = q.sample(torch.Size((20_000,)))
    every = space.embed(every_code(space))
    log_q, log_p = q.log_prob(every), p.log_prob(every)
    exact = (log_q.exp() * (log_q - log_p)).sum()
    found, plain = divergence(q, p, z).total, q.log_prob(z) - p.log_prob(z)
    assert (found >= 0).all()
    assert abs(found.mean() - exact) < 4 * found.std() / 20_000**0.5
    assert found.std() < 0.7 * plain.std()
