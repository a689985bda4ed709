"""The artifact: whole or not at all, and believed only as far as it was checked."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

import vaekit
from narrowing import untyped
from vaekit import VariationalAutoencoder
from vaekit.artifact import FORMAT_VERSION, read_artifact, write_artifact
from vaekit.errors import ArtifactError
from vaekit.priors import StandardPrior


@pytest.fixture(scope="module")
def fitted():
    return VariationalAutoencoder(2, epochs=2, network="mlp:hidden=8", random_state=0).fit(
        untyped(load_iris()).data
    )


@pytest.fixture
def folder(tmp_path, fitted):
    fitted.save(tmp_path / "iris.vae")
    return tmp_path / "iris.vae"


def edit(folder: Path, **changes) -> None:
    path = folder / "model.json"
    description = json.loads(path.read_text())
    description.update(changes)
    path.write_text(json.dumps({k: v for k, v in description.items() if v is not ...}))


def test_what_is_in_it(folder, fitted):
    assert sorted(p.name for p in folder.iterdir()) == ["metrics.jsonl", "model.json", "model.safetensors"]
    description = json.loads((folder / "model.json").read_text())
    assert description["format_version"] == 1  # one with conditions is 2
    assert description["sentence"]["likelihood"] == "gaussian:scale=learned,value=1.0"
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2
    first = json.loads(lines[0])
    assert {
        "epoch",
        "train_bound",
        "validation_bound",
        "kl_per_dimension",
        "learning_rate",
        "seconds",
    } <= set(first)
    assert len(first["kl_per_dimension"]) == 2
    assert vaekit.load(folder).history_.epochs == fitted.history_.epochs


def test_it_can_be_moved(folder, tmp_path, fitted):
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    x = untyped(load_iris()).data
    assert vaekit.load(moved).transform(x).tobytes() == fitted.transform(x).tobytes()


def test_an_existing_one_asks_for_force_and_force_replaces_it_whole(folder, fitted):
    with pytest.raises(ArtifactError, match="force=True"):
        fitted.save(folder)
    (folder / "report.html").write_text("old")
    fitted.save(folder, force=True)
    assert not (folder / "report.html").exists()
    assert [p.name for p in folder.parent.iterdir()] == ["iris.vae"], "nothing is left beside it"


def test_a_folder_that_is_no_artifact_is_never_replaced(tmp_path, fitted):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match="no vaekit artifact"):
        fitted.save(tmp_path / "thesis", force=True)
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"


def test_a_missing_parent_is_said(tmp_path, fitted):
    with pytest.raises(ArtifactError, match="does not exist"):
        fitted.save(tmp_path / "nowhere" / "iris.vae")


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no write permission there")
def test_a_folder_that_cannot_be_written(tmp_path, fitted, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ArtifactError, match="cannot be written"):
        fitted.save(tmp_path / "iris.vae")


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_disk_that_fills_up_harms_nothing(folder, fitted, monkeypatch, nth):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == nth:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError, match="No space left on device"):
        fitted.save(folder, force=True)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in folder.parent.iterdir()] == ["iris.vae"]


def test_a_rename_that_fails_puts_the_old_one_back(folder, fitted, monkeypatch):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    rename = Path.rename

    def failing(self, target):
        if self.suffix == ".partial":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ArtifactError, match="Input/output error"):
        fitted.save(folder, force=True)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_newer_format_says_so(folder):
    edit(folder, format_version=FORMAT_VERSION + 1)
    with pytest.raises(ArtifactError, match="upgrade vaekit"):
        read_artifact(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent": 3}, "has shape"),
        ({"latent": 10**9}, "has shape"),
        ({"latent": 0}, "latent=0"),
        ({"latent": "2"}, r"model.json.latent: '2'; expected a whole number"),
        ({"latent": True}, r"model.json.latent: True; expected a whole number"),
        ({"sentence": 3}, r"model.json.sentence: 3; expected an object"),
        ({"latent": ...}, "missing key 'latent'"),
        ({"weights": "../../etc/passwd"}, "unknown key 'weights'"),
        ({"format": "zip"}, "does not describe a vaekit artifact"),
        ({"sentence": {"network": "mlp"}}, "sentence cannot be used"),
        ({"training": {"epochs": -1}}, "training cannot be used"),
        ({"training": {"epoch": 1}}, "training cannot be used"),
        ({"schema": {}}, "schema|key"),
        ({"weights_sha256": "0"}, "its hash differs"),
    ],
)
def test_edited_descriptions_are_refused(folder, changes, message):
    edit(folder, **changes)
    with pytest.raises(ArtifactError, match=message):
        read_artifact(folder)


def test_an_edited_sentence_is_refused_before_memory_is_spent(folder):
    sentence = json.loads((folder / "model.json").read_text())["sentence"]
    edit(folder, sentence={**sentence, "network": "mlp:hidden=1000000000"})
    with pytest.raises(ArtifactError, match="has shape"):
        read_artifact(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "\xff"])
def test_descriptions_that_are_no_json(folder, text):
    (folder / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ArtifactError, match=r"no valid JSON|does not describe"):
        read_artifact(folder)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-10], lambda b: b[:5], lambda b: b"", lambda b: b[:-1] + b"\x01"]
)
def test_damaged_weights(folder, damage):
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ArtifactError, match="truncated, altered or exchanged"):
        read_artifact(folder)


def with_weights(folder, change):
    """Exchange the weights for others with a matching hash."""
    import hashlib

    from safetensors.torch import load, save

    path = folder / "model.safetensors"
    weights = save(change(load(path.read_bytes())))
    path.write_bytes(weights)
    edit(folder, weights_sha256=hashlib.sha256(weights).hexdigest())


def without(state, name):
    return {k: v for k, v in state.items() if k != name}


NAME = "parts.likelihood.log_scale"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: without(s, NAME), f"lacks the tensor {NAME}"),
        (lambda s: {**s, "extra": s[NAME].clone()}, "a tensor extra that"),
        (lambda s: {**s, NAME: s[NAME].clone().fill_(float("nan"))}, "not finite"),
        (lambda s: {**s, NAME: s[NAME].expand(2).clone()}, r"shape \(2,\)"),
    ],
)
def test_weights_that_do_not_fit_the_sentence(folder, change, message):
    with_weights(folder, change)
    with pytest.raises(ArtifactError, match=message):
        read_artifact(folder)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "metrics.jsonl"])
def test_links_that_leave_the_folder_are_not_followed(folder, tmp_path, name):
    outside = tmp_path / "outside"
    shutil.move(folder / name, outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(ArtifactError, match="leaves the folder"):
        read_artifact(folder)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_missing_files_are_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"has no {name}"):
        read_artifact(folder)


def test_no_artifact_at_all(tmp_path):
    with pytest.raises(ArtifactError, match="there is no artifact"):
        read_artifact(tmp_path / "nothing.vae")


def test_damaged_metrics_are_said(folder):
    (folder / "metrics.jsonl").write_text('{"epoch": 1}\n')
    with pytest.raises(ArtifactError, match=r"metrics.jsonl cannot be read"):
        read_artifact(folder)


def test_pickles_are_never_read(folder, monkeypatch):
    import pickle

    def never(*_, **__):
        raise AssertionError("a pickle was read")

    monkeypatch.setattr(pickle, "load", never)
    monkeypatch.setattr(pickle, "loads", never)
    monkeypatch.setattr(pickle, "Unpickler", never)
    assert np.isfinite(vaekit.load(folder).transform(untyped(load_iris()).data)).all()


def test_writing_what_was_read_gives_the_same_bytes(folder, tmp_path):
    write_artifact(tmp_path / "copy.vae", read_artifact(folder))
    for path in folder.iterdir():
        assert (tmp_path / "copy.vae" / path.name).read_bytes() == path.read_bytes()


class NarrowPrior(StandardPrior):
    """A part that is not vaekit's own."""


def test_a_part_that_is_not_known_here_is_named_with_what_to_import(tmp_path):
    x = untyped(load_iris()).data
    vae = VariationalAutoencoder(2, network="mlp:hidden=8", prior=NarrowPrior, epochs=1, random_state=0).fit(
        x
    )
    vae.save(tmp_path / "own.vae")
    description = json.loads((tmp_path / "own.vae" / "model.json").read_text())
    assert description["format_version"] == 3
    [part] = description["imports"]
    assert (part["room"], part["module"]) == ("prior", __name__)
    assert vaekit.load(tmp_path / "own.vae").transform(x).tobytes() == vae.transform(x).tobytes()
    code = f"import vaekit; vaekit.load({str(tmp_path / 'own.vae')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"NarrowPrior: not a part of vaekit; import {__name__} first" in done.stderr
