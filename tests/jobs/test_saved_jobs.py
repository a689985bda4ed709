"""Fitted jobs, saved and loaded: the same bytes from both, and a sentence for every file that is not as written."""

import hashlib
import json
import os
import pickle
import shutil
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris

import vaekit
from narrowing import untyped
from vaekit import Imputer, OutlierDetector, Synthesizer, VariationalAutoencoder
from vaekit.artifact import FORMAT_VERSION, job_of
from vaekit.errors import ArtifactError, UsageError
from vaekit.jobs.saved_state import pack, unpack


@pytest.fixture(scope="module")
def mixed():
    """Numbers, whole numbers, categories and truths, with holes."""
    random = np.random.default_rng(0)
    size = random.normal(size=120)
    frame = pd.DataFrame(
        {
            "size": size,
            "count": random.integers(0, 9, 120),
            "kind": pd.Categorical(np.array(["a", "b", "c"])[(size > 0) + random.integers(2, size=120)]),
            "fine": pd.array(size > -0.5, dtype="boolean"),
            "one": 1,
        }
    )
    frame.loc[::7, "size"] = np.nan
    frame.loc[3::11, "kind"] = None
    frame.loc[4::13, "fine"] = pd.NA
    return frame


@pytest.fixture(scope="module")
def numbers():
    x = untyped(load_iris()).data.copy()
    x[::9, 1] = np.nan
    return x


def detector(**changes) -> OutlierDetector:
    return OutlierDetector(**{"members": 4, "false_alarm_rate": 0.05, "steps": 40, **changes})


def said_by_detector(fitted, rows):
    """All that a detector says, of rows of the fit and of others."""
    new = rows.assign(size=rows["size"] + 0.25) if isinstance(rows, pd.DataFrame) else rows + 0.25
    return [
        each
        for x in (rows, new)
        for each in (
            fitted.score_samples(x).tobytes(),
            fitted.p_values(x).tobytes(),
            fitted.predict(x).tobytes(),
            fitted.explain(x[:9]),
        )
    ]


def synthesizer(**changes) -> Synthesizer:
    return Synthesizer(**{"passes": 8, "keep_missing": True, **changes})


def said_by_synthesizer(fitted, rows):
    """All that a synthesizer says: rows with and without conditions, and the density of rows."""
    if not isinstance(rows, pd.DataFrame):
        return [fitted.sample(20).tobytes(), fitted.log_density(rows).tobytes()]
    made = [
        fitted.draw(20, random_state=1),
        fitted.draw(9, given={"kind": "b"}, constraints=["count < 8"], random_state=2),
    ]
    return [
        fitted.log_density(rows).tobytes(),
        *((each.frame.to_json(), list(map(str, each.frame.dtypes)), each.acceptance) for each in made),
    ]


def imputer(**changes) -> Imputer:
    return Imputer(**{"steps": 30, **changes})


def said_by_imputer(fitted, rows):
    """All that an imputer says: filled tables, draws and intervals, in the types of the rows; with other holes too."""
    other = rows.copy()
    if not isinstance(rows, pd.DataFrame):
        other[5:9, 0] = np.nan
        tables = [
            fitted.transform(rows),
            fitted.transform(other),
            *fitted.sample(rows, draws=2),
            *fitted.interval(rows),
        ]
        return [each.tobytes() for each in tables]
    other.loc[5:9, "size"] = np.nan
    tables = [fitted.transform(rows), fitted.transform(other), *fitted.sample(rows, draws=2)]
    return [
        *((each.to_json(), list(map(str, each.dtypes))) for each in tables),
        *(each.tobytes() for each in fitted.interval(rows)),
        list(map(str, fitted.checks_)),
        fitted.get_feature_names_out().tolist(),
    ]


SAID = {
    "imputer": (imputer, said_by_imputer),
    "outlier detector": (detector, said_by_detector),
    "synthesizer": (synthesizer, said_by_synthesizer),
}


@pytest.fixture(scope="module", params=SAID)
def fitted(request, mixed):
    make, said = SAID[request.param]
    return make().fit(mixed), said


@pytest.fixture
def folder(tmp_path, fitted):
    fitted[0].save(tmp_path / "fitted.vae")
    return tmp_path / "fitted.vae"


@pytest.mark.parametrize("kind", SAID)
@pytest.mark.parametrize("table", ["mixed", "numbers"])
def test_what_is_loaded_says_the_same_bytes(tmp_path, request, kind, table):
    rows, (make, said) = request.getfixturevalue(table), SAID[kind]
    saved = make().fit(rows)
    saved.save(tmp_path / "fitted.vae")
    loaded = type(saved).load(tmp_path / "fitted.vae")
    assert type(vaekit.load(tmp_path / "fitted.vae")) is type(loaded) is type(saved)
    assert json.dumps(loaded.get_params()) == json.dumps(saved.get_params())  # tuples come back as lists
    assert list(vars(loaded).get("feature_names_in_", [])) == list(vars(saved).get("feature_names_in_", []))
    assert said(loaded, rows) == said(saved, rows)


