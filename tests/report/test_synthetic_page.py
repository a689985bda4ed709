"""The page about a synthetic table: its verdict follows the figures, and it stands alone."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vaekit.jobs import report_synthetic
from vaekit.report import render_synthetic_report

# Data frames are hardly typed.
reported: Any = report_synthetic
rendered: Any = render_synthetic_report


def table(n: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, n), unit="D")
    size = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
    kind = rng.choice(["<b>a</b>", "c & d"], n)
    return pd.DataFrame(
        {"size": size, "kind": kind, "day": day, "yes": rng.random(n) < 0.9 * (kind == "c & d") + 0.05}
    )


TRAIN, HELD_OUT, FRESH = table(400, 0), table(400, 1), table(400, 2)


@pytest.fixture(scope="module")
def page() -> str:
    return rendered(reported(TRAIN, HELD_OUT, FRESH, target="yes"), TRAIN, FRESH, name="people <1>")


def test_rows_like_real_ones(page):
    assert "Trees can hardly tell the rows from real ones" in page
    assert "As useful for prediction as real rows, or nearly" in page
    assert "No more traces of the training rows than real rows show" in page
    assert "no formal privacy guarantee" in page
    assert "400 rows that a model made up after it had seen 400 real ones" in page


def test_the_page_stands_alone_and_names_are_only_text(page):
    assert "<h1>people &lt;1&gt;</h1>" in page
    assert "<b>a</b>" not in page
    assert not re.search(r"<script|<link|src=|url\(http", page)
    assert page.count("<svg") == 4
    assert "day (year)" in page
    assert page == rendered(reported(TRAIN, HELD_OUT, FRESH, target="yes"), TRAIN, FRESH, name="people <1>")


def test_rows_that_are_bad_in_every_way():
    made = TRAIN.iloc[:400].assign(day=TRAIN["day"] + pd.Timedelta(days=5000))
    copied = pd.concat([made.iloc[:200], TRAIN.iloc[:200]]).assign(
        yes=np.random.default_rng(0).random(400) < 0.5
    )
    page = rendered(reported(TRAIN, HELD_OUT, copied, target="yes"), TRAIN, copied, name="people")
    assert "Trees tell the rows from real ones" in page
    assert re.search(r"<code>day</code> betrays the rows: without it the AUROC is 0\.\d+ less", page)
    assert "Of little use for prediction" in page
    assert "The table keeps closer to the training rows than real rows do" in page


def test_tables_too_small_for_a_verdict():
    page = rendered(reported(TRAIN[:5], HELD_OUT[:0], FRESH[:5]), TRAIN[:5], FRESH[:5], name="five")
    assert "Too few rows to tell how good the table is" in page
    assert "Traces of the training rows were not looked for" in page
