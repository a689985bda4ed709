"""``name:key=value``: read by the types of keyword-only parameters, written back the same, mistakes named."""

from typing import Literal

import pytest

from vaekit.errors import UsageError
from vaekit.language.grammar import did_you_mean, read_choice, read_pairs, there_are, write_choice
from vaekit.language.schedules import Schedule


def build(
    shape: int = 3,
    *,
    sizes: tuple[int, ...] = (8, 4),
    rate: float | Schedule = 0.1,
    limit: float | None = None,
    depth: int = 2,
    fused: bool = False,
    kind: Literal["imq", "rbf"] = "imq",
    label: str = "a",
): ...


DEFAULTS = {
    "sizes": (8, 4),
    "rate": 0.1,
    "limit": None,
    "depth": 2,
    "fused": False,
    "kind": "imq",
    "label": "a",
}


@pytest.mark.parametrize(
    ("written", "changed"),
    [
        ("", {}),
        ("sizes=16", {"sizes": (16,)}),
        ("sizes=none,limit=2", {"sizes": (), "limit": 2.0}),
        ("rate=cosine:0..1/5, fused = true", {"rate": Schedule("cosine", 0.0, 1.0, 5.0), "fused": True}),
        ("rate=1e-3,limit=none,kind=rbf,label=b", {"rate": 1e-3, "kind": "rbf", "label": "b"}),
    ],
)
def test_options_are_read_by_their_types_and_written_so_that_they_read_the_same(written, changed):
    name, options = read_choice("thing", f"build:{written}" if written else "build", {"build": build})
    assert (name, options) == ("build", DEFAULTS | changed)
    assert read_choice("thing", write_choice(name, options), {"build": build}) == (name, options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bild", "unknown thing 'bild'; did you mean 'build'? There are: build"),
        ("build:", "thing 'build:' ends in a colon"),
        ("build:shape=3", "build has no option 'shape'; There are: sizes"),
        ("build:depth=2.5", "build: depth=2.5: '2.5' is not a whole number"),
        ("build:limit=much", "'much' is not a number"),
        ("build:rate=fast", "'fast' is not a number, nor a schedule such as linear:0..1/10"),
        ("build:rate=lin:0..1/3", "build: rate=lin:0..1/3: unknown schedule 'lin'; did you mean 'linear'?"),
        ("build:fused=yes", "expected true or false"),
        ("build:kind=rfb", "build: kind=rfb; did you mean 'rbf'? There are: imq, rbf"),
        ("build:depth=1,depth=2", "thing 'build:depth=1,depth=2' gives 'depth' twice"),
        ("build:depth", "'depth' is not of the form key=value"),
        ("build:depth=1,", "'' is not of the form key=value"),
    ],
)
def test_mistakes_are_named(text, message):
    with pytest.raises(UsageError) as caught:
        read_choice("thing", text, {"build": build})
    assert message in str(caught.value)


def test_pairs_say_their_own_form():
    with pytest.raises(UsageError, match="--map: 'z' is not of the form ROLE=NAME"):
        read_pairs(["x=y", "z"], "--map", example="ROLE=NAME")


def test_the_nearest_name_is_suggested_whatever_its_case_and_nothing_where_none_is_near():
    names = ["von-mises-fisher", "wrapped-normal", "MAF"]
    assert did_you_mean("wraped-normal", names) == "; did you mean 'wrapped-normal'?"
    assert did_you_mean("von", names) == "; did you mean 'von-mises-fisher'?"
    assert did_you_mean("maf", names) == "; did you mean 'MAF'?"
    assert did_you_mean("xyz", names) == did_you_mean("", names) == ""
    assert there_are("depth", []) == "; it takes no options"
    far = {
        "train": ["chain", "gain"],
        "mse": ["sex"],
        "plot": ["report", "point"],
        "target": ["age"],
        "a": ["b"],
    }
    assert not [name for name, others in far.items() if did_you_mean(name, others)]
    near = {"hieght": "height", "mpl": "mlp", "gauss": "gaussian", "factorvae": "factor", "hour": "hours"}
    assert all(
        did_you_mean(name, ["other", right]) == f"; did you mean {right!r}?" for name, right in near.items()
    )
