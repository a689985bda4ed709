"""The kernels of experiments on tables: cells are hidden and changed as stated, and figures are those committed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vaekit.jobs import Imputer
from vaekit.reproductions.tables import filled_holes, hidden_categories, pooled_regressions
from vaekit.reproductions.tables.changed_cells import REASONS, change_cells, shares_blamed
from vaekit.reproductions.tables.filled_holes import (
    IMPUTATION,
    NOT_AT_RANDOM,
    coverage,
    read_whole,
    root_mean_square,
    standardised_by_seen,
    standardised_not_at_random,
)
from vaekit.reproductions.tables.hidden_categories import CATEGORIES, category_accuracy, hide_cells
from vaekit.reproductions.tables.hidden_cells import SHARE, above_the_mean, hide
from vaekit.reproductions.tables.pooled_regressions import (
    POOLING,
    pooled_intervals,
    read_population,
    regression,
    take_sample,
)

RESULTS = Path(__file__).parents[2] / "benchmarks" / "tables"


@pytest.mark.parametrize("kind", ["MCAR", "MAR"])
def test_the_share_of_hidden_cells_is_as_stated(kind):
    x = np.random.default_rng(1).normal(size=(20_000, 6))
    holes = hide(x, kind, 0)
    touched = holes.any(0)
    assert touched.sum() == (6 if kind == "MCAR" else 3)
    error = np.sqrt(SHARE * (1 - SHARE) / len(x))
    assert np.abs(holes[:, touched].mean(0) - SHARE).max() < 4 * error
    assert np.array_equal(holes, hide(x, kind, 0))
    assert not np.array_equal(holes, hide(x, kind, 1))
    # how well seen columns tell who is missing: not at all, or by a logistic of slope 2
    z = np.column_stack([np.ones(len(x)), x[:, ~touched] if kind == "MAR" else x[:, :1]])
    missing = holes[:, touched][:, -1].astype(float)
    explained = 1 - np.var(missing - z @ np.linalg.lstsq(z, missing)[0]) / np.var(missing)
    assert (explained > 0.25) if kind == "MAR" else (explained < 0.001)


def test_values_above_the_mean_are_hidden_in_half_of_the_columns():
    x, truth, holes = standardised_not_at_random(np.random.default_rng(0).normal(3, 2, size=(500, 4)))
    assert (truth[holes] > 0).all()
    assert (truth[:, :2][~holes[:, :2]] <= 0).all()
    assert not holes[:, 2:].any()
    assert np.array_equal(np.isnan(x), holes)
    assert np.array_equal(above_the_mean(truth), holes)


def test_errors_and_coverage_of_known_fills():
    truth = np.random.default_rng(0).normal(5, 3, size=(4000, 2))
    holes = hide(truth, "MCAR", 0)
    x, scaled = standardised_by_seen(truth, holes)
    assert np.nanmean(x, 0) == pytest.approx(0, abs=1e-12)
    assert np.nanstd(x, 0) == pytest.approx(1)
    assert root_mean_square(np.where(holes, scaled + 0.5 * scaled.std(0), scaled), scaled, holes) == (
        pytest.approx(0.5)
    )
    assert root_mean_square(np.where(holes, 0.0, x), scaled, holes) == pytest.approx(1, abs=0.03)
    half = np.full(truth.shape, 1.6449)
    assert coverage((-half, half), scaled, holes) == pytest.approx(0.9, abs=0.03)


def test_one_cell_of_every_row_is_changed_and_its_column_told():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.normal(size=80), "b": np.array(["x", "y", None])[rng.integers(3, size=80)], "c": 1.0}
    )
    frame.loc[:5, "c"] = 2.0
    others, changed, columns = change_cells(frame, 0, rows=20)
    clean = frame.loc[np.random.default_rng(0).permutation(80)[:20]].reset_index(drop=True)
    assert len(others) == 60
    different = (changed != clean) & ~(changed.isna() & clean.isna())
    assert different.to_numpy().sum(axis=1).tolist() == [1] * 20
    assert [str(row.idxmax()) for _, row in different.iterrows()] == columns
    assert all(changed.at[i, column] in set(others[column]) for i, column in enumerate(columns))
    assert shares_blamed([["c", "a", "b"]] * 2, ["a", "c"]) == {"top three": 1.0, "first": 0.5}


def test_categories_are_hidden_and_judged_where_they_were_known():
    frame = pd.DataFrame({"n": range(1000), "s": ["x", "y"] * 500, "t": ["u", None] * 500})
    given = hide_cells(frame, 0)
    assert float(given["n"].isna().to_numpy().mean()) == pytest.approx(SHARE, abs=0.06)
    right = (frame["s"] == "x").to_numpy()[given["s"].isna().to_numpy()].mean()
    filled = frame.assign(s="x")
    assert category_accuracy(frame, given, filled) == pytest.approx((1 + right) / 2)


def test_pooled_intervals_of_a_whole_table_are_those_of_the_regression():
    population = read_population()
    sample = take_sample(population, 0)
    assert 0.1 < sample.holes.mean() < 0.2, "30 % of half of the columns"
    estimate, variance = regression(sample.whole)
    low, high = pooled_intervals([sample.whole] * 10)
    assert (low + high) / 2 == pytest.approx(estimate)
    half = 1.98 * np.sqrt(pooled_regressions.FINITE * variance)  # some 182 degrees of freedom
    assert (high - low) / 2 == pytest.approx(half, rel=0.02)


def test_quick_cuts_run_whole(monkeypatch):
    def quick(steps=20, random_state=0):
        return Imputer(steps=20, anchor="gaussian", random_state=random_state)

    for module in (filled_holes, hidden_categories, pooled_regressions):
        monkeypatch.setattr(module, "Imputer", quick)
    whole = read_whole(None, "wine")[:60, :4]
    monkeypatch.setattr(filled_holes, "read_whole", lambda data_dir, name: whole)
    found = IMPUTATION.steps["wine, MAR"](None, 0)
    assert 0 < found["error"] < 2
    assert 0.5 < found["coverage"] <= 1
    frame = pd.DataFrame({"n": np.arange(60.0), "s": ["x", "y"] * 30})
    monkeypatch.setattr(hidden_categories, "read_categories", lambda data_dir: frame)
    assert 0 <= CATEGORIES.steps["adult"](None, 0)["accuracy"] <= 1
    monkeypatch.setattr(pooled_regressions, "_TOGETHER", 1)
    monkeypatch.setattr(pooled_regressions, "DRAWS", 2)
    assert 0 <= POOLING.steps["repeats 1 to 10"](None, 0)["coverage"] <= 1


def test_numbers_measured_before_lie_within_the_seeds_that_are_committed():
    def committed(name):
        return json.loads((RESULTS / f"{name}.json").read_text())

    for name, table in committed("reasons").items():
        for share in ("top_three", "first"):
            value = REASONS.references[f"{name}, {share.replace('_', ' ')}"].value
            assert value == pytest.approx(np.mean(table[share]), abs=1e-4)
    seeds: dict[str, list[float]] = {}
    document = committed("imputation")
    for row in document["tables"]:
        seeds.setdefault(f"{row['table']}, {row['holes']}, error", []).append(row["vaekit"])
    for name, figure in IMPUTATION.references.items():
        if figure.kind == "measured_before":
            assert figure.value == pytest.approx(np.mean(seeds[name]), abs=1e-4)
            assert figure.spread == pytest.approx(np.ptp(seeds[name]), abs=1e-4)
    errors = [v for k, v in document["breast_cancer_missing_above_the_mean"].items() if "mnar" in k]
    assert NOT_AT_RANDOM.references["breast cancer, error"].spread == pytest.approx(np.ptp(errors), abs=1e-4)
    accuracies = [row["vaekit"] for row in committed("imputed_categories")["accuracy"]]
    assert min(accuracies) <= CATEGORIES.references["adult, accuracy"].value <= max(accuracies)
    (pooled,) = (each for each in committed("pooling")["summary"] if each["way"] == "vaekit")
    assert POOLING.references["mean coverage"].value == pytest.approx(pooled["coverage_of_95"], abs=1e-4)
