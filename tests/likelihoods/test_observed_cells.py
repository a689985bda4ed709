"""A missing cell adds exactly nothing to a log-density, and nothing to any gradient; the others add what they did."""

from functools import partial

import pytest
import torch
from torch import nn

from narrowing import known
from vaekit.contracts import Likelihood
from vaekit.errors import UsageError
from vaekit.likelihoods import MixedLikelihood, MultiScaleSimilarityLikelihood
from vaekit.likelihoods.observed_cells import ObservedCells, cell_log_prob
from vaekit.sentence import PARTS

OBSERVED = [0, 2, 3]
OPTIONS: dict[str, list[dict]] = {
    "gaussian": [{}, {"scale": "per-example"}, {"scale": "per-dimension"}],
    "laplace": [{"scale": "per-dimension"}],
    "student-t": [{"scale": "per-dimension"}, {"scale": "per-example"}],
    "categorical": [{"levels": 3}],
    "discretized-logistic": [{"levels": 4, "mixture": 2}],
    "negative-binomial": [{}, {"dispersion": "per-example"}],
    "zero-inflated-negative-binomial": [{}],
}
KINDS = [
    (name, options)
    for name, part in PARTS["likelihood"].items()
    if name != "mixed" and part.traits.takes_missing
    for options in OPTIONS.get(name, [{}])
]


def test_all_likelihoods_of_tables_take_missing_cells():
    refusing = {name for name, part in PARTS["likelihood"].items() if not part.traits.takes_missing}
    assert refusing == {"ms-ssim"}


def _data(likelihood: Likelihood) -> torch.Tensor:
    """Four rows inside the support."""
    x = torch.tensor([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 2.0, 1.0], [0.0, 0.0, 1.0, 2.0], [1.0, 1.0, 1.0, 0.0]])
    return x.double().clamp(likelihood.support.lower, likelihood.support.upper)


def _features(likelihood: Likelihood, columns: list[int], seed: int = 0) -> torch.Tensor:
    """Features of some of four columns, the same for a column whatever the others."""
    per_column = likelihood.feature_shape[0] // likelihood.event_shape[0]
    torch.manual_seed(seed)
    every = torch.randn(4, per_column, 4, dtype=torch.float64)
    return every[:, :, columns].flatten(1).requires_grad_()


def _parameters(likelihood: nn.Module, columns: list[int]) -> list[torch.Tensor]:
    return [p[columns] if p.dim() else p for p in (q.grad for q in likelihood.parameters()) if p is not None]


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_a_row_with_holes_is_the_row_without_those_columns(name, options):
    make = partial(PARTS["likelihood"][name], **options)
    whole, part = make((4,)).double(), make((3,)).double()
    with torch.no_grad():
        for ours, theirs in zip(whole.parameters(), part.parameters(), strict=True):
            theirs.copy_(ours.copy_(torch.randn_like(ours) * 0.3)[OBSERVED] if ours.dim() else ours)
    x = _data(whole)
    holes = x.clone()
    holes[:, 1] = torch.nan
    f_whole, f_part = _features(whole, [0, 1, 2, 3]), _features(part, OBSERVED)
    observed = ObservedCells(whole)(f_whole).log_prob(holes)
    expected = part(f_part).log_prob(x[:, OBSERVED])
    torch.testing.assert_close(observed, expected, rtol=1e-12, atol=1e-12)
    (observed * torch.arange(1.0, 5.0)).sum().backward()
    (expected * torch.arange(1.0, 5.0)).sum().backward()
    slopes = known(f_whole.grad).unflatten(1, (-1, 4))
    torch.testing.assert_close(slopes[..., OBSERVED].flatten(1), f_part.grad, rtol=1e-10, atol=1e-12)
    assert (slopes[..., 1] == 0).all()
    got, wanted = _parameters(whole, OBSERVED), _parameters(part, [0, 1, 2])
    assert len(got) == len(wanted)
    for ours, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


MIXED = ("gaussian", "categorical3", "student-t", "bernoulli", "poisson", "negative-binomial", "laplace",
         "zero-inflated-negative-binomial")  # fmt: skip


def _mixed_rows() -> torch.Tensor:
    return torch.tensor(
        [[0.3, 2, -4.0, 1, 7, 3, 0.1, 0], [-1.2, 0, 0.5, 0, 0, 12, 2.0, 5]], dtype=torch.float64
    )


