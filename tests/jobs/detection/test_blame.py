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
from vaekit.jobs.table_coding import CodedRows

COVARIANCE = np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.0], [0.3, 0.0, 1.0]])


@pytest.fixture(scope="module")
def gaussian():
    """Conditionals learned from a Gaussian, new rows, and the exact mean and deviation of each of their cells."""
    generator = np.random.default_rng(0)
    x = generator.multivariate_normal(np.zeros(3), COVARIANCE, size=1200).astype(np.float32)
    rows = CodedRows(torch.from_numpy(x), torch.zeros(len(x), 0).long(), torch.ones(len(x), 3))
    conditionals = ColumnConditionals.fit(rows.take(slice(0, 1000)), (), good=np.ones(1000, bool), seed=0)
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
