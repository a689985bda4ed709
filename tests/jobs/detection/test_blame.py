"""Conditionals against the exact ones of a Gaussian, and the values that are blamed."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm

from vaekit import OutlierDetector
from vaekit.errors import UsageError
from vaekit.jobs.detection.blame import mixture_quantiles
from vaekit.jobs.detection.column_conditionals import ColumnConditionals
from vaekit.jobs.detection.column_marginals import ColumnMarginals
from vaekit.jobs.detection.replaced_values import ReplacedValues
from vaekit.jobs.table_coding import CodedRows

COVARIANCE = np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.0], [0.3, 0.0, 1.0]])


@pytest.fixture(scope="module")
def gaussian():
    """Conditionals learned from a Gaussian, new rows, and the exact mean and deviation of each of their cells."""
    generator = np.random.default_rng(0)
    x = generator.multivariate_normal(np.zeros(3), COVARIANCE, size=1200).astype(np.float32)
    rows = CodedRows(torch.from_numpy(x), torch.zeros(len(x), 0).long(), torch.ones(len(x), 3))
    marginals = ColumnMarginals.fit(rows.take(slice(0, 1000)), ())
    own = [torch.arange(0, 500), torch.arange(500, 1000)]
    conditionals = ColumnConditionals.fit(rows, own, marginals, seed=0)
    precision = np.linalg.inv(COVARIANCE)
    deviation = 1 / np.sqrt(np.diag(precision))
    new = x[1000:]
    return conditionals, rows.take(slice(1000, 1200)), new - (new @ precision) * deviation**2, deviation


def test_the_conditionals_of_a_gaussian_are_the_exact_ones(gaussian):
    conditionals, rows, mean, deviation = gaussian
    found = conditionals.of_each_cell(rows)
    expected = norm.logpdf(rows.numbers.numpy(), mean, deviation)
    # the mean difference is the Kullback-Leibler divergence from the exact conditional, in nats
    lost = expected - found.log_density(rows).numpy().mean(0)
    assert abs(lost.mean()) < 0.06
    first = (found.log_weight.exp() * found.mean).sum(-1).numpy().mean(0)
    assert np.sqrt(np.mean((first - mean) ** 2)) < 0.25


def test_a_cell_takes_no_part_in_its_own_expectation(gaussian):
    conditionals, rows, _, _ = gaussian
    changed = CodedRows(rows.numbers.clone(), rows.codes, rows.observed)
    changed.numbers[:, 1] += 5
    before, after = conditionals.of_each_cell(rows), conditionals.of_each_cell(changed)
    torch.testing.assert_close(before.mean[:, :, 1], after.mean[:, :, 1])
    assert (before.mean[:, :, 0] != after.mean[:, :, 0]).any()


def half_zero(n, seed):
    """Return rows: a coin; 0 where it is tails, and else a normal number; a number that is independent."""
    generator = np.random.default_rng(seed)
    coin = torch.from_numpy(generator.integers(2, size=(n, 1)))
    x = torch.from_numpy(generator.normal(size=(n, 2)).astype(np.float32))
    x[:, 0] *= coin[:, 0]
    return CodedRows(x, coin, torch.ones(n, 3))


def test_a_value_that_many_rows_have_is_a_point():
    rows = half_zero(1200, 3)
    marginals = ColumnMarginals.fit(rows, (3,))
    assert marginals.points[0].tolist() == [0.0]
    assert marginals.points[1].isinf().all()
    own = [torch.arange(0, 600), torch.arange(600, 1200)]
    cells = ColumnConditionals.fit(rows, own, marginals, seed=0).of_each_cell(half_zero(200, 4))
    coin = half_zero(200, 4).codes[:, 0]
    # the point is the last component: certain where the coin is tails, impossible where it is heads
    mass = cells.log_weight[:, :, 0].exp()[..., -1].mean(0)
    assert mass[coin == 0].mean() > 0.95
    assert mass[coin == 1].mean() < 0.05


def test_marginals_are_densities():
    rows = half_zero(4000, 5)
    marginals = ColumnMarginals.fit(rows, (3,))
    grid = torch.linspace(-5, 5, 200_001)[:, None]
    n = len(grid)
    told = CodedRows(grid.expand(-1, 2), torch.arange(n)[:, None] % 3, torch.ones(n, 3))
    density = marginals.log_density(told).double().exp()
    # a twentieth of the flat tenth lies in bins without an end, or outside of the grid
    assert torch.trapezoid(density[:, :2], grid.double(), dim=0).tolist() == pytest.approx([1, 1], abs=0.08)
    assert density[:3, 2].sum().item() == pytest.approx(1, abs=1e-5)
    third = density[np.arange(n) % 3 == 2, 2][0]
    assert third.item() == pytest.approx(0.1 / 3, rel=0.02)


def test_the_replaced_column_is_named_as_often_as_the_exact_posterior_does():
    correlated = np.array([[1.0, 0.95, 0.0], [0.95, 1.0, 0.0], [0.0, 0.0, 1.0]])
    generator = np.random.default_rng(0)
    x = torch.from_numpy(generator.multivariate_normal(np.zeros(3), correlated, size=1000).astype(np.float32))
    rows = CodedRows(x, torch.zeros(1000, 0).long(), torch.ones(1000, 3))
    networks = ReplacedValues.fit(rows, [torch.arange(0, 500), torch.arange(500, 1000)], (), seed=0)
    new = generator.multivariate_normal(np.zeros(3), correlated, size=3000).astype(np.float32)
    column = generator.integers(3, size=len(new))
    new[np.arange(len(new)), column] = generator.normal(size=len(new))
    told = CodedRows(torch.from_numpy(new), torch.zeros(len(new), 0).long(), torch.ones(len(new), 3))
    found = networks.log_posterior(told).mean(0).numpy()
    precision = np.linalg.inv(correlated)
    deviation = 1 / np.sqrt(np.diag(precision))
    exact = norm.logpdf(new) - norm.logpdf(new, new - (new @ precision) * deviation**2, deviation)
    exact -= np.log(np.exp(exact).sum(1, keepdims=True))
    lost = (exact - found)[np.arange(len(new)), column]
    # the mean is the divergence from the exact posterior, in nats; that of equal shares is above a tenth
    assert -0.005 < lost.mean() < 0.03


def test_quantiles_of_a_mixture():
    generator = np.random.default_rng(0)
    weight, mean, scale = np.array([0.2, 0.8]), np.array([-1.0, 2.0]), np.array([0.5, 1.5])
    level = torch.tensor([0.05, 0.5, 0.95]).double()
    found = mixture_quantiles(torch.tensor(weight), torch.tensor(mean), torch.tensor(scale), level).numpy()
    np.testing.assert_allclose(
        (weight * norm.cdf((found[:, None] - mean) / scale)).sum(1), level.numpy(), atol=1e-9
    )
    part = generator.choice(2, size=100_000, p=weight)
    np.testing.assert_allclose(
        found, np.quantile(generator.normal(mean[part], scale[part]), level), atol=0.05
    )


@pytest.fixture(scope="module")
def houses():
    """Rooms say what kind a house is and how large; the year says nothing of the others."""
    generator = np.random.default_rng(1)
    rooms = generator.integers(1, 9, size=1200)
    frame = pd.DataFrame(
        {
            "year": generator.integers(1900, 2020, size=1200),
            "kind": np.where(rooms < 3, "flat", np.where(rooms < 6, "house", "villa")),
            "rooms": rooms,
            "area": 25.0 * rooms + generator.normal(size=1200) * 4,
        }
    )
    frame.loc[::9, "year"] = np.nan
    return frame


@pytest.fixture(scope="module")
def detector(houses):
    return OutlierDetector(members=4, steps=60).fit(houses)


def test_the_value_that_was_moved_is_blamed_first(houses, detector):
    good = houses[(houses["rooms"] == 4) & houses["year"].notna()][:3].copy()
    area, kind, year = good.copy(), good.copy(), good.copy()
    area["area"], kind["kind"], year["year"] = 180.0, "flat", 1500
    for rows, column in ((area, "area"), (kind, "kind"), (year, "year")):
        for reasons in detector.explain(rows):
            assert reasons[0].column == column
            assert reasons[0].p_value < 0.05
            assert len(reasons) == 3
    first = detector.explain(area)[0][0]
    assert first.value == pytest.approx(180.0)
    assert first.low < 100 < first.high
    assert first.low < first.expected < first.high
    of_kind = detector.explain(kind)[0][0]
    assert (of_kind.value, of_kind.expected, of_kind.low) == ("flat", "house", None)


def test_a_hole_is_never_blamed_and_a_category_that_is_new_is(houses, detector):
    row = houses[9:10].assign(area=np.nan)
    assert {reason.column for reason in detector.explain(row, columns=4)[0]} == {"kind", "rooms"}
    new = detector.explain(houses[1:2].assign(kind="castle"))[0][0]
    assert (new.column, new.value) == ("kind", "that is new")


def test_reasons_are_the_same_whatever_the_company(houses, detector):
    rows = houses.assign(area=houses["area"] + 30)[:80]
    alone = detector.explain(rows[70:71])[0]
    together = detector.explain(rows)[70]
    assert [str(reason) for reason in alone] == [str(reason) for reason in together]
    with pytest.raises(UsageError, match="columns=0"):
        detector.explain(rows, columns=0)