def test_writing_what_was_read_gives_the_same_bytes(folder, tmp_path):
    vaekit.load(folder).save(tmp_path / "again.vae")
    for path in folder.iterdir():
        assert (tmp_path / "again.vae" / path.name).read_bytes() == path.read_bytes()


def test_a_detector_that_has_explained_before_is_saved_with_what_explains(tmp_path, numbers):
    saved = detector().fit(numbers)
    reasons = saved.explain(numbers[:5])
    saved.save(tmp_path / "d.vae")
    loaded = OutlierDetector.load(tmp_path / "d.vae")
    blame = untyped(loaded)._blame
    assert blame is not None
    assert loaded.explain(numbers[:5]) == reasons


def test_what_is_in_it(folder, fitted):
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]
    document = json.loads((folder / "model.json").read_text(), parse_constant=pytest.fail)
    assert (document["job"], document["format_version"]) == (fitted[0].job, FORMAT_VERSION)
    assert document["summary"] == fitted[0].source_
    assert job_of(folder) == fitted[0].job


def test_ids_are_as_new_after_loading(tmp_path, mixed):
    rows = mixed.assign(code=[f"C{i:04}" for i in range(120)], number=pd.Series(range(5, 125), dtype="int16"))
    saved = synthesizer(unique=["code", "number"], constraints=["count <= 8"]).fit(rows)
    saved.save(tmp_path / "s.vae")
    made = [fitted.sample(5, random_state=3) for fitted in (saved, Synthesizer.load(tmp_path / "s.vae"))]
    assert made[1]["code"].tolist() == [f"C{i:04}" for i in range(120, 125)]
    assert made[1]["number"].dtype == "int16"
    pd.testing.assert_frame_equal(made[0], made[1])


def test_imputers_of_other_kinds(tmp_path, numbers):
    empty = pd.DataFrame(numbers, columns=list("abcd")).assign(b=np.nan)
    for i, (rows, options) in enumerate(
        [
            (numbers, {"mnar": "self"}),
            (numbers, {"anchor": "gaussian", "add_indicator": True}),
            (numbers[~np.isnan(numbers).any(1)], {}),
            (empty, {"keep_empty_features": True}),
            (np.where(np.isnan(numbers), -1.0, numbers), {"missing_values": -1}),
        ]
    ):
        saved = imputer(**options).fit(rows)
        saved.save(tmp_path / f"{i}.vae")
        loaded, other = Imputer.load(tmp_path / f"{i}.vae"), rows.copy()
        other[1:4] = other[0:3]
        for table in (rows, other):
            assert (
                np.asarray(loaded.transform(table)).tobytes() == np.asarray(saved.transform(table)).tobytes()
            )
        assert np.asarray(loaded.sample(rows)[0]).tobytes() == np.asarray(saved.sample(rows)[0]).tobytes()


