"""Columns that determine each other: found where they do, and made up in combinations that the source has alone."""

import numpy as np
import pandas as pd
import pytest

from vaekit import Synthesizer
from vaekit.data import Schema, from_object
from vaekit.errors import UsageError
from vaekit.jobs.synthesis.discrete_table import DiscreteTable
from vaekit.jobs.synthesis.fixed_combinations import find_fixed

SHARES = np.array([0.3, 0.25, 0.2, 0.15, 0.07, 0.03])


def journeys(n=3000, seed=0):
    """A town has a land; a start and an end have a distance, and not every two are joined; price goes with distance."""
    random = np.random.default_rng(seed)
    town = random.choice(6, n, p=SHARES)
    routes = [(a, b) for a in range(5) for b in range(12) if (a + b) % 4]
    distance = np.random.default_rng(5).permutation(np.arange(100, 2000, 7))[: len(routes)]
    route = random.choice(len(routes), n)
    return pd.DataFrame(
        {
            "town": np.array(list("uvwxyz"))[town],
            "start": [f"S{routes[i][0]}" for i in route],
            "end": [f"E{routes[i][1]}" for i in route],
            "land": np.array(["north", "south", "west"])[town // 2],
            "miles": distance[route],
            "price": np.round(distance[route] * random.lognormal(0, 0.2, n), 2),
            "seats": random.integers(0, 9, n),
        }
    )


def groups_of(frame):
    data = from_object(frame)
    table = DiscreteTable.fit(Schema.fit(data, scaling="none"), data, keep_missing=True)
    return find_fixed(table.columns, np.asarray(data.values)[:, list(table.places)])


def rows_of(frame, names):
    return set(map(tuple, frame[list(names)].dropna().to_numpy().tolist()))


def test_only_columns_that_determine_each_other_are_found():
    frame = journeys()
    found = groups_of(frame)
    assert [each.names for each in found] == [("town", "land"), ("start", "end", "miles")]
    for each in found:
        assert len(each.values) == len(rows_of(frame, each.names))
        assert each.counts.sum() == len(frame)


def test_chance_is_no_dependence_and_a_few_exceptions_are_no_hindrance():
    frame, random = journeys(), np.random.default_rng(1)
    shuffled = frame.apply(lambda column: random.permutation(column))
    assert groups_of(shuffled) == ()
    # of hardly any row: what nearly every row has goes with everything
    rare = pd.DataFrame({"a": random.integers(0, 50, 400), "b": np.arange(400) == 7, "c": random.random(400)})
    assert groups_of(rare) == ()
    # a key of nearly every row says everything of the rows of the fit, and nothing of others
    keys = pd.DataFrame({"key": random.integers(0, 2000, 3000), "kind": random.integers(0, 4, 3000)})
    assert groups_of(keys) == ()
    half = random.random(3000) < 0.5
    mixed = pd.DataFrame({"a": random.integers(0, 4, 3000), "b": random.integers(0, 4, 3000)})
    mixed["b"] = mixed["b"].where(half, mixed["a"])
    assert groups_of(mixed) == ()
    exceptions = frame.copy()
    exceptions.loc[:3, "land"] = "west"
    assert ("town", "land") in [each.names for each in groups_of(exceptions)]


@pytest.fixture(scope="module")
def fitted():
    frame = journeys()
    hidden = np.random.default_rng(3).random(frame.shape) < 0.05
    with_holes = frame.mask(hidden)
    return frame, Synthesizer(keep_missing=True, passes=25, random_state=0).fit(with_holes)


def test_made_up_rows_have_combinations_of_the_source_and_their_shares(fitted):
    frame, synthesizer = fitted
    made = synthesizer.sample(6000, random_state=1)
    for names in (("town", "land"), ("start", "end", "miles")):
        assert rows_of(made, names) <= rows_of(frame, names)
    holes = made.isna().mean()
    assert holes.between(0.03, 0.07).all()
    known = made.dropna(subset=["town"])
    found = known["town"].value_counts(normalize=True).sort_index().to_numpy()
    assert np.abs(found - SHARES).max() < 4.5 * np.sqrt(0.25 * (1 / 3000 + 1 / 6000))
    # a hole in one of them says nothing of the others
    without = made[made["miles"].isna()]
    assert len(rows_of(without, ("start", "end"))) > 30
    assert rows_of(without, ("start", "end")) <= rows_of(frame, ("start", "end"))


def test_what_is_given_chooses_among_the_combinations(fitted):
    frame, synthesizer = fitted
    made = synthesizer.sample(400, given={"land": "south", "miles": "400..900"}, random_state=1)
    assert set(made["land"]) == {"south"}
    assert set(made["town"].dropna()) == {"w", "x"}
    assert made["miles"].between(400, 900).all()
    assert rows_of(made, ("start", "end", "miles")) <= rows_of(frame, ("start", "end", "miles"))
    # one value of the determined column leaves one of the others
    one = frame.iloc[0]
    made = synthesizer.sample(50, given={"miles": int(one["miles"])}, random_state=1)
    assert rows_of(made, ("start", "end")) == {(one["start"], one["end"])}
    with pytest.raises(
        UsageError, match=r"no row of the data has these values of 'town', 'land'; 'town', 'land' det"
    ):
        synthesizer.sample(5, given={"land": "south", "town": "z"})


def test_without_holes_every_cell_of_a_combination_is_there():
    frame = journeys(1200)
    made = Synthesizer(passes=5, random_state=0).fit(frame.mask(frame == "E3")).sample(500)
    assert not made.isna().to_numpy().any()
    assert rows_of(made, ("town", "land")) <= rows_of(frame, ("town", "land"))
    assert made.dtypes.equals(frame.dtypes)