@pytest.mark.parametrize("hole", range(len(MIXED)))
def test_a_mixed_row_loses_exactly_the_term_of_its_missing_column(hole):
    likelihood = MixedLikelihood((8,), columns=MIXED).double()
    torch.manual_seed(hole)
    features = torch.randn(2, *likelihood.feature_shape, dtype=torch.float64).requires_grad_()
    x, holes = _mixed_rows(), _mixed_rows()
    holes[0, hole] = torch.nan
    p = likelihood(features)
    cells = cell_log_prob(p, x)
    torch.testing.assert_close(cells.sum(-1), p.log_prob(x), rtol=1e-12, atol=0)
    got = ObservedCells(likelihood)(features).log_prob(holes)
    torch.testing.assert_close(got[1], p.log_prob(x)[1], rtol=1e-12, atol=0)
    torch.testing.assert_close(got[0], cells[0].sum() - cells[0, hole], rtol=1e-12, atol=1e-12)
    got.sum().backward()
    slopes = torch.autograd.grad(cells.sum() - cells[0, hole], features)[0]
    torch.testing.assert_close(features.grad, slopes, rtol=1e-12, atol=1e-14)
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in likelihood.parameters())


def test_the_jacobian_counts_observed_cells_alone():
    base = PARTS["likelihood"]["gaussian"]((3,), scale="fixed", value=1.0)
    scaled = ObservedCells(base, [-1.0, -10.0, -100.0])(torch.zeros(2, 3))
    plain = ObservedCells(base)(torch.zeros(2, 3))
    x = torch.tensor([[0.5, torch.nan, 0.1], [torch.nan, 0.2, torch.nan]])
    torch.testing.assert_close(scaled.log_prob(x) - plain.log_prob(x), torch.tensor([-101.0, -10.0]))


def test_no_cell_observed_is_a_log_density_of_nothing():
    likelihood = ObservedCells(MixedLikelihood((8,), columns=MIXED), -3.0)
    features = torch.randn(5, 2, *likelihood.feature_shape).requires_grad_()
    value = likelihood(features).log_prob(torch.full((2, 8), torch.nan))
    assert (value == 0).all()
    value.sum().backward()
    assert (features.grad == 0).all()


def test_the_edge_of_an_open_support_gives_no_gradient_that_is_not_a_number():
    """A density that is infinite at the edge of [0, inf), where a fill of 0 would have a slope of infinity."""

    class Gamma(nn.Module, Likelihood):
        traits = PARTS["likelihood"]["gaussian"].traits
        support = type(PARTS["likelihood"]["gaussian"].support)("positive numbers", 0.0, torch.inf, "")
        event_shape = feature_shape = (2,)
        encoder_input = None

        def forward(self, features):
            gamma = torch.distributions.Gamma(features.exp(), 1.0, validate_args=False)
            return torch.distributions.Independent(gamma, 1)

    features = torch.zeros(1, 2, requires_grad=True)
    ObservedCells(Gamma())(features).log_prob(torch.tensor([[torch.nan, 2.0]])).sum().backward()
    assert known(features.grad)[0, 0] == 0
    assert known(features.grad).isfinite().all()


def test_a_density_of_whole_images_refuses():
    images = torch.zeros(1, 1, 32, 32)
    likelihood = MultiScaleSimilarityLikelihood((1, 32, 32))
    with pytest.raises(UsageError, match="a density of whole rows"):
        cell_log_prob(likelihood(images), images)


def test_marginals_are_those_of_the_observed_cells():
    likelihood = MixedLikelihood((2,), columns=("gaussian", "categorical2"))
    x = torch.tensor([[1.0, 1.0], [3.0, torch.nan], [torch.nan, 1.0], [torch.nan, 1.0]])
    filled = torch.tensor([[1.0, 1.0], [3.0, 1.0], [1.0, 1.0], [3.0, 1.0]])
    found = ObservedCells(likelihood).marginal_features(x)
    torch.testing.assert_close(found, likelihood.marginal_features(filled))
    assert x.isnan().sum() == 3


def test_the_encoder_sees_zero_and_the_mask():
    likelihood = ObservedCells(
        MixedLikelihood((3,), columns=("gaussian", "categorical2", "poisson")), masked=[False, True, True]
    )
    x = torch.tensor([[torch.nan, torch.nan, torch.nan], [0.5, 1.0, 0.0]])
    expected = torch.tensor([[0.0, 0, 0, 0, 1, 1], [0.5, 0, 1, 0, 0, 0]])
    assert likelihood.encoder_shape == (6,)
    torch.testing.assert_close(likelihood.encoder_input(x), expected)