def test_columns_that_belong_together_and_in_order_still_do(tmp_path):
    random = np.random.default_rng(0)
    town = random.integers(6, size=300)
    rows = pd.DataFrame(
        {
            "town": np.array(list("abcdef"))[town],
            "land": np.array(list("xyz"))[town // 2],
            "start": random.random(300),
        }
    ).assign(end=lambda frame: frame["start"] + random.random(300))
    saved = synthesizer(constraints=["start <= end"]).fit(rows)
    saved.save(tmp_path / "s.vae")
    loaded = Synthesizer.load(tmp_path / "s.vae")
    assert [each.names for each in loaded.fixed_] == [("town", "land")]
    assert loaded.ordered_ == saved.ordered_ != ()
    made = [fitted.sample(60, given={"land": "y"}, random_state=3) for fitted in (saved, loaded)]
    pd.testing.assert_frame_equal(made[0], made[1])
    assert set(made[1]["town"]) == {"c", "d"}


def test_networks_of_edited_sizes_cost_no_memory(tmp_path, numbers):
    synthesizer().fit(numbers).save(tmp_path / "s.vae")
    state = json.loads((tmp_path / "s.vae" / "model.json").read_text())["state"]
    state["fitted"]["networks_"]["parts"]["hidden"] = 10**8
    edit(tmp_path / "s.vae", state=state)
    with pytest.raises(ArtifactError, match=r"does not fit together: (?s:.)*size mismatch"):
        vaekit.load(tmp_path / "s.vae")


def test_a_generator_goes_on_where_it_was(tmp_path, numbers):
    generator = np.random.RandomState(3)
    saved = detector(random_state=generator).fit(numbers)
    saved.save(tmp_path / "d.vae")
    loaded = OutlierDetector.load(tmp_path / "d.vae")
    assert untyped(loaded.random_state).normal() == generator.normal()


def test_no_pickle_is_read_or_written(tmp_path, fitted, mixed, monkeypatch):
    def never(*_, **__):
        raise AssertionError("a pickle")

    for name in ("load", "loads", "dump", "dumps", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, never)
    saved, _ = fitted
    saved.save(tmp_path / "fitted.vae")
    assert type(saved).load(tmp_path / "fitted.vae").source_["rows"] == len(mixed)


def test_an_existing_one_asks_for_force_and_what_is_no_artifact_stays(folder, fitted, tmp_path):
    with pytest.raises(ArtifactError, match=r"exists; choose another path, or give force=True"):
        fitted[0].save(folder)
    fitted[0].save(folder, force=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match="no vaekit artifact"):
        fitted[0].save(tmp_path / "thesis", force=True)
    with pytest.raises(ArtifactError, match="does not exist"):
        fitted[0].save(tmp_path / "nowhere" / "x.vae")


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no write permission there")
def test_a_place_that_cannot_be_written_and_a_disk_that_is_full(folder, fitted, tmp_path, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ArtifactError, match="No space left on device"):
            fitted[0].save(folder, force=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ArtifactError, match="cannot be written"):
        fitted[0].save(tmp_path / "x.vae")


def test_one_that_is_not_fitted_is_not_saved(tmp_path, fitted):
    with pytest.raises(ValueError, match="not fitted"):
        type(fitted[0])().save(tmp_path / "x.vae")


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_missing_and_truncated_files_and_links_are_named(folder, fitted, tmp_path, name):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match=r"no valid JSON|truncated, altered or exchanged"):
        vaekit.load(folder)
    shutil.move(folder / name, tmp_path / "outside")
    with pytest.raises(ArtifactError, match=f"has no {name}"):
        vaekit.load(folder)
    (folder / name).symlink_to(tmp_path / "outside")
    with pytest.raises(ArtifactError, match="leaves the folder"):
        vaekit.load(folder)


def edit(folder, *, sealed=True, **changes):
    """Change the description, and with ``sealed`` its hash too, as somebody would who means it."""
    document = json.loads((folder / "model.json").read_text())
    document.update(changes)
    if sealed:
        content = json.dumps([document["state"], document["summary"]], sort_keys=True)
        document["content_sha256"] = hashlib.sha256(content.encode()).hexdigest()
    (folder / "model.json").write_text(json.dumps({k: v for k, v in document.items() if v is not ...}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": FORMAT_VERSION + 1}, "upgrade vaekit"),
        ({"format": "zip"}, "does not describe a vaekit artifact"),
        (
            {"job": "oracle"},
            "job 'oracle' is not known here; expected one of 'imputer', 'synthesizer', 'outlier detector'",
        ),
        ({"job": ["imputer"]}, "is not known here"),
        ({"summary": {"rows": 3}}, "its hash differs"),
        ({"summary": 3}, "expected an object"),
        ({"state": {}}, "its hash differs"),
        ({"versions": None}, "expected an object"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"weights_sha256": "0"}, "its hash differs"),
    ],
)
def test_edited_descriptions_are_refused(folder, changes, message):
    edit(folder, sealed=False, **changes)
    with pytest.raises(ArtifactError, match=message):
        vaekit.load(folder)


PARTS = {
    "imputer": ("coding_", "TableCoding"),
    "outlier detector": ("coding_", "TableCoding"),
    "synthesizer": ("table_", "DiscreteTable"),
}


def state_with(folder, **changes):
    """The state with other fitted attributes; ... for none."""
    state = json.loads((folder / "model.json").read_text())["state"]
    fitted = {k: v for k, v in {**state["fitted"], **changes}.items() if v is not ...}
    return {**state, "fitted": fitted}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_features_in_": "5"}, "n_features_in_: '5'; expected int; was the file edited"),
        ({"n_features_in_": ...}, "the attribute 'n_features_in_' is missing"),
        ({"intruder": 1}, "an attribute 'intruder' that this version does not know"),
        ({"PART": {"is": "Path"}}, r"PART: .*expected KIND"),
        ({"PART": {"is": "KIND"}}, r"PART: .*expected KIND"),
        ({"PART": None}, "PART: None; expected KIND"),
    ],
)
def test_a_state_of_other_types_is_refused_even_with_its_hash(folder, fitted, changes, message):
    part, kind = PARTS[fitted[0].job]
    changes = json.loads(json.dumps(changes, default=str).replace("PART", part).replace("KIND", kind))
    changes = {name: ... if value == "Ellipsis" else value for name, value in changes.items()}
    message = message.replace("PART", part).replace("KIND", kind)
    edit(folder, state=state_with(folder, **changes))
    with pytest.raises(ArtifactError, match=message):
        vaekit.load(folder)


