"""Constraints such as start <= end: met by construction, with the distances that the source has."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from narrowing import untyped
from vaekit import Synthesizer
from vaekit.errors import UsageError

RULES = ("low <= high", "high < top", "since <= until")


def spans(n=2500, seed=0):
    """Distances that are narrow beside the columns; low, high and top one above the other."""
    random = np.random.default_rng(seed)
    low = np.round(random.normal(100, 20, n), 1)
    high = np.round(low + random.exponential(0.5, n), 1)
    since = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, n), unit="D")
    until = since + pd.to_timedelta(random.poisson(3, n), unit="D")
    frame = pd.DataFrame(
        {
            "high": high,
            "kind": random.choice(["a", "b"], n),
            "low": low,
            "since": since,
            "top": np.round(high + 1 + random.integers(0, 5, n), 1),
            "until": until,
        }
    )
    frame.loc[::10, "top"] = np.nan
    return frame


@pytest.fixture(scope="module")
def fitted():
    return Synthesizer(constraints=RULES, keep_missing=True, passes=12, random_state=0).fit(spans())


def test_every_row_is_in_order_without_rejection(fitted):
    names = list(spans().columns)
    assert {(names[pair.low], names[pair.high]) for pair in fitted.ordered_} == {
        ("low", "high"),
        ("high", "top"),
        ("since", "until"),
    }
    made = fitted.draw(3000, random_state=1)
    assert made.acceptance == 1.0
    frame = made.frame
    assert frame.dtypes.equals(spans().dtypes)
    assert (frame["low"] <= frame["high"]).all()
    assert (frame["high"] < frame["top"])[frame["top"].notna()].all()
    assert (frame["since"] <= frame["until"]).all()
    assert frame["top"].isna().mean() == pytest.approx(0.1, abs=0.03)
    assert (frame["high"].round(1) == frame["high"]).all()
    assert frame["until"].max() <= spans()["until"].max()


def largest_gap(first, second):
    """The statistic of Kolmogorov and Smirnov."""
    return untyped(ks_2samp(first.dropna(), second.dropna())).statistic


def test_distances_are_those_of_the_source(fitted):
    made, new = fitted.sample(3000, random_state=2), spans(3000, seed=9)
    for low, high in (("low", "high"), ("high", "top"), ("since", "until")):
        distances = [frame[high] - frame[low] for frame in (made, new)]
        if high == "until":
            distances = [each.dt.days for each in distances]
        assert largest_gap(*distances) < 0.06
    assert largest_gap(made["high"], new["high"]) < 0.06


def test_the_density_of_a_row_is_that_of_its_distances(fitted):
    found = fitted.log_density(spans(400, seed=3))
    wrong = spans(400, seed=3)
    wrong["high"] = wrong["low"] + 8.0
    assert found.mean() > fitted.log_density(wrong).mean() + 3


def test_what_cannot_be_a_distance_is_left_to_rejection():
    frame = spans(400)
    frame.loc[0, "high"] = frame.loc[0, "low"] - 1
    frame.loc[1, "since"] = pd.NaT
    rules = ("low <= high", "since <= until", "kind <= kind", "low >= 0 or low <= top")
    synthesizer = Synthesizer(constraints=rules, passes=1)
    synthesizer.look(frame)
    assert synthesizer.ordered_ == ()
    circular = Synthesizer(constraints=("low <= top", "top >= high", "high >= low", "high <= high"), passes=1)
    circular.look(frame.assign(high=frame["low"] + 0.5, top=frame["low"] + 2))
    assert len(circular.ordered_) == 2


def test_a_column_that_is_a_distance_cannot_be_given_and_any_other_can(fitted):
    assert fitted.sample(50, given={"low": (90, 110)}, random_state=0)["low"].between(90, 110).all()
    with pytest.raises(UsageError, match=r"'high' is modelled as what it is above 'low'.* to sample instead"):
        fitted.sample(5, given={"high": 100})
    made = fitted.sample(200, constraints=["top - low <= 4"], random_state=0)
    assert ((made["top"] - made["low"]).dropna() <= 4 + 1e-9).all()
