"""The schema through JSON: the same bytes back, and every edit refused with the key it is in."""

import copy
import json

import numpy as np
import pytest

from vaekit.data import Schema
from vaekit.errors import ArtifactError

VALUES = np.array([[1 / 3, 1e-300, 5.0], [2 / 3, 3e-300, 5.0], [1e17, 0.0, 5.0]])
IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)


@pytest.mark.parametrize("data", [VALUES, IMAGES], ids=["table", "images"])
@pytest.mark.parametrize("scaling", ["none", "standardize"])
def test_it_survives_json_exactly(data, scaling):
    schema = Schema.fit(data, scaling=scaling)
    text = json.dumps(schema.to_json(), allow_nan=False)
    again = Schema.from_json(json.loads(text))
    assert again == schema
    assert np.array_equal(again.transform(data), schema.transform(data))
    assert json.dumps(again.to_json()) == text


EDITS = {
    "unknown key": (lambda d: d.update(scal=1), r"schema: unknown key 'scal'; did you mean 'scale'"),
    "missing key": (lambda d: d.pop("offset"), r"schema: missing key 'offset'"),
    "kind": (lambda d: d.update(kind="tables"), r"schema.kind: 'tables'; expected one of 'images', 'table'"),
    "unhashable kind": (lambda d: d.update(kind=[]), r"schema.kind: \[\]"),
    "scaling": (lambda d: d.update(scaling=None), r"schema.scaling: None"),
    "dtype": (lambda d: d.update(dtype="object"), r"schema.dtype: 'object'"),
    "event shape": (
        lambda d: d.update(event_shape=[0]),
        r"schema.event_shape\[0\]: 0; expected a whole number",
    ),
    "event dimensions": (
        lambda d: d.update(event_shape=[1, 2]),
        r"schema.event_shape: a list of 2; expected a list of 1",
    ),
    "bool as size": (lambda d: d.update(event_shape=[True]), r"schema.event_shape\[0\]: True"),
    "more columns than entries": (
        lambda d: d.update(event_shape=[4]),
        r"schema.columns: a list of 3; expected .* 4",
    ),
    "negative scale": (
        lambda d: d["scale"].__setitem__(1, -1.0),
        r"schema.scale\[1\]: -1.0; expected .* above 0",
    ),
    "NaN scale": (
        lambda d: d["scale"].__setitem__(0, float("nan")),
        r"schema.scale\[0\]: nan; expected a finite number",
    ),
    "infinite offset": (lambda d: d["offset"].__setitem__(2, float("inf")), r"schema.offset\[2\]: inf"),
    "a huge whole number": (
        lambda d: d["offset"].__setitem__(2, 10**400),
        r"schema.offset\[2\]: 1000.*finite",
    ),
    "text for a number": (lambda d: d["offset"].__setitem__(0, "0"), r"schema.offset\[0\]: '0'"),
    "column name": (lambda d: d["columns"][1].update(name=3), r"schema.columns\[1\].name: 3; expected text"),
    "column number": (lambda d: d["columns"][1].update(mean=None), r"schema.columns\[1\].mean: None"),
    "column flag": (
        lambda d: d["columns"][0].update(integer=1),
        r"schema.columns\[0\].integer: 1; expected true or",
    ),
    "column key": (lambda d: d["columns"][0].pop("constant"), r"schema.columns\[0\]: missing key 'constant'"),
    "column type": (
        lambda d: d["columns"].__setitem__(0, []),
        r"schema.columns\[0\]: list; expected an object",
    ),
    "repeated name": (
        lambda d: d["columns"][0].update(name="x1"),
        r"schema.columns: names that stand more than once",
    ),
    "all constant": (
        lambda d: [c.update(constant=True) for c in d["columns"]],
        r"schema.columns: every column is con",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_edits_are_refused(name):
    edit, message = EDITS[name]
    document = copy.deepcopy(Schema.fit(VALUES, scaling="standardize").to_json())
    edit(document)
    with pytest.raises(ArtifactError, match=message):
        Schema.from_json(document)


def test_something_else_is_refused():
    with pytest.raises(ArtifactError, match="schema: list; expected an object with the keys 'kind'"):
        Schema.from_json([])


WRITTEN_BY_0_1 = """
{"kind": "table", "event_shape": [3], "dtype": "float64", "columns": [{"name": "length", "minimum":
0.3333333333333333, "maximum": 6.0, "mean": 4.020833333333334, "standard_deviation": 2.1940378491113903,
"constant": false, "integer": false, "missing_rate": 0.0}, {"name": "kind", "minimum": 0.0, "maximum":
2.0, "mean": 1.25, "standard_deviation": 0.82915619758885, "constant": false, "integer": true,
"missing_rate": 0.0, "categories": ["", "a", "b"]}, {"name": "seven", "minimum": 7.0, "maximum": 7.0,
"mean": 7.0, "standard_deviation": 0.0, "constant": true, "integer": true, "missing_rate": 0.0}],
"scaling": "mixed", "offset": [4.020833333333334, 0.0, 0.0], "scale": [2.1940378491113903, 1.0, 1.0],
"conditions": {"conditions": [{"name": "sex", "categories": ["f", "m"], "mean": 0.0,
"standard_deviation": 1.0}, {"name": "age", "categories": null, "mean": 35.25, "standard_deviation":
11.18313462317252}], "missing": false, "seen": [[0.0, 1.0, -1.3636605739593506], [0.0, 1.0,
-0.4247467517852783], [0.0, 1.0, 1.3189504146575928], [1.0, 0.0, 0.46945691108703613]], "counts": [1, 1,
1, 1]}}
"""


def test_a_document_of_the_first_version_loads_and_is_written_again_as_it_was():
    document = json.loads(WRITTEN_BY_0_1)
    schema = Schema.from_json(document)
    assert schema.columns[1].categories == ("", "a", "b")
    assert schema.conditions is not None
    assert schema.conditions.names == ("sex", "age")
    assert json.dumps(schema.to_json()) == json.dumps(document)


def test_an_edit_of_the_conditions_names_their_place():
    document = json.loads(WRITTEN_BY_0_1)
    document["conditions"]["conditions"][1]["standard_deviation"] = 0
    with pytest.raises(
        ArtifactError, match=r"schema.conditions.conditions\[1\].standard_deviation: 0; expected .* above 0"
    ):
        Schema.from_json(document)