def test_an_array_that_is_not_there_is_named(tmp_path, numbers):
    detector().fit(numbers).save(tmp_path / "d.vae")
    edit(tmp_path / "d.vae", state=state_with(tmp_path / "d.vae", surprise_={"array": "elsewhere"}))
    with pytest.raises(ArtifactError, match="surprise_: there is no array 'elsewhere'"):
        vaekit.load(tmp_path / "d.vae")


def test_parameters_that_the_class_does_not_have(folder):
    state = json.loads((folder / "model.json").read_text())["state"]
    edit(folder, state={**state, "parameters": {"shell": "rm"}})
    with pytest.raises(ArtifactError, match="does not fit together"):
        vaekit.load(folder)


def test_other_kinds_are_refused_with_what_they_serve(folder, tmp_path, fitted, numbers):
    model = VariationalAutoencoder(1, network="mlp:hidden=4", epochs=1, random_state=0).fit(numbers)
    model.save(tmp_path / "model.vae")
    assert type(vaekit.load(tmp_path / "model.vae")) is VariationalAutoencoder
    with pytest.raises(
        ArtifactError, match=r"is a model, and no job; expected an? .*: vaekit.load opens models too"
    ):
        type(fitted[0]).load(tmp_path / "model.vae")
    with pytest.raises(
        ArtifactError, match=rf"is no model but a fitted {fitted[0].job}, which serves `vaekit "
    ):
        vaekit.estimator.load(folder)
    with pytest.raises(UsageError, match="leave encoder, decoder and network out"):
        vaekit.load(folder, encoder=torch.nn.Linear(2, 2), decoder=torch.nn.Linear(2, 2))
    with pytest.raises(ArtifactError, match="there is no artifact"):
        vaekit.load(tmp_path / "nothing.vae")


@dataclass(frozen=True)
class Shape:
    """Something with numbers and arrays."""

    sides: int
    lengths: tuple[float, ...]
    table: np.ndarray
    by_name: dict[int, "Shape | None"]


def there_and_back(value, kind):
    arrays: dict[str, torch.Tensor] = {}
    document = json.loads(json.dumps(pack(value, "x", arrays), allow_nan=False))
    return unpack(document, kind, "x", arrays)


def test_values_come_back_as_they_were():
    inner = Shape(3, (0.1, np.nan, -np.inf), np.arange(3, dtype=np.int16), {})
    outer = Shape(4, (1.0,), np.asfortranarray(np.ones((2, 3))), {7: inner, 8: None})
    back = there_and_back(outer, Shape)
    assert back.by_name[7].lengths[0] == 0.1
    assert np.isnan(back.by_name[7].lengths[1])
    assert back.by_name[7].lengths[2] == -np.inf
    assert back.by_name[7].table.dtype == np.int16
    assert back.by_name[8] is None
    assert back.table.flags.f_contiguous
    assert not back.table.flags.c_contiguous
    assert there_and_back([1, "a", None, True, 2.5, {"b": [3]}], list[Any]) == [
        1,
        "a",
        None,
        True,
        2.5,
        {"b": [3]},
    ]
    assert there_and_back((np.float64(2), np.int64(3), np.bool_(1)), tuple[float, int, bool]) == (
        2.0,
        3,
        True,
    )


@pytest.mark.parametrize(
    ("document", "kind", "message"),
    [
        (1.5, int, "x: 1.5; expected int"),
        (True, int, "x: True; expected int"),
        ("1", float, "x: '1'; expected float"),
        ([1, 2], tuple[int], "x: .1, 2.; expected"),
        ({"a": 1}, list[int], "expected"),
        ({"array": "y"}, np.ndarray, "there is no array 'y'"),
        ([0.0], torch.Tensor, "expected Tensor"),
        ({"is": "Shape", "sides": 3}, Shape, "expected Shape"),
        ({"is": "Popen", "args": "ls"}, Shape, "expected Shape"),
        ("none", int | None, "expected NoneType"),
    ],
)
def test_documents_of_another_type_are_refused(document, kind, message):
    with pytest.raises(ArtifactError, match=message):
        unpack(document, kind, "x", {})


def test_what_has_no_place_in_json_is_named():
    with pytest.raises(UsageError, match=r"x.a: .*an artifact cannot hold"):
        pack({"a": np.random.default_rng(0)}, "x", {})
