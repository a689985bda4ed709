"""``vaekit doctor``: exit statuses, the part of the data that is looked at, and bad input."""

import json

import numpy as np
import pytest

from vaekit import VariationalAutoencoder, fit_and_prove
from vaekit.application import diagnose_artifact
from vaekit.cli import main


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doctor")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(700, 1)) @ rng.normal(size=(1, 4)) + 0.5 * rng.normal(size=(700, 4))
    np.save(folder / "x.npy", x)
    vae = VariationalAutoencoder(1, network="mlp:hidden=16", epochs=40, random_state=0, likelihood="gaussian")
    fit_and_prove(str(folder / "x.npy"), folder / "x.vae", estimator=vae, samples=5)
    return folder


def test_the_held_out_rows_are_looked_at_and_the_status_tells(fitted, capsys):
    status = main(["doctor", str(fitted / "x.vae"), str(fitted / "x.npy"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["split"] == "validation and test"
    assert found["rows"] == pytest.approx(140, abs=40)
    assert status == (0 if found["healthy"] else 1)
    assert found["healthy"] == (not found["findings"])
    assert len(found["in_order"]) > 5


def test_sick_data_are_told_in_words(fitted, capsys):
    x = np.load(fitted / "x.npy")[:200]
    x[::3, 2] += 30
    np.save(fitted / "sick.npy", x)
    page = fitted / "doctor.html"
    assert main(["doctor", str(fitted / "x.vae"), str(fitted / "sick.npy"), "--report", str(page)]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"{page}: the same with pictures"
    assert "x2: F(x)" in page.read_text()
    assert "finding" in out.splitlines()[0]
    assert "(all: 200 rows" in out.splitlines()[0]
    assert "try  " in out
    assert "x2 (" in out
    assert "not checked" in out
    assert "`" not in out


def test_the_artifact_and_the_data_stand_in_the_commands(fitted):
    x = np.load(fitted / "x.npy")
    found = diagnose_artifact(fitted / "x.vae", np.where(np.arange(len(x))[:, None] % 2, x + 9, x - 9))
    advice = [text for finding in found.diagnosis.findings for text in finding.advice]
    assert any(f"vaekit fit-prior {fitted / 'x.vae'}" in text for text in advice)


def test_a_small_table_is_looked_at_whole(fitted):
    x = np.load(fitted / "x.npy")[:120]
    vae = VariationalAutoencoder(1, network="mlp:hidden=8", epochs=5, random_state=0, likelihood="gaussian")
    fit_and_prove(x, fitted / "small.vae", estimator=vae, samples=5)
    found = diagnose_artifact(fitted / "small.vae", x)
    assert found.split == "all, training rows included"
    assert found.diagnosis.rows == 120
    assert any("training rows are not known" in text for text in found.diagnosis.not_checked)


def test_few_rows_and_other_columns_are_refused(fitted, capsys):
    np.save(fitted / "few.npy", np.zeros((10, 4)))
    assert main(["doctor", str(fitted / "x.vae"), str(fitted / "few.npy")]) == 3
    assert "10 rows to diagnose with" in capsys.readouterr().err
    np.save(fitted / "wide.npy", np.zeros((100, 5)))
    assert main(["doctor", str(fitted / "x.vae"), str(fitted / "wide.npy")]) == 3
